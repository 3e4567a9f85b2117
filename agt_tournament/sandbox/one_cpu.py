"""One CPU for the organiser and its agents, which take turns."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def one_cpu() -> Iterator[None]:
    """Keep this process, and the agents that it starts meanwhile, on the CPU on which it runs now.

    Organiser and agents take turns and never work at the same time. On one CPU a question and its answer take a third
    to a half of the time that it takes to wake another one, and each block of games leaves the other CPUs alone.
    """
    if not hasattr(os, "sched_setaffinity"):  # on macOS
        yield
        return
    allowed = os.sched_getaffinity(0)
    current = int(Path("/proc/thread-self/stat").read_text().rpartition(")")[2].split()[36])
    os.sched_setaffinity(0, {current} & allowed or allowed)
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
