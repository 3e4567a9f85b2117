"""The process of a worker that submitit starts: pinned to its GPU and CPUs, and queued again when its time is over.

submitit's own `Checkpointable` is not used: its handler ends the process as soon as the signal comes, so the shard in
the making would be lost; it gives up after three time limits, and at once if SLURM's controller does not answer.
"""

from __future__ import annotations

import os
import pickle
import platform
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

import cloudpickle
import submitit

from generative_auctions.files import write_atomic
from launchers.devices import Slot
from launchers.errors import LaunchError, SlurmError
from launchers.shards import Failure
from launchers.squeue import preempted, requeue
from launchers.status import is_cancelled
from launchers.time_limit import time_limit
from launchers.worker import StoppedError, Work, take_shards
from launchers.worker_record import Presence, local_name

_SHARE_OF_NOTICE = 0.75
"""The part of the notice before a time limit that the current shard may use to finish."""

_TIME_IS_SHORT = signal.Signals[f"SIG{submitit.JobEnvironment.USR_SIG}"]
"""The signal by which submitit says that the time limit is near."""

_TOO_SHORT = "its time was over before it had made one shard (launcher.time, launcher.signal_delay)"


@dataclass(frozen=True)
class StoredWork:
    """A work file: `work` is a pickle, which is code; the other fields can be checked before it is loaded."""

    folder: Path
    directory: Path
    """The working directory of the launching process, to which paths in the work may be relative."""
    python: str
    work: bytes


def work_path(folder: Path) -> Path:
    """Return the path of the work file of the stage `folder`."""
    return folder / "jobs" / "work.pkl"


def write_work(work: Work) -> Path:
    """Store `work` for the workers. Returns: the path of the work file."""
    path = work_path(work.folder)
    stored = StoredWork(work.folder, Path.cwd(), platform.python_version(), cloudpickle.dumps(work))
    write_atomic(path, pickle.dumps(stored))
    return path


def read_work(path: Path) -> StoredWork:
    """Read the work file at `path`, which is trusted as code is."""
    stored: StoredWork = pickle.loads(path.read_bytes())
    return stored


@dataclass(frozen=True)
class WorkerProcess:
    """The function that submitit calls in a new process, which ends with status 1 if one of its shards failed.

    Args:
        work_file: what to do.
        directory: the working directory.
        slot: the GPU and the CPUs to use; None to use what the process was given.
        max_shards: the number of shards to process at most; None for all.
        notice: seconds before its time limit at which submitit's signal comes.
    """

    work_file: Path
    directory: Path
    slot: Slot | None = None
    max_shards: int | None = None
    notice: float = 0.0

    def __call__(self) -> None:
        """Take shards until none is left; queue this job again if it ended early for its time limit or a preemption."""
        os.chdir(self.directory)
        if self.slot and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, self.slot.cpus)
        job = submitit.JobEnvironment()
        signals = EndSignals(self.notice)
        with _presence(self.work_file.parents[1], job, self.slot) as me, signals:
            failed = take_until_told(self.work_file, me, signals, self.max_shards)
        try:
            is_slurm, early = job.cluster == "slurm", signals.time_is_short or signals.stopped
            if (signals.time_is_short and me.ended) or (early and is_slurm and preempted(job.job_id)):
                if is_slurm:
                    requeue(job.job_id)
            elif signals.time_is_short:  # it would end the same way the next time
                _fail(me, _TOO_SHORT)
        except (LaunchError, SlurmError) as error:  # in a container, say, that has no scontrol
            why = "its time was over" if signals.time_is_short else "was stopped by a signal"
            _fail(me, f"{why}, and it could not be queued again: {error}")
        if failed or signals.stopped:
            raise SystemExit(1)


def take_until_told(work_file: Path, me: Presence, signals: EndSignals, max_shards: int | None = None) -> int:
    """Take shards of the work file until none is left, `max_shards` are made, or it is time to end.

    It is time to end when the time limit is near, when a signal says so and when the work was cancelled.

    Returns:
        The number of failed shards.
    """

    def should_stop() -> bool:
        return signals.time_is_short or is_cancelled(work_file.parents[1])

    try:
        work: Work = pickle.loads(read_work(work_file).work)
        with time_limit(work, me):
            return take_shards(work, me, max_shards=max_shards, should_stop=should_stop)
    except StoppedError:
        me.update(stopped=not signals.time_is_short)
        return 0
    except (Exception, SystemExit) as error:
        me.update(error=Failure.of(error, key="").reason)
        raise


def _fail(me: Presence, why: str) -> NoReturn:
    """End this process with status 1, after saying why in its record and in its log."""
    me.update(error=why, written=True)
    print(f"worker {me.name}: {why}", file=sys.stderr, flush=True)
    raise SystemExit(1)


class EndSignals:
    """Handles signals: SIGTERM and SIGINT end the work at once, submitit's says that the time limit is near."""

    def __init__(self, notice: float) -> None:
        self.time_is_short = self.stopped = False
        self._notice = notice

    def __enter__(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        signal.signal(_TIME_IS_SHORT, self._ring)
        signal.signal(signal.SIGALRM, self._stop)

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number in (signal.SIGTERM, signal.SIGINT, _TIME_IS_SHORT):
            signal.signal(number, signal.SIG_IGN)  # this process is about to end, its record says so

    def _ring(self, number: int, frame: FrameType | None) -> None:
        self.time_is_short = True
        signal.setitimer(signal.ITIMER_REAL, max(1.0, _SHARE_OF_NOTICE * self._notice))

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopped = number != signal.SIGALRM
        for other in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
            signal.signal(other, signal.SIG_IGN)  # a second signal must not interrupt the cleaning up
        raise StoppedError


def _presence(folder: Path, job: submitit.JobEnvironment, slot: Slot | None) -> Presence:
    is_slurm = job.cluster == "slurm"
    name = f"{job.job_id}-{os.environ.get('SLURM_RESTART_COUNT', 0)}" if is_slurm else local_name(job.job_id)
    return Presence(
        folder,
        name,
        job.paths.stdout,
        job=job.job_id if is_slurm else None,
        slot=slot.number if slot else None,
        gpu=os.environ.get("CUDA_VISIBLE_DEVICES", ""),
    )
