"""The walls around an agent's process, from outside: how it is started, what it may see, and which tier holds here.

``bubblewrap`` gives it namespaces of its own, in which there is nothing but the interpreter, the libraries and the
submission; ``landlock`` takes from a process everything but reading those, for machines on which user namespaces are
closed. In both it makes no system call but those of `seccomp_policy`, and raises the walls of `walls` itself before it
knows the submission. ``none`` is a plain process.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agt_tournament.agents import protocol, seccomp_policy
from agt_tournament.agents.walls import READ_DIR, READ_FILE

TIERS = ("bubblewrap", "landlock", "none")
"""From the highest walls to none."""

_PACKAGE = Path(__file__).resolve().parents[1]
_OWN = ("__init__.py", "base_agent.py", "agents")
_SYSTEM_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
_START = (
    f"import sys; sys.path.insert(0, {str(_PACKAGE.parent)!r}); from agt_tournament.agents import runner; "
    "del sys.path[0]; runner.main()"
)
_SPARE_ADDRESSES = 1 << 30
"""Bytes of address space beside the memory limit: what libraries map and do not use."""


@dataclass(frozen=True)
class Sandbox:
    """One tier."""

    name: str

    def command(self, submission: Path, information: int) -> list[str]:
        """What is executed for an agent; under bubblewrap it says on the descriptor `information` who its child is."""
        python = [os.path.realpath(sys.executable), "-s", "-S", "-P", "-B", "-u", "-X", "utf8", "-c", _START]
        return [*_bubblewrap(submission, information), *python] if self.name == "bubblewrap" else python

    def plan(self, submission: Path, memory_limit_mb: int) -> dict[str, Any]:
        """What the process gives up by `walls.raise_walls`."""
        limits = {"RLIMIT_DATA": memory_limit_mb << 20}
        if self.name == "none":
            return {"limits": limits, "readable": None, "seccomp": ""}
        limits |= {"RLIMIT_AS": (memory_limit_mb << 20) + _SPARE_ADDRESSES, "RLIMIT_FSIZE": 0, "RLIMIT_CORE": 0}
        limits |= {"RLIMIT_NOFILE": 64, "RLIMIT_MEMLOCK": 0, "RLIMIT_MSGQUEUE": 0}
        readable = list(_readable(submission)) if self.name == "landlock" else None
        return {"limits": limits, "readable": readable, "seccomp": base64.b64encode(seccomp_policy.compiled()).decode()}

    @property
    def reports_child(self) -> bool:
        """Whether the agent runs in a child of what is executed, which says its number on the descriptor."""
        return self.name == "bubblewrap"

    @property
    def walled(self) -> bool:
        """Whether there are walls, and the agent is stopped between its turns."""
        return self.name != "none"


NONE = Sandbox("none")


def agent_pid(information: int) -> int:
    """The process that bubblewrap started, as it says on the descriptor."""
    said = b""
    while chunk := os.read(information, 4096):
        said += chunk
        if said.rstrip().endswith(b"}"):
            break
    return int(json.loads(said)["child-pid"])


def _bubblewrap(submission: Path, information: int) -> Iterator[str]:
    yield from (_bwrap(), "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts")
    yield from ("--unshare-cgroup-try", "--uid", "65534", "--gid", "65534", "--hostname", "agent", "--cap-drop", "ALL")
    yield from ("--new-session", "--die-with-parent", "--as-pid-1", "--info-fd", str(information))
    yield from ("--tmpfs", "/tmp", "--proc", "/proc", "--dev", "/dev")
    for library in _SYSTEM_LIBRARIES:
        if os.path.islink(library):
            yield from ("--symlink", os.readlink(library), library)
        elif os.path.isdir(library):
            yield from ("--ro-bind", library, library)
    for path in (*_python(), *(_PACKAGE / name for name in _OWN), *_libraries(), submission):
        yield from ("--ro-bind", str(path), str(path))
    for path in _foreign_packages():
        yield from ("--tmpfs", str(path), "--remount-ro", str(path))
    yield from ("--remount-ro", "/tmp", "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", str(submission))


def _readable(submission: Path) -> Iterator[tuple[str, int]]:
    """Paths and Landlock rights: all below a folder may be read, but not what is installed beside the libraries."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    foreign = set(_foreign_packages())
    yield str(stdlib), READ_DIR  # names alone
    for path in (*(path for path in stdlib.iterdir() if path not in foreign), *_python(), *_libraries(), submission):
        if path != stdlib:
            yield str(path), READ_FILE | READ_DIR if path.is_dir() else READ_FILE
    for library in _SYSTEM_LIBRARIES:
        if os.path.isdir(library):
            yield library, READ_FILE | READ_DIR
    for device in ("/dev/null", "/dev/zero", "/dev/urandom"):
        yield device, READ_FILE


def _python() -> list[Path]:
    """The interpreter: executable, shared library, standard library."""
    names = ("LIBDIR", "INSTSONAME")
    library = Path(*(str(sysconfig.get_config_var(name)) for name in names))
    paths = [Path(os.path.realpath(sys.executable)), library, Path(sysconfig.get_path("stdlib"))]
    dynamic = Path(str(sysconfig.get_config_var("DESTSHARED")))
    return [path for path in dict.fromkeys((*paths, dynamic)) if path.exists()]


def _foreign_packages() -> list[Path]:
    """Folders of installed packages inside the standard library."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    return [stdlib / name for name in ("site-packages", "dist-packages") if (stdlib / name).is_dir()]


def _libraries() -> list[Path]:
    """The libraries that agents may import, with what they bring along."""
    found = [Path(folder) / name for folder in library_folders() for name in protocol.LIBRARIES]
    return [path for package in found for path in (package, package.with_name(f"{package.name}.libs")) if path.is_dir()]


@cache
def library_folders() -> list[str]:
    """Where the libraries that agents may import are installed."""
    specs = [find_spec(name) for name in protocol.LIBRARIES]
    return sorted({str(Path(spec.origin).parents[1]) for spec in specs if spec and spec.origin})


def _bwrap() -> str:
    return shutil.which("bwrap") or "bwrap"
