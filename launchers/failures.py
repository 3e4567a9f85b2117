"""Failed shards: a text file each, which people read and whose first two lines the program reads back."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from generative_auctions.files import write_atomic

_LOG = ", log "


class Failure(NamedTuple):
    """A failed shard: the first line of its error, its file, and of the worker that failed on it name and log."""

    key: str
    reason: str
    path: Path
    log: str | None = None
    worker: str | None = None

    def __str__(self) -> str:
        return f"{self.key}: {self.reason} ({self.path}{f'; log {self.log}' if self.log else ''})"


def error_path(folder: Path, key: str) -> Path:
    """Return the path of the file that says why the shard failed."""
    return folder / f"{key}.error.txt"


def write_failure(folder: Path, key: str, reason: str, by: str, log: object = None, traceback: str = "") -> None:
    """Record that the shard failed.

    Args:
        folder: the folder of the stage.
        key: the key of the shard.
        reason: one line.
        by: `worker NAME`, and what else people should know of it.
        log: the path of the worker's log, if it has one.
        traceback: the whole error, if there is one.
    """
    text = f"{reason}\n{by}{f'{_LOG}{log}' if log else ''}\n" + (f"\n{traceback}" if traceback else "")
    write_atomic(error_path(folder, key), text.encode(errors="backslashreplace"))


def failure_of(folder: Path, key: str) -> Failure | None:
    """Read why the shard failed; None if it has not."""
    path = error_path(folder, key)
    if not path.exists():
        return None
    if not path.is_file():
        return Failure(key, "no regular file", path)
    reason, by, *_ = [*path.read_text(errors="replace").splitlines(), "", ""]
    worker = [*by.split(), "", ""][1].rstrip(",")
    return Failure(key, reason or "nothing stands in its file", path, by.partition(_LOG)[2] or None, worker or None)
