"""Prices, budgets, efficiency and revenue of an arena's games, and how its agents answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from agt_tournament.game import NOBODY, GameResult, RoundRecord
from agt_tournament.tournament.standings import StageData
from agt_tournament.tournament.standings.ratings import DRAWS, LEVEL
from generative_auctions.plotting import Estimate
from generative_auctions.text import count

_MOST_CELLS = 4_000_000  # of the table of draws × games that is held at once
_WORK = 0.01  # seconds of CPU time; what takes less is not late on any machine
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Economy:
    """An arena's games as arrays; money in the unit of bids."""

    seats: tuple[str, ...]
    prices: np.ndarray
    """The price of each round, (games, rounds)."""
    budgets: np.ndarray
    """The remaining budgets, (games, rounds + 1, teams) in the order of `seats`; the first are those before round 1."""
    efficiency: np.ndarray
    """The `allocative_efficiency` of each game, (games,)."""
    revenue: np.ndarray
    """The sum of each game's prices, (games,)."""


def economy_of(games: Sequence[GameResult]) -> Economy:
    """Return the arrays of an arena's `games`, which all have the same number of rounds."""
    seats = tuple(games[0].team_results)
    prices = np.array([[entry.price for entry in game.auction_log] for game in games], dtype=float)
    return Economy(
        seats=seats,
        prices=prices,
        budgets=np.array([budgets_left(game.auction_log, seats) for game in games], dtype=float),
        efficiency=np.array([allocative_efficiency(game) for game in games], dtype=float),
        revenue=prices.sum(axis=1),
    )


def budgets_left(log: Sequence[RoundRecord], seats: Sequence[str]) -> list[list[float]]:
    """Return the budgets before the first round and after each: (rounds + 1, teams)."""
    before = [[entry.caps[team] for team in seats] for entry in log]
    last = log[-1]
    return [*before, [last.caps[team] - last.price * (team == last.winner) for team in seats]]


def allocative_efficiency(game: GameResult) -> float:
    """Return the sum of the winners' valuations divided by that of the highest valuations; NaN for 0 of 0.

    The best assignment gives each item to who values it most: values add up, and money only changes hands.
    """
    values = [result.valuation_vector for result in game.team_results.values()]
    best = sum(max(own[entry.item_id] for own in values) for entry in game.auction_log)
    reached = sum(
        game.team_results[entry.winner].valuation_vector[entry.item_id]
        for entry in game.auction_log
        if entry.winner != NOBODY
    )
    return reached / best if best > 0 else float("nan")


# --- means with intervals --------------------------------------------------------------------------------


