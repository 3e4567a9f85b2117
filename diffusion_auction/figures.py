"""Figures that can be read alone: alignment against bid, and images laid over bids.

Drawn without pyplot's global state; the same input gives the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill, shorten
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from diffusion_auction.bids import Bids, normalized
from diffusion_auction.evaluation.scores import numbered
from diffusion_auction.scenarios import Scenario
from launchers.shards import write_atomic

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's colours, told apart by colour-blind readers; a seventh agent has the first again."""

THUMBNAIL = 192
"""Larger images are scaled down to this many pixels."""

_STYLES = (("o", "-"), ("s", "--"), ("^", "-."), ("D", ":"))
_INK, _MUTED, _RULE = "#1f2328", "#59636e", "#d9dee3"
_LEFT: dict[str, Any] = {"x": 0.01, "ha": "left", "parse_math": False}  # a prompt may hold a dollar sign
_TITLE: dict[str, Any] = {**_LEFT, "fontsize": 11, "fontweight": "bold", "color": _INK}
_NOTE: dict[str, Any] = {**_LEFT, "fontsize": 9, "color": _MUTED}


@dataclass(frozen=True)
class Grid:
    """Images of one scenario over bids.

    `cells[line][column]` is an image's path under the run directory, or None where there is none; a column
    for each of `bids` (normalised), a line for the images each mechanism sells, then one for each of some samples.
    """

    bids: list[Bids]
    lines: list[str]
    cells: list[list[str | None]]

    @property
    def bids_across(self) -> bool:
        """Two agents' bids have one dimension and run from left to right; those of more run downwards."""
        return bool(self.bids) and len(self.bids[0]) == 2


def bid_grid(
    samples: pd.DataFrame, auctions: pd.DataFrame, scenario: int, max_bids: int = 9, max_samples: int = 3
) -> Grid:
    """Choose what to lay out: the base prompt alone, and up to `max_bids` bids, by the first agents' shares.

    Bids come from the auctions, if they have at least three ratios, else from all images. `samples` has
    columns scenario, sample, normalized_bid_1…n and path; `auctions` those of auctions.parquet.
    """
    paths = image_paths(samples[samples["scenario"] == scenario])
    auctions = auctions[auctions["scenario"] == scenario]
    sold: dict[str, dict[Bids, str | None]] = {}
    for row in records(auctions):
        sold.setdefault(row["mechanism"], {})[bid_of(row, "bid")] = paths.get(sold_image(row))
    auctioned = set().union(*sold.values())
    made = {ratio for _, ratio, _ in paths}
    shown = made if len(auctioned) < 3 else made & auctioned
    bids = [b for b in made if not any(b)] + _spread(sorted(b for b in shown if any(b)), max_bids)
    numbers = sorted({sample for _, _, sample in paths})[:max_samples]
    lines = [f"sample {s}" for s in numbers]
    cells = [[paths.get((scenario, b, s)) for b in bids] for s in numbers]
    lines = [*map(sold_label, sold), *lines]
    cells = [*([images.get(b) for b in bids] for images in sold.values()), *cells]
    return Grid(bids, lines, cells)


def sold_label(mechanism: str) -> str:
    """The line of the images that `mechanism` sells: ``sold by vcg``."""
    return f"sold by {mechanism.replace('_', ' ')}"


def _spread(shares: list[Bids], count: int) -> list[Bids]:
    """Up to `count` of the sorted `shares`: of two agents' those nearest to even steps; else by rank."""
    if shares and len(shares[0]) == 2:
        steps = np.linspace(0, 1, count)
        near = {min(shares, key=lambda b: abs(b[0] - step)) for step in steps}
        return shares if len(shares) <= count else sorted(near)
    shares = shares[::-1]  # downwards: agent 1's own image first
    return [shares[round(at)] for at in np.linspace(0, len(shares) - 1, min(count, len(shares)))]


ImageKey = tuple[int, Bids, int]
"""Scenario, normalised bids, sample."""


def image_paths(samples: pd.DataFrame) -> dict[ImageKey, str]:
    """Each image's path under the run directory."""
    return {
        (int(row["scenario"]), bid_of(row, "normalized_bid"), int(row["sample"])): str(row["path"])
        for row in records(samples)
    }


def sold_image(auction: Mapping[str, Any]) -> ImageKey:
    """The image that a row of auctions.parquet sells."""
    return int(auction["scenario"]), bid_of(auction, "chosen_bid"), int(auction["chosen_sample"])


