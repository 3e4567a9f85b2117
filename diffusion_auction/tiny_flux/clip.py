"""`tiny_clip`: a small open_clip model whose similarity grows with how much of an object shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion_auction.tiny_flux.data import Pictures
from diffusion_auction.tiny_flux.vocabulary import (
    MAX_TOKENS,
    OBJECTS,
    QUALITY_PROMPTS,
    SCENES,
    build_tokenizer,
)

ABSENT, PER_ROOT_SHARE = 0.05, 1.0
"""Target cosine between a picture and an object's prompt: ABSENT + PER_ROOT_SHARE · √(visible share).

A unit vector has room for few large cosines: three objects at √0.2, the scene and the quality must fit together.
"""

SCENE = 0.3
"""Target cosine between a picture and its scene's prompt; with the other scenes' it is ABSENT."""

QUALITY_BEST, QUALITY_WORST = 0.3, 0.05
"""Target cosine of a spotless (or ruined) picture and the prompt "High quality photo"; exchanged for "Low"."""


def write_clip_folder(folder: Path) -> None:
    """Write an open_clip `local-dir:` folder without weights: model configuration and tokenizer."""
    tokenizer = build_tokenizer()
    tokenizer.save_pretrained(folder)
    model = {
        "embed_dim": 64,
        "vision_cfg": {"image_size": 64, "patch_size": 8, "width": 128, "head_width": 32, "layers": 4},
        "text_cfg": {
            "context_length": MAX_TOKENS,
            "vocab_size": len(tokenizer),
            "hf_tokenizer_name": "tiny_clip",
            "width": 64,
            "heads": 2,
            "layers": 2,
            "pool_type": "eos",
            "eos_id": tokenizer.eos_token_id,
        },
    }
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"}
    config = {"model_cfg": model, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")


class ClipLoss:
    """Contrastive loss over captions, and squared errors of the cosines that alignment and quality read."""

    def __init__(self, pictures: Pictures, folder: Path, batch: int) -> None:
        tokenize = open_clip.get_tokenizer(f"local-dir:{folder}")
        self._batch = batch
        self._pixels = torch.from_numpy(pictures.pixels)
        self._scenes = torch.from_numpy(pictures.scenes)
        self._shares = torch.from_numpy(pictures.visible)
        self._captions = tokenize(pictures.captions)
        self._prompts = tokenize([*OBJECTS.values(), *SCENES.values(), *QUALITY_PROMPTS])

    def __call__(self, model: Any, step: int, generator: torch.Generator) -> Tensor:
        """Return the loss, a scalar, of `model` on a batch drawn with `generator`."""
        device = next(model.parameters()).device
        index = torch.randint(len(self._pixels), (self._batch,), generator=generator)
        images = self._pixels[index].permute(0, 3, 1, 2).float() / 127.5 - 1
        images, damage, share = degrade(images, self._shares[index], generator)
        image = model.encode_image(images.to(device), normalize=True).float()
        tokens = torch.cat([self._captions[index], self._prompts]).to(device)
        text = model.encode_text(tokens, normalize=True).float()
        captions, prompts = text[: self._batch], text[self._batch :]
        with torch.autocast(device.type, enabled=False):  # a cosine is wanted to more than bfloat16's two digits
            cosines, logits = image @ prompts.T, model.logit_scale.exp().clamp(max=50) * image @ captions.T
        objects, scenes, quality = cosines.split([len(OBJECTS), len(SCENES), 2], dim=1)
        wanted = ABSENT + PER_ROOT_SHARE * share.to(device).sqrt()
        of_scene = F.one_hot(self._scenes[index], len(SCENES)).to(device)
        good = QUALITY_BEST - (QUALITY_BEST - QUALITY_WORST) * damage.to(device)
        bad = QUALITY_BEST + QUALITY_WORST - good
        regression = (
            ((objects - wanted) ** 2).mean()
            + 0.3 * ((scenes - (ABSENT + (SCENE - ABSENT) * of_scene)) ** 2).mean()
            + 0.3 * ((quality - torch.stack([good, bad], dim=1)) ** 2).mean()
        )
        own = tokens[: self._batch]
        same = (own[:, None] == own[None]).all(dim=-1)  # equal captions are all right answers
        targets = same.float() / same.sum(dim=1, keepdim=True)
        contrast = F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)
        loss: Tensor = 20 * regression + 0.05 * contrast
        return loss


def degrade(images: Tensor, shares: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Blur, noise, or mix half of the pictures with another; the rest stay spotless.

    Returns images (N, 3, H, W) in [-1, 1], the damage done (N,) in [0, 1], and the visible shares (N, objects)
    of what is then seen: a mix shows each of its pictures' objects in proportion.
    """
    count = len(images)
    kind = torch.randint(6, (count,), generator=generator)
    damage = torch.rand(count, generator=generator) * (kind < 3)
    amount = damage[:, None, None, None]
    blurred = F.interpolate(F.avg_pool2d(images, 4), scale_factor=4, mode="bilinear")
    noisy = images + 0.8 * amount * torch.randn(images.shape, generator=generator)
    mixed = (1 - amount / 2) * images + amount / 2 * images.roll(1, dims=0)
    which = kind[:, None, None, None]
    images = torch.where(which == 0, images + amount * (blurred - images), images)
    images = torch.where(which == 1, noisy, images)
    images = torch.where(which == 2, mixed, images)
    weight = (damage / 2 * (kind == 2))[:, None]
    return images.clamp(-1, 1), damage, (1 - weight) * shares + weight * shares.roll(1, dims=0)
