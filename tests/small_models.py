"""Small random weights of the classes that published ones have."""

from __future__ import annotations

import string
from itertools import pairwise
from pathlib import Path

import torch
import transformers


def write_pickscore(folder: Path) -> str:
    """A CLIPModel with its CLIPProcessor, as PickScore v1 is published; the folder's path."""
    letters = string.ascii_lowercase
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = transformers.CLIPTokenizer(vocab={token: i for i, token in enumerate(tokens)}, merges=[])
    reader = transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    transformers.CLIPProcessor(reader, tokenizer).save_pretrained(folder)

    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = transformers.CLIPConfig(
        text_config={**tower, **ends, "vocab_size": len(tokens), "max_position_embeddings": 16},
        vision_config={**tower, "image_size": 32, "patch_size": 8},
        projection_dim=24,
    )
    torch.manual_seed(0)
    transformers.CLIPModel(config).save_pretrained(folder)
    return str(folder)


def linear_layers(*sizes: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Random weights (out, in) and biases (out,) float32 from each of `sizes` to the next."""
    generator = torch.Generator().manual_seed(0)
    return [
        (torch.randn(out, size, generator=generator) / size**0.5, torch.randn(out, generator=generator))
        for size, out in pairwise(sizes)
    ]


def mlp_state(size: int = 64) -> dict[str, torch.Tensor]:
    """The keys and shapes of `sac+logos+ava1-l14-linearMSE.pth`, for embeddings of `size`."""
    state = {}
    for i, (weight, bias) in zip((0, 2, 4, 6, 7), linear_layers(size, 1024, 128, 64, 16, 1), strict=True):
        state |= {f"layers.{i}.weight": weight, f"layers.{i}.bias": bias}
    return state


def linear_state(size: int = 64) -> dict[str, torch.Tensor]:
    """The keys and shapes of `sa_0_4_vit_l_14_linear.pth`, for embeddings of `size`."""
    ((weight, bias),) = linear_layers(size, 1)
    return {"weight": weight, "bias": bias}
