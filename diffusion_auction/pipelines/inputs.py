"""The checked arguments of a call: scenarios and bids, and embeddings in their place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffusion_auction.pipelines.branches import Branches
from diffusion_auction.scenarios import Scenario


def scenarios_and_bids(
    base_prompt: str | Sequence[str], agent_prompts: Sequence[Any] | None, bids: Sequence[Any] | None
) -> tuple[list[Scenario], list[tuple[float, ...]]]:
    """The batch's scenarios and bids, checked; raises `ValueError` naming the argument and its value."""
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
    """`bids` with lists in the place of arrays and tensors."""
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
    if not all(isinstance(bid, int | float | np.number) and math.isfinite(bid) and bid >= 0 for bid in vector):
        raise ValueError(f"`bids` have to be finite numbers that are not negative but are {vector}")


def check_one_source(**given: Any) -> None:
    """Exactly one of the arguments `given` says what to draw; raises `ValueError` naming those that do, or all."""
    named = [f"`{name}`" for name, value in given.items() if value is not None]
    if len(named) != 1:
        choices = ", ".join(f"`{name}`" for name in given)
        raise ValueError(f"exactly one of {choices} has to be given, but given: {', '.join(named) or 'none'}")


def check_embeds(name: str, embeds: Tensor | None, pooled: Tensor | None) -> tuple[Tensor, Tensor]:
    """A sequence and a pooled embedding of each prompt; raises `ValueError` naming the argument and its shape."""
    pooled_name = f"{name.removesuffix('prompt_embeds')}pooled_prompt_embeds"
    if embeds is None or pooled is None:
        raise ValueError(f"`{name}` and `{pooled_name}` have to be given together")
    if embeds.ndim != 3 or pooled.ndim != 2 or len(embeds) != len(pooled):
        raise ValueError(
            f"`{name}` and `{pooled_name}` have to be of shapes (prompts, tokens, channels) and (prompts, channels) "
            f"but are of {tuple(embeds.shape)} and {tuple(pooled.shape)}"
        )
    return embeds, pooled


def negative_branches(embeds: Tensor, pooled: Tensor, branches: Branches) -> Branches:
    """One negative prompt for each sample of `branches`, or the only one for all; raises `ValueError`."""
    if len(embeds) not in (1, len(branches)):
        raise ValueError(
            f"`negative_prompt` has to be one text, or {len(branches)}, one per base prompt, but are {len(embeds)}"
        )
    prompt = torch.zeros(len(branches), dtype=torch.long) if len(embeds) == 1 else torch.arange(len(branches))
    return Branches.of_prompts(embeds, pooled, prompt)
