"""Change everything of the machine that its counters could tell: what a probe reads before and after must be alike."""

from __future__ import annotations

import fcntl
import mmap
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

_PROCESSES, _THREADS, _FILES, _PACKETS = 4, 8, 40, 200
_MEMORY_BYTES = 64 << 20
_DISK_BYTES = 4 << 20


@contextmanager
def busy_machine(seconds: float) -> Iterator[None]:
    """Work for `seconds`, and keep processes, threads, files, locks, memory and disk in use within the context."""
    with ExitStack() as stack:
        until = time.monotonic() + seconds
        stack.enter_context(_processes())
        stack.enter_context(_threads())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="agt_probe_")))
        for number in range(_FILES):
            file = stack.enter_context((folder / str(number)).open("wb"))
            fcntl.flock(file, fcntl.LOCK_EX)
        large = stack.enter_context((folder / "large").open("wb"))
        os.posix_fallocate(large.fileno(), 0, _DISK_BYTES)
        memory = stack.enter_context(mmap.mmap(-1, _MEMORY_BYTES))
        memory[:: mmap.PAGESIZE] = b"x" * (_MEMORY_BYTES // mmap.PAGESIZE)
        _send_packets()
        while time.monotonic() < until:
            sum(range(10_000))
        yield


@contextmanager
def _processes() -> Iterator[None]:
    """Keep a few waiting processes."""
    command = [sys.executable, "-S", "-c", "import sys; sys.stdin.read()"]
    running = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(_PROCESSES)]
    try:
        yield
    finally:
        for process in running:
            process.communicate()


@contextmanager
def _threads() -> Iterator[None]:
    """Keep a few waiting threads."""
    ended = threading.Event()
    running = [threading.Thread(target=ended.wait) for _ in range(_THREADS)]
    for thread in running:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in running:
            thread.join()


def _send_packets() -> None:
    """Send datagrams over the loopback interface, and connect once."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(_PACKETS):
                sender.sendto(b"x" * 512, receiver.getsockname())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        socket.create_connection(listener.getsockname()).close()