def bid_of(row: Mapping[str, Any], prefix: str) -> Bids:
    """The normalised bids in the columns ``{prefix}_1`` … of a row."""
    n = 0
    while f"{prefix}_{n + 1}" in row:
        n += 1
    return normalized([float(row[column]) for column in numbered(prefix, n)])


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of `table`, by column."""
    return table.to_dict("records")


def read_image(path: Path, side: int = THUMBNAIL) -> Image.Image | None:
    """The image, at most `side` pixels wide and high; None if it is absent or damaged."""
    try:
        with Image.open(path) as stored:
            image = stored.convert("RGB")
    except (OSError, SyntaxError):
        return None
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


# --- the figures ---------------------------------------------------------------------------------------


def monotonicity_figure(metrics: Mapping[str, Any], subtitle: str = "") -> Figure:
    """Mean alignment against normalised bid, one line and 95 % band per agent; as the paper's figure 1.

    `metrics` is the part `monotonicity` of metrics.json.
    """
    figure = Figure(figsize=(7.2, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for i, (agent, part) in enumerate(metrics.items()):
        colour, (marker, line) = COLOURS[i % len(COLOURS)], _STYLES[i % len(_STYLES)]
        x, mean, low, high = _columns(part["curve"], "normalized_bid", "mean", "ci_low", "ci_high")
        rho = "" if part["spearman"] is None else f"  (Spearman {part['spearman']:.2f})"
        axes.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0)
        label = agent.replace("_", " ") + rho
        axes.plot(x, mean, line, marker=marker, markersize=4, color=colour, label=label, linewidth=1.8)
    axes.set_xlabel("normalised bid of the agent, bᵢ / Σ b")
    axes.set_ylabel("mean alignment αᵢ with the agent's prompt")
    axes.set_xlim(-0.02, 1.02)
    _restrain(axes)
    if metrics:
        axes.legend(frameon=False, loc="best")
    figure.suptitle(_joined("Alignment against bid", subtitle), **_TITLE)
    note = "Means over images and scenarios; bands: 95 % bootstrap intervals over scenarios and samples."
    figure.supxlabel(note, **_NOTE)
    return figure


def image_grid(grid: Grid, run_dir: Path, scenario: Scenario) -> Figure:
    """The images of `grid`, read under `run_dir`, each labelled with the agents' shares of the bids."""
    cells = grid.cells if grid.bids_across else [list(column) for column in zip(*grid.cells, strict=True)]
    names = [bid_label(bids) for bids in grid.bids]
    across, down = (names, grid.lines) if grid.bids_across else (grid.lines, names)
    width = max(1.1 * len(across) + 1.1, 5.5)
    figure = Figure(figsize=(width, 1.1 * len(down) + 1.3), layout="constrained")
    axes: Any = figure.subplots(len(down), len(across), squeeze=False)
    for row, column in np.ndindex(axes.shape):
        cell, path = axes[row, column], cells[row][column]
        image = read_image(run_dir / path) if path else None
        _show(cell, image)
        if row == 0:
            cell.set_title(across[column], fontsize=9, color=_INK)
        if column == 0:
            cell.set_ylabel(down[row], fontsize=9, color=_INK, rotation=0, ha="right", va="center")
    letters = int(12 * width)
    figure.suptitle(fill(shorten(scenario.base_prompt, 2 * letters), letters), **_TITLE)
    agents = [f"agent {i}: {shorten(prompt, letters)}" for i, prompt in enumerate(scenario.agent_prompts, 1)]
    note = f"{' · '.join(agents)}. Bids are shares, bᵢ / Σ b, in the order of the agents; one sample, one noise."
    figure.supxlabel(fill(note, letters), **_NOTE)
    return figure


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def bid_label(bids: Bids) -> str:
    """Normalised bids for a reader: ``.70 | .30``."""
    return " | ".join(f"{bid:.2f}".removeprefix("0") for bid in bids) if any(bids) else "no bids"


def _show(axes: Any, image: Image.Image | None) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    if image is None:
        axes.patch.set_visible(False)
        axes.set_box_aspect(1)
    else:
        axes.imshow(np.asarray(image), interpolation="nearest" if image.width < THUMBNAIL else "antialiased")


def _columns(points: Sequence[Mapping[str, Any]], *names: str) -> list[np.ndarray]:
    return [np.array([point[name] for point in points], dtype=float) for name in names]


def _restrain(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=_RULE, linewidth=0.6)
    axes.tick_params(colors=_MUTED, length=0)
    axes.set_axisbelow(True)


# --- files ---------------------------------------------------------------------------------------------


def save_figure(figure: Figure, folder: Path, name: str) -> dict[str, Path]:
    """Write ``folder/name.png`` and ``.svg``; the two paths, by suffix."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    with matplotlib.rc_context({"svg.hashsalt": "diffusion_auction"}):
        FigureCanvasAgg(figure)
        for suffix, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            drawn = io.BytesIO()
            figure.savefig(drawn, format=suffix, dpi=160, metadata=metadata)
            written[suffix] = folder / f"{name}.{suffix}"
            write_atomic(written[suffix], drawn.getvalue())
    return written
