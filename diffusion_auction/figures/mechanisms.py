"""Mechanisms beside each other: all that is measured of them, and what they give at the same cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from diffusion_auction.evaluation.metrics import DEVIATION, GAIN, REGRET, SHARE, Names
from diffusion_auction.figures.panels import Panel, small_multiples
from diffusion_auction.figures.style import BOOTSTRAP, draw_lines, gain_axes, mechanism_mark
from diffusion_auction.mechanisms import VCGPool
from generative_auctions.plotting import (
    GOES_ON,
    WIDTH,
    Estimate,
    Mark,
    absent,
    beyond,
    categories,
    draw_estimates,
    few_ticks,
    framed,
    in_percent,
    limits,
    mark,
    zero_line,
)
from generative_auctions.text import sizes, words

COSTS = {"images": "images", "sample_passes": "sample passes"}
"""The units in which `equal_cost` compares costs, in words for a reader."""


def mechanisms_side_by_side(metrics: Mapping[str, Any]) -> Figure | None:
    """Draw welfare, revenue, regret and deviation of every mechanism, in small multiples; `metrics` is metrics.json."""
    welfare, money, truth = (metrics.get(name) or {} for name in ("welfare", "revenue", "truthfulness"))
    names = list(truth)
    baseline = words(welfare.get("baseline", "baseline"))
    panels = [
        Panel(f"welfare gain over\nthe {baseline}", [_of(welfare, names, GAIN)], "gain"),
        Panel("revenue ÷ welfare", [_of(money, names, SHARE)], "percent"),
        Panel("relative regret\nof agent 1", [_of(truth, names, REGRET)], "percent", floor=0),
        Panel("deviation of\nagent 1's best bid", [_of(truth, names, DEVIATION)], floor=0),
    ]
    counts = [
        sizes(numbers, unit)
        for part, unit in ((money, "auction"), (truth, "value profile"))
        if (numbers := [own["n"] for own in part.values() if own["n"]])
    ]
    return small_multiples(
        "Every mechanism on the same images",
        f"Means over {' and '.join(counts)}; bars: {BOOTSTRAP}. –: not defined.",
        list(map(words, names)),
        panels,
        lambda _, at: mechanism_mark(names[at]),
        (2, 0.34 * len(names) + 1.6),
    )


def _of(part: Mapping[str, Any], mechanisms: Sequence[str], names: Names) -> list[Estimate]:
    return [Estimate.of(part.get(mechanism, {}), *names) for mechanism in mechanisms]


def equal_cost(rows: Sequence[Mapping[str, Any]], reference: str = "vcg") -> Figure | None:
    """Draw welfare and regret against the reference at equal images and at equal sample passes, for the most samples.

    `rows` is `equal_cost` of metrics.json.
    """
    largest = {(row["equal"], row["mechanism"]): row for row in sorted(rows, key=lambda row: row["reference_k"])}
    rows = [row for row in rows if row is largest[row["equal"], row["mechanism"]]]
    sets = {unit: [row for row in rows if row["equal"] == unit] for unit in COSTS}
    sets = {unit: own for unit, own in sets.items() if own}
    if not sets:
        return None
    gains = [Estimate.of(row["relative_welfare"]) for row in rows]
    regrets = [Estimate.of(row[name]) for row in rows for name in ("relative_regret", "reference_regret")]
    within = limits(gains), limits(regrets, floor=0)
    cut = beyond(gains, within[0]) or beyond(regrets, within[1])
    note = (
        f"Beside each name: its k, and the k at which {words(reference)} costs as much, on average over the auctions. "
        f"Bars: {BOOTSTRAP}. –: not defined. {GOES_ON if cut else ''}"
    )
    known = any(estimate.known for estimate in regrets)
    lines = sum(map(len, sets.values()))
    figure = framed(
        f"Against {words(reference)} at equal cost",
        note,
        width=9.6 if known else WIDTH,
        height=0.27 * lines + 0.6 * len(sets) + 0.8,
    )
    ratios = [len(own) + 1 for own in sets.values()]
    shared: Any = {"squeeze": False, "sharey": "row", "sharex": "col", "height_ratios": ratios}
    grid = figure.subplots(len(sets), 2 if known else 1, **shared)
    for line, (unit, own) in zip(grid, sets.items(), strict=True):
        labels = [f"{words(row['mechanism'])}   {row['k']} : {row['reference_k']}" for row in own]
        for axes in line:
            categories(axes, labels)
            zero_line(axes, vertical=True)
        line[0].set_title(f"equal {COSTS[unit]}", fontsize=10, loc="left", fontweight="bold")
        for at, row in enumerate(own):
            style = mechanism_mark(row["mechanism"])
            draw_estimates(line[0], [at], [Estimate.of(row["relative_welfare"])], style, within[0], across=True)
            if known:
                _draw_regrets(line[1], at, row, style, mechanism_mark(reference), within[1])
    bottom = (
        (within[0], True, f"welfare relative to {words(reference)}"),
        (within[1], False, f"relative regret of agent 1 (hollow: of {words(reference)})"),
    )
    for axes, (limit, signed, label) in zip(grid[-1], bottom, strict=False):
        axes.set_xlim(limit)
        axes.set_xlabel(label)
        few_ticks(axes.xaxis, 6)
        in_percent(axes.xaxis, signed)
    return figure


def _draw_regrets(
    axes: Axes, at: int, row: Mapping[str, Any], style: Mark, other: Mark, within: tuple[float, float]
) -> None:
    """Draw the regret of a row's mechanism and below it, hollow, that of the reference."""
    ours, theirs = Estimate.of(row["relative_regret"]), Estimate.of(row["reference_regret"])
    draw_estimates(axes, [at + 0.12], [theirs], other, within, across=True, hollow=True, size=5)
    draw_estimates(axes, [at - 0.12], [ours], style, within, across=True)
    if not ours.known:
        absent(axes, at - 0.12)


def equal_cost_by_k(rows: Sequence[Mapping[str, Any]], reference: str = "vcg") -> Figure | None:
    """Draw welfare of pools against the reference at equal sample passes, a line over several budgets for each.

    `rows` is `equal_cost` of metrics.json.
    """
    pools: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["equal"] == "sample_passes" and row["mechanism"].startswith(VCGPool.name):
            pools.setdefault(row["mechanism"], []).append(row)
    lines = {name: sorted(own, key=lambda row: row["k"]) for name, own in pools.items() if len(own) > 1}
    if not lines:
        return None
    other = words(reference)
    over = sizes([row["relative_welfare"]["n"] for own in lines.values() for row in own], "auction")
    note = f"A pool has as many samples as cost no more than {other} with k of its own. Means over {over}; "
    figure = framed(f"Pools against {other} at equal sample passes", f"{note}bars: {BOOTSTRAP}.")
    axes = figure.add_subplot()
    gains = {name: [Estimate.of(row["relative_welfare"]) for row in own] for name, own in lines.items()}
    drawn = {
        words(name): (mark(i), [row["reference_k"] for row in own], gains[name])
        for i, (name, own) in enumerate(lines.items())
    }
    draw_lines(axes, drawn, apart=1.025, width=1.2)
    gain_axes(axes, f"welfare relative to {other}")
    axes.set_xlabel(f"samples of each composition under {other}, k")
    return figure
