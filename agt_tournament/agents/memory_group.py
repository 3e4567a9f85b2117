"""A control group that limits an agent's memory, where this process may make some (cgroups(7)).

It counts every page whatever way it was mapped, and the kernel ends a process that needs more. Version 2 wants a
subtree that was delegated, as ``systemd-run --user --scope -p Delegate=yes`` does; version 1 a writable hierarchy.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_PREFIX = "agt_agent_"
_numbers = count()


class MemoryGroup:
    """One group; whoever is added to it, and all that they start, share the limit."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def create(cls, limit_bytes: int) -> MemoryGroup | None:
        """A new group, or None where none can be made."""
        parent, name = _parent()
        if parent is None:
            return None
        folder = parent / f"{_PREFIX}{os.getpid()}_{next(_numbers)}"
        try:
            folder.mkdir()
            (folder / name).write_text(str(limit_bytes))
        except OSError:
            return None
        with suppress(OSError):  # not everywhere is swap counted
            (folder / "memory.swap.max").write_text("0")
        return cls(folder)

    def add(self, pid: int) -> None:
        """Put the process in; one that has ended is none."""
        with suppress(OSError):
            (self._folder / "cgroup.procs").write_text(str(pid))

    def remove(self) -> None:
        """Remove the group, whose processes have ended: the kernel may need a moment to see that."""
        for _ in range(50):
            try:
                self._folder.rmdir()
                return
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(0.002)


def works() -> bool:
    """Whether groups can be made here."""
    group = MemoryGroup.create(1 << 28)
    if group:
        group.remove()
    return group is not None


@cache
def _parent() -> tuple[Path | None, str]:
    """Where groups can be made, and the file of the limit."""
    own = Path("/proc/self/cgroup")
    for line in own.read_text().splitlines() if own.exists() else ():
        _, controllers, path = line.split(":", 2)
        version_1, version_2 = _ROOT / "memory" / path.lstrip("/"), _ROOT / path.lstrip("/")
        if "memory" in controllers.split(",") and os.access(version_1, os.W_OK):
            _clear(version_1)
            return version_1, "memory.limit_in_bytes"
        if not controllers and _delegated(version_2):
            _clear(version_2)
            return version_2, "memory.max"
    return None, ""


def _delegated(folder: Path) -> bool:
    """Whether groups can be made in `folder` of version 2; this process leaves it, for only then may it have some."""
    try:
        if "memory" not in (folder / "cgroup.controllers").read_text().split() or not os.access(folder, os.W_OK):
            return False
        leaf = folder / "agt_organiser"
        leaf.mkdir(exist_ok=True)
        (leaf / "cgroup.procs").write_text(str(os.getpid()))
        (folder / "cgroup.subtree_control").write_text("+memory")
    except OSError:
        return False
    return True


def _clear(folder: Path) -> None:
    """Remove the groups of organisers that were killed."""
    for group in folder.glob(f"{_PREFIX}*"):
        owner = group.name.removeprefix(_PREFIX).partition("_")[0]
        if not Path(f"/proc/{owner}").exists():
            with suppress(OSError):
                group.rmdir()
