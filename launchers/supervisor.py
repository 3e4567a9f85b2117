"""Seeing to it that there are workers until every shard of a stage has settled, wherever they run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from launchers.errors import LaunchError, SlurmError
from launchers.leases import Leases
from launchers.progress import Watch
from launchers.status import Standing, is_cancelled, standing
from launchers.worker_record import living, workers_of

_BARREN_ROUNDS = 2
"""So many times in a row may all workers end without settling anything."""

_MOST_ENDS = 3
"""Of so many workers or logs it is said how they ended, where there is no better choice."""


class Workers(Protocol):
    """Workers of one kind."""

    poll_seconds: float

    @property
    def capacity(self) -> int:
        """How many workers may work at once."""

    def wanted(self, shards: int) -> int:
        """Workers for `shards` shards."""

    def queue(self) -> Mapping[str, str] | None:
        """State of each job by its id; None if that cannot be known at this moment."""

    def note(self, queue: Mapping[str, str] | None) -> str:
        """What one should know of the queue; "" for nothing."""

    def present(self, there: Mapping[str, Mapping[str, Any]], queue: Mapping[str, str]) -> int:
        """How many workers are there or will be; `there` are the records of those that have begun."""

    def start(self, number: int) -> None:
        """Start `number` more workers."""

    def dismiss(self) -> None:
        """There is no more work: those that wait for their turn need not come."""

    def stop(self) -> str:
        """Do with the workers what an interruption does to them; what that was."""


class NoWorkersError(RuntimeError):
    """All workers ended, and ended again, without settling a shard; `ends` has a line for each of them."""

    def __init__(self, ends: list[str]) -> None:
        self.ends = ends
        super().__init__("; ".join(ends))


def supervise(keys: Sequence[str], folder: Path, workers: Workers, watch: Watch, *, wait: bool) -> bool:
    """Keep workers at the shards `keys` until each is done or has failed; False if there was no `wait` for that.

    A worker that dies is replaced. Raises `NoWorkersError`, `KeyboardInterrupt` if the work was cancelled, and what
    the workers raises when nobody is there.
    """
    rounds, departures, owed, losses = _Rounds(folder), _Departures(folder), None, 0
    while True:
        held = Leases(folder).holders()  # before it is asked who is there
        queue = workers.queue()
        now = _freed(keys, folder, held, queue)
        watch.show(now, workers.note(queue))
        if not now.open:
            workers.dismiss()
            return True
        if is_cancelled(folder):
            raise KeyboardInterrupt
        if queue is not None:
            for line in departures.seen(now, queue):
                watch.say(line)
            present, wanted = workers.present(now.workers, queue), workers.wanted(now.open)
            free = now.open - now.count("running")  # the others are in good hands, be they started from here or not
            if not present and min(wanted, free):
                rounds.begin(now)
            if owed is None or not present:  # whoever is not there
                owed = max(0, min(wanted - present, free))
            else:  # one for each that was lost, once its place is free: it may be in the queue for a while yet
                owed += now.losses - losses
            losses = now.losses
            if (number := _addable(owed, present, wanted, workers.capacity)) > 0:
                owed -= _start(workers, number, present, watch)
            if not wait:
                return False
        time.sleep(workers.poll_seconds)


def _addable(owed: int, present: int, wanted: int, capacity: int) -> int:
    """How many of the `owed` workers may be started now.

    Workers that are started together keep to the `capacity` by themselves, however many they are. Whoever is
    started beside others does not know of them: those that wait count as if they worked.
    """
    return min(owed, (min(wanted, capacity) if present else wanted) - present)


def _start(workers: Workers, number: int, present: int, watch: Watch) -> int:
    """Start `number` workers beside the `present` ones, who go on if that is refused; how many are owed no longer."""
    try:
        workers.start(number)
    except (LaunchError, SlurmError) as error:
        if not present:
            raise
        watch.say(f"no worker was added: {error}")
    return number


def _freed(keys: Sequence[str], folder: Path, held: Mapping[str, str], queue: Mapping[str, str] | None) -> Standing:
    """How the shards stand once those `held` by workers that are gone are free again."""
    Leases(folder).free(held, living(folder, queue))
    return standing(folder, keys, queue)


class _Rounds:
    """Rounds of workers: one begins when nobody is left, and the one before must have changed something."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._earlier = folder, set(workers_of(folder))
        self._last: tuple[int, int] | None = None
        self._barren = 0

    def begin(self, now: Standing) -> None:
        """Another round may begin; raises `NoWorkersError` if it would be as the last one."""
        state = (now.open, now.losses)
        self._barren = self._barren + 1 if state == self._last else 0
        ended = [record for name, record in workers_of(self._folder).items() if name not in self._earlier]
        hopeless = any("error" in record for record in ended)
        stopped = bool(ended) and all(record.get("stopped") for record in ended)
        if stopped or self._barren >= (1 if hopeless else _BARREN_ROUNDS):
            raise NoWorkersError(_ends(self._folder, ended) or [f"no log in {self._folder / 'jobs'}"])
        self._last = state


class _Departures:
    """Workers that are gone before the work is done, each said once it is clear that its job will not come back."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._there = folder, set[str]()

    def seen(self, now: Standing, queue: Mapping[str, str]) -> Iterator[str]:
        """A line on each worker that was there and is not; nothing on one that ended as it should."""
        gone = self._there - set(now.workers)
        self._there |= set(now.workers)
        records = workers_of(self._folder) if gone else {}
        last = {record.get("job"): name for name, record in records.items()}
        for name in sorted(gone & set(records)):
            record = records[name]
            if (job := record.get("job")) in queue:  # it may be queued again
                continue
            self._there.discard(name)
            if job and last[job] != name:  # it was
                continue
            if record["state"] != "ended":
                yield f"worker {_line(record)}; it is replaced if it had a shard"
            elif record.get("stopped") or "error" in record:
                yield f"worker {_line(record)}; none takes its place while others work"


def last_ends(folder: Path) -> list[str]:
    """A line on each of the last workers of the stage `folder` that did not end as it should, a few at most."""
    workers = [*workers_of(folder).values()][-_MOST_ENDS:]
    return [_line(record) for record in workers if _end(record) != "ended"] if workers else _ends(folder, [])


def _ends(folder: Path, workers: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each of `workers` on how it ended; where none had begun, what their logs end with."""
    if workers:
        return [_line(record) for record in workers]
    logs = sorted(folder.glob("jobs/*_log.out"), key=lambda path: path.stat().st_mtime)[-_MOST_ENDS:]
    return [f"{_last_words(path)} ({path})" for path in logs]


def _line(record: Mapping[str, Any]) -> str:
    """How the worker of `record` ended, with its name and its log."""
    return f"{record['name']}: {_end(record)} ({record.get('log') or record['host']})"


def _last_words(log: Path) -> str:
    """What a process said last; where only srun spoke its first error, for the next ones say no more than the end."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    own = [line for line in lines if not line.startswith("srun: ")]
    errors = [line for line in lines if line.startswith(("srun: error: ", "srun: fatal: "))]
    return [*lines[-1:], *errors[:1], *own[-1:]][-1] if lines else "nothing"


def _end(record: Mapping[str, Any]) -> str:
    """How the worker of `record` ended: `was stopped by a signal`."""
    if "error" in record:
        return str(record["error"])
    if record.get("stopped"):
        return "was stopped by a signal, as scancel sends it"
    return "ended" if record["state"] == "ended" else "ended without a word"
