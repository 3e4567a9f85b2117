"""The run directory: its lock, which one run holds at a time, its configuration and its provenance."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, SoftFileLock, Timeout
from pydantic import TypeAdapter

from generative_auctions.errors import RequestError
from generative_auctions.files import DamagedFileError, naming, read_json, read_yaml, write_atomic, write_json

_MOST_SHOWN = 12  # differing keys
_MOST_LETTERS = 60  # of a value
_ABSENT = object()
GUESSABLE = 1 << 64
"""Seeds below this are few enough to be guessed. Larger ones are secret and are not shown on a terminal."""

MULTIRUN_FILES = ("multirun.yaml", "sweep.parquet", "sweep.csv")
"""The files of a multirun beside the directories of its jobs."""


@contextmanager
def run_directory(
    path: Path, config: dict[str, Any], identity: dict[str, Any], another: str = "run_dir=DIR"
) -> Iterator[Path]:
    """Hold `path` for this run alone; write `config.yaml` on the first run, compare on later ones.

    A directory in which nothing was made yet belongs to nobody: another configuration takes its place.

    Args:
        path: the run directory; it is printed, so that an interrupted run tells where it is.
        config: the resolved configuration.
        identity: the config identity, the flat keys that two runs of one directory must share.
        another: how a user asks for another directory.

    Raises:
        RequestError: another process holds the directory, it holds other files, or it was made with another
            configuration (the differing keys are named). Nothing is changed then.
    """
    lock = FileLock(path / ".lock")
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
        _sign(lock, f"{os.getpid()}\n{socket.gethostname()}\n")
    except Timeout:
        expected = f"a directory that no other run is using at this moment ({_holder(path / '.lock')})"
        raise RequestError("run_dir", path, expected) from None
    except OSError as error:
        raise _unwritable(path, error.errno) from None
    try:
        stored = path / "config.yaml"
        if stored.exists() and (differing := differences(read_run(path)["identity"], identity)):
            if _made(path):
                expected = f"a directory made with this configuration, or {another} for another one"
                raise RequestError("run_dir", path, expected, differing)
            _clear(path)
        if not stored.exists():
            if strangers := [p.name for p in sorted(path.iterdir()) if not _expected_beside(p)]:
                expected = f"a new, empty or earlier run directory, it holds {strangers[0]} and no config.yaml"
                raise RequestError("run_dir", path, expected)
            write_config(path, {**config, "identity": identity})
        print(f"run_dir  {path}", file=sys.stderr, flush=True)
        yield path
    finally:
        with suppress(OSError):
            _sign(lock, "")
        lock.release()


def check_writable(path: Path) -> None:
    """Raise `RequestError` where `path` cannot become a run directory, before a command spends time on its request."""
    nearest = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not os.access(nearest, os.W_OK):
        read_only = os.statvfs(nearest).f_flag & os.ST_RDONLY
        raise _unwritable(path, errno.EROFS if read_only else errno.EACCES)


def _unwritable(path: Path, number: int | None) -> RequestError:
    reason = os.strerror(number or errno.EIO).lower()
    return RequestError("run_dir", path, f"a directory that can be written ({reason})")


def check_ended(path: Path) -> None:
    """Raise `RequestError` while a run is at work in `path`, whose unfinished files would look damaged."""
    if not (path / ".lock").is_file():
        return
    try:
        with FileLock(path / ".lock", timeout=0):
            return
    except Timeout:
        expected = f"a directory in which no run is at work ({_holder(path / '.lock')})"
        raise RequestError("run_dir", path, expected) from None
    except OSError:  # the directory is read-only
        pass


def _sign(lock: FileLock | SoftFileLock, holder: str) -> None:
    """Write the `holder` of the lock into its file, as `filelock` itself does on file systems without locks."""
    if not isinstance(lock, SoftFileLock):
        file = Path(lock.lock_file)
        with naming(file):
            file.write_text(holder)


def _holder(lock: Path) -> str:
    """Say who holds the file `lock`, and what to do where the system cannot tell whether that process is alive."""
    process, host, since = "another process", "", ""
    with suppress(OSError, ValueError):
        number, host, *_ = lock.read_text().splitlines()
        process = f"process {int(number)} on {host}"
        since = time.strftime(" since %F %T", time.localtime(lock.stat().st_mtime))
    advice = "" if host == socket.gethostname() else "; if it is gone, delete that file"
    return f"{process} holds {lock}{since}{advice}"


def _expected_beside(path: Path) -> bool:
    """Tell whether a directory may hold `path` before its first run: a killed run's file, or a job of a multirun."""
    if path.is_dir() and not any(path.iterdir()):  # of a job that was refused
        return True
    return path.name.startswith(".") or path.name in MULTIRUN_FILES or (path / "config.yaml").exists()


_PREPARED = ("provenance.json", "plan.parquet", "submissions", "logs")
"""Files that a run writes before it makes any result."""

_OF_NO_RESULT = ("shards.txt", "claims", "lost", "failed", "workers")
"""The files of a stage without a result: no shard is done, and no worker outlives the launching process."""


def _made(path: Path) -> bool:
    """Tell whether the run directory `path` holds anything that its run made, or work that others may still do."""
    of_stages = (file.name for file in path.glob("shards/*/*"))
    others = (entry for entry in path.iterdir() if entry.name not in ("shards", "config.yaml", *_PREPARED))
    return any(name not in _OF_NO_RESULT for name in of_stages) or not all(map(_expected_beside, others))


