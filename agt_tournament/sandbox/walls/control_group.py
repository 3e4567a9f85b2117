"""A control group that limits an agent's memory and processes, where this process may make some (cgroups(7)).

It counts every page whatever way it was mapped, and the kernel ends a process that needs more. Version 1 wants
hierarchies that can be written; version 2 a subtree that was delegated, as ``systemd-run --user --scope -p
Delegate=yes`` does. In such a subtree no processes may stand beside groups with a limit, so all that it holds move to a
group of their own, ``agt_organiser``, in which later organisers begin.
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
_CONTROLLERS = ("memory", "pids")
_MOST_PROCESSES = 4  # the agent's, and two of bubblewrap
_ATTEMPTS = 50
_numbers = count()


class ControlGroup:
    """A control group: the processes added to it, and all that they start, share its limits."""

    def __init__(self, folders: dict[str, Path]) -> None:
        """Make a group of `folders`, one by controller; under version 2 all controllers share one."""
        self._folders = folders

    @classmethod
    def create(cls, memory_bytes: int) -> ControlGroup | None:
        """Make a group with what controllers there are; None where no group can be made."""
        name, folders = f"{_PREFIX}{os.getpid()}_{next(_numbers)}", {}
        for controller, (parent, memory_file) in _parents().items():
            folder = parent / name
            limit = {memory_file: memory_bytes} if controller == "memory" else {"pids.max": _MOST_PROCESSES}
            try:
                folder.mkdir(exist_ok=True)
                for file, value in limit.items():
                    (folder / file).write_text(str(value))
            except OSError:
                cls({controller: folder}).remove()
                continue
            folders[controller] = folder
            with suppress(OSError):  # not everywhere is swap counted
                (folder / "memory.swap.max").write_text("0")
        return cls(folders) if folders else None

    @property
    def controllers(self) -> tuple[str, ...]:
        """The controllers that limit the group: ``memory``, ``pids``, both or none."""
        return tuple(self._folders)

    def add(self, pid: int) -> None:
        """Add the process to the group; one that has ended is ignored."""
        for folder in set(self._folders.values()):
            with suppress(OSError):
                (folder / "cgroup.procs").write_text(str(pid))

    def remove(self) -> None:
        """Remove the group, whose processes have ended: the kernel may need a moment to see that."""
        for folder in set(self._folders.values()):
            for _ in range(_ATTEMPTS):
                try:
                    folder.rmdir()
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.002)


def works() -> bool:
    """Whether groups that limit memory can be made here."""
    group = ControlGroup.create(1 << 28)
    if group:
        group.remove()
    return group is not None and "memory" in group.controllers


@cache
def _parents() -> dict[str, tuple[Path, str]]:
    """Return where groups can be made and the file of the memory limit, by controller."""
    found: dict[str, tuple[Path, str]] = {}
    for line in _OWN.read_text().splitlines() if _OWN.exists() else ():
        _, controllers, path = line.split(":", 2)
        for controller in _CONTROLLERS:
            version_1 = _ROOT / controller / path.lstrip("/")
            if controller in controllers.split(",") and os.access(version_1, os.W_OK):
                _clear(version_1)
                found[controller] = version_1, "memory.limit_in_bytes"
        if not controllers:
            version_2 = _ROOT / path.lstrip("/")
            subtree = version_2.parent if version_2.name == _ORGANISER else version_2
            delegated = _delegated(subtree)
            if delegated:
                _clear(subtree)
            found |= dict.fromkeys(delegated, (subtree, "memory.max"))
    return found


def _delegated(subtree: Path) -> list[str]:
    """Return the controllers that can limit groups in `subtree` of version 2; its processes move if they must."""
    files = [subtree, subtree / "cgroup.procs", subtree / "cgroup.subtree_control"]
    try:
        offered = (subtree / "cgroup.controllers").read_text().split()
        wanted = [controller for controller in _CONTROLLERS if controller in offered]
        if not wanted or not all(os.access(file, os.W_OK) for file in files):
            return []
        for _ in range(_ATTEMPTS):  # what moves may start another process meanwhile
            if _limits_groups(subtree, wanted):
                return wanted
            _make_room(subtree)
    except OSError:
        pass
    return []


def _limits_groups(subtree: Path, controllers: list[str]) -> bool:
    """Switch on the limits of groups in `subtree`; return False while processes stand beside them.

    Only the root may have both.
    """
    try:
        (subtree / "cgroup.subtree_control").write_text(" ".join(f"+{controller}" for controller in controllers))
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
