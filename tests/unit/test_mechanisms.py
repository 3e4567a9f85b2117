"""Allocation and payments: worked by hand, against plain loops, and what theory says of every pool."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffusion_auction.evaluation.truthfulness import regrets
from diffusion_auction.market.bids import Bids, normalized, one_hot
from diffusion_auction.mechanisms import (
    MECHANISMS,
    VCG,
    CandidatePool,
    FirstPrice,
    Mechanism,
    Myerson,
    Outcomes,
    Shapley,
    SingleWinner,
    VCGPool,
    side_by_side,
)
from diffusion_auction.mechanisms.vcg_pool import SETS, compositions_of
from tests.support import bid_vectors
from tests.unit import brute_force
from tests.unit.brute_force import Image, Sale

ALL = [mechanism() for mechanism in MECHANISMS.values()]
exact = {"rtol": 0, "atol": 1e-12}


def held(mechanism: Mechanism, bids: Bids, pools: CandidatePool) -> Outcomes:
    """A single auction."""
    return mechanism.run(np.array([bids]), pools)


def chosen(outcomes: Outcomes) -> tuple[Bids, int]:
    """Shares of the pool and sample of the image that the first auction sold."""
    sold, pools = outcomes.sold, outcomes.sold.pools
    return tuple(pools.ratios[sold.block[0, 0]].tolist()), int(pools.samples[sold.place[0, 0]])


def names(mechanisms: Sequence[Mechanism]) -> list[str]:
    return [mechanism.name for mechanism in mechanisms]


# --- by hand ---------------------------------------------------------------------------------------------

# Two agents, k = 2, bids (3, 1); beside each image its welfare 3 α1 + α2.
TWO = CandidatePool.from_mapping(
    {
        (0.0, 0.0): [[0.10, 0.20], [0.15, 0.10]],  # 0.50 0.55
        (3.0, 1.0): [[0.30, 0.20], [0.25, 0.50]],  # 1.10 1.25
        (1.0, 0.0): [[0.40, 0.10], [0.30, 0.20]],  # 1.30 1.10
        (0.0, 1.0): [[0.05, 0.50], [0.20, 0.60]],  # 0.65 1.20
        (1.0, 1.0): [[0.20, 0.40], [0.30, 0.10]],  # 1.00 1.00
    }
)
BY_HAND_TWO: dict[Any, tuple] = {
    # Of P(3, 1) the second, 1.25: values .75 and .5. Without 1, max α2 over P(0, 1) is .6, and agent 2 has .5.
    # Without 2, max 3 α1 over P(1, 0) is 1.2, and agent 1 has .75.
    VCG(): ((0.75, 0.25), 1, [0.25, 0.50], [0.1, 0.45], [0.65, 0.05], 0.55),
    # Of all ten images the first of P(1, 0), 1.3: values 1.2 and .1. Max α2 is .6, agent 2 has .1; max 3 α1 is 1.2.
    VCGPool(): ((1.0, 0.0), 0, [0.40, 0.10], [0.5, 0.0], [0.7, 0.1], 0.5),
    # Of P(1, 1) and P(3, 1) the second of the latter, 1.25. Max α2 is .5, agent 2 has it; max 3 α1 is .9, 1 has .75.
    VCGPool(("joint", (3.0, 1.0))): ((0.75, 0.25), 1, [0.25, 0.50], [0.0, 0.15], [0.75, 0.35], 0.15),
    # The same of the first samples alone: the first of P(3, 1), 1.1. Max α2 is .4, 2 has .2; max 3 α1 is .9, 1 has it.
    VCGPool(("joint", (3.0, 1.0)), samples=1): ((0.75, 0.25), 0, [0.30, 0.20], [0.2, 0.0], [0.7, 0.2], 0.2),
    # Sold as by vcg. Agent 1 beside a bid of 1: at t = 0 P(0, 1) sells (.2, .6), at 1 P(1, 1) sells (.2, .4) and at 3
    # α1 is .25: the area is 1 (.2 + .2)/2 + 2 (.2 + .25)/2 = .65, the payment .75 − .65. Agent 2 beside a bid of 3:
    # at 0 P(1, 0) sells (.4, .1), at 1 α2 is .5: .5 − (.1 + .5)/2.
    Myerson(): ((0.75, 0.25), 1, [0.25, 0.50], [0.1, 0.2], [0.65, 0.3], 0.3),
    # Sold as by vcg, and each pays its value.
    FirstPrice(): ((0.75, 0.25), 1, [0.25, 0.50], [0.75, 0.5], [0.0, 0.0], 1.25),
    # v(1) = 3·.4, v(2) = .6, v(12) = 1.25: φ1 = (1.2 + 1.25 − .6)/2 = .925, φ2 = (.6 + 1.25 − 1.2)/2 = .325.
    Shapley(): ((0.75, 0.25), 1, [0.25, 0.50], [-0.175, 0.175], [0.925, 0.325], 0.0),
    # Of P(1, 0) and P(0, 1) the first, 1.3. Without 1, max α2 over P(0, 1) is .6, agent 2 has .1. Without 2, max 3 α1
    # over P(1, 0) is 1.2, which agent 1 has.
    SingleWinner(): ((1.0, 0.0), 0, [0.40, 0.10], [0.5, 0.0], [0.7, 0.1], 0.5),
}

# Three agents, k = 2, bids (2, 1, 1); beside each image its welfare 2 α1 + α2 + α3.
THREE = CandidatePool.from_mapping(
    {
        (2.0, 1.0, 1.0): [[0.20, 0.20, 0.20], [0.30, 0.10, 0.30]],  # 0.80 1.00
        (0.0, 1.0, 1.0): [[0.00, 0.30, 0.30], [0.00, 0.50, 0.20]],  # 0.60 0.70
        (2.0, 0.0, 1.0): [[0.35, 0.00, 0.25], [0.30, 0.00, 0.20]],  # 0.95 0.80
        (2.0, 1.0, 0.0): [[0.30, 0.20, 0.00], [0.20, 0.50, 0.00]],  # 0.80 0.90
        (1.0, 0.0, 0.0): [[0.40, 0.00, 0.10], [0.20, 0.10, 0.10]],  # 0.90 0.60
        (0.0, 1.0, 0.0): [[0.10, 0.60, 0.00], [0.00, 0.40, 0.10]],  # 0.80 0.50
        (0.0, 0.0, 1.0): [[0.10, 0.10, 0.50], [0.20, 0.00, 0.40]],  # 0.80 0.80
    }
)
AT_THREE = ((0.5, 0.25, 0.25), 1, [0.3, 0.1, 0.3])  # values .6, .1, .3
BY_HAND_THREE: dict[Any, tuple] = {
    # Without 1: .7 of P(0, 1, 1), the others have .1 + .3. Without 2: .95 of P(2, 0, 1), the others have .6 + .3.
    # Without 3: .9 of P(2, 1, 0), the others have .6 + .1.
    VCG(): (*AT_THREE, [0.3, 0.05, 0.2], [0.3, 0.05, 0.1], 0.55),
    # Of all images 1.00 again. Max α2 + α3 is .7, max 2 α1 + α3 is .95, max 2 α1 + α2 is .9: no pool has more for them
    # than those of vcg.
    VCGPool(): (*AT_THREE, [0.3, 0.05, 0.2], [0.3, 0.05, 0.1], 0.55),
    # Max α2 + α3 is .6 (second agent's first, third's first); max 2 α1 + α3 is .9 (sold, and first agent's first);
    # max 2 α1 + α2 is .8 (first agent's first, second's first). The others have .4, .9 and .7.
    VCGPool(("one_hot", (2.0, 1.0, 1.0))): (*AT_THREE, [0.2, 0.0, 0.1], [0.4, 0.1, 0.2], 0.3),
    # Curves of two points. Agent 1: P(0, 1, 1) sells α1 = 0: .6 − 2 (0 + .3)/2. Agent 2: P(2, 0, 1) sells α2 = 0:
    # .1 − (0 + .1)/2. Agent 3: P(2, 1, 0) sells α3 = 0: .3 − (0 + .3)/2.
    Myerson(): (*AT_THREE, [0.3, 0.05, 0.15], [0.3, 0.05, 0.15], 0.5),
    FirstPrice(): (*AT_THREE, [0.6, 0.1, 0.3], [0.0, 0.0, 0.0], 1.0),
    # v: 1 .8, 2 .6, 3 .5, 12 .9, 13 .95, 23 .7, 123 1. φ1 = .8/3 + (.9 − .6 + .95 − .5)/6 + (1 − .7)/3 = 59/120,
    # φ2 = .6/3 + (.9 − .8 + .7 − .5)/6 + (1 − .95)/3 = 32/120,
    # φ3 = .5/3 + (.95 − .8 + .7 − .6)/6 + (1 − .9)/3 = 29/120.
    Shapley(): (*AT_THREE, [13 / 120, -20 / 120, 7 / 120], [59 / 120, 32 / 120, 29 / 120], 0.0),
    # Of the three agents' own the first, .9: values .8, 0, .1. Without 1, of the others' own max α2 + α3 is .6, they
    # have .1. Without 2, max 2 α1 + α3 over those of 1 and 3 is .9, they have it; without 3, max 2 α1 + α2 is .8.
    SingleWinner(): ((1.0, 0.0, 0.0), 0, [0.4, 0.0, 0.1], [0.5, 0.0, 0.0], [0.3, 0.0, 0.1], 0.5),
}
CASES: list[tuple] = [((3.0, 1.0), TWO, *case) for case in BY_HAND_TWO.items()]
CASES += [((2.0, 1.0, 1.0), THREE, *case) for case in BY_HAND_THREE.items()]


@pytest.mark.parametrize(
    ("bids", "pools", "mechanism", "expected"), CASES, ids=[f"{m.name}-{len(b)}" for b, _, m, _ in CASES]
)
def test_by_hand(bids: Bids, pools: CandidatePool, mechanism: Mechanism, expected: tuple) -> None:
    outcomes = held(mechanism, bids, pools)
    composition, sample, alignments, payments, utilities, revenue = expected
    assert chosen(outcomes) == (composition, sample)
    np.testing.assert_allclose(outcomes.sold.alignments[0, 0], alignments, **exact)
    np.testing.assert_allclose(outcomes.payments[0, 0], payments, **exact)
    np.testing.assert_allclose(outcomes.utilities[0, 0], utilities, **exact)
    np.testing.assert_allclose(outcomes.values[0, 0], np.multiply(bids, alignments), **exact)
    assert outcomes.sold.welfare[0, 0] == pytest.approx(np.dot(bids, alignments), abs=1e-12)
    assert outcomes.revenue[0, 0] == pytest.approx(revenue, abs=1e-12)


def test_every_mechanism_is_worked_by_hand() -> None:
    for cases in (BY_HAND_TWO, BY_HAND_THREE):
        assert {mechanism.name for mechanism in cases} == set(MECHANISMS)


def test_payment_floor() -> None:
    """Agent 1's presence helps agent 2, whose own images please nobody."""
    pools = CandidatePool.from_mapping({(1.0, 1.0): [[0.3, 0.6]], (1.0, 0.0): [[0.4, 0.9]], (0.0, 1.0): [[0.0, 0.5]]})
    np.testing.assert_allclose(held(VCG(), (1.0, 1.0), pools).payments[0, 0], [0.5 - 0.6, 0.4 - 0.3])
    np.testing.assert_allclose(held(VCG("zero"), (1.0, 1.0), pools).payments[0, 0], [0.0, 0.4 - 0.3])
    np.testing.assert_allclose(held(SingleWinner(), (1.0, 1.0), pools).payments[0, 0], [0.5 - 0.9, 0.0])
    np.testing.assert_allclose(held(SingleWinner("zero"), (1.0, 1.0), pools).payments[0, 0], [0.0, 0.0])


