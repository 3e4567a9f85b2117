"""What a competition leaves on disk, and the tables made of it (design document, section 6).

Game files are the record; everything else is made of them, and can be made again.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from agt_tournament.config import UTILITY_ALONE, ScoringWeights
from agt_tournament.game.game_files import game_files, log_game_result, place_of_game, read_game
from agt_tournament.game.game_manager import valuation_sum
from agt_tournament.tournament import ratings
from agt_tournament.tournament.registration import Team
from generative_auctions.errors import RequestError
from generative_auctions.files import write_atomic, write_json, write_table

__all__ = [
    "FORMATS",
    "StageData",
    "arena_folders",
    "competition_metrics",
    "decisions",
    "export_results",
    "game_files",
    "generate_stage_leaderboard",
    "log_auction_result",
    "log_game_result",
    "pairwise_table",
    "place_of_game",
    "public_feed",
    "read_game",
    "read_stage",
    "write_csv",
]

FORMATS = ("csv", "json", "parquet", "xlsx")


def log_auction_result(game: Mapping[str, Any], number: int, entry: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A round as rows of ``rounds.parquet``, one for each team; `number` is the game's, `entry` of its auction log."""
    texts = {item["team_id"]: item["text"] for item in game["failures"] if item["round"] == entry["round"]}
    for team, bid in entry["all_bids"].items():
        yield {
            "stage": game["stage"],
            "arena_id": game["arena_id"],
            "game": number,
            "round": entry["round"],
            "item_id": entry["item_id"],
            "team_id": team,
            "valuation": game["team_results"][team]["valuation_vector"][entry["item_id"]],
            "asked": entry["asked"][team],
            "cap": entry["caps"][team],
            "bid": bid,
            "winner": entry["winner"],
            "price": entry["price"],
            "seconds": entry["seconds"][team],
            "cpu_seconds": entry["cpu_seconds"][team],
            "waited_seconds": entry.get("waited_seconds", {}).get(team),
            "error": entry["errors"].get(team),
            "error_text": texts.get(team),
            "note": entry["notes"].get(team),
        }


# --- a stage as it is stored -----------------------------------------------------------------------------


@dataclass(frozen=True)
class StageData:
    """A stage's games, by arena and in order, and the teams that played them."""

    number: int
    teams: Mapping[str, Team]
    games: Mapping[str, Sequence[Mapping[str, Any]]]
    """By arena id: the contents of its game files, game 1 first."""
    weights: ScoringWeights = UTILITY_ALONE
    """What a game's score is made of."""

    def seats(self, arena_id: str) -> list[str]:
        """The teams of an arena."""
        return list(self.games[arena_id][0]["team_results"])

    def utilities(self, arena_id: str) -> np.ndarray:
        """(games, teams) in the order of `seats`."""
        seats = self.seats(arena_id)
        rows = [[game["team_results"][team]["utility"] for team in seats] for game in self.games[arena_id]]
        return np.array(rows, dtype=float)

    def scores(self, arena_id: str) -> np.ndarray:
        """(games, teams) in the order of `seats`: what ranks the teams, as `weights` say."""
        rows = [
            [game_score(game, team, self.weights) for team in self.seats(arena_id)] for game in self.games[arena_id]
        ]
        return np.array(rows, dtype=float)

    @cached_property
    def rounds(self) -> pd.DataFrame:
        """One row per stage, arena, game, round and team: the columns of `log_auction_result`."""
        rows = (
            row
            for games in self.games.values()
            for number, game in enumerate(games, start=1)
            for entry in game["auction_log"]
            for row in log_auction_result(game, number, entry)
        )
        return pd.DataFrame(rows)

    @cached_property
    def failures(self) -> pd.DataFrame:
        """One row for each error: stage, arena_id, game, team_id, round, error, where, text, waited_seconds."""
        rows = [
            {"stage": self.number, "arena_id": arena_id, "game": number, **failure}
            for arena_id, games in self.games.items()
            for number, game in enumerate(games, start=1)
            for failure in game["failures"]
        ]
        columns = ["stage", "arena_id", "game", "team_id", "round", "error", "where", "text", "waited_seconds"]
        return pd.DataFrame(rows, columns=columns).astype({"round": "Int64", "waited_seconds": float})


def game_score(game: Mapping[str, Any], team: str, weights: ScoringWeights) -> float:
    """What the game brings `team`: utility, items won and budget left, as `weights` say."""
    result = game["team_results"][team]
    budget = next((entry["caps"][team] for entry in game["auction_log"][:1]), 0.0)  # no round, nothing to bid with
    left = budget - result["budget_spent"]
    return (
        weights.utility * result["utility"]
        + weights.items_won * len(result["items_won"])
        + weights.budget_remaining * left
    )


def read_stage(
    run_dir: Path, number: int, teams: Mapping[str, Team], weights: ScoringWeights = UTILITY_ALONE
) -> StageData | None:
    """The games of stage `number` that are stored under `run_dir`, scored by `weights`; None without any.

    Raises `RequestError` naming a game file that is damaged, or whose teams or rounds are not those of its arena, or
    one whose teams are not among `teams`.
    """
    games = {}
    for arena in arena_folders(run_dir, number):
        if paths := _game_paths(arena):
            games[arena.name] = [read_game(path) for path in paths]
            _check_arena(paths, games[arena.name], teams)
    return StageData(number, teams, games, weights) if games else None


