"""`FluxPipelineAuction` on the shipped weights, against plain diffusers and against itself."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import FirstBlockCacheConfig, FluxPipeline, PyramidAttentionBroadcastConfig
from PIL import Image

from diffusion_auction.market.compositions import COMPOSITIONS, recursive
from diffusion_auction.market.scenarios import Scenario
from diffusion_auction.pipelines import Branches, FluxPipelineAuction, composed_velocity
from tests.support import CAFE, TABLE_1, WEIGHTS

FLUX = WEIGHTS / "flux"
TRAIL = {"base_prompt": TABLE_1[0][0], "agent_prompts": TABLE_1[0][1:]}
STEPS = 5


def load(cls: type[FluxPipeline], folder: Path = FLUX) -> Any:
    pipe = cls.from_pretrained(folder, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module")
def pipe() -> FluxPipelineAuction:
    return load(FluxPipelineAuction)


@pytest.fixture(scope="module")
def plain() -> FluxPipeline:
    return load(FluxPipeline)


def noise(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def grey_levels(a: Image.Image, b: Image.Image) -> int:
    """The largest difference of two pictures in one channel of one pixel."""
    return int(np.abs(np.asarray(a, int) - np.asarray(b, int)).max())


def by_plain_flux(plain: FluxPipeline, prompt: str, **kwargs: Any) -> Image.Image:
    settings = {"height": 64, "width": 64, "num_inference_steps": STEPS, "max_sequence_length": 32}
    return plain(prompt, **settings, **kwargs).images[0]


# --- against FluxPipeline --------------------------------------------------------------------------


def test_plain_diffusers_loads_the_directory_and_draws() -> None:
    """With no argument but the folder, as a stranger would."""
    stranger = FluxPipeline.from_pretrained(FLUX)
    image = by_plain_flux(stranger, TABLE_1[0][0], generator=noise(0)[0])
    assert image.size == (64, 64)


def test_the_class_loads_with_no_argument_but_the_folder() -> None:
    stranger = FluxPipelineAuction.from_pretrained(FLUX)
    (image,) = stranger(**TRAIL, bids=[0.7, 0.3], generator=noise(0)).images
    assert image.size == (64, 64)


@pytest.mark.parametrize("texts", [TABLE_1[0], TABLE_1[4], CAFE], ids=lambda texts: texts[0])
def test_one_hot_bids_are_flux_with_that_agents_prompt(
    pipe: FluxPipelineAuction, plain: FluxPipeline, texts: tuple[str, ...]
) -> None:
    base, *agents = texts
    seen = []
    for i, prompt in enumerate(agents):
        bids = [3.5 * (j == i) for j in range(len(agents))]
        (ours,) = pipe(base, agents, bids, generator=noise(i)).images
        theirs = by_plain_flux(plain, f"{base}, featuring {prompt}", generator=noise(i))
        assert grey_levels(ours, theirs) <= 1
        seen.append(ours)
        assert pipe.sample_passes == STEPS
    assert grey_levels(seen[0], seen[1]) > 10  # the prompt matters


def test_zero_bids_are_flux_with_the_base_prompt(pipe: FluxPipelineAuction, plain: FluxPipeline) -> None:
    (ours,) = pipe(**TRAIL, bids=[0, 0], generator=noise(4)).images
    assert grey_levels(ours, by_plain_flux(plain, TABLE_1[0][0], generator=noise(4))) <= 1


def test_equal_bids_are_flux_with_the_joint_prompt(pipe: FluxPipelineAuction, plain: FluxPipeline) -> None:
    (ours,) = pipe(**TRAIL, bids=[0.2, 0.2], generator=noise(4)).images
    joint = f"{TABLE_1[0][0]}, featuring {TABLE_1[0][1]} and {TABLE_1[0][2]}"
    assert grey_levels(ours, by_plain_flux(plain, joint, generator=noise(4))) <= 1


def test_the_same_latents_give_the_same_image(pipe: FluxPipelineAuction, plain: FluxPipeline) -> None:
    latents = torch.randn(1, 64, 32, generator=noise(1)[0])
    (ours,) = pipe(**TRAIL, bids=[0, 1], latents=latents).images
    theirs = by_plain_flux(plain, f"{TABLE_1[0][0]}, featuring {TABLE_1[0][2]}", latents=latents)
    assert grey_levels(ours, theirs) <= 1
    assert grey_levels(ours, pipe(**TRAIL, bids=[0, 1], latents=-latents).images[0]) > 1


# --- one image, whatever else is made with it ------------------------------------------------------

MIXED = [
    (TABLE_1[0], (0.7, 0.3)),
    (TABLE_1[3], (0.0, 0.0)),
    (TABLE_1[0], (0.3, 0.7)),
    (CAFE, (0.6, 0.3, 0.1)),
    (TABLE_1[4], (0.5, 0.5)),
    (CAFE, (0.0, 1.0, 0.0)),
]


def make(pipe: FluxPipelineAuction, cases: list, seeds: range, **kwargs: Any) -> list[Image.Image]:
    texts, bids = zip(*cases, strict=True)
    bases, agents = [t[0] for t in texts], [t[1:] for t in texts]
    return pipe(bases, agents, list(bids), generator=noise(*seeds), **kwargs).images


@pytest.fixture(scope="module")
def alone(pipe: FluxPipelineAuction) -> list[Image.Image]:
    """Each case of `MIXED` made by itself, case i from noise i."""
    return [make(pipe, [case], range(i, i + 1))[0] for i, case in enumerate(MIXED)]


@pytest.mark.parametrize("max_branches", [None, 1, 3, 100])
def test_an_image_is_the_same_alone_and_in_a_mixed_batch(
    pipe: FluxPipelineAuction, alone: list[Image.Image], max_branches: int | None
) -> None:
    together = make(pipe, MIXED, range(len(MIXED)), max_branches=max_branches)
    assert [grey_levels(a, b) <= 1 for a, b in zip(alone, together, strict=True)] == [True] * len(MIXED)


def test_an_image_is_the_same_in_any_order(pipe: FluxPipelineAuction, alone: list[Image.Image]) -> None:
    backwards = make(pipe, MIXED[::-1], range(len(MIXED) - 1, -1, -1))
    assert all(grey_levels(a, b) <= 1 for a, b in zip(alone, backwards[::-1], strict=True))


def test_candidates_are_scenario_major(pipe: FluxPipelineAuction) -> None:
    cases = MIXED[:2]
    pairs = make(pipe, cases, range(4), num_images_per_prompt=2)
    singles = [make(pipe, [cases[i // 2]], range(i, i + 1))[0] for i in range(4)]
    assert all(grey_levels(a, b) <= 1 for a, b in zip(pairs, singles, strict=True))


def test_only_the_ratio_of_the_bids_matters(pipe: FluxPipelineAuction) -> None:
    first, second = make(pipe, [(TABLE_1[0], (0.7, 0.3)), (TABLE_1[0], (7, 3))], [5, 5])
    assert grey_levels(first, second) <= 1


# --- the denoiser ----------------------------------------------------------------------------------


def branches_of(pipe: FluxPipelineAuction, cases: list) -> Branches:
    texts, bids = zip(*cases, strict=True)
    return pipe.encode_branches([t[0] for t in texts], [t[1:] for t in texts], bids)


@torch.no_grad()
def test_the_velocity_is_the_weighted_sum_of_the_prompts_velocities(pipe: FluxPipelineAuction) -> None:
    cases = [MIXED[0], MIXED[3], MIXED[1]]
    latents = torch.randn(3, 64, 32, generator=noise(2)[0])
    timestep = torch.tensor([0.6, 0.6, 0.6])
    ids = {"txt_ids": torch.zeros(32, 3), "img_ids": pipe._prepare_latent_image_ids(1, 8, 8, "cpu", torch.float32)}

    expected = torch.zeros_like(latents)
    for sample, (texts, bids) in enumerate(cases):
        scenario = Scenario(texts[0], texts[1:])
        for coalition, weight in recursive(bids).items():
            embeds, pooled, _ = pipe.encode_prompt(scenario.coalition_prompt(coalition), max_sequence_length=32)
            velocity = pipe.transformer(
                hidden_states=latents[sample : sample + 1],
                timestep=timestep[:1],
                encoder_hidden_states=embeds,
                pooled_projections=pooled,
                return_dict=False,
                **ids,
            )[0]
            expected[sample] += weight * velocity[0]

    for max_branches in (None, 1, 4):
        found = composed_velocity(
            pipe.transformer,
            branches_of(pipe, cases),
            hidden_states=latents,
            timestep=timestep,
            max_branches=max_branches,
            **ids,
        )
        assert torch.allclose(found, expected, atol=1e-5)


def test_every_prompt_is_encoded_once(pipe: FluxPipelineAuction) -> None:
    """(.7, .3) and (.3, .7) of one scenario: the joint prompt is theirs both."""
    branches = branches_of(pipe, [MIXED[0], MIXED[2]])
    assert branches.prompt_embeds.shape[0] == branches.pooled_prompt_embeds.shape[0] == 3
    assert branches.sample.tolist() == [0, 0, 1, 1]
    assert branches.weight.tolist() == pytest.approx([0.6, 0.4, 0.6, 0.4])
    joint, solo, joint_again, other = branches.prompt.tolist()
    assert joint == joint_again
    assert len({joint, solo, other}) == 3


@contextmanager
def rows_seen(transformer: torch.nn.Module) -> Iterator[list[int]]:
    """Rows of each call of the real transformer."""
    rows: list[int] = []

    def count(_: Any, args: tuple, kwargs: dict[str, Any]) -> None:
        rows.append(len(args[0] if args else kwargs["hidden_states"]))

    handle = transformer.register_forward_pre_hook(count, with_kwargs=True)
    try:
        yield rows
    finally:
        handle.remove()


@pytest.mark.parametrize(
    ("bids", "branches"),
    [((0, 0, 0), 1), ((0, 2, 0), 1), ((1, 0, 1), 1), ((2, 0, 1), 2), ((3, 2, 1), 3), ((1, 1, 1), 2)],
)
def test_no_branch_of_weight_zero_is_run(pipe: FluxPipelineAuction, bids: tuple[float, ...], branches: int) -> None:
    with rows_seen(pipe.transformer) as rows:
        pipe(CAFE[0], CAFE[1:], bids, num_images_per_prompt=2, num_inference_steps=3, output_type="latent")
    assert rows == [2 * branches] * 3
    assert pipe.sample_passes == sum(rows)


def test_sample_passes_of_a_mixed_batch_in_small_calls(pipe: FluxPipelineAuction) -> None:
    passes = 2 + 1 + 2 + 3 + 1 + 1
    with rows_seen(pipe.transformer) as rows:
        make(pipe, MIXED, range(len(MIXED)), max_branches=4, num_inference_steps=2, output_type="latent")
    assert rows == [4, 4, 2] * 2
    assert pipe.sample_passes == sum(rows) == 2 * passes


# --- arguments -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"bids": [0.7]}, "`bids` .* 2"),
        ({"bids": [0.7, 0.2, 0.1]}, "`bids` .* 2"),
        ({"bids": [0.7, -0.3]}, "`bids` .*-0.3"),
        ({"bids": [0.7, math.nan]}, "`bids` .*nan"),
        ({"bids": [math.inf, 0.3]}, "`bids` .*inf"),
        ({"bids": ["0.7", "0.3"]}, "`bids`"),
        ({"bids": 0.7}, "`bids`"),
        ({"agent_prompts": "ab"}, "`agent_prompts`"),
        ({"schedule": "karras"}, "`schedule` .*flux, paper.*'karras'"),
        ({"composition": "geometric"}, "`composition` .*recursive.*'geometric'"),
        ({"num_images_per_prompt": 0}, "`num_images_per_prompt`"),
        ({"max_branches": 0}, "`max_branches`"),
        ({"max_branches": -1}, "`max_branches`"),
        ({"base_prompt": [], "agent_prompts": [], "bids": []}, "`base_prompt`"),
        (
            {"base_prompt": ["a pool"], "agent_prompts": [["a mug"], ["a mug"]], "bids": [[1]]},
            "`agent_prompts`.*1, 2 and 1",
        ),
        ({"base_prompt": ["a pool"] * 2, "agent_prompts": [["a mug"]] * 2, "bids": [[1], [1, 2]]}, "`bids` .* 1 "),
        ({"generator": noise(0, 1)}, "generators"),
        ({"callback_on_step_end_tensor_inputs": ["sigma"]}, "`callback_on_step_end_tensor_inputs`"),
    ],
)
def test_a_wrong_argument_is_named(pipe: FluxPipelineAuction, wrong: dict[str, Any], said: str) -> None:
    transformer = pipe.transformer
    with pytest.raises(ValueError, match=said):
        pipe(**{**TRAIL, "bids": [0.7, 0.3], **wrong})
    assert pipe.transformer is transformer


NO_PROMPT = dict.fromkeys(("base_prompt", "agent_prompts", "bids"))
EMBEDS, POOLED = torch.zeros(1, 4, 96), torch.zeros(1, 64)
BRANCHES = Branches.of_prompts(EMBEDS, POOLED, torch.tensor([0]))


def instead(**given: Any) -> dict[str, Any]:
    """What is given in the place of prompts."""
    return NO_PROMPT | given


def embedded(embeds: Any = EMBEDS, pooled: Any = POOLED) -> dict[str, Any]:
    return instead(prompt_embeds=embeds, pooled_prompt_embeds=pooled)


def guided(**given: Any) -> dict[str, Any]:
    return {"true_cfg_scale": 2.0, **given}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"bids": [10**400, 1]}, "`bids` have to be finite"),
        *(
            ({name: value}, f"`{name}` has to be a whole number of at least 1 but is {value!r}")
            for name in ("num_images_per_prompt", "num_inference_steps", "max_branches", "max_sequence_length")
            for value in (1.5, "2", 0)
        ),
        ({"num_images_per_prompt": None}, "`num_images_per_prompt` has to be a whole number .* None"),
        ({"num_inference_steps": None}, "`num_inference_steps` has to be a whole number .* None"),
        *(
            ({name: value}, f"`{name}` has to be at least 8 pixels but is {value!r}")
            for name in ("height", "width")
            for value in ("64", -64, 7, math.nan)
        ),
        *(({"true_cfg_scale": value}, "`true_cfg_scale` has to be a finite number") for value in ("3", None, math.nan)),
        *(({"sigmas": value}, "`sigmas` has to be a list of one or more") for value in ([], 5, "1", [math.nan], ["1"])),
        *(({"negative_prompt": value}, "`negative_prompt` has to be a text") for value in ([], 5, [5], ("a dog",))),
        *(({"generator": value}, "`generator` has to be a torch.Generator") for value in (5, [], [5])),
        ({"joint_attention_kwargs": 5}, "`joint_attention_kwargs` has to be a dict but is 5"),
        ({"callback_on_step_end": 5}, "`callback_on_step_end` has to be a function but is 5"),
        ({"callback_on_step_end": lambda *_: None}, "`callback_on_step_end` has to return a dict .* None"),
        ({"latents": [1]}, "`latents` has to be .*list"),
        ({"latents": torch.zeros(2, 16, 32)}, r"`latents` .*\(1, 16, 32\) but is \(2, 16, 32\)"),
        ({"latents": torch.zeros(1, 4, 32)}, r"`latents` .*\(1, 16, 32\) but is \(1, 4, 32\)"),
        ({"latents": torch.zeros(1, 16, 4)}, r"`latents` .*\(1, 16, 32\) but is \(1, 16, 4\)"),
        ({"pooled_prompt_embeds": POOLED}, "`pooled_prompt_embeds` .* with `prompt_embeds` .*`base_prompt`"),
        (instead(branches="x"), "`branches` has to be what `encode_branches` made"),
        (instead(branches=[BRANCHES] * 2), "`branches` has to be what `encode_branches` made .*list"),
        (instead(branches=BRANCHES, pooled_prompt_embeds=POOLED), "`pooled_prompt_embeds` .*`branches`"),
        (
            instead(branches=Branches.of_prompts(EMBEDS[..., 1:], POOLED, torch.tensor([0]))),
            r"`branches.prompt_embeds` .*\(1, 4, 95\)",
        ),
        (embedded(embeds=[1]), "`prompt_embeds` has to be a tensor .*list"),
        (embedded(pooled=[1]), "`pooled_prompt_embeds` has to be a tensor .*list"),
        (embedded(embeds=EMBEDS.long()), "`prompt_embeds` has to be a tensor of floating .*int64"),
        (embedded(EMBEDS[:0], POOLED[:0]), r"`prompt_embeds` .*\(0, 4, 96\)"),
        (embedded(embeds=EMBEDS[:, :0]), r"`prompt_embeds` .*\(1, 0, 96\)"),
        (embedded(embeds=EMBEDS[..., 1:]), r"`prompt_embeds` .*\(1, 4, 95\)"),
        (embedded(pooled=POOLED[..., 1:]), r"`pooled_prompt_embeds` .*\(1, 63\)"),
        (
            guided(negative_prompt_embeds=EMBEDS[..., 1:], negative_pooled_prompt_embeds=POOLED),
            r"`negative_prompt_embeds` .*\(1, 4, 95\)",
        ),
    ],
)
def test_a_value_of_another_kind_or_shape_is_named(pipe: FluxPipelineAuction, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        pipe(**{**TRAIL, "bids": [0.7, 0.3], "height": 32, "width": 32, "num_inference_steps": 1, **wrong})


def test_sizes_are_rounded_down_as_flux_does(pipe: FluxPipelineAuction, plain: FluxPipeline) -> None:
    size = {"height": 39, "width": 64.0, "num_inference_steps": 1, "max_sequence_length": 32}
    ours, theirs = (p(TRAIL["base_prompt"], **size, generator=noise(0)).images[0] for p in (pipe, plain))
    assert grey_levels(ours, theirs) <= 1


def test_a_composition_may_be_a_function(pipe: FluxPipelineAuction, plain: FluxPipeline) -> None:
    (ours,) = pipe(**TRAIL, bids=[0.7, 0.3], composition=lambda bids: {(1,): 1.0}, generator=noise(0)).images
    theirs = by_plain_flux(plain, f"{TABLE_1[0][0]}, featuring {TABLE_1[0][2]}", generator=noise(0))
    assert grey_levels(ours, theirs) <= 1


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_every_composition_draws(pipe: FluxPipelineAuction, name: str) -> None:
    bids = (0.2, 0.5, 0.3)
    (image,) = pipe(CAFE[0], CAFE[1:], bids, composition=name, generator=noise(3)).images
    assert pipe.sample_passes == STEPS * len(COMPOSITIONS[name](bids)) == STEPS * (1 if name == "prompt_only" else 3)
    (paper,) = pipe(CAFE[0], CAFE[1:], bids, generator=noise(3)).images
    assert (grey_levels(image, paper) > 1) == (name != "recursive")


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_a_sole_bidder_has_the_same_image_under_every_composition(pipe: FluxPipelineAuction, name: str) -> None:
    ours, paper = (
        pipe(**TRAIL, bids=[1, 0], composition=composition, generator=noise(0)).images[0]
        for composition in (name, "recursive")
    )
    assert grey_levels(ours, paper) == 0


def test_prompt_only_is_flux_with_prompts_repeated(pipe: FluxPipelineAuction, plain: FluxPipeline) -> None:
    (ours,) = pipe(**TRAIL, bids=[0.3, 0.7], composition="prompt_only", generator=noise(2)).images
    base, first, second = TABLE_1[0]
    text = f"{base}, featuring {second}, {second}, {second} and {first}"
    assert grey_levels(ours, by_plain_flux(plain, text, generator=noise(2))) <= 1


@pytest.mark.parametrize(
    ("schedule", "sigmas"),
    [("flux", [1, 0.8, 0.6, 0.4, 0.2, 0]), ("paper", [1, 0.75, 0.5005, 0.251, 0.001, 0])],
)
def test_schedules(pipe: FluxPipelineAuction, schedule: str, sigmas: list[float]) -> None:
    pipe(**TRAIL, bids=[1, 0], schedule=schedule, generator=noise(0))
    assert pipe.scheduler.sigmas.tolist() == pytest.approx(sigmas, abs=5e-4)
    assert pipe.sample_passes == STEPS


def test_the_last_step_of_the_paper_changes_next_to_nothing(pipe: FluxPipelineAuction) -> None:
    states = []

    def keep(_: Any, step: int, timestep: float, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        states.append(tensors["latents"])
        return {}

    pipe(**TRAIL, bids=[0.7, 0.3], schedule="paper", generator=noise(0), callback_on_step_end=keep)
    changes = [float((after - before).abs().mean()) for before, after in itertools.pairwise(states)]
    assert len(states) == STEPS
    assert changes[-1] < 0.02 * changes[0]


def test_a_callback_sees_every_step_and_may_replace_the_latents(pipe: FluxPipelineAuction) -> None:
    steps = []

    def blank(_: Any, step: int, timestep: float, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        steps.append(step)
        return {"latents": torch.zeros_like(tensors["latents"])}

    latents = pipe(
        **TRAIL, bids=[0.7, 0.3], generator=noise(0), callback_on_step_end=blank, output_type="latent"
    ).images
    assert steps == list(range(STEPS))
    assert not latents.any()


def test_a_callback_may_interrupt(pipe: FluxPipelineAuction) -> None:
    def stop(running: FluxPipelineAuction, step: int, *_: Any) -> dict[str, torch.Tensor]:
        running._interrupt = step == 1
        return {}

    pipe(**TRAIL, bids=[0.7, 0.3], generator=noise(0), callback_on_step_end=stop)
    assert pipe.sample_passes == 2 * 2


def test_output_types(pipe: FluxPipelineAuction) -> None:
    def output(output_type: str) -> Any:
        return pipe(**TRAIL, bids=[0.7, 0.3], generator=noise(0), output_type=output_type).images

    (picture,) = output("pil")
    assert isinstance(picture, Image.Image)
    array = output("np")
    assert array.shape == (1, 64, 64, 3)
    assert grey_levels(picture, Image.fromarray((array[0] * 255).round().astype(np.uint8))) == 0
    assert output("pt").shape == (1, 3, 64, 64)
    assert output("latent").shape == (1, 64, 32)
    (images,) = pipe(**TRAIL, bids=[0.7, 0.3], generator=noise(0), return_dict=False)
    assert grey_levels(images[0], picture) == 0


def test_a_call_swaps_no_component(pipe: FluxPipelineAuction) -> None:
    components, config = dict(pipe.components), dict(pipe.config)

    def look(running: FluxPipelineAuction, *_: Any) -> dict[str, torch.Tensor]:
        assert all(running.components[name] is part for name, part in components.items())
        return {}

    pipe(**TRAIL, bids=[0.7, 0.3], callback_on_step_end=look)
    assert dict(pipe.config) == config


def test_offloading_outlives_a_call(pipe: FluxPipelineAuction) -> None:
    """diffusers hooks every component anew at the end of a call: the transformer must not miss that."""
    own = FluxPipelineAuction(**pipe.components)
    own.set_progress_bar_config(disable=True)
    try:
        own.enable_model_cpu_offload(device="cpu")
        assert hasattr(own.transformer, "_hf_hook")
        own(**TRAIL, bids=[0.7, 0.3], num_inference_steps=1)
        assert hasattr(own.transformer, "_hf_hook")
    finally:
        own.remove_all_hooks()
        own.transformer.__dict__.pop("_hf_hook", None)


def test_save_and_load(pipe: FluxPipelineAuction, tmp_path: Path) -> None:
    pipe(**TRAIL, bids=[0.7, 0.3], num_inference_steps=1)  # a call leaves no trace in what is saved
    pipe.save_pretrained(tmp_path)
    again = load(FluxPipelineAuction, tmp_path)
    first, second = (p(**TRAIL, bids=[0.7, 0.3], generator=noise(6)).images[0] for p in (pipe, again))
    assert grey_levels(first, second) == 0
    load(FluxPipeline, tmp_path)


# --- what plain Flux offers, and what users bring -------------------------------------------------


@pytest.mark.parametrize("made", [np.array, torch.tensor, tuple], ids=["array", "tensor", "tuple"])
def test_bids_may_be_arrays_and_tensors(pipe: FluxPipelineAuction, made: Any) -> None:
    (expected,) = pipe(**TRAIL, bids=[0.75, 0.25], generator=noise(4)).images
    (image,) = pipe(**TRAIL, bids=made([0.75, 0.25]), generator=noise(4)).images
    assert grey_levels(image, expected) == 0
    both = pipe([TRAIL["base_prompt"]], [TRAIL["agent_prompts"]], [made([0.75, 0.25])], generator=noise(4)).images
    assert grey_levels(both[0], expected) == 0


@pytest.mark.parametrize("max_branches", [None, 1, 2])
def test_a_cache_remembers_each_call_by_itself(
    pipe: FluxPipelineAuction, plain: FluxPipeline, max_branches: int | None
) -> None:
    base, *agents = TABLE_1[0]
    caching = FirstBlockCacheConfig(threshold=0.3)
    with cached(pipe, caching):
        both = pipe([base] * 2, [agents] * 2, [(1, 0), (0, 1)], generator=noise(4, 4), max_branches=max_branches).images
    for image, agent in zip(both, agents, strict=True):
        with cached(plain, caching):
            theirs = by_plain_flux(plain, f"{base}, featuring {agent}", generator=noise(4)[0])
        if max_branches == 1:  # else the branches of a call decide together whether to compute
            assert grey_levels(image, theirs) <= 1
    (alone,) = pipe(base, agents, (1, 0), generator=noise(4)).images
    assert grey_levels(both[0], alone) > 1  # the cache did something


def test_a_cache_that_calls_share_needs_all_branches_in_one(pipe: FluxPipelineAuction) -> None:
    caching = PyramidAttentionBroadcastConfig(
        spatial_attention_block_skip_range=2,
        spatial_attention_timestep_skip_range=(100, 900),
        current_timestep_callback=lambda: pipe.current_timestep,
    )
    with cached(pipe, caching):
        with pytest.raises(ValueError, match="`max_branches` has to be None, for all 2 branches"):
            pipe(**TRAIL, bids=[0.7, 0.3], max_branches=1)
        assert isinstance(pipe(**TRAIL, bids=[0.7, 0.3], max_branches=2).images[0], Image.Image)


@contextmanager
def cached(pipe: Any, caching: Any) -> Iterator[None]:
    pipe.transformer.enable_cache(caching)
    try:
        yield
    finally:
        pipe.transformer.disable_cache()


def test_the_embedded_model_has_a_name(pipe: FluxPipelineAuction) -> None:
    (image,) = FluxPipelineAuction.from_pretrained("tiny_flux")(**TRAIL, bids=[0.7, 0.3], generator=noise(1)).images
    assert grey_levels(image, pipe(**TRAIL, bids=[0.7, 0.3], generator=noise(1)).images[0]) == 0


def test_without_an_autoencoder_latents_are_what_comes() -> None:
    ours, theirs = (cls.from_pretrained(FLUX, vae=None) for cls in (FluxPipelineAuction, FluxPipeline))
    settings = {"height": 64, "width": 64, "num_inference_steps": 2, "output_type": "latent", "max_sequence_length": 32}
    latents = ours(**TRAIL, bids=[0, 0], **settings, generator=noise(1)).images
    torch.testing.assert_close(latents, theirs(TABLE_1[0][0], **settings, generator=noise(1)).images)
