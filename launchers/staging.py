"""Weights on the node's own disk: copied once per node, shared by its workers."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Collection
from pathlib import Path

from filelock import FileLock

from generative_auctions.errors import RequestError

_LOG = logging.getLogger(__name__)


def staged(source: Path, stage_dir: str | Path, names: Collection[str] | None = None) -> Path:
    """Copy the folder `source` below `stage_dir`, once per node: the first worker that asks for it makes the copy.

    A copy is identified by the path of its source and the names, sizes and times of the files: weights that changed
    are copied anew. The older copy is kept. Links are followed.

    Args:
        source: the folder to copy.
        stage_dir: where to, with variables of the node's environment such as `$TMPDIR`.
        names: the files to copy, relative to `source`; None for all of them.

    Returns:
        The copy; where there is no room `source` itself, with a warning.

    Raises:
        RequestError: a variable is not set, or the folder cannot be written.
    """
    root = _expanded(stage_dir)
    sizes, identity = _contents(source.resolve(), names)
    target = root / f"{source.name}-{identity}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{target.name}.lock"):
            if not _complete(target, sizes):
                _copy(source, target, sizes)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            expected = f"a folder on the node's disk that can be written ({error.strerror}: {error.filename})"
            raise RequestError("launcher.stage_dir", stage_dir, expected) from error
        shutil.rmtree(_part(target), ignore_errors=True)
        _LOG.warning("%s is not copied to %s, it is read where it is: %s", source, root, error.strerror)
        return source
    return target


def _expanded(stage_dir: str | Path) -> Path:
    for name in re.findall(r"\$\{?(\w+)", str(stage_dir)):
        if not os.environ.get(name):
            expected = f"variables that the node sets; {name} is not set there"
            raise RequestError("launcher.stage_dir", stage_dir, expected)
    return Path(os.path.expandvars(stage_dir)).expanduser().absolute()


def _contents(source: Path, names: Collection[str] | None) -> tuple[dict[str, int], str]:
    """Return the bytes of each file by its name, and a digest that identifies the copy."""
    if names is None:
        names = [str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()]
    stats = {name: (source / name).stat() for name in sorted(names)}
    described = [str(source), [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()]]
    identity = hashlib.sha256(json.dumps(described).encode()).hexdigest()[:16]
    return {name: stat.st_size for name, stat in stats.items()}, identity


def _complete(target: Path, sizes: dict[str, int]) -> bool:
    """Tell whether every file of the copy has its size: after a crash of the node some may be cut off."""
    files = {target / name: size for name, size in sizes.items()}
    return target.is_dir() and all(file.is_file() and file.stat().st_size == size for file, size in files.items())


def _copy(source: Path, target: Path, sizes: dict[str, int]) -> None:
    part = _part(target)
    for remains in (part, target):
        shutil.rmtree(remains, ignore_errors=True)
    needed, free = sum(sizes.values()), shutil.disk_usage(target.parent).free
    if needed > free:
        raise OSError(errno.ENOSPC, f"it has {needed / 1e9:,.1f} GB and {free / 1e9:,.1f} GB are free there")
    for name in sizes:
        copied = part / name
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, copied)
    part.rename(target)


def _part(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")