def test_diagnostics() -> None:
    two = held(Myerson(), (3.0, 1.0), TWO).diagnostics["curve_points"]
    np.testing.assert_array_equal(two, [[3, 2]])
    np.testing.assert_allclose(held(VCG(), (3.0, 1.0), TWO).diagnostics["counterfactual"], [[[0.6, 1.2]]])
    np.testing.assert_allclose(held(Shapley(), (3.0, 1.0), TWO).diagnostics["shapley_value"], [[[0.925, 0.325]]])


# --- edges -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ALL, ids=names(ALL))
def test_nobody_bids(mechanism: Mechanism) -> None:
    outcomes = held(mechanism, (0.0, 0.0), TWO)
    assert chosen(outcomes) == ((0.0, 0.0), 0)
    np.testing.assert_array_equal(outcomes.sold.alignments[0, 0], [0.1, 0.2])
    assert outcomes.sold.welfare[0, 0] == 0
    np.testing.assert_array_equal(outcomes.payments[0, 0], [0, 0])
    if mechanism != VCGPool():
        assert mechanism.required_bids((0.0, 0.0)) == [(0.0, 0.0)]


@pytest.mark.parametrize("mechanism", [m for m in ALL if m != FirstPrice()], ids=lambda m: m.name)
def test_one_agent_pays_nothing(mechanism: Mechanism) -> None:
    outcomes = held(mechanism, (0.5,), CandidatePool.from_mapping({(0.0,): [[0.2], [0.2]], (1.0,): [[0.1], [0.3]]}))
    assert chosen(outcomes) == ((1.0,), 1)
    assert outcomes.payments.tolist() == [[[0.0]]]


