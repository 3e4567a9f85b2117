"""The run directory: what is in it, that one run at a time writes it, and that nothing of it is lost."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from filelock import FileLock, Timeout
from pydantic import TypeAdapter

from experiments.errors import RequestError
from experiments.stored import DamagedFileError, read_json, read_yaml
from launchers.shards import write_atomic

if TYPE_CHECKING:
    import pandas as pd


_MOST_SHOWN = 8

MULTIRUN_FILES = ("multirun.yaml", "sweep.parquet", "sweep.csv")
"""What a multirun leaves beside the directories of its jobs."""


@contextmanager
def run_directory(path: Path, config: dict[str, Any], identity: dict[str, Any]) -> Iterator[Path]:
    """Hold `path` for this run alone; write `config.yaml` on the first run, compare on later ones.

    `config` is the resolved configuration; `identity` its flat keys that two runs of one directory must share.
    Raises `RequestError` if another process holds the directory, if it holds other files, or if it was made
    with another configuration (the differing keys are named); nothing is changed then.
    """
    lock = FileLock(path / ".lock")
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise RequestError("run_dir", path, "a directory that no other run is using at this moment") from None
    except OSError as error:
        raise RequestError("run_dir", path, f"a directory that can be written ({error.strerror})") from None
    try:
        stored = path / "config.yaml"
        if stored.exists():
            _compare(path, read_run(path)["identity"], identity)
        elif strangers := [p.name for p in sorted(path.iterdir()) if not _expected_beside(p)]:
            raise RequestError("run_dir", path, f"a new, empty or earlier run directory, it holds {strangers[0]}")
        else:
            text = yaml.safe_dump({**config, "identity": identity}, sort_keys=False, allow_unicode=True)
            write_atomic(stored, text.encode())
        yield path
    finally:
        lock.release()


def _expected_beside(path: Path) -> bool:
    """What a directory may hold before its first run: what a killed one left, and the jobs of a multirun."""
    return path.name.startswith(".") or path.name in MULTIRUN_FILES or (path / "config.yaml").exists()


def _compare(path: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    missing = object()
    differing = [key for key in sorted(old.keys() | new.keys()) if old.get(key, missing) != new.get(key, missing)]
    if differing:
        shown = "; ".join(f"{key} was {old.get(key)!r}, now {new.get(key)!r}" for key in differing[:_MOST_SHOWN])
        if len(differing) > _MOST_SHOWN:
            shown += f"; and {len(differing) - _MOST_SHOWN} more"
        raise RequestError("run_dir", path, f"a directory made with this configuration ({shown})")


@dataclass
class _Config:
    identity: dict[str, Any]


@dataclass
class _Provenance:
    time: str
    configuration: str = ""


_CONFIG, _PROVENANCE = TypeAdapter(_Config), TypeAdapter(_Provenance)
"""What is read of the files, whoever wrote them; more stands in them."""

NOTHING_ELSE_SAYS = "nothing else says what made the run: put it back from a copy, or choose another run_dir"


def read_run(path: Path, key: str = "run_dir") -> dict[str, Any]:
    """The configuration stored in the run directory `path`; raises `RequestError` naming `key` if there is none."""
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
    """The provenance of the run directory `path`; raises `RequestError` if it is damaged, or another run's."""
    file = path / "provenance.json"
    stored: dict[str, Any] = read_json(file, _PROVENANCE, key=key)
    own = _configuration(path, key)
    if stored.get("configuration", own) != own:
        raise DamagedFileError(file, "it is of another configuration than config.yaml", key=key)
    return stored


def write_provenance(path: Path, content: Mapping[str, Any], *, first: bool) -> None:
    """Write provenance.json unless that of the run that made the directory is there.

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
    """A digest of what decides the run in `path`."""
    text = json.dumps(read_run(path, key)["identity"], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# --- files -----------------------------------------------------------------------------------------------


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a Parquet file at once or not at all."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    write_atomic(path, buffer.getvalue())


def write_json(value: Any, path: Path) -> None:
    """Write strict JSON (no NaN) at once or not at all."""
    write_atomic(path, (json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode())
