"""Where else attacks are tried: in a control group as containers have, and without any.

Each is a command to be put before another one, as `tests.nobody.as_nobody` is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from tests.nobody import nobodys_environment
from tests.support import REPO

_GROUPS = Path("/sys/fs/cgroup")
_GRACE = 5.0  # seconds in which the processes of a group must have ended
_numbers = count()
_LIMITS_1 = {
    "cpu/cpu.cfs_quota_us": "150000",  # of 100 000
    "memory/memory.limit_in_bytes": str(3 << 30),
    "pids/pids.max": "400",
}
_LIMITS_2 = {"cpu.max": "150000 100000", "memory.max": str(3 << 30), "pids.max": "400"}
_COVERED = 'mount --make-rprivate / && mount -t tmpfs tmpfs /sys/fs/cgroup && exec "$@"'
_JOIN = 'for procs in $1; do echo $$ > "$procs" || exit 1; done; shift; exec "$@"'


def without_control_groups() -> list[str]:
    """Where no control group can be made, as root."""
    return ["unshare", "--mount", "sh", "-c", _COVERED, "sh"]


@contextmanager
def in_a_control_group() -> Iterator[list[str]]:
    """In a group with limits of CPU, memory and processes, as a container; raises `OSError` where none can be made."""
    made: list[Path] = []
    try:
        if (_GROUPS / "cgroup.controllers").exists():
            made.append(_made(_GROUPS / _own_group(""), _LIMITS_2))
        else:
            for name, limit in _LIMITS_1.items():
                controller, file = name.split("/")
                made.append(_made(_GROUPS / controller / _own_group(controller), {file: limit}))
        files = " ".join(str(group / "cgroup.procs") for group in made)
        yield ["sh", "-c", _JOIN, "sh", files]
    finally:
        for group in made:
            _remove(group)


def _own_group(controller: str) -> str:
    """The control group of this process below the hierarchy of `controller`."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return path.lstrip("/")
    raise OSError(f"no control group for {controller}")


def _made(parent: Path, limits: dict[str, str]) -> Path:
    group = parent / f"attacks_{os.getpid()}_{next(_numbers)}"
    group.mkdir()
    try:
        for file, limit in limits.items():
            (group / file).write_text(limit)
    except OSError:
        group.rmdir()
        raise
    return group


def _remove(group: Path) -> None:
    """Remove a group with those that its processes have made in it, as soon as these have ended."""
    deadline = time.monotonic() + _GRACE
    for folder, _, _ in os.walk(group, topdown=False):
        while True:
            try:
                os.rmdir(folder)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)


def run(place: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run this Python with `arguments` in `place`."""
    command, environment = [*place, sys.executable, *arguments], nobodys_environment()
    return subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True)


def why_not(place: list[str]) -> str | None:
    """Why nothing can be tried in `place`; None if it can."""
    if not shutil.which("setpriv") or not shutil.which("unshare"):
        return "setpriv and unshare of util-linux are needed"
    tried = run(place, "-c", "import numpy, pytest; import tests.tournament")
    return tried.stderr.strip()[-300:] if tried.returncode else None
