"""Read the log of a shard, or stop the workers of a run, by the files of the run alone."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from generative_auctions.files import write_atomic
from launchers.errors import LaunchError, SlurmError
from launchers.leases import Leases
from launchers.shards import completion_of, failure_of
from launchers.squeue import cancel
from launchers.status import CANCELLED, queue_of, stages, submitted
from launchers.worker_record import living, workers_of

_TAIL = 40


def log_of(run_dir: Path, start: str) -> str:
    """Return why the shard whose key begins with `start` failed, and the last lines of its workers' logs.

    Raises:
        LaunchError: there is no such shard, or several.
    """
    found = [(folder, key) for folder, keys in stages(run_dir).items() for key in keys if key.startswith(start)]
    if len(found) != 1:
        some = f"one of {len(found)} that begin so" if found else "the key of a shard, as shards/*/shards.txt list them"
        raise LaunchError(f"SHARD = {start}: expected {some}")
    ((folder, key),) = found
    parts = [f"{folder.name} {key}"]
    if failure := failure_of(folder, key):
        parts.append(failure.report)
    parts += [_tail_of(folder, worker) for worker in _workers(folder, key)]
    return "\n\n".join(parts)


def _workers(folder: Path, key: str) -> list[str]:
    """Return the names of all workers that have worked on the shard."""
    leases, failure = Leases(folder, make=False), failure_of(folder, key)
    names = [*leases.losses().get(key, []), leases.holders().get(key), (completion_of(folder, key) or {}).get("worker")]
    names += failure.workers if failure else []
    return list(dict.fromkeys(name for name in names if name))


def _tail_of(folder: Path, worker: str) -> str:
    record = workers_of(folder).get(worker)
    if record is None:
        return f"worker {worker}: it left no record"
    if not record.log:
        where = "its output is where it was started: the launching process, or `python -m launchers work`"
        return f"worker {worker} on {record.host}: {where}"
    heading = f"worker {worker} on {record.host}, {record.log}"
    try:
        with Path(record.log).open(errors="replace") as log:
            return f"{heading}:\n" + "".join(deque(log, _TAIL)).rstrip()
    except (OSError, ValueError) as error:
        return f"{heading}: {getattr(error, 'strerror', error)}"


def cancel_run(run_dir: Path) -> Iterator[str]:
    """Stop the workers of a run, those in SLURM's queue too.

    Yields:
        A line on each worker.

    Raises:
        LaunchError: `run_dir` is damaged, or SLURM refuses.
        SlurmError: SLURM does not answer.
    """
    for folder in stages(run_dir):
        stage = folder.name
        queue, jobs = _known_queue(folder), submitted(folder)
        alive = living(folder, queue)
        if queue is not None:
            jobs &= {job.partition("_")[0] for job in queue}
        if not alive and not jobs:
            continue
        write_atomic(folder / CANCELLED, b"")  # no shard is begun from now on, no worker is replaced
        if jobs:
            cancel(jobs)
            yield f"{stage}: cancelled SLURM's jobs {', '.join(sorted(jobs))}"
        for record in alive.values():
            if record.job:
                continue
            if record.is_here:
                with suppress(ProcessLookupError):
                    os.kill(record.pid, signal.SIGTERM)
                yield f"{stage}: stopped worker {record.name}"
            else:
                yield f"{stage}: worker {record.name} on {record.host} ends after its shard"


def _known_queue(folder: Path) -> Mapping[str, str] | None:
    """Return SLURM's queue; None if it is not known, and all submitted jobs must be cancelled."""
    with suppress(LaunchError, SlurmError):
        return queue_of(folder)
    return None
