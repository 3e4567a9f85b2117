"""A control group that limits an agent's memory, where this process may make some (cgroups(7)).

It counts every page whatever way it was mapped, and the kernel ends a process that needs more. Version 1 wants a
hierarchy that can be written; version 2 a subtree that was delegated, as ``systemd-run --user --scope -p Delegate=yes``
does. In such a subtree no processes may stand beside groups with a limit, so all that it holds move to a group of their
own, ``agt_organiser``, in which later organisers begin.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
_ORGANISER, _PREFIX = "agt_organiser", "agt_agent_"
_ATTEMPTS = 50
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
        group = cls(parent / f"{_PREFIX}{os.getpid()}_{next(_numbers)}")
        try:
            group._folder.mkdir()
            (group._folder / name).write_text(str(limit_bytes))
        except OSError:
            group.remove()
            return None
        with suppress(OSError):  # not everywhere is swap counted
            (group._folder / "memory.swap.max").write_text("0")
        return group

    def add(self, pid: int) -> None:
        """Put the process in; one that has ended is none."""
        with suppress(OSError):
            (self._folder / "cgroup.procs").write_text(str(pid))

    def remove(self) -> None:
        """Remove the group, whose processes have ended: the kernel may need a moment to see that."""
        for _ in range(_ATTEMPTS):
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
    for line in _OWN.read_text().splitlines() if _OWN.exists() else ():
        _, controllers, path = line.split(":", 2)
        version_1, version_2 = _ROOT / "memory" / path.lstrip("/"), _ROOT / path.lstrip("/")
        if "memory" in controllers.split(",") and os.access(version_1, os.W_OK):
            _clear(version_1)
            return version_1, "memory.limit_in_bytes"
        if not controllers:
            subtree = version_2.parent if version_2.name == _ORGANISER else version_2
            if _delegated(subtree):
                _clear(subtree)
                return subtree, "memory.max"
    return None, ""


def _delegated(subtree: Path) -> bool:
    """Whether groups with a limit can be made in `subtree` of version 2; what runs in it makes room if it must."""
    files = [subtree, subtree / "cgroup.procs", subtree / "cgroup.subtree_control"]
    try:
        offered = (subtree / "cgroup.controllers").read_text().split()
        if "memory" not in offered or not all(os.access(file, os.W_OK) for file in files):
            return False
        for _ in range(_ATTEMPTS):  # what moves may start another process meanwhile
            if _limits_groups(subtree):
                return True
            _make_room(subtree)
    except OSError:
        pass
    return False


def _limits_groups(subtree: Path) -> bool:
    """Have groups in `subtree` limit memory; False while processes stand beside them. The root alone may have both."""
    try:
        (subtree / "cgroup.subtree_control").write_text("+memory")
    except OSError as error:
        if error.errno == errno.EBUSY:
            return False
        raise
    return True


def _make_room(subtree: Path) -> None:
    """Move the processes of `subtree` to the group of organisers."""
    organisers = subtree / _ORGANISER
    organisers.mkdir(exist_ok=True)
    for pid in (subtree / "cgroup.procs").read_text().split():
        with suppress(ProcessLookupError):
            (organisers / "cgroup.procs").write_text(pid)


def _clear(folder: Path) -> None:
    """Remove the groups of organisers that were killed; one may have had the number that is now this process's."""
    for group in folder.glob(f"{_PREFIX}*"):
        owner = group.name.removeprefix(_PREFIX).partition("_")[0]
        if owner == str(os.getpid()) or not Path(f"/proc/{owner}").exists():
            with suppress(OSError):
                group.rmdir()
