"""The supervisor: keeps enough workers alive until every shard of a stage is done or has failed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from launchers.backends import Workers
from launchers.errors import LaunchError, SlurmError
from launchers.leases import Leases
from launchers.progress import Watch
from launchers.status import Standing, is_cancelled, standing
from launchers.worker_record import WorkerRecord, living, workers_of

_BARREN_ROUNDS = 2
"""How many times in a row all workers may end before any shard is done or has failed; then the stage ends."""

_MOST_ENDS = 3
"""The most workers, or logs, that a message names; it names the last ones."""


class NoWorkersError(RuntimeError):
    """No worker stays alive long enough to settle a shard; `ends` has a line on how each of them ended."""

    def __init__(self, ends: list[str]) -> None:
        self.ends = ends
        super().__init__("; ".join(ends))


def supervise(keys: Sequence[str], folder: Path, workers: Workers, watch: Watch, *, wait: bool) -> bool:
    """Keep enough workers alive until each of the shards `keys` is done or has failed; a worker that dies is replaced.

    Args:
        keys: the keys of the shards.
        folder: the folder of the stage.
        workers: how to start workers.
        watch: the progress display.
        wait: false: return as soon as workers are started.

    Returns:
        Whether all shards have settled.

    Raises:
        NoWorkersError: no worker stays alive.
        KeyboardInterrupt: the work was cancelled.
        CommandEnd: what starting workers raises while none is alive.
    """
    leases, rounds, departures, owed, losses = Leases(folder), _Rounds(folder), _Departures(folder), None, 0
    while True:
        held = leases.holders()  # read before the living workers
        queue = workers.queue()
        leases.free(held, living(folder, queue))
        now = standing(folder, keys, queue)
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
            free = now.unleased  # the others have a living worker, wherever it was started
            if not present and min(wanted, free):
                rounds.begin(now)
            if owed is None or not present:  # all that are missing
                owed = max(0, min(wanted - present, free))
            else:  # one for each lost shard, once the job of its worker has left the queue
                owed += now.losses - losses
            losses = now.losses
            if (number := _addable(owed, present, wanted, workers.capacity)) > 0:
                owed -= _start(workers, number, present, watch)
            if not wait:
                return False
        time.sleep(workers.poll_seconds)


def _addable(owed: int, present: int, wanted: int, capacity: int) -> int:
    """Return how many of the `owed` workers may be started now.

    Workers that are started together, as one job array, keep to the `capacity` by themselves. Those that are started
    beside others do not: then pending workers count against it too.
    """
    return min(owed, (min(wanted, capacity) if present else wanted) - present)


def _start(workers: Workers, number: int, present: int, watch: Watch) -> int:
    """Start `number` workers; a refusal is an error only if none are `present`. Returns: `number`."""
    try:
        workers.start(number)
    except (LaunchError, SlurmError) as error:
        if not present:
            raise
        watch.say(f"no worker was added: {error}")
    return number


class _Rounds:
    """Counts rounds of workers: a new one begins when none is alive, and must not repeat the one before."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._earlier = folder, set(workers_of(folder))
        self._last: tuple[int, int] | None = None
        self._barren = 0

    def begin(self, now: Standing) -> None:
        """Begin another round. Raises `NoWorkersError` if the last ones settled no shard."""
        state = (now.open, now.losses)
        self._barren = self._barren + 1 if state == self._last else 0
        ended = [record for name, record in workers_of(self._folder).items() if name not in self._earlier]
        hopeless = any(record.error is not None for record in ended)
        stopped = bool(ended) and all(record.stopped for record in ended)
        if stopped or self._barren >= (1 if hopeless else _BARREN_ROUNDS):
            raise NoWorkersError(_ends(self._folder, ended) or [f"no log in {self._folder / 'jobs'}"])
        self._last = state


class _Departures:
    """Reports workers that died before the work was done, each once, when its job will not be queued again.

    A worker may begin and end between two looks: every record counts that did not exist at the beginning.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._settled = folder, set(workers_of(folder))

    def seen(self, now: Standing, queue: Mapping[str, str]) -> Iterator[str]:
        """Yield a line on each worker that has died since the last look; none on a worker that ended as it should."""
        self._settled -= set(now.workers)  # of an earlier launch, and still alive
        records = workers_of(self._folder)
        last = {record.job: name for name, record in records.items()}
        for name in sorted(set(records) - set(now.workers) - self._settled):
            record = records[name]
            if record.job in queue:  # its job may be queued again
                continue
            self._settled.add(name)
            if record.job and last[record.job] != name:  # its job was queued again
                continue
            if record.state != "ended":
                yield f"worker {record.ending}; it is replaced if it had a shard"
            elif record.ended_early:
                yield f"worker {record.ending}; none takes its place while others work"


def last_ends(folder: Path) -> list[str]:
    """Return a line on each of the last few workers of the stage `folder` that did not end as it should."""
    workers = [*workers_of(folder).values()][-_MOST_ENDS:]
    return [record.ending for record in workers if record.ended_early] if workers else _ends(folder, [])


def _ends(folder: Path, workers: Sequence[WorkerRecord]) -> list[str]:
    """Return a line on how each of `workers` ended; if none had begun, the last line of the latest logs."""
    if workers:
        return [record.ending for record in workers]
    logs = sorted(folder.glob("jobs/*_log.out"), key=lambda path: path.stat().st_mtime)[-_MOST_ENDS:]
    return [f"{_last_words(path)} ({path})" for path in logs]


def _last_words(log: Path) -> str:
    """Return the last line of a log; if all are srun's, its first error, which names the cause."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    own = [line for line in lines if not line.startswith("srun: ")]
    errors = [line for line in lines if line.startswith(("srun: error: ", "srun: fatal: "))]
    return [*lines[-1:], *errors[:1], *own[-1:]][-1] if lines else "nothing"
