"""Workers as tasks of SLURM job arrays, through submitit; the queue is asked with squeue alone, never with sacct."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import submitit
from submitit.core.utils import FailedJobError

from launchers.config import SlurmConfig
from launchers.errors import LaunchError, SlurmError
from launchers.process import WorkerProcess
from launchers.status import submitted

_T = TypeVar("_T")

_PATIENCE_SECONDS = 180.0
"""How long a controller that does not answer is asked again."""

_UNREACHABLE = ("Unable to contact", "Socket timed out", "Connection refused", "Zero Bytes", "temporarily")


class SlurmCrew:
    """The workers of a stage in SLURM's queue, those of earlier launches of the same stage included."""

    poll_seconds = 5.0

    def __init__(self, work_file: Path, options: SlurmConfig, name: str) -> None:
        if not shutil.which("sbatch"):
            raise LaunchError("launcher = slurm: expected a host with SLURM's commands (there is no sbatch here)")
        self._jobs, self._options, self._name = work_file.parent, options, name
        self._process = WorkerProcess(
            work_file, Path.cwd(), most=options.shards_per_worker, notice=float(options.signal_delay)
        )

    def wanted(self, shards: int) -> int:
        """Workers for `shards` shards, those that wait for their turn included."""
        each = self._options.shards_per_worker
        return -(-shards // each) if each else min(shards, self._options.max_concurrent)

    def queue(self) -> Mapping[str, str] | None:
        """State of each job in the queue by its id; None if SLURM does not answer."""
        return queued()

    def note(self, queue: Mapping[str, str] | None) -> str:
        """How many workers wait for a place, or that SLURM does not answer."""
        if queue is None:
            return "SLURM does not answer; asking again"
        waiting = len(self._waiting(queue))
        return f"{waiting} in SLURM's queue (squeue --me says why)" if waiting else ""

    def present(self, there: Mapping[str, Mapping[str, Any]], queue: Mapping[str, str]) -> int:
        """How many workers are in the queue, running or not."""
        mine = submitted(self._jobs.parent)
        return sum(job.partition("_")[0] in mine for job in queue)

    def start(self, number: int) -> None:
        """Queue `number` workers in arrays that SLURM takes, one after the other.

        Raises `LaunchError` if SLURM refuses them.
        """
        before: str | None = None
        most = max_array_size()
        while number > 0:
            size = min(number, most)
            before = self._submit(size, before)
            number -= size

    def _submit(self, size: int, before: str | None) -> str:
        executor = submitit.SlurmExecutor(folder=self._jobs, python=self._options.python)
        executor.update_parameters(**parameters(self._options, self._name, before))
        jobs = _patiently(lambda: executor.submit_array([self._process] * size))
        return jobs[0].job_id.partition("_")[0]

    def dismiss(self) -> None:
        """Take the workers that have not begun out of the queue."""
        cancel(self._waiting(queued() or {}))

    def _waiting(self, queue: Mapping[str, str]) -> set[str]:
        """Those of its jobs that wait for a place."""
        mine = submitted(self._jobs.parent)
        return {job for job, state in queue.items() if state == "PENDING" and job.partition("_")[0] in mine}

    def stop(self) -> str:
        """Cancel the jobs if an interruption is configured to; what became of them."""
        if self._options.on_interrupt == "cancel":
            cancel(submitted(self._jobs.parent))
            return "the jobs were cancelled"
        return "the jobs stay in SLURM's queue and go on"


def parameters(options: SlurmConfig, name: str, before: str | None = None) -> dict[str, Any]:
    """What submitit is told: `options` by the names of sbatch; `before` is the array that must end first."""
    more = {"requeue": True, **options.additional}
    if options.memory is not None:
        more["mem"] = f"{round(options.memory * 1024)}M"
    threads = 'export OMP_NUM_THREADS="${OMP_NUM_THREADS:-${SLURM_CPUS_PER_TASK:-1}}"'
    given = {
        "partition": options.partition,
        "account": options.account,
        "qos": options.qos,
        "gres": options.gres,
        "constraint": options.constraint,
        "cpus_per_task": options.cpus,
        "dependency": before and f"afterany:{before}",
    }
    return {
        **{key: value for key, value in given.items() if value is not None},
        "job_name": name,
        "time": options.time,
        "signal_delay_s": options.signal_delay,
        "setup": [threads, *options.setup],
        "srun_args": options.srun_args,
        "array_parallelism": options.max_concurrent,
        "stderr_to_stdout": True,
        "additional_parameters": more,
    }


def queued() -> dict[str, str] | None:
    """State of each of this user's jobs in the queue, ``{"12_3": "RUNNING", …}``; None if SLURM does not answer."""
    try:
        asked = subprocess.run(
            ["squeue", "--me", "--noheader", "--array", "--format=%i|%T"],
            capture_output=True,
            text=True,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if asked.returncode != 0:
        return None
    return dict(line.strip().split("|", 1) for line in asked.stdout.splitlines() if "|" in line)


def max_array_size() -> int:
    """How many tasks an array may have here."""
    text = _patiently(lambda: _run("scontrol", "show", "config"))
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", text, re.MULTILINE)
    return max(1, int(found[1])) if found else 1001


def requeue(job: str) -> None:
    """Put the running `job` into the queue again, which ends it here and now. Raises `SlurmError`."""
    _patiently(lambda: _run("scontrol", "requeue", job))


def preempted(job: str) -> bool:
    """Whether SLURM wants the place of `job` for another."""
    found = re.search(r"PreemptTime=(\S+)", _patiently(lambda: _run("scontrol", "show", "job", job)))
    return found is not None and found[1] not in ("None", "N/A", "Unknown")


def cancel(jobs: set[str]) -> None:
    """Take `jobs`, by id, out of the queue."""
    if jobs:
        _patiently(lambda: _run("scancel", "--quiet", *sorted(jobs)))


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except FileNotFoundError:
        raise LaunchError(f"expected a host with SLURM's commands (there is no {command[0]} here)") from None
    if done.returncode != 0:
        raise SlurmError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _patiently(ask: Callable[[], _T]) -> _T:
    """What `ask()` returns, asked again while the controller does not answer.

    Raises `SlurmError` when it never does, `LaunchError` with SLURM's own words when it refuses.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return ask()
        except (FailedJobError, SlurmError, subprocess.TimeoutExpired) as error:
            text = " ".join(str(error).split())
            silent = isinstance(error, subprocess.TimeoutExpired)
            if not silent and not any(sign in text for sign in _UNREACHABLE):
                raise LaunchError(f"SLURM refused: {text}") from None
            if time.monotonic() > deadline:
                raise SlurmError(f"SLURM does not answer: {text}") from None
            time.sleep(2)
