"""What `FluxPipeline` does `FluxPipelineAuction` does too, to the same image; and does it to composed prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import FluxPipeline

from diffusion_auction.pipelines import Branches, FluxPipelineAuction
from tests.small_models import flux_components, ip_adapter_state

STEPS = 4
BASE, AGENTS, BIDS = "a pool", ("a mug", "red cans"), (0.7, 0.3)
JOINT = "a pool, featuring a mug and red cans"  # of weight .6; the rest is the first agent's own
SOLO = "a pool, featuring a mug"
BOTH = [FluxPipeline, FluxPipelineAuction]


def made(cls: type[FluxPipeline], components: dict[str, Any]) -> Any:
    pipe = cls(**components)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture
def components() -> dict[str, Any]:
    return flux_components()


@pytest.fixture
def pipes(components: dict[str, Any]) -> tuple[FluxPipeline, FluxPipelineAuction]:
    """Both on the same components."""
    plain, auction = (made(cls, components) for cls in BOTH)
    return plain, auction


def draw(pipe: Any, *prompt: Any, seeds: tuple[int, ...] = (0,), **kwargs: Any) -> torch.Tensor:
    """Images float32 (B, 3, 16, 16), or latents, from the noise of `seeds`."""
    settings = {"height": 16, "width": 16, "num_inference_steps": STEPS, "output_type": "pt", "max_sequence_length": 48}
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    return pipe(*prompt, **{**settings, "generator": generators, **kwargs}).images


def sold(pipe: FluxPipelineAuction, **kwargs: Any) -> torch.Tensor:
    """What two agents share at bids (.7, .3)."""
    return draw(pipe, BASE, AGENTS, BIDS, **kwargs)


def encoded(pipe: FluxPipeline, prompt: str | list[str], name: str = "") -> dict[str, torch.Tensor]:
    embeds, pooled, _ = pipe.encode_prompt(prompt, max_sequence_length=48)
    return {f"{name}prompt_embeds": embeds, f"{name}pooled_prompt_embeds": pooled}


def same(first: torch.Tensor, second: torch.Tensor) -> bool:
    return torch.allclose(first, second, atol=1e-5)


# --- a base prompt alone: the same arguments, the same image ---------------------------------------


def red(pipe: FluxPipeline, step: int, timestep: Any, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A callback that puts other embeddings in the place of the prompt's."""
    return {"prompt_embeds": tensors["prompt_embeds"].flip(1), "latents": tensors["latents"] * 0.9}


