"""Both stages from a checked configuration to a run directory, and its tables and pages."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from agt_tournament.actions.results import write_results
from agt_tournament.config import CompetitionConfig
from agt_tournament.game.execution_log import COMPETITION_LOG, log, logged
from agt_tournament.sandbox.walls.sandbox import NONE, Sandbox
from agt_tournament.tournament import messages, preflight
from agt_tournament.tournament.admission import admit
from agt_tournament.tournament.competition_directory import (
    SUBMISSIONS,
    competition_directory,
    has_begun,
    registered,
    stored_decisions,
)
from agt_tournament.tournament.registration import SetAside, Team
from agt_tournament.tournament.registration.unregistered import fillers, with_fillers
from agt_tournament.tournament.stages import final_of, marks_folder, stage_one
from agt_tournament.tournament.standings.leaderboard import generate_stage_leaderboard
from agt_tournament.tournament.standings.stage_data import read_stage
from agt_tournament.tournament.tournament_manager import TournamentStage, block_player, is_played, limits_of, unplayed
from generative_auctions.errors import RequestError
from generative_auctions.run_directory import check_writable, read_run
from generative_auctions.text import count
from launchers import Shard, fan_out
from launchers.status import write_manifest


def run(config: CompetitionConfig) -> int:
    """Play the stages that were asked for and write every result.

    Returns:
        The exit status: 1 if an agent failed.
    """
    rules, run_dir = config.tournament, Path(config.run_dir)
    if config.stage == 2 and not has_begun(run_dir):
        raise RequestError("stage", 2, f"stage=1 to be finished first in run_dir={config.run_dir}")
    check_writable(run_dir)
    entered = registered(config)
    sandbox = preflight.walls(config, [*entered, *fillers(rules, len(rules.fillers))])
    playing, aside = _admitted(config, entered, sandbox)
    teams = with_fillers(playing, rules)
    log_file = run_dir / COMPETITION_LOG
    with competition_directory(config, teams, sandbox, aside), logged(log_file, _what(config, sandbox)):
        messages.set_aside(aside)
        log(log_file, f"playing: {', '.join(team.team_id for team in teams)}")
        log(log_file, *(f"{each.team.team_id} is set aside: {each.gist}" for each in aside))
        first = stage_one(teams, rules, config.seed)
        if len(first.arenas) == 1 and config.stage != 1:
            messages.lonely_final(len(playing), rules)
        if config.stage != 2:
            play_stage(run_dir, config, first, sandbox)
        elif not all(is_played(run_dir, marks_folder(run_dir, 1), shard) for shard in first.blocks(rules.block_games)):
            raise RequestError("stage", 2, f"stage=1 to be finished first in run_dir={run_dir}")
        if config.stage != 1:
            played = read_stage(run_dir, 1, {team.team_id: team for team in teams}, rules.scoring_weights)
            assert played is not None
            play_stage(run_dir, config, final_of(generate_stage_leaderboard(played, config.seed), rules), sandbox)
        return write_results(run_dir, teams, read_run(run_dir))


def _what(config: CompetitionConfig, sandbox: Sandbox) -> str:
    """Describe the run for its log."""
    stages = "both stages" if config.stage is None else f"stage {config.stage}"
    return f"the run of {stages}, sandbox {sandbox.name}, launcher {config.launcher.name}"


def _admitted(
    config: CompetitionConfig, entered: Sequence[Team], sandbox: Sandbox
) -> tuple[list[Team], list[SetAside]]:
    """Return the teams that play, and those that are set aside: decided once, before a competition begins."""
    decided = stored_decisions(Path(config.run_dir))
    if decided is None:
        return admit(config, entered, sandbox)
    absent = {aside.team.team_id for aside in decided}
    messages.decided_before(decided)
    return [team for team in entered if team.team_id not in absent], decided


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
        messages.sandbox(sandbox.name)
        messages.longest_game(max(len(arena.team_ids) for arena in stage.arenas), limits_of(rules))
    what = f"stage {stage.number}, {count(len(stage.arenas), 'arena')}"
    make_player = partial(_player, run_dir, config, folder, sandbox)
    fan_out(make_player, pending, folder, what=what, unit="games", launcher=config.launcher)


def _player(run_dir: Path, config: CompetitionConfig, folder: Path, sandbox: Sandbox) -> Callable[[Shard], None]:
    """Return the worker of a stage; raises `RequestError` if the chosen walls do not hold on its machine."""
    if sandbox != NONE and (reason := preflight.why_not(sandbox.name)):
        expected = f"walls that hold on {platform.node()} too ({reason}): choose another tier or other nodes"
        raise RequestError("sandbox", sandbox.name, expected)
    return block_player(run_dir, run_dir / SUBMISSIONS, config.tournament, config.seed, folder, sandbox)
