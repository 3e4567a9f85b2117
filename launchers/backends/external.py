"""Workers that somebody else starts: by hand, or under a scheduler other than SLURM."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from launchers.backends import Workers
from launchers.worker_record import WorkerRecord


class ExternalWorkers(Workers):
    """The processes of `python -m launchers work DIR`; none is started or stopped from here."""

    def __init__(self, work_file: Path) -> None:
        self._run_dir = shlex.quote(str(work_file.parents[3]))
        self._present = 0

    def note(self, queue: Mapping[str, str] | None) -> str:
        """Say how to start a worker if there is none."""
        return "" if self._present else f"no worker is there: `python -m launchers work {self._run_dir}` is one"

    def present(self, alive: Mapping[str, WorkerRecord], queue: Mapping[str, str]) -> int:
        """Return how many have begun."""
        self._present = len(alive)
        return self._present

    def stop(self) -> str:
        """Leave the workers alone, for other hosts cannot be reached. Returns: how to end them."""
        return f"workers that others started go on; `python -m launchers cancel {self._run_dir}` ends them"
