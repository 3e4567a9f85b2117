"""Draw every figure that the metrics of a run have numbers for, and write the files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from diffusion_auction.evaluation.metrics import own_mechanism
from diffusion_auction.figures.bid_curves import monotonicity, quality_by_bid
from diffusion_auction.figures.image_grid import Grid, image_grid
from diffusion_auction.figures.mechanisms import equal_cost, equal_cost_by_k, mechanisms_side_by_side
from diffusion_auction.figures.truthfulness import deviation_by_k, regret_and_deviation, regret_by_k
from diffusion_auction.figures.welfare import welfare_against_k, welfare_by_bids, welfare_by_k
from diffusion_auction.market.scenarios import Scenario
from generative_auctions.plotting import save_figure


def write_figures(
    run_dir: Path, metrics: Mapping[str, Any], grids: Mapping[int, tuple[Grid, Scenario]]
) -> dict[str, dict[str, Path]]:
    """Write every figure for which `metrics` has numbers into ``run_dir/figures``, as PNG and SVG.

    Args:
        run_dir: the run directory; images are read and figures written below it.
        metrics: the content of metrics.json.
        grids: by scenario, the images to lay out and the prompts to label them with; may be empty.

    Returns:
        The paths by the name of the figure and the suffix.
    """
    laid_out = (
        (f"image_grid_{index:03d}", image_grid(grid, run_dir, scenario))
        for index, (grid, scenario) in grids.items()
        if grid.bids
    )
    return save_figures(chain(_of_metrics(metrics), laid_out), run_dir / "figures")


def save_figures(figures: Iterable[tuple[str, Figure | None]], folder: Path) -> dict[str, dict[str, Path]]:
    """Write figures, each with its name, into `folder`; None is skipped.

    Returns:
        The paths by the name of the figure and the suffix.
    """
    return {name: save_figure(figure, folder, name) for name, figure in figures if figure is not None}


def _of_metrics(metrics: Mapping[str, Any]) -> Iterator[tuple[str, Figure | None]]:
    """Draw each figure of `metrics`, one at a time, with its name; None if there is nothing to draw."""
    welfare, truth = metrics.get("welfare") or {}, metrics.get("truthfulness") or {}
    mechanism = own_mechanism(metrics)
    if metrics.get("monotonicity"):
        yield "monotonicity", monotonicity(metrics["monotonicity"])
    if mechanism and mechanism in welfare:
        yield "welfare_by_k", welfare_by_k(welfare[mechanism], mechanism, welfare["baseline"])
        yield "welfare_by_bids", welfare_by_bids(welfare[mechanism], mechanism, welfare["baseline"])
    if welfare:
        yield "welfare_against_k", welfare_against_k(welfare)
    if mechanism:
        yield "regret_by_k", regret_by_k(truth[mechanism], mechanism)
        yield "deviation_by_k", deviation_by_k(truth[mechanism], mechanism)
        yield "regret_and_deviation", regret_and_deviation(truth)
        yield "mechanisms", mechanisms_side_by_side(metrics)
    if metrics.get("equal_cost"):
        yield "equal_cost", equal_cost(metrics["equal_cost"])
        yield "equal_cost_by_k", equal_cost_by_k(metrics["equal_cost"])
    if metrics.get("quality"):
        yield "quality_by_bid", quality_by_bid(metrics["quality"])
