"""Who takes part: what a roster or a folder says, what is refused and by which key."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import yaml

from agt_tournament.tournament.registration.registered import read_teams
from agt_tournament.tournament.registration.submissions import read_submission
from agt_tournament.tournament.registration.teams import Team
from agt_tournament.tournament.registration.unregistered import BUNDLED, examples, game_teams
from generative_auctions.errors import RequestError
from tests.tournament import submission

AGENT = "class BiddingAgent: pass\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the submissions ana/ and ben.py, and no roster."""
    submission(tmp_path / "ana", AGENT)
    (tmp_path / "ben.py").write_text(AGENT)
    return tmp_path


def with_roster(folder: Path, text: str) -> Path:
    (folder / "teams.yaml").write_text(text)
    return folder


# --- a roster --------------------------------------------------------------------------------------------


def test_a_roster_names_teams_agents_times_and_members(folder: Path) -> None:
    text = """
    - team_id: ana
    - team_id: B-2_x
      team_name: Bens, née Bénédictine
      agent_file_path: ben.py
      registration_timestamp: "2026-10-05T09:00:00+02:00"
      members: [Ben, Bob]
    """
    ana, ben = read_teams(with_roster(folder, text))
    assert ana == Team("ana", "ana", str(folder / "ana"))
    assert ben.team_name == "Bens, née Bénédictine"
    assert ben.agent_file_path == str(folder / "ben.py")
    assert ben.registration_timestamp == datetime(2026, 10, 5, 7, tzinfo=UTC)
    assert (ben.members, ben.filler) == (["Ben", "Bob"], False)


