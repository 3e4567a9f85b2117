"""Both stages from a checked configuration to a run directory, and its tables and pages."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from agt_tournament.actions.results import write_results
from agt_tournament.config import CompetitionConfig, TournamentConfig
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
from agt_tournament.tournament.registration import SetAside, Team, example_team
from agt_tournament.tournament.results_manager import (
    generate_stage_leaderboard,
    read_stage,
)
from agt_tournament.tournament.stages import final_of, marks_folder, stage_one
from agt_tournament.tournament.tournament_manager import (
    TournamentStage,
    block_player,
    free_seats,
    is_played,
    limits_of,
    unplayed,
)
from generative_auctions.errors import RequestError
from generative_auctions.run_directory import check_writable, read_run
from launchers import Shard, fan_out, write_manifest


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
        messages.set_aside(aside)
        _log_entries(run_dir, teams, aside)
        stage1 = stage_one(teams, rules, config.seed)
        if len(stage1.arenas) == 1 and config.stage != 1:
            messages.lonely_final(len(playing), rules)
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
    messages.decided_before(decided)
    return [team for team in entered if team.team_id not in absent], decided


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
        messages.sandbox(sandbox.name)
        messages.longest_game(max(len(arena.team_ids) for arena in stage.arenas), limits_of(rules))
    what = f"stage {stage.number}, {len(stage.arenas)} arena{'s' if len(stage.arenas) > 1 else ''}"
    make_player = partial(_player, run_dir, config, folder, sandbox)
    fan_out(make_player, pending, folder, what=what, unit="games", launcher=config.launcher)


def _player(run_dir: Path, config: CompetitionConfig, folder: Path, sandbox: Sandbox) -> Callable[[Shard], None]:
    """The worker of a stage; raises `RequestError` if the walls that were chosen do not hold where it works."""
    if sandbox != NONE and (reason := preflight.why_not(sandbox.name)):
        expected = f"walls that hold on {platform.node()} too ({reason}): choose another tier or other nodes"
        raise RequestError("sandbox", sandbox.name, expected)
    return block_player(run_dir, run_dir / SUBMISSIONS, config.tournament, config.seed, folder, sandbox)
