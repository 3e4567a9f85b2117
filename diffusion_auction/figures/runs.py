"""Finished runs beside each other: compositions, measures of alignment, models."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill
from typing import Any

from matplotlib.figure import Figure

from diffusion_auction.figures.mechanisms import GAIN, own_mechanism
from diffusion_auction.figures.panels import Panel, draw_panels
from diffusion_auction.figures.style import BOOTSTRAP
from diffusion_auction.figures.truthfulness import REGRET
from generative_auctions.plotting import GOES_ON, Estimate, framed, mark
from generative_auctions.text import listed

_MOST_NAMED = 6  # agents told apart


def runs_side_by_side(runs: Mapping[str, Mapping[str, Any]]) -> Figure | None:
    """Welfare, regret, monotonicity, quality and cost of each run, in small multiples.

    `runs` holds the metrics.json of each by a label; welfare and regret are those of the run's own mechanism.
    """
    agents = max(len(metrics["monotonicity"]) for metrics in runs.values())
    named = agents <= _MOST_NAMED
    own = list(dict.fromkeys(filter(None, map(own_mechanism, runs.values()))))
    under = f"\n{listed(own)}" if len(own) == 1 else "\nthe run's mechanism"
    panels = [
        Panel(f"welfare gain,{under}", [[_gain(metrics) for metrics in runs.values()]], "gain"),
        Panel(f"relative regret,{under}", [[_regret(metrics) for metrics in runs.values()]], "percent", floor=0),
        Panel(
            "Spearman of alignment\nand bid, each agent",
            [[_spearman(metrics, i) for metrics in runs.values()] for i in range(1, agents + 1)],
            names=[f"agent {i}" for i in range(1, agents + 1)] if named else (),
        ),
        Panel("quality, composed\nless base prompt's", [[_quality(metrics) for metrics in runs.values()]]),
        Panel("sample passes", [[_passes(metrics) for metrics in runs.values()]], "count", floor=0),
    ]
    panels = [panel for panel in panels if panel.known]
    if not panels:
        return None
    cut = any(panel.cut for panel in panels)
    note = f"Bars: {BOOTSTRAP}. –: not measured. {GOES_ON if cut else ''}"
    height = (0.5 if agents > 2 else 0.36) * len(runs) + 1.6
    figure = framed("Runs side by side", note, 2.1 * len(panels) + 1.6, height)
    draw_panels(figure, [fill(label, 36) for label in runs], panels, lambda series, _: mark(series if named else 0))
    return figure


def _gain(metrics: Mapping[str, Any]) -> Estimate:
    return Estimate.of(metrics["welfare"].get(own_mechanism(metrics), {}), *GAIN)


def _regret(metrics: Mapping[str, Any]) -> Estimate:
    return Estimate.of(metrics["truthfulness"].get(own_mechanism(metrics), {}), *REGRET)


def _spearman(metrics: Mapping[str, Any], agent: int) -> Estimate:
    return Estimate.of(metrics["monotonicity"].get(f"agent_{agent}", {}), "spearman")


def _quality(metrics: Mapping[str, Any]) -> Estimate:
    return Estimate.of(metrics.get("quality", {}).get("composed_minus_base", {}))


def _passes(metrics: Mapping[str, Any]) -> Estimate:
    return Estimate.of(metrics.get("cost", {}), "sample_passes")