def test_a_roster_may_stand_under_the_key_teams(folder: Path) -> None:
    assert [team.team_id for team in read_teams(with_roster(folder, "teams: [{team_id: ana}]"))] == ["ana"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-10-05T09:00:00+02:00", datetime(2026, 10, 5, 9, tzinfo=timezone(timedelta(hours=2)))),
        ('"2026-10-05T09:00:00"', datetime(2026, 10, 5, 9, tzinfo=UTC)),
        ('"2026-10-05 09:00"', datetime(2026, 10, 5, 9, tzinfo=UTC)),
        ("2026-10-05 09:00:00", datetime(2026, 10, 5, 9, tzinfo=UTC)),
        ('"2026-10-05T09:00:00Z"', datetime(2026, 10, 5, 9, tzinfo=UTC)),
        ("null", None),
    ],
)
def test_a_time_without_a_zone_is_universal_time(
    folder: Path, text: str, expected: datetime | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        (team,) = read_teams(with_roster(folder, f"[{{team_id: ana, registration_timestamp: {text}}}]"))
    time.tzset()
    assert team.registration_timestamp == expected


@pytest.mark.parametrize(
    "text",
    [
        "soon",
        "2026-10-05",
        '"2026-10-05"',
        '"2026-W41-1"',
        "20261005",
        '"20261005"',
        "1.5",
        "true",
        "''",
        "[2026]",
        '"2026-10-05T25:00"',
        "2026-13-05",
        "2026-10-05T25:00:00",
        "2026-02-30T09:00:00Z",
    ],
)
def test_a_time_that_is_none_is_refused(folder: Path, text: str) -> None:
    ben = f"{{team_id: ben, agent_file_path: ben.py, registration_timestamp: {text}}}"
    roster = with_roster(folder, f"[{{team_id: ana}}, {ben}]")
    with pytest.raises(RequestError) as refused:
        read_teams(roster)
    if refused.value.key != "teams.yaml[1].registration_timestamp":  # the YAML itself cannot be read
        assert refused.value.key == "teams_dir"
        assert re.search("must be in|out of range", refused.value.expected)


@pytest.mark.parametrize(
    "team_id", ["../x", "", "a" * 65, "a b", "a.b", "-a", "_a", "é", "a\n", "a/b", "=1", 7, None, ["a"]]
)
def test_a_team_id_that_is_none_is_refused(folder: Path, team_id: object) -> None:
    with pytest.raises(RequestError) as refused:
        read_teams(with_roster(folder, yaml.safe_dump([{"team_id": team_id, "agent_file_path": "ana"}])))
    assert refused.value.key == "teams.yaml[0].team_id"
    assert str(refused.value.value) == ("null" if team_id is None else str(team_id))


def test_an_id_of_64_letters_is_one(folder: Path) -> None:
    assert read_teams(with_roster(folder, f"[{{team_id: {'a' * 64}, agent_file_path: ana}}]"))


@pytest.mark.parametrize("ids", [("ana", "ana"), ("Abc", "abc"), ("a", "a"), ("x", "y", "X")])
def test_two_teams_of_one_id_are_refused(folder: Path, ids: tuple[str, ...]) -> None:
    entries = [{"team_id": team_id, "agent_file_path": "ana"} for team_id in ids]
    with pytest.raises(RequestError) as refused:
        read_teams(with_roster(folder, yaml.safe_dump(entries)))
    assert (refused.value.key, refused.value.value) == ("team_id", ids[-1])


def test_an_entry_repeated_by_an_alias_is_refused(folder: Path) -> None:
    with pytest.raises(RequestError, match="team_id = ana"):
        read_teams(with_roster(folder, "- &ana {team_id: ana}\n- *ana\n"))


@pytest.mark.parametrize(
    "name", ["=1+1", "=HYPERLINK()", "+1", "-1", "@x", "a\tb", "a\nb", "\x1b[31m", "a\u202eb", "a\x00b", "\r=1"]
)
def test_a_name_that_a_spreadsheet_or_terminal_would_run_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(RequestError) as refused:
        read_teams(with_roster(folder, yaml.safe_dump([{"team_id": "ana", "team_name": name}])))
    assert refused.value.key == "teams.yaml[0].team_name"
    assert str(refused.value.value) == repr(name)


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("[{team_id: ana, agent: x}]", "teams.yaml[0].agent", "x"),
        ("[{team_id: ana, filler: true}]", "teams.yaml[0].filler", "True"),
        ("[{team_name: Anas}]", "teams.yaml[0].team_id", "absent"),
        ("[{team_id: ana, team_name: ''}]", "teams.yaml[0].team_name", ""),
        ("[{team_id: ana, team_name: 7}]", "teams.yaml[0].team_name", "7"),
        ("[{team_id: ana, agent_file_path: ''}]", "teams.yaml[0].agent_file_path", ""),
        ("[{team_id: ana, members: Ana}]", "teams.yaml[0].members", "Ana"),
        ("[{team_id: ana, members: [1]}]", "teams.yaml[0].members[0]", "1"),
    ],
)
def test_what_else_is_wrong_is_refused_by_its_key(folder: Path, text: str, key: str, value: str) -> None:
    with pytest.raises(RequestError) as refused:
        read_teams(with_roster(folder, text))
    assert (refused.value.key, str(refused.value.value)) == (key, value)


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "7",
        "{}",
        "[]",
        "",
        "[1, 2]",
        "{ana: ben.py}",
        "- [",
        "a: b: c",
        "[{[1]: 2}]",
        "!!python/object:os.x {}",
    ],
)
def test_a_file_that_is_no_roster_is_refused(folder: Path, text: str) -> None:
    with pytest.raises(RequestError) as refused:
        read_teams(with_roster(folder, text))
    assert refused.value.key == "teams_dir"


