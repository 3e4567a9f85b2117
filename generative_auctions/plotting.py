"""The shared style of all figures: marks that everybody can tell apart, title, note, means with intervals, files.

Drawn without pyplot's global state.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.ticker import FuncFormatter, MaxNLocator

from generative_auctions.files import write_atomic
from generative_auctions.text import number

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""The colours of Okabe and Ito, which colour-blind readers can tell apart.

A seventh series has the first colour again.
"""

INK, MUTED, RULE = "#1f2328", "#59636e", "#d9dee3"
WIDTH = 7.2
"""The width of a figure in a text column, in inches."""

_DOTS_PER_INCH = 160
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_LINES = ("-", "--", "-.", ":")
_LETTERS, _TITLE_LETTERS = 14, 10  # in an inch
_LEFT: dict[str, Any] = {"x": 0.01, "ha": "left", "parse_math": False}  # a prompt may hold a dollar sign
_TITLE: dict[str, Any] = {**_LEFT, "fontsize": 11, "fontweight": "bold", "color": INK}
_NOTE: dict[str, Any] = {**_LEFT, "fontsize": 9, "color": MUTED}


class Mark(NamedTuple):
    """How one series is drawn: never told from another by its colour alone."""

    colour: str
    marker: str
    line: str


def mark(index: int) -> Mark:
    """Return the mark of the series number `index`, from 0; the first 42 differ."""
    return Mark(COLOURS[index % len(COLOURS)], _MARKERS[index % len(_MARKERS)], _LINES[index % len(_LINES)])


class Estimate(NamedTuple):
    """A mean and its interval; NaN where there is none."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, part: Mapping[str, Any], mean: str = "mean", low: str = "ci_low", high: str = "ci_high") -> Estimate:
        """Read the estimate that `part` of metrics.json holds under these names."""
        return cls(*(np.nan if part.get(name) is None else float(part[name]) for name in (mean, low, high)))

    @property
    def known(self) -> bool:
        """Whether there is a mean."""
        return bool(np.isfinite(self.mean))

    @property
    def ends(self) -> tuple[float, float]:
        """The ends of the interval; the mean twice if there is none."""
        return self.low if np.isfinite(self.low) else self.mean, self.high if np.isfinite(self.high) else self.mean


# --- text ----------------------------------------------------------------------------------------------


def framed(title: str, note: str, width: float = WIDTH, height: float = 4.5) -> Figure:
    """Make an empty figure; its `title` states what is shown, its `note` from what. `height` excludes the note."""
    title, note = fill(title, int(_TITLE_LETTERS * width)), fill(note, int(_LETTERS * width))
    height += 0.16 * (title.count("\n") + note.count("\n") + 1)
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(title, **_TITLE)
    figure.supxlabel(note, **_NOTE)
    return figure


# --- axes ----------------------------------------------------------------------------------------------


def restrain(axes: Axes, grid: str = "both") -> None:
    """Style the axes: no frame, a faint grid, quiet ticks."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color(MUTED)
    axes.grid(axis=grid, color=RULE, linewidth=0.6)  # type: ignore[arg-type]
    axes.tick_params(colors=MUTED, length=0, labelsize=9)
    axes.xaxis.label.set_fontsize(10)
    axes.yaxis.label.set_fontsize(10)
    axes.set_axisbelow(True)


def in_percent(axis: Any, signed: bool = False) -> None:
    """Write ticks as percentages."""
    form = "+.6g" if signed else ".6g"
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{number(100 * value, form)} %"))


def few_ticks(axis: Any, most: int = 4) -> None:
    """Set at most `most` intervals between ticks, for axes that stand close together."""
    axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value, "g")))


def by_samples(axes: Axes, ks: Sequence[int]) -> None:
    """Make the horizontal axis logarithmic in the number of samples, with ticks at those of `ks` that have room."""
    axes.set_xscale("log")
    ticks = [ks[-1]]
    for k in reversed(ks):
        if 1.2 * k <= ticks[-1]:
            ticks.append(k)
    axes.set_xticks(ticks[::-1], [f"{k:,}" for k in ticks[::-1]])
    axes.set_xticks([], minor=True)
    axes.set_xlim(ks[0] / 1.25, ks[-1] * 1.25)
    axes.set_xlabel("samples of each composition, k")


def absent(axes: Axes, at: float) -> None:
    """Draw a dash in place of a missing estimate."""
    place: dict[str, Any] = {"ha": "center", "va": "center", "transform": axes.get_yaxis_transform()}
    axes.text(0.5, at, "–", color=MUTED, fontsize=14, **place)


def legend_inside(axes: Axes) -> None:
    """Draw a legend where the axes are emptiest."""
    _as_written(axes.legend(frameon=False, loc="best", fontsize=9))


def legend_above(axes: Axes, columns: int) -> None:
    """Draw a legend above the axes."""
    place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}
    _as_written(axes.legend(frameon=False, fontsize=9, ncols=columns, columnspacing=1.5, handletextpad=0.4, **place))


