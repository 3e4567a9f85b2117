"""Flux, with a denoiser composed of several prompts."""

from diffusion_auction.pipelines.branches import Branches
from diffusion_auction.pipelines.composed_velocity import composed_velocity
from diffusion_auction.pipelines.flux_auction_pipeline import FluxPipelineAuction

__all__ = ["Branches", "FluxPipelineAuction", "composed_velocity"]
