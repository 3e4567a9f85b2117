"""Does an agent's alignment rise with its bid? Paper figure 1; `monotonicity` of metrics.json."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from diffusion_auction.columns import count_agents, numbered
from diffusion_auction.evaluation.bootstrap import estimate, group_means, interval, number
from diffusion_auction.evaluation.metrics import Monotonicity, Point
from diffusion_auction.evaluation.scores import distinct_images

_DIGITS = 12  # means that agree to so many decimals differ by rounding alone


def monotonicity(scores: pd.DataFrame, seed: int = 0) -> dict[str, Monotonicity]:
    """Return for each agent its curve, the curve's rank correlation, and falls between neighbouring bids.

    `curve` is the mean of α_i over all distinct images at one normalised bid of agent i, all-zero bids apart,
    with bootstrap intervals; `spearman` is between its bids and means, None for fewer than two points or
    equal means. `adjacent_pairs` are counted per scenario, a violation being a lower mean at the higher bid.
    """
    images = auctioned(distinct_images(scores))
    result: dict[str, Monotonicity] = {}
    for i in range(1, count_agents(scores) + 1):
        points = curve(images, f"normalized_bid_{i}", f"alignment_{i}", seed)
        pairs, violations = _adjacent(images, f"normalized_bid_{i}", f"alignment_{i}")
        result[f"agent_{i}"] = {
            "spearman": _spearman([p["normalized_bid"] for p in points], [p["mean"] for p in points]),
            "adjacent_pairs": pairs,
            "adjacent_violations": violations,
            "curve": points,
        }
    return result


def auctioned(images: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `distinct_images` that somebody bid for."""
    return images[images[numbered("normalized_bid", count_agents(images))].gt(0).any(axis=1)]


def curve(images: pd.DataFrame, bid: str, score: str, seed: int) -> list[Point]:
    """Return the mean of column `score` at each value of column `bid`, with bootstrap interval and number of images."""
    images = images[images[score].notna()]
    if images.empty:
        return []
    bids, point = np.unique(images[bid].to_numpy(dtype=float), return_inverse=True)
    sizes, means, drawn = group_means(images, score, point, len(bids), seed)
    estimates = map(estimate, means, *interval(drawn), sizes)
    return [{"normalized_bid": float(b), **own} for b, own in zip(bids, estimates, strict=True)]


def _adjacent(images: pd.DataFrame, bid: str, score: str) -> tuple[int, int]:
    """Return neighbouring bids within a scenario, and those of them where the mean falls."""
    means = images.groupby(["scenario", bid], sort=True)[score].mean().round(_DIGITS)
    steps = means.groupby(level="scenario").diff().dropna()
    return len(steps), int((steps < 0).sum())


def _spearman(bids: list[float], means: list[Any]) -> float | None:
    means = [round(mean, _DIGITS) for mean in means]
    if len(bids) < 2 or len(set(means)) < 2:
        return None
    from scipy.stats import spearmanr  # takes longer to import than the rest of the evaluation

    return number(round(spearmanr(bids, means).statistic, 12))  # perfect is 1, not 1 − 2e-16
