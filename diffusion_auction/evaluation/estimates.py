"""Estimates of a quantity over many auctions: its mean, by k and by scenario, with interval and count."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from diffusion_auction.evaluation.bootstrap import divide, estimate, nested_interval
from diffusion_auction.evaluation.metrics import Mean, ScenarioGain


@dataclass
class Estimates:
    """Sums of a quantity over the auctions of each scenario, and the means that follow from them.

    `ks` are the numbers of samples compared, ascending, the last of them all. `least` is the lowest value that the
    quantity can have: intervals end there.
    """

    ks: Sequence[int]
    least: float = -np.inf
    scenarios: list[Hashable] = field(default_factory=list)
    _totals: list[list[np.ndarray]] = field(default_factory=list)
    """The sum of the known values and their number, (2, 1 + draws), by scenario and k."""
    _observed: list[np.ndarray] = field(default_factory=list)

    def add(self, scenario: Hashable, values: Sequence[np.ndarray]) -> None:
        """Take in the values of the R auctions of `scenario`, for each k an array (1 + draws, R).

        First the observed value, then those of the resampled draws; NaN where there is none.
        """
        known = [np.isfinite(part) for part in values]
        self.scenarios.append(scenario)
        self._totals.append(
            [
                np.array([np.where(there, part, 0.0).sum(axis=1), there.sum(axis=1)])
                for there, part in zip(known, values, strict=True)
            ]
        )
        self._observed.append(values[-1][0][known[-1][0]])

    @property
    def observed(self) -> np.ndarray:
        """The values, with all samples, of the auctions that have one: (n,)."""
        return np.concatenate(self._observed) if self._observed else np.zeros(0)

    def overall(self, seed: int) -> Mean:
        """Return the mean over all scenarios with all samples."""
        return self._estimate(seed, -1, range(len(self.scenarios)))

    def by_k(self, seed: int, chosen: Sequence[int] | None = None) -> dict[str, Mean]:
        """Return the mean for each k, over the scenarios at the places `chosen` or all."""
        places = range(len(self.scenarios)) if chosen is None else chosen
        return {str(k): self._estimate(seed, at, places) for at, k in enumerate(self.ks)}

    def by_scenario(self, seed: int) -> list[ScenarioGain]:
        """Return the mean of each scenario, with its own `by_k`; intervals say nothing about other scenarios."""
        return [
            {"scenario": plain(scenario), **self._estimate(seed, -1, [s]), "by_k": self.by_k(seed, [s])}
            for s, scenario in enumerate(self.scenarios)
        ]

    def _estimate(self, seed: int, at: int, chosen: Sequence[int]) -> Mean:
        totals = np.array([self._totals[s][at] for s in chosen]).reshape(len(chosen), 2, -1)
        sums, sizes = totals[:, 0], totals[:, 1]
        if not sizes[:, :1].sum():
            return estimate(np.nan, np.nan, np.nan, 0)
        mean = float(divide(sums[:, 0].sum(), sizes[:, 0].sum()))
        low, high = nested_interval(sums[:, 1:], sizes[:, 1:], mean, np.random.default_rng(seed))
        return estimate(mean, max(low, self.least), high, sizes[:, 0].sum())


def plain(value: Any) -> Any:
    """Return a NumPy scalar as Python's own, for JSON."""
    return value.item() if isinstance(value, np.generic) else value


def extreme(values: np.ndarray) -> float | None:
    """Return the highest of `values`; None where there are none."""
    return float(values.max()) if len(values) else None
