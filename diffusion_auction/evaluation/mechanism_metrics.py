"""Metrics of one mechanism over all its auctions: welfare, truthfulness and revenue of metrics.json."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from diffusion_auction.evaluation.bootstrap import DRAWS, sample_draws
from diffusion_auction.evaluation.estimates import Estimates, extreme
from diffusion_auction.evaluation.metrics import DEVIATION, GAIN, REGRET, REVENUE, SHARE, Mean
from diffusion_auction.evaluation.money import Ledger, revenue, share_of_welfare
from diffusion_auction.evaluation.truthfulness import regrets
from diffusion_auction.evaluation.welfare import relative_gain
from diffusion_auction.market.bids import Bids
from diffusion_auction.mechanisms import Outcomes

_DRAWS_BY_K = 200  # the intervals of fewer samples are for the eye; those of all samples have DRAWS


def draws_by_k(samples: np.ndarray, ks: Sequence[int], seed: int) -> np.ndarray:
    """Draw from `samples` for each of `ks`, one below the other, bool (D, samples): see `by_k`."""
    sizes = [_DRAWS_BY_K] * (len(ks) - 1) + [DRAWS]
    return np.concatenate([sample_draws(samples, k, seed, size) for k, size in zip(ks, sizes, strict=True)])


def by_k(values: np.ndarray, ks: Sequence[int]) -> list[np.ndarray]:
    """Split `values` (D, …) under the draws of `draws_by_k` by `ks`: the observed ones, then the resampled."""
    return np.split(values, [(1 + _DRAWS_BY_K) * step for step in range(1, len(ks))])


class MechanismMetrics:
    """Figures of one mechanism, taken in scenario by scenario; `ks` are the numbers of samples compared."""

    def __init__(self, ks: Sequence[int]) -> None:
        self._ks = ks
        self._bids = 0  # auctions at which somebody bids
        self._profiles = 0  # value profiles that have a false bid to compare with
        self._excluded = 0  # profiles skipped because truthful utility is near zero
        self._gains: dict[Bids, list[float]] = {}
        self._ledger = Ledger()
        self._gain, self._revenue, self._share = Estimates(ks), Estimates(ks), Estimates(ks)
        self._relative, self._absolute, self._deviation = (Estimates(ks, least=0.0) for _ in range(3))

    def add(self, scenario: Hashable, outcomes: Outcomes, baseline: Outcomes) -> None:
        """Take in the outcomes of `scenario` under the draws of `draws_by_k`."""
        gain, regret = relative_gain(outcomes, baseline), regrets(outcomes, agent=0)
        for estimates, values in (
            (self._gain, gain),
            (self._relative, regret.relative),
            (self._absolute, regret.absolute),
            (self._deviation, regret.deviation),
            (self._revenue, revenue(outcomes)),
            (self._share, share_of_welfare(outcomes)),
        ):
            estimates.add(scenario, by_k(values, self._ks))
        observed = len(gain) - 1 - DRAWS  # with all samples
        self._bids += int(outcomes.bids.any(axis=1).sum())
        self._profiles += regret.profiles
        known, relative = np.isfinite(regret.absolute[observed]), np.isfinite(regret.relative[observed])
        self._excluded += int((known & ~relative).sum())
        self._ledger.add(outcomes, observed)
        for bids, value in zip(outcomes.bids.tolist(), gain[observed], strict=True):
            if np.isfinite(value):
                self._gains.setdefault(tuple(bids), []).append(float(value))

    def welfare(self, seed: int) -> dict[str, Any]:
        """Return the mechanism's entry of `welfare`, a `metrics.Gain`."""
        overall, by_samples = self._gain.overall(seed), self._gain.by_k(seed)
        by_bidders: dict[int, list[float]] = {}
        for bids, gains in self._gains.items():
            by_bidders.setdefault(sum(bid > 0 for bid in bids), []).extend(gains)
        return {
            **GAIN.of(overall),
            "relative_gain_max": extreme(self._gain.observed),
            "n": overall["n"],
            "left_out": self._bids - overall["n"],
            "by_k": {k: gain["mean"] for k, gain in by_samples.items()},
            "by_k_intervals": {k: [gain["ci_low"], gain["ci_high"]] for k, gain in by_samples.items()},
            "by_bids": [{"bids": list(bids), **_mean_gain(gains)} for bids, gains in self._gains.items()],
            "by_bidders": [{"bidders": count, **_mean_gain(gains)} for count, gains in sorted(by_bidders.items())],
            "by_scenario": self._gain.by_scenario(seed),
        }

    def truthfulness(self, seed: int) -> dict[str, Any]:
        """Return the mechanism's entry of `truthfulness`, a `metrics.Truthfulness`."""
        relative, deviation = self._relative, self._deviation
        return {
            **_regret(relative.overall(seed), deviation.overall(seed)),
            "relative_regret_median": float(np.median(relative.observed)) if len(relative.observed) else None,
            "relative_regret_max": extreme(relative.observed),
            "absolute_regret_max": extreme(self._absolute.observed),
            "excluded": self._excluded,
            "left_out": self._profiles - len(self._absolute.observed),
            "by_k": _regret_by_k(relative.by_k(seed), deviation.by_k(seed)),
            "by_scenario": [
                {"scenario": own["scenario"], **_regret(own, other), "by_k": _regret_by_k(own["by_k"], other["by_k"])}
                for own, other in zip(relative.by_scenario(seed), deviation.by_scenario(seed), strict=True)
            ],
        }

    def revenue(self, seed: int) -> dict[str, Any]:
        """Return the mechanism's entry of `revenue`, a `metrics.Revenue`."""
        earned, share = self._revenue.overall(seed), self._share.overall(seed)
        return {**REVENUE.of(earned), **SHARE.of(share), **self._ledger.figures()}


def _mean_gain(gains: Sequence[float]) -> dict[str, Any]:
    return {"relative_gain": float(np.mean(gains)), "n": len(gains)}


def _regret(relative: Mean, deviation: Mean) -> dict[str, Any]:
    return {**REGRET.of(relative), "n": relative["n"], **DEVIATION.of(deviation)}


def _regret_by_k(relative: dict[str, Mean], deviation: dict[str, Mean]) -> dict[str, Any]:
    return {k: _regret(relative[k], deviation[k]) for k in relative}
