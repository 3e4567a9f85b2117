"""The compositions against hand-worked tables, the paper's closed form, and their stated properties."""

import json
from collections.abc import Callable
from itertools import permutations, product
from math import isclose, prod
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from diffusion_auction.config import CompositionConfig
from diffusion_auction.generation.plan import make_plan
from diffusion_auction.market.bids import Bids
from diffusion_auction.market.compositions import (
    COMPOSITIONS,
    Coalition,
    Weights,
    additive,
    lovasz,
    pairwise,
    prompt_only,
    recursive,
    weights_of,
)
from diffusion_auction.market.scenarios import Scenario
from diffusion_auction.tiny_flux.vocabulary import check_prompt
from tests.support import CAFE, CONF, TABLE_1, bid_vectors

every_composition = pytest.mark.parametrize("name", COMPOSITIONS)


def closed_form(bids: Bids) -> Weights:
    """Equation 6, term by term, from b^(i) and w^(i) of appendix F; ties by agent index. No bid may be zero."""
    order = sorted(range(len(bids)), key=lambda agent: -bids[agent])  # stable: equal bids by index
    n, b = len(bids), [bids[agent] for agent in order]  # b[j-1] is b_j, falling
    w = {i: 2 * sum(b[: n - i]) / sum(b[: n - i + 1]) - 1 for i in range(1, n)}
    weights = {tuple(sorted(order[:1])): prod(w[i] for i in range(1, n))}
    for i in range(2, n + 1):
        weights[tuple(sorted(order[:i]))] = prod(w[j] for j in range(1, n - i + 1)) * (1 - w[n - i + 1])
    return weights


def same(left: Weights, right: Weights, tolerance: float = 1e-8) -> bool:
    """Whether two weightings agree to `tolerance`, absent meaning zero."""
    return all(abs(left.get(s, 0) - right.get(s, 0)) < tolerance for s in left.keys() | right.keys())


def on_sets(weights: Weights) -> Weights:
    """`weights` whatever the order in which texts name the agents."""
    return {tuple(sorted(coalition)): weight for coalition, weight in weights.items()}


def moved(bids: Bids, seat: list[int]) -> Bids:
    """`bids` after agent i has moved to seat[i]."""
    return tuple(bids[seat.index(place)] for place in range(len(bids)))


def is_equivariant(name: str, bids: Bids, seat: list[int]) -> bool:
    """Whether the coalitions' weights move with the agents."""
    expected = {tuple(seat[agent] for agent in s): w for s, w in COMPOSITIONS[name](bids).items()}
    return same(on_sets(COMPOSITIONS[name](moved(bids, seat))), on_sets(expected))


def by_falling_bid(bids: Bids) -> list[int]:
    """The agents who bid; equal bids by index."""
    return sorted((agent for agent, bid in enumerate(bids) if bid), key=lambda agent: -bids[agent])


# --- by hand ---------------------------------------------------------------------------------------


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


PAIRWISE = [
    ((0.7, 0.3), {(0, 1): 0.6, (0,): 0.4}),  # w = 2·0.7 − 1
    ((0.3, 0.7), {(1, 0): 0.6, (1,): 0.4}),
    ((0.5, 0.5), {(0, 1): 1}),
    # 0.6 and 0.3 merge: w = 1/3; then 0.9 and 0.1: w = 0.8
    ((0.1, 0.6, 0.3), {(1, 2, 0): 0.2, (1, 2): 0.8 * 2 / 3, (1,): 0.8 / 3}),
    ((1, 1, 1), {(0, 1, 2): 2 / 3, (0, 1): 1 / 3}),  # w = 0; then 2 and 1: w = 1/3
    # 0.6 and the first 0.2 merge: w = 1/2; then 0.8 and 0.2: w = 0.6
    ((0.2, 0.6, 0.2), {(1, 0, 2): 0.4, (1, 0): 0.3, (1,): 0.3}),
    ((0.4, 0, 0.6), {(2, 0): 0.8, (2,): 0.2}),
    ((0, 0.2), {(1,): 1}),
    ((0, 0, 0), {(): 1}),
]

