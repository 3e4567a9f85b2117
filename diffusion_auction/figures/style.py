"""How figures of image auctions name and mark what they show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from diffusion_auction.mechanisms import MECHANISMS
from generative_auctions.plotting import (
    Estimate,
    Mark,
    by_samples,
    draw_estimates,
    in_percent,
    legend_above,
    limits,
    mark,
    restrain,
    zero_line,
)
from generative_auctions.text import cut

BOOTSTRAP = "95 % bootstrap intervals over scenarios and samples"


def mechanism_mark(name: str) -> Mark:
    """Return the same mark for a mechanism in every figure; for ``vcg_pool (joint)`` that of ``vcg_pool``."""
    names = list(MECHANISMS)
    kind = name.split(" ")[0]
    return mark(names.index(kind) if kind in names else len(names))


def scenario_label(scenario: Any, letters: int = 24) -> str:
    """Return ``scenario 3``; a scenario that recorded scores name otherwise, by that name."""
    text = str(scenario)
    if text.isdecimal() or text.startswith("_"):  # a legend leaves out what begins with _
        text = f"scenario {text}"
    return cut(text, letters)


def gain_axes(axes: Axes, label: str) -> None:
    """Have the vertical axis show relative gains: signed percentages around a line at zero."""
    zero_line(axes)
    in_percent(axes.yaxis, signed=True)
    axes.set_ylabel(label)
    restrain(axes)


def draw_lines(
    axes: Axes, lines: Mapping[str, tuple[Mark, Sequence[int], Sequence[Estimate]]], apart: float, width: float
) -> None:
    """Draw gains with their intervals over numbers of samples, a line and an entry of the legend for each of `lines`.

    Args:
        axes: where to draw.
        lines: mark, numbers of samples and gains of each, by its label.
        apart: the factor by which a line is shifted against its neighbour, so that bars do not hide one another.
        width: of a line, in points.
    """
    within = limits(gain for _, _, gains in lines.values() for gain in gains)
    for i, (label, (style, ks, gains)) in enumerate(lines.items()):
        places = [k * apart ** (i - (len(lines) - 1) / 2) for k in ks]
        axes.plot(places, [gain.mean for gain in gains], style.line, color=style.colour, linewidth=width)
        draw_estimates(axes, places, gains, style, within, label=label)
    by_samples(axes, sorted({k for _, ks, _ in lines.values() for k in ks}))
    axes.set_ylim(within)
    legend_above(axes, 2)