@pytest.mark.parametrize("mechanism", [m for m in ALL if m != FirstPrice()], ids=lambda m: m.name)
def test_a_sole_bidder_among_several_pays_nothing(mechanism: Mechanism) -> None:
    payments = held(mechanism, (0.0, 2.0, 0.0), THREE).payments[0, 0]
    assert payments[1] == 0


@pytest.mark.parametrize("mechanism", ALL, ids=names(ALL))
def test_ties_go_to_the_lowest_sample_then_block(mechanism: Mechanism) -> None:
    same = [[0.2, 0.2]] * 3
    vectors = [(0.0, 0.0), (0.5, 0.5), (1.0, 0.0), (0.0, 1.0)]
    pools = CandidatePool.from_mapping(dict.fromkeys(vectors, same))
    first = {"vcg_pool": (0.0, 0.0), "single_winner": (0.0, 1.0)}.get(mechanism.name, (0.5, 0.5))
    assert chosen(held(mechanism, (1.0, 1.0), pools)) == (first, 0)


def test_a_tie_at_a_later_block_goes_to_its_lower_sample() -> None:
    pools = CandidatePool.from_mapping({(0.0, 1.0): [[0.1, 0.1], [0.4, 0.0]], (1.0, 0.0): [[0.4, 0.0], [0.0, 0.4]]})
    assert chosen(held(SingleWinner(), (1.0, 1.0), pools)) == ((1.0, 0.0), 0)
    assert chosen(held(VCGPool(), (1.0, 1.0), pools)) == ((1.0, 0.0), 0)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 4).flatmap(bid_vectors), st.integers(0, 2**32 - 1), st.data())
def test_who_bids_nothing_pays_nothing(bids: Bids, seed: int, data: st.DataObject) -> None:
    agent = data.draw(st.integers(0, len(bids) - 1))
    bids = brute_force.without(bids, agent)
    pools = complete([bids], seed)
    for mechanism in (m for m in ALL if m != SingleWinner()):
        assert held(mechanism, bids, pools).payments[0, 0, agent] == pytest.approx(0, abs=1e-12), mechanism.name


def test_who_bids_nothing_may_be_paid_by_the_single_winner() -> None:
    pools = CandidatePool.from_mapping({(1.0, 0.0): [[0.2, 0.1]], (0.0, 1.0): [[0.5, 0.1]]})
    assert held(SingleWinner(), (1.0, 0.0), pools).payments[0, 0].tolist() == [0.0, 0.2 - 0.5]


