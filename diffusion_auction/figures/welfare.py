"""How far a mechanism's images are worth more than the single winner's: by samples and by bids. Paper figure 2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from diffusion_auction.figures.style import BOOTSTRAP, draw_lines, gain_axes, mechanism_mark, scenario_label
from diffusion_auction.market.bids import normalized
from generative_auctions.plotting import (
    COLOURS,
    INK,
    MUTED,
    WIDTH,
    Estimate,
    Mark,
    by_samples,
    categories,
    draw_band,
    framed,
    in_percent,
    legend_beside,
    mark,
    restrain,
    zero_line,
)
from generative_auctions.text import count, cut, listed, number, sizes, words

MOST_SCENARIOS = 6
"""The most scenarios with a line each in one figure; if there are more, only their mean is drawn."""

_MOST_CELLS = 231  # of a heat map with legible numbers: 21 × 11
_MOST_VECTORS = 36  # lines of a dot plot
_MEAN = Mark(INK, "o", "-")
_LOSS_TO_GAIN = LinearSegmentedColormap.from_list("loss to gain", [COLOURS[1], "#ffffff", COLOURS[0]])


def welfare_by_k(part: Mapping[str, Any], mechanism: str, baseline: str) -> Figure | None:
    """Draw gain of one mechanism over the baseline against the number of samples; as the paper's figure 2a.

    `part` is the mechanism's entry of `welfare`.
    """
    ks, mean = gain_by_k(part)
    scenarios = part["by_scenario"]
    if not ks:
        return None
    note = f"Mean: over {count(part['n'], 'auction')} in {count(len(scenarios), 'scenario')}; band: {BOOTSTRAP}."
    figure = framed(f"Welfare of {words(mechanism)} over the {words(baseline)}, by samples", note)
    axes = figure.add_subplot()
    draw_band(axes, ks, mean, _MEAN, "mean" if len(scenarios) != 1 else scenario_label(scenarios[0]["scenario"]))
    if 1 < len(scenarios) <= MOST_SCENARIOS:
        for i, own in enumerate(scenarios):
            gains = [Estimate.of(own["by_k"][str(k)]) for k in ks]
            style = mark(i)
            axes.plot(
                ks,
                [gain.mean for gain in gains],
                style.line,
                marker=style.marker,
                color=style.colour,
                markersize=4,
                linewidth=1.1,
                zorder=1.9,
                label=scenario_label(own["scenario"]),
            )
    by_samples(axes, ks)
    gain_axes(axes, _over(baseline))
    legend_beside(figure)
    return figure


def welfare_against_k(part: Mapping[str, Any]) -> Figure | None:
    """Draw gain over the baseline against the number of samples, a line for the mechanisms of each allocation.

    `part` is `welfare` of metrics.json. Mechanisms that sell the same images have the same numbers and share a line.
    """
    baseline = part["baseline"]
    lines: dict[str, list[str]] = {}
    for name, own in part.items():
        if name != "baseline" and gain_by_k(own)[0]:
            lines.setdefault(repr((own["by_k"], own["by_k_intervals"])), []).append(name)
    if not lines:
        return None
    over = sizes([part[names[0]]["n"] for names in lines.values()], "auction")
    figure = framed(
        f"Welfare of every mechanism over the {words(baseline)}, by samples",
        f"Means over {over}; bars: {BOOTSTRAP}. Mechanisms named together sell the same images.",
    )
    axes = figure.add_subplot()
    drawn = {listed(names): (mechanism_mark(names[0]), *gain_by_k(part[names[0]])) for names in lines.values()}
    draw_lines(axes, drawn, apart=1.03, width=1.4)
    gain_axes(axes, _over(baseline))
    return figure


def _over(baseline: str) -> str:
    return f"mean relative welfare gain over the {words(baseline)}"


def gain_by_k(part: Mapping[str, Any]) -> tuple[list[int], list[Estimate]]:
    """Return the numbers of samples with a mean gain, and that gain; `part` is a mechanism's entry of `welfare`."""
    gains = {}
    for k, mean in part["by_k"].items():
        low, high = part["by_k_intervals"][k]
        gains[int(k)] = Estimate.of({"mean": mean, "ci_low": low, "ci_high": high})
    known = {k: gain for k, gain in gains.items() if gain.known}
    return list(known), list(known.values())


# --- by bids -------------------------------------------------------------------------------------------