LOVASZ = [
    ((0.7, 0.3), {(0, 1): 3 / 7, (0,): 4 / 7}),
    ((0.3, 0.7), {(0, 1): 3 / 7, (1,): 4 / 7}),
    ((0.5, 0.5), {(0, 1): 1}),
    ((0.1, 0.6, 0.3), {(0, 1, 2): 1 / 6, (1, 2): 1 / 3, (1,): 1 / 2}),
    ((1, 1, 1), {(0, 1, 2): 1}),
    ((0.2, 0.6, 0.2), {(0, 1, 2): 1 / 3, (1,): 2 / 3}),
    ((0.2, 0.4, 0.4), {(0, 1, 2): 1 / 2, (1, 2): 1 / 2}),
    ((0.4, 0, 0.6), {(0, 2): 2 / 3, (2,): 1 / 3}),
    ((0, 0.2), {(1,): 1}),
    ((0, 0, 0), {(): 1}),
]

ADDITIVE = [
    ((0.7, 0.3), {(0,): 0.7, (1,): 0.3}),
    ((1, 3), {(0,): 0.25, (1,): 0.75}),
    ((2, 2), {(0,): 0.5, (1,): 0.5}),
    ((0.1, 0.6, 0.3), {(0,): 0.1, (1,): 0.6, (2,): 0.3}),
    ((1, 1, 1), {(0,): 1 / 3, (1,): 1 / 3, (2,): 1 / 3}),
    ((0.4, 0, 0.6), {(0,): 0.4, (2,): 0.6}),
    ((0, 0.2), {(1,): 1}),
    ((0, 0, 0), {(): 1}),
]

PROMPT_ONLY = [
    ((0.7, 0.3), (0, 0, 0, 1)),  # quotas 2.8 and 1.2
    ((0.3, 0.7), (1, 1, 1, 0)),
    ((0.6, 0.4), (0, 0, 1, 1)),  # 2.4 and 1.6
    ((0.5, 0.5), (0, 0, 1, 1)),
    ((5, 3), (0, 0, 0, 1)),  # 2.5 and 1.5: the higher bidder first
    ((3, 5), (1, 1, 1, 0)),
    ((0.01, 0.99), (1, 1, 1, 0)),  # at least one
    ((0.2, 0.5, 0.3), (1, 1, 2, 0)),
    ((1, 1, 1), (0, 0, 1, 2)),
    ((0.05, 0.05, 0.9), (2, 2, 0, 1)),
    ((0.4, 0, 0.6), (2, 2, 0, 0)),
    ((0.1, 0.2, 0.3, 0.4), (3, 2, 1, 0)),
    ((1, 9, 1, 1, 1), (1, 0, 2, 3, 4)),
    ((0, 0.2), (1,)),
    ((0, 0, 0), ()),
]


@pytest.mark.parametrize(
    ("name", "bids", "weights"),
    [
        *(("pairwise", *case) for case in PAIRWISE),
        *(("lovasz", *case) for case in LOVASZ),
        *(("additive", *case) for case in ADDITIVE),
        *(("prompt_only", bids, {text: 1}) for bids, text in PROMPT_ONLY),
    ],
)
def test_the_others_by_hand(name: str, bids: Bids, weights: Weights) -> None:
    found = COMPOSITIONS[name](bids)
    assert found.keys() == weights.keys()
    assert same(found, weights)


# --- every composition -----------------------------------------------------------------------------


@every_composition
@given(bids=bid_vectors())
def test_weights_are_convex_and_none_is_zero(name: str, bids: Bids) -> None:
    weights = COMPOSITIONS[name](bids)
    assert all(weight > 0 for weight in weights.values())
    assert isclose(sum(weights.values()), 1, rel_tol=1e-12)


@pytest.mark.parametrize("compose", [recursive, lovasz, additive])
@given(bids=bid_vectors())
def test_texts_name_agents_by_index(compose: Callable[[Bids], Weights], bids: Bids) -> None:
    assert all(list(coalition) == sorted(set(coalition)) for coalition in compose(bids))


@every_composition
@given(bids=bid_vectors(), scale=st.floats(1e-6, 1e6))
def test_scale_invariance(name: str, bids: Bids, scale: float) -> None:
    compose = COMPOSITIONS[name]
    assert same(compose(tuple(scale * bid for bid in bids)), compose(bids))


@every_composition
@given(bids=bid_vectors())
def test_who_bids_zero_is_in_no_coalition(name: str, bids: Bids) -> None:
    present = {agent for coalition in COMPOSITIONS[name](bids) for agent in coalition}
    assert present == set(by_falling_bid(bids))


def seated(distinct: bool) -> st.SearchStrategy[tuple[Bids, list[int]]]:
    """Bids, and where each agent moves."""
    return st.integers(1, 6).flatmap(lambda n: st.tuples(bid_vectors(n, distinct), st.permutations(range(n))))


