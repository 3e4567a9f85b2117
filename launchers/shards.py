"""Shards of work and the marks that they leave on disk."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEY = r"[0-9a-f]{20}"
"""What a shard's key looks like."""


@dataclass(frozen=True)
class Shard:
    """A piece of work: `payload` says all that its result depends on, `key` is its digest, `size` its units.

    `worker` is who makes it, by the name of a file in `workers`; the mark says it.
    """

    key: str
    payload: dict[str, Any]
    size: int = 1
    worker: str | None = None

    @classmethod
    def of(cls, payload: dict[str, Any], size: int = 1) -> Shard:
        """A shard keyed by the content of its JSON-able `payload`."""
        text = json.dumps(payload, sort_keys=True, allow_nan=False)
        return cls(hashlib.sha256(text.encode()).hexdigest()[:20], payload, size)

    def mark(self, folder: Path, record: dict[str, Any]) -> None:
        """Say that the shard is done: write `folder/<key>.json` at once or not at all."""
        by = {"worker": self.worker} if self.worker else {}
        write_atomic(mark_path(folder, self.key), json.dumps({"key": self.key, **by, **record}).encode())
        error_path(folder, self.key).unlink(missing_ok=True)


def mark_of(folder: Path, key: str) -> dict[str, Any] | None:
    """The record with which the shard was marked done in `folder`, or None; a damaged mark is none."""
    record = read_record(mark_path(folder, key))
    return record if record is not None and record.get("key") == key else None


def read_record(path: Path) -> dict[str, Any] | None:
    """The JSON object in `path`; None if there is none, or no whole one."""
    try:
        record = json.loads(path.read_bytes())
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def unmark(folder: Path, key: str) -> None:
    """Take the mark back: what the shard made is not there any more, and whoever made it claims it no longer."""
    claim_path(folder, key).unlink(missing_ok=True)
    mark_path(folder, key).unlink(missing_ok=True)


def mark_path(folder: Path, key: str) -> Path:
    """Where it says that the shard is done."""
    return folder / f"{key}.json"


def claim_path(folder: Path, key: str) -> Path:
    """The link to the worker that has the shard in the making, or that made it."""
    return folder / "claims" / key


def error_path(folder: Path, key: str) -> Path:
    """Where the traceback of a failed shard is kept."""
    return folder / f"{key}.error.txt"


def write_atomic(path: Path, content: bytes) -> None:
    """Write `path` so that a reader, or a kill at any instant, sees all of it or nothing.

    Raises `OSError` that names the path where the disk is full or read-only; nothing is left beside it then.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(content)
            part.replace(path)
        except BaseException:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """An `OSError` inside says which path it is about: that of a full disk does not."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            error.filename = str(path)
            del error.filename2  # set to None it would be shown
        raise
