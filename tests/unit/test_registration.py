"""Who takes part: what a roster or a folder says, what is refused and by which key, how submissions are stored."""

from __future__ import annotations

import os
import re
import subprocess
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import yaml

from agt_tournament import registration
from agt_tournament.registration import (
    BUNDLED,
    Team,
    digest,
    examples,
    game_teams,
    read_submission,
    read_teams,
    store_submission,
)
from experiments.errors import RequestError
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
    assert str(refused.value.value) == str(team_id)


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


def test_every_missing_agent_is_named(folder: Path) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(RequestError) as refused:
        read_teams(with_roster(folder, "[{team_id: ana}, {team_id: empty}, {team_id: gone}]"))
    assert "empty: " in refused.value.expected
    assert "gone: " in refused.value.expected
    assert "ana: " not in refused.value.expected


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
    assert (refused.value.key, refused.value.value) == ("teams_dir", tmp_path / name)


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
    assert all(read_submission(Path(team.agent_file_path), "x") for team in teams)


def test_a_team_comes_back_from_its_json() -> None:
    stamp = datetime(2026, 10, 5, 9, 30, 0, 123, tzinfo=timezone(timedelta(hours=2)))
    for team in (Team("ana", "Anas", "x.py", stamp, ["A", "B"]), Team("ben", "ben", "x.py", filler=True)):
        shown = team.as_json()
        assert "agent_file_path" not in shown
        assert Team.of_json(shown, "x.py") == team


# --- submissions -----------------------------------------------------------------------------------------


def test_a_submission_is_its_file_or_the_files_of_its_folder(folder: Path) -> None:
    assert read_submission(folder / "ben.py", "k") == {"bidding_agent.py": AGENT.encode()}
    (folder / "ana" / "data").mkdir()
    (folder / "ana" / "data" / "table.csv").write_text("1")
    (folder / "ana" / ".hidden").write_text("1")
    (folder / "ana" / "__pycache__").mkdir()
    (folder / "ana" / "__pycache__" / "x.pyc").write_text("1")
    assert read_submission(folder / "ana", "k") == {"bidding_agent.py": AGENT.encode(), "data/table.csv": b"1"}


@pytest.mark.parametrize("target", ["/etc/hostname", "bidding_agent.py", "/nowhere", ".", "/etc"])
def test_a_link_in_a_submission_is_refused(folder: Path, target: str) -> None:
    (folder / "ana" / "link").symlink_to(target)
    with pytest.raises(RequestError) as refused:
        read_submission(folder / "ana", "team ana")
    assert (refused.value.key, refused.value.value) == ("team ana", folder / "ana" / "link")


def test_an_agent_that_is_a_link_is_refused(folder: Path) -> None:
    (folder / "ana" / "bidding_agent.py").unlink()
    (folder / "ana" / "bidding_agent.py").symlink_to(folder / "ben.py")
    (folder / "link.py").symlink_to(folder / "ben.py")
    for path in (folder / "ana", folder / "link.py"):
        with pytest.raises(RequestError, match="team ana"):
            read_submission(path, "team ana")


def test_a_device_or_pipe_in_a_submission_is_refused_and_not_read(folder: Path) -> None:
    os.mkfifo(folder / "ana" / "pipe")
    with pytest.raises(RequestError, match="regular files"):
        read_submission(folder / "ana", "team ana")


def test_a_submission_of_too_many_files_or_bytes_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "_MOST_FILES", 3)
    monkeypatch.setattr(registration, "_MOST_BYTES", len(AGENT) + 10)
    for name in ("a", "b"):
        (folder / "ana" / name).write_bytes(b"12345")
    assert len(read_submission(folder / "ana", "k")) == 3
    (folder / "ana" / "c").write_bytes(b"")
    with pytest.raises(RequestError, match="at most 3 files"):
        read_submission(folder / "ana", "k")
    (folder / "ana" / "c").unlink()
    (folder / "ana" / "b").write_bytes(b"123456")
    with pytest.raises(RequestError, match="k = "):
        read_submission(folder / "ana", "k")


def test_a_huge_file_is_refused_without_being_read(folder: Path) -> None:
    with (folder / "ana" / "huge").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(RequestError, match="20 MiB"):
        read_submission(folder / "ana", "k")


def test_a_single_huge_file_is_refused_without_being_read(folder: Path) -> None:
    """A submission that is one file is bounded like a folder; sparse, so that a failure costs no disk."""
    with (folder / "huge.py").open("wb") as file:
        file.truncate(21 << 20)
    with pytest.raises(RequestError, match="20 MiB"):
        read_submission(folder / "huge.py", "k")


def test_a_file_name_that_is_no_unicode_is_refused(folder: Path) -> None:
    path = os.fsencode(folder / "ana") + b"/\xff.py"
    try:
        Path(os.fsdecode(path)).write_text("x")
    except OSError:
        pytest.skip("this file system takes only Unicode")
    with pytest.raises(RequestError):
        digest(read_submission(folder / "ana", "k"))


def test_folders_within_folders_without_end_are_refused(folder: Path) -> None:
    here = os.open(folder / "ana", os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("a", dir_fd=here)
        below = os.open("a", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    try:
        with pytest.raises(RequestError):
            read_submission(folder / "ana", "k")
    finally:
        subprocess.run(["rm", "-rf", folder / "ana"], check=True)  # deeper than shutil can remove


def test_the_digest_tells_every_change_and_no_order() -> None:
    files = {"bidding_agent.py": b"x", "a/b.py": b"y", "a/c.py": b""}
    assert digest(files) == digest(dict(reversed(files.items())))
    changed = [
        {**files, "a/b.py": b"z"},
        {**files, "d": b""},
        {"bidding_agent.py": b"x", "a/b.py": b"y"},
        {"bidding_agent.py": b"x", "a/b.py": b"", "a/c.py": b"y"},
        {"bidding_agent.py": b"x", "a/b.p": b"yy", "a/c.py": b""},
    ]
    assert len({digest(each) for each in [files, *changed]}) == 6


def stored(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_submission_is_stored_once_and_replaced_if_it_changed(tmp_path: Path) -> None:
    files = {"bidding_agent.py": b"x", "a/b/c.py": b"y"}
    target = tmp_path / "submissions" / "ana"
    store_submission(files, target)
    assert stored(target) == files
    inode = (target / "bidding_agent.py").stat().st_ino
    store_submission(files, target)
    assert (target / "bidding_agent.py").stat().st_ino == inode
    store_submission({"bidding_agent.py": b"z"}, target)
    assert stored(target) == {"bidding_agent.py": b"z"}
    assert [path.name for path in target.parent.iterdir()] == ["ana"]


def test_a_submission_that_is_not_wholly_written_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "ana"
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.name == "c.py":
            raise OSError("disk full")
        return write(path, content)

    files = {"bidding_agent.py": b"x", "c.py": b"y"}
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="disk full"):
            store_submission(files, target)
    assert not target.exists()
    store_submission(files, target)
    assert stored(target) == files


def test_what_an_agent_left_in_its_folder_is_removed(tmp_path: Path) -> None:
    files = {"bidding_agent.py": b"x"}
    store_submission(files, tmp_path / "ana")
    (tmp_path / "ana" / "left.txt").write_text("learned")
    store_submission(files, tmp_path / "ana")
    assert stored(tmp_path / "ana") == files


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