def test_many_agents_and_few_pools() -> None:
    n = 20
    bids = tuple(float(i + 1) for i in range(n))
    vectors = [bids, *(one_hot(i, n) for i in range(n)), *(brute_force.without(bids, i) for i in range(n))]
    rng = np.random.default_rng(0)
    pools = CandidatePool.from_mapping({vector: rng.uniform(size=(2, n)) for vector in vectors})
    for mechanism in ALL:
        outcomes = held(mechanism, bids, pools)
        assert np.isfinite(outcomes.sold.welfare).all()
        assert np.isfinite(outcomes.payments).all() == (mechanism != Shapley()), mechanism.name
        assert np.isnan(outcomes.payments).all() == (mechanism == Shapley()), mechanism.name


@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1e12, 1e300])
@pytest.mark.parametrize("mechanism", ALL, ids=names(ALL))
def test_bids_of_any_magnitude(mechanism: Mechanism, scale: float) -> None:
    plain, scaled = (held(mechanism, bids, TWO) for bids in ((3.0, 1.0), (3 * scale, scale)))
    assert chosen(scaled) == chosen(plain)
    np.testing.assert_allclose(scaled.payments / scale, plain.payments, rtol=1e-9, atol=1e-12)


def test_names_and_order() -> None:
    assert names(side_by_side(Shapley())) == ["shapley", "vcg", "vcg_pool", "myerson", "first_price", "single_winner"]
    assert side_by_side(VCG("zero"))[0] == VCG("zero")
    assert names(side_by_side(SingleWinner("zero"))).count("single_winner") == 1


# --- pools -----------------------------------------------------------------------------------------------


def test_pools_by_hand() -> None:
    assert VCG().required_bids((0.6, 0.2)) == [(0.6, 0.2), (0.0, 0.2), (0.6, 0.0)]
    assert VCG().required_bids((0.6, 0.0)) == [(0.6, 0.0)]  # b_−1 is all zero, where nobody is left to be hurt
    assert SingleWinner().required_bids((0.6, 0.0)) == [(1.0, 0.0), (0.0, 1.0)]
    assert FirstPrice().required_bids((0.6, 0.2)) == [(0.6, 0.2)]
    assert Myerson(2).required_bids((2.0, 1.0)) == [(2.0, 1.0), (0.0, 1.0), (1.0, 1.0), (2.0, 0.0), (2.0, 0.5)]
    assert Myerson().required_bids((2.0, 0.0)) == [(2.0, 0.0)]
    assert Shapley().required_bids((2.0, 0.0, 1.0)) == [(2.0, 0.0, 1.0), (0.0, 0.0, 1.0), (2.0, 0.0, 0.0)]
    assert (
        VCGPool().required_bids((0.6, 0.2))
        == VCGPool().required_bids((0.0, 0.0))
        == [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)]
    )


def test_compositions_of_a_pool() -> None:
    assert compositions_of("base", 2) == [(0.0, 0.0)]
    assert compositions_of("one_hot", 2) == [(1.0, 0.0), (0.0, 1.0)]
    assert compositions_of("joint", 3) == [(1.0, 1.0, 1.0)]
    assert set(compositions_of("coalitions", 3)) == set(itertools.product((0.0, 1.0), repeat=3)) - {(0.0, 0.0, 0.0)}
    assert compositions_of([2, 1], 2) == [(2.0, 1.0)]
    assert VCGPool(("one_hot", "coalitions")).vectors(2) == [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)]
    with pytest.raises(ValueError, match="names 'nothing'"):
        compositions_of("nothing", 2)


def complete(vectors: Sequence[Bids], seed: int, k: int = 3) -> CandidatePool:
    """Random images of the base prompt and every pool that a mechanism needs for `vectors`; one ratio, one pool."""
    needed = {normalized(pool) for bids in vectors for mechanism in ALL for pool in mechanism.required_bids(bids)}
    needed |= {(0.0,) * len(vectors[0])}
    rng = np.random.default_rng(seed)
    return CandidatePool.from_mapping({ratio: rng.uniform(-0.2, 1, (k, len(ratio))) for ratio in sorted(needed)})


def only(pools: CandidatePool, vectors: Sequence[Bids]) -> CandidatePool:
    """The pools of `vectors`."""
    kept = pools.of_bids(np.array(vectors)).any(axis=0)
    return CandidatePool.of(zip(map(tuple, pools.ratios[kept].tolist()), pools.alignments[kept], strict=True))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4).flatmap(bid_vectors), st.integers(0, 2**32 - 1))
def test_an_auction_reads_the_pools_it_names(bids: Bids, seed: int) -> None:
    everything = complete([bids], seed)
    for mechanism in ALL:
        named = mechanism.required_bids(bids)
        pools = only(everything, named)
        outcomes = held(mechanism, bids, pools)
        assert np.isfinite(outcomes.payments).all(), mechanism.name
        assert outcomes.read.all(), mechanism.name
        if mechanism not in (Myerson(), VCGPool()):  # a curve has other points, a pool of everything other images
            again = held(mechanism, bids, everything)
            np.testing.assert_array_equal(again.payments, outcomes.payments)
            assert again.read.sum() == len(pools.ratios), mechanism.name


