"""A Flux transformer whose velocity is the weighted sum of its velocities under several prompts."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.hooks.hooks import StateManager
from torch import Tensor, nn


@dataclass(frozen=True)
class Branches:
    """Which prompts compose which sample: R branches, each a pass of one sample under one prompt.

    prompt_embeds: (P, L, D) T5 sequences of the P distinct prompts; pooled_prompt_embeds: (P, D').
    sample, prompt: int64 (R,), the sample of the batch and the prompt of each branch.
    weight: float32 (R,), positive, summing to 1 over the branches of each sample.
    """

    prompt_embeds: Tensor
    pooled_prompt_embeds: Tensor
    sample: Tensor
    prompt: Tensor
    weight: Tensor

    @property
    def lead(self) -> Tensor:
        """For each sample of the batch, the prompt of its first branch: int64 (B,)."""
        count = int(self.sample.max()) + 1
        first = [int((self.sample == i).nonzero()[0]) for i in range(count)]
        return self.prompt[first]


class ComposedTransformer(nn.Module):
    """Stands in for a `FluxTransformer2DModel` in a `FluxPipeline`.

    Each call runs every branch of every sample in one batched call of `transformer` (at most `max_branches` at
    once, where memory is short) and returns v_b = Σ_r w_r v_r: the paper's equations 3 to 6, with the velocity of
    a flow model in the place of the score, in which it is affine. The pipeline's own prompt embeddings are ignored.
    Caches of the transformer (`enable_cache`) keep what they remember of one call's branches apart from another's.

    sample_passes: branches run since the wrapper was made; the unit of generation cost.
    """

    def __init__(self, transformer: nn.Module, branches: Branches, max_branches: int | None = None) -> None:
        super().__init__()
        self.inner = transformer
        self.branches = branches
        self.max_branches = max_branches or len(branches.sample)
        self.sample_passes = 0
        if self.max_branches < len(branches.sample) and (shared := _shared_caches(transformer)):
            raise ValueError(
                f"`max_branches` has to be None, for all {len(branches.sample)} branches in one call of the "
                f"transformer, but is {max_branches}: the cache {shared[0]} takes what it remembers of one for the next"
            )

    def __getattr__(self, name: str) -> Any:
        """Whatever the transformer has: `config`, `dtype`, `cache_context` …"""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("inner"), name)

    def forward(
        self,
        hidden_states: Tensor,
        timestep: Tensor,
        guidance: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        pooled_projections: Tensor | None = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor]:
        """Composed velocity (B, tokens, channels) of the packed latents `hidden_states` at `timestep` (B,)."""
        table = self.branches
        composed = torch.zeros_like(hidden_states, dtype=torch.float32)
        for number, rows in enumerate(torch.arange(len(table.sample)).split(self.max_branches)):
            sample, prompt = table.sample[rows], table.prompt[rows]
            with self._cache_of(number):
                velocity = self.inner(
                    hidden_states=hidden_states[sample],
                    timestep=timestep[sample],
                    guidance=None if guidance is None else guidance[sample],
                    encoder_hidden_states=table.prompt_embeds[prompt],
                    pooled_projections=table.pooled_prompt_embeds[prompt],
                    return_dict=False,
                    **kwargs,
                )[0]
            weighted = velocity.float() * table.weight[rows, None, None].to(velocity.device)
            composed.index_add_(0, sample.to(composed.device), weighted)
            self.sample_passes += len(rows)
        return (composed.to(hidden_states.dtype),)

    def _cache_of(self, number: int) -> AbstractContextManager[None]:
        """Have caches remember the call of this `number` by itself, from one step to the next."""
        context: Any = getattr(self.inner, "cache_context", nullcontext)
        return context(f"branches {number}")


def _shared_caches(transformer: nn.Module) -> list[str]:
    """The names of the caches on `transformer` that know no contexts: all calls share what they remember."""
    registries = (getattr(module, "_diffusers_hook", None) for module in transformer.modules())
    hooks = [item for registry in registries if registry for item in registry.hooks.items()]
    return [
        name
        for name, hook in hooks
        if hook._is_stateful and not any(isinstance(value, StateManager) for value in vars(hook).values())
    ]
