"""report.html: one self-contained page of a run, for reading first."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from diffusion_auction.bids import normalized
from diffusion_auction.evaluation.scores import count_agents
from diffusion_auction.figures import (
    COLOURS,
    Grid,
    bid_grid,
    bid_label,
    image_grid,
    image_paths,
    monotonicity_figure,
    read_image,
    records,
    save_figure,
    sold_image,
)
from diffusion_auction.scenarios import Scenario
from launchers.shards import write_atomic

_PIXEL_ART = 128  # images up to this size are shown pixel by pixel and stored without loss


def write_report(
    run_dir: Path,
    *,
    scenarios: Sequence[Scenario] | Mapping[int, Scenario],
    scores: pd.DataFrame,
    auctions: pd.DataFrame,
    samples: pd.DataFrame,
    metrics: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> Path:
    """Write ``figures/`` and ``report.html`` under `run_dir`; the page's path.

    `scores`, `auctions` and `metrics` are those of the run directory; `scenario` in every table is an index
    or key of `scenarios`. `samples` has columns scenario, sample, normalized_bid_1…n and path, under `run_dir`.
    `settings` are shown at the head of the page as label and value, in order; `name` is its title. Absent or
    damaged images leave their places empty, absent parts of `metrics` their sections.
    """
    numbered = scenarios if isinstance(scenarios, Mapping) else dict(enumerate(scenarios))
    thumbnails = Thumbnails(run_dir)
    paths = image_paths(samples)
    sections = [
        _section(run_dir, index, scenario, auctions, samples, paths, thumbnails)
        for index, scenario in numbered.items()
        if index in set(scores["scenario"])
    ]
    page = _environment().get_template("report.html.j2")
    html = page.render(
        name=settings.get("name", run_dir.name),
        settings={label: value for label, value in settings.items() if label != "name" and value is not None},
        sections=sections,
        n_agents=count_agents(scores),
        money=[_money(name, table) for name, table in auctions.groupby("mechanism", sort=False)],
        metrics=metrics,
        welfare=_welfare(metrics),
        curves=_monotonicity(run_dir, metrics, len(sections)),
        thumbnails=thumbnails,
    )
    path = run_dir / "report.html"
    write_atomic(path, html.encode())
    return path


class Thumbnails:
    """The images of the page, each defined once as a CSS class and shown wherever it is named."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._classes: dict[str, str | None] = {}
        self.rules: list[tuple[str, str, bool]] = []
        """Class, data URI, and whether it is shown pixel by pixel."""

    def __call__(self, path: str | None) -> str | None:
        """The class of the image at `path`; None if there is no readable one."""
        if path is None:
            return None
        if path not in self._classes:
            self._classes[path] = self._define(path)
        return self._classes[path]

    def _define(self, path: str) -> str | None:
        image = read_image(self._run_dir / path)
        if image is None:
            return None
        small = max(image.size) <= _PIXEL_ART
        data = io.BytesIO()
        if small:
            image.save(data, "PNG", optimize=True)
        else:
            image.save(data, "JPEG", quality=82)
        name, kind = f"i{len(self.rules)}", "png" if small else "jpeg"
        self.rules.append((name, data_uri(data.getvalue(), kind), small))
        return name


def data_uri(content: bytes, kind: str) -> str:
    """An image inlined; `kind` is its media subtype."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _section(
    run_dir: Path,
    index: int,
    scenario: Scenario,
    auctions: pd.DataFrame,
    samples: pd.DataFrame,
    paths: Mapping[Any, str],
    thumbnails: Thumbnails,
) -> dict[str, Any]:
    """What the page shows of one scenario; its grid is written to figures/ too."""
    grid = bid_grid(samples, auctions, index)
    if grid.bids:
        save_figure(image_grid(grid, run_dir, scenario), run_dir / "figures", f"image_grid_{index:03d}")
    rows: dict[str, list[dict[str, Any]]] = {}
    for auction in records(auctions[auctions["scenario"] == index]):
        row = _row(auction, scenario.n_agents, thumbnails(paths.get(sold_image(auction))))
        rows.setdefault(auction["mechanism"], []).append(row)
    return {"scenario": scenario, "grid": _shown(grid, thumbnails), "auctions": rows}


def _row(auction: Mapping[str, Any], n_agents: int, image: str | None) -> dict[str, Any]:
    """One line of the table of auctions."""
    per_agent = {
        name: [float(auction[f"{name}_{i}"]) for i in range(1, n_agents + 1)]
        for name in ("bid", "chosen_bid", "alignment", "payment", "utility")
    }
    shares = bid_label(normalized(per_agent["chosen_bid"]))
    return {
        **per_agent,
        **{name: auction[name] for name in ("chosen_sample", "welfare", "revenue")},
        "image": image,
        "label": f"image sold: sample {auction['chosen_sample']}, bids {shares}",
    }


def _shown(grid: Grid, thumbnails: Thumbnails) -> dict[str, Any]:
    """`grid` with a class in place of each path, and its lines and bids laid across or down."""
    bids = [{"label": bid_label(b), "shares": list(b), "sold": False} for b in grid.bids]
    lines = [{"label": line, "shares": [], "sold": line.startswith("sold")} for line in grid.lines]
    cells = [[thumbnails(path) for path in line] for line in grid.cells]
    if grid.bids_across:
        return {"across": bids, "down": lines, "cells": cells, "bids_across": True}
    return {"across": lines, "down": bids, "cells": list(zip(*cells, strict=True)), "bids_across": False}


def _monotonicity(run_dir: Path, metrics: Mapping[str, Any], n_scenarios: int) -> str | None:
    """The monotonicity plot as a data URI; None where there is no curve to plot."""
    part = metrics.get("monotonicity") or {}
    if not any(agent["curve"] for agent in part.values()):
        return None
    count = f"{n_scenarios} scenario{'s' if n_scenarios != 1 else ''}"
    written = save_figure(monotonicity_figure(part, count), run_dir / "figures", "monotonicity")
    return data_uri(written["svg"].read_bytes(), "svg+xml")


def _welfare(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The mechanisms of the welfare part."""
    return {name: part for name, part in (metrics.get("welfare") or {}).items() if isinstance(part, Mapping)}


def _money(mechanism: str, auctions: pd.DataFrame) -> dict[str, Any]:
    """What the auctions that somebody bid in brought: mean revenue, and how many payments are below zero."""
    payments = auctions.filter(regex=r"^payment_\d+$")
    sold = auctions.filter(regex=r"^bid_\d+$").gt(0).any(axis=1)
    return {
        "mechanism": mechanism,
        "mean_revenue": float(auctions.loc[sold, "revenue"].mean()) if sold.any() else None,
        "payments": int(payments[sold].size),
        "negative": int((payments[sold] < -1e-12).to_numpy().sum()),
    }


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("diffusion_auction"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=_number, percent=_percent, bid=_bid)
    environment.globals["colours"] = COLOURS
    return environment


def _number(value: float | None, digits: int = 3) -> str:
    """A figure for reading: − for minus, – where there is none."""
    if value is None:
        return "–"
    text = f"{value:.{digits}f}".replace("-", "−")
    return text.removeprefix("−") if not text.strip("−0.") else text


def _percent(value: float | None) -> str:
    if value is None:
        return "–"
    return ("+" if value > 0 else "") + _number(100 * value, 1) + "\N{NO-BREAK SPACE}%"


def _bid(value: float) -> str:
    return f"{value:.4g}"