def test_what_is_missing_is_unknown() -> None:
    only_joint = CandidatePool.from_mapping({(3.0, 1.0): [[0.3, 0.2]], (0.0, 1.0): [[0.0, 0.1]]})
    sold = {m.name: held(m, (3.0, 1.0), only_joint) for m in ALL}
    np.testing.assert_allclose(sold["vcg"].payments[0, 0], [0.1 - 0.2, np.nan])
    np.testing.assert_allclose(sold["myerson"].payments[0, 0], [0.9 - 3 * 0.3 / 2, np.nan])
    np.testing.assert_allclose(sold["first_price"].payments[0, 0], [0.9, 0.2])
    assert np.isnan(sold["shapley"].payments).all()
    assert sold["single_winner"].sold.block.tolist() == [[-1]]
    for values in (sold["single_winner"].sold.alignments, sold["single_winner"].sold.welfare):
        assert np.isnan(values).all()
    for mechanism in (VCGPool(("one_hot",)), VCGPool(("joint",)), VCGPool(((3.0, 1.0), "base"))):
        outcomes = held(mechanism, (3.0, 1.0), only_joint)
        assert np.isnan(outcomes.sold.welfare).all()
        assert np.isnan(outcomes.payments).all()
    assert np.isnan(held(VCG(), (1.0, 1.0), only_joint).sold.welfare).all()


def test_the_first_samples_are_those_of_lowest_index() -> None:
    assert TWO.first(1).draws.tolist() == [[True, False]]
    assert TWO.first(None).draws.tolist() == [[True, True]]
    assert chosen(held(VCGPool(samples=1), (0.0, 3.0), TWO)) == ((0.0, 1.0), 0)
    assert chosen(held(VCGPool(), (0.0, 3.0), TWO)) == ((0.0, 1.0), 1)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3).flatmap(bid_vectors), st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_a_draw_is_an_auction_of_its_samples(bids: Bids, seed: int, k: int) -> None:
    """Under any draw the outcome is that over pools cut to the samples drawn; of none there is no image."""
    rng = np.random.default_rng(seed)
    whole = complete([bids], seed, k)
    draws = rng.random((4, k)) < 0.5
    for mechanism in (*ALL, VCGPool(samples=2), VCG("zero")):
        drawn = mechanism.run(np.array([bids]), whole.drawn(draws))
        for d, there in enumerate(draws):
            if not there.any():
                assert np.isnan(drawn.sold.welfare[d]).all()
                continue
            cut = CandidatePool(
                whole.ratios, whole.alignments[:, there], whole.samples[there], np.ones((1, there.sum()), bool)
            )
            own = mechanism.run(np.array([bids]), cut)
            np.testing.assert_array_equal(drawn.payments[d], own.payments[0])
            np.testing.assert_array_equal(drawn.sold.welfare[d], own.sold.welfare[0])
            np.testing.assert_array_equal(drawn.sold.alignments[d], own.sold.alignments[0])
            np.testing.assert_array_equal(drawn.sold.block[d], own.sold.block[0])


# --- against plain loops -----------------------------------------------------------------------------------

LATTICE = (0.0, 0.25, 0.5, 1.0, 1.5)
EXACT = (0.0, 1.0, 3.0, 7.0)  # of two of them every share has less than ten decimals
QUARTERS = np.linspace(-0.25, 1, 6)


@st.composite
def recorded(draw: st.DrawFn, values: Sequence[float], n: int, ties: bool) -> list[Image]:
    """Images of some bid vectors of a scenario, in order of bids; a ratio may have several pools, or none."""
    every = list(itertools.product(values, repeat=n))
    vectors = draw(st.sets(st.sampled_from(every), min_size=1, max_size=12))
    if draw(st.booleans()):  # every coalition of one of them, so that nothing is missing there
        whole = draw(st.sampled_from(every))
        vectors |= {tuple(np.multiply(whole, s).tolist()) for s in itertools.product((0, 1), repeat=n)}
    k, common = draw(st.integers(1, 3)), draw(st.booleans())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pools: dict[Bids, list[list[float]]] = {}
    found = []
    for bids in sorted(vectors):
        shape = (k, n)
        drawn = (rng.choice(QUARTERS, shape) if ties else rng.uniform(-0.2, 1, shape)).tolist()
        own = pools.setdefault(normalized(bids), drawn) if common else drawn
        found += [Image(0, sample, bids, tuple(alignments)) for sample, alignments in enumerate(own)]
    return found


def pools_of(images: Sequence[Image]) -> CandidatePool:
    by_bids = itertools.groupby(images, key=lambda image: image.bids)
    return CandidatePool.of((bids, np.array([image.alignments for image in own])) for bids, own in by_bids)


def assert_same(outcomes: Outcomes, sales: Sequence[Sale], tolerance: float = 1e-12) -> None:
    """The vectorised `outcomes` are the `sales` of plain loops."""
    for row, sale in enumerate(sales):
        found = outcomes.sold.block[0, row] >= 0
        assert found == (sale.sold is not None)
        payments = [np.nan if payment is None else payment for payment in sale.payments]
        if sale.sold is None:
            assert np.isnan(outcomes.utilities[0, row]).all()
            continue
        assert outcomes.sold.welfare[0, row] == sale.welfare()
        assert tuple(outcomes.sold.alignments[0, row].tolist()) == sale.sold.alignments
        assert outcomes.sold.pools.samples[outcomes.sold.place[0, row]] == sale.sold.sample
        assert tuple(outcomes.sold.pools.ratios[outcomes.sold.block[0, row]].tolist()) == brute_force.ratio(
            sale.sold.bids
        )
        np.testing.assert_allclose(outcomes.payments[0, row], payments, rtol=0, atol=tolerance)