def legend_beside(figure: Figure) -> None:
    """Draw a legend to the right of the axes."""
    _as_written(figure.legend(frameon=False, loc="outside right center", fontsize=9))


def _as_written(legend: Legend) -> None:
    for text in legend.get_texts():
        text.set_parse_math(False)


def zero_line(axes: Axes, vertical: bool = False) -> None:
    """Draw a line at zero."""
    (axes.axvline if vertical else axes.axhline)(0, color=MUTED, linewidth=1)


# --- means with intervals ------------------------------------------------------------------------------


def limits(estimates: Iterable[Estimate], floor: float | None = None) -> tuple[float, float]:
    """Return the range of an axis that shows zero, every mean and its interval.

    `floor` is the lowest possible value. A quantity with one may have a heavy tail: intervals that are much longer than
    the range of the means are then shown in part.
    """
    known = [estimate for estimate in estimates if estimate.known]
    means = [0.0, *(estimate.mean for estimate in known)]
    low, high = min(means), max(means)
    ends = [end for estimate in known for end in estimate.ends]
    most = high + 2.5 * (high - low) if floor is not None and high > low else np.inf
    low, high = min([low, *ends]), min(max([high, *ends]), most)
    if floor is not None:
        low = max(low, floor)
    if not high > low:
        low, high = low, low + 0.1
    margin = 0.06 * (high - low)
    return low - margin, high + margin


def beyond(estimates: Iterable[Estimate], within: tuple[float, float]) -> bool:
    """Tell whether an interval goes on above the range `within`."""
    return any(estimate.known and estimate.ends[1] > within[1] for estimate in estimates)


GOES_ON = "An arrow head: the interval goes on."


def draw_estimates(
    axes: Axes,
    places: Sequence[float],
    estimates: Sequence[Estimate],
    style: Mark,
    within: tuple[float, float],
    *,
    across: bool = False,
    label: str | None = None,
    hollow: bool = False,
    size: float = 6,
) -> None:
    """Draw means as markers with their intervals as bars, at `places` of the other axis; values run `across` or up.

    An interval that goes on above the range `within` ends there in an arrow head.
    """
    shown = [(at, estimate) for at, estimate in zip(places, estimates, strict=True) if estimate.known]
    at = np.array([place for place, _ in shown])
    mean = np.array([estimate.mean for _, estimate in shown])
    low, high = np.array([estimate.ends for _, estimate in shown]).reshape(-1, 2).T
    over = high > within[1]
    top = np.minimum(high, within[1])
    face = "white" if hollow else style.colour
    points = {"color": style.colour, "marker": style.marker, "markersize": size, "linestyle": "none", "zorder": 3}
    x, y = (mean, at) if across else (at, mean)
    (axes.hlines if across else axes.vlines)(at, low, top, color=style.colour, linewidth=1.5, zorder=2)
    axes.plot(x, y, **points, markerfacecolor=face, label=label)  # type: ignore[arg-type]
    if over.any():
        edge = np.full(over.sum(), within[1])
        head: Any = {"color": style.colour, "linestyle": "none", "markersize": 6, "clip_on": False, "zorder": 3}
        axes.plot(*((edge, at[over]) if across else (at[over], edge)), marker=9 if across else 10, **head)


def draw_band(axes: Axes, x: Sequence[float], estimates: Sequence[Estimate], style: Mark, label: str) -> None:
    """Draw a line of means in a band of their intervals; over a single point, a bar."""
    low, high = np.array([estimate.ends for estimate in estimates]).T
    if len(x) == 1:
        axes.vlines(x, low, high, color=style.colour, linewidth=1.5)
    else:
        axes.fill_between(x, low, high, color=style.colour, alpha=0.16, linewidth=0)
    mean = [estimate.mean for estimate in estimates]
    axes.plot(x, mean, style.line, marker=style.marker, markersize=4.5, color=style.colour, label=label, linewidth=1.8)


def categories(axes: Axes, labels: Sequence[str]) -> None:
    """Give each label one line of the vertical axis, the first on top."""
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_yticks(range(len(labels)), labels, parse_math=False)
    restrain(axes)
    axes.tick_params(axis="y", colors=INK)
    axes.spines["left"].set_visible(False)


# --- files ---------------------------------------------------------------------------------------------


def save_figure(figure: Figure, folder: Path, name: str) -> dict[str, Path]:
    """Write ``folder/name.png`` and ``.svg``, the same bytes each time. Returns: their paths by suffix."""
    written = {}
    for suffix, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
        drawn = io.BytesIO()
        with matplotlib.rc_context({"svg.hashsalt": "generative-auctions"}):
            figure.savefig(drawn, format=suffix, dpi=_DOTS_PER_INCH, metadata=metadata)
        figure.set_layout_engine("none")  # the PNG has laid it out, and both files show the same
        written[suffix] = folder / f"{name}.{suffix}"
        write_atomic(written[suffix], drawn.getvalue())
    return written
