"""One game outside any stage, for trying agents out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.table import Table
from rich.text import Text

from agt_tournament.config import CompetitionConfig, TournamentConfig
from agt_tournament.game import Failure, Game, GameResult, GameSeeds, RoundRecord, in_words, when
from agt_tournament.game.game_files import log_game_result, read_game
from agt_tournament.sandbox.one_cpu import one_cpu
from agt_tournament.sandbox.walls.sandbox import Sandbox
from agt_tournament.tournament import messages
from agt_tournament.tournament.competition_directory import SUBMISSIONS, competition_directory, registered
from agt_tournament.tournament.preflight import walls
from agt_tournament.tournament.registration.unregistered import game_teams
from agt_tournament.tournament.tournament_manager import limits_of, open_agents
from generative_auctions.errors import RequestError
from generative_auctions.files import DamagedFileError
from generative_auctions.terminal import plain_console, plain_table
from generative_auctions.text import shortened

GAME_FILE = "game.json"
_OUT = plain_console(highlight=False)
_ERR = plain_console(stderr=True, highlight=False)


def play_game(config: CompetitionConfig) -> int:
    """Play one game of `config.teams` and store it as ``game.json``."""
    if config.teams is None:
        raise RequestError("teams", "null", "who plays, for example teams=[truthful_bidder,random_bidder]")
    teams = game_teams(config.teams, registered(config))
    sandbox = walls(config, teams)
    with competition_directory(config, teams, sandbox) as run_dir:
        if not _is_played(run_dir / GAME_FILE):
            messages.sandbox(sandbox.name)
            messages.longest_game(len(teams), limits_of(config.tournament))
            team_ids = [team.team_id for team in teams]
            play_single(run_dir, run_dir / SUBMISSIONS, team_ids, config.tournament, config.seed, sandbox)
        return show_game(run_dir / GAME_FILE)


def _is_played(path: Path) -> bool:
    """Return whether the game is stored; print that a damaged one is played again."""
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
    """Print the stored game; return the exit status, 1 if an agent failed."""
    game = read_game(path)
    print_game(game, path)
    return 1 if game.failures else 0


_LAYOUTS = ((64, True), (16, True), (8, True), (0, True), (16, False), (0, False))
"""Layouts of the table of rounds: the length of the winner's name, and whether all bids are shown.

The first that fits is used.
"""


def print_game(game: GameResult, path: Path) -> None:
    """Print the rounds of a game, its result, and where it is stored."""
    unlimited = _OUT.options.update(width=10_000)
    for layout in _LAYOUTS:
        rounds = _rounds(game, *layout)
        if _OUT.measure(rounds, options=unlimited).maximum <= _OUT.width:
            break
    _OUT.print(rounds)
    results = plain_table("Result", "", "team", "utility", "best item", "spent", "items")
    numbers = _numbers(game)
    for team, result in sorted(game.team_results.items(), key=lambda item: -item[1].utility):
        money = (f"{getattr(result, name):.2f}" for name in ("utility", "max_single_item_utility", "budget_spent"))
        results.add_row(numbers[team], team, *money, str(len(result.items_won)))
    _OUT.print(results)
    _OUT.print(f"game     {path}", soft_wrap=True)
    for failure in game.failures:
        _ERR.print(f"{failure.team_id}: {_at(failure)}: {failure.text}", soft_wrap=True)


def _rounds(game: GameResult, letters: int, bids: bool) -> Table:
    """Make the table of rounds; teams are numbered as in the result, and their names cut down to `letters`."""
    numbers = _numbers(game)
    title = "winner, price, and the bid of each team" if bids else "winner and price; all bids are in the file below"
    table = plain_table(f"Rounds: {title}", "round", "item", "winner", "price", *(numbers.values() if bids else ()))
    for entry in game.auction_log:
        winner = entry.winner
        named = f"{numbers[winner]} {shortened(winner, letters) if letters else ''}".strip() if winner else "–"
        shown = [_bid(entry, team) for team in numbers] if bids else []
        table.add_row(str(entry.round), entry.item_id, named, f"{entry.price:.2f}", *shown)
    return table


def _numbers(game: GameResult) -> dict[str, str]:
    """Return the number of each team in the tables."""
    return {team: str(number) for number, team in enumerate(game.team_results, start=1)}


def _bid(entry: RoundRecord, team: str) -> str | Text:
    """Return a team's bid in a round, the error that cost it, or – if the team was no longer asked."""
    bid, error = f"{entry.all_bids[team]:.2f}", entry.errors.get(team)
    if team == entry.winner:
        return Text(bid, style="bold")
    return "–" if error and entry.seconds[team] is None else error or bid


def _at(failure: Failure) -> str:
    """Say what failed, in which method and when."""
    kind = in_words(failure.error, failure.text)
    return kind if kind != failure.error else f"{kind} in {failure.where or 'bidding_function'}, {when(failure.round)}"
