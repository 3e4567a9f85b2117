"""The template of coalition prompts, and what files of scenarios may hold."""

import json
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from diffusion_auction.market.scenarios import Scenario, join_prompts, load_scenarios, parse_scenarios
from generative_auctions.errors import RequestError
from tests.support import CAFE, CONF, TABLE_1, plain

ENTRY = {"base_prompt": "A pool", "agent1_prompt": "Dell monitor", "agent2_prompt": "Tesla car"}


@pytest.mark.parametrize(
    ("prompts", "text"),
    [
        ([], "A pool"),
        (["a mug"], "A pool, featuring a mug"),
        (["a mug", "a car"], "A pool, featuring a mug and a car"),
        (["a mug", "a car", "a sign"], "A pool, featuring a mug, a car and a sign"),
    ],
)
def test_template(prompts: list[str], text: str) -> None:
    assert join_prompts("A pool", prompts) == text


def test_coalition_prompt_joins_in_the_order_given() -> None:
    scenario = Scenario("c", ("c1", "c2", "c3"))
    assert scenario.coalition_prompt(()) == "c"
    assert scenario.coalition_prompt((2,)) == "c, featuring c3"
    assert scenario.coalition_prompt((0, 2)) == "c, featuring c1 and c3"
    assert scenario.coalition_prompt((2, 0)) == "c, featuring c3 and c1"
    assert scenario.coalition_prompt((1, 1, 1, 0)) == "c, featuring c2, c2, c2 and c1"


def shipped(name: str) -> list[Scenario]:
    entries = plain(OmegaConf.load(CONF / "prompts" / f"{name}.yaml"))["entries"]
    return parse_scenarios(entries, name)


def test_table_1_word_for_word() -> None:
    assert shipped("table1") == [Scenario(base, (first, second)) for base, first, second in TABLE_1]


def test_the_cafe_has_three_agents() -> None:
    assert shipped("cafe") == [Scenario(CAFE[0], CAFE[1:])]


def test_key_is_of_the_texts_alone() -> None:
    keys = {Scenario("c", ("a", "b")).key, Scenario("c", ("b", "a")).key, Scenario("c, a", ("b",)).key}
    assert len(keys) == 3
    assert Scenario("c", ("a", "b")).key == Scenario("c", ("a", "b")).key


def test_file(tmp_path: Path) -> None:
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps([ENTRY, {**ENTRY, "base_prompt": "Ein Café"}], ensure_ascii=False))
    assert load_scenarios(path) == [
        Scenario("A pool", ("Dell monitor", "Tesla car")),
        Scenario("Ein Café", ("Dell monitor", "Tesla car")),
    ]


def changed(**fields: Any) -> dict[str, Any]:
    """`ENTRY` with other fields; None leaves one out."""
    return {key: value for key, value in {**ENTRY, "base_prompt": "Else", **fields}.items() if value is not None}


@pytest.mark.parametrize(
    ("second", "field"),
    [
        (changed(base_prompt=None), "base_prompt"),
        (changed(base_prompt=""), "base_prompt"),
        (changed(base_prompt="  \n"), "base_prompt"),
        (changed(agent1_prompt=None), "agent1_prompt"),
        (changed(agent1_prompt=None, agent2_prompt=None), "agent1_prompt"),
        (changed(agent1_prompt=7), "agent1_prompt"),
        (changed(agent2_prompt=["Tesla car"]), "agent2_prompt"),
        (changed(agent2_prompt="  "), "agent2_prompt"),
        (changed(agent4_prompt="a sign"), "agent3_prompt"),  # a gap
        (changed(agent0_prompt="a sign"), "agent0_prompt"),
        (changed(agent01_prompt="a sign"), "agent01_prompt"),
        (changed(bid="0.3"), "bid"),
        (changed(Agent1_prompt="a sign"), "Agent1_prompt"),
    ],
)
def test_a_bad_field_is_named_with_its_entry(tmp_path: Path, second: dict[str, Any], field: str) -> None:
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps([ENTRY, second]))
    with pytest.raises(RequestError) as refused:
        load_scenarios(path)
    assert refused.value.key == f"prompts.path: {path}, entry 1, field {field}"
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([ENTRY, changed(agent3_prompt="a sign")], r"entry 1 = 3 agents: expected 2 agents, as in entry 0"),
        ([ENTRY, changed(), changed()], r"entry 2 = Else: .* entry 1"),
        ([ENTRY, "A pool"], r"entry 1 = str"),
        ([ENTRY, None], r"entry 1 = NoneType"),
        ([], r"non-empty list"),
        (ENTRY, r"= dict: .* list"),
    ],
)
def test_a_bad_entry_is_named(tmp_path: Path, entries: Any, said: str) -> None:
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps(entries))
    with pytest.raises(RequestError, match=said):
        load_scenarios(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'[{"base_prompt": }]', "line 1"),
        (b"", "valid JSON"),
        (b"\xff\xfe", "JSON file in UTF-8"),
        (b"[\n{,", "line 2"),
    ],
)
def test_no_json(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "prompts.json"
    path.write_bytes(content)
    with pytest.raises(RequestError, match=said) as refused:
        load_scenarios(path)
    assert (refused.value.key, refused.value.value) == ("prompts.path", str(path))


def test_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.json"):
        with pytest.raises(RequestError, match=r"prompts\.path"):
            load_scenarios(path)


def test_a_field_given_twice_is_refused(tmp_path: Path) -> None:
    """JSON readers keep the last of two equal names: one prompt would silently be lost."""
    path = tmp_path / "prompts.json"
    path.write_text('[{"base_prompt": "c", "agent1_prompt": "a", "agent1_prompt": "b"}]')
    with pytest.raises(RequestError, match="agent1_prompt"):
        load_scenarios(path)


def test_a_mark_of_the_encoding_is_read_and_another_encoding_is_named(tmp_path: Path) -> None:
    text, file = '[{"base_prompt": "c", "agent1_prompt": "a"}]', tmp_path / "prompts.json"
    file.write_text(text, encoding="utf-8-sig")
    assert load_scenarios(file)[0].base_prompt == "c"
    file.write_text(text, encoding="utf-16")
    with pytest.raises(RequestError, match="expected a JSON file in UTF-8; save it in that encoding"):
        load_scenarios(file)
