"""Figures of a competition: mean utilities, prices and budgets by round, efficiency and revenue by arena."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from agt_tournament.tournament.registration import Team
from generative_auctions.plotting import (
    INK,
    MUTED,
    WIDTH,
    Estimate,
    Mark,
    categories,
    draw_band,
    draw_estimates,
    framed,
    in_percent,
    legend_beside,
    limits,
    mark,
    restrain,
    zero_line,
)
from generative_auctions.text import count, cut, sizes

T = TypeVar("T")

BOOTSTRAP = "95 % bootstrap intervals, games drawn with replacement"

_MOST_ROWS = 60  # of a dot plot
_MOST_PATHS = 12  # games drawn one by one
_MOST_LINES = 6  # teams with a mark of their own
_LATIN = 0x250  # letters below it are in the font of every figure


def team_label(team: Team) -> str:
    """Return the team's name, or its id where the name has letters that the figures' font may lack."""
    drawable = all(ord(letter) < _LATIN for letter in team.team_name)
    return cut(team.team_name if drawable else team.team_id, 24)


def utilities(
    names: Sequence[str], means: Sequence[Estimate], games: int, place: str, score: str = "utility"
) -> Figure:
    """Draw the mean utility a game of each team, a line for each in the order given; `place` names the arena.

    `score` says what it is a mean of, where that is not the utility alone.
    """
    note = f"Means over {count(games, 'game')}; bars: {BOOTSTRAP}."
    names, means, note = _first(names, means, note, "teams by rank")
    figure = framed(f"{score.capitalize()} a game, {place}", note, height=_height(names))
    axes = figure.add_subplot()
    _dots(axes, names, means)
    axes.set_xlabel(f"mean {score} a game" + (": value less price of the items won" if score == "utility" else ""))
    return figure


def prices(paths: np.ndarray, mean: Sequence[Estimate], place: str) -> Figure:
    """Draw the price of each round: `paths` (games, rounds) as thin lines if they are few, and their `mean`."""
    games, rounds = paths.shape
    single = f"Thin lines: {count(games, 'game')}. " if 1 < games <= _MOST_PATHS else ""
    band = f"Thick line and band: mean over {count(games, 'game')} and {BOOTSTRAP}, round by round."
    figure = framed(f"Price by round, {place}", single + (band if games > 1 else "One game."), height=3.4)
    axes = figure.add_subplot()
    x = list(range(1, rounds + 1))
    if single:
        axes.plot(x, paths.T, color=MUTED, linewidth=0.7, alpha=0.6)
    draw_band(axes, x, mean, Mark(mark(0).colour, "o", "-"), "mean")
    _round_axis(axes, 1, rounds)
    axes.set_ylabel("price")
    return figure


def budgets(lines: Mapping[str, Sequence[Estimate]], games: int, place: str) -> Figure:
    """Draw the mean budget left before the first round and after each, a line for each team, best first."""
    note = f"Means over {count(games, 'game')}; bands: {BOOTSTRAP}, round by round."
    if len(lines) > _MOST_LINES:
        note = f"Grey: teams ranked below {_MOST_LINES}, without bands. {note}"
    figure = framed(f"Budget left after each round, {place}", note, height=3.4)
    axes = figure.add_subplot()
    for index, (name, line) in enumerate(lines.items()):
        x = list(range(len(line)))
        if index < _MOST_LINES:
            draw_band(axes, x, line, mark(index), f" {name}" if name.startswith("_") else name)  # _: not in a legend
        else:
            axes.plot(x, [point.mean for point in line], color=MUTED, linewidth=0.7, alpha=0.5, zorder=1)
    _round_axis(axes, 0, max(len(line) for line in lines.values()) - 1)
    axes.set_ylabel("mean budget left")
    legend_beside(figure)
    return figure


def efficiency_and_revenue(
    labels: Sequence[str], efficiency: Sequence[Estimate], revenue: Sequence[Estimate], games: Sequence[int]
) -> Figure:
    """Draw allocative efficiency and revenue a game, a line for each arena; `games` counts each arena's games."""
    note = f"Means over {sizes(games, 'game')} of an arena; bars: {BOOTSTRAP}."
    labels, pairs, note = _first(labels, list(zip(efficiency, revenue, strict=True)), note, "arenas")
    figure = framed("Allocative efficiency and revenue by arena", note, width=WIDTH, height=_height(labels))
    left, right = figure.subplots(1, 2, sharey=True)
    _dots(left, labels, [pair[0] for pair in pairs], from_zero=False)
    in_percent(left.xaxis)
    left.set_xlabel("winners' valuations ÷ highest valuations")
    _dots(right, labels, [pair[1] for pair in pairs], from_zero=False)
    right.set_xlabel("revenue: sum of a game's prices")
    return figure


def _first(names: Sequence[str], values: Sequence[T], note: str, of: str) -> tuple[Sequence[str], Sequence[T], str]:
    """Return as many lines as can be read, and a note that says so."""
    if len(names) <= _MOST_ROWS:
        return names, values, note
    return names[:_MOST_ROWS], values[:_MOST_ROWS], f"The first {_MOST_ROWS} of {len(names):,} {of}. {note}"


def _height(names: Sequence[str]) -> float:
    """Return the height in inches of a dot plot with these lines."""
    return (0.3 if len(names) <= 12 else 0.2) * len(names) + 1.3


def _dots(axes: Axes, names: Sequence[str], means: Sequence[Estimate], from_zero: bool = True) -> None:
    """Draw means with intervals, one line each."""
    categories(axes, names)
    if from_zero:
        within = limits(means)
        zero_line(axes, vertical=True)
    else:
        ends = [end for estimate in means if estimate.known for end in estimate.ends] or [0.0]
        margin = 0.06 * (max(ends) - min(ends)) or 0.05 * max(abs(max(ends)), 1.0)
        within = (min(ends) - margin, max(ends) + margin)
    draw_estimates(axes, range(len(names)), means, Mark(mark(0).colour, "o", "-"), within, across=True)
    axes.set_xlim(within)
    axes.xaxis.set_major_locator(MaxNLocator(5))


def _round_axis(axes: Axes, first: int, last: int) -> None:
    """Make the horizontal axis that of rounds `first` to `last`, and start the vertical one at 0."""
    axes.set_xlim(first - 0.4, last + 0.4)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set_xlabel("round")
    axes.xaxis.label.set_color(INK)
    restrain(axes)
