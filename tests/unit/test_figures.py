"""Figures: drawn where the numbers are, for any number of agents and scenarios, and readable alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from diffusion_auction.evaluation.evaluate import evaluate
from diffusion_auction.evaluation.metrics import own_mechanism
from diffusion_auction.evaluation.monotonicity import monotonicity as measure_monotonicity
from diffusion_auction.evaluation.quality import quality as measure_quality
from diffusion_auction.evaluation.scores import check_scores
from diffusion_auction.figures import (
    bid_grid,
    bid_label,
    files,
    read_image,
    runs_side_by_side,
    write_figures,
)
from diffusion_auction.figures.bid_curves import monotonicity, quality_by_bid
from diffusion_auction.figures.mechanisms import equal_cost, equal_cost_by_k, mechanisms_side_by_side
from diffusion_auction.figures.style import mechanism_mark, scenario_label
from diffusion_auction.figures.truthfulness import deviation_by_k, regret_and_deviation, regret_by_k
from diffusion_auction.figures.welfare import vector_label, welfare_against_k, welfare_by_bids, welfare_by_k
from diffusion_auction.market.bids import Bids, grid, one_hot
from diffusion_auction.mechanisms import MECHANISMS, VCG, Mechanism, SingleWinner, side_by_side
from generative_auctions.plotting import Estimate, limits, mark, save_figure
from generative_auctions.text import number, sizes
from tests.unit.score_tables import random_table

AWKWARD = ("a $x_{1$ & <b>", "_hidden")
"""Names of scenarios that would be read as a formula, and left out of a legend."""

OF_METRICS = {
    *("monotonicity", "welfare_by_k", "welfare_by_bids", "welfare_against_k", "regret_by_k", "deviation_by_k"),
    *("regret_and_deviation", "mechanisms", "equal_cost", "quality_by_bid"),
}


def measured(rows: pd.DataFrame, mechanism: Mechanism | None = None) -> Any:
    """metrics.json of recorded scores, but for the cost of images."""
    rows = rows.assign(quality=np.linspace(0.4, 0.6, len(rows)))
    mechanisms = side_by_side(mechanism or VCG())
    return evaluate(check_scores(rows), mechanisms, branches=lambda bids: max(1, sum(bid > 0 for bid in bids)))


@pytest.fixture(scope="module")
def metrics() -> dict[str, Any]:
    return measured(random_table(grid((0, 0.5, 1), (0, 0.5, 1)), AWKWARD, k=3))


def drawn(figure: Figure | None) -> Figure:
    """`figure` laid out; it has a title, a note, and axes that say what they show."""
    assert figure is not None
    FigureCanvasAgg(figure).draw()
    assert figure.get_suptitle()
    assert figure.get_supxlabel()
    return figure


def labels(figure: Figure) -> list[str]:
    """What the legends say, line by line."""
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
    return [text.get_text().replace("\n", " ") for legend in legends if legend for text in legend.get_texts()]


def ticks(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.get_xticklabels()]


# --- which are written -------------------------------------------------------------------------------------


def test_every_figure_is_written_twice(metrics: dict[str, Any], tmp_path: Path) -> None:
    written = write_figures(tmp_path, metrics, {})
    assert written.keys() == OF_METRICS
    for name, paths in written.items():
        assert {suffix: path.relative_to(tmp_path).as_posix() for suffix, path in paths.items()} == {
            "png": f"figures/{name}.png",
            "svg": f"figures/{name}.svg",
        }
        assert Image.open(paths["png"]).width >= 1100
        assert ElementTree.parse(paths["svg"]).getroot().tag.endswith("svg")
    assert not list(tmp_path.rglob("*.part"))


@pytest.fixture
def nothing_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are drawn, but not written."""
    monkeypatch.setattr(files, "save_figure", lambda figure, folder, name: {})


@pytest.mark.usefixtures("nothing_saved")
def test_what_is_not_measured_is_not_drawn(metrics: dict[str, Any]) -> None:
    assert write_figures(Path(), {}, {}) == {}
    part = {name: metrics[name] for name in ("monotonicity", "left_out")}
    assert write_figures(Path(), part, {}).keys() == {"monotonicity"}


