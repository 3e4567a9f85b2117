"""The stages as they should be played, and the folders of their blocks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from agt_tournament.config import TournamentConfig
from agt_tournament.tournament.registration import Team
from agt_tournament.tournament.tournament_manager import Arena, TournamentStage, draw_arenas, fill_arenas


def stage_one(teams: Sequence[Team], rules: TournamentConfig, seed: int) -> TournamentStage:
    """Draw `teams` into the arenas of stage 1; fillers take the seats that are left."""
    arenas = draw_arenas([team.team_id for team in teams if not team.filler], rules.arena_size, seed)
    if fillers := [team.team_id for team in teams if team.filler]:
        arenas = fill_arenas(arenas, rules.arena_size, fillers)
    return TournamentStage(1, arenas, rules.stage1_games)


def final_of(board: pd.DataFrame, rules: TournamentConfig) -> TournamentStage:
    """Return stage 2: the teams that advance on the leaderboard of stage 1, in one arena."""
    return TournamentStage(2, (Arena(2, 1, tuple(board[board["advances"]]["team_id"])),), rules.stage2_games)


def marks_folder(run_dir: Path, stage: int) -> Path:
    """Return the folder of the completion records of a stage."""
    return run_dir / "shards" / f"stage{stage}"
