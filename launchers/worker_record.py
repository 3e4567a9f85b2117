"""The workers of a stage: a record of each, written again every few seconds while the worker lives."""

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
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from generative_auctions.files import write_atomic
from generative_auctions.provenance import worker_provenance

BEAT_SECONDS = 5.0
LOST_AFTER_SECONDS = 120.0
"""Seconds without a new record after which a worker counts as dead, if neither its host nor SLURM can tell."""


class WorkerRecord(BaseModel):
    """One worker, as the file `workers/NAME.json` of its stage describes it.

    A new record describes the process `pid` of this host, which has done nothing yet. `started`, `working_since` and
    `seen` are times of day, for people. `since` (when the shard began) and `clock` (when the record was written) are
    readings of the monotonic clock of the worker's host.
    """

    model_config = ConfigDict(strict=True, frozen=True)

    name: str
    pid: int
    pid_started: int | None = Field(default_factory=lambda facts: _started(facts["pid"]))
    host: str = Field(default_factory=socket.gethostname)
    kernel: str | None = Field(default_factory=lambda: _kernel())
    state: str = "starting"
    shard: str | None = None
    done: int = 0
    failed: int = 0
    units: int = 0
    started: float = Field(default_factory=time.time)
    since: float = Field(default_factory=time.monotonic)
    log: str | None = None
    job: str | None = None
    slot: int | None = None
    gpu: str | None = None
    provenance: dict[str, Any] | None = None
    working_since: float | None = None
    error: str | None = None
    stopped: bool = False
    seen: float = Field(default_factory=time.time)
    clock: float = Field(default_factory=time.monotonic)
    silent: float = Field(default=0.0, exclude=True)
    """Seconds since this process first read the record in its present form."""

    @classmethod
    def read(cls, path: Path) -> WorkerRecord | None:
        """Read the record at `path`; None if there is none, or it is damaged or another worker's."""
        try:
            record = cls.model_validate_json(path.read_bytes())
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError, ValueError):
            return None
        return record if record.name == path.stem else None

    def write(self, path: Path) -> None:
        """Write the record to `path`, as seen at this moment."""
        now = self.model_copy(update={"seen": time.time(), "clock": time.monotonic()})
        write_atomic(path, json.dumps(now.model_dump()).encode())

    @property
    def is_here(self) -> bool:
        """Whether the worker ran on this host, under this kernel and in this process namespace."""
        return self.kernel is not None and self.kernel == _kernel() and self.host == socket.gethostname()

    def is_dead(self, jobs: Mapping[str, str] | None = None, patience: float = LOST_AFTER_SECONDS) -> bool:
        """Tell whether the worker will never write again.

        The first of these that can tell decides: its record; the kernel, if this is its host; SLURM's queue `jobs`
        (state by job id, None if it is not known); no new record for `patience` seconds. Clocks of other hosts are not
        compared with this one's.
        """
        if self.state == "ended":
            return True
        if self.is_here:
            return _started(self.pid) != self.pid_started
        if self.job and jobs is not None:
            return jobs.get(self.job) not in ("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED")
        return self.silent > patience

    def may_be_silent(self, jobs: Mapping[str, str] | None = None) -> bool:
        """Tell whether only the worker's silence would show that it is dead."""
        return not self.is_here and not (self.job and jobs is not None)

    def seconds_on_shard(self) -> float:
        """Return the seconds since the worker began its shard or, between two shards, since the last one ended.

        Both times are readings of one clock, that of the worker's host.
        """
        return (time.monotonic() if self.is_here else self.clock + self.silent) - self.since

    @property
    def rate(self) -> float:
        """Units per second since the worker finished loading."""
        seconds = 0.0 if self.working_since is None else self.seen - self.working_since
        return self.units / seconds if seconds > 0 else 0.0

    @property
    def ending(self) -> str:
        """How the worker ended, with its name and its log: `node-12: was stopped by a signal (node.log)`."""
        how = "ended" if self.state == "ended" else "was killed, or its host failed"
        if self.stopped:
            how = "was stopped by a signal, as scancel sends it"
        return f"{self.name}: {self.error or how} ({self.log or self.host})"

    @property
    def ended_early(self) -> bool:
        """Whether the worker did not end as it should."""
        return self.state != "ended" or self.stopped or self.error is not None


