"""Compositions: bid vectors to convex weights over coalitions."""

from __future__ import annotations

from collections.abc import Callable

from diffusion_auction.bids import Bids, normalized

Coalition = tuple[int, ...]
"""Agent indices from 0, ascending; the empty coalition is the base prompt alone."""

Weights = dict[Coalition, float]
"""Weight of each coalition whose weight is not zero: w_S > 0, Σ w_S = 1."""

_NOTHING = 1e-9  # a weight below the rounding of normalised bids is none


def recursive(bids: Bids) -> Weights:
    """The paper's composition (appendices D.4 and F, equations 3 to 6), for any n.

    With agents sorted by falling bid and b_j^(i) the bids of the n−i+1 highest, normalised, iteration i gives
    the joint prompt of those agents the weight 1 − w^(i) of what is left, where w^(i) = 2 Σ_{j ≤ n−i} b_j^(i) − 1,
    and hands the rest down to the n−i highest; what reaches the highest bidder is his own prompt's weight.

    The weights depend on the ratios of the bids alone. Equal bids are ordered by agent index, lower first:
    for n ≥ 3 the composition is permutation-equivariant only where bids are distinct. All-zero bids give the
    base prompt; an agent who bids zero is in no coalition of positive weight.
    """
    shares = normalized(bids)
    if not any(shares):
        return {(): 1.0}
    order = sorted(range(len(shares)), key=lambda agent: (-shares[agent], agent))
    weights: Weights = {}
    rest = 1.0
    while len(order) > 1:
        w = 1 - 2 * shares[order[-1]] / sum(shares[agent] for agent in order)
        weights[tuple(sorted(order))] = rest * (1 - w)
        rest *= w
        order.pop()
    weights[tuple(order)] = rest
    return _rescaled(weights)


def _rescaled(weights: Weights) -> Weights:
    kept = {coalition: weight for coalition, weight in weights.items() if weight > _NOTHING}
    total = sum(kept.values())
    return {coalition: weight / total for coalition, weight in kept.items()}


COMPOSITIONS: dict[str, Callable[[Bids], Weights]] = {"recursive": recursive}
"""Compositions by the name of their option in the `composition` group."""
