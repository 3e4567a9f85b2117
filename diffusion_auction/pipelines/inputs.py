"""The checked arguments of a call: scenarios and bids, embeddings in their place, and settings."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffusion_auction.market.scenarios import Scenario
from diffusion_auction.pipelines.branches import Branches

SCHEDULES = ("flux", "paper")


def scenarios_and_bids(
    base_prompt: str | Sequence[str], agent_prompts: Sequence[Any] | None, bids: Sequence[Any] | None
) -> tuple[list[Scenario], list[tuple[float, ...]]]:
    """Check the batch's scenarios and bids and return them. Raises `ValueError` naming the argument and its value."""
    several = not isinstance(base_prompt, str)
    if several and not isinstance(base_prompt, Sequence):
        raise ValueError(f"`base_prompt` has to be a text, or a list of texts, but is {base_prompt!r}")
    if agent_prompts is None and bids is None:
        agent_prompts = bids = [()] * len(base_prompt) if several else ()
    bids = _as_lists(bids)
    for name, value in (("agent_prompts", agent_prompts), ("bids", bids)):
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise ValueError(f"`{name}` has to be a list but is {value!r}")
    bases: list[Any] = list(base_prompt) if several else [base_prompt]
    agents, vectors = (list(agent_prompts or ()), list(bids or ())) if several else ([agent_prompts], [bids])
    if not len(bases) == len(agents) == len(vectors) > 0:
        raise ValueError(
            "`base_prompt`, `agent_prompts` and `bids` have to be of one length but have "
            f"{len(bases)}, {len(agents)} and {len(vectors)} entries"
        )
    _check_texts(bases, agents)
    scenarios = [Scenario(base, tuple(prompts)) for base, prompts in zip(bases, agents, strict=True)]
    for scenario, vector in zip(scenarios, vectors, strict=True):
        _check_bids(scenario, vector)
    return scenarios, [tuple(float(bid) for bid in vector) for vector in vectors]


def _as_lists(bids: Any) -> Any:
    """Return `bids` with lists in the place of arrays and tensors."""
    if isinstance(bids, np.ndarray | Tensor):
        return bids.tolist()
    return [_as_lists(each) for each in bids] if isinstance(bids, list | tuple) else bids


def _check_texts(bases: list[Any], agents: list[Any]) -> None:
    for base in bases:
        if not isinstance(base, str):
            raise ValueError(f"`base_prompt` has to be a text, or a list of texts, but holds {base!r}")
    for prompts in agents:
        if isinstance(prompts, str) or not isinstance(prompts, Sequence):
            raise ValueError(f"`agent_prompts` has to be a list per base prompt but holds {prompts!r}")
        if wrong := [prompt for prompt in prompts if not isinstance(prompt, str)]:
            raise ValueError(f"`agent_prompts` has to hold texts but holds {wrong[0]!r}")


def _check_bids(scenario: Scenario, vector: Any) -> None:
    if not isinstance(vector, Sequence) or len(vector) != scenario.n_agents:
        raise ValueError(f"`bids` has to hold {scenario.n_agents} bids, one per agent prompt, but is {vector}")
    if not all(_is_number(bid) and bid >= 0 for bid in vector):
        raise ValueError(f"`bids` have to be finite numbers that are not negative but are {vector}")


def check_source(base_prompt: Any, branches: Any, prompt_embeds: Any, pooled_prompt_embeds: Any) -> None:
    """Check that exactly one argument says what to draw. Raises `ValueError` naming those that do, or all."""
    given = {"base_prompt": base_prompt, "branches": branches, "prompt_embeds": prompt_embeds}
    named = [f"`{name}`" for name, value in given.items() if value is not None]
    if len(named) != 1:
        choices = ", ".join(f"`{name}`" for name in given)
        raise ValueError(f"exactly one of {choices} has to be given, but given: {', '.join(named) or 'none'}")
    if pooled_prompt_embeds is not None and prompt_embeds is None:
        raise ValueError(f"`pooled_prompt_embeds` has to be given with `prompt_embeds` but is given with {named[0]}")
    if branches is not None:
        _expect(isinstance(branches, Branches), "branches", "what `encode_branches` made", type(branches))


