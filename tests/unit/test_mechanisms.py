"""Allocation and payments against numbers worked by hand, and what holds whatever the pools are."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffusion_auction.bids import Bids, normalized, one_hot, without
from diffusion_auction.errors import RequestError
from diffusion_auction.mechanisms import VCG, Mechanism, MissingPoolError, Outcome, SingleWinner, build

TWO = {
    (0.0, 0.0): [[0.10, 0.20], [0.9, 0.9]],
    (0.75, 0.25): [[0.30, 0.20], [0.25, 0.40], [0.31, 0.10]],
    (1.0, 0.0): [[0.40, 0.10], [0.30, 0.15]],
    (0.0, 1.0): [[0.05, 0.50], [0.20, 0.45]],
}


def pool_from(table: dict[Bids, list[list[float]]]):
    def pool(bids: Bids) -> np.ndarray:
        if normalized(bids) not in table:
            raise MissingPoolError(bids)
        return np.array(table[normalized(bids)])

    return pool


def test_vcg_two_agents_by_hand() -> None:
    outcome = VCG().run((0.6, 0.2), pool_from(TWO))
    # W = .6 α1 + .2 α2 over P(.75, .25): .22, .23, .206; the others' best: .2·.5 and .6·.4
    assert (outcome.chosen_sample, outcome.chosen_bids) == (1, (0.75, 0.25))
    np.testing.assert_allclose(outcome.alignments, [0.25, 0.40])
    assert outcome.welfare == pytest.approx(0.23)
    np.testing.assert_allclose(outcome.payments, [0.10 - 0.08, 0.24 - 0.15])
    np.testing.assert_allclose(outcome.values, [0.15, 0.08])
    np.testing.assert_allclose(outcome.utilities, [0.13, -0.01])
    assert outcome.revenue == pytest.approx(0.11)


def test_vcg_three_agents_by_hand() -> None:
    table = {
        (0.5, 0.25, 0.25): [[0.2, 0.2, 0.2], [0.3, 0.1, 0.3]],
        (0.0, 0.5, 0.5): [[0.0, 0.3, 0.3], [0.0, 0.5, 0.2]],
        (0.6666666667, 0.0, 0.3333333333): [[0.35, 0.0, 0.25]],
        (0.6666666667, 0.3333333333, 0.0): [[0.3, 0.2, 0.0], [0.2, 0.5, 0.0]],
    }
    outcome = VCG().run((2.0, 1.0, 1.0), pool_from(table))
    # W: .8 and 1.0; without 1: max(.6, .7) − .4; without 2: .95 − .9; without 3: max(.8, .9) − .7
    assert outcome.chosen_sample == 1
    np.testing.assert_allclose(outcome.payments, [0.3, 0.05, 0.2])
    np.testing.assert_allclose(outcome.utilities, [0.3, 0.05, 0.1], atol=1e-12)


def test_payment_floor() -> None:
    table = {**TWO, (0.0, 1.0): [[0.0, 0.1]]}  # agent 1's presence helps agent 2
    assert VCG().run((0.6, 0.2), pool_from(table)).payments[0] == pytest.approx(0.02 - 0.08)
    floored = VCG(payment_floor="zero").run((0.6, 0.2), pool_from(table))
    np.testing.assert_allclose(floored.payments, [0.0, 0.09])
    assert floored.utilities[0] == pytest.approx(0.15)


def test_single_winner_by_hand() -> None:
    outcome = SingleWinner().run((0.6, 0.2), pool_from(TWO))
    # e_1: .26, .21; e_2: .13, .21. Agent 1 pays .2·.5 − .2·.1, agent 2 pays .6·.4 − .6·.4
    assert (outcome.chosen_bids, outcome.chosen_sample) == ((1.0, 0.0), 0)
    np.testing.assert_allclose(outcome.payments, [0.08, 0.0], atol=1e-12)
    outcome = SingleWinner().run((0.1, 0.9), pool_from(TWO))
    assert (outcome.chosen_bids, outcome.chosen_sample) == ((0.0, 1.0), 0)
    np.testing.assert_allclose(outcome.payments, [0.9 * 0.5 - 0.9 * 0.5, 0.1 * 0.4 - 0.1 * 0.05], atol=1e-12)


def test_single_winner_may_pay_an_agent_who_helps() -> None:
    table = {(1.0, 0.0): [[0.4, 0.9]], (0.0, 1.0): [[0.0, 0.5]]}
    assert SingleWinner().run((1.0, 1.0), pool_from(table)).payments[0] == pytest.approx(-0.4)
    assert SingleWinner("zero").run((1.0, 1.0), pool_from(table)).payments[0] == 0


@pytest.mark.parametrize("mechanism", [VCG(), SingleWinner()])
def test_nobody_bids(mechanism: Mechanism) -> None:
    assert mechanism.pools((0.0, 0.0)) == [(0.0, 0.0)]
    outcome = mechanism.run((0.0, 0.0), pool_from(TWO))
    assert (outcome.chosen_sample, outcome.chosen_bids, outcome.welfare) == (0, (0.0, 0.0), 0.0)
    np.testing.assert_array_equal(outcome.alignments, [0.1, 0.2])
    np.testing.assert_array_equal(outcome.payments, [0, 0])


@pytest.mark.parametrize("mechanism", [VCG(), SingleWinner()])
def test_one_agent_pays_nothing(mechanism: Mechanism) -> None:
    outcome = mechanism.run((0.5,), pool_from({(1.0,): [[0.1], [0.3]]}))
    assert (outcome.chosen_sample, outcome.payments.tolist()) == (1, [0.0])


@pytest.mark.parametrize("mechanism", [VCG(), SingleWinner()])
def test_ties_go_to_the_lowest_sample(mechanism: Mechanism) -> None:
    same = [[0.2, 0.2]] * 3
    outcome = mechanism.run((0.5, 0.5), pool_from(dict.fromkeys([(0.5, 0.5), (1.0, 0.0), (0.0, 1.0)], same)))
    assert outcome.chosen_sample == 0
    assert outcome.chosen_bids == ((0.5, 0.5) if mechanism.name == "vcg" else (1.0, 0.0))


def test_pools_are_what_run_reads() -> None:
    assert VCG().pools((0.6, 0.2)) == [(0.6, 0.2), (0.0, 0.2), (0.6, 0.0)]
    assert VCG().pools((0.6, 0.0)) == [(0.6, 0.0)]  # b_−1 is all zero, where nobody is left to be hurt
    assert SingleWinner().pools((0.6, 0.0)) == [(1.0, 0.0), (0.0, 1.0)]
    with pytest.raises(MissingPoolError, match=r"0, 0\.2") as caught:
        VCG().run((0.6, 0.2), pool_from({(0.75, 0.25): [[0.1, 0.1]]}))
    assert caught.value.bids == (0.0, 0.2)


def test_build() -> None:
    assert build("vcg", payment_floor="zero") == VCG("zero")
    assert build(**{"name": "single_winner", "payment_floor": "none"}) == SingleWinner()
    for options in ({"name": "vgc"}, {"name": "vcg", "payment_floor": "one"}, {"name": "vcg", "floor": 1}):
        with pytest.raises(RequestError, match=r"mechanism\."):
            build(**options)


# --- whatever the pools are ------------------------------------------------------------------------------

bid = st.one_of(st.just(0.0), st.floats(0.01, 10))


@st.composite
def auctions(draw: st.DrawFn) -> tuple[Bids, int]:
    n = draw(st.integers(1, 4))
    return tuple(draw(st.lists(bid, min_size=n, max_size=n))), draw(st.integers(0, 2**32 - 1))


def random_pool(seed: int, k: int = 4):
    """Alignments drawn anew for each ratio of bids, the same for the same ratio."""

    def pool(bids: Bids) -> np.ndarray:
        key = [round(share * 1e6) for share in normalized(bids)]
        return np.random.default_rng([seed, *key]).uniform(-0.2, 1, (k, len(bids)))

    return pool


def slow_vcg(bids: Bids, pool) -> Outcome:
    """Appendix D.4 and D.5 in plain loops."""
    images = pool(bids).tolist()
    totals = [sum(b * a for b, a in zip(bids, image, strict=True)) for image in images]
    s = totals.index(max(totals))
    payments = []
    for i in range(len(bids)):
        rest = without(bids, i)
        others = [j for j in range(len(bids)) if j != i and bids[j] > 0]
        best = max((sum(bids[j] * image[j] for j in others) for image in pool(rest).tolist()), default=0)
        payments.append(best - sum(bids[j] * images[s][j] for j in others))
    return Outcome(bids, normalized(bids), s, np.array(images[s]), np.array(payments))


@given(auctions())
def test_vcg_agrees_with_plain_loops(auction: tuple[Bids, int]) -> None:
    bids, seed = auction
    if not any(bids):
        return
    fast, slow = VCG().run(bids, random_pool(seed)), slow_vcg(bids, random_pool(seed))
    assert fast.welfare == pytest.approx(slow.welfare, abs=1e-12)
    assert fast.chosen_sample == slow.chosen_sample
    np.testing.assert_allclose(fast.payments, slow.payments, atol=1e-12)


@given(auctions(), st.sampled_from([VCG(), SingleWinner(), VCG("zero")]))
def test_identities(auction: tuple[Bids, int], mechanism: Mechanism) -> None:
    bids, seed = auction
    pool, asked = random_pool(seed), list[Bids]()

    def watched(wanted: Bids) -> np.ndarray:
        asked.append(wanted)
        return pool(wanted)

    sold = mechanism.run(bids, watched)
    assert set(asked) <= set(mechanism.pools(bids))
    best = max(float((pool(c) @ np.array(bids)).max()) for c in mechanism.candidates(bids))
    assert sold.welfare == pytest.approx(best, abs=1e-12)
    np.testing.assert_array_equal(sold.alignments, pool(sold.chosen_bids)[sold.chosen_sample])
    assert sold.welfare == pytest.approx(sold.utilities.sum() + sold.revenue, abs=1e-12)
    if mechanism == VCG("zero"):
        assert (sold.payments >= 0).all()


@given(auctions(), st.randoms())
def test_vcg_treats_agents_alike(auction: tuple[Bids, int], random) -> None:
    bids, seed = auction
    order = list(range(len(bids)))
    random.shuffle(order)

    def permuted(wanted: Bids) -> np.ndarray:
        back = [0.0] * len(order)
        for place, agent in enumerate(order):
            back[agent] = wanted[place]
        return random_pool(seed)(tuple(back))[:, order]

    plain = VCG().run(bids, random_pool(seed))
    mixed = VCG().run(tuple(bids[agent] for agent in order), permuted)
    assert mixed.chosen_sample == plain.chosen_sample
    np.testing.assert_allclose(mixed.payments, plain.payments[order], atol=1e-12)


@given(auctions(), st.floats(0, 10))
def test_no_false_bid_gains_against_the_single_winner(auction: tuple[Bids, int], lie: float) -> None:
    truth, seed = auction
    if not any(truth[1:]):
        return
    pool = random_pool(seed)
    told = SingleWinner().run((lie, *truth[1:]), pool)
    gained = truth[0] * told.alignments[0] - told.payments[0]
    assert gained <= SingleWinner().run(truth, pool).utilities[0] + 1e-12


def test_one_hot_pools_exist_for_every_agent() -> None:
    assert SingleWinner().candidates((0.2, 0.3, 0.5)) == [one_hot(i, 3) for i in range(3)]


def test_economics_never_import_torch() -> None:
    modules = "mechanisms", "evaluation.evaluate", "figures", "report"
    code = ";".join(f"import diffusion_auction.{module}" for module in modules)
    code += ";import sys;print([m for m in ('torch', 'matplotlib.pyplot') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
