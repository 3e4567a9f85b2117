"""Does composition cost image quality? Paper figure 4."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from diffusion_auction.evaluation.bootstrap import divide, interval, number, resample
from diffusion_auction.evaluation.monotonicity import auctioned, curve
from diffusion_auction.evaluation.scores import count_agents, distinct_images, numbered


def quality(rows: pd.DataFrame, seed: int = 0) -> dict[str, Any]:
    """Mean quality against each agent's normalised bid; that of the base prompt's images as reference.

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


def _difference(images: pd.DataFrame, kind: np.ndarray, other: int, seed: int) -> dict[str, Any]:
    """Mean quality of composed images (kind 2) less that of kind `other`."""
    measured = images["quality"].notna().to_numpy()
    images, kind = images[measured], kind[measured]
    counts = int((kind == 2).sum()), int((kind == other).sum())
    if not all(counts):
        return {"mean": None, "ci_low": None, "ci_high": None, "n": counts[0], "n_reference": counts[1]}
    units = images.groupby(["scenario", "sample"], sort=True)
    unit, scenario = units.ngroup().to_numpy(), pd.factorize(units["scenario"].first())[0]
    sums, sizes = np.zeros((2, len(scenario), 3))
    np.add.at(sums, (unit, kind), images["quality"].to_numpy(dtype=float))
    np.add.at(sizes, (unit, kind), 1)
    weight = resample(scenario, np.random.default_rng(seed)).astype(float)
    observed = divide(sums.sum(axis=0), sizes.sum(axis=0))
    drawn = divide(weight @ sums, weight @ sizes)
    low, high = interval((drawn[:, 2] - drawn[:, other])[:, None])
    return {
        "mean": number(observed[2] - observed[other]),
        "ci_low": number(low[0]),
        "ci_high": number(high[0]),
        "n": counts[0],
        "n_reference": counts[1],
    }
