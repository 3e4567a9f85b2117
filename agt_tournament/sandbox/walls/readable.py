"""What an agent may read: the interpreter, the shared libraries it loads, numpy, scipy and the submission."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from agt_tournament.sandbox.inside import protocol

_PACKAGE = Path(__file__).resolve().parents[2]
_OWN = ("__init__.py", "base_agent.py", "sandbox/__init__.py", "sandbox/inside")
_HIDDEN = ("site-packages", "dist-packages", "test", "idlelib", "ensurepip")
"""Folders in the standard library that hold other packages, or that no agent needs."""
DEVICES = ("/dev/null",)
_WARM_SECONDS = 12 * 3600  # relatime renews the access time of a file that is read after a day


def own_modules() -> list[Path]:
    """Return the files of this project that an agent's process runs."""
    return [_PACKAGE / name for name in _OWN]


def interpreter() -> list[Path]:
    """Return the interpreter's parts: executable, shared library, extension modules, standard library."""
    names = ("LIBDIR", "INSTSONAME")
    library = Path(*(str(sysconfig.get_config_var(name)) for name in names))
    paths = [executable(), library, standard_library(), Path(str(sysconfig.get_config_var("DESTSHARED")))]
    return [path for path in dict.fromkeys(paths) if path.exists()]


def executable() -> Path:
    """Return the interpreter's executable file."""
    return Path(os.path.realpath(sys.executable))


def standard_library() -> Path:
    """Return the folder of the standard library."""
    return Path(sysconfig.get_path("stdlib"))


def hidden() -> list[Path]:
    """Return the folders inside the standard library that agents do not see."""
    return [path for path in standard_library().iterdir() if path.is_dir() and _is_hidden(path.name)]


def _is_hidden(name: str) -> bool:
    return name in _HIDDEN or name.startswith("config-")


@cache
def standard_modules() -> tuple[Path, ...]:
    """Return what agents see in the folder of the standard library; links that lead out of it are left out.

    Debian has its sitecustomize.py as a link into /etc: what such a link leads to is not the interpreter's.
    """
    folder, skipped = Path(os.path.realpath(standard_library())), [Path(os.path.realpath(path)) for path in hidden()]

    def is_inside(path: Path) -> bool:
        target = Path(os.path.realpath(path))
        return target.is_relative_to(folder) and not any(target.is_relative_to(each) for each in skipped)

    return tuple(path for path in standard_library().iterdir() if path.exists() and is_inside(path))


def packages() -> list[Path]:
    """Return the libraries that agents may import, with the shared libraries they bring along."""
    found = [Path(folder) / name for folder in library_folders() for name in protocol.LIBRARIES]
    return [path for package in found for path in (package, package.with_name(f"{package.name}.libs")) if path.is_dir()]


@cache
def library_folders() -> list[str]:
    """Return the folders in which the libraries that agents may import are installed."""
    specs = [find_spec(name) for name in protocol.LIBRARIES]
    return sorted({str(Path(spec.origin).parents[1]) for spec in specs if spec and spec.origin})


# Loads every extension module and prints the paths by which the dynamic linker found what they need.
_LIST_SHARED_LIBRARIES = """
import ctypes, json, os, sys

class Info(ctypes.Structure):
    _fields_ = [("address", ctypes.c_void_p), ("name", ctypes.c_char_p)]

modules, found = json.load(sys.stdin), []
for module in modules:
    try:
        ctypes.CDLL(module, mode=os.RTLD_LAZY)
    except OSError:  # an optional library is missing: the module cannot be imported outside of the walls either
        continue
visit = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Info), ctypes.c_size_t, ctypes.c_void_p)
ctypes.CDLL(None).dl_iterate_phdr(visit(lambda info, size, data: found.append(os.fsdecode(info[0].name)) or 0), None)
print(json.dumps(found))
"""


@cache
def shared_libraries() -> tuple[str, ...]:
    """Return the system's files that the dynamic linker needs, under the names by which it looks for them.

    Raises:
        OSError: the interpreter cannot be started.
    """
    inside = [standard_library(), *packages(), Path(str(sysconfig.get_config_var("DESTSHARED")))]
    modules = sorted({str(path) for folder in inside for path in _extension_modules(folder)})
    command = [str(executable()), "-I", "-S", "-c", _LIST_SHARED_LIBRARIES]
    run = subprocess.run(command, input=json.dumps(modules), capture_output=True, text=True)
    if run.returncode:
        raise OSError(f"the shared libraries cannot be listed: {run.stderr.strip()[-300:]}")
    found = (os.path.abspath(name) for name in json.loads(run.stdout) if os.path.isabs(name))
    return tuple(name for name in found if not any(Path(name).is_relative_to(folder) for folder in inside))


def _extension_modules(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        yield from (Path(place, name) for name in names if name.endswith(".so") and not name.startswith("_tkinter"))


# --- as if all had been read before ----------------------------------------------------------------------


def warm() -> None:
    """Read all that agents may read, so that no agent is the first to do so.

    Whether a page is in memory and when a file was read last would else tell one agent what another one reads. Repeated
    after half a day: later, reading renews access times.
    """
    _warm(int(time.time() / _WARM_SECONDS))


@cache
def _warm(_period: int) -> None:
    for path in (*own_modules(), *interpreter(), *packages(), *map(Path, shared_libraries())):
        if path.is_symlink():
            os.readlink(path)  # links have an access time too
        if path.is_file():
            _read(str(path))
        for place, folders, names in os.walk(path):
            folders[:] = [name for name in folders if not _is_hidden(name)]
            for name in names:
                _read(os.path.join(place, name))


def _read(file: str) -> None:
    """Read a file to its end; one that the organiser may not read, no agent may. A link may lead nowhere."""
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except (PermissionError, FileNotFoundError):
        return
    while os.read(descriptor, 1 << 22):
        pass
    os.close(descriptor)
