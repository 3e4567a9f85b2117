"""`FluxPipelineAuction`: a `FluxPipeline` in which several agents' prompts share the denoising by bid."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from diffusers.pipelines.flux.pipeline_output import FluxPipelineOutput
from torch import Tensor
from transformers import (
    CLIPImageProcessor,
    CLIPTextModel,
    CLIPTokenizer,
    CLIPVisionModelWithProjection,
    T5EncoderModel,
    T5TokenizerFast,
)

from diffusion_auction.compositions import COMPOSITIONS, Weights, weights_of
from diffusion_auction.pipelines.composed_transformer import Branches, ComposedTransformer
from diffusion_auction.scenarios import Scenario
from diffusion_auction.tiny_flux import WEIGHTS

SCHEDULES = ("flux", "paper")


class FluxPipelineAuction(FluxPipeline):
    """Loads with `from_pretrained` from any Flux directory, hub name or "tiny_flux", and composes prompts by bid.

    `sample_passes` is the number of sample passes of the last call.
    """

    transformer: torch.nn.Module

    def __init__(
        self,
        scheduler: FlowMatchEulerDiscreteScheduler,
        vae: AutoencoderKL | None,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        text_encoder_2: T5EncoderModel,
        tokenizer_2: T5TokenizerFast,
        transformer: FluxTransformer2DModel,
        image_encoder: CLIPVisionModelWithProjection | None = None,
        feature_extractor: CLIPImageProcessor | None = None,
    ) -> None:
        super().__init__(
            scheduler=scheduler,
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            text_encoder_2=text_encoder_2,
            tokenizer_2=tokenizer_2,
            transformer=transformer,
            image_encoder=image_encoder,
            feature_extractor=feature_extractor,
        )
        if vae is not None:  # the size that it was made for: 1024 px for FLUX.1, 64 px for the embedded model
            self.default_sample_size = vae.config.sample_size // self.vae_scale_factor
        self.sample_passes = 0

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any) -> Self:
        """As `FluxPipeline.from_pretrained`; "tiny_flux" is the embedded model unless a folder has that name."""
        embedded = str(pretrained_model_name_or_path) == "tiny_flux" and not os.path.isdir("tiny_flux")
        place = WEIGHTS / "flux" if embedded else pretrained_model_name_or_path
        return super().from_pretrained(place, **kwargs)

    @torch.no_grad()
    def __call__(
        self,
        base_prompt: str | Sequence[str],
        agent_prompts: Sequence[str] | Sequence[Sequence[str]],
        bids: Sequence[float] | Sequence[Sequence[float]],
        composition: str | Callable[[tuple[float, ...]], Weights] = "recursive",
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int = 5,
        schedule: str = "flux",
        guidance_scale: float = 3.5,
        num_images_per_prompt: int = 1,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        joint_attention_kwargs: dict[str, Any] | None = None,
        callback_on_step_end: Callable | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        max_sequence_length: int | None = None,
        max_branches: int | None = None,
    ) -> FluxPipelineOutput | tuple:
        """Generate images whose denoiser is composed by bid.

        Args:
            base_prompt: the base prompt c, or one per scenario of the batch.
            agent_prompts: c_1…c_n, or one such list per scenario.
            bids: b_1…b_n (non-negative, finite), or one such list per scenario, as lists, arrays or tensors; all zero
                means base prompt only.
            composition: name of a composition, or a function from bids to coalition weights (`weights_of`).
            height, width: pixels; default, what the autoencoder was made for.
            num_inference_steps: Euler steps; the paper takes 5.
            schedule: "flux", σ = linspace(1, 1/steps), or "paper", σ = linspace(1, σ_min), as the authors ran it:
                its last step, from σ_min = 0.001, changes next to nothing.
            guidance_scale: for guidance-distilled models (FLUX.1-dev); others ignore it.
            num_images_per_prompt: k candidates per scenario.
            generator: one, or one per image (scenario-major); CPU generators give the same noise on every device.
            latents: packed noise (images, tokens, channels) instead of the generator's.
            output_type, return_dict, joint_attention_kwargs, callback_on_step_end,
            callback_on_step_end_tensor_inputs: as in `FluxPipeline`.
            max_sequence_length: T5 tokens; default, what the tokenizer says, at most 256.
            max_branches: sample passes in one transformer call; default, all of them.

        Returns:
            `FluxPipelineOutput`, or `(images,)`; images are scenario-major, k per scenario.

        Raises:
            ValueError: from `check_auction_inputs` and `weights_of`, naming the argument.
        """
        scenarios, all_bids = self.check_auction_inputs(
            base_prompt, agent_prompts, bids, composition, schedule, num_images_per_prompt, max_branches
        )
        length = max_sequence_length or min(256, self.tokenizer_2.model_max_length)
        branches = self.encode_branches(
            scenarios, [weights_of(composition, b) for b in all_bids], num_images_per_prompt, max_sequence_length=length
        )
        with self._composed(branches, max_branches) as composed:
            output = super().__call__(
                prompt_embeds=branches.prompt_embeds[branches.lead],
                pooled_prompt_embeds=branches.pooled_prompt_embeds[branches.lead],
                height=height,
                width=width,
                num_inference_steps=num_inference_steps,
                sigmas=self._sigmas(schedule, num_inference_steps),
                guidance_scale=guidance_scale,
                generator=generator,
                latents=latents,
                output_type=output_type,
                return_dict=return_dict,
                joint_attention_kwargs=joint_attention_kwargs,
                callback_on_step_end=callback_on_step_end,
                callback_on_step_end_tensor_inputs=list(callback_on_step_end_tensor_inputs),
                max_sequence_length=length,
            )
        self.sample_passes = composed.sample_passes
        return output

    def check_auction_inputs(
        self,
        base_prompt: str | Sequence[str],
        agent_prompts: Sequence[Any],
        bids: Sequence[Any],
        composition: str | Callable[[tuple[float, ...]], Weights] = "recursive",
        schedule: str = "flux",
        num_images_per_prompt: int = 1,
        max_branches: int | None = None,
    ) -> tuple[list[Scenario], list[tuple[float, ...]]]:
        """The batch's scenarios and bids, checked; raises `ValueError` naming the argument and its value."""
        if schedule not in SCHEDULES:
            raise ValueError(f"`schedule` has to be one of {', '.join(SCHEDULES)} but is {schedule!r}")
        if num_images_per_prompt < 1:
            raise ValueError(f"`num_images_per_prompt` has to be at least 1 but is {num_images_per_prompt}")
        if max_branches is not None and max_branches < 1:
            raise ValueError(f"`max_branches` has to be at least 1, or None for all, but is {max_branches}")
        if isinstance(composition, str) and composition not in COMPOSITIONS:
            raise ValueError(f"`composition` has to be one of {', '.join(COMPOSITIONS)} but is {composition!r}")
        bids = _as_lists(bids)
        for name, value in (("agent_prompts", agent_prompts), ("bids", bids)):
            if isinstance(value, str) or not isinstance(value, Sequence):
                raise ValueError(f"`{name}` has to be a list but is {value!r}")
        if isinstance(base_prompt, str):
            bases, agents, vectors = [base_prompt], [agent_prompts], [bids]
        else:
            bases, agents, vectors = list(base_prompt), list(agent_prompts), list(bids)
        if not len(bases) == len(agents) == len(vectors) > 0:
            raise ValueError(
                "`base_prompt`, `agent_prompts` and `bids` have to be of one length but have "
                f"{len(bases)}, {len(agents)} and {len(vectors)} entries"
            )
        scenarios = [Scenario(base, tuple(prompts)) for base, prompts in zip(bases, agents, strict=True)]
        for scenario, vector in zip(scenarios, vectors, strict=True):
            if len(vector) != scenario.n_agents:
                raise ValueError(f"`bids` has to hold {scenario.n_agents} bids, one per agent prompt, but is {vector}")
            if not all(isinstance(bid, int | float | np.number) and math.isfinite(bid) and bid >= 0 for bid in vector):
                raise ValueError(f"`bids` have to be finite numbers that are not negative but are {vector}")
        return scenarios, [tuple(float(bid) for bid in vector) for vector in vectors]

    def encode_branches(
        self, scenarios: Sequence[Scenario], weights: Sequence[Weights], k: int, max_sequence_length: int
    ) -> Branches:
        """Encode each distinct coalition prompt once; lay out the branches of k samples per scenario."""
        prompts: dict[str, int] = {}
        rows: list[tuple[int, int, float]] = []
        for i, (scenario, parts) in enumerate(zip(scenarios, weights, strict=True)):
            numbered = [
                (prompts.setdefault(scenario.coalition_prompt(coalition), len(prompts)), weight)
                for coalition, weight in parts.items()
            ]
            rows += [(i * k + s, prompt, weight) for s in range(k) for prompt, weight in numbered]
        embeds, pooled, _ = self.encode_prompt(list(prompts), max_sequence_length=max_sequence_length)
        sample, prompt, weight = zip(*rows, strict=True)
        return Branches(embeds, pooled, torch.tensor(sample), torch.tensor(prompt), torch.tensor(weight))

    @contextmanager
    def _composed(self, branches: Branches, max_branches: int | None) -> Iterator[ComposedTransformer]:
        """The pipeline with its transformer composed, for the time of one call."""
        transformer = self.transformer
        composed = ComposedTransformer(transformer, branches, max_branches)
        self.transformer = composed
        try:
            yield composed
        finally:
            self.transformer = transformer

    def maybe_free_model_hooks(self) -> None:
        """Offload the models, the transformer itself and not the wrapper that stands in for it during a call."""
        if isinstance(self.transformer, ComposedTransformer):
            self.transformer = self.transformer.inner
        super().maybe_free_model_hooks()

    def _sigmas(self, schedule: str, steps: int) -> list[float] | None:
        if schedule == "flux":
            return None  # FluxPipeline's own
        return np.linspace(1.0, float(self.scheduler.sigma_min), steps).tolist()


def _as_lists(bids: Any) -> Any:
    """`bids` with lists in the place of arrays and tensors."""
    if isinstance(bids, np.ndarray | Tensor):
        return bids.tolist()
    return [_as_lists(each) for each in bids] if isinstance(bids, list | tuple) else bids
