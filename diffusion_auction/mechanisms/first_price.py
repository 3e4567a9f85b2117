"""The simplest price: each agent pays what it says the image is worth to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from diffusion_auction.market.bids import Bids
from diffusion_auction.mechanisms.outcome import Outcomes
from diffusion_auction.mechanisms.pools import CandidatePool


@dataclass(frozen=True)
class FirstPrice:
    """Sells as `vcg` does, I* = argmax_{I ∈ P(b)} W(I; b), and charges agent i its bid's worth b_i α_i(I*).

    Revenue is the reported welfare, a truthful agent's utility is zero, and it pays to bid less: the measure of what
    a payment rule is for.
    """

    name: ClassVar[str] = "first_price"

    def required_bids(self, bids: Bids) -> list[Bids]:
        """Return P(b) alone."""
        return [bids]

    def run(self, bids: np.ndarray, pools: CandidatePool) -> Outcomes:
        """Hold an auction at each row of `bids` (B, n)."""
        read = pools.of_bids(bids)
        sold = pools.best(bids, read)
        return Outcomes(bids, sold, bids * sold.alignments, read)
