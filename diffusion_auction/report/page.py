"""Write report.html, a self-contained page that sums up a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from diffusion_auction.columns import count_agents, row_values
from diffusion_auction.evaluation.estimates import plain
from diffusion_auction.evaluation.evaluate import BASELINE
from diffusion_auction.evaluation.metrics import own_mechanism
from diffusion_auction.figures import (
    Grid,
    ImageKey,
    bid_grid,
    bid_label,
    image_paths,
    sold_image,
    write_figures,
)
from diffusion_auction.market.bids import normalized
from diffusion_auction.market.scenarios import Scenario
from diffusion_auction.report.thumbnails import Thumbnails
from generative_auctions.files import write_atomic
from generative_auctions.page import drawings, render

MOST_SCENARIOS = 6
"""The most scenarios with a section of their own. Figures and tables of means are over all scenarios."""

_MOST_CELLS = 30_000  # of the tables of auctions together: some 2 MB of page
_MOST_LEFT_OUT = 40  # lines of what the score table lacked

_BEST = "Of the candidates made for these bids the mechanism sells the one worth most to all agents by their bids"
_CLARKE = "charges each agent what its presence costs the others."
RULES = {
    "vcg": f"{_BEST}, and {_CLARKE}",
    "vcg_pool": "Of a pool of pictures that is the same for all bids the mechanism sells the one worth most to all "
    f"agents by their bids, and {_CLARKE}",
    "myerson": f"{_BEST}, and charges each agent its bid's worth less the area below its allocation curve.",
    "first_price": f"{_BEST}, and charges each agent what the picture is worth to it by its bid.",
    "shapley": f"{_BEST}. Each agent keeps its Shapley value of what coalitions reach; what the agents pay adds up to "
    "zero.",
    "single_winner": "Of the pictures made for one agent alone the mechanism sells the one worth most to all agents "
    f"by their bids, and {_CLARKE}",
}
"""What each mechanism sells and charges, for the head of the page."""


def write_report(
    run_dir: Path,
    *,
    scenarios: Sequence[Scenario] | Mapping[int, Scenario] | None,
    scores: pd.DataFrame,
    auctions: pd.DataFrame,
    samples: pd.DataFrame | None,
    metrics: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> Path:
    """Write ``figures/`` and ``report.html`` under `run_dir` and return the page's path.

    `scores`, `auctions` and `metrics` are those of the run directory; `scenario` in every table is an index
    or key of `scenarios`. `samples` has columns scenario, sample, normalized_bid_1…n and path, under `run_dir`.
    Recorded scores have neither prompts nor images: `scenarios` and `samples` are None then.
    `settings` are shown at the head of the page as label and value, in order; `name` is its title. Absent or
    damaged images leave their places empty, absent parts of `metrics` their sections.
    """
    own = own_mechanism(metrics) or next(iter(auctions["mechanism"]), None)
    auctions = auctions[auctions["mechanism"].isin([own, BASELINE.name])]
    known: Mapping[Any, Scenario] = scenarios if isinstance(scenarios, Mapping) else dict(enumerate(scenarios or ()))
    names = [plain(name) for name in scores["scenario"].dropna().unique()]
    prompts = {name: known.get(name, Scenario(f"scenario {name}", ())) for name in names}
    grids = {} if samples is None else {name: (bid_grid(samples, auctions, name), prompts[name]) for name in names}
    paths = {} if samples is None else image_paths(samples)
    figures = drawings(write_figures(run_dir, metrics, grids))
    thumbnails, shown = Thumbnails(run_dir), names[:MOST_SCENARIOS]
    n_agents = count_agents(scores)
    most = max(_MOST_CELLS // (2 * max(len(shown), 1) * (4 * n_agents + 3)), 1)
    sections = [
        {
            "label": f"scenario {name}",
            "prompts": prompts[name],
            "tables": _tables(auctions[auctions["scenario"] == name], most, paths, thumbnails),
            "grid": _shown(grids[name][0], thumbnails) if name in grids else None,
        }
        for name in shown
    ]
    html = render(
        "diffusion_auction.report",
        "report.html.j2",
        name=settings.get("name", run_dir.name),
        settings={label: value for label, value in settings.items() if label != "name" and value is not None},
        rule=RULES.get(str(own), ""),
        mechanism=own,
        shown=list(auctions["mechanism"].unique()),
        n_agents=n_agents,
        with_images=samples is not None,
        sections=sections,
        scenarios_left=len(names) - len(shown),
        metrics=metrics,
        left_out=_left_out(metrics),
        figures=figures,
        thumbnails=thumbnails,
    )
    path = run_dir / "report.html"
    write_atomic(path, html)
    return path


def _tables(
    auctions: pd.DataFrame, most: int, paths: Mapping[ImageKey, str], thumbnails: Thumbnails
) -> list[dict[str, Any]]:
    """Return a table of `most` of the `auctions` under each mechanism."""
    tables = []
    for mechanism, table in auctions.groupby("mechanism", sort=False):
        rows = [_row(row, thumbnails(paths.get(sold_image(row)))) for row in table.head(most).to_dict("records")]
        tables.append({"mechanism": mechanism, "rows": rows, "left": len(table) - len(rows)})
    return tables


def _row(auction: Mapping[str, Any], image: str | None) -> dict[str, Any]:
    """Return a line of the table of auctions, with None for a payment that lacks a pool."""
    per_agent = {
        name: [_known(value) for value in row_values(auction, name)]
        for name in ("bid", "chosen_bid", "alignment", "payment", "utility")
    }
    shares = bid_label(normalized(per_agent["chosen_bid"]))
    return {
        **per_agent,
        "sample": int(auction["chosen_sample"]),
        **{name: _known(auction[name]) for name in ("welfare", "revenue")},
        "image": image,
        "shares": shares,
        "label": f"image sold: sample {auction['chosen_sample']}, bids {shares}",
    }


def _known(value: Any) -> Any:
    return None if pd.isna(value) else float(value)


def _shown(grid: Grid, thumbnails: Thumbnails) -> dict[str, Any]:
    """Return `grid` with a class in place of each path, and its lines and bids laid across or down."""
    bids = [{"label": bid_label(b), "shares": list(b), "sold": False} for b in grid.bids]
    lines = [{"label": line, "shares": [], "sold": line.startswith("sold")} for line in grid.lines]
    cells = [[thumbnails(path) for path in line] for line in grid.cells]
    across, down, cells = grid.laid_out(bids, lines, cells)
    return {"across": across, "down": down, "cells": cells, "bids_across": grid.bids_across}


def _left_out(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the evaluation could not use: of the score table, and of each mechanism's auctions."""
    items = metrics.get("left_out") or []
    welfare, money, truth = (metrics.get(name) or {} for name in ("welfare", "revenue", "truthfulness"))
    auctions = [
        {
            "mechanism": name,
            "held": money[name]["n"],
            "payments": money[name]["left_out"],
            "gains": welfare[name]["left_out"] if name in welfare else None,
            "profiles": truth[name]["left_out"],
            "excluded": truth[name]["excluded"],
        }
        for name in truth
        if name in money
    ]
    lacking = [row for row in auctions if row["payments"] or row["gains"] or row["profiles"] or row["excluded"]]
    return {"lines": items[:_MOST_LEFT_OUT], "further": max(len(items) - _MOST_LEFT_OUT, 0), "auctions": lacking}