def check_embeds(name: str, embeds: Any, pooled: Any, channels: int, pooled_channels: int) -> tuple[Tensor, Tensor]:
    """Check a sequence and a pooled embedding of each prompt. Raises `ValueError` naming the argument and its shape."""
    pooled_name = f"{name.removesuffix('prompt_embeds')}pooled_prompt_embeds"
    if embeds is None or pooled is None:
        raise ValueError(f"`{name}` and `{pooled_name}` have to be given together")
    for argument, value in ((name, embeds), (pooled_name, pooled)):
        floating = isinstance(value, Tensor) and value.is_floating_point()
        _expect(floating, argument, "a tensor of floating point numbers", getattr(value, "dtype", type(value)))
    fits = embeds.ndim == 3 and embeds.numel() and embeds.shape[2] == channels
    if not fits or pooled.shape != (len(embeds), pooled_channels):
        raise ValueError(
            f"`{name}` and `{pooled_name}` have to be of shapes (prompts, tokens, {channels}) and (prompts, "
            f"{pooled_channels}) but are of {tuple(embeds.shape)} and {tuple(pooled.shape)}"
        )
    return embeds, pooled


def negative_branches(embeds: Tensor, pooled: Tensor, branches: Branches) -> Branches:
    """Return a branch for the negative prompt of each sample of `branches`, or the only one. Raises `ValueError`."""
    if len(embeds) not in (1, len(branches)):
        raise ValueError(
            f"`negative_prompt` has to be one text, or {len(branches)}, one per base prompt, but are {len(embeds)}"
        )
    prompt = torch.zeros(len(branches), dtype=torch.long) if len(embeds) == 1 else torch.arange(len(branches))
    return Branches.of_prompts(embeds, pooled, prompt)


def check_settings(**settings: Any) -> None:
    """Check the settings of a call, given by their names.

    Raises:
        ValueError: naming the argument and its value.
    """
    for name, value in settings.items():
        if value is not None or name in _REQUIRED:
            fits, wanted = _SETTINGS[name]
            _expect(fits(value), name, wanted, value)


def check_size(height: Any, width: Any, least: int) -> None:
    """Check that there are pixels for one image token. `FluxPipeline` rounds what is no multiple of `least` down."""
    for name, pixels in (("height", height), ("width", width)):
        _expect(_is_number(pixels) and pixels >= least, name, f"at least {least} pixels", pixels)


def check_latents(latents: Any, shape: tuple[int, ...]) -> None:
    """Check packed noise of `shape`. Raises `ValueError` naming the argument and its shape."""
    found = tuple(latents.shape) if isinstance(latents, Tensor) else type(latents)
    _expect(found == shape, "latents", f"a tensor of shape (images, tokens, channels) = {shape}", found)


def check_returned(tensors: Any) -> dict[str, Any]:
    """Check what the callback of a step returned. Raises `ValueError` unless it is a dict."""
    if not isinstance(tensors, dict):
        raise ValueError(
            f"`callback_on_step_end` has to return a dict of tensors, {{}} for none, but returned {tensors!r}"
        )
    return tensors


def _is_number(value: Any) -> bool:
    """Return whether `value` is a real number that is finite as a float."""
    try:
        return isinstance(value, Real) and math.isfinite(value)
    except OverflowError:  # an integer beyond every float
        return False


def _expect(holds: bool, name: str, wanted: str, value: Any) -> None:
    if not holds:
        raise ValueError(f"`{name}` has to be {wanted} but is {value!r}")


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and int(value) >= 1


def _are_levels(sigmas: Any) -> bool:
    levels = _as_lists(sigmas)
    return isinstance(levels, list) and len(levels) > 0 and all(_is_number(level) and level >= 0 for level in levels)


def _one_or_several(kind: type) -> Callable[[Any], bool]:
    """Return the test whether a value is of `kind`, or a list of one or more such."""

    def holds(value: Any) -> bool:
        several = value if isinstance(value, list) else [value]
        return len(several) > 0 and all(isinstance(each, kind) for each in several)

    return holds


_WHOLE = "a whole number of at least 1"
_SETTINGS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "schedule": (lambda value: value in SCHEDULES, f"one of {', '.join(SCHEDULES)}"),
    "num_inference_steps": (_is_whole, _WHOLE),
    "sigmas": (_are_levels, "a list of one or more finite numbers that are not negative"),
    "num_images_per_prompt": (_is_whole, _WHOLE),
    "max_branches": (_is_whole, _WHOLE),
    "max_sequence_length": (_is_whole, _WHOLE),
    "guidance_scale": (_is_number, "a finite number"),
    "true_cfg_scale": (_is_number, "a finite number"),
    "negative_prompt": (_one_or_several(str), "a text, or a list of one or more texts,"),
    "generator": (_one_or_several(torch.Generator), "a torch.Generator, or a list of one per image,"),
    "joint_attention_kwargs": (lambda value: isinstance(value, Mapping), "a dict"),
    "callback_on_step_end": (callable, "a function"),
}
"""Each setting of a call, with the test of its value and a description of valid values."""

_REQUIRED = {"schedule", "num_inference_steps", "num_images_per_prompt", "guidance_scale", "true_cfg_scale"}
"""Settings that may not be None."""
