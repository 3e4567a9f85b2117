"""Small random weights of the classes that published ones have."""

from __future__ import annotations

import string
from itertools import pairwise
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors


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


def flux_components(**transformer: object) -> dict[str, Any]:
    """The components of a FluxPipeline of one block of each kind, with random weights; 16 × 16 pixels.

    The tokenizer of both text encoders knows letters and the space; CLIP has room for 16 of them, T5 for any number.
    """
    torch.manual_seed(0)
    sizes = {"num_attention_heads": 2, "num_hidden_layers": 1, "hidden_size": 16, "intermediate_size": 16}
    vocab = {token: i for i, token in enumerate(["<pad>", "</s>", "<unk>", *string.ascii_letters, " "])}
    letters = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    letters.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    letters.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    ends = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokenizer, tokenizer_2 = (
        transformers.PreTrainedTokenizerFast(tokenizer_object=letters, model_max_length=length, **ends)
        for length in (16, 512)
    )
    clip = transformers.CLIPTextConfig(
        vocab_size=len(vocab), max_position_embeddings=16, bos_token_id=3, eos_token_id=1, pad_token_id=0, **sizes
    )
    t5 = transformers.T5Config(vocab_size=len(vocab), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    return {
        "scheduler": diffusers.FlowMatchEulerDiscreteScheduler(),
        "vae": diffusers.AutoencoderKL(
            block_out_channels=(4,),
            latent_channels=1,
            norm_num_groups=1,
            sample_size=16,
            scaling_factor=1.5,
            shift_factor=0.06,
            use_quant_conv=False,
            use_post_quant_conv=False,
        ).eval(),
        "text_encoder": transformers.CLIPTextModel(clip).eval(),
        "tokenizer": tokenizer,
        "text_encoder_2": transformers.T5EncoderModel(t5).eval(),
        "tokenizer_2": tokenizer_2,
        "transformer": diffusers.FluxTransformer2DModel(
            patch_size=1,
            in_channels=4,
            num_layers=2,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=16,
            pooled_projection_dim=16,
            axes_dims_rope=(4, 4, 8),
            **transformer,
        ).eval(),
    }


def ip_adapter_state(transformer: diffusers.FluxTransformer2DModel) -> dict[str, dict[str, torch.Tensor]]:
    """Weights of an IP-Adapter for images embedded in 16 numbers, four tokens each, as XLabs' are published."""
    generator = torch.Generator().manual_seed(1)
    inner = transformer.config.num_attention_heads * transformer.config.attention_head_dim
    image = transformer.config.joint_attention_dim

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    adapter = {}
    for block in range(transformer.config.num_layers):
        for part in ("k", "v"):
            adapter[f"{block}.to_{part}_ip.weight"] = random(inner, image)
            adapter[f"{block}.to_{part}_ip.bias"] = random(inner)
    projection = {
        "proj.weight": random(4 * image, 16),
        "proj.bias": random(4 * image),
        "norm.weight": torch.ones(image),
        "norm.bias": torch.zeros(image),
    }
    return {"image_proj": projection, "ip_adapter": adapter}
