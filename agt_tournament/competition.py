"""The actions of the command line: run, game and report, from a checked configuration to a run directory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from agt_tournament import show
from agt_tournament.config import CompetitionConfig, TournamentConfig, identity
from agt_tournament.game_manager import Game
from agt_tournament.registration import (
    BUNDLED,
    Team,
    digest,
    example_team,
    game_teams,
    read_submission,
    read_teams,
    store_submission,
)
from agt_tournament.report import generate_analytics_report, write_team_folders
from agt_tournament.results_manager import (
    FORMATS,
    StageData,
    export_results,
    generate_stage_leaderboard,
    log_game_result,
    read_game,
    read_stage,
)
from agt_tournament.seeding import GUESSABLE, GameSeeds
from agt_tournament.tournament_manager import (
    SUBMISSIONS,
    Arena,
    TournamentStage,
    block_player,
    draw_arenas,
    fill_arenas,
    free_seats,
    is_played,
    open_agents,
)
from experiments.errors import RequestError
from experiments.provenance import provenance
from experiments.run_directory import run_directory, write_json
from launchers import fan_out
from launchers.status import write_manifest

GAME_FILE = "game.json"


def run(config: CompetitionConfig) -> int:
    """Play the stages that were asked for and write every result; 1 if an agent failed, 0 otherwise."""
    rules = config.tournament
    teams = _with_fillers(_registered(config), rules)
    with _open(config, teams) as run_dir:
        stage1 = stage_one(teams, rules, config.seed)
        if config.stage in (None, 1):
            play_stage(run_dir, config, stage1)
        elif not all(is_played(run_dir, _marks(run_dir, 1), shard) for shard in stage1.blocks(rules.block_games)):
            raise RequestError("stage", 2, f"stage=1 to be finished first in run_dir={run_dir}")
        everyone = {team.team_id: team for team in teams}
        if config.stage in (None, 2):
            first = read_stage(run_dir, 1, everyone)
            assert first is not None
            play_stage(run_dir, config, final_of(generate_stage_leaderboard(first, config.seed), rules))
        return write_results(run_dir, everyone, config.seed)


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


def play_stage(run_dir: Path, config: CompetitionConfig, stage: TournamentStage) -> None:
    """Play the blocks of `stage` that have not been played."""
    rules, folder = config.tournament, _marks(run_dir, stage.number)
    shards = stage.blocks(rules.block_games)
    write_manifest(folder, [shard.key for shard in shards])
    pending = [shard for shard in shards if not is_played(run_dir, folder, shard)]
    what = f"stage {stage.number}, {len(stage.arenas)} arena{'s' if len(stage.arenas) > 1 else ''}"
    play = block_player(run_dir, run_dir / SUBMISSIONS, rules, config.seed, folder)
    fan_out(lambda: play, pending, folder, what=what, unit="games")


def write_results(run_dir: Path, teams: Mapping[str, Team], seed: int) -> int:
    """Every table and page that the stored games give; 1 if an agent failed, each such agent listed, 0 otherwise."""
    stages = [stage for number in (1, 2) if (stage := read_stage(run_dir, number, teams))]
    if not stages:
        raise RequestError("run_dir", run_dir, "the directory of a competition with games in it")
    boards = leaderboards(stages, seed)
    for format in FORMATS:
        export_results(run_dir, stages, boards, format)
    write_team_folders(run_dir, stages, boards)
    page = generate_analytics_report(run_dir, stages, boards)
    for stage in stages:
        show.leaderboard(stage.number, boards[stage.number])
    failures = pd.concat([stage.failures for stage in stages], ignore_index=True)
    show.where(page, run_dir)
    show.failures(failures, run_dir / "teams")
    return 1 if len(failures) else 0


def leaderboards(stages: Iterable[StageData], seed: int) -> dict[int, pd.DataFrame]:
    """The leaderboard of each stage by its number."""
    return {stage.number: generate_stage_leaderboard(stage, seed) for stage in stages}


def report(run_dir: Path, stored: Mapping[str, Any]) -> int:
    """Tables and pages of the stored games again."""
    if stored.get("action") == "game":
        return _show_game(run_dir / GAME_FILE)
    teams = {team.team_id: team for team in stored_teams(stored)}
    return write_results(run_dir, teams, stored["seed"])


def stored_teams(stored: Mapping[str, Any]) -> list[Team]:
    """The teams of a run directory's configuration, fillers included."""
    return [Team.of_json(entry) for entry in stored["roster"]]


def play_game(config: CompetitionConfig) -> int:
    """One game of `config.teams`, stored as ``game.json``."""
    if config.teams is None:
        raise RequestError("teams", "null", "who plays, for example teams=[truthful_bidder,random_bidder]")
    teams = game_teams(config.teams, _registered(config))
    with _open(config, teams) as run_dir:
        if not (run_dir / GAME_FILE).exists():
            team_ids = [team.team_id for team in teams]
            play_single(run_dir, run_dir / SUBMISSIONS, team_ids, config.tournament, config.seed)
        return _show_game(run_dir / GAME_FILE)


def play_single(run_dir: Path, submissions: Path, team_ids: Sequence[str], rules: TournamentConfig, seed: int) -> None:
    """Play one game outside any stage and store it below `run_dir`."""
    with ExitStack() as processes:
        agents = open_agents(submissions, team_ids, rules, processes)
        seeds = GameSeeds(seed, 0, 1, 1, rules.valuations_per)
        result = Game("game", "game", 0, agents, rules, seeds).play()
        log_game_result(run_dir / GAME_FILE, result, {team: agent.take_output() for team, agent in agents.items()})


def _show_game(path: Path) -> int:
    game = read_game(path)
    show.game(game, path)
    return 1 if game["failures"] else 0


# --- the run directory -----------------------------------------------------------------------------------


def _registered(config: CompetitionConfig) -> list[Team]:
    return read_teams(BUNDLED if config.teams_dir is None else Path(config.teams_dir))


@contextmanager
def _open(config: CompetitionConfig, teams: Sequence[Team]) -> Iterator[Path]:
    """The run directory, held for this run, with the submissions and the provenance in it."""
    files = {team.team_id: read_submission(Path(team.agent_file_path), f"team {team.team_id}") for team in teams}
    decided = {f"teams.{team.team_id}": _identity(team, files[team.team_id]) for team in teams}
    stored = {**config.model_dump(mode="json", by_alias=True), "roster": [team.as_json() for team in teams]}
    with run_directory(Path(config.run_dir), stored, identity(config) | decided) as run_dir:
        for team_id, content in files.items():
            store_submission(content, run_dir / SUBMISSIONS / team_id)
        if not (run_dir / "provenance.json").exists():
            write_json(provenance(config.seed), run_dir / "provenance.json")
        if config.teams_dir is not None and config.seed < GUESSABLE:
            show.guessable(config.seed)
        yield run_dir


def _identity(team: Team, files: dict[str, bytes]) -> str:
    stamp = team.registration_timestamp
    return f"{digest(files)}, registered {stamp.isoformat() if stamp else 'at an unknown time'}"


def _marks(run_dir: Path, stage: int) -> Path:
    return run_dir / "shards" / f"stage{stage}"


def rules_of(stored: Mapping[str, Any]) -> TournamentConfig:
    """The rules that a run directory was made with."""
    return TournamentConfig.model_validate(stored["tournament"])
