"""Small multiples: several quantities of the same things, one line for each thing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from generative_auctions.plotting import (
    GOES_ON,
    Estimate,
    Mark,
    absent,
    beyond,
    categories,
    draw_estimates,
    few_ticks,
    framed,
    in_percent,
    legend_above,
    limits,
    zero_line,
)


class Panel(NamedTuple):
    """One quantity."""

    label: str
    series: Sequence[Sequence[Estimate]]
    """One or more series of estimates: one for each line, unknown where the quantity is not defined."""
    ticks: str = "plain"
    """``percent``, ``gain`` (percentages with their sign), ``count`` or ``plain``."""
    floor: float | None = None
    """The lowest possible value of the quantity."""
    names: Sequence[str] = ()
    """The names of the series, for a legend."""

    @property
    def estimates(self) -> list[Estimate]:
        """Every estimate of every series."""
        return [estimate for own in self.series for estimate in own]

    @property
    def known(self) -> bool:
        """Whether any estimate is defined."""
        return any(estimate.known for estimate in self.estimates)

    @property
    def within(self) -> tuple[float, float]:
        """The ends of the axis."""
        return limits(self.estimates, self.floor)

    @property
    def cut(self) -> bool:
        """Whether an interval goes on above the axis."""
        return beyond(self.estimates, self.within)


def small_multiples(
    title: str,
    note: str,
    lines: Sequence[str],
    panels: Sequence[Panel],
    style: Callable[[int, int], Mark],
    panel_size: tuple[float, float],
) -> Figure | None:
    """Draw those of `panels` that are known from left to right over the shared `lines`; None if none is.

    Args:
        title: the text above the panels.
        note: the text below them.
        lines: the labels of the lines.
        panels: the quantities.
        style: gives the mark of a series at a line.
        panel_size: inches of the width of a panel and of the whole height.
    """
    panels = [panel for panel in panels if panel.known]
    if not panels:
        return None
    note = f"{note} {GOES_ON if any(panel.cut for panel in panels) else ''}"
    figure = framed(title, note, panel_size[0] * len(panels) + 1.6, panel_size[1])
    for axes, panel in zip(figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels, strict=True):
        within = panel.within
        categories(axes, lines)
        zero_line(axes, vertical=True)
        axes.set_xlim(within)
        for s, own in enumerate(panel.series):
            shift = 0.5 * (s - (len(panel.series) - 1) / 2) / len(panel.series)
            size = 6 if len(panel.series) < 4 else 4
            for at, estimate in enumerate(own):
                draw_estimates(axes, [at + shift], [estimate], style(s, at), within, across=True, size=size)
        for at in range(len(lines)):
            if not any(own[at].known for own in panel.series):
                absent(axes, at)
        for s, name in enumerate(panel.names):
            axes.plot([], [], style(s, 0).marker, color=style(s, 0).colour, label=name)
        if panel.names:
            legend_above(axes, 2)
        few_ticks(axes.xaxis)
        if panel.ticks in ("percent", "gain"):
            in_percent(axes.xaxis, signed=panel.ticks == "gain")
        elif panel.ticks == "count":
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
        axes.set_xlabel(panel.label)
    return figure


def _short(value: float) -> str:
    """Return a large count in few letters: ``250k``."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
