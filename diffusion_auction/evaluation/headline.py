"""The few numbers of a run that runs are compared by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

AUCTION_NUMBERS = {
    "relative_gain_mean": "welfare.{}.relative_gain_mean",
    "relative_gain_ci_low": "welfare.{}.ci_low",
    "relative_gain_ci_high": "welfare.{}.ci_high",
    "auctions": "welfare.{}.n",
    "relative_regret_mean": "truthfulness.{}.relative_regret_mean",
    "relative_regret_ci_low": "truthfulness.{}.ci_low",
    "relative_regret_ci_high": "truthfulness.{}.ci_high",
    "deviation_mean": "truthfulness.{}.deviation_mean",
    "deviation_ci_low": "truthfulness.{}.deviation_ci_low",
    "deviation_ci_high": "truthfulness.{}.deviation_ci_high",
    "value_profiles": "truthfulness.{}.n",
}
IMAGE_NUMBERS = {
    "share_of_welfare": "revenue.{}.share_of_welfare",
    "share_ci_low": "revenue.{}.share_ci_low",
    "share_ci_high": "revenue.{}.share_ci_high",
    "quality_base_only": "quality.base_only",
    "quality_composed_minus_base": "quality.composed_minus_base.mean",
    "quality_ci_low": "quality.composed_minus_base.ci_low",
    "quality_ci_high": "quality.composed_minus_base.ci_high",
    "images": "cost.images",
    "sample_passes": "cost.sample_passes",
}
"""The place in metrics.json of each number of comparison.csv; {} stands for the mechanism of the run."""

HEADLINE = (
    *("relative_gain_mean", "relative_gain_ci_low", "relative_gain_ci_high", "relative_regret_mean", "deviation_mean"),
    *("share_of_welfare", "quality_composed_minus_base", "images", "sample_passes"),
)
"""The numbers of comparison.csv that a sweep's table shows too."""


def headline(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return gain, regret, deviation and revenue of the run's own mechanism, then quality and cost.

    `metrics` are the single numbers of metrics.json by their keys joined with dots; the run's mechanism is its first.
    """
    own = next((key.split(".")[1] for key in metrics if key.startswith("truthfulness.")), None)
    places = AUCTION_NUMBERS | IMAGE_NUMBERS
    return {name: metrics.get(places[name].format(own)) for name in HEADLINE}
