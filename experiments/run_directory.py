"""The run directory: what is in it, that one run at a time writes it, and that nothing of it is lost."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from filelock import FileLock, Timeout

from experiments.errors import RequestError
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


def read_run(path: Path, key: str = "run_dir") -> dict[str, Any]:
    """The configuration stored in the run directory `path`; raises `RequestError` naming `key` if there is none."""
    try:
        stored = yaml.safe_load((path / "config.yaml").read_text())
    except OSError:
        raise RequestError(key, path, "the directory of an earlier run (it has no config.yaml)") from None
    except (UnicodeDecodeError, yaml.YAMLError):
        stored = None
    if not (isinstance(stored, dict) and isinstance(stored.get("identity"), dict)):
        raise RequestError(key, path, "the directory of an earlier run (its config.yaml is not one of ours)")
    return stored


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a Parquet file at once or not at all."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    write_atomic(path, buffer.getvalue())


def write_json(value: Any, path: Path) -> None:
    """Write strict JSON (no NaN) at once or not at all."""
    write_atomic(path, (json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode())
