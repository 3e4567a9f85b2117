"""Train the embedded models from nothing: `python -m diffusion_auction.tiny_flux.train`.

Stages, each resumable from its checkpoint in the work folder: `vae`, `clip`, `flow`, then `export` writes the
weights that ship. The same seed gives the same batches, interrupted or not; on another device or thread count
the weights differ in rounding.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

import open_clip
import torch

from diffusion_auction.tiny_flux import WEIGHTS
from diffusion_auction.tiny_flux.clip import ClipLoss, write_clip_folder
from diffusion_auction.tiny_flux.data import pictures
from diffusion_auction.tiny_flux.export import export, scaled_latents
from diffusion_auction.tiny_flux.flow import FlowLoss, TinyFlow, pack
from diffusion_auction.tiny_flux.loop import save, train, trained
from diffusion_auction.tiny_flux.vae import build_vae, encode_all, to_unit, vae_loss
from diffusion_auction.tiny_flux.vocabulary import MAX_TOKENS, build_tokenizer

STAGES = ("vae", "clip", "flow", "export")


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and run the stages asked for, in order."""
    parser = argparse.ArgumentParser(prog="python -m diffusion_auction.tiny_flux.train", description=__doc__)
    parser.add_argument("stages", nargs="*", default=list(STAGES), help=f"of {', '.join(STAGES)} (default: all)")
    parser.add_argument("--work", type=Path, default=Path("outputs/tiny_flux_training"), help="checkpoints, data")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder of the exported weights")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads (default: all cores)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--compile",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="compile the denoiser: a third faster after a minute; on a CPU it needs a C++ compiler",
    )
    parser.add_argument("--pictures", type=int, default=24_000, help="pictures rendered for vae and clip")
    parser.add_argument("--flow-pictures", type=int, default=40_000, help="pictures rendered for flow")
    parser.add_argument("--vae-steps", type=int, default=2_800, help="batches of 16")
    parser.add_argument("--clip-steps", type=int, default=2_500, help="batches of 64")
    parser.add_argument("--flow-steps", type=int, default=6_000, help="batches of 64")
    args = parser.parse_args(argv)
    for stage in args.stages:
        if stage not in STAGES:
            parser.error(f"stage = {stage}: expected one of {', '.join(STAGES)}")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if args.threads:
        torch.set_num_threads(args.threads)
    args.work.mkdir(parents=True, exist_ok=True)
    for stage in args.stages:
        torch.manual_seed(args.seed)
        _RUN[stage](args)


def train_vae(args: argparse.Namespace) -> None:
    """Train the autoencoder on opaque and see-through objects alike, so that blends survive decoding."""
    data = pictures(args.pictures, 2 * args.seed + 1, ghosts=True, cache=args.work)

    def loss(model: torch.nn.Module, step: int, generator: torch.Generator) -> torch.Tensor:
        index = torch.randint(len(data.pixels), (16,), generator=generator).numpy()
        device = next(model.parameters()).device
        return vae_loss(model, to_unit(data.pixels[index]).to(device), generator)

    train("vae", build_vae(), loss, steps=args.vae_steps, lr=2e-3, ema_decay=0.995, **_common(args))


def train_clip(args: argparse.Namespace) -> None:
    """Train the alignment model."""
    data = pictures(args.pictures, 2 * args.seed + 1, ghosts=True, cache=args.work)
    folder = args.work / "tiny_clip"
    folder.mkdir(exist_ok=True)
    write_clip_folder(folder)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    train("clip", model, ClipLoss(data, folder, batch=64), steps=args.clip_steps, lr=1.5e-3, **_common(args))


def train_flow(args: argparse.Namespace) -> None:
    """Train denoiser and text encoders in the latent space of the trained autoencoder."""
    vae = build_vae().to(args.device).eval()
    vae.load_state_dict(trained(args.work, "vae", args.device))
    latents, shift, scale = flow_latents(args, vae)
    tokenizer = build_tokenizer()
    captions = pictures(args.flow_pictures, 2 * args.seed + 2, ghosts=False, cache=args.work).captions
    tokens = tokenizer(captions, padding="max_length", max_length=MAX_TOKENS, return_tensors="pt").input_ids
    model = TinyFlow(tokenizer)
    if args.compile:
        model.transformer.compile()
    loss = FlowLoss(pack((latents - shift) * scale).half(), tokens, batch=64)
    train("flow", model, loss, steps=args.flow_steps, lr=1.5e-3, **_common(args))


def flow_latents(args: argparse.Namespace, vae: torch.nn.Module) -> tuple[torch.Tensor, float, float]:
    """Return latents (N, 8, 16, 16) of the opaque pictures, with the shift and scale that make them standard."""
    path = args.work / "latents.pt"
    if not path.exists():
        data = pictures(args.flow_pictures, 2 * args.seed + 2, ghosts=False, cache=args.work)
        with torch.autocast(torch.device(args.device).type, dtype=torch.bfloat16):
            latents = encode_all(vae, data.pixels)
        save(latents.half(), path)
    return scaled_latents(args.work)


def export_weights(args: argparse.Namespace) -> None:
    """Write the averaged weights as a diffusers directory and an open_clip folder."""
    export(args.work, args.out)


def _common(args: argparse.Namespace) -> dict[str, Any]:
    return {"folder": args.work, "seed": args.seed, "device": torch.device(args.device)}


_RUN = {"vae": train_vae, "clip": train_clip, "flow": train_flow, "export": export_weights}

if __name__ == "__main__":
    main()
