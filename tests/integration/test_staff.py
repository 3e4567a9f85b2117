"""A competition as its staff run it: begun, resumed, with submissions that are bad, late, changed or withdrawn."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from agt_tournament.__main__ import perform
from agt_tournament.tournament.registration.unregistered import examples
from generative_auctions.errors import RequestError
from generative_auctions.run_directory import GUESSABLE
from tests.support import auction
from tests.tournament import competition_tree, submission

QUICK = ("tournament.games=1", "tournament.auction_rounds=2", "sandbox=none", "i_trust_these_agents=true")


@pytest.fixture
def teams(tmp_path: Path) -> Path:
    """A folder with three submissions that play and one that does not load."""
    for name in ("ana", "ben", "cyd"):
        submission(tmp_path / "teams" / name, examples()["truthful_bidder"].read_text() + f"# {name}\n")
    submission(tmp_path / "teams" / "dan", "import requests\n")
    return tmp_path / "teams"


def run(teams: Path, *more: str) -> int:
    run_dir = teams.parent / "run"
    return perform(competition_tree("action=run", f"teams_dir={teams}", f"run_dir={run_dir}", *QUICK, *more))


def stored(teams: Path) -> dict[str, object]:
    return yaml.safe_load((teams.parent / "run" / "config.yaml").read_text())


def test_all_bad_submissions_are_refused_before_anything_is_stored(teams: Path) -> None:
    (teams / "ana" / "bidding_agent.py").unlink()
    with pytest.raises(RequestError, match="2 of 4 do not") as refused:
        run(teams)
    assert [line.partition(":")[0] for line in refused.value.details] == ["ana", "dan"]
    assert not (teams.parent / "run").exists()


def test_the_command_line_tells_each_in_a_line(teams: Path, tmp_path: Path) -> None:
    done = auction(f"teams_dir={teams}", "run_dir=run", *QUICK, cwd=tmp_path, module="agt_tournament")
    assert done.returncode == 2
    said = done.stderr.splitlines()[1:]  # the first says what is being done
    assert said == [
        "bad_submissions = refuse: expected submissions that load; 1 of 4 do not; bad_submissions=set_aside plays "
        "without them",
        "  dan: bidding_agent.py:1: ModuleNotFoundError: No module named 'requests'",
    ]


def test_who_is_set_aside_is_decided_once(teams: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_dir = teams.parent / "run"
    assert run(teams, "bad_submissions=set_aside", "seed=random") == 0
    assert (
        "1 team set aside, whose submissions do not load:\n  dan: bidding_agent.py:1: Module" in capsys.readouterr().err
    )
    assert (run_dir / "teams" / "dan" / "set_aside.txt").exists()
    for page in ("public/standings.html", "analytics/competition_report.html"):
        assert "<bdi>dan</bdi>" in (run_dir / page).read_text()
    seed = stored(teams)["seed"]
    assert isinstance(seed, int)
    assert seed >= GUESSABLE
    for mended in (True, False):
        if mended:
            shutil.copytree(teams / "ana", teams / "dan", dirs_exist_ok=True)
        else:
            shutil.rmtree(teams / "dan")
        assert run(teams) == 0, "neither the seed nor the decision is said again"
        assert "  dan: bidding_agent.py:1: Module" in capsys.readouterr().err
        assert (run_dir / "stage1" / "arena_1" / "game_1.json").stat().st_mtime < (
            run_dir / "metrics.json"
        ).stat().st_mtime
    assert run(teams, "seed=random") == 0
    assert stored(teams)["seed"] == seed
    with pytest.raises(RequestError, match="seed was a seed that is kept secret, now 5"):
        run(teams, "seed=5")
    capsys.readouterr()
    assert perform(competition_tree("action=replay", f"run_dir={run_dir}")) == 0, capsys.readouterr().err


def test_late_changed_and_withdrawn_teams_are_refused_with_what_to_do(teams: Path) -> None:
    shutil.rmtree(teams / "dan")
    run(teams, "stage=1")
    before = stored(teams)
    submission(teams / "eve", examples()["truthful_bidder"].read_text())
    (teams / "ana" / "bidding_agent.py").unlink()
    (teams / "ben" / "bidding_agent.py").write_text("x = 1\n")
    shutil.rmtree(teams / "cyd")
    with pytest.raises(RequestError, match="another run_dir plays with those of now") as refused:
        run(teams, "stage=2")
    copies = teams.parent / "run" / "submissions"
    ana, ben, cyd, eve = refused.value.details
    assert (
        ana == f"ana handed in another submission: to go on, put back the one that played, which lies in {copies}/ana"
    )
    assert ben == ana.replace("ana", "ben")
    assert cyd == f"cyd is withdrawn: to go on, put its submission back, which lies in {copies}/cyd"
    assert eve == "eve is late: to go on, take it out of the teams"
    assert stored(teams) == before
    for name in ("ana", "ben", "cyd"):  # what the lines say
        shutil.rmtree(teams / name, ignore_errors=True)
        shutil.copytree(copies / name, teams / name)
    shutil.rmtree(teams / "eve")
    assert run(teams, "stage=2") == 0
    with pytest.raises(RequestError, match=re.escape(f"teams_dir = null: expected the teams that {copies.parent}")):
        perform(competition_tree("action=run", f"run_dir={copies.parent}", *QUICK))


def test_a_final_of_one_team_is_said_before_it_is_played(teams: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(teams / "dan")
    for stage, said in (("1", False), ("2", True)):
        run(teams, f"stage={stage}")
        error = capsys.readouterr().err
        assert ("3 teams in one arena of 5: stage 2 will be its first team alone" in error) == said
        assert not said or error.index("first team alone") < error.index("sandbox: none")


def test_pages_have_another_headline_and_points_when_they_are_asked_for(
    teams: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(teams / "dan")
    run_dir = teams.parent / "run"
    run(teams, "stage=1", "tournament.title=Spring term")
    page = run_dir / "public" / "standings.html"
    assert "Spring term" in page.read_text()
    assert ">points<" not in page.read_text()
    assert f"public   {page}" in capsys.readouterr().out
    report = ("action=report", f"run_dir={run_dir}")
    assert perform(competition_tree(*report, "tournament.public=points")) == 0
    assert "Spring term" in page.read_text()
    assert ">points<" in page.read_text()
    perform(competition_tree(*report))
    assert ">points<" in page.read_text(), "it is kept"
    perform(competition_tree(*report, "tournament.public=none"))
    assert not page.exists()
    assert perform(competition_tree("action=replay", f"run_dir={run_dir}")) == 0


def test_logs_tell_what_was_done_and_decided(teams: Path) -> None:
    run(teams, "bad_submissions=set_aside", "stage=1")
    logs = teams.parent / "run" / "logs"
    lines = [line.partition(" ")[2] for line in (logs / "competition.log").read_text().splitlines()]
    assert lines[0] == "the run of stage 1, sandbox none, launcher inline begins"
    assert "playing: ana, ben, cyd" in lines
    assert "dan is set aside: bidding_agent.py:1: ModuleNotFoundError: No module named 'requests'" in lines
    assert "stage 1: 1 of 1 blocks of games are to be played" in lines
    assert any(re.match(r"stage 1, arena_1: \w+ advances with .* decides", line) for line in lines)
    assert lines[-1] == lines[0].replace("begins", "ends")
    block = (logs / "stage1" / "arena_1_games_1_to_1.log").read_text()
    assert len(re.findall(r"game 1, round [12]: item_\d+: .* pays .*; bids: ", block)) == 2
