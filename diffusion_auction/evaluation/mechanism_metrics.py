"""What the auctions of one mechanism add up to: welfare, truthfulness and revenue of metrics.json."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from diffusion_auction.evaluation.bootstrap import DRAWS, sample_draws
from diffusion_auction.evaluation.estimates import Tally, extreme
from diffusion_auction.evaluation.money import Ledger, revenue, share_of_welfare
from diffusion_auction.evaluation.truthfulness import regrets
from diffusion_auction.evaluation.welfare import relative_gain
from diffusion_auction.market.bids import Bids
from diffusion_auction.mechanisms import Outcomes

_DRAWS_BY_K = 200  # the intervals of fewer samples are for the eye; those of all samples have DRAWS


def draws_by_k(samples: np.ndarray, ks: Sequence[int], seed: int) -> np.ndarray:
    """Draws of `samples` for each of `ks`, one below the other, bool (D, samples): see `by_k`."""
    sizes = [_DRAWS_BY_K] * (len(ks) - 1) + [DRAWS]
    return np.concatenate([sample_draws(samples, k, seed, size) for k, size in zip(ks, sizes, strict=True)])


def by_k(values: np.ndarray, ks: Sequence[int]) -> list[np.ndarray]:
    """`values` (D, …) under the draws of `draws_by_k`, for each of `ks`: the observed ones, then the resampled."""
    return np.split(values, [(1 + _DRAWS_BY_K) * step for step in range(1, len(ks))])


@dataclass
class Account:
    """Figures of one mechanism, scenario by scenario."""

    ks: Sequence[int]
    asked: int = 0
    """Auctions at which somebody bids."""
    profiles: int = 0
    """Value profiles that have a false bid to compare with."""
    excluded: int = 0
    """Of them those of no truthful utility, so that no regret is relative to it."""
    by_bids: dict[Bids, list[float]] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    tallies: dict[str, Tally] = field(default_factory=dict)

    def add(self, scenario: Hashable, outcomes: Outcomes, baseline: Outcomes) -> None:
        """Take in the outcomes of `scenario` under the draws of `draws_by_k`."""
        gain, regret = relative_gain(outcomes, baseline), regrets(outcomes, agent=0)
        for name, least, values in (
            ("gain", -np.inf, gain),
            ("relative_regret", 0.0, regret.relative),
            ("absolute_regret", 0.0, regret.absolute),
            ("deviation", 0.0, regret.deviation),
            ("revenue", -np.inf, revenue(outcomes)),
            ("share_of_welfare", -np.inf, share_of_welfare(outcomes)),
        ):
            self.tallies.setdefault(name, Tally(self.ks, least)).add(scenario, by_k(values, self.ks))
        observed = len(gain) - 1 - DRAWS  # with all samples
        self.asked += int(outcomes.bids.any(axis=1).sum())
        self.profiles += regret.profiles
        known, relative = np.isfinite(regret.absolute[observed]), np.isfinite(regret.relative[observed])
        self.excluded += int((known & ~relative).sum())
        self.ledger.add(outcomes, observed)
        for bids, value in zip(outcomes.bids.tolist(), gain[observed], strict=True):
            if np.isfinite(value):
                self.by_bids.setdefault(tuple(bids), []).append(float(value))

    def welfare(self, seed: int) -> dict[str, Any]:
        """The mechanism's entry of `welfare`."""
        gain = self.tallies["gain"]
        overall, by_samples = gain.overall(seed), gain.by_k(seed)
        return {
            "relative_gain_mean": overall["mean"],
            "ci_low": overall["ci_low"],
            "ci_high": overall["ci_high"],
            "relative_gain_max": extreme(gain.observed),
            "n": overall["n"],
            "left_out": self.asked - overall["n"],
            "by_k": {k: figure["mean"] for k, figure in by_samples.items()},
            "by_k_intervals": {k: [figure["ci_low"], figure["ci_high"]] for k, figure in by_samples.items()},
            "by_bids": [
                {"bids": list(bids), "relative_gain": float(np.mean(gains)), "n": len(gains)}
                for bids, gains in self.by_bids.items()
            ],
            "by_bidders": self._by_bidders(),
            "by_scenario": gain.by_scenario(seed),
        }

    def _by_bidders(self) -> list[dict[str, Any]]:
        """Mean gain by the number of agents that bid."""
        groups: dict[int, list[float]] = {}
        for bids, gains in self.by_bids.items():
            groups.setdefault(sum(bid > 0 for bid in bids), []).extend(gains)
        return [
            {"bidders": m, "relative_gain": float(np.mean(gains)), "n": len(gains)}
            for m, gains in sorted(groups.items())
        ]

    def truthfulness(self, seed: int) -> dict[str, Any]:
        """The mechanism's entry of `truthfulness`: agent 1's regret, the others truthful."""
        relative, deviation = self.tallies["relative_regret"], self.tallies["deviation"]
        absolute = self.tallies["absolute_regret"]
        figures = _regret(relative.overall(seed), deviation.overall(seed))
        return {
            **figures,
            "relative_regret_median": float(np.median(relative.observed)) if len(relative.observed) else None,
            "relative_regret_max": extreme(relative.observed),
            "absolute_regret_max": extreme(absolute.observed),
            "excluded": self.excluded,
            "left_out": self.profiles - len(absolute.observed),
            "by_k": _regret_by_k(relative.by_k(seed), deviation.by_k(seed)),
            "by_scenario": [
                {"scenario": own["scenario"], **_regret(own, other), "by_k": _regret_by_k(own["by_k"], other["by_k"])}
                for own, other in zip(relative.by_scenario(seed), deviation.by_scenario(seed), strict=True)
            ],
        }

    def revenue(self, seed: int) -> dict[str, Any]:
        """The mechanism's entry of `revenue`."""
        earned, share = self.tallies["revenue"].overall(seed), self.tallies["share_of_welfare"].overall(seed)
        return {
            "mean": earned["mean"],
            "ci_low": earned["ci_low"],
            "ci_high": earned["ci_high"],
            "share_of_welfare": share["mean"],
            "share_ci_low": share["ci_low"],
            "share_ci_high": share["ci_high"],
            **self.ledger.figures(),
        }


def _regret(relative: dict[str, Any], deviation: dict[str, Any]) -> dict[str, Any]:
    return {
        "relative_regret_mean": relative["mean"],
        "ci_low": relative["ci_low"],
        "ci_high": relative["ci_high"],
        "n": relative["n"],
        "deviation_mean": deviation["mean"],
        "deviation_ci_low": deviation["ci_low"],
        "deviation_ci_high": deviation["ci_high"],
    }


def _regret_by_k(relative: dict[str, Any], deviation: dict[str, Any]) -> dict[str, Any]:
    return {k: _regret(relative[k], deviation[k]) for k in relative}
