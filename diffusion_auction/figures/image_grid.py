"""Images laid over bids: which to show, and the figure of them. Paper figure 5."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill, shorten
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from diffusion_auction.columns import row_values
from diffusion_auction.market.bids import Bids, normalized
from diffusion_auction.market.scenarios import Scenario
from generative_auctions.plotting import INK, framed
from generative_auctions.text import words

_T = TypeVar("_T")
THUMBNAIL = 192
"""Larger images are scaled down to this many pixels."""


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
        """Whether bids run from left to right: those of two agents do, those of more agents run downwards."""
        return bool(self.bids) and len(self.bids[0]) == 2

    def laid_out(self, bids: list[_T], lines: list[_T], cells: list[list[Any]]) -> tuple[list[_T], list[_T], Any]:
        """Return what stands across and down, of heads for the bids and for the lines, and `cells` as they lie then."""
        return (bids, lines, cells) if self.bids_across else (lines, bids, list(zip(*cells, strict=True)))


def bid_grid(
    samples: pd.DataFrame, auctions: pd.DataFrame, scenario: Hashable, max_bids: int = 9, max_samples: int = 3
) -> Grid:
    """Choose the images of one scenario to lay out: the base prompt alone, and up to `max_bids` bids.

    Args:
        samples: columns scenario, sample, normalized_bid_1…n and path.
        auctions: columns of auctions.parquet. Bids come from them if they have at least three ratios, else from all
            images.
        scenario: the scenario.
        max_bids: the most bids to show, spread over the shares of the first agents.
        max_samples: the most samples to show of each.

    Returns:
        The grid; its image paths are relative to the run directory.
    """
    paths = image_paths(samples[samples["scenario"] == scenario])
    auctions = auctions[auctions["scenario"] == scenario]
    sold: dict[str, dict[Bids, str | None]] = {}
    for row in auctions.to_dict("records"):
        sold.setdefault(row["mechanism"], {})[bid_of(row, "bid")] = paths.get(sold_image(row))
    auctioned = set().union(*sold.values())
    made = {ratio for _, ratio, _ in paths}
    shown = made if len(auctioned) < 3 else made & auctioned
    bids = [b for b in made if not any(b)] + _spread(sorted(b for b in shown if any(b)), max_bids)
    numbers = sorted({sample for _, _, sample in paths})[:max_samples]
    lines = [f"sample {s}" for s in numbers]
    cells = [[paths.get((scenario, b, s)) for b in bids] for s in numbers]
    lines = [*(f"sold by {words(mechanism)}" for mechanism in sold), *lines]
    cells = [*([images.get(b) for b in bids] for images in sold.values()), *cells]
    return Grid(bids, lines, cells)


def _spread(shares: list[Bids], count: int) -> list[Bids]:
    """Return up to `count` of the sorted `shares`: of two agents' those nearest to even steps; else by rank."""
    if shares and len(shares[0]) == 2:
        steps = np.linspace(0, 1, count)
        near = {min(shares, key=lambda b: abs(b[0] - step)) for step in steps}
        return shares if len(shares) <= count else sorted(near)
    shares = shares[::-1]  # downwards: agent 1's own image first
    return [shares[round(at)] for at in np.linspace(0, len(shares) - 1, min(count, len(shares)))]


ImageKey = tuple[Hashable, Bids, int]
"""Scenario, normalised bids, sample."""


def image_paths(samples: pd.DataFrame) -> dict[ImageKey, str]:
    """Return each image's path under the run directory."""
    return {
        (row["scenario"], bid_of(row, "normalized_bid"), int(row["sample"])): str(row["path"])
        for row in samples.to_dict("records")
    }


def sold_image(auction: Mapping[str, Any]) -> ImageKey:
    """Return the key of the image that a row of auctions.parquet sells."""
    return auction["scenario"], bid_of(auction, "chosen_bid"), int(auction["chosen_sample"])


def bid_of(row: Mapping[str, Any], prefix: str) -> Bids:
    """Return the normalised bids in the columns ``{prefix}_1`` … of a row."""
    return normalized(row_values(row, prefix))


def bid_label(bids: Bids) -> str:
    """Return normalised bids for a reader: ``.70 | .30``."""
    return " | ".join(f"{bid:.2f}".removeprefix("0") for bid in bids) if any(bids) else "no bids"


def read_image(path: Path, side: int = THUMBNAIL) -> Image.Image | None:
    """Return the image, at most `side` pixels wide and high; None if it is absent or damaged."""
    try:
        with Image.open(path) as stored:
            image = stored.convert("RGB")
    except (OSError, SyntaxError):
        return None
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def image_grid(grid: Grid, run_dir: Path, scenario: Scenario) -> Figure:
    """Draw the images of `grid`, read under `run_dir`, each labelled with the agents' shares of the bids."""
    across, down, cells = grid.laid_out([bid_label(bids) for bids in grid.bids], grid.lines, grid.cells)
    agents = [f"agent {i}: {shorten(prompt, 80)}" for i, prompt in enumerate(scenario.agent_prompts, 1)]
    shares = "Bids are shares, bᵢ / Σ b, in the order of the agents; images of one sample begin from the same noise."
    figure = framed(
        shorten(scenario.base_prompt, 160),
        f"{' · '.join(agents)}. {shares}" if agents else shares,
        width=max(1.1 * len(across) + 1.1, 5.5),
        height=1.1 * len(down) + 1.0,
    )
    axes: Any = figure.subplots(len(down), len(across), squeeze=False)
    for row, column in np.ndindex(axes.shape):
        cell, path = axes[row, column], cells[row][column]
        _show(cell, read_image(run_dir / path) if path else None)
        if row == 0:
            cell.set_title(fill(across[column], 16), fontsize=9, color=INK)
        if column == 0:
            cell.set_ylabel(down[row], fontsize=9, color=INK, rotation=0, ha="right", va="center")
    return figure


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
