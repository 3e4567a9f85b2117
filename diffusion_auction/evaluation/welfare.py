"""Is the image sold worth more to the agents than any made for one of them? Paper figures 2a and 2b."""

from __future__ import annotations

import numpy as np

from diffusion_auction.evaluation.bootstrap import divide
from diffusion_auction.mechanisms import Outcomes


def relative_gain(outcomes: Outcomes, baseline: Outcomes) -> np.ndarray:
    """Compute the relative welfare gain of a mechanism over a baseline.

    Args:
        outcomes: the auctions of the mechanism, at B bid vectors under D draws.
        baseline: the auctions of the baseline at the same bid vectors and draws.

    Returns:
        max W(I; b) over the mechanism's candidates ÷ max W(I; b) over the baseline's, less 1, (D, B). For `vcg` the
        candidates are P(b), for `single_winner` ∪_i P(e_i). NaN where b = 0, where a pool is missing, and where the
        baseline's welfare is not above zero.
    """
    ours, theirs = outcomes.sold.welfare, baseline.sold.welfare
    return np.where(outcomes.bids.any(axis=1), divide(ours, theirs) - 1, np.nan)
