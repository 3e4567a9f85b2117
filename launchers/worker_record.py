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
"""A worker on another host, unknown to SLURM, that has not written for so long while this process watched is dead."""


class WorkerRecord(BaseModel):
    """One worker, as the file `workers/NAME.json` of its stage describes it.

    `started`, `working_since` and `seen` are times of day, for people; `since` (of the shard) and `clock` (of the
    record) are read from the clock of the worker's host that nobody sets.
    """

    model_config = ConfigDict(strict=True, frozen=True)

    name: str
    state: str
    shard: str | None
    done: int
    failed: int
    units: int
    started: float
    since: float
    host: str
    pid: int
    pid_started: int | None
    kernel: str | None
    log: str | None = None
    job: str | None = None
    slot: int | None = None
    gpu: str | None = None
    provenance: dict[str, Any] | None = None
    working_since: float | None = None
    error: str | None = None
    stopped: bool = False
    seen: float
    clock: float
    silent: float = Field(default=0.0, exclude=True)
    """Seconds since this process first read the record as it stands."""

    @classmethod
    def new(cls, name: str, pid: int, **facts: Any) -> WorkerRecord:
        """Describe a worker that has done nothing yet, by the process `pid` of this host."""
        process = {"host": socket.gethostname(), "pid": pid, "pid_started": _started(pid), "kernel": _kernel()}
        counts = {"done": 0, "failed": 0, "units": 0}
        now, clock = time.time(), time.monotonic()
        times = {"started": now, "since": clock, "seen": now, "clock": clock}
        return cls(**{"name": name, "state": "starting", "shard": None, **counts, **times, **process, **facts})

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
        moment = {"seen": time.time(), "clock": time.monotonic()}
        write_atomic(path, json.dumps({**self.model_dump(exclude_unset=True), **moment}).encode())

    @property
    def is_here(self) -> bool:
        """Whether the worker is, or was, a process among those that this one sees."""
        return self.kernel is not None and self.kernel == _kernel() and self.host == socket.gethostname()

    def is_gone(self, jobs: Mapping[str, str] | None = None, patience: float = LOST_AFTER_SECONDS) -> bool:
        """Tell whether the worker will never write again.

        Asked in turn: itself; the kernel, on its own host; SLURM's queue `jobs` (state by job id, None if it is not
        known); its silence, if that is longer than `patience` seconds. The clock of its host is not asked.
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
        """Return how long the worker's shard is in the making; without one, how long ago the last one ended.

        Only times of one clock are compared: that of the worker's host.
        """
        return (time.monotonic() if self.is_here else self.clock + self.silent) - self.since

    @property
    def rate(self) -> float:
        """Units a second of the worker, since it had loaded."""
        seconds = 0.0 if self.working_since is None else self.seen - self.working_since
        return self.units / seconds if seconds > 0 else 0.0

    @property
    def ending(self) -> str:
        """How the worker ended, with its name and its log: `node-12: was stopped by a signal (node.log)`."""
        how = "ended" if self.state == "ended" else "ended without a word"
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
        self.name, self.log, self.path = name, log and str(log), _path(folder, name)
        self._record = WorkerRecord.new(name, os.getpid(), log=self.log, **facts)
        self._ended, self._lock = threading.Event(), threading.Lock()

    def __enter__(self) -> Presence:
        self.update(provenance=worker_provenance(), written=True)
        threading.Thread(target=self._beat, daemon=True, name="presence").start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        with suppress(OSError):  # of a full disk the error says more
            self.update(state="ended", written=True)

    def begin(self, key: str | None) -> None:
        """Say which shard is in the making from now on; None for none."""
        self.update(shard=key, since=time.monotonic(), written=key is not None)

    def update(self, written: bool = False, **facts: Any) -> None:
        """Change the record; it is `written` at once or with the next beat."""
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
        """How many shards this worker has made or failed to make."""
        return self._record.done + self._record.failed

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            with suppress(OSError):  # the work itself will find that nothing can be written
                self._write()

    def _write(self) -> None:
        with self._lock:
            self._record.write(self.path)


def announce(folder: Path, name: str, pid: int, **facts: Any) -> None:
    """Say that a worker `name` will be there, by the process `pid` that starts it: its own record takes this place."""
    WorkerRecord.new(name, pid, **facts).write(_path(folder, name))


def local_name(process: int | str) -> str:
    """Name the worker that is, or is under, the `process` of that number on this host."""
    return f"{socket.gethostname().partition('.')[0]}-{process}"


def own_name() -> str:
    """Name this process as a worker as no other is named, in another container on this host neither."""
    return f"{local_name(os.getpid())}-{secrets.token_hex(3)}"


_LAST: dict[Path, tuple[WorkerRecord, float]] = {}
"""The last whole record that this process read at each path, and when it was new, by this process's own clock."""


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
    """Return the records of the workers of `folder` that are alive; of a job that was queued again, the last one's.

    Args:
        folder: the folder of the stage.
        jobs: the state of each job in SLURM's queue by its id; None if it is not known.
        patience: seconds of silence after which a worker of whom nothing else tells is dead.
    """
    present = {name: record for name, record in workers_of(folder).items() if not record.is_gone(jobs, patience)}
    latest = {record.job: name for name, record in present.items() if record.job}
    return {name: record for name, record in present.items() if latest.get(record.job or "", name) == name}


def _path(folder: Path, name: str) -> Path:
    return folder / "workers" / f"{name}.json"


def _kernel() -> str | None:
    """Tell two sets of process numbers apart, by the boot and the namespace; None where there is no /proc."""
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
