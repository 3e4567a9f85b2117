"""The few numbers of a run that runs are compared by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_OF_THE_MECHANISM = {
    "relative_gain_mean": "welfare.{}.relative_gain_mean",
    "relative_gain_ci_low": "welfare.{}.ci_low",
    "relative_gain_ci_high": "welfare.{}.ci_high",
    "relative_regret_mean": "truthfulness.{}.relative_regret_mean",
    "deviation_mean": "truthfulness.{}.deviation_mean",
    "share_of_welfare": "revenue.{}.share_of_welfare",
}
_OF_THE_RUN = {
    "quality_composed_minus_base": "quality.composed_minus_base.mean",
    "images": "cost.images",
    "sample_passes": "cost.sample_passes",
}


def headline(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Gain, regret, deviation and revenue of the run's own mechanism, then quality and cost.

    `metrics` are the single numbers of metrics.json by their keys joined with dots; the run's mechanism is its first.
    """
    own = next((key.split(".")[1] for key in metrics if key.startswith("truthfulness.")), None)
    of_mechanism = {name: metrics.get(key.format(own)) for name, key in _OF_THE_MECHANISM.items()}
    return of_mechanism | {name: metrics.get(key) for name, key in _OF_THE_RUN.items()}
