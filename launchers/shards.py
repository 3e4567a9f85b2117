"""Shards of work and the marks that they leave on disk."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Shard:
    """A piece of work: `payload` says all that its result depends on, `key` is its digest, `size` its units."""

    key: str
    payload: dict[str, Any]
    size: int = 1

    @classmethod
    def of(cls, payload: dict[str, Any], size: int = 1) -> Shard:
        """A shard keyed by the content of its JSON-able `payload`."""
        text = json.dumps(payload, sort_keys=True, allow_nan=False)
        return cls(hashlib.sha256(text.encode()).hexdigest()[:20], payload, size)

    def mark(self, folder: Path, record: dict[str, Any]) -> None:
        """Say that the shard is done: write `folder/<key>.json` at once or not at all."""
        write_atomic(folder / f"{self.key}.json", json.dumps({"key": self.key, **record}).encode())
        error_path(folder, self.key).unlink(missing_ok=True)


def mark_of(folder: Path, key: str) -> dict[str, Any] | None:
    """The record with which the shard was marked done in `folder`, or None; a damaged mark is none."""
    try:
        record = json.loads((folder / f"{key}.json").read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return record if isinstance(record, dict) and record.get("key") == key else None


def error_path(folder: Path, key: str) -> Path:
    """Where the traceback of a failed shard is kept."""
    return folder / f"{key}.error.txt"


def write_atomic(path: Path, content: bytes) -> None:
    """Write `path` so that a reader, or a kill at any instant, sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_bytes(content)
    part.replace(path)
