"""Every option composes and fits the schema; a wrong value is refused by its key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from diffusion_auction.actions.experiment import prepare
from diffusion_auction.config import identity, read_config
from diffusion_auction.generation.words import check_words
from diffusion_auction.market.bids import experiment_bids
from generative_auctions.errors import RequestError
from tests.support import CONF, TABLE_1, configured, scenarios_of, tree

OPTIONS = sorted(
    path.relative_to(CONF).with_suffix("").as_posix()
    for path in CONF.rglob("*.yaml")
    if path.parent != CONF and not {"hydra", "sandbox", "tournament"} & set(path.relative_to(CONF).parts)
)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_composes_and_fits_the_schema(option: str) -> None:
    group, name = option.split("/", 1)
    override = f"+sweep={name}" if group == "sweep" else f"{group}={name}"
    config = configured(override, *(["prompts.path=x.json"] if option == "prompts/file" else []))
    chosen = config.name if group == "sweep" else None
    assert chosen in (None, name)


@pytest.mark.parametrize("sweep", [Path(o).name for o in OPTIONS if o.startswith("sweep/")])
def test_every_sweep_can_be_planned(sweep: str) -> None:
    experiment = prepare(configured(f"+sweep={sweep}"))
    assert len(experiment.plan.images) > 0


def test_the_alignment_follows_the_model() -> None:
    assert configured().alignment.model == "tiny_clip"
    assert configured("model=flux_schnell").alignment.model == "ViT-L-14-336-quickgelu"
    assert configured("model=flux_dev", "alignment=tiny_clip").alignment.model == "tiny_clip"


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("seed=abc", "seed"),
        ("seed=-1", "seed"),
        ("seed=1.5", "seed"),
        ("seed=9223372036854775808", "seed"),
        ("samples=0", "samples"),
        ("samples=true", "samples"),
        ("samples='3'", "samples"),
        ("scenarios=[-1]", "scenarios[0]"),
        ("scenarios=0", "scenarios"),
        ("action=dance", "action"),
        ("name=a/b", "name"),
        ("run_dir=''", "run_dir"),
        ("model.height=60", "model.height"),
        ("model.width=8", "model.width"),
        ("model.steps=0", "model.steps"),
        ("model.schedule=karras", "model.schedule"),
        ("model.guidance_scale=nan", "model.guidance_scale"),
        ("model.guidance_scale=inf", "model.guidance_scale"),
        ("model.guidance_scale=-1", "model.guidance_scale"),
        ("model.dtype=float8", "model.dtype"),
        ("model.device=gpu", "model.device"),
        ("model.batch=0", "model.batch"),
        ("model.max_branches=0", "model.max_branches"),
        ("model.offload=maybe", "model.offload"),
        ("+model.sigma=1", "model.sigma"),
        ("+colour=red", "colour"),
        ("alignment.batch=0", "alignment.batch"),
        ("alignment.measure=dot", "alignment.measure"),
        ("alignment.name=blip", "alignment.name"),
        ("+alignment.good_prompt=good", "alignment.good_prompt"),
        ("+alignment.weights=x", "alignment.weights"),
        ("quality.good_prompt=''", "quality.good_prompt"),
        ("quality.name=nice", "quality.name"),
        ("+quality.clip=1", "quality.clip"),
        ("mechanism.payment_floor=low", "mechanism.payment_floor"),
        ("+composition.power=2", "composition.power"),
        ("bids.vectors=[[0.7,x]]", "bids.vectors[0][1]"),
        ("bids.vectors=[]", "bids.vectors"),
        ("bids.vectors=[0.7,0.3]", "bids.vectors[0]"),
        ("bids.kind=lottery", "bids.kind"),
    ],
)
def test_a_wrong_value_is_refused_by_its_key(override: str, key: str) -> None:
    with pytest.raises(RequestError) as refused:
        configured(override)
    assert refused.value.key == key
    assert "\n" not in str(refused.value)
    assert refused.value.expected


@pytest.mark.parametrize("key", ["seed", "model", "model.steps", "bids.vectors", "mechanism.payment_floor"])
def test_an_absent_key_is_named(key: str) -> None:
    composed: dict[str, Any] = tree()
    *sections, last = key.split(".")
    inner = composed
    for section in sections:
        inner = inner[section]
    del inner[last]
    with pytest.raises(RequestError, match=f"^{re.escape(key)} = absent"):
        read_config(composed)


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["bids.vectors=[[0.7,0.3],[1]]"], "bids.vectors[1]"),
        (["bids.vectors=[[0.7,0.2,0.1]]"], "bids.vectors[0]"),
        (["bids.vectors=[[0.7,nan]]"], "bids.vectors[0][1]"),
        (["bids.vectors=[[inf,0.3]]"], "bids.vectors[0][0]"),
        (["bids.vectors=[[0.7,0.3],[0.7,-0.3]]"], "bids.vectors[1][1]"),
        (["bids=grid", "bids.axes=[[0,1]]"], "bids.axes"),
        (["bids=grid", "bids.axes=[[0,1],[]]"], "bids.axes[1]"),
        (["bids=grid", "bids.axes=[[0,1],[0,-1]]"], "bids.axes[1][1]"),
        (["bids=grid", "bids.axes=[[nan],[0]]"], "bids.axes[0][0]"),
        (["bids=simplex", "bids.values=[0,1.5]"], "bids.values[1]"),
        (["bids=simplex", "bids.values=[nan]"], "bids.values[0]"),
        (["bids=simplex", "prompts=cafe"], "bids.values"),
        (["prompts=cafe"], "bids.vectors[0]"),
        (["scenarios=[5]"], "scenarios"),
        (["scenarios=[]"], "scenarios"),
        (["prompts=file"], "prompts.path"),
        (["prompts.path=x.json"], "prompts.path"),
    ],
)
def test_what_must_agree_is_refused_by_its_key(overrides: list[str], key: str) -> None:
    with pytest.raises(RequestError) as refused:
        prepare(configured(*overrides))
    assert refused.value.key == key
    assert "\n" not in str(refused.value)


def test_chosen_scenarios_keep_their_numbers() -> None:
    chosen = scenarios_of(configured("scenarios=[3,1,3]"))
    assert {number: scenario.base_prompt for number, scenario in chosen.items()} == {
        1: TABLE_1[1][0],
        3: TABLE_1[3][0],
    }
    assert list(scenarios_of(configured("scenarios=null"))) == [0, 1, 2, 3, 4]


def test_equal_bid_vectors_are_one() -> None:
    config = configured("bids.vectors=[[1,0],[0.5,0.5],[1.0,0.0]]")
    assert experiment_bids(config, 2) == [(1, 0), (0.5, 0.5)]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["prompts.entries=[{base_prompt: A blimp, agent1_prompt: Tesla car, agent2_prompt: Dell monitor}]"],
            "'blimp'",
        ),
        (["quality.good_prompt=A splendid photo"], "'splendid'"),
        (["quality=paper", "quality.bad_prompt=An awful photo"], "'awful'"),
    ],
)
def test_an_unknown_word_is_refused_with_the_vocabulary(overrides: list[str], said: str) -> None:
    config = configured(*overrides)
    with pytest.raises(RequestError, match=said) as refused:
        check_words(config, scenarios_of(config), [(0,)])
    assert "backpack" in str(refused.value)


def test_a_real_model_takes_any_word() -> None:
    config = configured("model=flux_schnell", "prompts.entries=[{base_prompt: A blimp, agent1_prompt: a yeti}]")
    check_words(config, scenarios_of(config), [(0,)])


def test_identity_ignores_what_only_says_how() -> None:
    same = configured(
        "action=plan", "run_dir=elsewhere", "model.device=cpu", "model.offload=true", "alignment.device=cpu"
    )
    assert identity(same) == identity(configured())


@pytest.mark.parametrize(
    "override",
    ["seed=1", "samples=3", "scenarios=[1]", "bids.vectors=[[1,0]]", "model.steps=4", "model.batch=7",
     "mechanism=single_winner", "prompts=cafe", "alignment.measure=probability", "quality.bad_prompt=Low",
     "quality=paper", "name=other"],
)  # fmt: skip
def test_identity_tells_what_is_made(override: str) -> None:
    assert identity(configured(override)) != identity(configured())
