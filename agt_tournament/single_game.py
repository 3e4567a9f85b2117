"""One game outside any stage, for trying agents out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from agt_tournament import show
from agt_tournament.agents.agent_process import one_cpu
from agt_tournament.agents.sandbox import Sandbox
from agt_tournament.competition_directory import SUBMISSIONS, competition_directory, registered
from agt_tournament.config import CompetitionConfig, TournamentConfig
from agt_tournament.game_files import log_game_result, read_game
from agt_tournament.game_manager import Game
from agt_tournament.preflight import walls
from agt_tournament.registration import game_teams
from agt_tournament.seeding import GameSeeds
from agt_tournament.tournament_manager import limits_of, open_agents
from experiments.errors import RequestError
from experiments.stored import DamagedFileError

GAME_FILE = "game.json"


def play_game(config: CompetitionConfig) -> int:
    """One game of `config.teams`, stored as ``game.json``."""
    if config.teams is None:
        raise RequestError("teams", "null", "who plays, for example teams=[truthful_bidder,random_bidder]")
    teams = game_teams(config.teams, registered(config))
    sandbox = walls(config, teams)
    with competition_directory(config, teams, sandbox) as run_dir:
        if not _is_played(run_dir / GAME_FILE):
            show.sandbox(sandbox.name)
            show.longest_game(len(teams), limits_of(config.tournament))
            team_ids = [team.team_id for team in teams]
            play_single(run_dir, run_dir / SUBMISSIONS, team_ids, config.tournament, config.seed, sandbox)
        return show_game(run_dir / GAME_FILE)


def _is_played(path: Path) -> bool:
    """Whether the game is stored; that a damaged one is played again is said."""
    try:
        if path.exists():
            read_game(path)
        return path.exists()
    except DamagedFileError as error:
        print(f"{path}: {error.problem}; the game is played again", file=sys.stderr)
        return False


def play_single(
    run_dir: Path, submissions: Path, team_ids: Sequence[str], rules: TournamentConfig, seed: int, sandbox: Sandbox
) -> None:
    """Play one game outside any stage and store it below `run_dir`."""
    sandbox.prepare()
    with one_cpu(), ExitStack() as processes:
        agents = open_agents(submissions, team_ids, rules, processes, sandbox=sandbox)
        seeds = GameSeeds(seed, 0, 1, 1, rules.valuations_per)
        result = Game("game", "game", 0, agents, rules, seeds).play()
        log_game_result(run_dir / GAME_FILE, result, {team: agent.take_output() for team, agent in agents.items()})


def show_game(path: Path) -> int:
    """Print the stored game; 1 if an agent failed, 0 otherwise."""
    game = read_game(path)
    show.game(game, path)
    return 1 if game["failures"] else 0
