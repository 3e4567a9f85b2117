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
    Results,
    generate_analytics_report,
    standings_page,
    terminal,
    write_standings,
    write_team_folders,
)
from agt_tournament.tournament.competition_directory import rules_of, set_aside_teams
from agt_tournament.tournament.registration import Team
from agt_tournament.tournament.stages import final_of, marks_folder, stage_one
from agt_tournament.tournament.standings import StageData, leaderboards
from agt_tournament.tournament.standings.leaderboard import competition_metrics, decisions
from agt_tournament.tournament.standings.results_manager import FORMATS, export_results
from agt_tournament.tournament.standings.stage_data import read_stages
from agt_tournament.tournament.tournament_manager import TournamentStage, damaged_games
from generative_auctions.errors import RequestError
from generative_auctions.files import write_json


def write_results(run_dir: Path, teams: Sequence[Team], settings: Mapping[str, Any]) -> int:
    """Write every table and page that the stored games give, and list each agent that failed.

    Args:
        run_dir: The directory of the competition.
        teams: Those that play, in the order in which they registered.
        settings: The stored configuration.

    Returns:
        The exit status: 1 if an agent failed.

    Raises:
        RequestError: a stage lacks games.
    """
    rules, seed = rules_of(settings), settings["seed"]
    stages = read_stages(run_dir, {team.team_id: team for team in teams}, rules.scoring_weights)
    if not stages:
        raise RequestError("run_dir", run_dir, "the directory of a competition with games in it")
    _check_complete(run_dir, stage_one(teams, rules, seed), stages, rules)
    boards = leaderboards(stages, seed)
    if 2 in boards or any(marks_folder(run_dir, 2).glob("*.json")):
        _check_complete(run_dir, final_of(boards[1], rules), stages, rules)
    page = write_files(Results(run_dir, stages, boards, settings, set_aside_teams(settings)))
    for stage in stages:
        terminal.leaderboard(stage.number, boards[stage.number])
        log(run_dir / COMPETITION_LOG, *decisions(boards[stage.number], stage.number))
    failures = pd.concat([stage.failures for stage in stages], ignore_index=True)
    terminal.where(page, run_dir, standings_page(run_dir))
    terminal.failures(failures, run_dir / "teams")
    if (load := Load.of(stages)).harmful:
        terminal.busy(load)
    return 1 if len(failures) else 0


def write_files(results: Results) -> Path:
    """Write every table and page; the same games give the same bytes.

    Returns:
        The path of the staff's page.
    """
    for format in FORMATS:
        export_results(results.run_dir, results.stages, results.boards, format)
    write_json(competition_metrics(results.boards), results.run_dir / "metrics.json")
    write_team_folders(results)
    write_standings(results)
    return generate_analytics_report(results)


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
