"""Bid vectors: explicit, on a grid, on the simplex; and their ratios, on which compositions depend."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

Bids = tuple[float, ...]
"""One bid per agent: non-negative, finite floats."""

_DIGITS = 10  # ratios that agree to ten decimals are one composition


def grid(*axes: Sequence[float]) -> list[Bids]:
    """Every combination of one bid per axis, the last agent's bid changing fastest."""
    return [tuple(map(float, bids)) for bids in itertools.product(*axes)]


def simplex(values: Sequence[float]) -> list[Bids]:
    """The two-agent bids (b, 1 − b) for each b of `values` in [0, 1]."""
    return [(float(b), round(1.0 - float(b), 12)) for b in values]


def one_hot(agent: int, n_agents: int) -> Bids:
    """The bid vector e_agent: 1 for `agent` (from 0), 0 for the others."""
    return tuple(float(i == agent) for i in range(n_agents))


def without(bids: Bids, agent: int) -> Bids:
    """b_{−i}: the bids with `agent`'s (from 0) cancelled."""
    return tuple(0.0 if i == agent else bid for i, bid in enumerate(bids))


def normalized(bids: Sequence[float]) -> Bids:
    """Bids divided by their sum, rounded to ten decimals; all-zero bids stay all zero.

    Two bid vectors with the same ratios have equal normalised bids, hence one composition and one pool; what is
    normalised already stays as it is.
    """
    if abs(sum(bids) - 1) < len(bids) * 10.0**-_DIGITS and all(round(bid, _DIGITS) == bid for bid in bids):
        return tuple(map(float, bids))
    largest = max(bids, default=0.0)
    if largest == 0:
        return tuple(0.0 for _ in bids)
    scaled = [bid / largest for bid in bids]  # so that neither huge nor tiny bids over- or underflow
    total = sum(scaled)
    return tuple(round(round(bid / total, _DIGITS + 4), _DIGITS) for bid in scaled)  # halves fall on one side
