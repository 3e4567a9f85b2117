"""The competition's configuration: what composes, and that every wrong value is refused by its key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from agt_tournament.config import TournamentConfig, identity, read_config
from generative_auctions.errors import RequestError
from generative_auctions.run_directory import GUESSABLE
from tests.support import CONF
from tests.tournament import competition, competition_tree

T = "tournament"


def test_the_rules_are_those_of_the_design_document() -> None:
    rules = competition().tournament
    assert (rules.total_items, rules.auction_rounds, rules.initial_budget) == (20, 15, 60)
    assert (rules.high_value_items, rules.low_value_items, rules.mixed_value_items) == (6, 4, 10)
    assert (rules.high_value_range, rules.low_value_range, rules.mixed_value_range) == ([10, 20], [1, 10], [1, 20])
    assert (rules.stage1_games, rules.stage2_games, rules.arena_size) == (5, 5, 5)
    assert (rules.bid_timeout_seconds, rules.memory_limit_mb) == (2.0, 256)
    assert (rules.valuations_per, rules.reveal_order, rules.bid_decimals) == ("game", True, None)


@pytest.mark.parametrize("option", sorted(path.stem for path in (CONF / T).glob("*.yaml")))
def test_every_option_composes_and_names_every_rule(option: str) -> None:
    competition(f"tournament={option}")
    assert set(yaml.safe_load((CONF / T / f"{option}.yaml").read_text())) <= set(TournamentConfig.model_fields)


def test_games_of_both_stages_follow_games() -> None:
    rules = competition("tournament.games=2000", "tournament.stage2_games=7").tournament
    assert [rules.stage_games(stage) for stage in (0, 1, 2)] == [1, 2000, 7]


@pytest.mark.parametrize(
    "override",
    [
        "tournament.total_items=21",
        "tournament.total_items=0",
        "tournament.total_items=20.0",
        "tournament.high_value_items=-1",
        "tournament.low_value_items=x",
        "tournament.mixed_value_items=null",
        "tournament.high_value_range=[20,10]",
        "tournament.low_value_range=[-1,10]",
        "tournament.mixed_value_range=[1,nan]",
        "tournament.mixed_value_range=[1,inf]",
        "tournament.mixed_value_range=[1]",
        "tournament.mixed_value_range=[1,2,3]",
        "tournament.mixed_value_range=7",
        "tournament.mixed_value_range=[a,b]",
        "tournament.mixed_value_range=[false,true]",
        "tournament.valuations_per=round",
        "tournament.auction_rounds=21",
        "tournament.auction_rounds=0",
        "tournament.initial_budget=-1",
        "tournament.initial_budget=0",
        "tournament.initial_budget=nan",
        "tournament.initial_budget=inf",
        "tournament.initial_budget=sixty",
        "tournament.initial_budget=true",
        "tournament.reveal_order=1",
        "tournament.reveal_order=maybe",
        "tournament.bid_decimals=-1",
        "tournament.bid_decimals=7",
        "tournament.bid_decimals=2.0",
        "tournament.bid_decimals=true",
        "tournament.arena_size=0",
        "tournament.arena_size=201",
        "tournament.games=0",
        "tournament.stage1_games=0",
        "tournament.stage2_games=1000001",
        "tournament.block_games=0",
        "tournament.fillers=truthful_bidder",
        "tournament.fillers=[1]",
        "tournament.bid_timeout_seconds=0",
        "tournament.bid_timeout_seconds=-2",
        "tournament.bid_timeout_seconds=nan",
        "tournament.bid_timeout_seconds=inf",
        "tournament.load_timeout_seconds=0",
        "tournament.load_timeout_seconds=4000",
        "tournament.memory_limit_mb=31",
        "tournament.memory_limit_mb=lots",
        "tournament.memory_limit_mb=100000000000000000000",
        "tournament.output_limit_kb=-1",
        "tournament.name=a/b",
        "tournament.name=''",
        "tournament.name=..",
        "+tournament.prize=1",
        "+prize=1",
        "stage=3",
        "stage=0",
        "stage=true",
        "seed=-1",
        "seed=1.5",
        "seed=abc",
        "tournament.public=all",
        "tournament.title=''",
        "tournament.scoring_weights.utility=inf",
        "+tournament.scoring_weights.luck=1",
        "bad_submissions=play",
        "seed=true",
        f"seed={2**128}",
        "action=watch",
        "teams=[]",
        "teams=[1]",
        "rerun=1",
        "run_dir=''",
        "sandbox.name=bogus",
        "launcher.name=bogus",
        "+sandbox.wall=1",
    ],
)
def test_a_wrong_value_is_refused_by_its_key(override: str) -> None:
    key = override.lstrip("+").partition("=")[0]
    tree = competition_tree(override)
    with pytest.raises(RequestError, match=rf"^{re.escape(key)}(\[\d\])? = .*: expected \S") as refused:
        read_config(tree)
    assert "\n" not in str(refused.value)


def test_an_option_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(Exception, match=r"sandbox/bogus"):
        competition_tree("sandbox=bogus")


def test_a_key_that_is_missing_is_asked_for() -> None:
    tree = competition_tree()
    del tree["tournament"]["arena_size"]
    with pytest.raises(RequestError, match=r"tournament\.arena_size = absent: expected a value"):
        read_config(tree)


@pytest.mark.parametrize(
    "override",
    [
        "tournament.auction_rounds=20",
        "tournament.high_value_range=[0,0]",
        "tournament.high_value_range=[3.5,3.5]",
        "tournament.initial_budget=0.01",
        "tournament.bid_decimals=0",
        "tournament.arena_size=1",
        "tournament.valuations_per=stage",
        "tournament.reveal_order=false",
        f"seed={2**128 - 1}",
        "stage=1",
        "stage=2",
        "tournament.output_limit_kb=0",
    ],
)
def test_an_unusual_value_is_taken(override: str) -> None:
    competition(override)


def test_who_plays_and_where_is_not_compared_between_runs_but_every_rule_is() -> None:
    one = identity(competition())
    same = ["action=game", "stage=1", "teams_dir=x", "teams=[a]", "agent=x", "json=x", "rerun=true", "run_dir=x"]
    assert identity(competition(*same)) == one
    pages = ("title", "public")
    for name in TournamentConfig.model_fields.keys() - pages:
        assert any(key == f"tournament.{name}" or key.startswith(f"tournament.{name}.") for key in one)
    assert identity(competition("tournament.title=Spring", "tournament.public=points")) == one
    assert "seed" in one
    assert identity(competition("sandbox=none", "i_trust_these_agents=true")) == one  # walls change no result
    assert identity(competition("seed=1")) != one


# --- the seed --------------------------------------------------------------------------------------------


def run_with(run_dir: Path, seed: object) -> str:
    """A run directory made with `seed`, as an override."""
    run_dir.mkdir(exist_ok=True)
    (run_dir / "config.yaml").write_text(yaml.safe_dump({"seed": seed, "identity": {"seed": seed}}))
    return f"run_dir={run_dir}"


def test_a_new_run_has_seed_0_or_a_random_one_that_nobody_can_guess(tmp_path: Path) -> None:
    assert competition(f"run_dir={tmp_path}").seed == 0
    drawn = {competition(f"run_dir={tmp_path}", "seed=random").seed for _ in range(3)}
    assert len(drawn) == 3
    assert all(GUESSABLE <= seed < 2**128 for seed in drawn)


def test_a_resumed_run_keeps_its_seed_and_one_that_is_given_counts(tmp_path: Path) -> None:
    run_dir = run_with(tmp_path, 1 << 100)
    assert competition(run_dir).seed == 1 << 100
    assert competition(run_dir, "seed=random").seed == 1 << 100
    assert competition(run_dir, "seed=3").seed == 3  # refused where the directory is opened
    assert competition(run_dir, "action=validate").seed == 0  # it resumes nothing


def test_a_random_seed_is_not_promised_where_the_run_has_one_that_can_be_guessed(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"seed = random: expected another run_dir: .* seed=7"):
        competition(run_with(tmp_path, 7), "seed=random")


@pytest.mark.parametrize("damaged", ["many", None, 1.5, [1]])
def test_a_stored_seed_that_is_none_is_refused_by_its_file(tmp_path: Path, damaged: object) -> None:
    with pytest.raises(RequestError, match=r"config.yaml: expected the file as the run wrote it \(it has no seed\)"):
        competition(run_with(tmp_path, damaged))
