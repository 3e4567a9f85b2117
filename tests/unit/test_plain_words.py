"""Every refusal of a schema says key, value and what is valid in words of this project, not of pydantic or a regex."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from pydantic import BaseModel, ValidationError

from agt_tournament import config as competition
from agt_tournament.tournament.registration.registered import _Entry
from diffusion_auction import config as auction
from generative_auctions import schema
from generative_auctions.errors import RequestError
from generative_auctions.files import DamagedFileError
from generative_auctions.run_directory import read_run
from tests.support import CONF, plain

FOREIGN = re.compile(
    r"input should|should |valid (integer|number|string|list|dict|boolean)|validation|greater than|less than|pattern"
    r"|dictionary|\bitems?\b|instance|[\^\\]|discriminator|'|unable",
    re.IGNORECASE,
)
WRONG = (
    "",
    "x",
    "a/b",
    -1,
    0,
    0.5,
    10**12,
    float("nan"),
    float("inf"),
    True,
    None,
    [],
    ["x"],
    [[]],
    [1] * 9,
    {},
    {"a": 1},
)


def options(group: str) -> list[Any]:
    return [OmegaConf.to_container(OmegaConf.load(path)) for path in sorted((CONF / group).glob("*.yaml"))]


def auctions() -> Iterator[dict[str, Any]]:
    """Configurations with every option of every group; not composed by Hydra, which is slow."""
    plain = {"name": "a", "action": "run", "scores": None, "images_from": None, "runs": None, "run_dir": "x"}
    plain |= {"seed": 0, "samples": 1, "scenarios": [0]}
    groups = ("model", "alignment", "quality", "prompts", "bids", "composition", "mechanism", "launcher")
    tree = plain | {group: options(group)[0] for group in groups}
    for group in groups:
        for option in options(group):
            yield tree | {group: option}


def competitions() -> Iterator[dict[str, Any]]:
    keys = plain(OmegaConf.load(CONF / "agt_tournament.yaml"))
    keys = {key: value for key, value in keys.items() if key not in ("defaults", "hydra")} | {"run_dir": "x"}
    rules = OmegaConf.to_container(OmegaConf.load(CONF / "tournament" / "agt.yaml"), resolve=True)
    for launcher in options("launcher"):
        yield keys | {"tournament": rules, "sandbox": {"name": "auto"}, "launcher": launcher}


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a value stands in `tree`, those inside of lists too."""
    if path:
        yield path
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield from places(value, (*path, key))


def refusals(
    read: Callable[[dict[str, Any]], object], trees: Iterator[dict[str, Any]]
) -> Iterator[tuple[str, RequestError]]:
    """Each place of each tree with each wrong value, and with the value taken out: what is said of it."""
    for tree in trees:
        read(copy.deepcopy(tree))  # it is right as it is
        for path in places(tree):
            for wrong in (*WRONG, WRONG):  # the last: it is left out
                broken = copy.deepcopy(tree)
                inner = broken
                for part in path[:-1]:
                    inner = inner[part]
                if wrong is WRONG:
                    del inner[path[-1]]
                else:
                    inner[path[-1]] = wrong
                try:
                    read(broken)
                except RequestError as error:
                    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
                    yield key, error


@pytest.mark.parametrize(
    ("read", "trees"),
    [
        (auction.read_config, auctions),
        (competition.read_config, competitions),
        (
            lambda tree: schema.read_config(_Entry, tree),
            lambda: iter([{"team_id": "a", "team_name": "b", "members": ["c"]}]),
        ),
    ],
    ids=["auction", "competition", "team"],
)
def test_refusals_are_in_plain_words(read: Callable[[dict[str, Any]], object], trees: Callable[[], Any]) -> None:
    said = {(error.expected, key): error for key, error in refusals(read, trees())}
    assert len(said) > 5
    for (expected, key), error in said.items():
        assert not FOREIGN.search(expected.replace("2^128", "")), f"{key}: {error}"
        assert "\n" not in str(error)


def test_every_kind_of_constraint_has_words() -> None:
    """Of what pydantic can complain about, what the schemas here use was met above; a new kind must be added."""
    kinds = set()
    for tree, model in (
        (next(auctions()), auction.ExperimentConfig),
        (next(competitions()), competition.CompetitionConfig),
    ):
        for path in places(tree):
            for wrong in WRONG:
                broken = copy.deepcopy(tree)
                inner = broken
                for part in path[:-1]:
                    inner = inner[part]
                inner[path[-1]] = wrong
                kinds |= kinds_of(model, broken)
    special = {"union_tag_invalid", "literal_error", "too_short", "too_long"}
    assert kinds <= special | schema._EXPECTED.keys()


def kinds_of(model: type[BaseModel], tree: dict[str, Any]) -> set[str]:
    try:
        model.__pydantic_validator__.validate_python(tree)
    except ValidationError as error:
        return {each["type"] for each in error.errors()}
    return set()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"bids": {"kind": "explicit", "vectors": [[0.7, "x"]]}}, "bids.vectors[0][1] = x: expected a number"),
        ({"bids": {"kind": "explicit", "vectors": []}}, "bids.vectors = []: expected at least 1 entry"),
        ({"samples": 0}, "samples = 0: expected a number of at least 1"),
        ({"name": "a/b"}, f"name = a/b: expected {auction._FOLDER}"),
        ({"name": ".."}, f"name = ..: expected {auction._FOLDER}"),
        ({"name": "multirun"}, f"name = multirun: expected {auction._FOLDER}"),
        ({"action": "dance"}, "action = dance: expected one of run, plan, evaluate, compare, report, fetch"),
        ({"run_dir": ""}, "run_dir = : expected a text that is not empty"),
    ],
)
def test_examples(change: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError) as refused:
        auction.read_config(next(auctions()) | change)
    assert str(refused.value) == said


def test_a_text_that_is_no_unicode_is_refused_in_plain_words() -> None:
    tree = next(competitions()) | {"run_dir": "bad\udcff"}
    with pytest.raises(RequestError) as refused:
        competition.read_config(tree)
    assert refused.value.expected == "a text in UTF-8"


@pytest.mark.parametrize("content", ["[]", "3", "a"])
def test_a_stored_file_of_another_kind_is_said_without_names_of_the_program(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(DamagedFileError) as refused:
        read_run(tmp_path)
    assert refused.value.problem == "expected keys with values"
