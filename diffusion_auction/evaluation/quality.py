"""Does composition cost image quality? Paper figure 4."""

from __future__ import annotations

import numpy as np
import pandas as pd

from diffusion_auction.columns import count_agents, numbered
from diffusion_auction.evaluation.bootstrap import estimate, group_means, interval, number
from diffusion_auction.evaluation.metrics import Difference, Quality
from diffusion_auction.evaluation.monotonicity import auctioned, curve
from diffusion_auction.evaluation.scores import distinct_images


def quality(rows: pd.DataFrame, seed: int = 0) -> Quality:
    """Return the mean quality against each agent's normalised bid; that of the base prompt's images as reference.

    `composed_minus_single` compares the images of at least two bidders with those of one, and
    `composed_minus_base` with the base prompt's: differences of means, with bootstrap intervals over scenarios and
    samples. An interval about zero shows no loss.
    """
    images = distinct_images(rows)
    sold = auctioned(images)
    bidders = images[numbered("normalized_bid", count_agents(images))].gt(0).sum(axis=1).to_numpy()
    kind = np.minimum(bidders, 2)  # base, single, composed
    base = images.loc[kind == 0, "quality"]
    return {
        "by_normalized_bid": [
            {"agent": i, **point}
            for i in range(1, count_agents(images) + 1)
            for point in curve(sold, f"normalized_bid_{i}", "quality", seed)
        ],
        "base_only": number(base.mean()),
        "base_only_n": int(base.notna().sum()),
        "composed_minus_single": _difference(images, kind, 1, seed),
        "composed_minus_base": _difference(images, kind, 0, seed),
    }


def _difference(images: pd.DataFrame, kind: np.ndarray, other: int, seed: int) -> Difference:
    """Compare the mean quality of composed images (kind 2) with that of kind `other`."""
    measured = images["quality"].notna().to_numpy()
    if not measured.any():
        return {**estimate(np.nan, np.nan, np.nan, 0), "n_reference": 0}
    sizes, means, drawn = group_means(images[measured], "quality", kind[measured], 3, seed)
    low, high = interval((drawn[:, 2] - drawn[:, other])[:, None])
    return {**estimate(means[2] - means[other], low[0], high[0], sizes[2]), "n_reference": int(sizes[other])}
