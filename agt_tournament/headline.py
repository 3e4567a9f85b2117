"""The few numbers of a competition that competitions are compared by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def headline(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the winner of the last stage that was played, the mean utility of a game and its interval.

    `metrics` are the single numbers of metrics.json by their keys joined with dots: ``stage2.<team>.rank``.
    """
    stage = max((key.split(".")[0] for key in metrics if key.startswith("stage")), default=None)
    first = (
        key for key, value in metrics.items() if key.startswith(f"{stage}.") and key.endswith(".rank") and value == 1
    )
    team = next(first, "..").split(".")[1]
    figures = {name: metrics.get(f"{stage}.{team}.{name}") for name in ("mean_score", "ci_low", "ci_high", "games")}
    return {"stage": stage, "winner": team or None, **figures}