class Presence:
    """Keeps the record of this process as a worker: ``with Presence(folder, "host-12") as me: me.update(slot=3)``."""

    def __init__(self, folder: Path, name: str, log: Path | None = None, **facts: Any) -> None:
        self.name, self.log, self.path = name, str(log) if log else None, _path(folder, name)
        self._record = WorkerRecord(name=name, pid=os.getpid(), log=self.log, **facts)
        self._ended, self._lock = threading.Event(), threading.Lock()

    def __enter__(self) -> Presence:
        self.update(provenance=worker_provenance(), written=True)
        threading.Thread(target=self._beat, daemon=True, name="presence").start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        with suppress(OSError):  # if the disk is full, the error of the work says more
            self.update(state="ended", written=True)

    def begin(self, key: str | None) -> None:
        """Record that the worker begins the shard `key`, or none."""
        self.update(shard=key, since=time.monotonic(), written=key is not None)

    def update(self, written: bool = False, **facts: Any) -> None:
        """Change the record. It is written at once if `written`, else with the next beat."""
        self._record = self._record.model_copy(update=facts)
        if written:
            self._write()

    def count(self, units: int, done: bool) -> None:
        """Count one more shard that has ended."""
        record = self._record
        self.update(done=record.done + done, failed=record.failed + (not done), units=record.units + units)
        self.begin(None)

    @property
    def ended(self) -> int:
        """The number of shards that this worker has done or failed."""
        return self._record.done + self._record.failed

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            with suppress(OSError):  # the work itself will find that nothing can be written
                self._write()

    def _write(self) -> None:
        with self._lock:
            self._record.write(self.path)


def announce(folder: Path, name: str, pid: int, **facts: Any) -> None:
    """Write a record for the worker `name` that the process `pid` is about to become; the worker overwrites it."""
    WorkerRecord(name=name, pid=pid, **facts).write(_path(folder, name))


def local_name(process: int | str) -> str:
    """Return the name of the worker that runs as, or below, the process of that number on this host."""
    return f"{socket.gethostname().partition('.')[0]}-{process}"


def own_name() -> str:
    """Return a name for this process as a worker that is unique, also among the containers of this host."""
    return f"{local_name(os.getpid())}-{secrets.token_hex(3)}"


_LAST: dict[Path, tuple[WorkerRecord, float]] = {}
"""The last undamaged record that this process read at each path, and when it first read it (`time.monotonic`)."""


def workers_of(folder: Path) -> dict[str, WorkerRecord]:
    """Return the records of all workers of the stage `folder` by name, in the order in which they began."""
    found = []
    for path in (folder / "workers").glob("*.json"):
        record = WorkerRecord.read(path)  # a network file system may show it cut off for seconds: then the last counts
        if record is not None and (path not in _LAST or record != _LAST[path][0]):
            _LAST[path] = record, time.monotonic()
        if path in _LAST:
            last, since = _LAST[path]
            found.append(last.model_copy(update={"silent": time.monotonic() - since}))
    return {record.name: record for record in sorted(found, key=lambda record: record.started)}


def living(
    folder: Path, jobs: Mapping[str, str] | None = None, patience: float = LOST_AFTER_SECONDS
) -> dict[str, WorkerRecord]:
    """Return the records of the living workers of `folder`; of a job that was queued again only the latest.

    Args:
        folder: the folder of the stage.
        jobs: the state of each job in SLURM's queue by its id; None if it is not known.
        patience: seconds without a new record after which a worker is taken for dead, if nothing else can tell.
    """
    present = {name: record for name, record in workers_of(folder).items() if not record.is_dead(jobs, patience)}
    latest = {record.job: name for name, record in present.items() if record.job}
    return {name: record for name, record in present.items() if latest.get(record.job or "", name) == name}


def _path(folder: Path, name: str) -> Path:
    return folder / "workers" / f"{name}.json"


def _kernel() -> str | None:
    """Identify the boot and the process namespace, within which process numbers are unique; None without /proc."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    return None


def _started(pid: int) -> int | None:
    """Return when the process started, in ticks since boot; None if there is none or it has ended."""
    with suppress(OSError):
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if state in "ZX" else int(fields[18])
    return None
