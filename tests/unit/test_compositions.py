"""The recursive composition against the paper's closed form and its stated properties."""

from itertools import permutations
from math import isclose, prod

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from diffusion_auction.bids import Bids
from diffusion_auction.compositions import COMPOSITIONS, Weights, recursive
from tests.support import bid_vectors


def closed_form(bids: Bids) -> Weights:
    """Equation 6, term by term, from b^(i) and w^(i) of appendix F; ties by agent index. No bid may be zero."""
    order = sorted(range(len(bids)), key=lambda agent: -bids[agent])  # stable: equal bids by index
    n, b = len(bids), [bids[agent] for agent in order]  # b[j-1] is b_j, falling
    w = {i: 2 * sum(b[: n - i]) / sum(b[: n - i + 1]) - 1 for i in range(1, n)}
    weights = {tuple(sorted(order[:1])): prod(w[i] for i in range(1, n))}
    for i in range(2, n + 1):
        weights[tuple(sorted(order[:i]))] = prod(w[j] for j in range(1, n - i + 1)) * (1 - w[n - i + 1])
    return weights


def same(left: Weights, right: Weights) -> bool:
    """Whether two weightings agree to 1e-8, absent meaning zero."""
    return all(abs(left.get(s, 0) - right.get(s, 0)) < 1e-8 for s in left.keys() | right.keys())


@pytest.mark.parametrize(
    ("bids", "weights"),
    [
        ((0.7, 0.3), {(0, 1): 0.6, (0,): 0.4}),  # w = 2·0.7 − 1
        ((0.3, 0.7), {(0, 1): 0.6, (1,): 0.4}),
        ((3, 1), {(0, 1): 0.5, (0,): 0.5}),
        ((0.5, 0.5), {(0, 1): 1}),
        ((1, 0), {(0,): 1}),
        ((0, 0.2), {(1,): 1}),
        ((0, 0), {(): 1}),
        ((5,), {(0,): 1}),
        ((0,), {(): 1}),
        # n = 3: w1 = 2·0.9 − 1 = 0.8; then (2/3, 1/3): w2 = 1/3
        ((0.6, 0.3, 0.1), {(0, 1, 2): 0.2, (0, 1): 0.8 * 2 / 3, (0,): 0.8 / 3}),
        # equal bids by index: w1 = 2·2/3 − 1 = 1/3; then (1/2, 1/2): w2 = 0
        ((1, 1, 1), {(0, 1, 2): 2 / 3, (0, 1): 1 / 3}),
        # the lower index of the two equal agents stays: w1 = 0.6; then (3/4, 1/4): w2 = 1/2
        ((0.2, 0.6, 0.2), {(0, 1, 2): 0.4, (0, 1): 0.3, (1,): 0.3}),
        ((0.4, 0, 0.6), {(0, 2): 0.8, (2,): 0.2}),
    ],
)
def test_by_hand(bids: Bids, weights: Weights) -> None:
    found = recursive(bids)
    assert found.keys() == weights.keys()
    assert same(found, weights)


@given(bid_vectors())
def test_is_equation_6(bids: Bids) -> None:
    assume(all(bids))
    assert same(recursive(bids), closed_form(bids))


@given(bid_vectors())
def test_weights_are_convex_and_none_is_zero(bids: Bids) -> None:
    weights = recursive(bids)
    assert all(weight > 0 for weight in weights.values())
    assert isclose(sum(weights.values()), 1, rel_tol=1e-12)
    assert all(list(coalition) == sorted(set(coalition)) for coalition in weights)


@given(bid_vectors(), st.floats(1e-6, 1e6))
def test_scale_invariance(bids: Bids, scale: float) -> None:
    assert same(recursive(tuple(scale * bid for bid in bids)), recursive(bids))


@given(st.integers(1, 6).flatmap(lambda n: st.tuples(bid_vectors(n, distinct=True), st.permutations(range(n)))))
def test_permutation_equivariance_for_distinct_bids(case: tuple[Bids, list[int]]) -> None:
    bids, seat = case  # agent i moves to seat[i]
    moved = [0.0] * len(bids)
    for agent, bid in enumerate(bids):
        moved[seat[agent]] = bid
    expected = {tuple(sorted(seat[agent] for agent in s)): w for s, w in recursive(bids).items()}
    assert same(recursive(tuple(moved)), expected)


@given(bid_vectors())
def test_who_bids_zero_is_in_no_coalition(bids: Bids) -> None:
    present = {agent for coalition in recursive(bids) for agent in coalition}
    assert present == {agent for agent, bid in enumerate(bids) if bid > 0}


@given(st.integers(1, 6), st.floats(1e-3, 1e3))
def test_equal_bids_are_ordered_by_agent_index(n: int, bid: float) -> None:
    assert all(coalition == tuple(range(len(coalition))) for coalition in recursive((bid,) * n))


def test_a_higher_bid_never_loses_coalitions() -> None:
    """Coalitions are nested: sorted by falling bid, each is the next larger one without its lowest bidder."""
    for bids in permutations((0.5, 0.3, 0.15, 0.05)):
        order = sorted(range(4), key=lambda agent: -bids[agent])
        assert set(recursive(bids)) == {tuple(sorted(order[:size])) for size in (1, 2, 3, 4)}


def test_the_option_is_the_function() -> None:
    assert COMPOSITIONS["recursive"] is recursive
