"""What a mechanism takes and gives: candidate pools and bids in; one image and its prices out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from diffusion_auction.bids import Bids, normalized

Pool = Callable[[Bids], np.ndarray]
"""Alignments (k, n) of the images of P(b), row s for sample s; raises `MissingPoolError` for none."""

PaymentFloor = Literal["none", "zero"]
"""Whether a payment may fall below zero (`none`: it may)."""


class MissingPoolError(KeyError):
    """The candidate pool P(b) that a mechanism asked for is not there."""

    def __init__(self, bids: Bids) -> None:
        self.bids = bids
        super().__init__(f"no candidate pool for the bids {', '.join(f'{bid:g}' for bid in bids)}")

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError would quote it


@dataclass(frozen=True, eq=False)
class Outcome:
    """One auction: the image sold and the prices.

    `values` are b_i·α_i(I*), as if every bid were true, `utilities` are values less payments.
    """

    bids: Bids
    chosen_bids: Bids
    """Normalised bids of the pool that the image came from."""
    chosen_sample: int
    """Row of the image in that pool."""
    alignments: np.ndarray
    """α_i of the image, (n,)."""
    payments: np.ndarray
    """(n,)"""

    @property
    def values(self) -> np.ndarray:
        return np.asarray(self.bids) * self.alignments

    @property
    def utilities(self) -> np.ndarray:
        return self.values - self.payments

    @property
    def welfare(self) -> float:
        return float(self.values.sum())

    @property
    def revenue(self) -> float:
        return float(self.payments.sum())


class Mechanism(Protocol):
    """Candidate pools and bids in, one image and the payments out; for any number of agents."""

    @property
    def name(self) -> str:
        """As in the configuration and in auctions.parquet."""

    def candidates(self, bids: Bids) -> list[Bids]:
        """The bid vectors whose pools together hold the images that may be sold."""

    def pools(self, bids: Bids) -> list[Bids]:
        """All bid vectors whose pools `run` reads at `bids`, the candidates' first; a plan is their union."""

    def run(self, bids: Bids, pool: Pool) -> Outcome:
        """Sell one image; raises `MissingPoolError` when a pool of `pools(bids)` is missing."""


def welfare(alignments: np.ndarray, bids: Bids) -> np.ndarray:
    """W(I; b) = Σ_i b_i α_i(I) over the last axis of `alignments` (…, n)."""
    return (alignments * np.asarray(bids)).sum(axis=-1)


def base_only(bids: Bids, pool: Pool) -> Outcome:
    """The auction nobody bids in: sample 0 of the base prompt's images, for nothing."""
    return Outcome(bids, normalized(bids), 0, pool(bids)[0], np.zeros(len(bids)))


def floored(payments: np.ndarray, floor: PaymentFloor) -> np.ndarray:
    """`payments` (n,), those below zero lifted to it when `floor` is ``zero``."""
    return np.maximum(payments, 0.0) if floor == "zero" else payments