@pytest.mark.usefixtures("nothing_saved")
def test_missing_pools_leave_no_figure() -> None:
    lacking = measured(random_table([(0.7, 0.3), (0.4, 0.6)], k=2))
    assert lacking["welfare"]["vcg"]["n"] == lacking["truthfulness"]["vcg"]["n"] == 0
    assert write_figures(Path(), lacking, {}).keys() == {"monotonicity", "mechanisms", "quality_by_bid"}


@pytest.mark.usefixtures("nothing_saved")
def test_numbers_that_are_all_absent_leave_no_figure(metrics: dict[str, Any]) -> None:
    parts = ("welfare", "truthfulness", "revenue")
    assert write_figures(Path(), {name: without_numbers(metrics[name]) for name in parts}, {}) == {}


def without_numbers(value: Any) -> Any:
    """`value` with None in place of every number but the counts."""
    if isinstance(value, dict):
        return {key: [] if key == "by_bids" else without_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_numbers(item) for item in value]
    return None if isinstance(value, float) else value


@pytest.mark.usefixtures("nothing_saved")
def test_the_baseline_as_the_mechanism_has_no_gain_of_its_own() -> None:
    own = measured(random_table(grid((0, 1), (0, 1)), k=2), SingleWinner())
    assert own_mechanism(own) == "single_winner"
    assert own_mechanism({}) is None
    missing = OF_METRICS - write_figures(Path(), own, {}).keys()
    assert missing == {"welfare_by_k", "welfare_by_bids"}


@pytest.mark.parametrize("n", [1, 3])
def test_any_number_of_agents(n: int) -> None:
    own = measured(random_table(list(product((0.0, 1.0), repeat=n)), k=2))
    for figure in every_figure(own):
        drawn(figure)


def test_twenty_agents_have_axes_of_their_own() -> None:
    everybody = (1.0,) * 20
    rows = random_table([*(one_hot(i, 20) for i in range(20)), everybody], scenarios=[0], k=1).assign(quality=0.5)
    titles = [axes.get_title() for axes in drawn(monotonicity(measure_monotonicity(rows))).axes]
    assert [title.split("\n")[0] for title in titles] == [f"agent {i}" for i in range(1, 21)]
    assert len(drawn(quality_by_bid(measure_quality(rows))).axes) == 20
    assert ytick_labels(drawn(welfare_by_bids(gains(everybody), "vcg", "single_winner"))) == ["1 ×20"]


def ytick_labels(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_yticklabels()]


def every_figure(own: dict[str, Any]) -> Iterator[Figure]:
    welfare, truth = own["welfare"], own["truthfulness"]
    figures = [
        monotonicity(own["monotonicity"]),
        quality_by_bid(own["quality"]),
        welfare_by_k(welfare["vcg"], "vcg", "single_winner"),
        welfare_by_bids(welfare["vcg"], "vcg", "single_winner"),
        welfare_against_k(welfare),
        regret_by_k(truth["vcg"], "vcg"),
        deviation_by_k(truth["vcg"], "vcg"),
        regret_and_deviation(truth),
        mechanisms_side_by_side(own),
        equal_cost(own["equal_cost"]),
        runs_side_by_side({"one": own, "the other": own}),
    ]
    return (figure for figure in figures if figure is not None)


# --- what they show ----------------------------------------------------------------------------------------


def test_alignment_against_bid(metrics: dict[str, Any], tmp_path: Path) -> None:
    figure = drawn(monotonicity(metrics["monotonicity"]))
    axes = figure.axes[0]
    assert "αᵢ" in axes.get_ylabel()
    assert "normalised bid" in axes.get_xlabel()
    assert [label.split(" (")[0] for label in labels(figure)] == ["agent 1", "agent 2"]
    curve = metrics["monotonicity"]["agent_1"]["curve"]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [point["mean"] for point in curve])
    assert "means over 6 images" in figure.get_supxlabel()
    assert b"<dc:date>" not in save_figure(figure, tmp_path, "f")["svg"].read_bytes()


