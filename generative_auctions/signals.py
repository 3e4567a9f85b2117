"""Handlers of signals for a part of a program."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def handled(numbers: Iterable[int], handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Let `handler` handle the signals `numbers` inside, where this is the main thread: Python allows no other.

    Afterwards the earlier handlers are back, but for signals that were given another handler inside.
    """
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, handler) for number in numbers if is_main}
    try:
        yield
    finally:
        for number, earlier in before.items():
            if signal.getsignal(number) == handler:
                signal.signal(number, earlier)
