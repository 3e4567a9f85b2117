"""Revenue, budget balance and individual rationality."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from diffusion_auction.evaluation.bootstrap import divide, number
from diffusion_auction.mechanisms import Outcomes

_ROUNDING = 1e-12
"""A payment or utility below zero by less than this part of its auction's payments is a rounding error."""


@dataclass
class Ledger:
    """Counts over auctions whose payments are all known, taking every bid for true; named as in metrics.json."""

    n: int = 0
    """The number of auctions counted."""
    left_out: int = 0
    """The number of auctions without an image, or with a payment that lacks a pool."""
    deficits: int = 0
    """The number of auctions with revenue below zero: they cost the auctioneer money."""
    payments: int = 0
    payments_below_zero: int = 0
    utilities_below_zero: int = 0
    """The number of truthful agents with negative utility, over all auctions: individual rationality is broken."""
    lowest_utility: float = np.inf

    def add(self, outcomes: Outcomes, draw: int = 0) -> None:
        """Count the auctions of `outcomes` at which somebody bids, under one of the draws."""
        payments, utilities = outcomes.payments[draw], outcomes.utilities[draw]
        bidding = outcomes.bids.any(axis=1)
        known = bidding & np.isfinite(payments).all(axis=1)
        least = -_ROUNDING * (np.abs(payments) + np.abs(outcomes.values[draw])).sum(axis=1)
        self.n += int(known.sum())
        self.left_out += int((bidding & ~known).sum())
        self.deficits += int((outcomes.revenue[draw, known] < least[known]).sum())
        self.payments += payments[known].size
        self.payments_below_zero += int((payments[known] < least[known, None]).sum())
        self.utilities_below_zero += int((utilities[known] < least[known, None]).sum())
        self.lowest_utility = float(utilities[known].min(initial=self.lowest_utility))

    def figures(self) -> dict[str, Any]:
        """Return the counts for metrics.json."""
        return asdict(self) | {"lowest_utility": number(self.lowest_utility)}


def revenue(outcomes: Outcomes) -> np.ndarray:
    """Return the revenue Σ_i payment_i of each auction, (D, B).

    NaN where nobody bids, and where a payment is unknown.
    """
    return np.where(outcomes.bids.any(axis=1), outcomes.revenue, np.nan)


def share_of_welfare(outcomes: Outcomes) -> np.ndarray:
    """Return the share of the welfare W(I*; b) that the agents pay, (D, B).

    NaN where `revenue` is NaN, and where welfare is not above zero.
    """
    return divide(revenue(outcomes), outcomes.sold.welfare)
