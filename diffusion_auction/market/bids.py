"""Bid vectors: explicit, on a grid, on the simplex; and their ratios, on which compositions depend."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from diffusion_auction.config import ExperimentConfig, GridBids, SimplexBids
from generative_auctions.errors import RequestError

Bids = tuple[float, ...]
"""One bid per agent: non-negative, finite floats."""

_DIGITS = 10  # ratios that agree to ten decimals are one composition


def grid(*axes: Sequence[float]) -> list[Bids]:
    """Return every combination of one bid per axis, the last agent's bid changing fastest."""
    return [tuple(map(float, bids)) for bids in itertools.product(*axes)]


def simplex(values: Sequence[float]) -> list[Bids]:
    """Return the two-agent bids (b, 1 − b) for each b of `values` in [0, 1]."""
    return [(float(b), round(1.0 - float(b), 12)) for b in values]


def one_hot(agent: int, n_agents: int) -> Bids:
    """Return the bid vector e_agent: 1 for `agent` (from 0), 0 for the others."""
    return tuple(float(i == agent) for i in range(n_agents))


def without(bids: Bids, agent: int) -> Bids:
    """Return b_{−i}: the bids with `agent`'s (from 0) cancelled."""
    return tuple(0.0 if i == agent else bid for i, bid in enumerate(bids))


def normalized(bids: Sequence[float]) -> Bids:
    """Divide the bids by their sum and round to ten decimals; all-zero bids stay all zero.

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


def experiment_bids(config: ExperimentConfig, n_agents: int) -> list[Bids]:
    """Return the bid vectors that a configuration asks for.

    Args:
        config: the configuration; its section `bids` lists vectors, a grid, or points of the simplex.
        n_agents: the number n of agents of the prompts.

    Returns:
        The distinct bid vectors, each of n bids ≥ 0, in the order of the configuration.

    Raises:
        RequestError: a vector has another length, or a bid is negative or not finite.
    """
    section = config.bids
    if isinstance(section, GridBids):
        check_agents("bids.axes", f"{len(section.axes)} axes", len(section.axes), n_agents, "axes")
        for i, axis in enumerate(section.axes):
            check_numbers(f"bids.axes[{i}]", axis)
            if not axis:
                raise RequestError(f"bids.axes[{i}]", "[]", "at least one bid")
        vectors = grid(*section.axes)
    elif isinstance(section, SimplexBids):
        check_agents("bids.values", "two agents' bids", 2, n_agents, "agents")
        for i, value in enumerate(section.values):
            if not 0 <= value <= 1:  # NaN fails this too
                raise RequestError(f"bids.values[{i}]", value, "a number from 0 to 1")
        vectors = simplex(section.values)
    else:
        for i, vector in enumerate(section.vectors):
            check_agents(f"bids.vectors[{i}]", vector, len(vector), n_agents, "bids")
            check_numbers(f"bids.vectors[{i}]", vector)
        vectors = [tuple(map(float, vector)) for vector in section.vectors]
    return list(dict.fromkeys(vectors))


def check_agents(key: str, value: object, found: int, n_agents: int, what: str) -> None:
    """Check that there is one of `what` per agent.

    Raises:
        RequestError: `found` is not `n_agents`; the line names `key` and `value`.
    """
    if found != n_agents:
        raise RequestError(key, value, f"{n_agents} {what}, one per agent of the prompts")


def check_numbers(key: str, vector: list[float]) -> None:
    """Check that every bid of `vector` is finite and not negative.

    Raises:
        RequestError: one is not; the line names `key` and its index.
    """
    for i, bid in enumerate(vector):
        if not (math.isfinite(bid) and bid >= 0):
            raise RequestError(f"{key}[{i}]", bid, "a finite number that is not negative")
