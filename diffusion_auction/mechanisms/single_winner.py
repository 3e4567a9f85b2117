"""The baseline: one agent alone decides the image."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from diffusion_auction.bids import Bids, one_hot, without
from diffusion_auction.mechanisms.outcome import Outcome, PaymentFloor, Pool, base_only, floored, welfare


@dataclass(frozen=True)
class SingleWinner:
    """The best image of ∪_i P(e_i), each made for one agent alone; appendix D's baseline for welfare.

    Clarke payments over the same images: agent i pays max over ∪_{j≠i} P(e_j) of the others' welfare, less
    their welfare from the image sold; a sole agent pays nothing. Ties go to the lowest agent, then the lowest
    sample index. An image made for i alone may please the others better than any of theirs, so a payment can
    be negative; `payment_floor` ``zero`` forbids it. Neither the images nor the first term move with the bid
    of i, so without that floor, and as long as somebody else bids, no false bid gains anything.
    """

    payment_floor: PaymentFloor = "none"
    name: ClassVar[str] = "single_winner"

    def candidates(self, bids: Bids) -> list[Bids]:
        """P(e_i) of every agent i, whatever it bids; the base prompt's pool if nobody bids."""
        return [one_hot(i, len(bids)) for i in range(len(bids))] if any(bids) else [bids]

    def pools(self, bids: Bids) -> list[Bids]:
        """The candidates: payments need no others."""
        return self.candidates(bids)

    def run(self, bids: Bids, pool: Pool) -> Outcome:
        """One auction. All-zero bids buy sample 0 of the base prompt's images for nothing."""
        if not any(bids):
            return base_only(bids, pool)
        one_hots = self.candidates(bids)
        images = [pool(e) for e in one_hots]
        winner = int(np.argmax([_best(bids, [own]) for own in images]))
        chosen = int(np.argmax(welfare(images[winner], bids)))
        sold = images[winner][chosen]
        payments = np.zeros(len(bids))
        if len(bids) > 1:
            for i in range(len(bids)):
                others = without(bids, i)
                payments[i] = _best(others, images[:i] + images[i + 1 :]) - welfare(sold, others)
        return Outcome(bids, one_hots[winner], chosen, sold, floored(payments, self.payment_floor))


def _best(bids: Bids, pools: Iterable[np.ndarray]) -> float:
    return max(float(welfare(images, bids).max()) for images in pools)