def stop(pipe: FluxPipeline, step: int, timestep: Any, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    pipe._interrupt = step == 1
    return {}


ARGUMENTS: dict[str, dict[str, Any]] = {
    "nothing more": {},
    "size": {"height": 32, "width": 24},
    "several images": {"num_images_per_prompt": 2, "seeds": (0, 1)},
    "latents": {"latents": torch.randn(1, 64, 4, generator=torch.Generator().manual_seed(3))},
    "sigmas": {"sigmas": [1.0, 0.7, 0.2], "num_inference_steps": 3},
    "arrays": {"output_type": "np"},
    "latent": {"output_type": "latent"},
    "true guidance": {"negative_prompt": "a dog", "true_cfg_scale": 3.0},
    "no guidance": {"negative_prompt": "a dog"},
    "a callback": {"callback_on_step_end": red, "callback_on_step_end_tensor_inputs": ["latents", "prompt_embeds"]},
    "an interruption": {"callback_on_step_end": stop, "output_type": "latent"},
}


@pytest.mark.parametrize("arguments", ARGUMENTS.values(), ids=ARGUMENTS)
def test_a_base_prompt_alone_is_flux(pipes: Any, arguments: dict[str, Any]) -> None:
    theirs, ours = (draw(pipe, BASE, **arguments) for pipe in pipes)
    assert theirs.shape == ours.shape
    assert same(torch.as_tensor(theirs), torch.as_tensor(ours))
    if arguments.keys() - {"negative_prompt", "seeds"}:
        assert (
            theirs.shape != (plain := draw(pipes[0], BASE)).shape
            or not same(torch.as_tensor(theirs), plain)
            or (arguments == {"output_type": "pt"})
        )


def test_several_base_prompts_are_flux(pipes: Any) -> None:
    arguments = {"negative_prompt": ["a dog", "a cat"], "true_cfg_scale": 2.0, "seeds": (4, 5)}
    theirs, ours = (draw(pipe, [BASE, JOINT], **arguments) for pipe in pipes)
    assert same(theirs, ours)


def test_embeddings_in_the_place_of_prompts_are_flux(pipes: Any) -> None:
    given = encoded(pipes[0], [BASE, JOINT]) | encoded(pipes[0], ["a dog", "a cat"], "negative_")
    theirs, ours = (draw(pipe, **given, true_cfg_scale=2.0, seeds=(4, 5)) for pipe in pipes)
    assert same(theirs, ours)
    assert same(
        ours, draw(pipes[1], [BASE, JOINT], negative_prompt=["a dog", "a cat"], true_cfg_scale=2.0, seeds=(4, 5))
    )


def test_a_distilled_model_is_flux() -> None:
    plain, auction = (made(cls, flux_components(guidance_embeds=True)) for cls in BOTH)
    assert same(draw(plain, BASE, guidance_scale=2.0), draw(auction, BASE, guidance_scale=2.0))
    assert not same(sold(auction, guidance_scale=2.0), sold(auction, guidance_scale=7.0))


@pytest.mark.parametrize("cls", BOTH)
def test_a_base_prompt_may_be_longer_than_what_is_read(cls: type[FluxPipeline], components: dict[str, Any]) -> None:
    """No agent loses words by it: as in diffusers a warning is enough."""
    assert draw(made(cls, components), 30 * "very long").isfinite().all()


@pytest.mark.parametrize("cls", BOTH)
@pytest.mark.parametrize("absent", [["vae"], ["text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2"]])
def test_components_that_a_call_does_not_need_may_be_absent(
    cls: type[FluxPipeline], absent: list[str], components: dict[str, Any], tmp_path: Path
) -> None:
    whole = made(cls, components)
    whole.save_pretrained(tmp_path)
    part = cls.from_pretrained(tmp_path, **dict.fromkeys(absent))
    given = encoded(whole, BASE)
    output = "latent" if "vae" in absent else "pt"
    size = {"height": 32, "width": 32} if "vae" in absent else {}  # without one, eight pixels count as one
    assert draw(part, **given, output_type=output, **size).isfinite().all()
    if "vae" not in absent:
        assert same(draw(part, **given), draw(whole, BASE))


@pytest.mark.parametrize("cls", BOTH)
def test_what_is_saved_loads_into_either_class(
    cls: type[FluxPipeline], components: dict[str, Any], tmp_path: Path
) -> None:
    pipe = made(cls, components)
    image = draw(pipe, BASE)
    pipe.save_pretrained(tmp_path)
    for other in BOTH:
        assert same(draw(other.from_pretrained(tmp_path), BASE), image)
        assert same(draw(other.from_pipe(pipe), BASE), image)


@pytest.mark.parametrize("cls", BOTH)
def test_half_precision_and_fused_projections(cls: type[FluxPipeline], components: dict[str, Any]) -> None:
    pipe = made(cls, components)
    image = draw(pipe, BASE)
    pipe.transformer.fuse_qkv_projections()
    assert same(draw(pipe, BASE), image)
    pipe.transformer.unfuse_qkv_projections()
    assert (draw(pipe.to(torch.bfloat16), BASE).float() - image).abs().max() < 0.2


# --- image prompts ---------------------------------------------------------------------------------


def image_embeds(seed: int) -> list[torch.Tensor]:
    return [torch.randn(1, 1, 16, generator=torch.Generator().manual_seed(seed))]


def load_adapter(pipe: FluxPipeline) -> None:
    weights = ip_adapter_state(pipe.transformer)
    pipe.load_ip_adapter(weights, weight_name="", image_encoder_pretrained_model_name_or_path=None)


def test_image_prompts_are_flux(pipes: Any) -> None:
    load_adapter(pipes[1])  # into the transformer of both
    guided = {"negative_prompt": "a dog", "true_cfg_scale": 2.0, "negative_ip_adapter_image_embeds": image_embeds(8)}
    theirs, ours = (draw(pipe, BASE, ip_adapter_image_embeds=image_embeds(7), **guided) for pipe in pipes)
    assert same(theirs, ours)
    assert not same(ours, draw(pipes[1], BASE, ip_adapter_image_embeds=image_embeds(9), **guided))


@pytest.mark.parametrize("max_branches", [None, 1, 3])
def test_an_image_prompt_goes_into_every_branch(pipes: Any, max_branches: int | None) -> None:
    _, auction = pipes
    without = sold(auction)
    load_adapter(auction)
    image = {"ip_adapter_image_embeds": image_embeds(7)}
    batch = draw(auction, [BASE, BASE], [AGENTS] * 2, [BIDS, (1, 0)], seeds=(0, 0), max_branches=max_branches, **image)
    assert same(batch[:1], sold(auction, **image))
    assert same(batch[1:], draw(auction, SOLO, **image))
    assert not same(batch[:1], without)
    auction.set_ip_adapter_scale(0.0)
    assert same(sold(auction, **image), without)


# --- composed prompts ------------------------------------------------------------------------------


def by_hand(pipe: FluxPipeline, negative: str | None = None, scale: float = 1.0, **joint: Any) -> torch.Tensor:
    """The latents of one Euler step from noise 0 along the composed velocity, branch by branch from plain Flux.

    One step from σ = 1 to 0 takes the whole velocity from the noise, so that latents compose as velocities do.
    """
    weights = {JOINT: 0.6 * scale, SOLO: 0.4 * scale}
    if negative is not None:
        weights[negative] = 1 - scale
    settings = {"num_inference_steps": 1, "output_type": "latent", "joint_attention_kwargs": joint or None}
    latents = [weight * draw(pipe, prompt, **settings) for prompt, weight in weights.items()]
    return torch.stack(latents).sum(0)


def test_true_guidance_is_of_the_composed_velocity(pipes: Any) -> None:
    plain, auction = pipes
    arguments = {"num_inference_steps": 1, "output_type": "latent"}
    assert same(sold(auction, **arguments), by_hand(plain))
    guided = {"negative_prompt": "a dog", "true_cfg_scale": 3.0}
    found = sold(auction, **arguments, **guided)
    assert torch.allclose(found, by_hand(plain, "a dog", 3.0), atol=1e-4)
    assert auction.sample_passes == 2 + 1
    embeds = encoded(plain, "a dog", "negative_")
    assert same(sold(auction, **arguments, **embeds, true_cfg_scale=3.0), found)
    assert same(sold(auction, **arguments, **guided, max_branches=1), found)


def test_prompts_are_encoded_once_and_text_encoders_let_go(components: dict[str, Any]) -> None:
    pipe = made(FluxPipelineAuction, components)
    bids = [(0.7, 0.3), (0.0, 1.0), (0.0, 0.0)]
    expected = [draw(pipe, BASE, AGENTS, each, seeds=(7, 8), num_images_per_prompt=2) for each in bids]
    branches = pipe.encode_branches([BASE] * 3, [AGENTS] * 3, bids, max_sequence_length=48)
    assert len(branches) == 3
    assert len(branches.prompt_embeds) == 4  # joint, both alone, base

    pipe = made(FluxPipelineAuction, components | NO_TEXT)
    for image, each in zip(expected, branches, strict=True):
        assert same(draw(pipe, branches=each, seeds=(7, 8), num_images_per_prompt=2), image)
    assert same(draw(pipe, branches=branches[1:], seeds=(7, 7)), torch.cat([expected[1][:1], expected[2][:1]]))
    with pytest.raises(ValueError, match=r"`base_prompt` .*`text_encoder_2`.* None: give `branches`"):
        draw(pipe, BASE, AGENTS, BIDS)
    with pytest.raises(ValueError, match=r"`negative_prompt` .* give `negative_prompt_embeds`"):
        draw(pipe, branches=branches[0], negative_prompt="a dog", true_cfg_scale=2.0)


NO_TEXT = dict.fromkeys(("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2"))


def test_the_lora_scale_reaches_the_text_encoders(components: dict[str, Any]) -> None:
    scales = []

    class Listening(FluxPipelineAuction):
        def encode_prompt(self, *args: Any, lora_scale: float | None = None, **kwargs: Any) -> Any:
            scales.append(lora_scale)
            return super().encode_prompt(*args, lora_scale=None, **kwargs)

    pipe = made(Listening, components)
    sold(pipe, negative_prompt="a dog", true_cfg_scale=2.0, joint_attention_kwargs={"scale": 0.25})
    assert scales == [0.25, 0.25]


@pytest.mark.parametrize("cls", BOTH)
def test_lora_layers_of_text_encoder_and_transformer_are_scaled(
    cls: type[FluxPipeline], components: dict[str, Any]
) -> None:
    peft = pytest.importorskip("peft")
    pipe = made(cls, components)
    image = draw(pipe, BASE)
    layers = {"r": 4, "init_lora_weights": False}
    pipe.text_encoder.add_adapter(peft.LoraConfig(target_modules=["q_proj", "k_proj", "v_proj", "out_proj"], **layers))
    pipe.transformer.add_adapter(peft.LoraConfig(target_modules=["to_q", "to_k", "to_v", "to_out.0"], **layers))
    assert not same(draw(pipe, BASE), image)
    assert same(draw(pipe, BASE, joint_attention_kwargs={"scale": 0.0}), image)
    half = draw(pipe, BASE, joint_attention_kwargs={"scale": 0.5})
    assert not same(half, image)
    pipe.fuse_lora(components=["text_encoder", "transformer"], lora_scale=0.5)
    assert torch.allclose(draw(pipe, BASE), half, atol=1e-3)


# --- caches ----------------------------------------------------------------------------------------

CACHES: dict[str, Callable[[Any], Any]] = {
    "first block": lambda _: diffusers.FirstBlockCacheConfig(threshold=0.5),
    "mag": lambda _: diffusers.MagCacheConfig(
        num_inference_steps=STEPS, mag_ratios=[1.0] * STEPS, retention_ratio=0.25, threshold=0.9
    ),
    "taylor": lambda _: diffusers.TaylorSeerCacheConfig(cache_interval=2, disable_cache_before_step=2),
    "text": lambda _: diffusers.TextKVCacheConfig(),
    "attention": lambda pipe: diffusers.PyramidAttentionBroadcastConfig(
        spatial_attention_block_skip_range=2,
        spatial_attention_timestep_skip_range=(100, 950),
        current_timestep_callback=lambda: pipe.current_timestep,
    ),
    "faster": lambda pipe: diffusers.FasterCacheConfig(
        spatial_attention_block_skip_range=2,
        spatial_attention_timestep_skip_range=(-1, 901),
        attention_weight_callback=lambda _: 0.5,
        is_guidance_distilled=True,
        current_timestep_callback=lambda: pipe.current_timestep,
    ),
}
SHARED = ("attention", "faster")
"""These know no contexts."""


@contextmanager
def cached(pipe: Any, cache: str) -> Iterator[None]:
    pipe.transformer.enable_cache(CACHES[cache](pipe))
    try:
        yield
    finally:
        pipe.transformer.disable_cache()


@pytest.mark.parametrize("cache", CACHES)
def test_a_cache_gives_what_it_gives_flux(pipes: Any, cache: str) -> None:
    images = []
    for pipe in pipes:
        with cached(pipe, cache):
            images += [draw(pipe, BASE), draw(pipe, JOINT), draw(pipe, BASE)]  # a call leaves the next one nothing
    assert all(same(theirs, ours) for theirs, ours in zip(images[:3], images[3:], strict=True))
    assert same(images[3], images[5])
    if cache != "text":  # which is exact
        assert not same(images[3], draw(pipes[1], BASE))


@pytest.mark.parametrize("cache", sorted(set(CACHES) - set(SHARED)))
def test_a_cache_keeps_the_branches_of_calls_apart(pipes: Any, cache: str) -> None:
    """With one branch in a call each remembers itself: those of three agents alone are as if made apart."""
    plain, auction = pipes
    bases, alone = [BASE, SOLO, JOINT], [(), (), ()]
    with cached(auction, cache):
        together = draw(auction, bases, alone, alone, seeds=(1, 2, 3), max_branches=1)
        again = draw(auction, bases, alone, alone, seeds=(1, 2, 3), max_branches=1)
    with cached(plain, cache):
        apart = torch.cat([draw(plain, base, seeds=(seed,)) for seed, base in enumerate(bases, start=1)])
    assert same(together, apart)
    assert same(together, again)


@pytest.mark.parametrize("cache", ["mag", "taylor", "text"])
@pytest.mark.parametrize("max_branches", [1, 2, 4])
def test_a_cache_that_skips_by_steps_knows_no_calls(pipes: Any, cache: str, max_branches: int) -> None:
    _, auction = pipes
    batch = {"seeds": (1, 2), "num_images_per_prompt": 2, "negative_prompt": "a dog", "true_cfg_scale": 2.0}
    with cached(auction, cache):
        assert same(sold(auction, **batch), sold(auction, **batch, max_branches=max_branches))


@pytest.mark.parametrize("cache", SHARED)
def test_a_cache_that_calls_share_is_refused_several(pipes: Any, cache: str) -> None:
    _, auction = pipes
    with cached(auction, cache):
        with pytest.raises(ValueError, match="`max_branches` has to be None, for all 2 branches"):
            sold(auction, max_branches=1)
        with pytest.raises(ValueError, match="`true_cfg_scale` has to be 1"):
            sold(auction, negative_prompt="a dog", true_cfg_scale=2.0)
        assert same(sold(auction, max_branches=2), sold(auction))


# --- arguments that do not go together -------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, "exactly one of `base_prompt`, `branches`, `prompt_embeds` .* none"),
        ({"base_prompt": BASE, "prompt_embeds": torch.zeros(1, 4, 16)}, "given: `base_prompt`, `prompt_embeds`"),
        ({"prompt_embeds": torch.zeros(1, 4, 16)}, "`pooled_prompt_embeds`"),
        (
            {"prompt_embeds": torch.zeros(2, 4, 16), "pooled_prompt_embeds": torch.zeros(1, 16)},
            r"`pooled_prompt_embeds` .*\(2, 4, 16\) and \(1, 16\)",
        ),
        ({"base_prompt": BASE, "agent_prompts": ["a mug"]}, "`bids` has to be a list"),
        (
            {"prompt_embeds": torch.zeros(1, 4, 16), "pooled_prompt_embeds": torch.zeros(1, 16), "bids": [1]},
            "`bids` have to be given with `base_prompt`",
        ),
        ({"base_prompt": 3}, "`base_prompt` has to be a text, or a list of texts, but is 3"),
        ({"base_prompt": [3]}, "`base_prompt` has to be a text.* 3"),
        ({"base_prompt": BASE, "agent_prompts": [3], "bids": [1]}, "`agent_prompts` has to hold texts but holds 3"),
        ({"base_prompt": [BASE], "agent_prompts": ["mug"], "bids": [[1]]}, "`agent_prompts` .*'mug'"),
        ({"base_prompt": [BASE], "agent_prompts": [["mug"]], "bids": [1]}, "`bids` has to hold 1 bid"),
        (
            {"base_prompt": [BASE] * 3, "negative_prompt": ["a dog"] * 2, "true_cfg_scale": 2.0},
            "`negative_prompt` has to be one text, or 3, .* are 2",
        ),
        ({"base_prompt": BASE, "schedule": "karras"}, "`schedule` .*flux, paper.*'karras'"),
        ({"base_prompt": BASE, "max_sequence_length": 513}, "`max_sequence_length`"),
    ],
)
def test_a_wrong_argument_is_named(pipes: Any, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        pipes[1](**wrong)


def test_negative_embeddings_have_the_length_of_the_prompts(pipes: Any) -> None:
    given = {"negative_prompt_embeds": torch.zeros(1, 5, 16), "negative_pooled_prompt_embeds": torch.zeros(1, 16)}
    with pytest.raises(ValueError, match=r"`negative_prompt_embeds` .* must have the same shape"):
        sold(pipes[1], **given, true_cfg_scale=2.0)
    assert same(sold(pipes[1], **given), sold(pipes[1]))  # without guidance they are not looked at


def test_a_prompt_that_loses_an_agents_words_is_refused(pipes: Any) -> None:
    _, auction = pipes
    needed = len(JOINT) + 1
    with pytest.raises(
        ValueError, match=rf"`max_sequence_length` .* {needed} but is {needed - 4}: .*'c a n s'.*{JOINT}"
    ):
        sold(auction, max_sequence_length=needed - 4)
    assert sold(auction, max_sequence_length=needed).isfinite().all()  # CLIP's sixteen letters do not count


def test_branches_are_those_of_the_samples_asked_for() -> None:
    branches = Branches(
        torch.arange(3.0)[:, None, None],
        torch.arange(3.0)[:, None],
        sample=torch.tensor([0, 0, 1, 2]),
        prompt=torch.tensor([0, 1, 2, 0]),
        weight=torch.tensor([0.25, 0.75, 1.0, 1.0]),
    )
    assert [len(branches[i]) for i in range(3)] == [1, 1, 1]
    chosen = branches[::-1]
    assert (chosen.sample.tolist(), chosen.prompt.tolist()) == ([0, 1, 2, 2], [0, 2, 0, 1])
    twice = branches[:2].repeated(2)
    assert twice.sample.tolist() == [0, 0, 1, 1, 2, 3]
    assert twice.weight.tolist() == [0.25, 0.75, 0.25, 0.75, 1.0, 1.0]
    with pytest.raises(IndexError):
        branches[3]
    assert np.array_equal(branches[1].prompt, [2])