def compare(mechanism: Mechanism, rule: brute_force.Mechanism, images: list[Image], tolerance: float = 1e-12) -> None:
    bids = sorted({image.bids for image in images} | {(1.0,) * len(images[0].bids)})
    assert_same(mechanism.run(np.array(bids), pools_of(images)), [rule(images, each) for each in bids], tolerance)


@pytest.mark.parametrize("name", [name for name in MECHANISMS if name != "myerson"])
@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(1, 4), st.booleans())
def test_agrees_with_plain_loops(name: str, data: st.DataObject, n: int, ties: bool) -> None:
    images = data.draw(recorded(LATTICE, n, ties))
    compare(MECHANISMS[name](), brute_force.MECHANISMS[name], images)


@settings(max_examples=40, deadline=None)
@given(recorded(EXACT, 2, ties=True))
def test_myerson_agrees_with_plain_loops(images: list[Image]) -> None:
    compare(Myerson(), brute_force.myerson, images)


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(1, 4))
def test_myerson_agrees_with_plain_loops_within_the_rounding_of_shares(data: st.DataObject, n: int) -> None:
    compare(Myerson(), brute_force.myerson, data.draw(recorded(LATTICE, n, ties=False)), tolerance=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(1, 3), st.booleans())
def test_a_pool_of_some_compositions_agrees_with_plain_loops(data: st.DataObject, n: int, ties: bool) -> None:
    images = data.draw(recorded(LATTICE, n, ties))
    vectors = st.sampled_from([image.bids for image in images])
    entries = data.draw(st.lists(st.sampled_from(SETS) | vectors, min_size=1, max_size=3))
    samples = data.draw(st.none() | st.integers(1, 3))
    mechanism = VCGPool(tuple(entries), samples)
    compare(mechanism, lambda own, bids: brute_force.vcg_pool(own, bids, entries, samples), images)


@settings(max_examples=30, deadline=None)
@given(st.data(), st.integers(1, 3))
def test_floors_agree_with_plain_loops(data: st.DataObject, n: int) -> None:
    images = data.draw(recorded(LATTICE, n, ties=False))
    compare(VCG("zero"), lambda own, bids: brute_force.floored(brute_force.vcg(own, bids)), images)
    compare(SingleWinner("zero"), lambda own, bids: brute_force.floored(brute_force.single_winner(own, bids)), images)


# --- theory ------------------------------------------------------------------------------------------------

bid = st.one_of(st.just(0.0), st.sampled_from([1.0, 2.0]), st.floats(1e-3, 1e3))


@st.composite
def public_choices(draw: st.DrawFn, low: float) -> tuple[CandidatePool, Bids]:
    """Images of every coalition, of the base prompt and of bids two to one, and a vector of values."""
    n, k = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["uniform", "coarse", "equal"]))
    vectors = {*itertools.product((0.0, 1.0), repeat=n), favoured(n)}

    def images() -> np.ndarray:
        if kind == "uniform":
            return rng.uniform(low, 1, (k, n))
        return rng.choice([low, 0.5, 1.0], (k, n)) if kind == "coarse" else np.full((k, n), 0.3)

    pools = CandidatePool.from_mapping({normalized(vector): images() for vector in sorted(vectors)})
    return pools, tuple(draw(st.lists(bid, min_size=n, max_size=n)))


def favoured(n: int) -> Bids:
    return (2.0, *[1.0] * (n - 1))


def every_option(n: int, k: int) -> list[VCGPool]:
    entries = (*SETS, favoured(n))
    subsets = [s for size in range(1, len(entries) + 1) for s in itertools.combinations(entries, size)]
    return [VCGPool(subset, samples) for subset in (None, *subsets) for samples in (None, *range(1, k + 1))]


@settings(max_examples=50, deadline=None)
@given(public_choices(low=0.0), st.lists(bid, min_size=1, max_size=3))
def test_vcg_over_a_fixed_pool_is_truthful(choice: tuple[CandidatePool, Bids], lies: list[float]) -> None:
    """Truthful, individually rational, monotone and without deficit, for every choice of pool."""
    pools, truth = choice
    n, reports = len(truth), len(lies) + 1
    rows = np.array([truth] * n * reports).reshape(n, reports, n)
    for i in range(n):
        rows[i, 1:, i] = lies
    scale = rows.sum(axis=2).max() + 1e-300
    for mechanism in every_option(n, len(pools.samples)):
        outcomes = mechanism.run(rows.reshape(-1, n), pools)
        alignments, payments = (a[0].reshape(n, reports, n) for a in (outcomes.sold.alignments, outcomes.payments))
        own = np.arange(n)
        u = np.array(truth)[:, None] * alignments[own, :, own] - payments[own, :, own]  # (agent, report)
        assert (u - u[:, :1]).max() <= 1e-12 * scale
        assert u[:, 0].min() >= -1e-12 * scale
        assert payments.min() >= 0
        for i in range(n):
            bids, allocation = rows[i, :, i], alignments[i, :, i]
            assert (np.subtract.outer(bids, bids) * np.subtract.outer(allocation, allocation)).min() >= -1e-12 * scale


