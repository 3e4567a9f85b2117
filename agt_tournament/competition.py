"""Both stages from a checked configuration to a run directory, and its tables and pages."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from agt_tournament import preflight, show
from agt_tournament.agents.sandbox import NONE, Sandbox
from agt_tournament.competition_directory import (
    SUBMISSIONS,
    competition_directory,
    registered,
    rules_of,
    stored_teams,
)
from agt_tournament.config import CompetitionConfig, TournamentConfig
from agt_tournament.registration import Team, example_team
from agt_tournament.report import Load, generate_analytics_report, write_team_folders
from agt_tournament.results_manager import (
    FORMATS,
    StageData,
    competition_metrics,
    export_results,
    generate_stage_leaderboard,
    read_stage,
)
from agt_tournament.tournament_manager import (
    Arena,
    TournamentStage,
    block_player,
    damaged_games,
    draw_arenas,
    fill_arenas,
    free_seats,
    is_played,
    limits_of,
    unplayed,
)
from experiments.errors import RequestError
from experiments.run_directory import read_run, write_json
from launchers import Shard, fan_out
from launchers.status import write_manifest


def run(config: CompetitionConfig) -> int:
    """Play the stages that were asked for and write every result; 1 if an agent failed, 0 otherwise."""
    rules = config.tournament
    if config.stage == 2 and not (Path(config.run_dir) / "config.yaml").exists():
        raise RequestError("stage", 2, f"stage=1 to be finished first in run_dir={config.run_dir}")
    teams = _with_fillers(registered(config), rules)
    sandbox = preflight.walls(config, teams)
    with competition_directory(config, teams, sandbox) as run_dir:
        stage1 = stage_one(teams, rules, config.seed)
        if config.stage in (None, 1):
            play_stage(run_dir, config, stage1, sandbox)
        elif not all(is_played(run_dir, marks_folder(run_dir, 1), shard) for shard in stage1.blocks(rules.block_games)):
            raise RequestError("stage", 2, f"stage=1 to be finished first in run_dir={run_dir}")
        everyone = {team.team_id: team for team in teams}
        if config.stage in (None, 2):
            first = read_stage(run_dir, 1, everyone)
            assert first is not None
            play_stage(run_dir, config, final_of(generate_stage_leaderboard(first, config.seed), rules), sandbox)
        return write_results(run_dir, everyone, read_run(run_dir))


def stage_one(teams: Sequence[Team], rules: TournamentConfig, seed: int) -> TournamentStage:
    """The arenas that `teams` are drawn into; fillers take the seats that are left."""
    arenas = draw_arenas([team.team_id for team in teams if not team.filler], rules.arena_size, seed)
    if fillers := [team.team_id for team in teams if team.filler]:
        arenas = fill_arenas(arenas, rules.arena_size, fillers)
    return TournamentStage(1, arenas, rules.stage1_games)


def final_of(board: pd.DataFrame, rules: TournamentConfig) -> TournamentStage:
    """Stage 2: those that advance on the leaderboard of stage 1, in one arena."""
    return TournamentStage(2, (Arena(2, 1, tuple(board[board["advances"]]["team_id"])),), rules.stage2_games)


def _with_fillers(teams: list[Team], rules: TournamentConfig) -> list[Team]:
    """`teams` and, if the rules name any, as many fillers as there are free seats in their arenas."""
    if not rules.fillers:
        return teams
    fillers = []
    for i in range(free_seats(len(teams), rules.arena_size)):
        place = i % len(rules.fillers)
        fillers.append(
            example_team(rules.fillers[place], f"filler_{i + 1}", key=f"tournament.fillers[{place}]", filler=True)
        )
    taken = {team.team_id for team in teams} & {team.team_id for team in fillers}
    if taken:
        raise RequestError("team_id", ", ".join(sorted(taken)), "another id: with fillers these are the staff's")
    return [*teams, *fillers]


def play_stage(run_dir: Path, config: CompetitionConfig, stage: TournamentStage, sandbox: Sandbox) -> None:
    """Play the blocks of `stage` that have not been played."""
    rules, folder = config.tournament, marks_folder(run_dir, stage.number)
    shards = stage.blocks(rules.block_games)
    write_manifest(folder, [shard.key for shard in shards])
    pending = unplayed(run_dir, folder, shards)
    if pending:
        show.sandbox(sandbox.name)
        show.longest_game(max(len(arena.team_ids) for arena in stage.arenas), limits_of(rules))
    what = f"stage {stage.number}, {len(stage.arenas)} arena{'s' if len(stage.arenas) > 1 else ''}"
    make_player = partial(_player, run_dir, config, folder, sandbox)
    fan_out(make_player, pending, folder, what=what, unit="games", launcher=config.launcher)


def _player(run_dir: Path, config: CompetitionConfig, folder: Path, sandbox: Sandbox) -> Callable[[Shard], None]:
    """The worker of a stage; raises `RequestError` if the walls that were chosen do not hold where it works."""
    if sandbox != NONE and (reason := preflight.why_not(sandbox.name)):
        expected = f"walls that hold on {platform.node()} too ({reason}): choose another tier or other nodes"
        raise RequestError("sandbox", sandbox.name, expected)
    return block_player(run_dir, run_dir / SUBMISSIONS, config.tournament, config.seed, folder, sandbox)


def write_results(run_dir: Path, teams: Mapping[str, Team], settings: Mapping[str, Any]) -> int:
    """Every table and page that the stored games give; 1 if an agent failed, each such agent listed, 0 otherwise.

    `settings` is the configuration. Raises `RequestError` if a stage lacks games.
    """
    stages = [stage for number in (1, 2) if (stage := read_stage(run_dir, number, teams))]
    _check_complete(run_dir, stages, rules_of(settings))
    boards = leaderboards(stages, settings["seed"])
    page = write_files(run_dir, stages, boards, settings)
    for stage in stages:
        show.leaderboard(stage.number, boards[stage.number])
    failures = pd.concat([stage.failures for stage in stages], ignore_index=True)
    show.where(page, run_dir)
    show.failures(failures, run_dir / "teams")
    if (load := Load.of(stages)).harmful:
        show.busy(load)
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
    write_team_folders(run_dir, stages, boards, settings)
    return generate_analytics_report(run_dir, stages, boards, settings)


def _check_complete(run_dir: Path, stages: Sequence[StageData], rules: TournamentConfig) -> None:
    """Raise `RequestError` unless every game of `stages` is there, and is the one that was played."""
    if not stages:
        raise RequestError("run_dir", run_dir, "the directory of a competition with games in it")
    for stage in stages:
        for arena_id, games in stage.games.items():
            if len(games) < rules.stage_games(stage.number):
                missing = f"stage{stage.number}/{arena_id}/game_{len(games) + 1}.json"
                raise RequestError(
                    "run_dir", run_dir, f"all games of a stage, {missing} is missing (action=run resumes)"
                )
        seats = {arena_id: stage.seats(arena_id) for arena_id in stage.games}
        for block in TournamentStage.of_seats(stage.number, seats, rules).blocks(rules.block_games):
            for error in damaged_games(run_dir, marks_folder(run_dir, stage.number), block):
                raise error


def leaderboards(stages: Iterable[StageData], seed: int) -> dict[int, pd.DataFrame]:
    """The leaderboard of each stage by its number."""
    return {stage.number: generate_stage_leaderboard(stage, seed) for stage in stages}


def report(run_dir: Path, stored: Mapping[str, Any]) -> int:
    """Tables and pages of the stored games again."""
    teams = {team.team_id: team for team in stored_teams(stored)}
    return write_results(run_dir, teams, stored)


def marks_folder(run_dir: Path, stage: int) -> Path:
    """Where the blocks of a stage are marked as played."""
    return run_dir / "shards" / f"stage{stage}"
