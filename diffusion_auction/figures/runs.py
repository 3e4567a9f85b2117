"""Finished runs beside each other: compositions, measures of alignment, models."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill
from typing import Any

from matplotlib.figure import Figure

from diffusion_auction.evaluation.metrics import GAIN, REGRET, Names, own_mechanism
from diffusion_auction.figures.panels import Panel, small_multiples
from diffusion_auction.figures.style import BOOTSTRAP
from generative_auctions.plotting import Estimate, mark
from generative_auctions.text import listed

_MOST_NAMED = 6  # agents told apart


def runs_side_by_side(runs: Mapping[str, Mapping[str, Any]]) -> Figure | None:
    """Draw welfare, regret, monotonicity, quality and cost of each run, in small multiples.

    `runs` holds the metrics.json of each by a label; welfare and regret are those of the run's own mechanism.
    """
    agents = max(len(metrics["monotonicity"]) for metrics in runs.values())
    named = agents <= _MOST_NAMED
    own = list(dict.fromkeys(filter(None, map(own_mechanism, runs.values()))))
    under = f"\n{listed(own)}" if len(own) == 1 else "\nthe run's mechanism"
    gains = [_own(metrics, "welfare", GAIN) for metrics in runs.values()]
    regrets = [_own(metrics, "truthfulness", REGRET) for metrics in runs.values()]
    numbers = range(1, agents + 1)
    spearman = [[_spearman(metrics, i) for metrics in runs.values()] for i in numbers]
    differences = [(metrics.get("quality") or {}).get("composed_minus_base", {}) for metrics in runs.values()]
    passes = [Estimate.of(metrics.get("cost") or {}, "sample_passes") for metrics in runs.values()]
    names = [f"agent {i}" for i in numbers] if named else ()
    panels = [
        Panel(f"welfare gain,{under}", [gains], "gain"),
        Panel(f"relative regret,{under}", [regrets], "percent", floor=0),
        Panel("Spearman of alignment\nand bid, each agent", spearman, names=names),
        Panel("quality, composed\nless base prompt's", [list(map(Estimate.of, differences))]),
        Panel("sample passes", [passes], "count", floor=0),
    ]
    return small_multiples(
        "Runs side by side",
        f"Bars: {BOOTSTRAP}. –: not measured.",
        [fill(label, 36) for label in runs],
        panels,
        lambda series, _: mark(series if named else 0),
        (2.1, (0.5 if agents > 2 else 0.36) * len(runs) + 1.6),
    )


def _own(metrics: Mapping[str, Any], part: str, names: Names) -> Estimate:
    """Return what `part` of metrics.json states under `names` of the run's own mechanism."""
    return Estimate.of(metrics[part].get(own_mechanism(metrics), {}), *names)


def _spearman(metrics: Mapping[str, Any], agent: int) -> Estimate:
    return Estimate.of(metrics["monotonicity"].get(f"agent_{agent}", {}), "spearman")