def _clear(path: Path) -> None:
    """Remove the files of a run that made nothing; the configuration last, so that a kill on the way does no harm."""
    for name in ("shards", *_PREPARED):
        entry = path / name
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink(missing_ok=True)
    (path / "config.yaml").unlink()


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return a line on each key in which two config identities differ, the values cut to what tells them apart.

    Where another option of a group is chosen, keys that only one of the two options has are left out.
    """
    keys = [key for key in sorted(old.keys() | new.keys()) if old.get(key, _ABSENT) != new.get(key, _ABSENT)]
    groups = {key.rpartition(".")[0] for key in keys if key.endswith((".name", ".kind"))}
    keys = [key for key in keys if not (key.rpartition(".")[0] in groups and (key in old) != (key in new))]
    lines = [line for key in keys for line in _difference(key, old.get(key, _ABSENT), new.get(key, _ABSENT))]
    more = [f"and {len(lines) - _MOST_SHOWN} more"] if len(lines) > _MOST_SHOWN else []
    return lines[:_MOST_SHOWN] + more


def _difference(key: str, old: Any, new: Any) -> Iterator[str]:
    """Yield a line on how the key differs; on each part of it that does, if that tells long values apart."""
    was, now, parts = _shown(old), _shown(new), dict[str, tuple[Any, Any]]()
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        parts = {f"{key}[{i}]": pair for i, pair in enumerate(zip(old, new, strict=True))}
    elif isinstance(old, dict) and isinstance(new, dict):
        names = sorted(old.keys() | new.keys())
        parts = {f"{key}.{name}": (old.get(name, _ABSENT), new.get(name, _ABSENT)) for name in names}
    if parts and max(len(was), len(now)) > _MOST_LETTERS:
        for part, (one, other) in parts.items():
            yield from _difference(part, one, other) if one != other else ()
    else:
        yield f"{key} was {_cut(old, was)}, now {_cut(new, now)}"


def _shown(value: Any) -> str:
    if isinstance(value, int) and value >= GUESSABLE:
        return "a seed that is kept secret"
    return "absent" if value is _ABSENT else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cut(value: Any, text: str) -> str:
    if len(text) <= _MOST_LETTERS:
        return text
    if isinstance(value, list):
        return f"a list of {len(value)}"
    digest = hashlib.sha256(text.encode()).hexdigest()[:6]  # two long texts may begin alike
    return f"{text[:_MOST_LETTERS]}… (sha256 {digest}…)"


@dataclass
class _Config:
    identity: dict[str, Any]


@dataclass
class _Provenance:
    time: str
    configuration: str = ""


_CONFIG, _PROVENANCE = TypeAdapter(_Config), TypeAdapter(_Provenance)
"""The parts of the files that are read here; they hold more."""

NOTHING_ELSE_SAYS = "nothing else says what made the run: put it back from a copy, or choose another run_dir"


def write_config(path: Path, stored: Mapping[str, Any]) -> None:
    """Write `stored`, a configuration with its identity, to the run directory `path` at once or not at all."""
    text = yaml.safe_dump(dict(stored), sort_keys=False, allow_unicode=True)
    write_atomic(path / "config.yaml", text.encode())


def read_run(path: Path, key: str = "run_dir") -> dict[str, Any]:
    """Return the configuration stored in the run directory `path`. Raises `RequestError` on `key` if there is none."""
    if not (path / "config.yaml").exists():
        raise RequestError(key, path, "the directory of an earlier run (it has no config.yaml)")
    stored: dict[str, Any] = read_yaml(path / "config.yaml", _CONFIG, NOTHING_ELSE_SAYS, key)
    return stored


@contextmanager
def from_stored(path: Path) -> Iterator[None]:
    """Name config.yaml of the run directory `path` in the errors of values that were read from it."""
    try:
        yield
    except DamagedFileError:
        raise
    except RequestError as error:
        raise DamagedFileError(path / "config.yaml", error, NOTHING_ELSE_SAYS) from None


# --- where results come from -----------------------------------------------------------------------------


def read_provenance(path: Path, key: str = "run_dir") -> dict[str, Any]:
    """Return the provenance of the run directory `path`. Raises `RequestError` if it is damaged, or another run's."""
    file = path / "provenance.json"
    stored: dict[str, Any] = read_json(file, _PROVENANCE, key=key)
    own = _configuration(path, key)
    if stored.get("configuration", own) != own:
        raise DamagedFileError(file, "it is of another configuration than config.yaml", key=key)
    return stored


def write_provenance(path: Path, content: Mapping[str, Any], *, first: bool) -> None:
    """Write provenance.json, unless the run that made the directory has written it.

    One that is damaged, or missing though this is not the `first` run, is written anew and says so: it cannot tell
    what earlier runs were made with.
    """
    content = {**content, "configuration": _configuration(path)}
    if not first:
        try:
            read_provenance(path)
            return
        except DamagedFileError as error:
            reason = f"what earlier runs wrote was damaged: {error.problem}"
            print(f"{path / 'provenance.json'}: written anew, {reason}", file=sys.stderr)
            content["written_anew"] = reason
    write_json(content, path / "provenance.json")


def _configuration(path: Path, key: str = "run_dir") -> str:
    """Return a digest of the config identity of the run in `path`."""
    text = json.dumps(read_run(path, key)["identity"], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