def mean_estimates(values: np.ndarray, seed: int = 0) -> list[Estimate]:
    """Return the mean of each column of `values` (games, columns) with its percentile bootstrap interval.

    Whole games are drawn with replacement, `ratings.DRAWS` times and the same for all columns; one game alone has no
    interval.
    """
    games = len(values)
    if not games:
        return [Estimate(np.nan, np.nan, np.nan)] * values.shape[1]
    mean = values.mean(axis=0)
    if games < 2:
        return [Estimate(float(value), np.nan, np.nan) for value in mean]
    rng, shares, step = np.random.default_rng(seed), np.full(games, 1 / games), max(_MOST_CELLS // games, 1)
    drawn = np.concatenate(
        [rng.multinomial(games, shares, size=min(step, DRAWS - done)) @ values for done in range(0, DRAWS, step)]
    )
    low, high = np.quantile(drawn / games, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return [Estimate(*map(float, ends)) for ends in zip(mean, low, high, strict=True)]


def mean_estimate(values: np.ndarray) -> Estimate:
    """Return the mean of `values` (games,) with its interval, as `mean_estimates`; unknown values are left out."""
    return mean_estimates(values[np.isfinite(values), None])[0]


# --- agents ----------------------------------------------------------------------------------------------


def used_seconds(rounds: pd.DataFrame) -> pd.Series:
    """Return the CPU time of each answer, which is limited; wall time where it is unknown, NaN without an answer."""
    return rounds["cpu_seconds"].astype(float).fillna(rounds["seconds"].astype(float))


def conduct(rounds: pd.DataFrame) -> pd.DataFrame:
    """Summarize by team_id how each agent answered, from rows of `StageData.rounds`.

    Columns rounds, capped (bids cut down to the budget), lost (rounds in which an error cost the bid), median_seconds
    and max_seconds (of an answer, as `used_seconds`; NaN without any).
    """
    columns = {
        "rounds": 1,
        "capped": rounds["note"].notna(),
        "lost": rounds["asked"].isna(),
        "seconds": used_seconds(rounds),
    }
    teams = rounds[["team_id"]].assign(**columns).groupby("team_id", sort=False)
    counts = teams[["rounds", "capped", "lost"]].sum()
    return counts.assign(median_seconds=teams["seconds"].median(), max_seconds=teams["seconds"].max())


@dataclass(frozen=True)
class Load:
    """What other work on the machine cost the agents: how long they were ready to run and had no CPU."""

    late: int
    """The number of late answers, those of loading and of starting a game included."""
    held_up: tuple[float, ...]
    """Seconds waited by late answers that the machine is to blame for."""
    longest: float
    """The longest wait for a bid in seconds; NaN if unknown."""
    share: float
    """The part of the working time of bids that was spent waiting; NaN if no bid took work."""

    @classmethod
    def of(cls, stages: Sequence[StageData]) -> Load:
        """Measure the load in all games of `stages`."""
        late = pd.concat([stage.failures[stage.failures["error"] == "timeout"] for stage in stages])
        columns = ["seconds", "cpu_seconds", "waited_seconds"]
        bids = pd.concat([stage.rounds[columns].astype(float) for stage in stages])
        work = bids[bids["cpu_seconds"] > _WORK].sum()
        return cls(
            late=len(late),
            held_up=tuple(sorted(late["waited_seconds"].dropna())),
            longest=float(bids["waited_seconds"].max()),
            share=float(work["waited_seconds"] / work["seconds"]) if work["seconds"] else np.nan,
        )

    @property
    def known(self) -> bool:
        """Whether the kernel said how long anyone waited."""
        return bool(self.held_up) or np.isfinite(self.longest)

    @property
    def harmful(self) -> bool:
        """Whether agents were late because of it."""
        return bool(self.held_up)

    def __str__(self) -> str:
        if self.held_up:
            ends = " to ".join(dict.fromkeys(f"{waited:.2f}" for waited in (self.held_up[0], self.held_up[-1])))
            return f"too busy: {len(self.held_up):,} of {count(self.late, 'late answer')} waited {ends} s for a CPU"
        shares = f"; those that took work waited {self.share:.0%} of their time" if np.isfinite(self.share) else ""
        longest = f"{self.longest:.3g} s" if self.longest >= 1 else f"{1000 * self.longest:.3g} ms"
        return f"no bid waited longer than {longest} for a CPU{shares}"


def no_formula(text: Any) -> Any:
    """Return `text` such that no spreadsheet runs it: an agent may have chosen it."""
    return f"'{text}" if isinstance(text, str) and text.startswith(_FORMULA) else text


# --- for templates ---------------------------------------------------------------------------------------


def known(value: Any) -> Any:
    """Return a number of a table for a template: None in place of NaN."""
    return None if pd.isna(value) else value


def shown(estimate: Estimate) -> dict[str, float | None]:
    """Return mean, low and high of an estimate for a template, None where unknown."""
    return {name: known(value) for name, value in estimate._asdict().items()}


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table, None for what is missing."""
    return [{str(name): known(value) for name, value in row.items()} for row in table.to_dict("records")]


def stage_title(number: int) -> str:
    """Return the title of stage 1 or 2."""
    return {1: "Qualification", 2: "Championship"}[number]
