"""How sure the standings are: by hand, by enumeration, and by simulation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agt_tournament.tournament.standings.ratings import pairwise, skill, top_shares, uncertainty, win_rate


def test_the_interval_covers_the_mean_of_normal_utilities_nineteen_times_of_twenty() -> None:
    rng = np.random.default_rng(1)
    covered = []
    for repetition in range(25):
        table = uncertainty(rng.normal(10, 4, (50, 40)), seed=repetition, draws=1000)
        covered += ((table["ci_low"] <= 10) & (table["ci_high"] >= 10)).tolist()
    assert 0.92 < np.mean(covered) < 0.97  # of 1000; the percentile interval of 50 is a little short


def test_the_interval_lies_around_the_mean_and_narrows_with_games() -> None:
    utilities = np.random.default_rng(2).normal(5, 3, (400, 3))
    many, few = uncertainty(utilities, 0), uncertainty(utilities[:25], 0)
    assert (many["ci_low"] < many["mean_score"]).all()
    assert (many["mean_score"] < many["ci_high"]).all()
    assert np.allclose(many["mean_score"], utilities.mean(axis=0))
    widths = [(table["ci_high"] - table["ci_low"]).mean() for table in (many, few)]
    assert widths[1] / widths[0] == pytest.approx(4, rel=0.3)
    assert widths[0] == pytest.approx(2 * 1.96 * 3 / 20, rel=0.15)


@given(st.integers(2, 6), st.integers(1, 5), st.integers(0, 99))
@settings(max_examples=25)
def test_the_chances_of_being_first_sum_to_one(games: int, teams: int, seed: int) -> None:
    utilities = np.random.default_rng(seed).integers(0, 3, (games, teams)).astype(float)
    assert uncertainty(utilities, seed, draws=200)["first_chance"].sum() == pytest.approx(1)


def test_the_chance_of_being_first_is_that_of_all_resamples() -> None:
    utilities = np.array([[3.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 4.0, 2.0]])
    shares = np.zeros(3)
    for games in itertools.product(range(3), repeat=3):
        totals = [sum(utilities[game][team] for game in games) for team in range(3)]
        first = [team for team in range(3) if totals[team] == max(totals)]
        shares[first] += 1 / len(first) / 27
    assert np.allclose(uncertainty(utilities, 0, draws=20_000)["first_chance"], shares, atol=0.015)


def test_who_always_wins_is_first_for_sure() -> None:
    assert uncertainty(np.array([[2.0, 1.0]] * 5), 0)["first_chance"].tolist() == [1, 0]


def test_of_a_single_game_nothing_is_said() -> None:
    table = uncertainty(np.array([[2.0, 1.0]]), 0)
    assert table["mean_score"].tolist() == [2, 1]
    assert table[["ci_low", "ci_high", "first_chance"]].isna().all(axis=None)


def test_intervals_follow_from_the_seed() -> None:
    utilities = np.random.default_rng(3).normal(size=(10, 3))
    assert uncertainty(utilities, 1).equals(uncertainty(utilities, 1))
    assert not uncertainty(utilities, 1).equals(uncertainty(utilities, 2))


def test_equal_teams_share_a_win() -> None:
    utilities = np.array([[2.0, 2.0, 1.0], [0.0, 0.0, 0.0], [1.0, 5.0, 3.0], [-1.0, -2.0, -2.0]])
    assert top_shares(utilities).tolist() == [[0.5, 0.5, 0], [1 / 3] * 3, [0, 1, 0], [1, 0, 0]]
    assert win_rate(utilities) == pytest.approx([(0.5 + 1 / 3 + 1) / 4, (0.5 + 1 / 3 + 1) / 4, 1 / 12])


def test_ahead_by_hand() -> None:
    utilities = np.array([[5.0, 1.0]] * 7 + [[2.0, 2.0]] * 2 + [[0.0, 9.0]])
    table = pairwise(utilities, ["ana", "ben"]).set_index(["team_id", "rival_id"])
    ana = table.loc[("ana", "ben")]
    assert (ana["games"], ana["ahead"]) == (10, 0.8)
    assert (ana["ci_low"], ana["ci_high"]) == pytest.approx((0.49016, 0.94331), abs=1e-4)  # Wilson's of 8 of 10
    assert table.loc[("ben", "ana"), "ahead"] == pytest.approx(0.2)


@given(st.integers(1, 30), st.integers(2, 5), st.integers(0, 99))
@settings(max_examples=30)
def test_ahead_of_each_other_sums_to_one(games: int, teams: int, seed: int) -> None:
    utilities = np.random.default_rng(seed).integers(0, 4, (games, teams)).astype(float)
    names = [f"t{i}" for i in range(teams)]
    table = pairwise(utilities, names).set_index(["team_id", "rival_id"])
    assert len(table) == teams * (teams - 1)
    for a, b in itertools.combinations(names, 2):
        one, two = table.loc[(a, b)], table.loc[(b, a)]
        assert one["ahead"] + two["ahead"] == pytest.approx(1)
        assert one["ci_low"] + two["ci_high"] == pytest.approx(1, abs=1e-9)
        assert 0 <= one["ci_low"] <= one["ahead"] <= one["ci_high"] <= 1


def test_ratings_order_teams_as_their_games_do() -> None:
    table = skill(np.array([[9.0, 5.0, 1.0, -3.0]] * 20))
    assert table["rating_mu"].is_monotonic_decreasing
    assert table["rating"].is_monotonic_decreasing
    assert np.allclose(table["rating"], table["rating_mu"] - 3 * table["rating_sigma"])
    backwards = skill(np.array([[-3.0, 1.0, 5.0, 9.0]] * 20))
    assert np.allclose(backwards["rating_mu"][::-1], table["rating_mu"])


def test_ratings_know_ranks_and_not_amounts() -> None:
    utilities = np.random.default_rng(4).normal(size=(12, 4))
    assert np.allclose(skill(utilities), skill(10 * utilities + 7))


def test_ratings_of_equal_teams_are_equal_and_more_games_make_them_surer() -> None:
    few, many = skill(np.zeros((3, 3))), skill(np.zeros((30, 3)))
    assert few["rating_mu"].nunique() == 1 or np.ptp(few["rating_mu"]) < 1e-9
    assert (many["rating_sigma"] < few["rating_sigma"]).all()