@settings(max_examples=20, deadline=None)
@given(public_choices(low=-1.0), st.floats(0, 1e3))
def test_vcg_over_a_fixed_pool_is_truthful_for_negative_alignments_too(
    choice: tuple[CandidatePool, Bids], lie: float
) -> None:
    pools, truth = choice
    rows = np.array([truth, (lie, *truth[1:])])
    for mechanism in every_option(len(truth), len(pools.samples)):
        outcomes = mechanism.run(rows, pools)
        u = truth[0] * outcomes.sold.alignments[0, :, 0] - outcomes.payments[0, :, 0]
        assert u[1] <= u[0] + 1e-12 * rows.sum(axis=1).max()
        assert outcomes.payments.min() >= 0


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5).flatmap(bid_vectors), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_vcg_over_equal_pools_is_that_over_a_fixed_pool(bids: Bids, k: int, seed: int) -> None:
    images = np.random.default_rng(seed).uniform(-0.2, 1, (k, len(bids)))
    pools = CandidatePool.from_mapping({normalized(vector): images for vector in VCG().required_bids(bids)})
    moving, fixed = held(VCG(), bids, pools), held(VCGPool(), bids, pools)
    np.testing.assert_array_equal(moving.sold.place, fixed.sold.place)
    np.testing.assert_array_equal(moving.payments, fixed.payments)


def line_of(curve: Sequence[float]) -> tuple[np.ndarray, CandidatePool]:
    """Bids (t, 1) for t = 0, 1, …, of which each composition has one image: α_1 is `curve` of t."""
    bids = np.array([(float(t), 1.0) for t in range(len(curve))])
    return bids, CandidatePool.from_mapping(
        {tuple(row): [[alpha, 0.1]] for row, alpha in zip(bids.tolist(), curve, strict=True)}
    )


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=6).map(sorted))
def test_myerson_is_truthful_on_a_curve_that_does_not_fall(curve: list[float]) -> None:
    bids, pools = line_of(curve)
    outcomes = Myerson().run(bids, pools)
    regret = regrets(outcomes, agent=0)
    assert regret.profiles == len(curve)
    assert regret.absolute.max() <= 1e-9
    assert outcomes.utilities[0, :, 0].min() >= -1e-12


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=6), st.integers(0, 4), st.floats(0.01, 1))
def test_myerson_is_not_truthful_on_a_curve_that_falls(curve: list[float], at: int, fall: float) -> None:
    at = min(at, len(curve) - 2)
    curve[at] = curve[at + 1] + fall
    # Of value at + 1, bidding `at` gains α(at) − ∫ = (α(at) − α(at + 1))/2
    regret = regrets(Myerson().run(*line_of(curve)), agent=0)
    assert regret.absolute[0, at + 1] >= fall / 2 - 1e-9


def test_a_curve_that_falls_by_hand() -> None:
    """α_1 = .1, .5, .1 at 0, 1, 2: payments 0, .5 − .3 and .2 − .6.

    Utilities at these bids: of value 0 they are 0, −.2, .4; of value 1 .1, .3, .5; of value 2 .2, .8, .6.
    """
    bids, pools = line_of([0.1, 0.5, 0.1])
    regret = regrets(Myerson().run(bids, pools), agent=0)
    np.testing.assert_allclose(regret.absolute, [[0.4, 0.2, 0.2]], atol=1e-9)
    np.testing.assert_allclose(regret.relative, [[np.nan, 0.2 / 0.3, 0.2 / 0.6]], atol=1e-9)
    np.testing.assert_array_equal(regret.deviation, [[2.0, 1.0, 1.0]])


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5).flatmap(bid_vectors), st.integers(0, 2**32 - 1))
def test_shapley_balances_and_each_keeps_its_value(bids: Bids, seed: int) -> None:
    n = len(bids)
    coalitions = [normalized(tuple(np.multiply(bids, s))) for s in itertools.product((0, 1), repeat=n)]
    rng = np.random.default_rng(seed)
    mapping = {ratio: rng.uniform(-0.2, 1, (3, n)) for ratio in sorted(set(coalitions))}
    outcomes = held(Shapley(), bids, CandidatePool.from_mapping(mapping))
    assert outcomes.revenue[0, 0] == pytest.approx(0, abs=1e-12 * (1 + sum(bids)))

    def value(coalition: tuple[int, ...]) -> float:
        reported = tuple(b if i in coalition else 0.0 for i, b in enumerate(bids))
        images = mapping[normalized(reported)].tolist()
        return max(sum(b * a for b, a in zip(reported, image, strict=True)) for image in images)

    contributions = np.zeros(n)
    orders = list(itertools.permutations(range(n)))
    for order in orders:
        for place, agent in enumerate(order):
            contributions[agent] += value(order[: place + 1]) - value(order[:place])
    np.testing.assert_allclose(outcomes.utilities[0, 0], contributions / len(orders), rtol=0, atol=1e-10)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5).flatmap(bid_vectors), st.integers(0, 2**32 - 1))
