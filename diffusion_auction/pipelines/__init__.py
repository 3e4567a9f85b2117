"""Flux, with a denoiser composed of several prompts."""

from diffusion_auction.pipelines.composed_transformer import Branches, ComposedTransformer
from diffusion_auction.pipelines.flux_auction_pipeline import FluxPipelineAuction

__all__ = ["Branches", "ComposedTransformer", "FluxPipelineAuction"]
