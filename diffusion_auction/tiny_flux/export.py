"""From checkpoints to the weights that ship: a diffusers directory and an open_clip folder."""

from __future__ import annotations

from pathlib import Path

import open_clip
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline
from safetensors.torch import save_file

from diffusion_auction.tiny_flux.clip import write_clip_folder
from diffusion_auction.tiny_flux.flow import TinyFlow
from diffusion_auction.tiny_flux.loop import trained
from diffusion_auction.tiny_flux.vae import build_vae
from diffusion_auction.tiny_flux.vocabulary import build_tokenizer


def export(work: Path, out: Path) -> None:
    """Write `out/flux` and `out/clip` from the checkpoints in `work`, in bfloat16."""
    tokenizer = build_tokenizer()
    model = TinyFlow(tokenizer)
    model.load_state_dict(trained(work, "flow"))
    vae = build_vae()
    _, shift, scale = scaled_latents(work)
    vae.register_to_config(shift_factor=shift, scaling_factor=scale)
    vae.load_state_dict(trained(work, "vae"))
    pipe = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=vae,
        text_encoder=model.text_encoder,
        tokenizer=tokenizer,
        text_encoder_2=model.text_encoder_2,
        tokenizer_2=tokenizer,
        transformer=model.transformer,
    )
    pipe.to(torch.bfloat16).save_pretrained(out / "flux", safe_serialization=True)
    for encoder in ("text_encoder", "text_encoder_2"):  # or they alone would load in the precision of the files
        config = out / "flux" / encoder / "config.json"
        config.write_text(config.read_text().replace('"dtype": "bfloat16"', '"dtype": "float32"'))
    folder = out / "clip"
    folder.mkdir(parents=True, exist_ok=True)
    write_clip_folder(folder)
    clip = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    clip.load_state_dict(trained(work, "clip"))
    weights = {name: value.to(torch.bfloat16).contiguous() for name, value in clip.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")


def scaled_latents(work: Path) -> tuple[torch.Tensor, float, float]:
    """Load the stored latents (N, 8, 16, 16), with the shift and scale that make them standard."""
    latents = torch.load(work / "latents.pt", weights_only=True).float()
    return latents, float(latents.mean()), float(1 / latents.std())
