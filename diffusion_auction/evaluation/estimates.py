"""One figure from many auctions: its mean, by k and by scenario, each with an interval and a count."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from diffusion_auction.evaluation.bootstrap import divide, nested_interval, number


@dataclass
class Tally:
    """Sums of a quantity over the auctions of each scenario.

    `ks` are the numbers of samples compared, ascending, the last of them all. `least` is the lowest value that the
    quantity can have: intervals end there.
    """

    ks: Sequence[int]
    least: float = -np.inf
    scenarios: list[Hashable] = field(default_factory=list)
    _sums: list[list[np.ndarray]] = field(default_factory=list)
    _sizes: list[list[np.ndarray]] = field(default_factory=list)
    _observed: list[np.ndarray] = field(default_factory=list)

    def add(self, scenario: Hashable, values: Sequence[np.ndarray]) -> None:
        """The values of the auctions of `scenario`: for each k (1 + draws, R), over R auctions.

        First the observed value, then those of the resampled draws; NaN where there is none.
        """
        there = [np.isfinite(part) for part in values]
        self.scenarios.append(scenario)
        self._sums.append([np.where(known, part, 0.0).sum(axis=1) for known, part in zip(there, values, strict=True)])
        self._sizes.append([known.sum(axis=1) for known in there])
        self._observed.append(values[-1][0][there[-1][0]])

    @property
    def observed(self) -> np.ndarray:
        """The values, with all samples, of the auctions that have one: (n,)."""
        return np.concatenate(self._observed) if self._observed else np.zeros(0)

    def overall(self, seed: int) -> dict[str, Any]:
        """`{mean, ci_low, ci_high, n}` with all samples."""
        return self._figure(seed, len(self.ks) - 1, range(len(self.scenarios)))

    def by_k(self, seed: int) -> dict[str, dict[str, Any]]:
        """The same for each k."""
        return {str(k): self._figure(seed, at, range(len(self.scenarios))) for at, k in enumerate(self.ks)}

    def by_scenario(self, seed: int) -> list[dict[str, Any]]:
        """The same for each scenario, with its own `by_k`; intervals say nothing about other scenarios."""
        return [
            {
                "scenario": plain(scenario),
                **self._figure(seed, len(self.ks) - 1, [s]),
                "by_k": {str(k): self._figure(seed, at, [s]) for at, k in enumerate(self.ks)},
            }
            for s, scenario in enumerate(self.scenarios)
        ]

    def _figure(self, seed: int, at: int, chosen: Sequence[int]) -> dict[str, Any]:
        sums = np.array([self._sums[s][at] for s in chosen])
        sizes = np.array([self._sizes[s][at] for s in chosen])
        if not len(sums) or not sizes[:, 0].sum():
            return {"mean": None, "ci_low": None, "ci_high": None, "n": 0}
        mean = float(divide(sums[:, 0].sum(), sizes[:, 0].sum()))
        low, high = nested_interval(sums[:, 1:], sizes[:, 1:], mean, np.random.default_rng(seed))
        low = max(low, self.least)
        return {"mean": number(mean), "ci_low": number(low), "ci_high": number(high), "n": int(sizes[:, 0].sum())}


def plain(value: Any) -> Any:
    """A NumPy scalar as Python's own, for JSON."""
    return value.item() if isinstance(value, np.generic) else value


def extreme(values: np.ndarray) -> float | None:
    """The highest of `values`; None where there are none."""
    return float(values.max()) if len(values) else None