def arena_folders(run_dir: Path, number: int) -> list[Path]:
    """The folders of the arenas of stage `number`, in order."""
    folders = (run_dir / f"stage{number}").glob("arena_*")
    return sorted((path for path in folders if path.name[6:].isdecimal()), key=_number)


def _check_arena(paths: Sequence[Path], games: Sequence[Mapping[str, Any]], teams: Mapping[str, Team]) -> None:
    seats, rounds = list(games[0]["team_results"]), len(games[0]["auction_log"])
    if unknown := [team for team in seats if team not in teams]:
        expected = f"a game of the teams that config.yaml names; they disagree about {', '.join(unknown)}"
        raise RequestError("run_dir", paths[0], f"{expected}: one of the two was changed")
    for path, game in zip(paths, games, strict=True):
        if list(game["team_results"]) != seats or len(game["auction_log"]) != rounds or not rounds:
            expected = "a game of the teams of its arena, of as many rounds as the others. Remove it, and action=run"
            raise RequestError("run_dir", path, f"{expected} plays it again")


def _game_paths(arena: Path) -> list[Path]:
    """Game 1, 2 and so on, up to the first that is missing."""
    return list(takewhile(Path.exists, (arena / f"game_{number}.json" for number in count(1))))


def _number(path: Path) -> int:
    return int(path.stem.rpartition("_")[2])


# --- tables ----------------------------------------------------------------------------------------------


def generate_stage_leaderboard(stage_data: StageData, seed: int = 0) -> pd.DataFrame:
    """The standings of every arena of a stage, one row for each team, fillers last and without a rank.

    Ranked by total score, then the highest utility of a single item, most items, earliest registration (no
    registration time is later than any), and last the team id. Columns arena_id, rank, team_id, team_name, advances
    (the first of each arena of stage 1), total_score, total_utility, max_single_item_utility, items_won, valuation_sum
    (of the items won), budget_spent, games, registration_timestamp, filler, errors, and of `ratings`, from the scores
    of games: mean_score, ci_low, ci_high, first_chance, win_rate, rating_mu, rating_sigma, rating. `seed` is that of
    the bootstrap.
    """
    return pd.concat(
        [_arena_leaderboard(stage_data, arena_id, seed) for arena_id in stage_data.games], ignore_index=True
    )


def _arena_leaderboard(stage: StageData, arena_id: str, seed: int) -> pd.DataFrame:
    seats, scores = stage.seats(arena_id), stage.scores(arena_id)
    teams = [stage.teams[team] for team in seats]
    ranked = np.array([not team.filler for team in teams])
    results = [[game["team_results"][team] for game in stage.games[arena_id]] for team in seats]
    failed = stage.failures.loc[stage.failures["arena_id"] == arena_id, "team_id"].value_counts()
    table = pd.DataFrame(
        {
            "arena_id": arena_id,
            "team_id": seats,
            "team_name": [team.team_name for team in teams],
            "total_score": scores.sum(axis=0),
            "total_utility": stage.utilities(arena_id).sum(axis=0),
            "max_single_item_utility": [max(game["max_single_item_utility"] for game in games) for games in results],
            "items_won": [sum(len(game["items_won"]) for game in games) for games in results],
            "valuation_sum": [
                sum(valuation_sum(game["valuation_vector"], game["items_won"]) for game in games) for games in results
            ],
            "budget_spent": [sum(game["budget_spent"] for game in games) for games in results],
            "registration_timestamp": [_stamp(team) for team in teams],
            "filler": [team.filler for team in teams],
            "games": len(scores),
            "errors": [int(failed.get(team, 0)) for team in seats],
            "win_rate": ratings.win_rate(scores),
        }
    )
    table = table.join([ratings.uncertainty(scores, seed, ranked=ranked), ratings.skill(scores)])
    rows = table.to_dict("records")
    table = table.loc[sorted(range(len(rows)), key=lambda i: _standing(rows[i]))].reset_index(drop=True)
    ranks = pd.Series(range(1, len(table) + 1), dtype="Int64").mask(table["filler"])
    table.insert(1, "rank", ranks)
    table.insert(4, "advances", (ranks == 1).fillna(False).astype(bool) if stage.number == 1 else False)
    return table


_CRITERIA = ("no filler", "total score", "highest utility of a single item", "items won", "registration", "team id")


