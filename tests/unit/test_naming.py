"""Directories of commands that name none: one for each request, the same for the same request."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

import agt_tournament.tournament.directory_name  # noqa: F401  (its resolver is asked for)
import diffusion_auction.config  # noqa: F401
from generative_auctions.naming import Asked, _joined
from tests.support import CONF


def run_dir(application: str, *overrides: str) -> str:
    """The run directory of a command line, below that of the application."""
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        composed = compose(application, overrides=list(overrides), return_hydra_config=True)
    folder, _, name = composed.run_dir.rpartition("/")
    assert folder == f"outputs/{application}"
    return str(name)


def auction(*overrides: str) -> str:
    return run_dir("diffusion_auction", *overrides)


def competition(*overrides: str) -> str:
    return run_dir("agt_tournament", *overrides)


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ([], "single"),
        (["+sweep=two_agent_grid"], "two_agent_grid"),
        (["name=mine", "samples=3"], "mine"),
        (["prompts=cafe"], "single-prompts_cafe"),
        (["samples=2", "mechanism=vcg_pool"], "single-mechanism_vcg_pool-samples_2"),
        (["+sweep=three_agent", "model=flux_schnell"], "three_agent-model_flux_schnell"),
        (["action=evaluate", "scores=mine.csv"], "evaluate-scores_mine.csv"),
    ],
)
def test_a_name_reads_as_the_request(overrides: list[str], name: str) -> None:
    assert auction(*overrides) == name


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ([], "agt"),
        (["stage=2"], "agt"),
        (["tournament.name=mine", "tournament.games=3"], "mine"),
        (["tournament.games=3"], "agt-tournament.games_3"),
    ],
)
def test_a_competition_has_its_name(overrides: list[str], name: str) -> None:
    assert competition(*overrides) == name


AUCTIONS = [
    [], ["bids.vectors=[[0.2,0.8]]"], ["bids.vectors=[[0.2],[0.8]]"], ["bids.vectors=[[0.28]]"], ["seed=1"],
    ["model.guidance_scale=1"], ["model.guidance_scale=-1"], ["prompts=file", "prompts.path=a.json"],
    ["prompts=file", "prompts.path=A.json"], ["prompts=file", "prompts.path=a_json"],
    ["scenarios=[1]"], ["scenarios=null"],
    ["+sweep=two_agent_grid"], ["+sweep=two_agent_grid", "seed=1"],
    ["quality.good_prompt=a b"], ["quality.good_prompt=a_b"],
    ["prompts=file", "prompts.path=" + "a/" * 100 + "b.json"],
    ["prompts=file", "prompts.path=" + "a/" * 100 + "c.json"],
    ["action=evaluate", "scores=a/b.csv"], ["action=evaluate", "scores=a_b.csv"], ["action=evaluate", "scores=b.csv"],
    ["action=evaluate", "scores=b.csv", "seed=1"], ["scores=b.csv"], ["action=compare", "runs=[a,b]"],
    ["action=compare", "runs=[b,a]"], ["quality.good_prompt='Größe'"], ["quality.good_prompt=Gr_e"],
]  # fmt: skip
COMPETITIONS = [
    [], ["teams_dir=a"], ["teams_dir=A"], ["teams_dir=a/b"], ["seed=1"], ["seed=12"], ["tournament.games=1"],
    ["action=game", "teams=[truthful_bidder,random_bidder]"], ["action=game", "teams=[random_bidder,truthful_bidder]"],
    ["action=game", "teams=[truthful_bidder,random_bidder]", "seed=1"],
]  # fmt: skip


@pytest.mark.parametrize(
    ("application", "requests"), [("diffusion_auction", AUCTIONS), ("agt_tournament", COMPETITIONS)]
)
def test_no_two_requests_share_a_directory(application: str, requests: list[list[str]], tmp_path: Path) -> None:
    names = [run_dir(application, *request) for request in requests]
    for (one, name), (other, another) in combinations(zip(requests, names, strict=True), 2):
        assert name.lower() != another.lower(), (one, other)  # there are file systems that do not tell A from a
    parser = OverridesParser.create()
    for name in names:
        (tmp_path / name).mkdir()
        assert re.fullmatch(r"[\w.-]+", name)
        assert parser.parse_override(f"runs=[x/{name},y]").value() == [
            f"x/{name}",
            "y",
        ]  # one copies it from the terminal


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["samples=2", "seed=1"], ["seed=1", "samples=2"]),
        (["samples=3", "samples=2"], ["samples=2"]),
        (["bids.vectors=[[.2,.8]]"], ["bids.vectors=[[0.2, 0.8]]"]),
        (["seed=1"], ["seed=1", "action=plan"]),
        (["seed=1"], ["seed=1", "action=report", "launcher=local", "launcher.slots=2", "launcher.gpus=false"]),
        (["seed=1"], ["++seed=1", "model.device=cuda", "model.offload=true", "alignment.device=cpu", "images_from=x"]),
        (["action=evaluate", "scores=a b.csv"], ["action=report", "scores=a b.csv"]),
    ],
)
def test_one_request_has_one_directory(one: list[str], other: list[str]) -> None:
    assert auction(*one) == auction(*other)


def test_a_competition_is_found_again() -> None:
    asked = ("teams_dir=mine", "seed=7")
    again = ("stage=1", "action=replay", "rerun=true", "launcher=local", "sandbox=none", "i_trust_these_agents=true")
    assert competition(*asked, *again) == competition(*asked)


def test_another_version_of_an_agent_plays_in_another_directory(tmp_path: Path) -> None:
    agent = tmp_path / "bidding_agent.py"
    asked: tuple[str, ...] = ("action=game", f"teams=[truthful_bidder,{tmp_path}/]")
    agent.write_text("a = 1\n")
    first = competition(*asked)
    assert competition(*asked) == first
    agent.write_text("a = 2\n")
    assert competition(*asked) != first

    team = tmp_path / "teams" / "alice"
    team.mkdir(parents=True)
    asked = ("action=game", "teams=[truthful_bidder,alice]", f"teams_dir={team.parent}")
    (team / "bidding_agent.py").write_text("a = 1\n")
    first = competition(*asked)
    (team / "bidding_agent.py").write_text("a = 2\n")
    assert competition(*asked) != first


def test_options_of_ones_own_have_directories_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = {auction("samples=2")}
    for folder in ("one", "two"):
        own = tmp_path / folder / "prompts" / "mine.yaml"
        own.parent.mkdir(parents=True)
        own.write_text(OmegaConf.to_yaml({"path": f"{folder}.json", "entries": None}))
        names.add(auction("samples=2", "prompts=mine", f"hydra.searchpath=[file://{tmp_path / folder}]"))
    assert len(names) == 3


texts = st.text(st.sampled_from("aA0_-.=,[]/ é"), max_size=5)
requests = st.dictionaries(st.sampled_from(["a", "a.b", "a_b", "b"]), texts, max_size=3)


@given(
    one=st.tuples(st.sampled_from(["s", "s-a_0", "S"]), requests),
    other=st.tuples(st.sampled_from(["s", "a"]), requests),
)
def test_names_are_as_different_as_requests(one: tuple[str, dict[str, str]], other: tuple[str, dict[str, str]]) -> None:
    names = []
    for base, asked in (one, other):
        names.append(_joined(base, [Asked(key, value, False) for key, value in sorted(asked.items())], []))
    assert (names[0].lower() == names[1].lower()) == (one == other) or {one[0], other[0]} == {"S", "s"}