def test_a_roster_that_is_no_text_is_refused(folder: Path) -> None:
    (folder / "teams.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RequestError, match="teams_dir"):
        read_teams(folder)


def test_all_wrong_entries_are_named_at_once(folder: Path) -> None:
    wrong = "[{team_id: ana}, {team_id: a b}, {team_id: ben, registration_timestamp: soon}]"
    with pytest.raises(RequestError, match="2 of 3 entries") as refused:
        read_teams(with_roster(folder, wrong))
    assert [line.partition(" = ")[0] for line in refused.value.details] == [
        "teams.yaml[1].team_id",
        "teams.yaml[2].registration_timestamp",
    ]


# --- folders ---------------------------------------------------------------------------------------------


def test_without_a_roster_every_folder_is_a_team(tmp_path: Path) -> None:
    for name in ("ben", "ana", ".git", "__pycache__"):
        submission(tmp_path / name, AGENT)
    (tmp_path / "readme.txt").write_text("x")
    teams = read_teams(tmp_path)
    assert [(team.team_id, team.team_name, team.registration_timestamp) for team in teams] == [
        ("ana", "ana", None),
        ("ben", "ben", None),
    ]


@pytest.mark.parametrize("name", ["a b", "a.b", "é", "-a", "a" * 65])
def test_a_folder_that_is_no_team_id_is_refused(tmp_path: Path, name: str) -> None:
    submission(tmp_path / name, AGENT)
    with pytest.raises(RequestError) as refused:
        read_teams(tmp_path)
    assert (refused.value.key, refused.value.value, refused.value.details) == ("teams_dir", tmp_path, [name])


def test_all_folders_that_are_no_team_ids_are_named_at_once(tmp_path: Path) -> None:
    for name in ("a b", "ana", "é"):
        submission(tmp_path / name, AGENT)
    with pytest.raises(RequestError, match="2 of 3 are not") as refused:
        read_teams(tmp_path)
    assert refused.value.details == ["a b", "é"]


def test_two_folders_that_some_file_systems_do_not_tell_apart_are_refused(tmp_path: Path) -> None:
    submission(tmp_path / "Abc", AGENT)
    submission(tmp_path / "abc", AGENT)
    if len(list(tmp_path.iterdir())) == 1:
        pytest.skip("this file system is one of them")
    with pytest.raises(RequestError, match="team_id = abc"):
        read_teams(tmp_path)


def test_an_empty_and_an_absent_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "gone"):
        with pytest.raises(RequestError) as refused:
            read_teams(path)
        assert (refused.value.key, refused.value.value) == ("teams_dir", path)


def test_the_bundled_teams_are_in_order() -> None:
    teams = read_teams(BUNDLED)
    assert len(teams) >= 5
    assert all(team.registration_timestamp for team in teams)
    assert all(not read_submission(Path(team.agent_file_path), "x").ignored for team in teams)


def test_a_team_comes_back_from_its_json() -> None:
    stamp = datetime(2026, 10, 5, 9, 30, 0, 123, tzinfo=timezone(timedelta(hours=2)))
    for team in (Team("ana", "Anas", "x.py", stamp, ["A", "B"]), Team("ben", "ben", "x.py", filler=True)):
        shown = team.as_json()
        assert "agent_file_path" not in shown
        assert replace(Team.of_json(shown), agent_file_path="x.py") == team


# --- who plays one game ----------------------------------------------------------------------------------


def test_a_game_is_of_registered_teams_examples_files_and_folders(folder: Path) -> None:
    registered = read_teams(with_roster(folder, "[{team_id: ana, team_name: Anas}]"))
    named = ["ana", "random_bidder", str(folder / "ben.py"), str(folder / "ana"), "random_bidder"]
    teams = game_teams(named, registered)
    assert [team.team_id for team in teams] == ["ana", "random_bidder", "ben", "ana_2", "random_bidder_2"]
    assert teams[0].team_name == "Anas"
    assert teams[1].agent_file_path == str(examples()["random_bidder"])


@pytest.mark.parametrize("names", [["x", "x", "x_2"], ["x_2", "x", "x"], ["x"] * 9, ["a" * 70, "a" * 60, "a" * 50]])
def test_no_two_teams_of_a_game_share_an_id(names: list[str]) -> None:
    registered = [Team(name, name, "x.py") for name in set(names)]
    ids = [team.team_id for team in game_teams(names, registered)]
    assert len(set(ids)) == len(ids)


def test_a_team_that_is_nowhere_is_refused_by_its_place() -> None:
    with pytest.raises(RequestError) as refused:
        game_teams(["random_bidder", "gone.py"], [])
    assert (refused.value.key, refused.value.value) == ("teams[1]", "gone.py")
