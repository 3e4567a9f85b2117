"""The walls around an agent's process, from outside: how it is started, and what it shall give up.

``bubblewrap`` gives it namespaces of its own, in which there is nothing but what `readable` names. ``landlock`` leaves
it in those of the machine, for machines on which namespaces are closed. Every other layer is on in both, as far as the
kernel has it: Landlock, a filter of system calls (`seccomp_policy`), a user id of its own, hard limits, control groups
and clocks that show CPU time only. The process raises them itself by `walls`, before it knows the submission. ``none``
is a plain process.
"""

from __future__ import annotations

import base64
import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agt_tournament.sandbox.inside import clock
from agt_tournament.sandbox.inside.walls import CAP_DAC_READ_SEARCH, READ_DIR, READ_FILE, landlock_abi
from agt_tournament.sandbox.walls import memory_files, readable, seccomp_policy
from agt_tournament.sandbox.walls.control_group import ControlGroup

TIERS = ("bubblewrap", "landlock", "none")
"""The tiers from the strongest walls to none."""

_START = (
    f"import sys; sys.path.insert(0, {str(Path(__file__).resolve().parents[3])!r}); "
    "from agt_tournament.sandbox.inside import runner; del sys.path[0]; runner.main()"
)
INSIDE = Path("/submission")
"""The folder of a submission inside a namespace: the same for every team and run."""
_SPARE_ADDRESSES = 1 << 30
"""Address space beside the memory limit, in bytes: libraries map more than they use."""
_COVERED = ("/proc", "/sys", "/run", "/dev/shm")
"""Folders in which `stat`, which Landlock does not restrict, shows what other processes do."""
_SAMPLES = ("__init__.py", "bidding_agent.py")
"""Files whose permissions stand for those of the files beside them."""
_FIRST_ID = 0x70000000
"""The first user id that nobody uses (systemd, "Users, Groups, UIDs and GIDs on systemd Systems"); up to 2^31."""


@dataclass(frozen=True)
class Sandbox:
    """One tier."""

    name: str

    def command(self, submission: Path, information: int) -> list[str]:
        """Return the command of an agent's process; bubblewrap names its child on the descriptor `information`."""
        python = [str(readable.executable()), "-s", "-S", "-P", "-B", "-u", "-X", "utf8", "-c", _START]
        return [*_bubblewrap(submission, information), *python] if self.name == "bubblewrap" else python

    def plan(self, submission: Path, memory_limit_mb: int, pid: int) -> dict[str, Any]:
        """Return what the process gives up by `walls.raise_walls`; `pid` is the process that was started."""
        if sys.platform != "linux":  # where RLIMIT_DATA does not count what is mapped
            return {"limits": {}}
        limits = {"RLIMIT_DATA": memory_limit_mb << 20}
        if not self.walled:
            return {"limits": limits}
        limits |= {"RLIMIT_AS": (memory_limit_mb << 20) + _SPARE_ADDRESSES, "RLIMIT_FSIZE": 0, "RLIMIT_CORE": 0}
        limits |= {"RLIMIT_NOFILE": 64, "RLIMIT_MEMLOCK": 0, "RLIMIT_MSGQUEUE": 0, "RLIMIT_NPROC": 0}
        capabilities = [] if _open_to_all(submission, self.in_namespaces) else [CAP_DAC_READ_SEARCH]
        return {
            "limits": limits,
            "user_id": own_user_id(pid),
            "capabilities": capabilities,
            "covered": [] if self.in_namespaces or os.geteuid() else list(filter(os.path.isdir, _COVERED)),
            "readable": list(_rights(self.place(submission))),
            "landlock": not self.in_namespaces or landlock_abi() > 0,
            "vvar_bytes": clock.vvar_bytes(),
            "seccomp": base64.b64encode(seccomp_policy.compiled()).decode(),
            "seccomp_with_clocks": base64.b64encode(seccomp_policy.compiled(clocks=True)).decode(),
        }

    def prepare(self) -> None:
        """Prepare shared files before the first game, so that agents learn nothing of each other by them."""
        if self.in_namespaces:
            memory_files.hold()
        elif self.walled:
            readable.warm()

    def place(self, submission: Path) -> Path:
        """Return the folder in which an agent finds its submission."""
        return INSIDE if self.in_namespaces else submission

    @property
    def in_namespaces(self) -> bool:
        """Whether the agent runs in namespaces of its own, as a child of what is executed."""
        return self.name == "bubblewrap"

    @property
    def walled(self) -> bool:
        """Whether there are walls, and the agent is stopped between its turns."""
        return self.name != "none"

    def layers(self) -> dict[str, str]:
        """Return ``on`` for each layer, or why it is not on."""
        own_id = "on" if own_user_id(os.getpid()) is not None else "only root can give other user ids"
        group = ControlGroup.create(memory_bytes=1 << 28)
        limited = group.controllers if group else ()
        if group:
            group.remove()
        walls = {
            "namespaces of its own": "on" if self.in_namespaces else "not in this tier",
            "files held in memory": (memory_files.why_not() or "on") if self.in_namespaces else "not in this tier",
            "Landlock": f"on, ABI {landlock_abi()}" if landlock_abi() else "not in this kernel",
            "filter of system calls": "on",
            "a user id of its own": own_id,
            "no threads, no processes": "on",
            "memory by a control group": "on" if "memory" in limited else "no group can be made: hard limits instead",
            "processes by a control group": "on" if "pids" in limited else "no group can be made: filter and limit",
            "no clock but of its CPU time": "on" if platform.machine() == "x86_64" else "only on x86-64",
        }
        return walls if self.walled else dict.fromkeys(walls, "not in this tier")


