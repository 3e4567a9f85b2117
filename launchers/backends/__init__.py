"""Where workers run: one module for each launcher with workers of its own, all behind the interface `Workers`."""

from __future__ import annotations

from launchers.backends.workers import Workers
from launchers.config import ExternalConfig, LocalConfig, SlurmConfig
from launchers.worker import Work

__all__ = ["Workers", "workers_for"]


def workers_for(launcher: LocalConfig | SlurmConfig | ExternalConfig, work: Work) -> Workers:
    """Store `work` for workers, and return those of `launcher`. Raises `LaunchError` if there can be none here."""
    from launchers.worker_process import write_work  # submitit, only where workers are started

    work_file = write_work(work)
    if isinstance(launcher, ExternalConfig):
        from launchers.backends.external import ExternalWorkers

        return ExternalWorkers(work_file)
    if isinstance(launcher, LocalConfig):
        from launchers.backends.local import LocalWorkers

        return LocalWorkers(work_file, launcher)
    from launchers.backends.slurm import SlurmWorkers

    return SlurmWorkers(work_file, launcher)
