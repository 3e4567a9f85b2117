"""The files that agents may read, held in memory while games are played, apart from those of the machine.

On a disk's file system the kernel remembers which names were looked up, found or not, and tells every process by how
quickly it answers: thousands of bits a round for two agents that share a folder. A tmpfs keeps no names that are not
there, its pages never have to be read, and a read-only view of it has no times of access.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from itertools import count
from pathlib import Path

from agt_tournament.sandbox.walls import readable

_TMPFS = Path("/dev/shm")
_PREFIX = "agt_files_"
_SPARE_BYTES = 1 << 30
"""The free space required there: several times what is copied."""
_numbers = count()
_held: Path | None = None


def held() -> Path | None:
    """Return the folder of the copies, in which each has its own absolute path; None without copies."""
    return _held


def source(path: Path | str) -> str:
    """Return the path from which the content of `path` is read."""
    return f"{_held}{path}" if _held else str(path)


def own_copy(submission: Path) -> Path | None:
    """Copy a submission anew, so that times and numbers tell nothing of an earlier one; None without `hold`."""
    if _held is None:
        return None
    copy = _held / f"submission_{next(_numbers)}"
    shutil.copytree(submission, copy, copy_function=shutil.copyfile)
    for folder, _, names in os.walk(copy):
        os.chmod(folder, 0o755)
        for name in names:
            os.chmod(os.path.join(folder, name), 0o644)
    return copy


@cache
def hold() -> None:
    """Copy all that agents may read to memory, for as long as this process lives; nothing is done twice.

    Where there is no room in a tmpfs or a copy fails, agents read the files of the machine, and `held` stays None.
    """
    global _held
    _clear()
    if reason := why_not():
        print(f"agents read the files of the machine: {reason}", file=sys.stderr)
        return
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}_", dir=_TMPFS))
    _locked(folder)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    trees = [*readable.standard_modules(), *readable.own_modules(), *readable.packages()]
    files = {str(path) for path in readable.interpreter() if path.is_file()} | set(readable.shared_libraries())
    copy = ["cp", "--parents", "--recursive", "--preserve=timestamps"]  # bytecode is valid for a source of its time
    commands = [[*copy, "--no-dereference", "--", *map(str, trees), str(folder)]]
    commands += [[*copy, "--dereference", "--", *sorted(files), str(folder)]]
    commands += [["chmod", "--recursive", "a+rX,u+w", str(folder)]]
    try:
        for command in commands:
            subprocess.run(command, check=True)
    except subprocess.CalledProcessError as problem:  # cp has said which file it could not copy
        shutil.rmtree(folder, ignore_errors=True)
        print(f"agents read the files of the machine: {problem.cmd[0]} failed", file=sys.stderr)
        return
    _held = folder


def why_not() -> str:
    """Say why files cannot be held in memory here; empty if they can."""
    mounts = Path("/proc/mounts")
    kinds = [line.split()[1:3] for line in mounts.read_text().splitlines()] if mounts.exists() else []
    if [str(_TMPFS), "tmpfs"] not in kinds or not os.access(_TMPFS, os.W_OK):
        return f"no tmpfs at {_TMPFS} that can be written"
    free = os.statvfs(_TMPFS)
    return "" if free.f_bavail * free.f_frsize > _SPARE_BYTES else f"less than 1 GB free in {_TMPFS}"


def _clear() -> None:
    """Remove the copies of killed organisers; one in another container is known by its lock alone."""
    for folder in _TMPFS.glob(f"{_PREFIX}*"):
        owner = folder.name.removeprefix(_PREFIX).partition("_")[0]
        if Path(f"/proc/{owner}").exists() or (lock := _locked(folder)) is None:
            continue
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _locked(folder: Path) -> int | None:
    """Lock `folder` until this process ends and return the descriptor; None if another process holds it."""
    try:
        lock = os.open(folder, os.O_RDONLY)
    except OSError:  # another user's, or just removed
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock
