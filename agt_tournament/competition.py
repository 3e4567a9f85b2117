"""Both stages from a checked configuration to a run directory, and its tables and pages."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from agt_tournament import preflight, show
from agt_tournament.admission import admit
from agt_tournament.agents.sandbox import NONE, Sandbox
from agt_tournament.competition_directory import (
    SUBMISSIONS,
    competition_directory,
    has_begun,
    keep_presentation,
    read_competition,
    registered,
    rules_of,
    set_aside_teams,
    stored_decisions,
    stored_teams,
)
from agt_tournament.config import CompetitionConfig, TournamentConfig
from agt_tournament.execution_log import COMPETITION_LOG, log, logged
from agt_tournament.registration import SetAside, Team, example_team
from agt_tournament.report import Load, generate_analytics_report, standings_page, write_standings, write_team_folders
from agt_tournament.results_manager import (
    FORMATS,
    StageData,
    competition_metrics,
    decisions,
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
from experiments.run_directory import check_writable, read_run, write_json
from launchers import Shard, fan_out
from launchers.status import write_manifest


def run(config: CompetitionConfig) -> int:
    """Play the stages that were asked for and write every result; 1 if an agent failed, 0 otherwise."""
    rules = config.tournament
    if config.stage == 2 and not has_begun(Path(config.run_dir)):
        raise RequestError("stage", 2, f"stage=1 to be finished first in run_dir={config.run_dir}")
    check_writable(Path(config.run_dir))
    entered = registered(config)
    fillers = [_filler(rules, place, place + 1) for place in range(len(rules.fillers))]
    sandbox = preflight.walls(config, [*entered, *fillers])
    playing, aside = admitted(config, entered, sandbox)
    teams = _with_fillers(playing, rules)
    with (
        competition_directory(config, teams, sandbox, aside) as run_dir,
        logged(run_dir / COMPETITION_LOG, f"the run of {_asked(config, sandbox)}"),
    ):
        show.set_aside(aside)
        _log_entries(run_dir, teams, aside)
        stage1 = stage_one(teams, rules, config.seed)
        if len(stage1.arenas) == 1 and config.stage != 1:
            show.lonely_final(len(playing), rules)
        if config.stage in (None, 1):
            play_stage(run_dir, config, stage1, sandbox)
        elif not all(is_played(run_dir, marks_folder(run_dir, 1), shard) for shard in stage1.blocks(rules.block_games)):
            raise RequestError("stage", 2, f"stage=1 to be finished first in run_dir={run_dir}")
        everyone = {team.team_id: team for team in teams}
        if config.stage in (None, 2):
            first = read_stage(run_dir, 1, everyone, rules.scoring_weights)
            assert first is not None
            play_stage(run_dir, config, final_of(generate_stage_leaderboard(first, config.seed), rules), sandbox)
        return write_results(run_dir, everyone, read_run(run_dir))


def _asked(config: CompetitionConfig, sandbox: Sandbox) -> str:
    stages = "both stages" if config.stage is None else f"stage {config.stage}"
    return f"{stages}, sandbox {sandbox.name}, launcher {config.launcher.name}"


def _log_entries(run_dir: Path, teams: Sequence[Team], aside: Sequence[SetAside]) -> None:
    log(run_dir / COMPETITION_LOG, f"playing: {', '.join(team.team_id for team in teams)}")
    log(run_dir / COMPETITION_LOG, *(f"{each.team.team_id} is set aside: {each.gist}" for each in aside))


def admitted(config: CompetitionConfig, entered: Sequence[Team], sandbox: Sandbox) -> tuple[list[Team], list[SetAside]]:
    """The teams that play, and those that were set aside: decided once, before a competition begins."""
    decided = stored_decisions(Path(config.run_dir))
    if decided is None:
        return admit(config, entered, sandbox)
    absent = {aside.team.team_id for aside in decided}
    show.decided_before(decided)
    return [team for team in entered if team.team_id not in absent], decided


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
    seats = range(free_seats(len(teams), rules.arena_size))
    fillers = [_filler(rules, seat % len(rules.fillers), seat + 1) for seat in seats]
    taken = {team.team_id for team in teams} & {team.team_id for team in fillers}
    if taken:
        raise RequestError("team_id", ", ".join(sorted(taken)), "another id: with fillers these are the staff's")
    return [*teams, *fillers]


def _filler(rules: TournamentConfig, place: int, number: int) -> Team:
    """The filler of that `number`: an agent of what stands at `place` of the rules' fillers."""
    key = f"tournament.fillers[{place}]"
    return example_team(rules.fillers[place], f"filler_{number}", key=key, filler=True)


def play_stage(run_dir: Path, config: CompetitionConfig, stage: TournamentStage, sandbox: Sandbox) -> None:
    """Play the blocks of `stage` that have not been played."""
    rules, folder = config.tournament, marks_folder(run_dir, stage.number)
    shards = stage.blocks(rules.block_games)
    write_manifest(folder, [shard.key for shard in shards])
    pending = unplayed(run_dir, folder, shards)
    log_file = run_dir / COMPETITION_LOG
    if pending:
        seats = (f"stage {stage.number}, {arena.arena_id}: {', '.join(arena.team_ids)}" for arena in stage.arenas)
        log(log_file, *seats, f"stage {stage.number}: {len(pending)} of {len(shards)} blocks of games are to be played")
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
        show.leaderboard(stage.number, boards[stage.number])
        log(run_dir / COMPETITION_LOG, *decisions(boards[stage.number], stage.number))
    failures = pd.concat([stage.failures for stage in stages], ignore_index=True)
    show.where(page, run_dir, standings_page(run_dir))
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


def leaderboards(stages: Iterable[StageData], seed: int) -> dict[int, pd.DataFrame]:
    """The leaderboard of each stage by its number."""
    return {stage.number: generate_stage_leaderboard(stage, seed) for stage in stages}


def report(config: CompetitionConfig) -> int:
    """Write the tables and pages of the stored games again, with the headline and the standings that `config` asks for.

    Returns:
        The exit status, as `write_results`.
    """
    run_dir = Path(config.run_dir)
    keep_presentation(run_dir, config)
    stored = read_competition(run_dir)
    teams = {team.team_id: team for team in stored_teams(stored)}
    return write_results(run_dir, teams, stored)


def marks_folder(run_dir: Path, stage: int) -> Path:
    """Where the blocks of a stage are marked as played."""
    return run_dir / "shards" / f"stage{stage}"
