"""The launcher of Hydra's multirun: it runs jobs as shards, through `launchers`.

Hydra imports this module at every start, so it imports little itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class JobsLauncher(Launcher):
    """Runs each job of a multirun by a launcher of this project, with these `options`."""

    def __init__(self, **options: Any) -> None:
        self._options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Begin a sweep. Raises `RequestError` if an option is wrong."""
        from launchers.multirun import Sweep, launcher_options

        options = launcher_options(self._options)
        self._sweep = Sweep(task_function.application, config, hydra_context, options)  # type: ignore[attr-defined]
        task_function.report = self._sweep.report  # type: ignore[attr-defined]

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run one job for each of `job_overrides`.

        Returns:
            What the key `optimize` names in the metrics of each, None of one that failed: the sweep lists the failures.
        """
        values = self._sweep.run(job_overrides, initial_job_idx)
        jobs = [JobReturn(overrides=list(overrides), status=JobStatus.COMPLETED) for overrides in job_overrides]
        for job, value in zip(jobs, values, strict=True):
            job.return_value = value
        return jobs
