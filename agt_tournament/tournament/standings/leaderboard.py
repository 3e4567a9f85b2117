"""The standings of a stage: the rank of each team, the criterion that decided it, and how certain it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import pandas as pd

from agt_tournament.game import TeamGameResult
from agt_tournament.tournament.standings import ratings
from agt_tournament.tournament.standings.stage_data import StageData


def generate_stage_leaderboard(stage_data: StageData, seed: int = 0) -> pd.DataFrame:
    """Rank every arena of a stage: one row for each team, fillers last and without a rank.

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

    def total(of: Callable[[TeamGameResult], float]) -> list[float]:
        return [sum(column) for column in stage.results(arena_id, of).T.tolist()]

    failed = stage.failures.loc[stage.failures["arena_id"] == arena_id, "team_id"].value_counts()
    table = pd.DataFrame(
        {
            "arena_id": arena_id,
            "team_id": seats,
            "team_name": [team.team_name for team in teams],
            "total_score": scores.sum(axis=0),
            "total_utility": stage.results(arena_id, attrgetter("utility")).sum(axis=0),
            "max_single_item_utility": stage.results(arena_id, attrgetter("max_single_item_utility")).max(axis=0),
            "items_won": total(lambda result: len(result.items_won)),
            "valuation_sum": total(attrgetter("valuation_sum")),
            "budget_spent": total(attrgetter("budget_spent")),
            "registration_timestamp": [team.stamp for team in teams],
            "filler": [team.filler for team in teams],
            "games": len(scores),
            "errors": [int(failed.get(team, 0)) for team in seats],
            "win_rate": ratings.win_rate(scores),
        }
    )
    ranked = ~table["filler"].to_numpy()
    table = table.join([ratings.uncertainty(scores, seed, ranked=ranked), ratings.skill(scores)])
    rows = table.to_dict("records")
    table = table.loc[sorted(range(len(rows)), key=lambda i: _standing(rows[i]))].reset_index(drop=True)
    ranks = pd.Series(range(1, len(table) + 1), dtype="Int64").mask(table["filler"])
    table.insert(1, "rank", ranks)
    table.insert(4, "advances", (ranks == 1).fillna(False).astype(bool) if stage.number == 1 else False)
    return table


_CRITERIA = ("no filler", "total score", "highest utility of a single item", "items won", "registration", "team id")


def _standing(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the sort key of a team in its arena, in the order of `_CRITERIA`."""
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
    """Return the first criterion by which two teams of an arena differ."""
    pairs = zip(_CRITERIA, _standing(first), _standing(second), strict=True)
    return next(criterion for criterion, one, other in pairs if one != other)


def pairwise_table(stage: StageData) -> pd.DataFrame:
    """Return `ratings.pairwise` of every arena, with a column arena_id."""
    parts = []
    for arena_id in stage.games:
        part = ratings.pairwise(stage.scores(arena_id), stage.seats(arena_id))
        part.insert(0, "arena_id", arena_id)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def competition_metrics(boards: Mapping[int, pd.DataFrame]) -> dict[str, Any]:
    """Return rank, games, total and mean score and the mean's interval, by stage and team."""
    columns = ["rank", "games", "total_score", "mean_score", "ci_low", "ci_high"]
    return {
        f"stage{number}": json.loads(
            board.set_index("team_id").sort_index()[columns].to_json(orient="index", double_precision=15)
        )
        for number, board in boards.items()
    }


def leaderboards(stages: Iterable[StageData], seed: int) -> dict[int, pd.DataFrame]:
    """Return the leaderboard of each stage by its number."""
    return {stage.number: generate_stage_leaderboard(stage, seed) for stage in stages}
