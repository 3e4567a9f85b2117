"""Shares by average contribution: each agent keeps its Shapley value of the welfare that coalitions reach."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from math import factorial
from typing import ClassVar

import numpy as np

from diffusion_auction.market.bids import Bids
from diffusion_auction.mechanisms.outcome import Outcomes
from diffusion_auction.mechanisms.pools import CandidatePool

_FEW = 64  # coalitions that are looked up without counting pools first


@dataclass(frozen=True)
class Shapley:
    """Sells as `vcg` does, I* = argmax_{I ∈ P(b)} W(I; b), and shares the cost of not being alone.

    In the game v(S) = max_{I ∈ P(b_S)} Σ_{i∈S} b_i α_i(I), v(∅) = 0, agent i has the Shapley value

        φ_i = Σ_{S ∌ i} |S|! (n−|S|−1)! / n! · (v(S ∪ i) − v(S))          (Shapley 1953),

    and pays b_i α_i(I*) − φ_i. The same payments are the Shapley cost shares of the externality
    C(S) = v(N∖S) − Σ_{j∉S} b_j α_j(I*) that a coalition's presence causes the others. They sum to zero: the budget
    balances exactly, some agents are paid by others. Truth is no dominant strategy; with v superadditive no agent is
    worse off than alone. An agent that bids zero neither pays nor is paid. Reads P(b_S) of every coalition.
    """

    name: ClassVar[str] = "shapley"

    def required_bids(self, bids: Bids) -> list[Bids]:
        """Return P(b_S) for every coalition S of agents that bid, the grand coalition first."""
        bidding = tuple(i for i, bid in enumerate(bids) if bid > 0)
        coalitions = list(_subsets(bidding))[:0:-1]
        return [tuple(b if i in s else 0.0 for i, b in enumerate(bids)) for s in coalitions] or [bids]

    def run(self, bids: np.ndarray, pools: CandidatePool) -> Outcomes:
        """Hold an auction at each row of `bids` (B, n)."""
        read = pools.of_bids(bids)
        sold = pools.best(bids, read)
        shares = np.zeros_like(sold.alignments)
        for supporters in np.unique(bids > 0, axis=0):
            rows = np.flatnonzero(((bids > 0) == supporters).all(axis=1))
            agents = tuple(np.flatnonzero(supporters).tolist())
            if 2 ** len(agents) > max(_FEW, len(pools.ratios) + 1):  # more coalitions than pools: some are missing
                shares[:, rows[:, None], agents] = np.nan
                continue
            for coalition in _subsets(agents)[1:]:
                reported = np.where(np.isin(np.arange(bids.shape[1]), coalition), bids[rows], 0.0)
                members = pools.of_bids(reported)
                read[rows] |= members
                value = pools.best(reported, members).welfare
                for i in agents:
                    shares[:, rows, i] += _weight(coalition, i, len(agents)) * value
        return Outcomes(bids, sold, bids * sold.alignments - shares, read, {"shapley_value": shares})


def _subsets(agents: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return all subsets, the empty one first, by size."""
    sizes = (itertools.combinations(agents, size) for size in range(len(agents) + 1))
    return list(itertools.chain.from_iterable(sizes))


def _weight(coalition: tuple[int, ...], agent: int, n: int) -> float:
    """Return the factor of v(coalition) in the Shapley value of `agent` among `n`."""
    size = len(coalition)
    if agent in coalition:
        return factorial(size - 1) * factorial(n - size) / factorial(n)
    return -factorial(size) * factorial(n - size - 1) / factorial(n)
