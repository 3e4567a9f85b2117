"""What items are worth: ranges, counts, distributions, and what depends on what."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from agt_tournament.game.seeding import GameSeeds
from agt_tournament.game.valuation_generator import (
    draw_categories,
    draw_items,
    generate_arena_valuations,
    generate_valuation_vector,
    item_ids,
)
from tests.tournament import rules

RULES = rules()
RANGES = {"high": (10, 20), "low": (1, 10), "mixed": (1, 20)}
GAMES = 10_000
ITEMS = [f"item_{i}" for i in range(20)]
LEVEL = 1e-3


class Drawn:
    """Ten thousand games of two teams: categories (games, items), values by team (games, items), order of sale."""

    def __init__(self) -> None:
        games = [GameSeeds(77, 1, 1, game) for game in range(1, GAMES + 1)]
        categories = [draw_categories(RULES, seeds) for seeds in games]
        self.names = [list(kinds) for kinds in categories]
        self.categories = np.array([list(kinds.values()) for kinds in categories])
        self.values = {
            team: np.array(
                [
                    list(generate_valuation_vector(team, kinds, RULES, seeds).values())
                    for kinds, seeds in zip(categories, games, strict=True)
                ]
            )
            for team in ("ana", "ben")
        }
        self.sold = np.array(
            [[int(item.removeprefix("item_")) for item in draw_items(RULES, seeds)] for seeds in games]
        )


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    return Drawn()


def test_items_are_numbered_from_zero() -> None:
    assert item_ids(RULES) == ITEMS


def test_every_game_has_six_high_four_low_and_ten_mixed_items(drawn: Drawn) -> None:
    assert all(names == ITEMS for names in drawn.names)
    for kind, count in {"high": 6, "low": 4, "mixed": 10}.items():
        assert ((drawn.categories == kind).sum(axis=1) == count).all()


@pytest.mark.parametrize("kind", RANGES)
def test_every_value_lies_in_the_range_of_its_category(drawn: Drawn, kind: str) -> None:
    low, high = RANGES[kind]
    for values in drawn.values.values():
        of_kind = values[drawn.categories == kind]
        assert ((of_kind >= low) & (of_kind <= high)).all()


@pytest.mark.parametrize("kind", RANGES)
def test_values_of_a_category_are_uniform_on_its_range(drawn: Drawn, kind: str) -> None:
    low, high = RANGES[kind]
    for values in drawn.values.values():
        of_kind = values[drawn.categories == kind]
        assert stats.kstest(of_kind, stats.uniform(low, high - low).cdf).pvalue > LEVEL


@pytest.mark.parametrize("kind", RANGES)
def test_an_items_number_does_not_tell_its_category(drawn: Drawn, kind: str) -> None:
    counts = (drawn.categories == kind).sum(axis=0)
    # Of 20 items k are of this kind in each game, so counts vary less than independent ones: scale to their variance.
    k = {"high": 6, "low": 4, "mixed": 10}[kind]
    expected = GAMES * k / 20
    statistic = ((counts - expected) ** 2).sum() / (GAMES * k / 20 * (1 - k / 20)) * 19 / 20
    assert LEVEL < stats.chi2(19).sf(statistic) < 1 - 1e-6


def test_values_of_two_teams_are_uncorrelated_within_a_category(drawn: Drawn) -> None:
    for kind in RANGES:
        ana, ben = (drawn.values[team][drawn.categories == kind] for team in ("ana", "ben"))
        assert stats.pearsonr(ana, ben).pvalue > LEVEL


def test_values_of_successive_games_and_items_are_uncorrelated_within_a_category(drawn: Drawn) -> None:
    values, mixed = drawn.values["ana"], drawn.categories == "mixed"
    games = mixed[1:] & mixed[:-1]
    assert stats.pearsonr(values[1:][games], values[:-1][games]).pvalue > LEVEL
    items = mixed[:, 1:] & mixed[:, :-1]
    assert stats.pearsonr(values[:, 1:][items], values[:, :-1][items]).pvalue > LEVEL


def test_teams_agree_on_categories_and_only_on_them(drawn: Drawn) -> None:
    """Over all items values of two teams go together, for the categories are common."""
    assert stats.pearsonr(drawn.values["ana"].ravel(), drawn.values["ben"].ravel()).statistic > 0.3
    assert (drawn.values["ana"] != drawn.values["ben"]).all()


def test_an_arena_shares_its_categories() -> None:
    teams = [f"team_{i}" for i in range(200)]
    seeds = GameSeeds(3, 1, 4, 2)
    values = np.array([list(v.values()) for v in generate_arena_valuations(teams, RULES, seeds).values()])
    for column, kind in zip(values.T, draw_categories(RULES, seeds).values(), strict=True):
        low, high = RANGES[kind]
        assert low <= column.min() < low + (high - low) * 0.1
        assert high - (high - low) * 0.1 < column.max() <= high


def test_a_teams_values_depend_neither_on_its_seat_nor_on_who_else_plays() -> None:
    seeds = GameSeeds(3, 1, 4, 2)
    full = generate_arena_valuations(["ana", "ben", "cai", "dee", "eli"], RULES, seeds)
    assert generate_arena_valuations(["eli", "zoe", "ana"], RULES, seeds)["ana"] == full["ana"]
    assert generate_arena_valuations(["ana"], RULES, seeds)["ana"] == full["ana"]


def test_valuations_per_stage_repeat_in_every_game_and_per_game_never() -> None:
    for per, same in (("stage", True), ("game", False)):
        one, two = (generate_arena_valuations(["ana"], RULES, GameSeeds(3, 1, 1, game, per)) for game in (1, 2))
        assert (one == two) is same
    assert draw_items(RULES, GameSeeds(3, 1, 1, 1, "stage")) != draw_items(RULES, GameSeeds(3, 1, 1, 2, "stage"))


def test_other_arenas_stages_and_seeds_have_other_values() -> None:
    places = [(3, 1, 1, 1), (3, 1, 2, 1), (3, 2, 1, 1), (4, 1, 1, 1)]
    vectors = [tuple(generate_arena_valuations(["ana"], RULES, GameSeeds(*place))["ana"].values()) for place in places]
    assert len(set(itertools.chain(*vectors))) == 4 * 20


def test_a_game_sells_fifteen_items_each_once(drawn: Drawn) -> None:
    assert drawn.sold.shape == (GAMES, 15)
    assert (np.sort(drawn.sold, axis=1)[:, 1:] > np.sort(drawn.sold, axis=1)[:, :-1]).all()


def test_every_item_is_as_likely_at_every_place_of_the_sale(drawn: Drawn) -> None:
    for place in range(15):
        assert stats.chisquare(np.bincount(drawn.sold[:, place], minlength=20)).pvalue > LEVEL / 15


def test_every_subset_and_every_order_is_equally_likely() -> None:
    small = rules(total_items=5, high_value_items=2, low_value_items=1, mixed_value_items=2, auction_rounds=3)
    orders = Counter(tuple(draw_items(small, GameSeeds(8, 1, 1, game))) for game in range(1, 6001))
    assert len(orders) == 60
    assert stats.chisquare(list(orders.values())).pvalue > LEVEL


def test_what_is_sold_is_independent_of_what_it_is_worth(drawn: Drawn) -> None:
    rows = np.arange(GAMES)
    kinds = Counter(drawn.categories[rows[:, None], drawn.sold].ravel().tolist())
    assert stats.chisquare([kinds["high"], kinds["low"], kinds["mixed"]], [45_000, 30_000, 75_000]).pvalue > LEVEL
    first = drawn.values["ana"][rows, drawn.sold[:, 0]]
    assert stats.ks_2samp(first, drawn.values["ana"].ravel()).pvalue > LEVEL


def test_a_range_of_one_point_gives_that_value() -> None:
    narrow = rules(high_value_range=[7, 7], low_value_range=[0, 0], mixed_value_range=[3.5, 3.5])
    assert Counter(generate_arena_valuations(["ana"], narrow, GameSeeds(1, 1, 1, 1))["ana"].values()) == {
        7.0: 6,
        0.0: 4,
        3.5: 10,
    }
