"""What would an agent gain by a false bid? Paper figures 3a and 3b."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diffusion_auction.evaluation.bootstrap import divide
from diffusion_auction.mechanisms import Outcomes

NOTHING = 1e-9
"""Regret is not expressed relative to a truthful utility whose absolute value is below this."""
_SAME = 1e-12
"""Utilities are equal if they differ by no more than this part of the largest utility at that value."""


@dataclass(frozen=True, eq=False)
class Regrets:
    """An agent's regret at R value profiles (m_i, m_−i), the others truthful: arrays (D, R), NaN where unknown."""

    relative: np.ndarray
    """(max_b u_i(b) − u_i(m_i)) / |u_i(m_i)|; NaN where that utility is below `NOTHING`."""
    absolute: np.ndarray
    """max_b u_i(b) − u_i(m_i), ≥ 0."""
    deviation: np.ndarray
    """|b* − m_i| for the bid b* of highest utility; of several such bids, the one nearest to m_i."""
    profiles: int
    """The number of value profiles with a false bid to compare with, whether its utility is known or not."""


def regrets(outcomes: Outcomes, agent: int) -> Regrets:
    """Compute the regret of one agent over the grid of values that the bid vectors span.

    For each b_−i, the agent's bids b_i found beside it are both its possible values and its possible bids. In the
    paper's grid m_1 has steps of .1 and m_2 steps of .25. The utility at value m and bid b is
    m·α_i(I*(b)) − payment_i(b).

    Args:
        outcomes: the auctions of one mechanism in one scenario, at B bid vectors under D draws.
        agent: the index i of the agent, from 0.

    Returns:
        Regret and deviation, arrays (D, B). They are NaN for a b_−i beside which the agent has fewer than two bids,
        and for one that lacks an outcome.
    """
    alignments, payments = outcomes.sold.alignments[..., agent], outcomes.payments[..., agent]
    draws, count = payments.shape
    relative, absolute, deviation = np.full((3, draws, count), np.nan)
    lines = _lines(outcomes.bids, agent)
    for rows in lines:
        m = outcomes.bids[rows, agent]
        utility = m[:, None] * alignments[:, None, rows] - payments[:, None, rows]  # (D, value, bid)
        truthful = np.diagonal(utility, axis1=1, axis2=2)
        highest = utility.max(axis=2)
        best = utility >= highest[..., None] - _SAME * np.abs(utility).max(axis=2, keepdims=True)
        distance = np.where(best, np.abs(m[:, None] - m), np.inf).min(axis=2)
        known = np.isfinite(highest)
        absolute[:, rows] = np.where(known, highest - truthful, np.nan)
        deviation[:, rows] = np.where(known, distance, np.nan)
        counted = known & (np.abs(truthful) >= NOTHING)
        relative[:, rows] = np.where(counted, divide(highest - truthful, np.abs(truthful)), np.nan)
    return Regrets(relative, absolute, deviation, sum(map(len, lines)))


def _lines(bids: np.ndarray, agent: int) -> list[np.ndarray]:
    """Return rows of `bids` that share b_−i, at least two each."""
    others = np.delete(bids, agent, axis=1)
    _, line = np.unique(others, axis=0, return_inverse=True)
    groups = (np.flatnonzero(line.ravel() == each) for each in range(line.max() + 1))
    return [rows for rows in groups if len(rows) > 1]
