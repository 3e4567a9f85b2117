"""The baseline: one agent alone decides the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from diffusion_auction.market.bids import Bids, one_hot
from diffusion_auction.mechanisms.outcome import Outcomes, PaymentFloor, externalities, floored, without
from diffusion_auction.mechanisms.pools import CandidatePool


@dataclass(frozen=True)
class SingleWinner:
    """The best image of ∪_i P(e_i), each made for one agent alone; section 3.3's baseline for welfare.

    Clarke payments over the same images: agent i pays max over ∪_{j≠i} P(e_j) of the others' welfare, less
    their welfare from the image sold; a sole agent pays nothing. An image made for i alone may please the others
    better than any of theirs, so a payment can be negative; `payment_floor` ``zero`` forbids it. Neither the images
    nor the first term move with the bid of i, so without that floor, and as long as somebody else bids, no false bid
    gains anything. Without some agent's images there is no baseline. All-zero bids buy sample 0 of the base prompt.
    """

    payment_floor: PaymentFloor = "none"
    name: ClassVar[str] = "single_winner"

    def required_bids(self, bids: Bids) -> list[Bids]:
        """Return P(e_i) of every agent i, whatever it bids; the base prompt's pool if nobody bids."""
        return [one_hot(i, len(bids)) for i in range(len(bids))] if any(bids) else [bids]

    def run(self, bids: np.ndarray, pools: CandidatePool) -> Outcomes:
        """Hold an auction at each row of `bids` (B, n)."""
        n = bids.shape[1]
        somebody = bids.any(axis=1, keepdims=True)
        members = np.where(somebody, pools.of_all(self.required_bids((1.0,) * n)), pools.of_bids(bids))
        sold = pools.best(bids, members)
        counterfactual = np.zeros_like(sold.alignments)
        for i in range(n if n > 1 else 0):
            of_others = members & ~pools.of_all([one_hot(i, n)])
            counterfactual[..., i] = pools.best(without(bids, i), of_others).welfare
        payments = floored(externalities(bids, sold, counterfactual), self.payment_floor)
        return Outcomes(bids, sold, payments, members, {"counterfactual": counterfactual})
