"""Names of paths that an agent is told of, as it may open what it cannot list; and what is the same everywhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from agt_tournament.sandbox.walls import readable

_ROOTS = ("/proc", "/sys", "/dev", "/etc", "/run", "/tmp", "/var", "/proc/self", "/proc/thread-self")
_NEAR = ("/", "/usr", "/home", "/root", "/opt", "/srv", "/mnt")
_FOREIGN = ("site-packages", "dist-packages")
_MOST_PER_ROOT = 40_000


@cache
def names_of_paths() -> list[str]:
    """Return all paths of the machine's state and configuration, of the interpreter and of the libraries.

    Of a root that holds more than 40,000 an even sample is taken.
    """
    found = dict.fromkeys(path for root in _NEAR for path in _below(root, depth=2))
    for root in (*_ROOTS, *map(str, readable_trees())):
        below = list(_below(root))
        found.update(dict.fromkeys(below[:: len(below) // _MOST_PER_ROOT + 1]))
    return list(found)


def sample_of_paths(share: int) -> list[str]:
    """Return the kernel's settings, the folders near the root and of the rest one path in `share`."""
    return list(dict.fromkeys((*kernel_settings(), *folders_near(), *names_of_paths()[::share])))


def kernel_settings() -> list[str]:
    """Return all paths below /proc/sys, and those beside it by which the kernel is told something."""
    return [*_below("/proc/sys"), "/proc/sysrq-trigger", "/sys/power/state", "/sys/kernel/uevent_helper"]


def folders_near() -> list[str]:
    """Return the folders that are not far from the root, and those of the interpreter and the libraries."""
    near = (path for root in (*_NEAR, *_ROOTS) for path in _below(root, depth=1))
    return [path for path in dict.fromkeys((*near, *map(str, readable_trees()))) if os.path.isdir(path)]


def readable_trees() -> list[Path]:
    """Return the files and folders that every agent may read."""
    return [*readable.interpreter(), *readable.packages(), *readable.own_modules()]


def prefixes(submission: Path) -> list[tuple[str, str]]:
    """Return paths that agents may read and that differ between machines, with reviewed names, longest first."""
    known = {str(readable.standard_library() / name): "{packages}" for name in _FOREIGN}
    known |= {str(path): "{libraries}" for path in readable.packages()}
    known |= {str(path): "{interpreter}" for path in readable.interpreter()}
    known |= {str(path): "{project}" for path in readable.own_modules()}
    for path in readable.shared_libraries():  # inside, folders may be real that are links outside
        folder, name = os.path.split(path)
        places = (path, os.path.realpath(path), os.path.join(os.path.realpath(folder), name))
        known |= dict.fromkeys(places, "{shared library}")
    known |= {device: device for device in readable.DEVICES}
    known[str(submission)] = "{submission}"
    return sorted(known.items(), key=lambda pair: len(pair[0]), reverse=True)


def _below(root: str, depth: int = 100) -> Iterator[str]:
    """Yield `root` and every path below it down to `depth`, without following links or entering packages."""
    yield root
    try:
        entries = list(os.scandir(root)) if depth else []
    except OSError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False) and entry.name not in _FOREIGN:
            yield from _below(entry.path, depth - 1)
        else:
            yield entry.path
