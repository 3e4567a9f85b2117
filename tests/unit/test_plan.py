"""What is made, once each, from which noise, at what cost."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from itertools import chain, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffusion_auction.actions.experiment import prepare
from diffusion_auction.columns import columns, row_values
from diffusion_auction.generation.plan import Plan, make_plan, noise_seed
from diffusion_auction.market.bids import Bids, normalized
from diffusion_auction.market.compositions import recursive
from diffusion_auction.market.scenarios import Scenario
from diffusion_auction.mechanisms import VCG, SingleWinner
from tests.support import bid_vectors, configured

SCENARIO = Scenario("A pool", ("Dell monitor", "Tesla car"))


def own_pool(bids: Bids) -> list[Bids]:
    """P(b) alone."""
    return [bids]


def plan_of(
    bids: list[Bids], pools: Callable[[Bids], list[Bids]] = own_pool, samples: int = 2, steps: int = 5, seed: int = 0
) -> Plan:
    scenarios = {0: Scenario("c", tuple(f"c{i}" for i in range(len(bids[0]))))}
    return make_plan(scenarios, bids, pools, recursive, samples=samples, steps=steps, seed=seed)


def test_the_papers_55_pairs_have_30_compositions() -> None:
    plan = prepare(configured("+sweep=two_agent_grid", "scenarios=[0]", "samples=50", "model.steps=5")).plan
    pairs = [(Fraction(i, 10), Fraction(j, 4)) for i, j in product(range(11), range(5))]
    ratios = {(a / (a + b), b / (a + b)) if a + b else (0, 0) for a, b in pairs}
    branches = sum(1 if a == b or 0 in (a, b) else 2 for a, b in ratios)
    assert (len(pairs), len(ratios)) == (55, 30)

    assert len(plan.vectors) == 55  # no mechanism reads others
    assert len(plan.images) == 30 * 50
    assert plan.sample_passes == branches * 50 * 5 == 14_000
    assert plan.sample_passes_naive == 55 * 50 * 5 * 3 == 41_250


def test_rows_by_hand() -> None:
    plan = make_plan({4: SCENARIO}, [(1.4, 0.6)], own_pool, recursive, samples=2, steps=3, seed=9)
    first, second = plan.images.to_dict("records")
    assert first["path"] == "images/prompt_004/idx004_b1_0.70_b2_0.30_s00.png"
    assert second["path"] == "images/prompt_004/idx004_b1_0.70_b2_0.30_s01.png"
    assert row_values(first, "normalized_bid") == (0.7, 0.3)
    assert json.loads(first["coalitions"]) == [[0, 1], [0]]
    assert json.loads(first["weights"]) == pytest.approx([0.6, 0.4])
    assert (first["scenario"], first["sample"], first["sample_passes"]) == (4, 0, 6)
    assert (first["seed"], second["seed"]) == (noise_seed(9, SCENARIO, 0), noise_seed(9, SCENARIO, 1))


def test_mechanisms_pools_are_planned_after_the_bids() -> None:
    plan = prepare(configured("bids.vectors=[[0.7,0.3],[7,3]]", "samples=1")).plan
    assert plan.vectors == [(0.7, 0.3), (7, 3), (0, 1), (1, 0)]
    assert len(plan.images) == 3
    assert plan.sample_passes_naive == 2 * 5 * 3  # of the two vectors asked for


def test_a_mechanism_that_reads_no_composed_pool_has_none_planned() -> None:
    plan = prepare(configured("mechanism=vcg_pool", "bids.vectors=[[0.7,0.3],[1,1]]", "samples=1")).plan
    assert plan.vectors == [(1, 1), (1, 0), (0, 1)]
    everything = prepare(configured("mechanism=vcg_pool", "mechanism.compositions=[base,[2,1]]", "samples=1")).plan
    assert everything.vectors == [(0, 0), (0.6666666667, 0.3333333333), (1, 0), (0, 1)]


def test_every_text_that_conditions_an_image_is_known() -> None:
    plan = prepare(configured("composition=prompt_only", "bids.vectors=[[0.7,0.3],[0,0]]", "samples=1")).plan
    assert plan.coalitions == [(0, 0, 0, 1), (), (1,), (0,)]


@given(st.integers(1, 4).flatmap(lambda n: st.lists(bid_vectors(n), min_size=1, max_size=4)))
def test_every_pool_that_a_mechanism_reads_is_planned_once(bids: list[Bids]) -> None:
    mechanisms = (VCG(), SingleWinner())

    def pools(vector: Bids) -> list[Bids]:
        return list(chain.from_iterable(mechanism.required_bids(vector) for mechanism in mechanisms))

    plan = plan_of(list(dict.fromkeys(bids)), pools, samples=1)
    held = {normalized(vector) for vector in plan.vectors}
    assert {normalized(pool) for vector in bids for pool in pools(vector)} <= held
    assert {row_values(row, "normalized_bid") for row in plan.images.to_dict("records")} == held
    assert len(plan.images) == len(held) == plan.images["path"].nunique()


def test_the_three_to_one_to_one_ratio_of_four_agents_is_planned() -> None:
    """(4, 1, 1): shares that do not sum to one when rounded."""
    mechanism, bids = VCG(), (4.0, 1.0, 1.0, 2.0)
    plan = plan_of([bids], mechanism.required_bids, samples=1)
    held = {normalized(vector) for vector in plan.vectors}
    assert {normalized(pool) for pool in mechanism.required_bids(bids)} <= held


def test_names_grow_where_two_would_collide() -> None:
    paths = plan_of([(0.7, 0.3), (0.701, 0.299), (0, 1)], samples=1).images["path"].tolist()
    assert [path.rpartition("/")[2] for path in paths] == [
        "idx000_b1_0.700_b2_0.300_s00.png",
        "idx000_b1_0.701_b2_0.299_s00.png",
        "idx000_b1_0.000_b2_1.000_s00.png",
    ]


@given(st.lists(bid_vectors(3), min_size=1, max_size=6, unique=True), st.integers(1, 3))
def test_every_image_has_a_name_of_its_own(bids: list[Bids], samples: int) -> None:
    assert plan_of(bids, samples=samples).images["path"].is_unique


def test_noise_depends_on_seed_scenario_and_sample_alone() -> None:
    other = Scenario("A pool", ("Tesla car", "Dell monitor"))
    bids, fewer = [(0.7, 0.3), (0.2, 0.8), (0, 0)], [(0.2, 0.8)]
    full = make_plan({0: other, 1: SCENARIO}, bids, own_pool, recursive, samples=3, steps=5, seed=7).images
    part = make_plan({5: SCENARIO}, fewer, own_pool, recursive, samples=2, steps=1, seed=7).images

    seeds = full.groupby(["scenario", "sample"])["seed"]
    assert (seeds.nunique() == 1).all()  # common random numbers: the same for every bid
    assert full["seed"].nunique() == 6
    assert part["seed"].tolist() == seeds.first().loc[1].tolist()[:2]
    again = make_plan({5: SCENARIO}, fewer, own_pool, recursive, samples=2, steps=1, seed=8).images
    assert not set(again["seed"]) & set(part["seed"])


@given(st.integers(0, 2**63 - 1), st.integers(0, 10**6))
def test_noise_seeds_fit_a_generator(seed: int, sample: int) -> None:
    assert 0 <= noise_seed(seed, SCENARIO, sample) < 2**63


def test_columns_and_row_values_are_inverse() -> None:
    bids = tuple(float(i) for i in range(12))  # two digits: bid_10 is not bid_1
    assert row_values({**columns("bid", bids), "bid_x": 5.0, "sample": 1}, "bid") == bids
