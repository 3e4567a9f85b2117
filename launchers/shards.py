"""Shards of work and the marks that they leave on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from generative_auctions.files import write_atomic

_Record = TypeVar("_Record")

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

    def complete(self, folder: Path, record: dict[str, Any]) -> None:
        """Say that the shard is done: write `folder/<key>.json` at once or not at all."""
        by = {"worker": self.worker} if self.worker else {}
        write_atomic(completion_path(folder, self.key), json.dumps({"key": self.key, **by, **record}).encode())
        error_path(folder, self.key).unlink(missing_ok=True)


def completion_of(folder: Path, key: str) -> dict[str, Any] | None:
    """The record with which the shard was marked done in `folder`, or None; a damaged mark is none."""
    record = read_record(completion_path(folder, key))
    return record if record is not None and record.get("key") == key else None


def read_record(path: Path) -> dict[str, Any] | None:
    """The JSON object in `path`; None if there is none, or no whole one."""
    try:
        record = json.loads(path.read_bytes())
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def forget(folder: Path, key: str) -> None:
    """Take the mark back: what the shard made is not there any more, and whoever made it holds its lease no longer."""
    lease_path(folder, key).unlink(missing_ok=True)
    completion_path(folder, key).unlink(missing_ok=True)


def completion_path(folder: Path, key: str) -> Path:
    """Where it says that the shard is done."""
    return folder / f"{key}.json"


def lease_path(folder: Path, key: str) -> Path:
    """The link to the worker that has the shard in the making, or that made it."""
    return folder / "claims" / key


def error_path(folder: Path, key: str) -> Path:
    """Where the traceback of a failed shard is kept."""
    return folder / f"{key}.error.txt"


def record_of(folder: Path, shard: Shard, shape: TypeAdapter[_Record]) -> _Record | None:
    """What the completion of `shard` was marked with, as that type; None without a mark, and if it is damaged."""
    try:
        return shape.validate_python(completion_of(folder, shard.key))
    except ValidationError:
        return None


def open_shards(shards: Sequence[Shard], folder: Path, is_done: Callable[[Shard], bool]) -> list[Shard]:
    """The shards that are not done: those that are marked and not `is_done` lose their marks."""
    still_open = []
    for shard in shards:
        marked = (
            completion_of(folder, shard.key) is not None
        )  # asked first: a worker of an earlier run may be marking it
        if not is_done(shard):
            still_open.append(shard)
            if marked:
                forget(folder, shard.key)
    return still_open