def test_quality_has_the_base_prompt_for_reference(metrics: dict[str, Any]) -> None:
    figure = drawn(quality_by_bid(metrics["quality"]))
    assert labels(figure) == ["agent 1", "agent 2", "base prompt alone (6 images)"]
    assert np.asarray(figure.axes[0].lines[-1].get_ydata())[0] == metrics["quality"]["base_only"]


def test_welfare_has_a_line_for_each_scenario(metrics: dict[str, Any]) -> None:
    part = metrics["welfare"]["vcg"]
    figure = drawn(welfare_by_k(part, "vcg", "single_winner"))
    assert labels(figure) == ["mean", *(scenario_label(own["scenario"]) for own in part["by_scenario"])]
    assert sorted(labels(figure)) == ["a $x_{1$ & <b>", "mean", "scenario _hidden"]
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), list(part["by_k"].values()))
    assert ticks(figure.axes[0]) == ["1", "3"]
    assert "16 auctions in 2 scenarios" in figure.get_supxlabel()
    many = part | {"by_scenario": part["by_scenario"] * 4}
    assert labels(drawn(welfare_by_k(many, "vcg", "single_winner"))) == ["mean"]


def test_mechanisms_that_sell_the_same_images_share_a_line(metrics: dict[str, Any]) -> None:
    figure = drawn(welfare_against_k(metrics["welfare"]))
    assert labels(figure) == ["vcg, myerson, first price and shapley", "vcg pool"]


def gains(*vectors: Bids) -> dict[str, Any]:
    return {"by_bids": [{"bids": list(bids), "relative_gain": 0.1 * i, "n": 2} for i, bids in enumerate(vectors)]}


def test_gains_by_bids_are_laid_out_by_what_the_bids_are() -> None:
    on_grid = [bids for bids in grid((0, 0.5, 1), (0, 1)) if any(bids)]
    figure = drawn(welfare_by_bids(gains(*on_grid), "vcg", "single_winner"))
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["–", "+10", "+30", "0", "+20", "+40"]  # from below, b_1 to the right; nobody bids: nothing
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("bid of agent 1, b₁", "bid of agent 2, b₂")
    simplex = [(b, 1 - b) for b in (0.0, 0.25, 0.5, 1.0)]
    points = drawn(welfare_by_bids(gains(*simplex), "vcg", "single_winner")).axes[0].lines[0]
    np.testing.assert_allclose(points.get_xdata(), [0, 0.25, 0.5, 1])
    three = drawn(welfare_by_bids(gains((1, 0, 0), (1, 1, 0)), "vcg", "single_winner"))
    assert ytick_labels(three) == ["1 ×2 | 0", "1 | 0 ×2"]  # the highest gain on top
    many = [tuple(map(float, bids)) for bids in product(range(4), repeat=3)]
    figure = drawn(welfare_by_bids(gains(*many), "vcg", "single_winner"))
    assert len(ytick_labels(figure)) == 36
    assert "36 of 64 bid vectors" in figure.get_supxlabel()


def test_vector_label() -> None:
    assert vector_label((0.5,)) == "0.5"
    assert vector_label((0.25, 0, 0, 1)) == "0.25 | 0 ×2 | 1"
    assert len(vector_label([i / 7 for i in range(20)])) == 40


def truth(regrets: Sequence[tuple[float, float, float]], scenarios: int) -> dict[str, Any]:
    """A mechanism's entry of `truthfulness` with these means and intervals at k = 1, 2, …, the same everywhere."""

    def figures(mean: float, low: float, high: float) -> dict[str, Any]:
        own = {"relative_regret_mean": mean, "ci_low": low, "ci_high": high, "n": 4}
        return own | {"deviation_mean": 0.2, "deviation_ci_low": 0.1, "deviation_ci_high": 0.3}

    part = figures(*regrets[-1]) | {"by_k": {str(k): figures(*own) for k, own in enumerate(regrets, 1)}}
    return part | {"by_scenario": [{"scenario": s, **part} for s in range(scenarios)]}