def _standing(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What the teams of an arena are sorted by, in the order of `_CRITERIA`."""
    stamp = row["registration_timestamp"]
    registered = datetime.fromisoformat(stamp) if isinstance(stamp, str) else datetime.max.replace(tzinfo=UTC)
    single, items = row["max_single_item_utility"], row["items_won"]
    return row["filler"], -row["total_score"], -single, -items, registered, row["team_id"]


def decisions(board: pd.DataFrame, stage: int) -> Iterator[str]:
    """Tell who is first in each arena of the leaderboard of `stage`, and by which criterion before the second."""
    for arena_id, rows in board.groupby("arena_id", sort=False):
        first, *others = rows.to_dict("records")
        what = "advances" if first["advances"] else "is first"
        yield f"stage {stage}, {arena_id}: {first['team_id']} {what} with {first['total_score']:.6g}" + (
            f", before {others[0]['team_id']} with {others[0]['total_score']:.6g}: {_decided(first, others[0])} decides"
            if others
            else ", alone"
        )


def _decided(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """The criterion by which two teams of an arena differ."""
    pairs = zip(_CRITERIA, _standing(first), _standing(second), strict=True)
    return next(criterion for criterion, one, other in pairs if one != other)


def _stamp(team: Team) -> str | None:
    return None if team.registration_timestamp is None else team.registration_timestamp.isoformat()


def pairwise_table(stage: StageData) -> pd.DataFrame:
    """`ratings.pairwise` of every arena, with a column arena_id."""
    parts = []
    for arena_id in stage.games:
        part = ratings.pairwise(stage.scores(arena_id), stage.seats(arena_id))
        part.insert(0, "arena_id", arena_id)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def competition_metrics(boards: Mapping[int, pd.DataFrame]) -> dict[str, Any]:
    """By stage and team of the leaderboards `boards`: rank, games, total and mean score, the mean's interval."""
    columns = ["rank", "games", "total_score", "mean_score", "ci_low", "ci_high"]
    return {
        f"stage{number}": json.loads(
            board.set_index("team_id").sort_index()[columns].to_json(orient="index", double_precision=15)
        )
        for number, board in boards.items()
    }


def public_feed(stages: Iterable[StageData]) -> pd.DataFrame:
    """What everyone may know: stage, arena_id, game, round, item_id, winner and price, and nothing else."""
    rounds = pd.concat([stage.rounds for stage in stages], ignore_index=True)
    columns = ["stage", "arena_id", "game", "round", "item_id", "winner", "price"]
    return rounds[columns].drop_duplicates(["stage", "arena_id", "game", "round"], ignore_index=True)


# --- files of the whole competition ----------------------------------------------------------------------


def export_results(run_dir: Path, stages: Sequence[StageData], boards: Mapping[int, pd.DataFrame], format: str) -> None:
    """Write the tables of `stages` and their leaderboards `boards` in one of `FORMATS`.

    csv: leaderboards/stageN_final.csv and stageN_pairwise.csv, public/rounds.csv. parquet: rounds.parquet. xlsx:
    results.xlsx. json: leaderboards/stageN_final.json.
    """
    if format == "parquet":
        write_table(pd.concat([stage.rounds for stage in stages], ignore_index=True), run_dir / "rounds.parquet")
    elif format == "xlsx":
        _write_workbook(run_dir / "results.xlsx", stages, boards)
    elif format == "csv":
        write_csv(public_feed(stages), run_dir / "public" / "rounds.csv")
        for stage in stages:
            write_csv(boards[stage.number], run_dir / "leaderboards" / f"stage{stage.number}_final.csv")
            write_csv(pairwise_table(stage), run_dir / "leaderboards" / f"stage{stage.number}_pairwise.csv")
    elif format == "json":
        for number, board in boards.items():
            records = json.loads(board.to_json(orient="records", double_precision=15))
            write_json(records, run_dir / "leaderboards" / f"stage{number}_final.json")
    else:
        raise ValueError(f"format = {format!r}: expected one of {', '.join(FORMATS)}")


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a CSV file at once or not at all."""
    write_atomic(path, table.to_csv(index=False, lineterminator="\n").encode())


_WRITTEN = datetime(1980, 1, 1, tzinfo=UTC)  # says the workbook, so that the same results are the same bytes
_SHEET_ROWS = 50_000  # ten seconds; the rounds of more games are in rounds.parquet alone


def _write_workbook(path: Path, stages: Sequence[StageData], boards: Mapping[int, pd.DataFrame]) -> None:
    """Leaderboards, rounds and errors as sheets; text is never taken for a formula or a link.

    A table that is too long for a spreadsheet is left out.
    """
    content = io.BytesIO()
    options = {"strings_to_formulas": False, "strings_to_urls": False, "in_memory": True}
    with pd.ExcelWriter(content, engine="xlsxwriter", engine_kwargs={"options": options}) as workbook:
        workbook.book.set_properties({"created": _WRITTEN})
        for stage in stages:
            sheets = {
                "leaderboard": boards[stage.number],
                "pairwise": pairwise_table(stage),
                "rounds": stage.rounds.drop(columns="error_text"),
                "errors": stage.failures,
            }
            for name, table in sheets.items():
                if len(table) <= _SHEET_ROWS:
                    table.to_excel(workbook, sheet_name=f"stage {stage.number} {name}", index=False)
    write_atomic(path, content.getvalue())


def leaderboards(stages: Iterable[StageData], seed: int) -> dict[int, pd.DataFrame]:
    """The leaderboard of each stage by its number."""
    return {stage.number: generate_stage_leaderboard(stage, seed) for stage in stages}
