"""Bid vectors and their ratios."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffusion_auction.market.bids import grid, normalized, one_hot, simplex, without
from tests.support import bid_vectors


def test_grid_changes_the_last_bid_fastest() -> None:
    assert grid([0, 1], [0, 0.5, 1]) == [(0, 0), (0, 0.5), (0, 1), (1, 0), (1, 0.5), (1, 1)]
    assert grid([0.25]) == [(0.25,)]


def test_simplex_pairs_sum_to_one_without_rounding_dust() -> None:
    assert simplex([0, 0.1, 0.3, 0.7, 0.9, 1]) == [(0, 1), (0.1, 0.9), (0.3, 0.7), (0.7, 0.3), (0.9, 0.1), (1, 0)]


def test_one_hot_and_without() -> None:
    assert one_hot(1, 3) == (0, 1, 0)
    assert without((0.2, 0.5, 0.3), 2) == (0.2, 0.5, 0)


@pytest.mark.parametrize(
    ("bids", "ratio"),
    [
        ((0.7, 0.3), (0.7, 0.3)),
        ((1, 3), (0.25, 0.75)),
        ((2, 0, 0), (1, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((1, 1, 1), (0.3333333333,) * 3),
        ((1e308, 1e308), (0.5, 0.5)),
        ((5e-324, 0.0), (1, 0)),
    ],
)
def test_normalized_by_hand(bids: tuple[float, ...], ratio: tuple[float, ...]) -> None:
    assert normalized(bids) == ratio


@given(bid_vectors(), st.integers(-40, 40))
def test_normalized_depends_on_ratios_alone(bids: tuple[float, ...], exponent: int) -> None:
    assert normalized([bid * 2.0**exponent for bid in bids]) == normalized(bids)


@given(bid_vectors())
def test_normalized_sums_to_one_and_keeps_zeros(bids: tuple[float, ...]) -> None:
    ratio = normalized(bids)
    assert [share == 0 for share in ratio] == [bid == 0 for bid in bids]
    assert math.isclose(sum(ratio), float(any(bids)), abs_tol=1e-9)


@given(bid_vectors())
def test_normalized_bids_are_their_own_ratio(bids: tuple[float, ...]) -> None:
    """Else a pool stored under its ratio is not found again under the ratio of that."""
    ratio = normalized(bids)
    assert normalized(ratio) == ratio


@pytest.mark.parametrize(
    ("bids", "scaled"),
    [((3, 2045), (3 / 2048, 2045 / 2048)), ((7, 3.0000000015), (0.7, 0.30000000015)), ((1, 2), (1e-9, 2e-9))],
)
def test_shares_do_not_depend_on_the_unit_of_money(bids: tuple[float, ...], scaled: tuple[float, ...]) -> None:
    assert normalized(bids) == normalized(scaled)