def welfare_by_bids(part: Mapping[str, Any], mechanism: str, baseline: str) -> Figure | None:
    """Draw gain of one mechanism over the baseline at each bid vector; as the paper's figure 2b.

    Two agents' bids on a grid become a heat map, others of two agents points over the first one's share, bids of more
    agents one line each. `part` is the mechanism's entry of `welfare`.
    """
    gains = {tuple(entry["bids"]): entry["relative_gain"] for entry in part["by_bids"]}
    if not gains:
        return None
    over = sizes([entry["n"] for entry in part["by_bids"]], "auction")
    title = f"Welfare of {words(mechanism)} over the {words(baseline)}, by bids"
    note = f"Means over {over} at the same bids, one a scenario, all samples; no intervals."
    if len(next(iter(gains))) != 2:
        return _lines(gains, title, note, baseline)
    first, second = (sorted({bids[i] for bids in gains}) for i in range(2))
    cells = len(first) * len(second)
    if len(gains) > cells / 2 and cells <= _MOST_CELLS and len(second) > 1 < len(first):
        return _heat_map(gains, first, second, title, note)
    return _points(gains, title, note, baseline)


def _heat_map(
    gains: Mapping[tuple[float, ...], float], first: list[float], second: list[float], title: str, note: str
) -> Figure:
    width, height = max(WIDTH, 0.52 * len(first) + 1.8), max(2.6, 0.42 * len(second) + 1.3)
    figure = framed(title, f"In percent; –: nothing to compare. {note}", width, height)
    axes = figure.add_subplot()
    table = np.array([[gains.get((b, c), np.nan) for b in first] for c in second])
    reach = max(np.nanmax(np.abs(table)), 1e-9)
    drawn = axes.imshow(table, cmap=_LOSS_TO_GAIN, vmin=-reach, vmax=reach, origin="lower", aspect="auto")
    for row, column in np.ndindex(table.shape):
        gain = float(table[row, column])
        text = number(100 * gain, "+.0f")
        dark = gain > 0.55 * reach  # blue is darker than vermilion
        axes.text(column, row, text, ha="center", va="center", fontsize=8.5, color="white" if dark else INK)
    axes.set_xticks(range(len(first)), [f"{b:g}" for b in first])
    axes.set_yticks(range(len(second)), [f"{b:g}" for b in second])
    axes.set_xlabel("bid of agent 1, b₁")
    axes.set_ylabel("bid of agent 2, b₂")
    restrain(axes)
    axes.grid(False)
    axes.spines[["left", "bottom"]].set_visible(False)
    bar = figure.colorbar(drawn, ax=axes, pad=0.02, aspect=14)
    in_percent(bar.ax.yaxis, signed=True)
    bar.set_label("mean relative gain", color=INK)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=MUTED, length=0, labelsize=9)
    return figure


def _points(gains: Mapping[tuple[float, ...], float], title: str, note: str, baseline: str) -> Figure:
    """Draw two agents: over the share of the first."""
    figure = framed(title, note)
    axes = figure.add_subplot()
    shares = [normalized(bids)[0] for bids in gains]
    axes.plot(shares, list(gains.values()), "o", color=COLOURS[0], markersize=5, alpha=0.8)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("normalised bid of agent 1, b₁ / Σ b")
    gain_axes(axes, _over(baseline))
    return figure


def _lines(gains: Mapping[tuple[float, ...], float], title: str, note: str, baseline: str) -> Figure:
    """Draw a bid vector a line, by falling gain; of very many, every so many-th."""
    order = sorted(gains, key=lambda bids: -gains[bids])
    if len(order) > _MOST_VECTORS:
        note = f"{_MOST_VECTORS} of {len(order):,} bid vectors, at even ranks of gain. {note}"
        order = [order[round(at)] for at in np.linspace(0, len(order) - 1, _MOST_VECTORS)]
    figure = framed(title, note, height=max(0.2 * len(order) + 1.3, 2.4))
    axes = figure.add_subplot()
    categories(axes, [vector_label(bids) for bids in order])
    axes.tick_params(axis="y", labelsize=8)
    axes.plot([gains[bids] for bids in order], range(len(order)), "o", color=COLOURS[0], markersize=5)
    zero_line(axes, vertical=True)
    in_percent(axes.xaxis, signed=True)
    axes.set_xlabel(_over(baseline))
    axes.set_ylabel("bids, agent by agent")
    return figure


def vector_label(bids: Sequence[float], letters: int = 40) -> str:
    """Return bids as submitted, equal neighbours taken together: ``1 | 0.5 | 0 ×3``."""
    runs = [(bid, len(list(run))) for bid, run in groupby(bids)]
    text = " | ".join(f"{bid:g}" if size == 1 else f"{bid:g} ×{size}" for bid, size in runs)
    return cut(text, letters)
