"""The tiny Flux denoiser and its two text encoders, trained together by flow matching."""

from __future__ import annotations

import torch
from diffusers import FluxTransformer2DModel
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast, T5Config, T5EncoderModel

from diffusion_auction.tiny_flux.vocabulary import MAX_TOKENS


class TinyFlow(nn.Module):
    """`FluxTransformer2DModel` with a CLIP text model (pooled prompt) and a T5 encoder (prompt sequence)."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__()
        self.text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=64,
                intermediate_size=128,
                num_hidden_layers=1,
                num_attention_heads=2,
                max_position_embeddings=MAX_TOKENS,
                projection_dim=64,
                pad_token_id=tokenizer.pad_token_id,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
            )
        )
        self.text_encoder_2 = T5EncoderModel(
            T5Config(
                vocab_size=len(tokenizer),
                d_model=96,
                d_kv=24,
                d_ff=192,
                num_layers=2,
                num_heads=4,
                dropout_rate=0.0,
                pad_token_id=tokenizer.pad_token_id,
                eos_token_id=tokenizer.eos_token_id,
                decoder_start_token_id=tokenizer.pad_token_id,
            )
        )
        self.transformer = FluxTransformer2DModel(
            patch_size=1,
            in_channels=32,
            num_layers=1,
            num_single_layers=7,
            attention_head_dim=32,
            num_attention_heads=5,  # 160 channels
            joint_attention_dim=96,
            pooled_projection_dim=64,
            guidance_embeds=False,
            axes_dims_rope=(8, 12, 12),
        )

    def forward(self, latents: Tensor, sigma: Tensor, tokens: Tensor) -> Tensor:
        """Return the velocity of packed `latents` (B, 64, 32) at noise levels `sigma` (B,) under `tokens` (B, 32)."""
        velocity: Tensor = self.transformer(
            hidden_states=latents,
            timestep=sigma,
            encoder_hidden_states=self.text_encoder_2(tokens).last_hidden_state,
            pooled_projections=self.text_encoder(tokens).pooler_output,
            txt_ids=latents.new_zeros(tokens.shape[1], 3),
            img_ids=image_ids(8, 8).to(latents),
            return_dict=False,
        )[0]
        return velocity


def image_ids(rows: int, columns: int) -> Tensor:
    """Return position ids (rows · columns, 3) of the packed latent tokens, as `FluxPipeline` makes them."""
    ids = torch.zeros(rows, columns, 3)
    ids[..., 1] += torch.arange(rows)[:, None]
    ids[..., 2] += torch.arange(columns)[None, :]
    return ids.reshape(-1, 3)


def pack(latents: Tensor) -> Tensor:
    """Pack (B, 8, 16, 16) into tokens (B, 64, 32), as `FluxPipeline._pack_latents` does."""
    count, channels, height, width = latents.shape
    patches = latents.view(count, channels, height // 2, 2, width // 2, 2)
    return patches.permute(0, 2, 4, 1, 3, 5).reshape(count, (height // 2) * (width // 2), channels * 4)


def sample_sigmas(count: int, generator: torch.Generator) -> Tensor:
    """Draw noise levels (count,) in (0, 1]: half logit-normal (Esser et al., 2024, eq. 19), half uniform.

    One in sixteen is exactly 1, where a sampler starts and a composition of prompts decides most.
    """
    normal = torch.sigmoid(torch.randn(count, generator=generator))
    uniform = torch.rand(count, generator=generator)
    choice = torch.rand(count, generator=generator)
    return torch.where(choice < 1 / 2, normal, torch.where(choice < 15 / 16, uniform, torch.ones(count)))


class FlowLoss:
    """Squared error of the velocity ε − x₀ at x_σ = (1 − σ) x₀ + σ ε (rectified flow: Liu et al., 2022)."""

    def __init__(self, latents: Tensor, tokens: Tensor, batch: int) -> None:
        """Take `latents`, scaled and packed, (N, 64, 32) in half precision to save memory, and `tokens` (N, 32)."""
        self._latents, self._tokens, self._batch = latents, tokens, batch

    def __call__(self, model: nn.Module, step: int, generator: torch.Generator) -> Tensor:
        """Return the loss, a scalar, of `model` on a batch drawn with `generator`."""
        device = next(model.parameters()).device
        index = torch.randint(len(self._latents), (self._batch,), generator=generator)
        clean = self._latents[index].float()
        noise = torch.randn(clean.shape, generator=generator)
        sigma = sample_sigmas(self._batch, generator)
        level = sigma[:, None, None]
        noised = (1 - level) * clean + level * noise
        with sdpa_kernel(SDPBackend.MATH):  # for 96 tokens on a CPU, three times as fast as the fused kernel
            velocity: Tensor = model(noised.to(device), sigma.to(device), self._tokens[index].to(device))
        return torch.mean((velocity.float() - (noise - clean).to(device)) ** 2)
