"""Compositions: bid vectors to convex weights over coalitions.

Each is a pure function of the bids' ratios. All-zero bids give the base prompt alone, and an agent who bids zero is
in no coalition. Where bids are equal, the agent of the lower index counts as the higher bidder. What is called
continuous is so in bids that are not all zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import NamedTuple

from diffusion_auction.market.bids import Bids, normalized

Coalition = tuple[int, ...]
"""Agent indices from 0 in the order in which the text names them; the empty coalition is the base prompt alone.

Ascending in `recursive`, `lovasz` and `additive`; by falling bid in `pairwise` and `prompt_only`, the last of which
names an agent several times.
"""

Weights = dict[Coalition, float]
"""Weight of each coalition whose weight is not zero: w_S > 0, Σ w_S = 1."""

MENTIONS = 4
"""The number of prompts that a text of `prompt_only` names; more if more agents bid."""

_SUM_ERROR = 1e-6  # weights of float32 may be as far from one
_NOTHING = 1e-9  # a weight below the rounding of normalised bids is none


def recursive(bids: Bids) -> Weights:
    """Compose as in the paper (appendices D.4 and F, equations 3 to 6), for any n.

    With agents sorted by falling bid and b_j^(i) the bids of the n−i+1 highest, normalised, iteration i gives
    the joint prompt of those agents the weight 1 − w^(i) of what is left, where w^(i) = 2 Σ_{j ≤ n−i} b_j^(i) − 1,
    and hands the rest down to the n−i highest; what reaches the highest bidder is his own prompt's weight.

    Continuous and permutation-equivariant, but for ties between any but the two highest bidders.
    """
    order, b = _falling(bids)
    weights: Weights = {}
    rest = 1.0
    for n in range(len(order), 1, -1):
        w = 1 - 2 * b[n - 1] / sum(b[:n])
        weights[tuple(sorted(order[:n]))] = rest * (1 - w)
        rest *= w
    weights[tuple(order[:1])] = rest
    return _convex(weights)


def pairwise(bids: Bids) -> Weights:
    """Compose as the authors' later code does: merge the two highest bidders, again and again, until one is left.

    Of the two highest bids a ≥ b, the merged bidder bids a + b and his text names both, the higher first. His score
    is (1 − w) s(x | c, joint text) + w s_a(x), where w = 2a/(a + b) − 1 and s_a is the higher one's own score,
    composed if he was merged before. The authors break ties at random at every step; here nothing is random.

    A merged bidder stays the highest, so the sets of agents have the weights of `recursive`; only the order in
    which a text names them differs: by falling bid, not by index, so that the text jumps at every tie.
    """
    field = [_Bidder(bid, (agent,), {(agent,): 1.0}) for agent, bid in zip(*_falling(bids), strict=True)]
    while len(field) > 1:
        (a, higher, score), (b, lower, _), *others = field
        w = 2 * a / (a + b) - 1
        joint = higher + lower
        merged = _Bidder(a + b, joint, {joint: 1 - w} | {text: w * weight for text, weight in score.items()})
        field = sorted([merged, *others], key=lambda bidder: -bidder.bid)
    return _convex(field[0].score if field else {})


def lovasz(bids: Bids) -> Weights:
    """Compose by the Lovász extension of S ↦ s(x | c, c_S) at b/b_(1).

    With agents sorted by falling bid and b_(n+1) = 0, the coalition of the i highest has the weight
    (b_(i) − b_(i+1)) / b_(1): the chance that it is {j : b_j > t}, for t uniform in [0, b_(1)). The weights
    telescope to one.

    Continuous in the bids and, since between equal bids the weight is zero, permutation-equivariant at ties as well.
    For two agents the joint prompt has b_(2)/b_(1) where `recursive` gives 2b_(2)/(b_(1) + b_(2)): the higher bidder
    is favoured more.

    L. Lovász, "Submodular functions and convexity", in Mathematical Programming: The State of the Art, 1983.
    """
    order, b = _falling(bids)
    lower = [*b[1:], 0.0]
    return _convex({tuple(sorted(order[: i + 1])): (b[i] - lower[i]) / b[0] for i in range(len(order))})


def additive(bids: Bids) -> Weights:
    """Weight Σ_i b_i/Σ_j b_j · s(x | c, c_i): each agent's own prompt by the share of the bid, no joint prompt.

    Continuous and permutation-equivariant.
    """
    return _convex({(agent,): bid for agent, bid in zip(*_falling(bids), strict=True)})


def prompt_only(bids: Bids) -> Weights:
    """Let bids change the words and nothing else: one text, of weight one.

    It names each agent who bids, by falling bid, and repeats the prompt in proportion to the bid: `MENTIONS` mentions
    are apportioned by largest remainders, at least one to each. Bids (0.7, 0.3) give "c, featuring c_1, c_1, c_1 and
    c_2"; a sole bidder is named once.

    The text changes in steps: at a share of 5/8 for two agents. Of three the highest is named twice whatever the
    bids, and from four on each is named once: there only their order tells of the bids.
    """
    order, b = _falling(bids)
    times = _apportioned(b, max(MENTIONS, len(order)) if len(order) > 1 else len(order))
    return {tuple(agent for agent, count in zip(order, times, strict=True) for _ in range(count)): 1.0}


class _Bidder(NamedTuple):
    """An agent, or several merged: what they bid together, the text that names them, the weights of their score."""

    bid: float
    text: Coalition
    score: Weights


def _falling(bids: Bids) -> tuple[list[int], list[float]]:
    """Return the agents who bid, by falling bid and then index, and their normalised bids: b_(1) ≥ … ≥ b_(n) > 0."""
    shares = normalized(bids)
    order = sorted((agent for agent, share in enumerate(shares) if share), key=lambda agent: -shares[agent])
    return order, [shares[agent] for agent in order]


def _convex(weights: Weights) -> Weights:
    """Return `weights` without those that are nothing, summing to one; the base prompt where there are none."""
    kept = {coalition: weight for coalition, weight in weights.items() if weight > _NOTHING}
    total = sum(kept.values())
    return {coalition: weight / total for coalition, weight in kept.items()} or {(): 1.0}


def _apportioned(shares: Sequence[float], seats: int) -> list[int]:
    """Apportion seats by largest remainders, at least one each: the next goes to who is furthest below his quota.

    Ties go to the earlier of `shares`.
    """
    held = [1] * len(shares)
    for _ in range(seats - len(shares)):
        held[max(range(len(shares)), key=lambda i: seats * shares[i] - held[i])] += 1
    return held


COMPOSITIONS: dict[str, Callable[[Bids], Weights]] = {
    "recursive": recursive,
    "pairwise": pairwise,
    "lovasz": lovasz,
    "additive": additive,
    "prompt_only": prompt_only,
}
"""Compositions by the name of their option in the `composition` group."""


def weights_of(composition: str | Callable[[Bids], Weights], bids: Bids) -> Weights:
    """Return the weights of `bids` under a composition of this module, by its name, or under one of the caller's own.

    Raises:
        ValueError: if there is none of that name, or the caller's own gives anything but a dict of coalitions, tuples
            of agents' indices, with weights that are not negative and sum to one (to six decimals).
    """
    names = ", ".join(COMPOSITIONS)
    if isinstance(composition, str):
        if composition not in COMPOSITIONS:
            raise ValueError(f"`composition` has to be one of {names} but is {composition!r}")
        return COMPOSITIONS[composition](bids)
    if not callable(composition):
        raise ValueError(f"`composition` has to be one of {names}, or a function of the bids, but is {composition!r}")
    weights = composition(bids)
    if not isinstance(weights, Mapping):
        raise ValueError(f"`composition` has to return a dict of weights by coalition but returned {weights!r}")
    agents = range(len(bids))
    for coalition, weight in weights.items():
        named = isinstance(coalition, tuple) and all(isinstance(agent, Integral) for agent in coalition)
        if not named or not all(agent in agents for agent in coalition):
            expected = f"tuples of agents, 0 to {len(bids) - 1}"
            raise ValueError(f"`composition` has to return weights of {expected}, but one is of {coalition!r}")
        if not isinstance(weight, Real) or not 0 <= weight <= 1 + _SUM_ERROR:
            raise ValueError(f"`composition` has to return weights of 0 to 1, but that of {coalition} is {weight!r}")
    total = sum(map(float, weights.values()))
    if abs(total - 1) > _SUM_ERROR:
        raise ValueError(f"`composition` has to return weights that sum to 1, but those of {bids} sum to {total:g}")
    return {coalition: float(weight) for coalition, weight in weights.items() if weight > 0}
