"""Pages of a competition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from agt_tournament.results_manager import StageData


def write_team_folders(run_dir: Path, stages: Sequence[StageData], boards: Mapping[int, pd.DataFrame]) -> None:
    """To come."""


def generate_analytics_report(run_dir: Path, stages: Sequence[StageData], boards: Mapping[int, pd.DataFrame]) -> Path:
    """To come."""
    return run_dir / "analytics" / "competition_report.html"