@every_composition
@given(case=seated(distinct=True))
def test_permutation_equivariance_for_distinct_bids(name: str, case: tuple[Bids, list[int]]) -> None:
    assert is_equivariant(name, *case)


@pytest.mark.parametrize("name", ["lovasz", "additive"])
@given(case=seated(distinct=False))
def test_permutation_equivariance_for_all_bids(name: str, case: tuple[Bids, list[int]]) -> None:
    assert is_equivariant(name, *case)


@pytest.mark.parametrize("name", ["recursive", "pairwise", "prompt_only"])
def test_ties_of_three_are_not_symmetric(name: str) -> None:
    assert not is_equivariant(name, (1, 1, 1), [2, 1, 0])


def test_options_schema_and_functions_agree() -> None:
    options = {path.stem: OmegaConf.load(path) for path in (CONF / "composition").glob("*.yaml")}
    assert options == {name: {"name": name} for name in COMPOSITIONS}
    assert get_args(CompositionConfig.model_fields["name"].annotation) == tuple(COMPOSITIONS)
    assert [compose.__name__ for compose in COMPOSITIONS.values()] == list(COMPOSITIONS)


@every_composition
@pytest.mark.parametrize("texts", [*TABLE_1, CAFE], ids=lambda texts: texts[0])
def test_the_embedded_model_can_read_every_text(name: str, texts: tuple[str, ...]) -> None:
    scenario = Scenario(texts[0], texts[1:])
    for bids in product((0, 0.1, 0.5, 1), repeat=scenario.n_agents):
        for coalition in COMPOSITIONS[name](bids):
            check_prompt(scenario.coalition_prompt(coalition))


@every_composition
def test_a_plan_keeps_the_coalitions(name: str) -> None:
    compose, bids = COMPOSITIONS[name], (0.2, 0.5, 0.3)
    plan = make_plan({0: Scenario(CAFE[0], CAFE[1:])}, [bids], lambda b: [b], compose, samples=1, steps=5, seed=0)
    (row,) = plan.images.to_dict("records")
    coalitions: list[Coalition] = [tuple(coalition) for coalition in json.loads(row["coalitions"])]
    assert dict(zip(coalitions, json.loads(row["weights"]), strict=True)) == compose(bids)
    assert plan.sample_passes == 5 * len(compose(bids))


# --- recursive and pairwise ------------------------------------------------------------------------


@given(bid_vectors())
def test_is_equation_6(bids: Bids) -> None:
    assume(all(bids))
    assert same(recursive(bids), closed_form(bids))


@given(st.integers(1, 6), st.floats(1e-3, 1e3))
def test_equal_bids_are_ordered_by_agent_index(n: int, bid: float) -> None:
    for compose in (recursive, pairwise):
        assert all(coalition == tuple(range(len(coalition))) for coalition in compose((bid,) * n))


def test_a_higher_bid_never_loses_coalitions() -> None:
    """Coalitions are nested: sorted by falling bid, each is the next larger one without its lowest bidder."""
    for bids in permutations((0.5, 0.3, 0.15, 0.05)):
        order = by_falling_bid(bids)
        assert set(recursive(bids)) == {tuple(sorted(order[:size])) for size in (1, 2, 3, 4)}


@given(bid_vectors())
def test_pairwise_is_recursive_but_for_the_order_of_names(bids: Bids) -> None:
    merged, order = pairwise(bids), by_falling_bid(bids)
    assert same(on_sets(merged), recursive(bids))
    assert all(list(coalition) == order[: len(coalition)] for coalition in merged)


def test_recursive_jumps_at_a_tie() -> None:
    assert not same(recursive((1, 1, 1)), recursive((1, 1, 1 + 1e-6)), tolerance=0.3)


# --- lovasz ----------------------------------------------------------------------------------------


@given(bid_vectors(), st.data())
def test_lovasz_is_continuous_also_at_ties(bids: Bids, data: st.DataObject) -> None:
    assume(any(bids))
    step = 1e-6
    shifts = data.draw(st.lists(st.floats(-step, step), min_size=len(bids), max_size=len(bids)))
    nearby = tuple(max(0.0, bid + shift) for bid, shift in zip(bids, shifts, strict=True))
    assert same(lovasz(bids), lovasz(nearby), tolerance=5 * step / max(bids))


@given(bid_vectors())
def test_lovasz_is_the_mean_over_thresholds(bids: Bids) -> None:
    """w_S is the chance of S = {i : b_i > t}, t uniform in [0, max b): on a lattice of bids, a sum over its cells."""
    assume(any(bids))
    expected: Weights = {}
    cells = int(8 * max(bids))
    for cell in range(cells):
        above = tuple(agent for agent, bid in enumerate(bids) if 8 * bid > cell)
        expected[above] = expected.get(above, 0) + 1 / cells
    assert same(lovasz(bids), expected)


