"""The games of a stage as they are stored, and the tables of their rounds and failures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count, takewhile
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from agt_tournament.config import UTILITY_ALONE, ScoringWeights
from agt_tournament.game import GameResult, RoundRecord, TeamGameResult
from agt_tournament.game.game_files import read_game
from agt_tournament.tournament.registration import Team
from generative_auctions.errors import RequestError


def log_auction_result(game: GameResult, number: int, entry: RoundRecord) -> Iterator[dict[str, Any]]:
    """Yield the round `entry` of the game `number` as rows of ``rounds.parquet``, one for each team."""
    texts = {failure.team_id: failure.text for failure in game.failures if failure.round == entry.round}
    for team, bid in entry.all_bids.items():
        yield {
            "stage": game.stage,
            "arena_id": game.arena_id,
            "game": number,
            "round": entry.round,
            "item_id": entry.item_id,
            "team_id": team,
            "valuation": game.team_results[team].valuation_vector[entry.item_id],
            "asked": entry.asked[team],
            "cap": entry.caps[team],
            "bid": bid,
            "winner": entry.winner,
            "price": entry.price,
            "seconds": entry.seconds[team],
            "cpu_seconds": entry.cpu_seconds[team],
            "waited_seconds": entry.waited_seconds.get(team),
            "error": entry.errors.get(team),
            "error_text": texts.get(team),
            "note": entry.notes.get(team),
        }


@dataclass(frozen=True)
class StageData:
    """A stage's games, by arena and in order, and the teams that played them."""

    number: int
    teams: Mapping[str, Team]
    games: Mapping[str, Sequence[GameResult]]
    """The games by arena id, in their order."""
    weights: ScoringWeights = UTILITY_ALONE
    """The weights of a game's score."""

    def seats(self, arena_id: str) -> list[str]:
        """Return the ids of the teams of an arena."""
        return list(self.games[arena_id][0].team_results)

    def results(self, arena_id: str, of: Callable[[TeamGameResult], float]) -> np.ndarray:
        """Return one number of every result, (games, teams) in the order of `seats`."""
        seats = self.seats(arena_id)
        return np.array([[of(game.team_results[team]) for team in seats] for game in self.games[arena_id]])

    def scores(self, arena_id: str) -> np.ndarray:
        """Return what ranks the teams, as `weights` say: (games, teams) in the order of `seats`."""
        games, seats = self.games[arena_id], self.seats(arena_id)
        # The budget of a game without a round is not known, and nothing was spent of it.
        budgets = np.array(
            [[game.auction_log[0].caps[team] if game.auction_log else 0.0 for team in seats] for game in games]
        )
        utility, spent = (self.results(arena_id, attrgetter(name)) for name in ("utility", "budget_spent"))
        items = self.results(arena_id, lambda result: len(result.items_won))
        weights = self.weights
        left = budgets - spent
        scores: np.ndarray = weights.utility * utility + weights.items_won * items + weights.budget_remaining * left
        return scores

    @cached_property
    def rounds(self) -> pd.DataFrame:
        """One row per stage, arena, game, round and team: the columns of `log_auction_result`."""
        rows = (
            row
            for games in self.games.values()
            for number, game in enumerate(games, start=1)
            for entry in game.auction_log
            for row in log_auction_result(game, number, entry)
        )
        return pd.DataFrame(rows)

    @cached_property
    def failures(self) -> pd.DataFrame:
        """One row for each error: stage, arena_id, game, team_id, round, error, where, text, waited_seconds."""
        rows = [
            {"stage": self.number, "arena_id": arena_id, "game": number, **vars(failure)}
            for arena_id, games in self.games.items()
            for number, game in enumerate(games, start=1)
            for failure in game.failures
        ]
        columns = ["stage", "arena_id", "game", "team_id", "round", "error", "where", "text", "waited_seconds"]
        return pd.DataFrame(rows, columns=columns).astype({"round": "Int64", "waited_seconds": float})


def read_stage(
    run_dir: Path, number: int, teams: Mapping[str, Team], weights: ScoringWeights = UTILITY_ALONE
) -> StageData | None:
    """Read the games of stage `number` stored under `run_dir`, scored by `weights`; return None without any.

    Raises `RequestError` naming a game file that is damaged, or whose teams or rounds are not those of its arena, or
    one whose teams are not among `teams`.
    """
    games = {}
    for arena in arena_folders(run_dir, number):
        if paths := game_paths(arena):
            games[arena.name] = [read_game(path) for path in paths]
            _check_arena(paths, games[arena.name], teams)
    return StageData(number, teams, games, weights) if games else None


def read_stages(run_dir: Path, teams: Mapping[str, Team], weights: ScoringWeights) -> list[StageData]:
    """Read the stages that are stored under `run_dir`, as `read_stage` does."""
    return [stage for number in (1, 2) if (stage := read_stage(run_dir, number, teams, weights))]


def arena_folders(run_dir: Path, number: int) -> list[Path]:
    """Return the folders of the arenas of stage `number`, in order."""
    folders = (run_dir / f"stage{number}").glob("arena_*")
    return sorted((path for path in folders if path.name[6:].isdecimal()), key=_number)


def _check_arena(paths: Sequence[Path], games: Sequence[GameResult], teams: Mapping[str, Team]) -> None:
    seats, rounds = list(games[0].team_results), len(games[0].auction_log)
    if unknown := [team for team in seats if team not in teams]:
        expected = f"a game of the teams that config.yaml names; they disagree about {', '.join(unknown)}"
        raise RequestError("run_dir", paths[0], f"{expected}: one of the two was changed")
    for path, game in zip(paths, games, strict=True):
        if list(game.team_results) != seats or len(game.auction_log) != rounds or not rounds:
            expected = "a game of the teams of its arena, of as many rounds as the others. Remove it, and action=run"
            raise RequestError("run_dir", path, f"{expected} plays it again")


def game_paths(arena: Path) -> list[Path]:
    """Return the files of game 1, 2 and so on, up to the first that is missing."""
    return list(takewhile(Path.exists, (arena / f"game_{number}.json" for number in count(1))))


def _number(path: Path) -> int:
    return int(path.stem.rpartition("_")[2])
