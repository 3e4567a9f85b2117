"""What a mechanism takes and gives: candidate pools and bid vectors in; images, payments and diagnostics out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from diffusion_auction.market.bids import Bids
from diffusion_auction.mechanisms.pools import Allocation, CandidatePool, welfare

PaymentFloor = Literal["none", "zero"]
"""The lowest payment: `zero`, or `none` if a payment may fall below zero."""


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Auctions at B bid vectors under D draws of the samples (one draw: all samples).

    Where a pool that the allocation needs is missing, indices are −1 and alignments NaN; where one that only a payment
    needs is missing, that payment is NaN. Nothing is put in its place.
    """

    bids: np.ndarray
    """The bid vectors of the auctions, (B, n)."""
    sold: Allocation
    """The image of each auction."""
    payments: np.ndarray
    """What each agent pays, (D, B, n)."""
    read: np.ndarray
    """The blocks of images that each auction needs, bool (B, E); its cost follows from them."""
    diagnostics: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Intermediate results of the mechanism by name, each (D, B, n) or (B, n)."""

    @property
    def values(self) -> np.ndarray:
        """b_i·α_i(I*), as if every bid were true: (D, B, n)."""
        return np.asarray(self.bids * self.sold.alignments)

    @property
    def utilities(self) -> np.ndarray:
        """The values minus the payments, (D, B, n)."""
        return np.asarray(self.values - self.payments)

    @property
    def revenue(self) -> np.ndarray:
        """The sum of the payments of each auction, (D, B)."""
        return np.asarray(self.payments.sum(axis=2))


class Mechanism(Protocol):
    """Candidate pools and bid vectors in, images and payments out; for any number of agents."""

    @property
    def name(self) -> str:
        """The name of the mechanism in the configuration and in auctions.parquet."""

    def required_bids(self, bids: Bids) -> list[Bids]:
        """Return the bid vectors whose candidate pools an auction at `bids` needs; a plan is their union."""

    def run(self, bids: np.ndarray, pools: CandidatePool) -> Outcomes:
        """Hold an auction at each bid vector, under every draw of the samples.

        Args:
            bids: bid vectors (B, n), finite and ≥ 0.
            pools: the candidate images of one scenario, under D draws.

        Returns:
            The images sold, (D, B), and the payments, (D, B, n).
        """


def without(bids: np.ndarray, agent: int) -> np.ndarray:
    """Return b_{−i}: `bids` (B, n) with the column of `agent` (from 0) cancelled."""
    others = bids.copy()
    others[:, agent] = 0.0
    return others


def nothing(sold: Allocation) -> np.ndarray:
    """Return payments of zero, (D, B, n); NaN where no image is sold."""
    return np.where(np.isnan(sold.alignments), np.nan, 0.0)


def externalities(bids: np.ndarray, sold: Allocation, counterfactual: np.ndarray) -> np.ndarray:
    """Return Clarke payments (D, B, n): the others' `counterfactual` welfare (D, B, n) less theirs from the sale.

    Nothing where nobody else bids, whether or not the counterfactual is known.
    """
    payments = nothing(sold)
    for i in range(bids.shape[1]):
        others = without(bids, i)
        paid = counterfactual[..., i] - welfare(sold.alignments, others)
        payments[..., i] = np.where(others.any(axis=1), paid, payments[..., i])
    return payments


def floored(payments: np.ndarray, floor: PaymentFloor) -> np.ndarray:
    """Return `payments`, those below zero lifted to it when `floor` is ``zero``."""
    return np.maximum(payments, 0.0) if floor == "zero" else payments