def test_regret_by_scenario_and_samples() -> None:
    figure = drawn(regret_by_k(truth([(0.9, 0, 2), (0.5, 0, 1), (0.3, 0, 1), (0.2, 0, 1)], scenarios=2), "vcg"))
    assert ticks(figure.axes[0]) == ["scenario 0", "scenario 1", "mean"]
    assert labels(figure) == ["k = 2", "k = 3", "k = 4"]
    assert "4 value profiles in 2 scenarios" in figure.get_supxlabel()
    figure = drawn(deviation_by_k(truth([(0.9, 0, 2), (0.5, 0, 1)], scenarios=40), "vcg"))
    assert ticks(figure.axes[0]) == ["1", "2"]  # of so many scenarios the mean alone, by k
    assert regret_by_k(truth([(np.nan, np.nan, np.nan)], scenarios=2), "vcg") is None


def test_a_heavy_tail_does_not_dwarf_the_means() -> None:
    figure = drawn(regret_by_k(truth([(0.5, 0.1, 40), (0.2, 0.1, 0.3)], scenarios=2), "vcg"))
    assert 0.5 < figure.axes[0].get_ylim()[1] < 2
    assert "the interval goes on" in figure.get_supxlabel()
    figure = drawn(regret_by_k(truth([(0.5, 0.1, 0.9), (0.2, 0.1, 0.3)], scenarios=2), "vcg"))
    assert "the interval goes on" not in figure.get_supxlabel()


def test_limits_show_zero_every_mean_and_its_interval() -> None:
    low, high = limits([Estimate(-0.2, -0.5, 0.1), Estimate(0.3, np.nan, np.nan), Estimate(np.nan, np.nan, np.nan)])
    assert (low, high) == pytest.approx((-0.5 - 0.048, 0.3 + 0.048))
    low, high = limits([Estimate(0.3, -9, 0.4)], floor=0)
    assert -0.1 < low < 0 < 0.4 < high
    low, high = limits([Estimate(0, 0, 0)], floor=0)
    assert low < 0 < high


def test_regret_against_deviation_says_who_has_none() -> None:
    some, none, unknown = (truth([own], scenarios=2) for own in ((0.2, 0.1, 0.3), (0, 0, 0), (np.nan,) * 3))
    part = {"vcg": some, "vcg_pool": none, "single_winner": none, "first_price": unknown}
    figure = drawn(regret_and_deviation(part))
    assert "Without relative regret: first price." in figure.get_supxlabel()
    assert labels(figure) == ["vcg", "vcg pool and single winner"]  # the two at the same point
    assert "deviation" in figure.axes[0].get_xlabel()
    assert "regret" in figure.axes[0].get_ylabel()


def test_mechanisms_share_an_axis(metrics: dict[str, Any]) -> None:
    figure = drawn(mechanisms_side_by_side(metrics))
    assert [axes.get_xlabel().split()[0] for axes in figure.axes] == ["welfare", "revenue", "relative", "deviation"]
    assert ytick_labels(figure) == [name.replace("_", " ") for name in MECHANISMS]
    assert "16 auctions" in figure.get_supxlabel()


def test_equal_cost_names_the_samples_of_both(metrics: dict[str, Any]) -> None:
    rows = metrics["equal_cost"]
    figure = drawn(equal_cost(rows))
    lines = [f"{row['mechanism']}   {row['k']} : {row['reference_k']}".replace("_", " ") for row in rows]
    shown = [text.get_text() for axes in figure.axes[::2] for text in axes.get_yticklabels()]
    assert sorted(shown) == sorted(lines)
    assert equal_cost([]) is None


def budget(mechanism: str, k: int, reference_k: int, gain: float) -> dict[str, Any]:
    """A row of `equal_cost`."""
    figure = {"mean": gain, "ci_low": gain - 0.1, "ci_high": gain + 0.1, "n": 8}
    own = {"mechanism": mechanism, "equal": "sample_passes", "k": k, "reference_k": reference_k}
    return own | dict.fromkeys(("relative_welfare", "relative_regret", "reference_regret"), figure)


def test_equal_cost_of_several_budgets() -> None:
    rows = [budget("vcg_pool (joint)", 30, 10, 0.1), budget("vcg_pool (joint)", 75, 25, 0.2)]
    rows += [budget("shapley", 10, 10, 0.0), budget("vcg_pool (every image)", 2, 50, 0.0)]
    lines = ytick_labels(drawn(equal_cost(rows)))
    assert lines == ["vcg pool (joint)   75 : 25", "shapley   10 : 10", "vcg pool (every image)   2 : 50"]
    figure = drawn(equal_cost_by_k(rows))
    assert labels(figure) == ["vcg pool (joint)"]
    assert ticks(figure.axes[0]) == ["10", "25"]
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), [0.1, 0.2])
    assert equal_cost_by_k(rows[1:]) is None


