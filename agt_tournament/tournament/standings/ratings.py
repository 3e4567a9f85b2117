"""How certain the standings are: intervals, chances of being first, ratings, pairwise comparisons.

Every function takes scores (games, teams) of one arena, which are utilities unless the rules weigh more. The results
hold for these teams under these rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import permutations

import numpy as np
import pandas as pd
from openskill.models import PlackettLuce
from scipy import stats

DRAWS = 2000
LEVEL = 0.95


def uncertainty(scores: np.ndarray, seed: int, draws: int = DRAWS, ranked: np.ndarray | None = None) -> pd.DataFrame:
    """Return per team the mean, the ends of its percentile bootstrap interval, and the chance of being first.

    The first team is the one with the highest total among those in the mask `ranked`, by default all.

    Whole games are drawn with replacement, the same for all teams: who is first depends on all of them. With a
    single game nothing can be drawn, and the columns are NaN. Agents may learn from game to game within a block; the
    bootstrap nevertheless takes games for independent.
    """
    games, teams = scores.shape
    columns = {"mean_score": scores.mean(axis=0)}
    if games < 2:
        return pd.DataFrame(columns | dict.fromkeys(("ci_low", "ci_high", "first_chance"), np.nan))
    resampled = stats.bootstrap(
        (scores,),
        np.mean,
        axis=0,
        n_resamples=draws,
        batch=100,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    first = np.zeros(teams)
    competing = np.ones(teams, dtype=bool) if ranked is None else ranked
    first[competing] = top_shares(resampled.bootstrap_distribution.T[:, competing]).mean(axis=0)
    interval = resampled.confidence_interval
    return pd.DataFrame({**columns, "ci_low": interval.low, "ci_high": interval.high, "first_chance": first})


def top_shares(scores: np.ndarray) -> np.ndarray:
    """Give 1 to the highest of each row, shared by equal ones: (rows, teams)."""
    top: np.ndarray = scores == scores.max(axis=1, keepdims=True)
    shares: np.ndarray = top / top.sum(axis=1, keepdims=True)
    return shares


def win_rate(scores: np.ndarray) -> np.ndarray:
    """Return the share of games in which a team has the highest score; equal ones share."""
    rates: np.ndarray = top_shares(scores).mean(axis=0)
    return rates


def skill(scores: np.ndarray) -> pd.DataFrame:
    """Return OpenSkill's rating mu ± sigma of each team after all games in order, and the ordinal mu − 3 sigma.

    Weng and Lin's Plackett–Luce model (Journal of Machine Learning Research 12, 2011), from the ranks in each game.
    """
    model = PlackettLuce()
    players = [[model.rating()] for _ in range(scores.shape[1])]
    for game in scores if len(players) > 1 else ():  # alone there is nobody to be compared with
        players = model.rate(players, scores=game.tolist())
    rows = [(rating.mu, rating.sigma, rating.ordinal()) for (rating,) in players]
    return pd.DataFrame(rows, columns=["rating_mu", "rating_sigma", "rating"])


def pairwise(scores: np.ndarray, teams: Sequence[str]) -> pd.DataFrame:
    """Compare each ordered pair of teams over the games of `scores`.

    Returns:
        Columns team_id, rival_id, games, ahead (the share of games in which the team ended above its rival; equal
        scores count half), and ci_low and ci_high, its 95 % Wilson interval.
    """
    rows = []
    for (i, team), (j, rival) in permutations(enumerate(teams), 2):
        ahead = np.sign(scores[:, i] - scores[:, j])
        wins, games = float(((ahead + 1) / 2).sum()), len(ahead)
        rows.append((team, rival, games, wins / games, *_wilson(wins, games)))
    return pd.DataFrame(rows, columns=["team_id", "rival_id", "games", "ahead", "ci_low", "ci_high"])


@cache
def _wilson(wins: float, games: int) -> tuple[float, float]:
    """Return Wilson's interval for a share; a half win is lost for the lower end and won for the upper one."""
    fewest, most = (stats.binomtest(int(rounded(wins)), games) for rounded in (np.floor, np.ceil))
    low, high = (test.proportion_ci(LEVEL, method="wilson") for test in (fewest, most))
    return float(low.low), float(high.high)
