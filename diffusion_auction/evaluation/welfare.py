"""Is the image sold worth more to the agents than any made for one of them? `welfare` of metrics.json."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from diffusion_auction.bids import Bids
from diffusion_auction.evaluation.bootstrap import DRAWS, nested_interval, number, resample
from diffusion_auction.evaluation.scores import ScorePools, bid_vectors, pools_of
from diffusion_auction.mechanisms import Mechanism, SingleWinner
from diffusion_auction.mechanisms.outcome import welfare

BASELINE = SingleWinner()
_KS = (1, 5, 10, 25, 50, 100)


def welfare_gain(
    scores: pd.DataFrame, mechanism: Mechanism, seed: int = 0, bids: Sequence[Bids] | None = None
) -> dict[str, Any]:
    """Relative gain of `mechanism` over the single winner, on average, by k and by bid vector.

    The gain at (scenario, b) is max W(I; b) over the mechanism's candidates, for `vcg` P(b), divided by
    max W(I; b) over ∪_i P(e_i), less 1. b = 0 has none. Pairs that lack a pool, or whose baseline is not
    above zero, are counted in `left_out`; `n` counts the pairs that are averaged. `by_k` uses samples 0…k−1;
    `by_bids` is the mean over scenarios. `bids` as in `bid_vectors`.
    """
    rng = np.random.default_rng(seed)
    pairs = [(scenario, each) for scenario, each in bid_vectors(scores, bids) if any(each)]
    scenarios = list(dict.fromkeys(scenario for scenario, _ in pairs))
    samples = np.unique(scores["sample"].to_numpy(dtype=int))
    ks = sorted({k for k in _KS if k <= samples[-1]} | {int(samples[-1]) + 1})
    firsts = np.array([samples < k for k in ks])  # (ks, samples), the last row takes them all
    exact: dict[tuple[Hashable, Bids], np.ndarray] = {}
    sums, sizes = np.zeros((2, max(len(scenarios), 1), DRAWS))
    for row, scenario in enumerate(scenarios):
        pools = pools_of(scores, scenario)
        own = samples[np.isin(samples, scores.loc[scores["scenario"] == scenario, "sample"])]
        drawn = np.zeros((DRAWS, len(samples)), dtype=bool)
        drawn[:, np.isin(samples, own)] = resample(np.zeros(len(own)), rng) > 0
        selections = np.concatenate([firsts, drawn])
        for each in (each for at, each in pairs if at == scenario):
            gains = _gains(each, mechanism, pools, samples, selections)
            if gains is None:
                continue
            exact[scenario, each] = gains[: len(ks)]
            resampled = gains[len(ks) :]
            sums[row] += np.nan_to_num(resampled)
            sizes[row] += np.isfinite(resampled)
    return _summary(pairs, exact, ks, sums, sizes, rng)


def _gains(
    bids: Bids, mechanism: Mechanism, pools: ScorePools, samples: np.ndarray, selections: np.ndarray
) -> np.ndarray | None:
    """Relative gain (selections,) for each selection of `samples`, NaN where it has none.

    `selections` (selections, samples) are masks, one of which takes all samples; None if that has no gain.
    """
    ours, theirs = mechanism.candidates(bids), BASELINE.candidates(bids)
    if not all(candidate in pools for candidate in (*ours, *theirs)):
        return None
    best = _best(ours, bids, pools, samples, selections)
    baseline = _best(theirs, bids, pools, samples, selections)
    possible = np.isfinite(best) & np.isfinite(baseline) & (baseline > 0)
    if not possible[selections.all(axis=1)].any():
        return None
    gains = np.full(len(best), np.nan)
    gains[possible] = best[possible] / baseline[possible] - 1
    return gains


def _best(
    candidates: list[Bids], bids: Bids, pools: ScorePools, samples: np.ndarray, selections: np.ndarray
) -> np.ndarray:
    """Highest welfare (selections,) over the candidates' images of each selection; −inf for no image."""
    value = np.concatenate([welfare(pools(candidate), bids) for candidate in candidates])
    sample = np.concatenate([pools.samples(candidate) for candidate in candidates])
    order = np.argsort(-value, kind="stable")
    there = selections[:, np.searchsorted(samples, sample[order])]
    return np.where(there.any(axis=1), value[order][there.argmax(axis=1)], -np.inf)


def _summary(
    pairs: list[tuple[Hashable, Bids]],
    exact: dict[tuple[Hashable, Bids], np.ndarray],
    ks: list[int],
    sums: np.ndarray,
    sizes: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, Any]:
    table = np.array(list(exact.values())).reshape(-1, len(ks))
    full = table[:, -1]
    mean = float(full.mean()) if len(full) else np.nan
    low, high = nested_interval(sums, sizes, mean, rng) if len(full) else (np.nan, np.nan)
    by_bids: dict[Bids, list[float]] = {}
    for (_, bids), gains in exact.items():
        by_bids.setdefault(bids, []).append(float(gains[-1]))
    return {
        "relative_gain_mean": number(mean),
        "ci_low": number(low),
        "ci_high": number(high),
        "relative_gain_max": number(full.max()) if len(full) else None,
        "n": len(full),
        "left_out": len(pairs) - len(full),
        "by_k": {str(k): number(_nanmean(table[:, column])) for column, k in enumerate(ks)},
        "by_bids": [{"bids": list(bids), "relative_gain": float(np.mean(gains))} for bids, gains in by_bids.items()],
    }


def _nanmean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else np.nan
