"""Draw docs/figures/bids.png: pictures of the embedded model in which an object grows with its agent's bid."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from diffusion_auction import FluxPipelineAuction

FIGURE = Path(__file__).resolve().parent / "figures" / "bids.png"
SHARES = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 1.0)
"""The first agent's share of the bids, from left to right."""
SIDE, BAR = 192, 30
"""Pixels of a picture, and of the bar under it."""
INK, FAINT = "#1f2328", "#59636e"


class Row(NamedTuple):
    """One scenario: its prompts, a colour for each agent, and the sample that is shown."""

    base: str
    agents: tuple[str, str]
    colours: tuple[str, str]
    sample: int


ROWS = (
    Row(
        "A hiker resting on a mountain trail",
        ("North Face backpack", "Gatorade bottle"),
        ("#b3202c", "#d97706"),
        sample=6,
    ),
    Row(
        "Two friends chatting over coffee at a cafe",
        ("Starbucks mug", "Apple MacBook Air"),
        ("#12744b", "#5b45b8"),
        sample=5,
    ),
)


def main() -> None:
    """Generate the pictures, draw them over the bids, and store the figure in few colours."""
    pipe = FluxPipelineAuction.from_pretrained("tiny_flux")
    pipe.set_progress_bar_config(disable=True)
    figure = Figure(figsize=(12.4, 4.55), facecolor="white")
    axes = figure.subplots(len(ROWS), len(SHARES))
    figure.subplots_adjust(left=0.006, right=0.994, top=0.915, bottom=0.065, wspace=0.035, hspace=0.43)
    for row, line in zip(ROWS, axes, strict=True):
        for share, cell in zip(SHARES, line, strict=True):
            show(cell, picture(pipe, row, share), share, row.colours)
        caption(line[0], row)
    FIGURE.parent.mkdir(exist_ok=True)
    figure.savefig(FIGURE, dpi=140)
    with Image.open(FIGURE) as drawn:
        drawn.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(FIGURE, optimize=True)


def picture(pipe: FluxPipelineAuction, row: Row, share: float) -> Image.Image:
    """Generate the sample of `row` at the bids (`share`, 1 − `share`); its noise does not depend on the bids."""
    images = pipe(
        base_prompt=row.base,
        agent_prompts=row.agents,
        bids=(share, 1 - share),
        num_inference_steps=8,
        num_images_per_prompt=row.sample + 1,
        generator=torch.Generator().manual_seed(7),
    ).images
    return images[row.sample].resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def show(cell: Axes, image: Image.Image, share: float, colours: tuple[str, str]) -> None:
    """Draw `image` over a bar that is divided between the agents as the bids are."""
    cell.imshow(image)
    cell.set_axis_off()
    for left, width, colour in ((0, share, colours[0]), (share, 1 - share, colours[1])):
        if width:
            bar = Rectangle((left * SIDE, SIDE + 5), width * SIDE, BAR, facecolor=colour, clip_on=False)
            cell.add_patch(bar)
            label = f"{width:g}".removeprefix("0")
            cell.annotate(
                label, (0.5, 0.5), xycoords=bar, color="white", fontsize=11, weight="bold", ha="center", va="center"
            )


def caption(cell: Axes, row: Row) -> None:
    """Write the base prompt and the agents, in their colours, above the first picture of a row."""
    after = cell.annotate(row.base, (0, 1.04), xycoords="axes fraction", fontsize=12, color=INK, weight="bold")
    words = [
        ("bids:", FAINT, "normal"),
        *((agent, colour, "bold") for agent, colour in zip(row.agents, row.colours, strict=True)),
    ]
    for text, colour, weight in words:
        after = cell.annotate(
            f"   {text}", (1, 0), xycoords=after, fontsize=12, color=colour, weight=weight, va="bottom"
        )


if __name__ == "__main__":
    main()
