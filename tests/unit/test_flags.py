"""Options as ``--stage 1``, which are no keys: what to write instead is said, for both applications."""

from __future__ import annotations

import pytest

from agt_tournament.__main__ import _FLAGS
from generative_auctions.command_line import refuse_flags
from generative_auctions.errors import RequestError


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        ("--teams-dir ./teams --output-dir ./results", "teams_dir=./teams run_dir=./results"),
        ("--stage 1 --teams-dir ./teams", "stage=1 teams_dir=./teams"),
        ("--test-game --teams team1,team2,team3", "action=game teams=[team1,team2,team3]"),
        ("--validate ./teams/team1/bidding_agent.py", "action=validate agent=./teams/team1/bidding_agent.py"),
        ("--generate-report --results-dir ./results", "action=report run_dir=./results"),
        ("--stage=2 seed=3", "stage=2"),
        ("--seed --stage 1", "seed=VALUE stage=1"),
        ("--launcher local", "launcher=local"),
    ],
)
def test_the_keys_of_the_documents_options_are_named(arguments: str, keys: str) -> None:
    with pytest.raises(RequestError) as refused:
        refuse_flags(arguments.split(), "agt_tournament", _FLAGS)
    assert refused.value.expected == f"keys: {keys}"


def test_an_option_without_a_key_is_named_alone() -> None:
    with pytest.raises(RequestError, match=r"option = --verbose: expected key=value"):
        refuse_flags(["--stage", "1", "--verbose"], "agt_tournament", _FLAGS)


def test_the_image_auction_names_its_own_keys() -> None:
    with pytest.raises(RequestError, match=r"keys: mechanism=vcg_pool samples=3"):
        refuse_flags(["--mechanism", "vcg_pool", "--samples", "3"], "diffusion_auction", {})
    with pytest.raises(RequestError, match="option = --stage"):
        refuse_flags(["--stage", "1"], "diffusion_auction", {})


def test_a_value_with_blanks_is_quoted_for_the_shell() -> None:
    with pytest.raises(RequestError, match="teams_dir='my teams'"):
        refuse_flags(["--teams-dir", "my teams"], "agt_tournament", _FLAGS)


@pytest.mark.parametrize(
    "arguments", ["--multirun seed=1,2", "--cfg job", "--help", "--config-dir x", "--config-d=x", "-m seed=1", "+x=--y"]
)
def test_the_options_of_hydra_stay(arguments: str) -> None:
    refuse_flags(arguments.split(), "agt_tournament", _FLAGS)
