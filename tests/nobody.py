"""Run a command as a user without rights, though the interpreter may lie in a folder that only root can open."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from tests.support import REPO

_NOBODY = 65534
_HOUSE = """
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/kept
mount --bind "$2" /mnt/kept
mount -t tmpfs -o mode=755 tmpfs "$1"
mkdir -p "$2"
mount --move /mnt/kept "$2"
umount /mnt
shift 2
exec "$@"
"""
"""Shows of the closed folder $1 only $2, in a mount namespace of its own, and executes the rest there."""


def as_nobody(*command: str) -> list[str]:
    """`command` as the user nobody, who can read the interpreter wherever it is."""
    house = _house(Path(sys.base_prefix).resolve())
    return [*house, "setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", *command]


def nobodys_environment() -> dict[str, str]:
    """That of this process, without what only its user can write."""
    return {**os.environ, "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": "/tmp"}


@cache
def why_not_nobody() -> str | None:
    """Why nothing can be run as nobody here; None if it can."""
    if os.geteuid() != 0:
        return "only root can become somebody else"
    if not shutil.which("setpriv") or not shutil.which("unshare"):
        return "setpriv and unshare of util-linux are needed"
    tried = as_nobody(sys.executable, "-c", "import numpy, pytest; import tests.tournament")
    run = subprocess.run(tried, cwd=REPO, capture_output=True, text=True)
    problem = run.stderr.strip()[-300:]
    return f"user {_NOBODY} cannot run {sys.executable}: {problem}" if run.returncode else None


def _house(folder: Path) -> list[str]:
    """What to put before a command so that everyone can read `folder`."""
    closed = [each for each in reversed(folder.parents) if not each.stat().st_mode & 0o001]
    return ["unshare", "--mount", "sh", "-c", _HOUSE, "sh", str(closed[0]), str(folder)] if closed else []
