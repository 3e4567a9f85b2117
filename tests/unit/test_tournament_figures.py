"""Figures of a competition: drawn where the numbers are, for many teams and games, and readable alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from agt_tournament.report.figures import budgets, efficiency_and_revenue, prices, team_label, utilities
from agt_tournament.report.measures import mean_estimates
from agt_tournament.tournament.registration.teams import Team
from generative_auctions.plotting import Estimate, save_figure

RNG = np.random.default_rng(0)
NONE = Estimate(np.nan, np.nan, np.nan)


def drawn(figure: Figure) -> Figure:
    """`figure` laid out; it has a title, a note, and axes that say what they show."""
    FigureCanvasAgg(figure).draw()
    assert figure.get_suptitle()
    assert figure.get_supxlabel()
    assert all(axes.get_xlabel() for axes in figure.axes)
    return figure


def estimates(number: int) -> list[Estimate]:
    return [Estimate(mean, mean - 1, mean + 2) for mean in RNG.uniform(5, 20, number)]


def names(number: int) -> list[str]:
    return [f"team {i}" for i in range(number)]


def lines(figure: Figure) -> int:
    return len(figure.axes[0].lines)


@pytest.mark.parametrize("number", [1, 5])
def test_utilities_stand_in_the_order_given(number: int) -> None:
    figure = drawn(utilities(names(number), estimates(number), 5, "final"))
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == names(number)
    assert "Means over 5 games" in figure.get_supxlabel()


def test_what_is_not_known_is_not_drawn() -> None:
    drawn(utilities(names(2), [NONE, Estimate(3.0, np.nan, np.nan)], 1, "final"))
    drawn(efficiency_and_revenue(["a", "b"], [NONE, NONE], [NONE, Estimate(3.0, np.nan, np.nan)], [1, 1]))


def test_too_many_teams_are_cut_and_said_so() -> None:
    figure = drawn(utilities(names(200), estimates(200), 5, "final"))
    assert len(figure.axes[0].get_yticklabels()) == 60
    assert "The first 60 of 200 teams by rank." in figure.get_supxlabel().replace("\n", " ")


@pytest.mark.parametrize(("games", "single"), [(1, 0), (5, 5), (12, 12), (13, 0), (400, 0)])
def test_single_games_are_drawn_if_they_are_few(games: int, single: int) -> None:
    paths = RNG.uniform(0, 20, (games, 15))
    figure = drawn(prices(paths, mean_estimates(paths), "final"))
    assert lines(figure) == single + 1
    assert ("Thin lines" in figure.get_supxlabel()) == bool(single)
    mean = figure.axes[0].lines[-1]
    np.testing.assert_allclose(mean.get_ydata(), paths.mean(axis=0))
    assert list(mean.get_xdata()) == list(range(1, 16))


def test_one_round_is_a_figure_too() -> None:
    paths = RNG.uniform(0, 20, (3, 1))
    drawn(prices(paths, mean_estimates(paths), "final"))


def test_budgets_of_many_teams_keep_six_marks() -> None:
    own = {name: mean_estimates(RNG.uniform(0, 60, (4, 16))) for name in ["_hidden", "a $x_{1$ & <b>", *names(8)]}
    figure = drawn(budgets(own, 4, "final"))
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [" _hidden", *list(own)[1:6]]
    assert lines(figure) == 10
    assert "Grey: teams ranked below 6" in figure.get_supxlabel()
    assert "Grey" not in drawn(budgets(dict(list(own.items())[:2]), 4, "final")).get_supxlabel()


def test_efficiency_and_revenue_share_their_lines() -> None:
    figure = drawn(efficiency_and_revenue(["final", "arena 1"], estimates(2), estimates(2), [5, 5]))
    assert len(figure.axes) == 2
    assert "Means over 5 games of an arena" in figure.get_supxlabel()


def test_labels_have_letters_that_can_be_drawn() -> None:
    assert team_label(Team("a", "Überflieger", "")) == "Überflieger"
    assert team_label(Team("a_1", "数", "")) == "a_1"
    assert len(team_label(Team("a", "x" * 80, ""))) == 24


def test_same_numbers_same_bytes(tmp_path: Path) -> None:
    paths = RNG.uniform(0, 20, (3, 5))
    for folder in (tmp_path / "a", tmp_path / "b"):
        written = save_figure(prices(paths, mean_estimates(paths), "final"), folder, "prices")
        assert written.keys() == {"png", "svg"}
    for suffix in ("png", "svg"):
        assert (tmp_path / "a" / f"prices.{suffix}").read_bytes() == (tmp_path / "b" / f"prices.{suffix}").read_bytes()