NONE = Sandbox("none")


def agent_pid(information: int) -> int:
    """Find the agent's process: the child of the first one of its namespace, which bubblewrap names on the descriptor.

    Raises:
        OSError, ValueError: it has ended.
    """
    said = b""
    while chunk := os.read(information, 4096):
        said += chunk
        if said.rstrip().endswith(b"}"):
            break
    first = int(json.loads(said)["child-pid"])
    (agent,) = Path(f"/proc/{first}/task/{first}/children").read_text().split()
    return int(agent)


# --- user ids --------------------------------------------------------------------------------------------


def own_user_id(pid: int) -> int | None:
    """Derive from `pid` a user id that no other process has; None if none can be given.

    Only root can give ids, and in a user namespace only those that are mapped there.
    """
    if os.geteuid() != 0:
        return None
    first, count = _mapped_ids()
    if first + count > _FIRST_ID + pid >= first:
        return _FIRST_ID + pid
    return first + count - 1 - pid % (count // 2) if count > 1 else None  # the upper half, far from the system's


def _mapped_ids() -> tuple[int, int]:
    """Return first and number of the longest run of user ids in this user namespace."""
    rows = (line.split() for line in Path("/proc/self/uid_map").read_text().splitlines())
    return max(((int(first), int(count)) for first, _, count in rows), key=lambda run: run[1])


def _open_to_all(submission: Path, in_namespaces: bool) -> bool:
    """Whether a user without rights can read what an agent may read; in namespaces all folders above can be passed."""
    if os.geteuid() != 0:
        return True
    paths = [*readable.own_modules(), *readable.interpreter(), *readable.packages(), submission]
    above = {parent for path in paths for parent in path.parents} if not in_namespaces else set()
    files = {path / name for path in paths if path.is_dir() for name in _SAMPLES}
    passable = all(path.stat().st_mode & 0o001 for path in (*above, *filter(Path.is_dir, paths)))
    return passable and all(path.stat().st_mode & 0o004 for path in (*paths, *files) if path.exists())


# --- what it sees and may read ---------------------------------------------------------------------------


def _bubblewrap(submission: Path, information: int) -> Iterator[str]:
    yield from (shutil.which("bwrap") or "bwrap", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts")
    yield from ("--unshare-cgroup-try", "--hostname", "agent", "--cap-drop", "ALL")
    if os.geteuid() == 0:  # it gives up being root itself, once the walls that need root stand
        for capability in ("CAP_SETUID", "CAP_SETGID", "CAP_DAC_READ_SEARCH"):
            yield from ("--cap-add", capability)
    else:
        yield from ("--unshare-user", "--uid", "65534", "--gid", "65534")
    # Its first process is bubblewrap's, which root's bubblewrap may end, and all others with it, when it ends itself:
    # the agent is another user.
    yield from ("--new-session", "--die-with-parent", "--info-fd", str(information), "--dir", "/tmp")
    for library in ("/lib", "/lib64"):
        if os.path.islink(library):
            yield from ("--symlink", os.readlink(library), library)
    libraries = {_in_real_folder(file): memory_files.source(file) for file in readable.shared_libraries()}
    trees = {str(path): memory_files.source(path) for path in _trees()} | {str(INSIDE): str(submission)}
    places = (*readable.DEVICES, *libraries, *trees)
    for folder in sorted({str(parent) for path in places for parent in Path(path).parents} - {"/"}):
        yield from ("--dir", folder)  # else as closed to others as it is outside
    for device in readable.DEVICES:
        yield from ("--dev-bind", device, device)
    for place, source in (libraries | trees).items():
        yield from ("--ro-bind", source, place)
    for path in readable.hidden() if memory_files.held() is None else ():
        yield from ("--tmpfs", str(path), "--remount-ro", str(path))
    yield from ("--remount-ro", "/", "--chdir", str(INSIDE))


def _in_real_folder(file: str) -> str:
    """Return the place of `file` without links among the folders above it: /lib may be one."""
    folder, name = os.path.split(file)
    return os.path.join(os.path.realpath(folder), name)


def _trees() -> list[Path]:
    return [*readable.interpreter(), *readable.own_modules(), *readable.packages()]


def _rights(submission: Path) -> Iterator[tuple[str, int]]:
    """Yield paths and Landlock rights: all below a folder may be read, except what the standard library hides."""
    stdlib = readable.standard_library()
    yield str(stdlib), READ_DIR  # names alone
    for path in (*readable.standard_modules(), *_trees(), submission):
        if path != stdlib:
            yield str(path), READ_FILE | READ_DIR if path.is_dir() else READ_FILE
    for file in (*readable.shared_libraries(), *readable.DEVICES):
        yield file, READ_FILE
