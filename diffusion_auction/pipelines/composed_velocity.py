"""The velocity of a Flux transformer under several prompts: the weighted sum of its velocities under each."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import FluxTransformer2DModel
from diffusers.hooks.hooks import StateManager
from torch import Tensor, nn

from diffusion_auction.pipelines.branches import Branches


def composed_velocity(
    transformer: FluxTransformer2DModel,
    branches: Branches,
    *,
    hidden_states: Tensor,
    timestep: Tensor,
    guidance: Tensor | None = None,
    joint_attention_kwargs: dict[str, Any] | None = None,
    max_branches: int | None = None,
    context: str = "cond",
    **positions: Tensor,
) -> Tensor:
    """Run every branch of every sample and return v_b = Σ_r w_r v_r.

    The paper's equations 3 to 6, with the velocity of a flow model in the place of the score, in which it is affine.

    Args:
        transformer: whose velocities are composed.
        branches: of the B samples.
        hidden_states: packed latents (B, tokens, channels).
        timestep: the noise level of each sample, 0 to 1, (B,).
        guidance: the guidance scale of each sample, (B,), for guidance-distilled models; None for others.
        joint_attention_kwargs: as in `FluxPipeline`; `ip_adapter_image_embeds` there has a row per sample.
        max_branches: branches in one call of the transformer, where memory is short; default, all of them.
        context: the name under which caches of the transformer (`enable_cache`) keep what they remember. Each call
            of a step has its own, so that it remembers its own branches.
        positions: `txt_ids` and `img_ids`.

    Returns:
        The composed velocity (B, tokens, channels), summed in float32, in the dtype of `hidden_states`.
    """
    composed = torch.zeros_like(hidden_states, dtype=torch.float32)
    count = len(branches.sample)
    for number, rows in enumerate(torch.split(torch.arange(count), max_branches or count)):
        sample, prompt = branches.sample[rows], branches.prompt[rows]
        with transformer.cache_context(f"{context} {number}"):
            velocity = transformer(
                hidden_states=hidden_states[sample],
                timestep=timestep[sample],
                guidance=None if guidance is None else guidance[sample],
                encoder_hidden_states=branches.prompt_embeds[prompt],
                pooled_projections=branches.pooled_prompt_embeds[prompt],
                joint_attention_kwargs=_of_samples(joint_attention_kwargs, sample),
                return_dict=False,
                **positions,
            )[0]
        weighted = velocity.float() * branches.weight[rows, None, None].to(velocity.device)
        composed.index_add_(0, sample.to(composed.device), weighted)
    return composed.to(hidden_states.dtype)


def _of_samples(joint_attention_kwargs: dict[str, Any] | None, sample: Tensor) -> dict[str, Any]:
    """Return a copy, since transformers add to it, with the image embeddings of the branches' samples."""
    own = dict(joint_attention_kwargs or {})
    if "ip_adapter_image_embeds" in own:
        own["ip_adapter_image_embeds"] = [embeds[sample] for embeds in own["ip_adapter_image_embeds"]]
    return own


def check_caches(transformer: nn.Module, branches: int, max_branches: int | None, guided: bool) -> None:
    """Refuse several calls of `transformer` a step if one of its caches would take one for the next.

    Raises:
        ValueError: naming the argument, `max_branches` or `true_cfg_scale`, that makes several calls.
    """
    shared = _shared_caches(transformer)
    if not shared:
        return
    why = f"the cache {shared[0]} takes what it remembers of one for the next"
    if max_branches is not None and max_branches < branches:
        raise ValueError(
            f"`max_branches` has to be None, for all {branches} branches in one call of the transformer, but is "
            f"{max_branches}: {why}"
        )
    if guided:
        raise ValueError(f"`true_cfg_scale` has to be 1 with this cache, since it needs two calls a step: {why}")


def _shared_caches(transformer: nn.Module) -> list[str]:
    """Return the names of the caches on `transformer` that know no contexts: all calls share what they remember."""
    registries = (getattr(module, "_diffusers_hook", None) for module in transformer.modules())
    hooks = [item for registry in registries if registry for item in registry.hooks.items()]
    return [
        name
        for name, hook in hooks
        if hook._is_stateful and not any(isinstance(value, StateManager) for value in vars(hook).values())
    ]
