"""Payments from the allocation curve: what Myerson's lemma asks for, as far as the samples show the curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from diffusion_auction.market.bids import Bids
from diffusion_auction.mechanisms.outcome import Outcomes, nothing, without
from diffusion_auction.mechanisms.pools import CandidatePool, shares


@dataclass(frozen=True)
class Myerson:
    """Sells as `vcg` does and charges by the empirical allocation curve.

    The image sold is I* = argmax_{I ∈ P(b)} W(I; b), and agent i pays

        b_i α_i(b) − ∫_0^{b_i} α_i(t, b_−i) dt                            (Myerson 1981, lemma 2),

    with α_i(t, b_−i) that of the image sold at the bids (t, b_−i). The integral is a trapezoid sum over every
    composition on the line {(t, b_−i) : 0 ≤ t ≤ b_i} that there are images of, in which t = 0 must be; a plan makes
    `curve` of them, evenly spaced. A sole bidder pays nothing: his curve is flat above zero.

    With non-negative alignments nobody loses by taking part. For bids on the line the rule is truthful where the curve
    does not fall; its regret measures how far the sampled allocation is from monotone.
    """

    curve: int = 4
    name: ClassVar[str] = "myerson"

    def required_bids(self, bids: Bids) -> list[Bids]:
        """Return P(b), and P(t, b_−i) for `curve` bids t from 0 up to b_i, for each agent i that bids beside others."""
        lines = [bids]
        for i, bid in enumerate(bids):
            if bid > 0 and sum(bids) > bid:
                steps = (bid * step / self.curve for step in range(self.curve))
                lines += [(*bids[:i], t, *bids[i + 1 :]) for t in steps]
        return list(dict.fromkeys(lines))

    def run(self, bids: np.ndarray, pools: CandidatePool) -> Outcomes:
        """Hold an auction at each row of `bids` (B, n); `curve_points` counts the points of each integral."""
        own = pools.of_bids(bids)
        sold = pools.best(bids, own)
        payments, read, points = nothing(sold), own.copy(), np.zeros(bids.shape, dtype=int)
        bidding = np.where(shares(bids) > 0, bids, 0.0)  # whose share rounds to nothing is in no picture
        for i in range(bids.shape[1]):
            others = without(bidding, i)
            for line in np.unique(others[others.any(axis=1)], axis=0):
                rows = np.flatnonzero((others == line).all(axis=1))
                t, members = _line(i, line, pools)
                vectors = np.repeat(line[None], len(t), axis=0)
                vectors[:, i] = t
                allocation = pools.best(vectors, members).alignments[..., i]  # (D, points)
                for row in rows:
                    last = np.flatnonzero((members & own[row]).any(axis=1))
                    whole = len(last) == 1 and t[0] == 0
                    to = last[0] + 1 if whole else 0
                    points[row, i] = to
                    read[row] |= members[:to].any(axis=0)
                    bid = bids[row, i]
                    area = np.trapezoid(allocation[:, :to], [*t[: to - 1], bid], axis=1) if whole else np.nan
                    payments[:, row, i] = bid * sold.alignments[:, row, i] - area
        return Outcomes(bids, sold, payments, read, {"curve_points": points})


def _line(agent: int, others: np.ndarray, pools: CandidatePool) -> tuple[np.ndarray, np.ndarray]:
    """Return the rising bids t (points,) of `agent` at which (t, b_−i) has images, and the blocks of those (points, E).

    `others` is b_−i with a zero for the agent. Ratios are rounded to ten decimals: within that they are compared, and
    t is known.
    """
    theirs = pools.ratios.copy()
    theirs[:, agent] = 0.0
    total, sums = others.sum(), theirs.sum(axis=1)
    near = np.abs(theirs * total - others * sums[:, None]).max(axis=1) <= 1e-9 * total
    t = np.divide(pools.ratios[:, agent] * total, sums, out=np.full(len(sums), np.inf), where=sums > 0)
    points = np.unique(t[near & np.isfinite(t)])
    return points, near & (t == points[:, None])
