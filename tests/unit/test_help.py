"""`--help` of both applications: every key of the schema with its meaning, every option of every config group."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from hydra import compose, initialize_config_dir
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from agt_tournament.config import CompetitionConfig
from diffusion_auction.config import ExperimentConfig
from tests.support import CONF

SCHEMAS: dict[str, type[BaseModel]] = {"diffusion_auction": ExperimentConfig, "agt_tournament": CompetitionConfig}


def help_of(application: str) -> str:
    """The text that Hydra makes the help of, before it puts the configuration in."""
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        composed = compose(application, overrides=["hydra.mode=RUN"], return_hydra_config=True)
    return str(composed.hydra.help.template)


TEXTS = {application: help_of(application) for application in SCHEMAS}


def sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """The sections of a schema that a key may hold, within unions and annotations too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from sections(part)


def leaves(schema: type[BaseModel], path: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every key of the schema that holds a value, but those that only say which option was chosen."""
    for name, field in schema.model_fields.items():
        inside = list(sections(field.annotation))
        key = f"{path}{field.alias or name}"
        for section in inside:
            yield from leaves(section, f"{key}.")
        if not inside and not (path and key != "tournament.name" and name in ("name", "kind")):
            yield key, field


LEAVES = [(application, *leaf) for application, schema in SCHEMAS.items() for leaf in leaves(schema)]


@pytest.mark.parametrize(("application", "key", "field"), LEAVES, ids=[f"{leaf[0]}: {leaf[1]}" for leaf in LEAVES])
def test_every_key_stands_in_the_help_with_its_meaning(application: str, key: str, field: FieldInfo) -> None:
    group, _, inside = key.partition(".")
    shown, text = f".{inside}" if inside else key, TEXTS[application]
    if inside:
        text = text[text.index(f"\n  {group} ") :]
    assert field.description
    words = " ".join(text.split())
    assert f" {shown} {field.description.replace('$', '$$')} [" in words


@pytest.mark.parametrize("application", SCHEMAS)
def test_every_option_of_every_group_stands_in_the_help(application: str) -> None:
    for group in [key for key in SCHEMAS[application].model_fields if (CONF / key).is_dir()]:
        text = TEXTS[application][TEXTS[application].index(f"\n  {group} ") :]
        for option in (CONF / group).glob("*.yaml"):
            assert f"\n    {option.stem} " in text


def test_type_range_choices_and_default_are_said() -> None:
    words = " ".join(TEXTS["diffusion_auction"].split())
    assert "k, the candidate images per composition [integer ≥ 1, ≤ 100,000; default 25]" in words
    assert "[run | plan | evaluate | compare | report | fetch; default run]" in words
    assert "Euler steps [integer ≥ 1, ≤ 1,000; default by option]" in words
    assert ".device where the model runs; auto: a GPU if there is one [auto, cpu, cuda or a GPU by its number" in words
    assert "[integer ≥ 0, < 2^128; default null]" in " ".join(TEXTS["agt_tournament"].split())


@pytest.mark.parametrize("application", SCHEMAS)
def test_it_is_readable_on_a_hundred_columns(application: str) -> None:
    assert [line for line in TEXTS[application].splitlines() if len(line) > 100] == []
