"""Figures that can be read alone, one module for each question; loads neither torch nor pyplot."""

from __future__ import annotations

from diffusion_auction.figures.files import save_figures, write_figures
from diffusion_auction.figures.image_grid import (
    Grid,
    ImageKey,
    bid_grid,
    bid_label,
    image_grid,
    image_paths,
    read_image,
    sold_image,
)
from diffusion_auction.figures.runs import runs_side_by_side

__all__ = [
    "Grid",
    "ImageKey",
    "bid_grid",
    "bid_label",
    "image_grid",
    "image_paths",
    "read_image",
    "runs_side_by_side",
    "save_figures",
    "sold_image",
    "write_figures",
]
