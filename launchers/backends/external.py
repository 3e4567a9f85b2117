"""Workers that somebody else starts: by hand, or under a scheduler that is not known here."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class ExternalWorkers:
    """Whoever says `python -m launchers work DIR`; none is started or stopped."""

    poll_seconds = 1.0

    def __init__(self, work_file: Path) -> None:
        self._run_dir = shlex.quote(str(work_file.parents[3]))
        self._present = 0

    @property
    def capacity(self) -> int:
        """None of its own."""
        return 0

    def wanted(self, shards: int) -> int:
        """None of its own."""
        return 0

    def queue(self) -> Mapping[str, str] | None:
        """The queue of an unknown scheduler is not asked."""
        return {}

    def note(self, queue: Mapping[str, str] | None) -> str:
        """How to start a worker where there is none."""
        return "" if self._present else f"no worker is there: `python -m launchers work {self._run_dir}` is one"

    def present(self, there: Mapping[str, Mapping[str, Any]], queue: Mapping[str, str]) -> int:
        """How many have begun."""
        self._present = len(there)
        return self._present

    def start(self, number: int) -> None:
        """Others start them."""

    def dismiss(self) -> None:
        """They end by themselves."""

    def stop(self) -> str:
        """They stay: other hosts cannot be reached. Returns: how to end them."""
        return f"workers that others started go on; `python -m launchers cancel {self._run_dir}` ends them"