def test_runs_side_by_side(metrics: dict[str, Any]) -> None:
    made = metrics | {"cost": {"sample_passes": 250_000}}
    figure = drawn(runs_side_by_side({"additive": metrics, "prompt $only": made}))
    assert ytick_labels(figure) == ["additive", "prompt $only"]
    assert labels(figure) == ["agent 1", "agent 2"]
    assert figure.axes[0].get_xlabel() == "welfare gain,\nvcg"
    assert figure.axes[-1].get_xlabel() == "sample passes"
    assert any(tick.endswith("k") for tick in ticks(figure.axes[-1]))
    none = {"monotonicity": {}, "welfare": {}, "truthfulness": {}}
    assert runs_side_by_side({"a": none, "b": none}) is None


# --- marks and words -----------------------------------------------------------------------------------------


def test_no_two_series_look_alike() -> None:
    assert len({mark(i)[:2] for i in range(42)}) == 42
    assert len({mark(i).colour for i in range(6)}) == len({mark(i).marker for i in range(6)}) == 6


def test_a_mechanism_looks_the_same_everywhere() -> None:
    assert len({mechanism_mark(name) for name in MECHANISMS}) == len(MECHANISMS)
    assert mechanism_mark("vcg_pool (one-hot, joint)") == mechanism_mark("vcg_pool")
    assert mechanism_mark("unheard_of") not in {mechanism_mark(name) for name in MECHANISMS}


def test_numbers_for_reading() -> None:
    assert [number(value) for value in (0.25, -0.25, -0.0001, np.nan)] == ["+0.250", "−0.250", "0.000", "–"]
    assert (sizes([3], "auction"), sizes([1, 1], "auction"), sizes([3, 5], "auction")) == (
        "3 auctions",
        "1 auction",
        "3 to 5 auctions",
    )
    assert [scenario_label(name, 9) for name in (3, "7", "mountains", "mountain trail")] == [
        "scenario…",
        "scenario…",
        "mountains",
        "mountain…",
    ]


# --- images over bids ----------------------------------------------------------------------------------------


def test_large_images_become_small(tmp_path: Path) -> None:
    Image.effect_noise((1024, 512), 30).convert("RGB").save(tmp_path / "large.png")
    image = read_image(tmp_path / "large.png")
    assert image is not None
    assert image.size == (192, 96)
    assert read_image(tmp_path / "absent.png") is None


def test_bid_grid_lays_out_what_was_sold() -> None:
    samples = pd.DataFrame(
        [
            {"scenario": 0, "sample": s, "normalized_bid_1": b, "normalized_bid_2": c, "path": f"{b}_{s}"}
            for s in range(5)
            for b, c in [(0.0, 0.0), *((i / 20, 1 - i / 20) for i in range(21))]
        ]
    )
    sold = {
        "scenario": 0,
        "mechanism": "single_winner",
        "bid_1": 3.0,
        "bid_2": 3.0,
        "chosen_bid_1": 1.0,
        "chosen_bid_2": 0.0,
        "chosen_sample": 4,
    }
    found = bid_grid(samples, pd.DataFrame([sold]), 0, max_bids=5, max_samples=2)
    assert found.bids == [(0.0, 0.0), (0.0, 1.0), (0.25, 0.75), (0.5, 0.5), (0.75, 0.25), (1.0, 0.0)]
    assert found.lines == ["sold by single winner", "sample 0", "sample 1"]
    assert found.cells[0] == [None, None, None, "1.0_4", None, None]
    assert found.cells[2][3] == "0.5_1"


def test_bid_label() -> None:
    assert (bid_label((0.7, 0.3)), bid_label((1.0, 0.0)), bid_label((0.0, 0.0))) == (
        ".70 | .30",
        "1.00 | .00",
        "no bids",
    )
