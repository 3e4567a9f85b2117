"""What a bid buys, and what it does to the picture: alignment and quality against normalised bids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from diffusion_auction.figures.style import BOOTSTRAP
from generative_auctions.plotting import (
    INK,
    MUTED,
    WIDTH,
    Estimate,
    draw_band,
    few_ticks,
    framed,
    legend_inside,
    mark,
    restrain,
)
from generative_auctions.text import count, number, sizes

Curves = Mapping[str, Sequence[Mapping[str, Any]]]
"""The points of each agent's line, as metrics.json states them, by the label of the line."""

_TOGETHER = 5  # agents in one pair of axes; more have small ones each
_ABREAST = 5


def monotonicity(part: Mapping[str, Any]) -> Figure | None:
    """Draw mean alignment against normalised bid, one line and 95 % band per agent; as the paper's figure 1.

    `part` is `monotonicity` of metrics.json.
    """
    curves = {}
    for agent, own in part.items():
        rho = "" if own["spearman"] is None else f" (Spearman {number(own['spearman'], '.2f')})"
        curves[f"{agent.replace('_', ' ')}{rho}"] = own["curve"]
    title, label = "Alignment with each agent's prompt against its bid", "mean alignment αᵢ with the agent's prompt"
    return _figure(curves, title, label, _note(curves))


def quality_by_bid(part: Mapping[str, Any]) -> Figure | None:
    """Draw mean quality against each agent's normalised bid, the base prompt's as reference; as the paper's figure 4.

    `part` is `quality` of metrics.json.
    """
    points = part["by_normalized_bid"]
    curves = {f"agent {i}": [p for p in points if p["agent"] == i] for i in sorted({p["agent"] for p in points})}
    difference, note = Estimate.of(part["composed_minus_single"]), _note(curves)
    if difference.known:
        mean, low, high = (number(value, "+.4f") for value in difference)
        note = f"Images of several bidders less those of one: {mean} [{low}, {high}]. {note}"
    base = None if part["base_only"] is None else (part["base_only"], part["base_only_n"])
    return _figure(curves, "Image quality against each agent's bid", "mean quality score", note, base)


def _figure(curves: Curves, title: str, label: str, note: str, base: tuple[float, int] | None = None) -> Figure | None:
    """Draw all agents' lines in one pair of axes, many agents' in small ones; `base` is a reference and its images."""
    if not any(curves.values()):
        return None
    if len(curves) > _TOGETHER:
        return _apart(curves, title, label, note, base)
    figure = framed(title, note)
    axes = figure.add_subplot()
    for i, (agent, points) in enumerate(curves.items()):
        _draw(axes, points, i, agent)
    if base:
        axes.axhline(base[0], label=f"base prompt alone ({count(base[1], 'image')})", **_REFERENCE)
    axes.set_xlabel(_BID)
    axes.set_ylabel(label)
    legend_inside(axes)
    return figure


def _apart(curves: Curves, title: str, label: str, note: str, base: tuple[float, int] | None) -> Figure:
    rows = -(-len(curves) // _ABREAST)
    if base:
        note = f"Dotted: the base prompt alone ({count(base[1], 'image')}). {note}"
    figure = framed(title, note, width=1.4 * WIDTH, height=1.7 * rows + 0.8)
    grid: Any = figure.subplots(rows, _ABREAST, squeeze=False, sharex=True, sharey=True)
    for i, ((agent, points), axes) in enumerate(zip(curves.items(), grid.flat, strict=False)):
        _draw(axes, points, i, agent)
        axes.set_title(agent.replace(" (", "\n("), fontsize=9, color=INK)
        few_ticks(axes.xaxis, 2)
        if base:
            axes.axhline(base[0], **_REFERENCE)
    for axes in grid.flat[len(curves) :]:
        axes.set_visible(False)
    figure.supylabel(label, fontsize=10)
    for axes in grid[-1]:
        axes.set_xlabel("bᵢ / Σ b", color=MUTED)
    return figure


_BID = "normalised bid of the agent, bᵢ / Σ b"
_REFERENCE: dict[str, Any] = {"color": INK, "linewidth": 1.3, "linestyle": (0, (1, 1.5))}


def _draw(axes: Axes, points: Sequence[Mapping[str, Any]], index: int, label: str) -> None:
    if points:
        x = [point["normalized_bid"] for point in points]
        draw_band(axes, x, [Estimate.of(point) for point in points], mark(index), label)
    axes.set_xlim(-0.02, 1.02)
    restrain(axes)


def _note(curves: Curves) -> str:
    images = sizes([point["n"] for points in curves.values() for point in points], "image")
    return f"Points: means over {images}, those of all scenarios at that bid. Bands: {BOOTSTRAP}."