@given(st.floats(0.01, 1), st.floats(0.01, 1))
def test_lovasz_favours_the_higher_of_two_more(b1: float, b2: float) -> None:
    bids = (b1, b2)
    assert lovasz(bids)[0, 1] <= recursive(bids)[0, 1] + 1e-8


# --- prompt_only -----------------------------------------------------------------------------------


def mentions(bids: Bids) -> list[int]:
    """How often the text of `prompt_only` names each agent."""
    (text,) = prompt_only(bids)
    return [text.count(agent) for agent in range(len(bids))]


@given(bid_vectors())
def test_mentions_are_apportioned_by_falling_bid(bids: Bids) -> None:
    (text,), order, times = prompt_only(bids), by_falling_bid(bids), mentions(bids)
    assert len(text) == (max(4, len(order)) if len(order) > 1 else len(order))
    assert list(dict.fromkeys(text)) == order
    assert text == tuple(agent for agent in order for _ in range(times[agent]))
    falling = [times[agent] for agent in order]
    assert falling == sorted(falling, reverse=True)


@given(bid_vectors(), st.integers(0, 5), st.integers(1, 16))
def test_a_higher_bid_never_loses_mentions(bids: Bids, agent: int, more: int) -> None:
    agent %= len(bids)
    raised = tuple(bid + more / 8 * (i == agent) for i, bid in enumerate(bids))
    assert mentions(raised)[agent] >= mentions(bids)[agent]


@given(st.integers(1, 100), st.integers(1, 100))
def test_two_agents_have_the_nearest_mentions(b1: int, b2: int) -> None:
    """Within half a mention of the quota, or at the least that is allowed."""
    for times, bid in zip(mentions((b1, b2)), (b1, b2), strict=True):
        quota = 4 * bid / (b1 + b2)
        assert abs(times - min(3, max(1, quota))) <= 0.5 + 1e-9


# --- compositions of the caller's own --------------------------------------------------------------


def test_a_composition_of_ones_own_gives_weights_that_are_not_zero() -> None:
    assert weights_of(lambda bids: {(0,): bids[0], (1, 0): 1 - bids[0], (): 0.0}, (0.25, 1.0)) == {
        (0,): 0.25,
        (1, 0): 0.75,
    }
    assert weights_of("lovasz", (1.0, 0.5)) == lovasz((1.0, 0.5))
    assert weights_of(lambda _: {(0,): np.float32(0.1), (1,): np.float32(0.9)}, (1.0, 1.0)) == pytest.approx(
        {(0,): 0.1, (1,): 0.9}
    )


@pytest.mark.parametrize(
    ("returned", "complaint"),
    [
        ({(0,): 0.5}, r"sum to 1, but those of \(1.0, 2.0\) sum to 0.5"),
        ({}, "sum to 0"),
        ({(0,): 1.5, (1,): -0.5}, r"weights of 0 to 1, but that of \(0,\) is 1.5"),
        ({(0,): 1.0, (1,): -0.5}, r"that of \(1,\) is -0.5"),
        ({(0,): float("nan")}, "is nan"),
        ({(0,): "1"}, "is '1'"),
        ({(2,): 1.0}, r"tuples of agents, 0 to 1, but one is of \(2,\)"),
        ({(-1,): 1.0}, r"one is of \(-1,\)"),
        ({0: 1.0}, "one is of 0"),
        ({(0.0,): 1.0}, r"one is of \(0.0,\)"),
        ({frozenset({0}): 1.0}, r"one is of frozenset\(\{0\}\)"),
        ({"ab": 1.0}, "one is of 'ab'"),
        ([0.5, 0.5], r"a dict of weights by coalition but returned \[0.5, 0.5\]"),
        (None, "returned None"),
    ],
)
def test_what_is_no_composition_is_refused(returned: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=f"^`composition` has to return .*{complaint}"):
        weights_of(lambda _: returned, (1.0, 2.0))


@pytest.mark.parametrize("composition", [None, 3, {(0,): 1.0}])
def test_what_is_neither_a_name_nor_a_function_is_refused(composition: Any) -> None:
    with pytest.raises(ValueError, match=r"^`composition` has to be one of recursive, .*, or a function of the bids"):
        weights_of(composition, (1.0, 2.0))
