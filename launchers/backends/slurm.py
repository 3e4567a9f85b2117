"""Workers as tasks of SLURM job arrays, through submitit; the queue is asked with squeue alone, never with sacct."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import FailedJobError

from generative_auctions.files import naming
from launchers import squeue
from launchers.backends import Workers
from launchers.config import SlurmConfig
from launchers.errors import LaunchError, SlurmError
from launchers.status import jobs_in, submitted
from launchers.worker_process import WorkerProcess
from launchers.worker_record import WorkerRecord, living

_LONGEST_NAME = 60
"""The number of characters of a run's name that go into the name of its jobs."""

_OF_THE_USER = ("SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT", "SLURM_TIME_FORMAT", "SBATCH_")
"""SLURM's variables that users set and jobs do not; they are kept when a job submits further jobs."""

_OF_THE_JOB = ("SBATCH_CPU_BIND", "SBATCH_MEM_BIND")

_OF_GPUS = ("CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")
"""SLURM's variables that tell a job which GPUs it was given."""


class SlurmWorkers(Workers):
    """The workers of a stage in SLURM's queue, those of earlier launches of the same stage included."""

    poll_seconds = 5.0

    def __init__(self, work_file: Path, options: SlurmConfig) -> None:
        self._jobs, self._options = work_file.parent, options
        self.stage, self.capacity = self._jobs.parent, options.max_concurrent
        self._process = WorkerProcess(
            work_file, Path.cwd(), max_shards=options.shards_per_worker, notice=float(options.signal_delay)
        )
        self._answered, self._silent_since, self._silence = False, 0.0, ""

    def wanted(self, shards: int) -> int:
        """Return how many workers `shards` shards need, pending ones included."""
        each = self._options.shards_per_worker
        return -(-shards // each) if each else super().wanted(shards)

    def queue(self) -> Mapping[str, str] | None:
        """Return the state of each job in the queue by its id; None if SLURM does not answer at this moment.

        After its first answer SLURM is asked as long as there is work, because workers go on without its controller.

        Raises:
            LaunchError: SLURM has not answered yet, and never will from here.
            SlurmError: SLURM has not answered for three minutes, and no worker of an earlier launch is at work.
        """
        try:
            queue = squeue.queued()
        except (LaunchError, SlurmError) as error:
            self._endure(error)
            return None
        self._answered, self._silence = True, ""
        return queue

    def _endure(self, error: LaunchError | SlurmError) -> None:
        """Keep the reason why SLURM does not answer, for `note`; raise it if waiting would be useless."""
        now = time.monotonic()
        if not self._silence:
            self._silent_since = now
        left = self._silent_since + squeue.PATIENCE_SECONDS - now
        if self._answered:
            how_long = "asking again, workers go on"
        elif isinstance(error, LaunchError):
            raise LaunchError(f"launcher = slurm: {error}") from None
        elif self._options.wait and living(self.stage):
            how_long = "asking again, workers of an earlier launch go on"
        elif left > 0:
            how_long = f"asking again for {left:.0f} s"
        else:
            waited = f"SLURM did not answer for {squeue.PATIENCE_SECONDS:.0f} s"
            raise SlurmError(f"{waited}, this command submitted nothing: {error}") from None
        self._silence = f"SLURM does not answer ({error}); {how_long}"

    def note(self, queue: Mapping[str, str] | None) -> str:
        """Describe the queue: how many workers are pending, or why SLURM does not answer."""
        if queue is None:
            return self._silence
        waiting = len(self._waiting(queue))
        return f"{waiting} in SLURM's queue (squeue --me says why)" if waiting else ""

    def present(self, alive: Mapping[str, WorkerRecord], queue: Mapping[str, str]) -> int:
        """Return how many workers are in the queue, running or not."""
        return len(jobs_in(queue, self.stage))

    def start(self, number: int) -> None:
        """Submit `number` workers in job arrays of the allowed size, each of which waits for the one before.

        Raises:
            LaunchError: SLURM refuses them.
            SlurmError: SLURM does not answer.
            OSError: the disk is full.
        """
        before: str | None = None
        most = self._options.max_array_size or squeue.max_array_size()
        while number > 0:
            size = min(number, most)
            before = self._submit(size, before)
            number -= size

    def _submit(self, size: int, before: str | None) -> str:
        executor = submitit.SlurmExecutor(folder=self._jobs, python=self._options.python)
        executor.update_parameters(**parameters(self._options, job_name(self.stage), before))
        with naming(self._jobs), _outside_of_any_job():
            jobs = squeue.patiently(lambda: self._submitted(executor, size))
        return jobs[0].job_id.partition("_")[0]

    def _submitted(self, executor: submitit.SlurmExecutor, size: int) -> list[submitit.Job[None]]:
        try:
            return executor.submit_array([self._process] * size)
        except FailedJobError as error:
            raise SlurmError(str(error)) from error

    def dismiss(self) -> None:
        """Cancel the workers that are still pending; if that fails, they will find nothing to do."""
        with suppress(LaunchError, SlurmError):
            squeue.cancel(self._waiting(squeue.queued()), patience=0)

    def _waiting(self, queue: Mapping[str, str]) -> set[str]:
        """Return the pending jobs of this stage."""
        return {job for job, state in jobs_in(queue, self.stage).items() if state == "PENDING"}

    def stop(self) -> str:
        """Cancel the jobs if `on_interrupt` says so. Returns: a message for the user."""
        jobs = submitted(self.stage)
        if not jobs:
            return "nothing was submitted to SLURM"
        if self._options.on_interrupt == "leave":
            return "the jobs stay in SLURM's queue and go on"
        try:
            squeue.cancel(jobs, patience=0)
        except (LaunchError, SlurmError) as error:
            return f"the jobs could not be cancelled and go on: {error}"
        return "the jobs were cancelled"


def job_name(stage: Path) -> str:
    """Name the jobs of the folder `stage` after its run and itself, so that squeue tells runs apart."""
    run_dir = stage.parents[1]
    if run_dir.parent.name == ".sweep":  # the jobs of a multirun, whose own directory has but a digest for a name
        run_dir = run_dir.parents[1]
    return re.sub(r"[^\w.,+=-]+", "_", f"{run_dir.name[:_LONGEST_NAME]}-{stage.name}")


@contextmanager
def _outside_of_any_job() -> Iterator[None]:
    """Hide the variables of the SLURM job that this process runs in, if any, from jobs that are submitted inside.

    The new job would inherit them and its srun would obey them: contradicting memory limits, more CPUs than there are,
    the restarts of another job.
    """
    if "SLURM_JOB_ID" not in os.environ:
        yield
        return
    gpus = _OF_GPUS if {"SLURM_JOB_GPUS", "SLURM_STEP_GPUS"} & os.environ.keys() else ()
    of_the_user = {name for name in os.environ if name.startswith(_OF_THE_USER) and not name.startswith(_OF_THE_JOB)}
    kept = {name: os.environ[name] for name in of_the_user}
    with submitit.helpers.clean_env(gpus):
        os.environ.update(kept)
        yield


def parameters(options: SlurmConfig, name: str, before: str | None = None) -> dict[str, Any]:
    """Return `options` by the names that submitit and sbatch use; `before` is the array that must end first."""
    more = {"requeue": True, **options.additional}
    if options.memory is not None:
        more["mem"] = f"{round(options.memory * 1024)}M"
    threads = 'export OMP_NUM_THREADS="${OMP_NUM_THREADS:-${SLURM_CPUS_PER_TASK:-1}}"'
    given = {name: getattr(options, name) for name in ("partition", "account", "qos", "gres", "constraint")}
    given |= {"cpus_per_task": options.cpus, "dependency": before and f"afterany:{before}"}
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
