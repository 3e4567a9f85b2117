"""Flux, with a denoiser composed of several prompts."""

try:
    from diffusion_auction.pipelines.branches import Branches
    from diffusion_auction.pipelines.composed_velocity import composed_velocity
    from diffusion_auction.pipelines.flux_auction_pipeline import FluxPipelineAuction
except ModuleNotFoundError as error:
    from diffusion_auction.images_extra import INSTALL, MODULES

    if error.name not in MODULES:
        raise
    raise ModuleNotFoundError(f"the image models are not installed: {INSTALL}", name=error.name) from error

__all__ = ["Branches", "FluxPipelineAuction", "composed_velocity"]
