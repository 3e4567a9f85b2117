"""Everything that the stored games of a competition give: tables, pages, standings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from agt_tournament.config import TournamentConfig
from agt_tournament.game.execution_log import COMPETITION_LOG, log
from agt_tournament.report import (
    Load,
    generate_analytics_report,
    standings_page,
    terminal,
    write_standings,
    write_team_folders,
)
from agt_tournament.tournament.competition_directory import rules_of, set_aside_teams
from agt_tournament.tournament.registration import Team
from agt_tournament.tournament.results_manager import (
    FORMATS,
    StageData,
    competition_metrics,
    decisions,
    export_results,
    leaderboards,
    read_stage,
)
from agt_tournament.tournament.stages import final_of, marks_folder, stage_one
from agt_tournament.tournament.tournament_manager import TournamentStage, damaged_games
from generative_auctions.errors import RequestError
from generative_auctions.files import write_json


def write_results(run_dir: Path, teams: Mapping[str, Team], settings: Mapping[str, Any]) -> int:
    """Every table and page that the stored games give; 1 if an agent failed, each such agent listed, 0 otherwise.

    `settings` is the configuration. Raises `RequestError` if a stage lacks games.
    """
    rules = rules_of(settings)
    stages = [stage for number in (1, 2) if (stage := read_stage(run_dir, number, teams, rules.scoring_weights))]
    if not stages:
        raise RequestError("run_dir", run_dir, "the directory of a competition with games in it")
    _check_complete(run_dir, stage_one(list(teams.values()), rules, settings["seed"]), stages, rules)
    boards = leaderboards(stages, settings["seed"])
    if 2 in boards or any(marks_folder(run_dir, 2).glob("*.json")):
        _check_complete(run_dir, final_of(boards[1], rules), stages, rules)
    page = write_files(run_dir, stages, boards, settings)
    for stage in stages:
        terminal.leaderboard(stage.number, boards[stage.number])
        log(run_dir / COMPETITION_LOG, *decisions(boards[stage.number], stage.number))
    failures = pd.concat([stage.failures for stage in stages], ignore_index=True)
    terminal.where(page, run_dir, standings_page(run_dir))
    terminal.failures(failures, run_dir / "teams")
    if (load := Load.of(stages)).harmful:
        terminal.busy(load)
    return 1 if len(failures) else 0


def write_files(
    run_dir: Path, stages: Sequence[StageData], boards: Mapping[int, pd.DataFrame], settings: Mapping[str, Any]
) -> Path:
    """Write every table and page to `run_dir`, which holds the games; the path of the staff's page.

    The same games give the same bytes.
    """
    for format in FORMATS:
        export_results(run_dir, stages, boards, format)
    write_json(competition_metrics(boards), run_dir / "metrics.json")
    aside = set_aside_teams(settings)
    write_team_folders(run_dir, stages, boards, settings, aside)
    write_standings(run_dir, stages, boards, settings, aside)
    return generate_analytics_report(run_dir, stages, boards, settings, aside)


def _check_complete(
    run_dir: Path, drawn: TournamentStage, stages: Sequence[StageData], rules: TournamentConfig
) -> None:
    """Raise `RequestError` unless every game of the stage as `drawn` is there, and is the one that was played."""
    stored = {stage.number: stage.games for stage in stages}.get(drawn.number, {})
    for arena in drawn.arenas:
        if (number := len(stored.get(arena.arena_id, []))) < rules.stage_games(drawn.number):
            missing = f"stage{drawn.number}/{arena.arena_id}/game_{number + 1}.json"
            raise RequestError("run_dir", run_dir, f"all games of a stage, {missing} is missing (action=run resumes)")
    for block in drawn.blocks(rules.block_games):
        for error in damaged_games(run_dir, marks_folder(run_dir, drawn.number), block):
            raise error
