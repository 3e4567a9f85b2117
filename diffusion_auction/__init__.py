"""Auctions for influence over a generated image."""

from diffusion_auction.rounding import hold_rounding

hold_rounding()  # here, before any module of the package loads torch
