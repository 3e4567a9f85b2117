"""How sure a figure is: a bootstrap that resamples scenarios and, within each, samples.

A sample keeps its noise for every bid, so it is drawn with all its bids or not at all. Of a single scenario
only the samples are resampled: the interval then says nothing about other scenarios.
"""

from __future__ import annotations

import numpy as np

DRAWS = 1000
LEVEL = 0.95


def resample(scenarios: np.ndarray, rng: np.random.Generator, draws: int = DRAWS) -> np.ndarray:
    """How often each unit, a (scenario, sample), enters each draw: counts (draws, units).

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


def sample_draws(samples: np.ndarray, k: int, seed: int, draws: int = DRAWS) -> np.ndarray:
    """Which of `samples` (indices, ascending) are there: bool (1 + draws, samples).

    First those of 0…k−1 that there are, then, `draws` times, as many drawn from all of them with replacement. The
    draws of one `seed` are nested: what is drawn for k is drawn for k + 1.
    """
    order = np.random.default_rng(seed).integers(len(samples), size=(draws, len(samples)))
    drawn = np.zeros((1 + draws, len(samples)), dtype=bool)
    drawn[0] = samples < k
    count = int(drawn[0].sum())
    drawn[np.repeat(np.arange(1, 1 + draws), count), order[:, :count].ravel()] = True
    return drawn


def mean_interval(counts: np.ndarray, sums: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper ends (points,) for the means Σ sums / Σ sizes over units.

    `counts` (draws, units) as from `resample`; `sums` and `sizes` (units, points): total and number of the
    observations of each unit at each point. An end is NaN where no draw has an observation.
    """
    weight = counts.astype(float)
    return interval(divide(weight @ sums, weight @ sizes))


def nested_interval(
    sums: np.ndarray, sizes: np.ndarray, estimate: float, rng: np.random.Generator
) -> tuple[float, float]:
    """Ends for Σ sums / Σ sizes over scenarios, `sums` and `sizes` (scenarios, draws) from resampled samples.

    For statistics of a maximum over samples. A resample repeats some images and misses others, so its maximum
    is too low by construction; the draws are therefore centred on `estimate` and only their spread is used.
    """
    n, draws = sums.shape
    if not draws:
        return np.nan, np.nan
    at = rng.integers(n, size=(draws, n)), rng.integers(draws, size=(draws, n))
    means = divide(sums[at].sum(axis=1), sizes[at].sum(axis=1))
    means = means[np.isfinite(means)]
    if not means.size:
        return np.nan, np.nan
    low, high = interval((means - means.mean() + estimate)[:, None])
    return float(low[0]), float(high[0])


def interval(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The central `LEVEL` of each column of `draws` (draws, points), NaN entries left out."""
    ends = np.full((2, draws.shape[1]), np.nan)
    some = np.isfinite(draws).any(axis=0)
    tail = (1 - LEVEL) / 2
    if some.any():
        ends[:, some] = np.nanquantile(draws[:, some], [tail, 1 - tail], axis=0)
    return ends[0], ends[1]


def divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The quotient; NaN where nothing positive divides."""
    return np.divide(numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=denominator > 0)


def number(value: float) -> float | None:
    """`value` for JSON: None in place of NaN and infinities."""
    return float(value) if np.isfinite(value) else None
