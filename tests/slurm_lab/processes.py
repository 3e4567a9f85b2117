"""Whose process is whose, read from /proc."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection, Iterator
from pathlib import Path


def daemons_of(folder: Path, names: Collection[str]) -> set[int]:
    """Processes of these names that work in `folder`, or have a file of it open as every daemon has its log."""
    found = set()
    for process in _processes():
        with contextlib.suppress(OSError):
            if (process / "comm").read_text().strip() in names:
                files = [os.readlink(file) for file in (process / "fd").iterdir()]
                works_in = os.readlink(process / "cwd").removesuffix(" (deleted)")
                if str(folder) in (works_in, *map(os.path.dirname, files)):
                    found.add(int(process.name))
    return found


def jobs_of(conf: Path) -> set[int]:
    """Processes with the environment of a job; a shell that was told to use the cluster has but SLURM_CONF."""
    found = set()
    for process in _processes():
        with contextlib.suppress(OSError):
            variables = os.fsdecode((process / "environ").read_bytes()).split("\0")
            if f"SLURM_CONF={conf}" in variables and any(v.startswith("SLURM_JOB_ID=") for v in variables):
                found.add(int(process.name))
    return found


def with_descendants(processes: Collection[int]) -> set[int]:
    """`processes`, their children, the children of those, …"""
    children: dict[int, list[int]] = {}
    for process in _processes():
        with contextlib.suppress(OSError):
            parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
            children.setdefault(int(parent), []).append(int(process.name))
    found, unread = set(processes), list(processes)
    while unread:
        born = children.get(unread.pop(), [])
        found.update(born)
        unread += born
    return found


def kill(processes: Collection[int]) -> bool:
    """`kill -9`; whether there was anything to kill."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    return bool(processes)


def _processes() -> Iterator[Path]:
    return Path("/proc").glob("[0-9]*")
