"""Which teams play: what is wrong with a submission is said before anything is stored, of all of them at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agt_tournament.sandbox.walls.sandbox import NONE
from agt_tournament.tournament.admission import admit, read_submissions
from agt_tournament.tournament.registration.registered import read_teams
from agt_tournament.tournament.registration.teams import SetAside, Team
from agt_tournament.tournament.registration.unregistered import examples
from generative_auctions.errors import RequestError
from tests.tournament import competition, submission

GOOD = examples()["truthful_bidder"].read_text()


@pytest.fixture
def teams(tmp_path: Path) -> list[Team]:
    """One good submission among those that cannot be read or do not load."""
    folder = tmp_path / "teams"
    submission(folder / "good", GOOD)
    submission(folder / "syntax", "class BiddingAgent\n    pass\n")
    submission(folder / "nothing", "x = 1\n")
    submission(folder / "module", "import requests\n")
    submission(folder / "raises", "def helper():\n    raise ValueError('a\\nb')\n\nhelper()\n")
    (folder / "empty").mkdir()
    submission(folder / "deep" / "agent", GOOD)
    (folder / "linked").mkdir()
    (folder / "linked" / "bidding_agent.py").symlink_to("/etc/passwd")
    (folder / "link").symlink_to(folder / "good")
    submission(folder / "large", GOOD)
    with (folder / "large" / "weights.py").open("wb") as file:
        file.truncate(21 << 20)
    return read_teams(folder)


REASONS = {
    "deep": "no bidding_agent.py in its folder; there is agent/bidding_agent.py",
    "empty": "no bidding_agent.py in its folder",
    "large": "large: expected at most 1,000 files, modules of together 20 MiB",
    "link": "a link: it could lead anywhere on this machine",
    "linked": "linked/bidding_agent.py: expected regular files only, no links or devices, in a submission",
    "module": "bidding_agent.py:1: ModuleNotFoundError: No module named 'requests'",
    "nothing": "bidding_agent.py defines no class BiddingAgent with a method bidding_function",
    "raises": "bidding_agent.py:2: b",
    "syntax": "bidding_agent.py:1: SyntaxError: expected ':'",
}


def test_all_bad_submissions_are_refused_at_once_with_their_reasons(teams: list[Team]) -> None:
    with pytest.raises(RequestError, match="refuse: expected submissions that load; 9 of 10 do not") as refused:
        admit(competition(), teams, NONE)
    assert dict(line.split(": ", 1) for line in refused.value.details) == REASONS


def test_or_they_are_set_aside(teams: list[Team], capsys: pytest.CaptureFixture[str]) -> None:
    playing, aside = admit(competition("bad_submissions=set_aside"), teams, NONE)
    assert [team.team_id for team in playing] == ["good"]
    assert {each.team.team_id: each.gist for each in aside} == REASONS
    assert "loading 5 submissions once" in capsys.readouterr().err
    raised = next(each for each in aside if each.team.team_id == "raises")
    assert "line 4, in <module>" in raised.reason, "the team gets all of it"


def test_a_competition_without_a_team_that_plays_is_refused(teams: list[Team]) -> None:
    with pytest.raises(RequestError, match=r"1 of 1 do not\n"):
        admit(competition("bad_submissions=set_aside"), [team for team in teams if team.team_id == "empty"], NONE)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_submission_that_may_not_be_read_is_bad(tmp_path: Path) -> None:
    submission(tmp_path / "ana", GOOD)
    (tmp_path / "ana" / "bidding_agent.py").chmod(0)
    _, [aside] = read_submissions(read_teams(tmp_path))
    assert aside.gist == "ana/bidding_agent.py: Permission denied"


def test_who_was_set_aside_comes_back_from_json() -> None:
    aside = SetAside(Team("ana", "Anas", ""), "no bidding_agent.py")
    assert SetAside.of_json(aside.as_json()) == aside


def test_the_gist_of_an_endless_import_is_its_reason() -> None:
    place = '  File "bidding_agent.py", line 3, in <module>'
    aside = SetAside(Team("ana", "Anas", ""), f"its import: too much CPU time for what may take 10 s\n{place}\n")
    assert aside.gist == "bidding_agent.py:3: its import: too much CPU time for what may take 10 s"
