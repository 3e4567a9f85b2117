"""Who works for a stage: a record of each worker, written again every few seconds while it lives."""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TypeGuard

from pydantic import BaseModel, ConfigDict, ValidationError

from generative_auctions.files import write_atomic
from generative_auctions.provenance import worker_provenance
from launchers.shards import read_record

BEAT_SECONDS = 5.0
LOST_AFTER_SECONDS = 120.0
"""A worker on another host, unknown to SLURM, that has not written for so long while this process watched is gone."""

_SEEN: dict[Path, tuple[dict[str, Any], float]] = {}
"""The last record that this process read of each worker, and when it was new, by the clock of this process alone."""


class _Record(BaseModel):
    """What others read of a record."""

    model_config = ConfigDict(strict=True)

    name: str
    state: str
    host: str
    kernel: str | None
    pid: int
    pid_started: int | None
    started: float
    seen: float
    clock: float
    since: float
    shard: str | None
    done: int
    failed: int
    units: int
    log: str | None = None
    job: str | None = None
    gpu: str | None = None
    slot: int | None = None
    working_since: float = 0.0


class Presence:
    """The record of this process as a worker: ``with Presence(folder, "host-12", …) as me``; `me.update(done=3)`."""

    def __init__(self, folder: Path, name: str, log: Path | None = None, **facts: Any) -> None:
        self.name, self.log = name, log
        self.path = _path(folder, name)
        self._record = _beginning(name, os.getpid(), log=log and str(log), **facts)
        self._ended, self._lock = threading.Event(), threading.Lock()

    def __enter__(self) -> Presence:
        self._record["provenance"] = worker_provenance()
        self._write()
        threading.Thread(target=self._beat, daemon=True, name="presence").start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._ended.set()
        with suppress(OSError):  # of a full disk the error says more
            self.update(state="ended", written=True)

    def begin(self, key: str | None) -> None:
        """Say which shard is in the making from now on; None for none."""
        self.update(shard=key, since=time.monotonic(), written=key is not None)

    def update(self, written: bool = False, **facts: Any) -> None:
        """Change the record; it is `written` at once or with the next beat."""
        self._record |= facts
        if written:
            self._write()

    def count(self, units: int, done: bool) -> None:
        """One more shard has ended."""
        self._record["done" if done else "failed"] += 1
        self._record["units"] += units
        self.begin(None)

    @property
    def ended(self) -> int:
        """How many shards this worker has made or failed to make."""
        return int(self._record["done"] + self._record["failed"])

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            with suppress(OSError):  # the work itself will find that nothing can be written
                self._write()

    def _write(self) -> None:
        with self._lock:
            record = {**self._record, **_moment()}
            write_atomic(self.path, json.dumps(record).encode())


def announce(folder: Path, name: str, pid: int, **facts: Any) -> None:
    """Say that a worker `name` will be there, by the process `pid` that starts it: its own record takes this place."""
    record = {**_beginning(name, pid, **facts), **_moment()}
    write_atomic(_path(folder, name), json.dumps(record).encode())


def local_name(process: int | str) -> str:
    """The name of the worker that is, or is under, the `process` of that number on this host."""
    return f"{socket.gethostname().partition('.')[0]}-{process}"


def own_name() -> str:
    """A name for this process as a worker that no other has, in another container on this host neither."""
    return f"{local_name(os.getpid())}-{secrets.token_hex(3)}"


def workers_of(folder: Path) -> dict[str, dict[str, Any]]:
    """The records of all workers of the stage `folder` by name, in the order in which they began."""
    paths = (folder / "workers").glob("*.json")
    records = [record for path in paths if (record := _last_whole(path))]
    return {record["name"]: record for record in sorted(records, key=lambda record: record["started"])}


def _last_whole(path: Path) -> dict[str, Any] | None:
    """The record at `path`, or the last that was whole; `silent` is how many seconds ago it was new to this process."""
    record, (known, since) = read_record(path), _SEEN.get(path, (None, 0.0))
    if record != known and _is_whole(record, path.stem):  # a network file system may show it cut off for seconds
        known, since = _SEEN[path] = record, time.monotonic()
    return known and {**known, "silent": time.monotonic() - since}


def _is_whole(record: dict[str, Any] | None, name: str) -> TypeGuard[dict[str, Any]]:
    """Whether that of the worker `name` can be relied on: a damaged one is none."""
    try:
        _Record.model_validate(record)
    except ValidationError:
        return False
    return record is not None and record["name"] == name


def living(
    folder: Path, jobs: Mapping[str, str] | None = None, patience: float = LOST_AFTER_SECONDS
) -> dict[str, dict[str, Any]]:
    """The records of the workers of `folder` that are still there; of a job that was queued again, the last one's."""
    present = {name: record for name, record in workers_of(folder).items() if not is_gone(record, jobs, patience)}
    latest = {record["job"]: name for name, record in present.items() if record.get("job")}
    return {name: record for name, record in present.items() if latest.get(record.get("job"), name) == name}


def is_gone(
    record: Mapping[str, Any], jobs: Mapping[str, str] | None = None, patience: float = LOST_AFTER_SECONDS
) -> bool:
    """Whether the worker of `record` will never write again.

    Asked in turn: itself; the kernel, on its own host; SLURM's queue `jobs` (state by job id, None if it is not
    known); its silence, if that is longer than `patience` seconds. The clock of its host is not asked.
    """
    if record["state"] == "ended":
        return True
    if is_here(record):
        return _started(record["pid"]) != record["pid_started"]
    if record.get("job") and jobs is not None:
        return jobs.get(record["job"]) not in ("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED")
    return bool(record["silent"] > patience)


def may_be_silent(record: Mapping[str, Any], jobs: Mapping[str, str] | None = None) -> bool:
    """Whether only its silence would tell that the worker of `record` is gone."""
    return not is_here(record) and not (record.get("job") and jobs is not None)


def seconds_on_shard(record: Mapping[str, Any]) -> float:
    """How long the shard of the worker of `record` is in the making; without one, how long ago the last one ended.

    The times of one clock alone are compared: that of the worker's host.
    """
    now = time.monotonic() if is_here(record) else record["clock"] + record["silent"]
    return float(now - record["since"])


def is_here(record: Mapping[str, Any]) -> bool:
    """Whether the worker of `record` is, or was, a process among those that this one sees."""
    return record["kernel"] is not None and record["kernel"] == _kernel() and record["host"] == socket.gethostname()


def _path(folder: Path, name: str) -> Path:
    return folder / "workers" / f"{name}.json"


def _beginning(name: str, pid: int, **facts: Any) -> dict[str, Any]:
    """The record of a worker that has done nothing yet, by the process `pid` of this host."""
    process = {"host": socket.gethostname(), "pid": pid, "pid_started": _started(pid), "kernel": _kernel()}
    counts = {"done": 0, "failed": 0, "units": 0}
    times = {"started": time.time(), "since": time.monotonic()}
    return {"name": name, "state": "starting", "shard": None, **counts, **times, **process, **facts}


def _moment() -> dict[str, float]:
    """When a record is written: for people, and by a clock that nobody sets."""
    return {"seen": time.time(), "clock": time.monotonic()}


def _kernel() -> str | None:
    """What tells two sets of process numbers apart: the boot and the namespace; None where there is no /proc."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    return None


def _started(pid: int) -> int | None:
    """When the process started, in ticks since boot; None if there is none or it has ended."""
    with suppress(OSError):
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if state in "ZX" else int(fields[18])
    return None
