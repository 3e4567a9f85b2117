"""What agent 1 could gain by a false bid, and how far from its value its best bid lies. Paper figure 3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

from matplotlib.figure import Figure

from diffusion_auction.evaluation.metrics import DEVIATION, REGRET, Names
from diffusion_auction.figures.style import BOOTSTRAP, mechanism_mark, scenario_label
from generative_auctions.plotting import (
    GOES_ON,
    MUTED,
    Estimate,
    beyond,
    by_samples,
    draw_estimates,
    framed,
    in_percent,
    legend_above,
    legend_beside,
    limits,
    mark,
    restrain,
)
from generative_auctions.text import count, listed, sizes, words

_MOST_SCENARIOS = 10  # places beside each other; of more scenarios only the mean is drawn
_MOST_KS = 3
_REGRET_AXIS = "mean relative regret of agent 1"
_DEVIATION_AXIS = "mean deviation |b* − m₁| of agent 1's best bid"


def regret_by_k(part: Mapping[str, Any], mechanism: str) -> Figure | None:
    """Draw relative regret by scenario and number of samples; as the paper's figure 3a.

    `part` is the mechanism's entry of `truthfulness`.
    """
    title = f"Regret of agent 1 under {words(mechanism)}"
    means = "Regret: what agent 1 could gain by a false bid, in parts of its truthful utility, the others truthful."
    return _by_k(part, REGRET, title, means, _REGRET_AXIS, percent=True)


def deviation_by_k(part: Mapping[str, Any], mechanism: str) -> Figure | None:
    """Draw deviation by scenario and number of samples; as the paper's figure 3b."""
    title = f"Deviation of agent 1's best bid under {words(mechanism)}"
    means = "Deviation: from agent 1's value m₁ to its bid b* of highest utility, others truthful; in units of bids."
    return _by_k(part, DEVIATION, title, means, _DEVIATION_AXIS, percent=False)


def _by_k(part: Mapping[str, Any], names: Names, title: str, means: str, axis: str, percent: bool) -> Figure | None:
    ks = [k for k, own in part["by_k"].items() if Estimate.of(own, *names).known]
    scenarios = part["by_scenario"]
    if not ks:
        return None
    apart = 1 < len(scenarios) <= _MOST_SCENARIOS
    groups = [*scenarios, part] if apart else [part]
    shown = ks[-_MOST_KS:] if apart else ks
    table = {k: [Estimate.of(own["by_k"][k], *names) for own in groups] for k in shown}
    estimates = [estimate for row in table.values() for estimate in row]
    within = limits(estimates, floor=0)
    note = f"{means} Means over {count(part['n'], 'value profile')} in {count(len(scenarios), 'scenario')}; "
    note += f"bars: {BOOTSTRAP}. {GOES_ON if beyond(estimates, within) else ''}"
    figure = framed(f"{title}, by {'scenario and ' if apart else ''}samples", note)
    axes = figure.add_subplot()
    if apart:
        for i, (k, row) in enumerate(table.items()):
            places = [at + 0.22 * (i - (len(shown) - 1) / 2) for at in range(len(groups))]
            draw_estimates(axes, places, row, mark(i), within, label=f"k = {k}")
        labels = [scenario_label(own["scenario"], 14) for own in scenarios]
        crowded = len(groups) > 7 or max(map(len, labels)) > 11
        turned: dict[str, Any] = {"rotation": 30, "ha": "right"} if crowded else {}
        axes.set_xticks(range(len(groups)), [*labels, "mean"], **turned, parse_math=False)
        axes.axvline(len(scenarios) - 0.5, color=MUTED, linewidth=0.8)
        restrain(axes, grid="y")
        legend_above(axes, len(shown))
    else:
        draw_estimates(axes, list(map(int, ks)), [row[0] for row in table.values()], mark(0), within)
        by_samples(axes, list(map(int, ks)))
        restrain(axes)
    axes.set_ylim(within)
    axes.set_ylabel(axis)
    if percent:
        in_percent(axes.yaxis)
    return figure


def regret_and_deviation(part: Mapping[str, Mapping[str, Any]]) -> Figure | None:
    """Draw regret against deviation, one point per mechanism, faint ones for its scenarios.

    `part` is `truthfulness` of metrics.json. Mechanisms at the same point share it.
    """
    points: dict[tuple[Estimate, Estimate], list[str]] = {}
    for name, own in part.items():
        both = Estimate.of(own, *REGRET), Estimate.of(own, *DEVIATION)
        if both[0].known and both[1].known:
            points.setdefault(both, []).append(name)
    if not points:
        return None
    faint = {names[0]: _of_scenarios(part[names[0]]["by_scenario"]) for names in points.values()}
    others = [pair for pairs in faint.values() for pair in pairs]
    regrets, deviations = zip(*points, *others, strict=True)
    within_y, within_x = limits(regrets, floor=0), limits(deviations, floor=0)
    drawn = {name for names in points.values() for name in names}
    without = [name for name in part if name not in drawn]
    sentences = (
        f"Large: means over {sizes([part[name]['n'] for name in drawn], 'value profile')}; bars: {BOOTSTRAP}.",
        "Faint: single scenarios." if others else "",
        f"Without relative regret: {listed(without)}." if without else "",
        GOES_ON if beyond(regrets, within_y) or beyond(deviations, within_x) else "",
    )
    note = " ".join(filter(None, sentences))
    figure = framed("Regret and deviation of agent 1 under each mechanism", note, height=4.8)
    axes = figure.add_subplot()
    for (regret, deviation), names in points.items():
        style = mechanism_mark(names[0])
        for y, x in faint[names[0]]:
            axes.plot([x.mean], [y.mean], style.marker, color=style.colour, markersize=4, alpha=0.35)
        draw_estimates(axes, [regret.mean], [deviation], style, within_x, across=True)
        draw_estimates(axes, [deviation.mean], [regret], style, within_y, label=fill(listed(names), 22), size=8)
    axes.set_xlim(within_x)
    axes.set_ylim(within_y)
    axes.set_xlabel(_DEVIATION_AXIS)
    axes.set_ylabel(_REGRET_AXIS)
    in_percent(axes.yaxis)
    restrain(axes)
    legend_beside(figure)
    return figure


def _of_scenarios(parts: Sequence[Mapping[str, Any]]) -> list[tuple[Estimate, Estimate]]:
    """Return the mean regret and deviation of each scenario, where there are several but not too many to tell apart."""
    if not 1 < len(parts) <= _MOST_SCENARIOS:
        return []
    means = [[Estimate.of({"mean": own[names[0]]}) for names in (REGRET, DEVIATION)] for own in parts]
    return [(regret, deviation) for regret, deviation in means if regret.known and deviation.known]
