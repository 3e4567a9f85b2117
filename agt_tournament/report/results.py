"""The stored results from which every page of a competition is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from agt_tournament.config import UTILITY_ALONE, ScoringWeights
from agt_tournament.tournament.registration import SetAside, Team
from agt_tournament.tournament.standings import StageData


@dataclass(frozen=True)
class Results:
    """The stored games of a competition, their leaderboards, and the directory of its pages."""

    run_dir: Path
    stages: Sequence[StageData]
    boards: Mapping[int, pd.DataFrame]
    """The leaderboards by stage number, from `generate_stage_leaderboard`."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The content of the run directory's config.yaml."""
    set_aside: Sequence[SetAside] = ()
    """The teams that did not play."""

    @property
    def rules(self) -> Mapping[str, Any]:
        """The stored rules; empty if `settings` are."""
        rules: Mapping[str, Any] = self.settings.get("tournament", {})
        return rules

    @property
    def teams(self) -> Mapping[str, Team]:
        """The teams that played, by id and in the order of the stages."""
        return {team_id: team for stage in self.stages for team_id, team in stage.teams.items()}

    @property
    def title(self) -> str:
        """The heading of every page."""
        return str(self.rules.get("title") or "Bidding competition")

    @property
    def score(self) -> str:
        """The name of the quantity by which games are ranked."""
        return score_word(self.stages[-1].weights)


def score_word(weights: ScoringWeights) -> str:
    """Return ``utility``, or ``score`` where `weights` weigh more than that."""
    return "utility" if weights == UTILITY_ALONE else "score"
