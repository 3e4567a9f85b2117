"""Confidence intervals by a bootstrap that resamples scenarios and, within each, samples.

A sample keeps its noise for every bid, so it is drawn with all its bids or not at all. Of a single scenario
only the samples are resampled: the interval then says nothing about other scenarios.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from diffusion_auction.evaluation.metrics import Mean

DRAWS = 1000
LEVEL = 0.95


def resample(scenarios: np.ndarray, rng: np.random.Generator, draws: int = DRAWS) -> np.ndarray:
    """Count how often each unit, a (scenario, sample), enters each draw: counts (draws, units).

    `scenarios` (units,) names the scenario of each unit. A draw takes as many scenarios as there are, with
    replacement, and for each time a scenario is taken as many of its samples as it has, with replacement.
    """
    order = np.argsort(scenarios, kind="stable")
    sizes = np.unique(scenarios, return_counts=True)[1]
    starts = np.cumsum(sizes) - sizes
    taken = rng.integers(len(sizes), size=(draws, len(sizes)))
    size = sizes[taken][..., None]
    place = (rng.random((*taken.shape, sizes.max())) * size).astype(int)
    unit = order[starts[taken][..., None] + place] + len(order) * np.arange(draws)[:, None, None]
    asked = np.arange(sizes.max()) < size  # a small scenario gives fewer
    return np.bincount(unit[asked], minlength=draws * len(order)).reshape(draws, len(order))


def group_means(
    images: pd.DataFrame, score: str, group: np.ndarray, groups: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Average the column `score` over each group of `images`, which must not be empty.

    Args:
        images: rows with columns scenario, sample and `score`.
        score: the name of the column to average.
        group: the group of each row, int (rows,), from 0.
        groups: how many groups there are.
        seed: of the bootstrap.

    Returns:
        The number of images (groups,), the observed means (groups,), and those of the draws (draws, groups); a mean is
        NaN where a group has no image.
    """
    units = images.groupby(["scenario", "sample"], sort=True)
    unit, scenario = units.ngroup().to_numpy(), pd.factorize(units["scenario"].first())[0]
    sums, sizes = np.zeros((2, len(scenario), groups))
    np.add.at(sums, (unit, group), images[score].to_numpy(dtype=float))
    np.add.at(sizes, (unit, group), 1)
    counts = resample(scenario, np.random.default_rng(seed))
    return sizes.sum(axis=0), divide(sums.sum(axis=0), sizes.sum(axis=0)), resampled_means(counts, sums, sizes)


def resampled_means(counts: np.ndarray, sums: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the means Σ sums / Σ sizes over units of each draw: (draws, points).

    `counts` (draws, units) as from `resample`; `sums` and `sizes` (units, points): total and number of the
    observations of each unit at each point. A mean is NaN where a draw has no observation.
    """
    weight = counts.astype(float)
    return divide(weight @ sums, weight @ sizes)


def sample_draws(samples: np.ndarray, k: int, seed: int, draws: int = DRAWS) -> np.ndarray:
    """Draw from `samples` (indices, ascending): bool (1 + draws, samples), which of them are there.

    First those of 0…k−1 that there are, then, `draws` times, as many drawn from all of them with replacement. The
    draws of one `seed` are nested: what is drawn for k is drawn for k + 1.
    """
    order = np.random.default_rng(seed).integers(len(samples), size=(draws, len(samples)))
    drawn = np.zeros((1 + draws, len(samples)), dtype=bool)
    drawn[0] = samples < k
    count = int(drawn[0].sum())
    drawn[np.repeat(np.arange(1, 1 + draws), count), order[:, :count].ravel()] = True
    return drawn


def nested_interval(sums: np.ndarray, sizes: np.ndarray, mean: float, rng: np.random.Generator) -> tuple[float, float]:
    """Return the ends for Σ sums / Σ sizes over scenarios, of (scenarios, draws) from resampled samples.

    For statistics of a maximum over samples. A resample repeats some images and misses others, so its maximum
    is too low by construction; the draws are therefore centred on the observed `mean` and only their spread is used.
    """
    n, draws = sums.shape
    at = rng.integers(n, size=(draws, n)), rng.integers(draws, size=(draws, n)) if draws else 0
    means = divide(sums[at].sum(axis=1), sizes[at].sum(axis=1))
    means = means[np.isfinite(means)]
    if not means.size:
        return np.nan, np.nan
    low, high = interval((means - means.mean() + mean)[:, None])
    return float(low[0]), float(high[0])


def interval(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the central `LEVEL` of each column of `draws` (draws, points), NaN entries left out."""
    ends = np.full((2, draws.shape[1]), np.nan)
    some = np.isfinite(draws).any(axis=0)
    tail = (1 - LEVEL) / 2
    if some.any():
        ends[:, some] = np.nanquantile(draws[:, some], [tail, 1 - tail], axis=0)
    return ends[0], ends[1]


def divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Return the quotient; NaN where the denominator is not positive."""
    quotient = np.full(np.shape(numerator), np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient


def estimate(mean: float, low: float, high: float, n: float) -> Mean:
    """Return the mean of `n` observations and the ends of its interval, as metrics.json states them."""
    return {"mean": number(mean), "ci_low": number(low), "ci_high": number(high), "n": int(n)}


def number(value: float) -> float | None:
    """Return `value` for JSON: None in place of NaN and infinities."""
    return float(value) if np.isfinite(value) else None
