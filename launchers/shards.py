"""Shards of work and the records that they leave on disk: of completion, or of failure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from traceback import format_exception
from typing import Any, TypeVar

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from generative_auctions.files import write_atomic
from generative_auctions.text import count

_Record = TypeVar("_Record")

KEY = r"[0-9a-f]{20}"
"""The form of a shard's key."""


@dataclass(frozen=True)
class Shard:
    """A piece of work: `payload` says all that its result depends on, `key` is its digest, `size` its units.

    `worker` is the name of the worker that makes it, which the completion record repeats.
    """

    key: str
    payload: dict[str, Any]
    size: int = 1
    worker: str | None = None

    @classmethod
    def of(cls, payload: dict[str, Any], size: int = 1) -> Shard:
        """Make a shard that is keyed by the content of its JSON-able `payload`."""
        text = json.dumps(payload, sort_keys=True, allow_nan=False)
        return cls(hashlib.sha256(text.encode()).hexdigest()[:20], payload, size)

    def complete(self, folder: Path, record: dict[str, Any]) -> None:
        """Record that the shard is done: write `folder/<key>.json` at once or not at all."""
        by = {"worker": self.worker} if self.worker else {}
        write_atomic(completion_path(folder, self.key), json.dumps({"key": self.key, **by, **record}).encode())
        failure_path(folder, self.key).unlink(missing_ok=True)


class Failure(BaseModel, frozen=True):
    """Why a shard failed, as `failed/KEY.json` of its stage records it.

    `error` is the class of the error, "" where workers were lost with the shard; `workers` are those that failed on it
    or were lost, and `log` is that of the last one.
    """

    key: str
    message: str
    error: str = ""
    workers: list[str] = []
    attempts: int | None = None
    log: str | None = None
    traceback: str = ""
    path: Path = Field(default=Path(), exclude=True)

    @classmethod
    def of(cls, error: BaseException, key: str, **facts: Any) -> Failure:
        """Describe the failure of the shard `key` by `error`, and by other `facts` of this class."""
        message = next(iter(str(error).strip().splitlines()), "")
        text = "".join(format_exception(error))
        return cls(key=key, error=type(error).__name__, message=message, traceback=text, **facts)

    @property
    def reason(self) -> str:
        """The error in one line."""
        return f"{self.error}: {self.message}".strip() if self.error else self.message

    @property
    def report(self) -> str:
        """The whole record, for people."""
        by = [f"worker{'s' if len(self.workers) > 1 else ''} {', '.join(self.workers)}"] if self.workers else []
        by += [f"after {count(self.attempts, 'attempt')}"] if self.attempts else []
        by += [f"log {self.log}"] if self.log else []
        return f"{self.reason}\n{', '.join(by)}\n\n{self.traceback}".rstrip()

    def __str__(self) -> str:
        return f"{self.key}: {self.reason} ({self.path}{f'; log {self.log}' if self.log else ''})"

    def write(self, folder: Path) -> None:
        """Record in the stage `folder` that the shard failed."""
        text = json.dumps(self.model_dump(), indent=2, ensure_ascii=False)
        write_atomic(failure_path(folder, self.key), text.encode(errors="replace"))


def failure_of(folder: Path, key: str) -> Failure | None:
    """Read why the shard failed; None if it has not."""
    path = failure_path(folder, key)
    try:
        failure = Failure.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        failure = Failure(key=key, message="its record is damaged")
    return failure.model_copy(update={"path": path})


def completion_of(folder: Path, key: str) -> dict[str, Any] | None:
    """Read the completion record of a shard.

    Args:
        folder: the folder of the stage.
        key: the key of the shard.

    Returns:
        The record; None if there is none, or it is damaged.
    """
    try:
        record = json.loads(completion_path(folder, key).read_bytes())
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and record.get("key") == key else None


def record_of(folder: Path, shard: Shard, shape: TypeAdapter[_Record]) -> _Record | None:
    """Read the completion record of `shard` as a type.

    Args:
        folder: the folder of the stage.
        shard: the shard.
        shape: the type.

    Returns:
        The record; None if there is none, or it is damaged.
    """
    try:
        return shape.validate_python(completion_of(folder, shard.key))
    except ValidationError:
        return None


def forget(folder: Path, key: str) -> None:
    """Remove the completion record and the lease of a shard whose results no longer exist."""
    lease_path(folder, key).unlink(missing_ok=True)
    completion_path(folder, key).unlink(missing_ok=True)


def completion_path(folder: Path, key: str) -> Path:
    """Return the path of the completion record of a shard."""
    return folder / f"{key}.json"


def failure_path(folder: Path, key: str) -> Path:
    """Return the path of the record of why a shard failed."""
    return folder / "failed" / f"{key}.json"


def lease_path(folder: Path, key: str) -> Path:
    """Return the path of the link to the worker that has the shard in the making, or that made it."""
    return folder / "claims" / key


def open_shards(shards: Sequence[Shard], folder: Path, is_done: Callable[[Shard], bool]) -> list[Shard]:
    """Find the shards that are not done, and remove completion records that are wrong about it.

    Args:
        shards: the shards of a stage.
        folder: the folder of the stage.
        is_done: tells whether all results of a shard exist.

    Returns:
        The shards that are not done.
    """
    still_open = []
    for shard in shards:
        completed = completion_of(folder, shard.key)  # asked first: a worker of an earlier run may complete it now
        if not is_done(shard):
            still_open.append(shard)
            if completed is not None:
                forget(folder, shard.key)
    return still_open
