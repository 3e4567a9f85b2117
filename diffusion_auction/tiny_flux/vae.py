"""The tiny autoencoder: 64 × 64 pixels to 16 × 16 latents of 8 channels."""

from __future__ import annotations

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

KL_WEIGHT = 2e-4


def build_vae() -> AutoencoderKL:
    """Return an untrained `AutoencoderKL`, factor 4 (three blocks), 0.69 M parameters."""
    return AutoencoderKL(
        sample_size=64,
        block_out_channels=(16, 32, 64),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        latent_channels=8,
        norm_num_groups=8,
        use_quant_conv=False,
        use_post_quant_conv=False,
        scaling_factor=1.0,
        shift_factor=0.0,
        force_upcast=False,
    )


def to_unit(pixels: np.ndarray) -> Tensor:
    """Convert uint8 (N, H, W, 3) to float32 (N, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1


def vae_loss(vae: AutoencoderKL, images: Tensor, generator: torch.Generator) -> Tensor:
    """Return the error (L1 and squared) plus a light KL term that keeps the latents smooth and bounded."""
    posterior = vae.encode(images).latent_dist
    noise = torch.randn(posterior.mean.shape, generator=generator).to(posterior.mean)
    decoded = vae.decode(posterior.mean + posterior.std * noise).sample.float()
    kl = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).float().mean()
    error = decoded - images
    loss: Tensor = error.abs().mean() + 0.5 * (error**2).mean() + KL_WEIGHT * kl
    return loss


@torch.no_grad()
def encode_all(vae: AutoencoderKL, pixels: np.ndarray, batch: int = 128) -> Tensor:
    """Encode `pixels`: posterior means float32 (N, 8, 16, 16), unscaled."""
    device = next(vae.parameters()).device
    parts = [
        vae.encode(to_unit(pixels[i : i + batch]).to(device)).latent_dist.mean.cpu()
        for i in range(0, len(pixels), batch)
    ]
    return torch.cat(parts)
