"""The paper's mechanism: the best of k composed images, priced by a Monte Carlo externality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from diffusion_auction.bids import Bids, normalized, without
from diffusion_auction.mechanisms.outcome import Outcome, PaymentFloor, Pool, base_only, floored, welfare


@dataclass(frozen=True)
class VCG:
    """Allocation of appendix D.4 and payments of D.5.

    Sells I* = argmax_{I ∈ P(b)} W(I; b), of several the one of lowest sample index, and charges agent i
    what its presence costs the others, by their bids:

        max_{I ∈ P(b_−i)} Σ_{j≠i} b_j α_j(I)  −  Σ_{j≠i} b_j α_j(I*).

    This is VCG in form only. Both pools are finite samples and P(b) moves with the bids, so an agent can gain
    by a false bid: truthful approximately, the better the more samples. I* is not drawn from P(b_−i), so an
    agent whose presence helps the others is paid: a payment can be negative, and revenue too. With
    `payment_floor` ``zero`` no payment falls below zero.
    """

    payment_floor: PaymentFloor = "none"
    name: ClassVar[str] = "vcg"

    def candidates(self, bids: Bids) -> list[Bids]:
        """P(b) alone."""
        return [bids]

    def pools(self, bids: Bids) -> list[Bids]:
        """P(b), and P(b_−i) for each agent i that bids beside others."""
        counterfactuals = [without(bids, i) for i, bid in enumerate(bids) if bid > 0]
        return [bids, *(others for others in counterfactuals if any(others))]

    def run(self, bids: Bids, pool: Pool) -> Outcome:
        """One auction. All-zero bids buy sample 0 of the base prompt's images for nothing."""
        if not any(bids):
            return base_only(bids, pool)
        candidates = pool(bids)
        chosen = int(np.argmax(welfare(candidates, bids)))
        sold = candidates[chosen]
        payments = np.zeros(len(bids))
        for i, bid in enumerate(bids):
            others = without(bids, i)
            if bid > 0 and any(others):  # else b_−i is b itself, or there is nobody to be hurt: 0
                payments[i] = welfare(pool(others), others).max() - welfare(sold, others)
        return Outcome(bids, normalized(bids), chosen, sold, floored(payments, self.payment_floor))