def test_first_price_leaves_nothing(bids: Bids, seed: int) -> None:
    outcomes = held(FirstPrice(), bids, complete([bids], seed))
    np.testing.assert_array_equal(outcomes.utilities, np.zeros((1, 1, len(bids))))
    assert outcomes.revenue[0, 0] == pytest.approx(outcomes.sold.welfare[0, 0], abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 4).flatmap(bid_vectors), st.integers(0, 2**32 - 1), st.floats(0, 10))
def test_no_false_bid_gains_against_the_single_winner(truth: Bids, seed: int, lie: float) -> None:
    truth = (*truth[:-1], truth[-1] + 0.125)  # somebody else bids
    outcomes = SingleWinner().run(np.array([truth, (lie, *truth[1:])]), complete([truth], seed))
    u = truth[0] * outcomes.sold.alignments[0, :, 0] - outcomes.payments[0, :, 0]
    assert u[1] <= u[0] + 1e-12


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4).flatmap(bid_vectors), st.integers(0, 2**32 - 1), st.sampled_from([2.0**-20, 3.0, 1e6]))
def test_only_payments_scale_with_bids(bids: Bids, seed: int, scale: float) -> None:
    pools = complete([bids], seed)
    scaled = tuple(b * scale for b in bids)
    for mechanism in (*ALL, VCG("zero"), VCGPool(("one_hot",), samples=2)):
        plain, other = held(mechanism, bids, pools), held(mechanism, scaled, pools)
        np.testing.assert_array_equal(plain.sold.block, other.sold.block)
        np.testing.assert_array_equal(plain.sold.place, other.sold.place)
        np.testing.assert_array_equal(plain.read, other.read)
        np.testing.assert_allclose(other.payments / scale, plain.payments, rtol=0, atol=1e-11)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 4).flatmap(lambda n: bid_vectors(n, distinct=True)),
    st.integers(0, 2**32 - 1),
    st.randoms(use_true_random=False),
)
def test_agents_are_treated_alike(bids: Bids, seed: int, rng: random.Random) -> None:
    order = list(range(len(bids)))
    rng.shuffle(order)
    pools = complete([bids], seed)
    mixed = CandidatePool.of(
        (tuple(ratio[agent] for agent in order), images[:, order])
        for ratio, images in zip(pools.ratios.tolist(), pools.alignments, strict=True)
    )
    for mechanism in (*ALL, VCG("zero")):
        if not any(bids) and mechanism == VCGPool():
            continue  # all images are worth the same: nothing
        plain = held(mechanism, bids, pools)
        other = held(mechanism, tuple(bids[agent] for agent in order), mixed)
        np.testing.assert_array_equal(other.sold.place, plain.sold.place)
        np.testing.assert_array_equal(other.sold.alignments, plain.sold.alignments[..., order])
        np.testing.assert_allclose(other.payments, plain.payments[..., order], rtol=0, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.integers(0, 2**32 - 1), st.data())
def test_an_auction_does_not_depend_on_those_held_beside_it(n: int, seed: int, data: st.DataObject) -> None:
    vectors = data.draw(st.lists(bid_vectors(n), min_size=1, max_size=5, unique=True))
    pools = complete(vectors, seed)
    for mechanism in ALL:
        together = mechanism.run(np.array(vectors), pools)
        for row, bids in enumerate(vectors):
            apart = held(mechanism, bids, pools)
            np.testing.assert_array_equal(together.payments[:, row], apart.payments[:, 0])
            np.testing.assert_array_equal(together.sold.alignments[:, row], apart.sold.alignments[:, 0])
            np.testing.assert_array_equal(together.read[row], apart.read[0])


# --- bids that are nearly equal ------------------------------------------------------------------------------


def test_myerson_of_bids_that_nearly_agree() -> None:
    outcomes = Myerson().run(np.array([(3.0, 1.0), (3.0 + 1e-11, 1.0)]), TWO)
    np.testing.assert_allclose(outcomes.payments[0], [[0.1, 0.2], [0.1, 0.2]], atol=1e-9)


NEARLY_ALONE = CandidatePool.from_mapping({(1.0, 0.0): [[0.4, 0.1]], (0.0, 1.0): [[0.1, 0.4]]})


def test_myerson_of_a_bid_that_is_nearly_nothing() -> None:
    payments = held(Myerson(), (1.0, 1e-12), NEARLY_ALONE).payments[0, 0]
    np.testing.assert_allclose(payments, [0.0, 0.0], atol=1e-9)  # as of a sole bidder


def test_shapley_of_a_bid_that_is_nearly_nothing() -> None:
    payments = held(Shapley(), (1.0, 1e-12), NEARLY_ALONE).payments[0, 0]
    np.testing.assert_allclose(payments, [0.0, 0.0], atol=1e-9)


def test_shapley_of_an_agent_without_a_bid_where_pools_are_missing() -> None:
    pools = CandidatePool.from_mapping({(1.0, 1.0, 0.0): [[0.2, 0.2, 0.2]]})
    assert held(Shapley(), (1.0, 1.0, 0.0), pools).payments[0, 0, 2] == 0


def test_economics_never_import_torch() -> None:
    modules = "mechanisms", "evaluation.evaluate", "figures", "report.page", "actions.evaluate"
    code = ";".join(f"import diffusion_auction.{module}" for module in modules)
    code += ";import sys;print([m for m in ('torch', 'matplotlib.pyplot') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
