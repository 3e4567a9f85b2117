"""`FluxPipelineAuction`: a `FluxPipeline` in which several agents' prompts share the denoising by bid."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial, wraps
from typing import Any, Self

import numpy as np
import torch
from diffusers import FluxPipeline, FluxTransformer2DModel
from diffusers.image_processor import PipelineImageInput
from diffusers.pipelines.flux.pipeline_flux import calculate_shift, retrieve_timesteps
from diffusers.pipelines.flux.pipeline_output import FluxPipelineOutput
from torch import Tensor

from diffusion_auction.market.compositions import Weights, weights_of
from diffusion_auction.pipelines.branches import Branches
from diffusion_auction.pipelines.composed_velocity import check_caches, composed_velocity
from diffusion_auction.pipelines.inputs import (
    check_embeds,
    check_latents,
    check_returned,
    check_settings,
    check_size,
    check_source,
    negative_branches,
    scenarios_and_bids,
)
from diffusion_auction.pipelines.prompt_length import check_length, unknown_words
from diffusion_auction.tiny_flux import WEIGHTS

_LOG = logging.getLogger(__name__)


class FluxPipelineAuction(FluxPipeline):
    """Loads with `from_pretrained` from any Flux directory, hub name or "tiny_flux", and composes prompts by bid.

    What `FluxPipeline` takes is taken here too (LoRA, IP-Adapter, true classifier-free guidance, caches, offloading,
    components that are None), but for `prompt_2`: both text encoders read the same prompt. A base prompt without
    agents makes the image of `FluxPipeline`.

    `sample_passes` is the number of sample passes of the last call.
    """

    transformer: FluxTransformer2DModel

    @wraps(FluxPipeline.__init__)  # type: ignore[misc]  # diffusers reads the components from the signature
    def __init__(self, *args: Any, **components: Any) -> None:
        super().__init__(*args, **components)
        if self.vae is not None:  # the size that it was made for: 1024 px for FLUX.1, 64 px for the embedded model
            self.default_sample_size = self.vae.config.sample_size // self.vae_scale_factor
        self.sample_passes = 0

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any) -> Self:
        """Load as `FluxPipeline` does; "tiny_flux" is the embedded model unless a folder has that name."""
        embedded = str(pretrained_model_name_or_path) == "tiny_flux" and not os.path.isdir("tiny_flux")
        place = WEIGHTS / "flux" if embedded else pretrained_model_name_or_path
        loaded: Self = super().from_pretrained(place, **kwargs)
        return loaded

    @torch.no_grad()
    def __call__(
        self,
        base_prompt: str | Sequence[str] | None = None,
        agent_prompts: Sequence[str] | Sequence[Sequence[str]] | None = None,
        bids: Sequence[float] | Sequence[Sequence[float]] | None = None,
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
        callback_on_step_end: Callable[..., Any] | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        max_sequence_length: int | None = None,
        max_branches: int | None = None,
        branches: Branches | None = None,
        prompt_embeds: Tensor | None = None,
        pooled_prompt_embeds: Tensor | None = None,
        negative_prompt: str | list[str] | None = None,
        negative_prompt_embeds: Tensor | None = None,
        negative_pooled_prompt_embeds: Tensor | None = None,
        true_cfg_scale: float = 1.0,
        ip_adapter_image: PipelineImageInput | None = None,
        ip_adapter_image_embeds: list[Tensor] | None = None,
        negative_ip_adapter_image: PipelineImageInput | None = None,
        negative_ip_adapter_image_embeds: list[Tensor] | None = None,
        sigmas: list[float] | None = None,
    ) -> FluxPipelineOutput | tuple[Any]:
        """Generate images whose denoiser is composed by bid.

        Args:
            base_prompt: the base prompt c, or one per scenario of the batch.
            agent_prompts: c_1…c_n, or one such list per scenario.
            bids: b_1…b_n (non-negative, finite), or one such list per scenario, as lists, arrays or tensors; all zero
                means base prompt only.
            composition: name of a composition, or a function from bids to coalition weights (`weights_of`).
            height: pixels; default, the size that the autoencoder was made for.
            width: pixels; default, the size that the autoencoder was made for.
            num_inference_steps: Euler steps; the paper takes 5.
            schedule: "flux", σ = linspace(1, 1/steps), or "paper", σ = linspace(1, σ_min), as the authors ran it:
                its last step, from σ_min = 0.001, changes next to nothing.
            guidance_scale: for guidance-distilled models (FLUX.1-dev); others ignore it.
            num_images_per_prompt: k candidates per scenario.
            generator: one, or one per image (scenario-major); CPU generators give the same noise on every device.
            latents: packed noise (images, tokens, channels) instead of the generator's.
            output_type: "pil", "np", "pt" or "latent", as in `FluxPipeline`.
            return_dict: whether to return a `FluxPipelineOutput` instead of a tuple.
            callback_on_step_end: called after each step, as in `FluxPipeline`; returns a dict of tensors to replace.
            callback_on_step_end_tensor_inputs: the names of the tensors that the callback receives, as in
                `FluxPipeline`; its `prompt_embeds` are those of the P distinct prompts.
            joint_attention_kwargs: as in `FluxPipeline`; its `scale` is that of LoRA layers, of the text encoders too.
            max_sequence_length: T5 tokens; default, what the tokenizer says, at most 256.
            max_branches: sample passes in one transformer call; default, all of them.
            branches: what `encode_branches` made, in the place of base prompt, agents' prompts, bids and composition:
                no text encoder is needed.
            prompt_embeds: T5 sequences (B, L, D) instead of `base_prompt`: one prompt per image, composed with no
                other.
            pooled_prompt_embeds: the pooled CLIP embeddings (B, D') of the same prompts.
            negative_prompt: what to steer away from, one per scenario or one for all.
            negative_prompt_embeds: T5 sequences of the negative prompts, instead of `negative_prompt`.
            negative_pooled_prompt_embeds: their pooled CLIP embeddings.
            true_cfg_scale: scale of true classifier-free guidance against the composed velocity,
                v_neg + scale · (v_b − v_neg).
            ip_adapter_image: an image prompt, as in `FluxPipeline`; it goes into every branch.
            ip_adapter_image_embeds: embeddings of image prompts, one tensor per IP-Adapter.
            negative_ip_adapter_image: the image prompt of the negative pass.
            negative_ip_adapter_image_embeds: embeddings of it, one tensor per IP-Adapter.
            sigmas: noise levels in the place of `schedule`'s.

        Returns:
            `FluxPipelineOutput`, or `(images,)`; images are scenario-major, k per scenario.

        Raises:
            ValueError: naming the argument that is wrong; of `max_sequence_length`, if a prompt would lose an agent's
                words.
        """
        check_source(base_prompt, branches, prompt_embeds, pooled_prompt_embeds)
        if base_prompt is None and not (agent_prompts is None and bids is None):
            raise ValueError(
                "`agent_prompts` and `bids` have to be given with `base_prompt`, from which they are encoded"
            )
        if branches is not None:
            prompt_embeds, pooled_prompt_embeds = branches.prompt_embeds, branches.pooled_prompt_embeds
        height = height or self.default_sample_size * self.vae_scale_factor
        width = width or self.default_sample_size * self.vae_scale_factor
        check_size(height, width, 2 * self.vae_scale_factor)
        check_settings(
            schedule=schedule,
            **({"num_inference_steps": num_inference_steps} if sigmas is None else {"sigmas": sigmas}),
            num_images_per_prompt=num_images_per_prompt,
            max_branches=max_branches,
            max_sequence_length=max_sequence_length,
            true_cfg_scale=true_cfg_scale,
            negative_prompt=negative_prompt,
            generator=generator,
            joint_attention_kwargs=joint_attention_kwargs,
            callback_on_step_end=callback_on_step_end,
        )
        self.check_inputs(
            prompt=None if base_prompt is None else "",  # what it says is checked with the bids
            prompt_2=None,
            height=height,
            width=width,
            negative_prompt=negative_prompt,
            prompt_embeds=prompt_embeds,
            negative_prompt_embeds=negative_prompt_embeds,
            pooled_prompt_embeds=pooled_prompt_embeds,
            negative_pooled_prompt_embeds=negative_pooled_prompt_embeds,
            callback_on_step_end_tensor_inputs=callback_on_step_end_tensor_inputs,
            max_sequence_length=max_sequence_length,
        )
        self._guidance_scale = guidance_scale
        self._joint_attention_kwargs = dict(joint_attention_kwargs or {})
        self._current_timestep = None
        self._interrupt = False
        self.sample_passes = 0
        device, lora_scale = self._execution_device, self._joint_attention_kwargs.get("scale")

        # The branches of every image, and beside them the negative prompts
        if base_prompt is not None:
            branches = self.encode_branches(
                base_prompt,
                agent_prompts,
                bids,
                composition,
                max_sequence_length=max_sequence_length,
                lora_scale=lora_scale,
            )
        else:
            name = "prompt_embeds" if branches is None else "branches.prompt_embeds"
            embeds, pooled = check_embeds(name, prompt_embeds, pooled_prompt_embeds, *self._embedding_channels)
            if branches is None:
                branches = Branches.of_prompts(embeds, pooled, torch.arange(len(embeds)))
        negative = None
        if true_cfg_scale > 1 and (negative_prompt is not None or negative_prompt_embeds is not None):
            encoded = self._encode_negative(
                negative_prompt, negative_prompt_embeds, negative_pooled_prompt_embeds, branches, lora_scale
            )
            negative = negative_branches(*encoded, branches).repeated(num_images_per_prompt).to(device)
        branches = branches.repeated(num_images_per_prompt).to(device)
        check_caches(self.transformer, len(branches.sample), max_branches, guided=negative is not None)

        # Noise, noise levels and what else the transformer is given
        dtype = branches.prompt_embeds.dtype
        channels = self.transformer.config.in_channels // 4
        if latents is not None:
            pixels = 2 * self.vae_scale_factor  # across an image token
            tokens = (int(height) // pixels) * (int(width) // pixels)
            check_latents(latents, (len(branches), tokens, 4 * channels))
        latents, image_ids = self.prepare_latents(
            len(branches), channels, height, width, dtype, device, generator, latents
        )
        sigmas = self._sigmas(schedule, num_inference_steps) if sigmas is None else sigmas
        timesteps = self._timesteps(num_inference_steps, sigmas, latents)
        guidance = None
        if self.transformer.config.guidance_embeds:
            check_settings(guidance_scale=guidance_scale)
            guidance = torch.full([len(branches)], guidance_scale, device=device, dtype=torch.float32)
        adapted = partial(self._image_embeds, size=(width, height), count=len(branches))
        negative_given = negative_ip_adapter_image is not None or negative_ip_adapter_image_embeds is not None
        image_embeds = adapted(ip_adapter_image, ip_adapter_image_embeds, black=negative_given)
        black = image_embeds is not None and negative is not None
        negative_image_embeds = adapted(negative_ip_adapter_image, negative_ip_adapter_image_embeds, black=black)

        given = {"guidance": guidance, "img_ids": image_ids, "max_branches": max_branches}
        self.scheduler.set_begin_index(0)
        with self.progress_bar(total=len(timesteps)) as progress_bar:
            for step, timestep in enumerate(timesteps):
                if self.interrupt:
                    continue
                self._current_timestep = timestep
                direction = self._velocity(branches, latents, image_embeds, context="cond", **given)
                if negative is not None:
                    away = self._velocity(negative, latents, negative_image_embeds, context="uncond", **given)
                    direction = away + true_cfg_scale * (direction - away)
                latents = self.scheduler.step(direction, timestep, latents, return_dict=False)[0].to(latents.dtype)
                if callback_on_step_end is not None:
                    tensors = {"latents": latents, "prompt_embeds": branches.prompt_embeds}
                    chosen = {name: tensors[name] for name in callback_on_step_end_tensor_inputs}
                    tensors |= check_returned(callback_on_step_end(self, step, timestep, chosen))
                    latents = tensors["latents"]
                    branches = replace(branches, prompt_embeds=tensors["prompt_embeds"])
                progress_bar.update()
        self._current_timestep = None

        images = latents if output_type == "latent" else self._decoded(latents, height, width, output_type)
        self.maybe_free_model_hooks()
        return FluxPipelineOutput(images=images) if return_dict else (images,)

    @torch.no_grad()
    def encode_branches(
        self,
        base_prompt: str | Sequence[str],
        agent_prompts: Sequence[str] | Sequence[Sequence[str]] | None = None,
        bids: Sequence[float] | Sequence[Sequence[float]] | None = None,
        composition: str | Callable[[tuple[float, ...]], Weights] = "recursive",
        *,
        max_sequence_length: int | None = None,
        lora_scale: float | None = None,
    ) -> Branches:
        """Encode each distinct coalition prompt of a batch once.

        What it returns goes into a call as `branches`, whole or in parts, and then needs no text encoder:

            branches = pipe.encode_branches([c] * len(bids), [agents] * len(bids), bids)
            pipe.text_encoder = pipe.text_encoder_2 = None
            images = [pipe(branches=each).images for each in branches]

        Args:
            base_prompt: the base prompt c, or one per scenario of the batch.
            agent_prompts: c_1…c_n, or one such list per scenario.
            bids: b_1…b_n (non-negative, finite), or one such list per scenario.
            composition: name of a composition, or a function from bids to coalition weights.
            max_sequence_length: T5 tokens; default, what the tokenizer says, at most 256.
            lora_scale: scale of the LoRA layers of the text encoders.

        Returns:
            The branches of one sample per scenario.

        Raises:
            ValueError: naming the argument that is wrong; of `max_sequence_length`, if a prompt would lose an agent's
                words.
        """
        scenarios, vectors = scenarios_and_bids(base_prompt, agent_prompts, bids)
        check_settings(max_sequence_length=max_sequence_length)
        weights = [weights_of(composition, vector) for vector in vectors]
        self._check_text_encoders("base_prompt", "branches")
        length = max_sequence_length or min(256, self.tokenizer_2.model_max_length)
        sold = (
            scenario.coalition_prompt(coalition)
            for scenario, parts in zip(scenarios, weights, strict=True)
            for coalition in parts
            if coalition
        )
        check_length(self.tokenizer_2, self.maybe_convert_prompt(list(sold), self.tokenizer_2), length)
        texts = [text for scenario in scenarios for text in (scenario.base_prompt, *scenario.agent_prompts)]
        if unknown := unknown_words(self.tokenizer_2, self.maybe_convert_prompt(texts, self.tokenizer_2)):
            _LOG.warning("words that the text encoder has no token for, and does not read: %s", ", ".join(unknown))
        prompts: dict[str, int] = {}
        rows = [
            (sample, prompts.setdefault(scenario.coalition_prompt(coalition), len(prompts)), weight)
            for sample, (scenario, parts) in enumerate(zip(scenarios, weights, strict=True))
            for coalition, weight in parts.items()
        ]
        embeds, pooled, _ = self.encode_prompt(list(prompts), max_sequence_length=length, lora_scale=lora_scale)
        sample, prompt, weight = zip(*rows, strict=True)
        return Branches(embeds, pooled, torch.tensor(sample), torch.tensor(prompt), torch.tensor(weight))

    def _check_text_encoders(self, argument: str, instead: str) -> None:
        """Raise `ValueError` unless the pipeline can encode texts."""
        parts = ("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")
        if absent := [f"`{part}`" for part in parts if getattr(self, part, None) is None]:
            are = "are" if len(absent) > 1 else "is"
            raise ValueError(f"`{argument}` cannot be encoded, since {', '.join(absent)} {are} None: give `{instead}`")

    def _encode_negative(
        self,
        prompt: str | list[str] | None,
        embeds: Tensor | None,
        pooled: Tensor | None,
        branches: Branches,
        lora_scale: float | None,
    ) -> tuple[Tensor, Tensor]:
        """Return the negative prompts, (1 or B, L, D) and (1 or B, D'), of the length of `branches`."""
        length = branches.prompt_embeds.shape[1]
        if embeds is None:
            self._check_text_encoders("negative_prompt", "negative_prompt_embeds")
            embeds, pooled, _ = self.encode_prompt(prompt, max_sequence_length=length, lora_scale=lora_scale)
            return embeds, pooled
        embeds, pooled = check_embeds("negative_prompt_embeds", embeds, pooled, *self._embedding_channels)
        if embeds.shape[1:] != branches.prompt_embeds.shape[1:]:
            raise ValueError(
                "`negative_prompt_embeds` and the embeddings of the prompts must have the same shape when passed "
                f"directly, but each is of {tuple(embeds.shape[1:])} and {tuple(branches.prompt_embeds.shape[1:])}"
            )
        return embeds, pooled

    @property
    def _embedding_channels(self) -> tuple[int, int]:
        """Return the widths that the transformer reads: D of a sequence's embeddings, D' of a pooled one."""
        return self.transformer.config.joint_attention_dim, self.transformer.config.pooled_projection_dim

    def _velocity(self, branches: Branches, latents: Tensor, image_embeds: list[Tensor] | None, **given: Any) -> Tensor:
        """Compose the velocity of `branches` at `latents` and the current timestep, with image prompts if any."""
        if image_embeds is not None:
            self._joint_attention_kwargs["ip_adapter_image_embeds"] = image_embeds
        self.sample_passes += len(branches.sample)
        return composed_velocity(
            self.transformer,
            branches,
            hidden_states=latents,
            timestep=self.current_timestep.expand(len(branches)).to(latents.dtype) / 1000,
            joint_attention_kwargs=self.joint_attention_kwargs,
            txt_ids=torch.zeros(branches.prompt_embeds.shape[1], 3, device=latents.device, dtype=latents.dtype),
            **given,
        )

    def _timesteps(self, steps: int, sigmas: Any, latents: Tensor) -> Tensor:
        """Set the scheduler to its noise levels, shifted as `FluxPipeline` does by the number of image tokens."""
        config = self.scheduler.config
        shift = calculate_shift(
            latents.shape[1],
            config.get("base_image_seq_len", 256),
            config.get("max_image_seq_len", 4096),
            config.get("base_shift", 0.5),
            config.get("max_shift", 1.15),
        )
        sigmas = None if config.get("use_flow_sigmas") else sigmas
        timesteps: Tensor
        timesteps, _ = retrieve_timesteps(self.scheduler, steps, latents.device, sigmas=sigmas, mu=shift)
        self._num_timesteps = len(timesteps)
        return timesteps

    def _sigmas(self, schedule: str, steps: int) -> list[float]:
        last = 1 / steps if schedule == "flux" else float(self.scheduler.sigma_min)
        return [float(sigma) for sigma in np.linspace(1.0, last, steps)]

    def _image_embeds(
        self, image: Any, embeds: list[Tensor] | None, *, black: bool, size: tuple[int, int], count: int
    ) -> list[Tensor] | None:
        """Return each IP-Adapter's embeddings of `image`, a row per sample, or those of a black one if `black`."""
        if image is None and embeds is None:
            if not black:
                return None
            image = [np.zeros((*size, 3), dtype=np.uint8)] * self.transformer.encoder_hid_proj.num_ip_adapters
        prepared: list[Tensor] = self.prepare_ip_adapter_image_embeds(image, embeds, self._execution_device, count)
        return prepared

    def _decoded(self, latents: Tensor, height: int, width: int, output_type: str) -> Any:
        """Return the images of packed `latents`, as `output_type` wants them."""
        config = self.vae.config
        latents = self._unpack_latents(latents, height, width, self.vae_scale_factor)
        latents = latents / config.scaling_factor + config.shift_factor
        pixels = self.vae.decode(latents, return_dict=False)[0]
        return self.image_processor.postprocess(pixels, output_type=output_type)
