"""The paper's mechanism: the best of k composed images, priced by a Monte Carlo externality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from diffusion_auction.market import bids as bidding
from diffusion_auction.market.bids import Bids
from diffusion_auction.mechanisms.outcome import Outcomes, PaymentFloor, externalities, floored, without
from diffusion_auction.mechanisms.pools import CandidatePool


@dataclass(frozen=True)
class VCG:
    """Allocation of appendix D.4 and payments of D.5.

    Sells I* = argmax_{I ∈ P(b)} W(I; b), of several the one of lowest sample index, and charges agent i
    what its presence costs the others, by their bids:

        max_{I ∈ P(b_−i)} Σ_{j≠i} b_j α_j(I)  −  Σ_{j≠i} b_j α_j(I*).

    This is VCG in form only. Both pools are finite samples and P(b) moves with the bids, so an agent can gain
    by a false bid: truthful approximately, the better the more samples. I* is not drawn from P(b_−i), so an
    agent whose presence helps the others is paid: a payment can be negative, and revenue too. With
    `payment_floor` ``zero`` no payment falls below zero. All-zero bids buy sample 0 of the base prompt for nothing.
    """

    payment_floor: PaymentFloor = "none"
    name: ClassVar[str] = "vcg"

    def required_bids(self, bids: Bids) -> list[Bids]:
        """Return P(b), and P(b_−i) for each agent i that bids beside others."""
        counterfactuals = [bidding.without(bids, i) for i, bid in enumerate(bids) if bid > 0]
        return [bids, *(others for others in counterfactuals if any(others))]

    def run(self, bids: np.ndarray, pools: CandidatePool) -> Outcomes:
        """Hold an auction at each row of `bids` (B, n)."""
        read = pools.of_bids(bids)
        sold = pools.best(bids, read)
        counterfactual = np.zeros_like(sold.alignments)
        for i in range(bids.shape[1]):
            others = without(bids, i)
            members = pools.of_bids(others)
            counterfactual[..., i] = pools.best(others, members).welfare
            read = read | (members & others.any(axis=1, keepdims=True))
        payments = floored(externalities(bids, sold, counterfactual), self.payment_floor)
        return Outcomes(bids, sold, payments, read, {"counterfactual": counterfactual})
