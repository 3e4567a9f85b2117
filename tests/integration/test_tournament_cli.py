"""`python -m agt_tournament`, as its users call it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import yaml

from agt_tournament.__main__ import perform
from agt_tournament.actions.differences import Difference
from agt_tournament.tournament.registration.unregistered import EXAMPLES
from generative_auctions.errors import RequestError
from tests.support import auction
from tests.tournament import competition_tree

RAISES = """
from agt_tournament.base_agent import BiddingAgent
class Agent(BiddingAgent):
    def bidding_function(self, item_id):
        raise ValueError("no idea")
"""


def tournament(*args: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return auction(*args, cwd=cwd, module="agt_tournament")


def submit(folder: Path, **agents: str) -> Path:
    """A folder of submissions: by team id the name of an example or a text."""
    for team_id, agent in agents.items():
        (folder / team_id).mkdir(parents=True)
        example = EXAMPLES / f"{agent}.py"
        text = example.read_text() if len(agent) < 40 and example.exists() else agent
        (folder / team_id / "bidding_agent.py").write_text(text)
    return folder


def refused(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    """Exit status 2, one line and what differs in lines below it, which say `parts`, no traceback."""
    assert done.returncode == 2, done.stderr
    assert all(line.startswith("  ") for line in done.stderr.splitlines()[1:]), done.stderr
    for part in parts:
        assert part in done.stderr


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The plain command in an empty folder."""
    cwd = tmp_path_factory.mktemp("plain")
    return cwd, tournament(cwd=cwd)


def test_the_plain_command_plays_two_arenas_and_a_final(played: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    cwd, done = played
    assert done.returncode == 0, done.stderr
    run_dir = cwd / "outputs" / "agt_tournament" / "agt"
    assert len(list(run_dir.glob("stage1/arena_[12]/game_[1-5].json"))) == 10
    assert len(list(run_dir.glob("stage2/arena_1/game_[1-5].json"))) == 5
    first = pd.read_csv(run_dir / "leaderboards" / "stage1_final.csv")
    final = pd.read_csv(run_dir / "leaderboards" / "stage2_final.csv")
    assert set(final["team_id"]) == set(first.loc[first["advances"], "team_id"])
    assert list(final["rank"]) == [1, 2]
    for name in final["team_name"]:
        assert name in done.stdout
    for file in ("results.xlsx", "rounds.parquet", "public/rounds.csv", "config.yaml", "provenance.json"):
        assert (run_dir / file).is_file()
    assert (run_dir / "analytics" / "competition_report.html").is_file()
    assert {path.name for path in (run_dir / "teams").iterdir()} == set(first["team_id"])
    assert "Traceback" not in done.stderr


def test_its_shards_are_done(played: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    cwd, _ = played
    done = auction("status", cwd / "outputs" / "agt_tournament" / "agt", cwd=cwd, module="launchers")
    assert done.stdout.splitlines() == [
        "stage1: 2 done, 0 pending, 0 failed",
        "stage2: 1 done, 0 pending, 0 failed",
    ]


def test_a_replay_agrees_and_names_what_was_touched(
    played: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    run_dir = tmp_path / "copy"
    shutil.copytree(played[0] / "outputs" / "agt_tournament" / "agt", run_dir)
    agreed = tournament("action=replay", "rerun=true", f"run_dir={run_dir}", cwd=tmp_path)
    assert agreed.returncode == 0, agreed.stderr
    assert "15 games replayed: all outcomes follow from the stored bids, and the agents bid the same" in agreed.stdout

    path = run_dir / "stage1" / "arena_2" / "game_3.json"
    game = json.loads(path.read_text())
    entry = game["auction_log"][7]
    team = next(team for team in entry["asked"] if team != entry["winner"])
    entry["asked"][team] = entry["price"] / 2 + 0.001
    path.write_text(json.dumps(game))
    touched = tournament("action=replay", f"run_dir={run_dir}", cwd=tmp_path)
    assert touched.returncode == 1
    assert f"stage1/arena_2/game_3.json: auction_log[7].all_bids.{team} is" in touched.stderr
    again = tournament("action=replay", "rerun=true", f"run_dir={run_dir}", cwd=tmp_path)
    named = [line for line in again.stderr.splitlines() if "alone again" in line]
    assert len(named) == 1, "its rivals are not blamed"
    assert named[0].startswith(
        f"stage1/arena_2/game_3.json: {team}, round 8: answered {entry['asked'][team]!r}, alone "
    )


@pytest.mark.parametrize("field", ["winner", "price", "utility", "rank", "valuation", "submission", "missing"])
def test_whatever_is_touched_is_found(
    field: str,
    played: tuple[Path, subprocess.CompletedProcess[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_dir = tmp_path / "copy"
    shutil.copytree(played[0] / "outputs" / "agt_tournament" / "agt", run_dir)
    path = run_dir / "stage2" / "arena_1" / "game_5.json"
    game = json.loads(path.read_text())
    team, result = next(iter(game["team_results"].items()))
    if field in ("winner", "price"):
        entry = game["auction_log"][0]
        entry[field] = {"winner": min(set(entry["asked"]) - {entry["winner"]}), "price": 1.25}[field]
    elif field == "utility":
        result["utility"] += 1e-9
    elif field == "valuation":
        result["valuation_vector"]["item_3"] += 1
    path.write_text(json.dumps(game))
    if field == "rank":
        board = run_dir / "leaderboards" / "stage2_final.csv"
        board.write_text(board.read_text().replace("arena_1,2,", "arena_1,1,"))
    elif field == "submission":
        with (run_dir / "submissions" / team / "bidding_agent.py").open("a") as file:
            file.write("\n")
    elif field == "missing":
        path.unlink()
    status, said = replayed(run_dir, capsys)
    assert status == 1
    assert {"submission": "digest", "missing": "game_5.json: missing; the command"}.get(field, field) in "\n".join(said)
    if field in ("price", "valuation"):
        status, said = replayed(run_dir, capsys, "rerun=true", *NO_WALLS)
        assert status == 1
        blamed = [line for line in said if "alone again" in line]
        heard = [line for line in said if "changed, and heard by the agents so" in line]
        assert len(heard) == bool(blamed)
        assert not blamed or field == "price"


def test_a_link_in_the_place_of_a_file_is_found(
    played: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "copy"
    shutil.copytree(played[0] / "outputs" / "agt_tournament" / "agt", run_dir)
    for file in ("leaderboards/stage1_final.csv", "stage1/arena_1/game_2.json"):
        outside = tmp_path / Path(file).name
        (run_dir / file).rename(outside)
        (run_dir / file).symlink_to(outside)
    status, said = replayed(run_dir, capsys)
    assert status == 1
    assert "leaderboards/stage1_final.csv: file is 'a link', expected 'a file'" in said
    assert "stage1/arena_1/game_2.json: file is 'a link', expected 'a file'" in said


def replayed(run_dir: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, list[str]]:
    """The exit status and what is said to differ."""
    capsys.readouterr()
    status = perform(competition_tree("action=replay", f"run_dir={run_dir}", *more))
    return status, capsys.readouterr().err.splitlines()


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_every_file_of_the_results_is_compared(
    played: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "copy"
    shutil.copytree(played[0] / "outputs" / "agt_tournament" / "agt", run_dir)
    rounds = pd.read_parquet(run_dir / "rounds.parquet")
    rounds.loc[3, "asked"] += 1e-9
    rounds.to_parquet(run_dir / "rounds.parquet", index=False)
    with zipfile.ZipFile(run_dir / "results.xlsx") as parts:
        sheets = {name: parts.read(name) for name in parts.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    sheets[sheet] = re.sub(rb'(<c r="E3"[^>]*><v>)[^<]*', rb"\g<1>99", sheets[sheet])
    with zipfile.ZipFile(run_dir / "results.xlsx", "w") as parts:
        for name, content in sheets.items():
            parts.writestr(name, content)
    edit(run_dir / "leaderboards" / "stage1_final.json", '"rank": 2', '"rank": 1')
    edit(run_dir / "leaderboards" / "stage2_pairwise.csv", "arena_1,", "arena_2,")
    edit(run_dir / "metrics.json", '"games": 5', '"games": 6')
    edit(run_dir / "public" / "rounds.csv", ",1,1,item_", ",1,1,item")
    edit(run_dir / "teams" / "random_1" / "rounds.csv", ",1,1,item_", ",1,1,item")
    edit(run_dir / "teams" / "random_1" / "report.html", "</body>", "<p>paid</p></body>")
    edit(run_dir / "analytics" / "competition_report.html", "</body>", "<p>paid</p></body>")
    edit(run_dir / "analytics" / "figures" / "prices_stage2_arena_1.svg", "</svg>", "<text>x</text></svg>")
    with (run_dir / "analytics" / "figures" / "prices_stage2_arena_1.png").open("ab") as file:
        file.write(b"x")
    (run_dir / "teams" / "random_2" / "report.html").unlink()
    added = ["teams/random_1/errors.txt", "leaderboards/more.csv", "notes.txt", "stage1/arena_1/game_9.json"]
    added += ["submissions/random_1/random.pyc", "submissions/stranger/bidding_agent.py", "stage1/notes/game_1.json"]
    for name in added:
        (run_dir / name).parent.mkdir(exist_ok=True)
        (run_dir / name).write_text("{}")
    status, said = replayed(run_dir, capsys)
    assert status == 1
    expected = {
        "rounds.parquet: rows[3].asked is",
        "results.xlsx: stage 1 leaderboard.E3 is '99'",
        "leaderboards/stage1_final.json: [1].rank is 1, expected 2",
        "leaderboards/stage2_pairwise.csv: rows[0].arena_id is 'arena_2'",
        "metrics.json: stage1.adaptive_1.games is 6, expected 5",
        "public/rounds.csv: rows[0].item_id is",
        "teams/random_1/rounds.csv: rows[0].item_id is",
        "teams/random_1/report.html: line ",
        "analytics/competition_report.html: line ",
        "analytics/figures/prices_stage2_arena_1.svg: line ",
        "analytics/figures/prices_stage2_arena_1.png: bytes is",
        "teams/random_2/report.html: file is 'missing'",
        *(f"{name}: file is 'there'" for name in added),
    }
    for part in expected:
        assert [line for line in said if line.startswith(part)], f"{part} in {said}"
    assert len(said) == len(expected), said


def test_tables_that_are_cut_off_are_named_in_a_line_each(
    played: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "copy"
    shutil.copytree(played[0] / "outputs" / "agt_tournament" / "agt", run_dir)
    cut = ["leaderboards/stage1_final.json", "results.xlsx", "rounds.parquet"]
    for file in cut:
        content = (run_dir / file).read_bytes()
        (run_dir / file).write_bytes(content[: len(content) // 2])
    status, said = replayed(run_dir, capsys)
    assert status == 1
    assert [line.partition(", ")[0] for line in said] == [f"{file}: content is 'unreadable" for file in cut]
    assert perform(competition_tree("action=report", f"run_dir={run_dir}")) == 0
    assert replayed(run_dir, capsys) == (0, [])


GAME_EDITS = {
    "extra": (lambda game: game.update(note="x"), "note is 'x', expected missing"),
    "extra_of_a_round": (
        lambda game: game["auction_log"][2].update(note=None),
        "auction_log[2].note is None, expected",
    ),
    "arena": (lambda game: game.update(arena_id="arena_3"), "arena_id is 'arena_3', expected"),
    "number": (lambda game: game.update(game_id="stage2_arena_1_game_9"), "game_id is"),
    "stage": (lambda game: game.update(stage=3), "stage is 3, expected"),
    "failure": (
        lambda game: game["failures"].append(
            {"team_id": next(iter(game["team_results"])), "round": 3, "error": "crash", "where": "", "text": ""}
        ),
        "length of failures of bids is 1, expected 0",
    ),
    "time": (
        lambda game: game.update(timestamp="2020-01-01T00:00:00+00:00"),
        "changed since it was played: other digests than in shards/stage2/",
    ),
}


def test_every_part_of_a_game_file_is_compared(
    played: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last edit stands in an arena of its own: what does not follow from bids is known of a block of games only."""
    run_dir = tmp_path / "copy"
    shutil.copytree(played[0] / "outputs" / "agt_tournament" / "agt", run_dir)
    paths = [*sorted(run_dir.glob("stage1/arena_*/game_?.json")), run_dir / "stage2" / "arena_1" / "game_1.json"]
    edited = dict(zip(GAME_EDITS, [*paths[: len(GAME_EDITS) - 1], paths[-1]], strict=True))
    for name, path in edited.items():
        game = json.loads(path.read_text())
        GAME_EDITS[name][0](game)
        path.write_text(json.dumps(game))
    status, said = replayed(run_dir, capsys)
    assert status == 1
    for name, path in edited.items():
        file = path.relative_to(run_dir).as_posix()
        assert [line for line in said if line.startswith(file) and GAME_EDITS[name][1] in line], (name, said)


@pytest.mark.parametrize("harm", ["gone", "empty", "no digests", "a list", "one digest"])
def test_a_digest_file_that_was_touched_is_named(
    harm: str, played: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "copy"
    shutil.copytree(played[0] / "outputs" / "agt_tournament" / "agt", run_dir)
    [path] = (run_dir / "shards" / "stage2").glob("*.json")
    record = json.loads(path.read_text())
    record["files"][2][0] = "0" * 20
    texts = {"empty": "", "no digests": json.dumps({"key": record["key"]}), "a list": "[]"}
    path.write_text(texts.get(harm, json.dumps(record)))
    if harm == "gone":
        path.unlink()
    status, said = replayed(run_dir, capsys)
    name = path.relative_to(run_dir)
    unknown = f"stage2/arena_1/game_1.json to game_5.json: no digest in {name}: times, errors and output cannot be"
    changed = f"stage2/arena_1/game_3.json: changed since it was played: other digests than in {name}"
    assert status == 1
    assert [line.removesuffix(" checked") for line in said] == [changed if harm == "one digest" else unknown]


@pytest.mark.parametrize("games", [[1], [2], [3, 4], [1, 2, 3, 4, 5]])
def test_missing_games_are_all_that_is_said(
    games: list[int],
    played: tuple[Path, subprocess.CompletedProcess[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The games after them, the final and the tables are not blamed; agents are asked again in what was before."""
    run_dir = tmp_path / "copy"
    shutil.copytree(played[0] / "outputs" / "agt_tournament" / "agt", run_dir)
    for game in games:
        (run_dir / "stage1" / "arena_2" / f"game_{game}.json").unlink()
    status, said = replayed(run_dir, capsys)
    plays = f"missing; the command that ran the competition plays {'them' if games[1:] else 'it'} again"
    until = f" to game_{games[-1]}.json" if games[1:] else ""
    assert (status, said) == (1, [f"stage1/arena_2/game_{games[0]}.json{until}: {plays}"])


def test_a_final_that_is_gone_is_missed(
    played: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "copy"
    shutil.copytree(played[0] / "outputs" / "agt_tournament" / "agt", run_dir)
    shutil.rmtree(run_dir / "stage2")
    (run_dir / "provenance.json").unlink()
    status, said = replayed(run_dir, capsys)
    assert status == 1
    assert said[0].startswith("stage2/arena_1/game_1.json to game_5.json: missing; ")
    assert said[1].startswith("provenance.json: missing")
    assert len(said) == 2


def test_a_configuration_of_other_teams_is_no_reason_to_remove_a_game(
    played: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    run_dir = tmp_path / "copy"
    shutil.copytree(played[0] / "outputs" / "agt_tournament" / "agt", run_dir)
    edit(run_dir / "config.yaml", "team_id: random_1", "team_id: random_9")
    for action in ("replay", "report"):
        with pytest.raises(RequestError, match=r"config\.yaml names; they disagree about random_1") as said:
            perform(competition_tree(f"action={action}", f"run_dir={run_dir}"))
        assert "emove" not in str(said.value)


def test_tables_are_written_again_only_if_they_alone_differ(
    played: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "copy"
    shutil.copytree(played[0] / "outputs" / "agt_tournament" / "agt", run_dir)
    (run_dir / "metrics.json").unlink()
    for difference, hint in (("1 difference\n", True), ("2 differences\n", False)):
        assert perform(competition_tree("action=replay", f"run_dir={run_dir}")) == 1
        said = capsys.readouterr().out
        assert difference in said
        assert ("action=report" in said) is hint
        (run_dir / "stage1" / "notes.txt").write_text("")


def test_two_long_texts_are_told_from_the_first_letter_that_differs() -> None:
    texts = str(Difference("page.html", "line 3", "a" * 300 + "b" + "c" * 300, "a" * 300 + "d"))
    assert texts.startswith("page.html: line 3 is ...aaaa")
    assert "aabccc" in texts
    assert texts.endswith("aad'")
    assert len(texts) < 300
    assert str(Difference("a.csv", "rows", "x", "y")) == "a.csv: rows is 'x', expected 'y'"


DAMAGED = {
    "cut off": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "a list": lambda text: "[]",
    "another": lambda text: '{"team_results": {}}',
    "not a number": lambda text: re.sub(r'"price": [\d.]+', '"price": "high"', text, count=1),
    "nan": lambda text: re.sub(r'"price": [\d.]+', '"price": NaN', text, count=1),
    "a team less": lambda text: re.sub(r'"all_bids": \{"\w+": [\d.]+, ', '"all_bids": {', text, count=1),
    "another winner": lambda text: re.sub(r'"winner": "\w+"', '"winner": "nobody"', text, count=1),
    "another item": lambda text: re.sub(r'"item_id": "\w+"', '"item_id": "cake"', text, count=1),
    "a round less": lambda text: json.dumps({**json.loads(text), "auction_log": json.loads(text)["auction_log"][1:]}),
    "deep": lambda text: "[" * 100_000,
    "other teams": lambda text: text.replace("random_1", "nobody").replace("random_2", "nobody"),
    "bytes": lambda text: "\udcff",
}


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("file", ["game_2.json", "game_2.output.json"])
def test_a_damaged_game_file_is_named_in_one_line_by_replay_and_report(
    name: str, file: str, played: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    run_dir = tmp_path / "copy"
    shutil.copytree(played[0] / "outputs" / "agt_tournament" / "agt", run_dir)
    path = run_dir / "stage1" / "arena_1" / file
    text = path.with_name("game_2.json").read_text()
    path.write_bytes(DAMAGED[name](text).encode(errors="surrogateescape"))
    for action in ("replay", "report"):
        with pytest.raises(RequestError) as said:
            perform(competition_tree(f"action={action}", f"run_dir={run_dir}"))
        assert str(path) in str(said.value)
        assert "emove it, and" in str(said.value)
        assert len(str(said.value).splitlines()) == 1


def test_a_damaged_game_is_played_again_when_the_run_is_resumed(
    played: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "copy"
    shutil.copytree(played[0] / "outputs" / "agt_tournament" / "agt", run_dir)
    path = run_dir / "stage1" / "arena_1" / "game_2.json"
    path.write_bytes(path.read_bytes()[:1000])
    assert perform(competition_tree(f"run_dir={run_dir}")) == 0
    assert replayed(run_dir, capsys) == (0, [])


UNREPEATABLE = """
import time
from agt_tournament.base_agent import BiddingAgent
class Agent(BiddingAgent):
    def bidding_function(self, item_id):
        return 4 + time.perf_counter_ns() % 1009 / 200
"""


NO_WALLS = ("sandbox=none", "i_trust_these_agents=true")
OF_ITS_FILE = """
import os, random
from agt_tournament.base_agent import BiddingAgent
numbers = random.Random(os.stat(__file__).st_ctime_ns)
class Agent(BiddingAgent):
    def bidding_function(self, item_id):
        return 4 + numbers.random()
"""


@pytest.mark.parametrize("source", [UNREPEATABLE, OF_ITS_FILE])
def test_a_rerun_names_the_agent_that_differs_and_none_of_its_rivals(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teams = submit(tmp_path / "teams", a="adaptive_bidder", b="shading_bidder", c="random_bidder", clock=source)
    request = (f"teams_dir={teams}", "stage=1", "tournament.games=2", f"run_dir={tmp_path / 'run'}", *NO_WALLS)
    assert perform(competition_tree(*request)) == 0
    status, said = replayed(tmp_path / "run", capsys, "rerun=true", *NO_WALLS)
    assert status == 1
    named = [line for line in said if "alone again" in line]
    assert [line.partition(", ")[0] for line in named] == [f"stage1/arena_1/game_{game}.json: clock" for game in (1, 2)]
    assert all(re.search(r"round \d+: answered [\d.]+, alone again [\d.]+", line) for line in named)


def test_one_stage_after_the_other_is_the_whole(tmp_path: Path) -> None:
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    early = tournament("stage=2", f"run_dir={halves}", cwd=tmp_path)
    refused(early, "stage = 2", "stage=1")
    assert tournament(f"run_dir={whole}", cwd=tmp_path).returncode == 0
    assert tournament("stage=1", f"run_dir={halves}", cwd=tmp_path).returncode == 0
    assert not (halves / "stage2").exists()
    assert tournament("stage=2", f"run_dir={halves}", cwd=tmp_path).returncode == 0
    for board in whole.glob("leaderboards/*"):
        assert (halves / "leaderboards" / board.name).read_bytes() == board.read_bytes()


def test_another_configuration_or_submission_is_refused(tmp_path: Path) -> None:
    teams, run = submit(tmp_path / "teams", a="truthful_bidder", b="random_bidder"), f"run_dir={tmp_path / 'run'}"
    assert tournament(f"teams_dir={teams}", run, cwd=tmp_path).returncode == 0
    refused(tournament(f"teams_dir={teams}", run, "seed=1", cwd=tmp_path), "seed was 0, now 1")
    refused(tournament(f"teams_dir={teams}", run, "tournament.games=6", cwd=tmp_path), "tournament.games was 5, now 6")
    with (teams / "b" / "bidding_agent.py").open("a") as file:
        file.write("# better\n")
    refused(tournament(f"teams_dir={teams}", run, cwd=tmp_path), "b handed in another submission")


def test_an_agent_that_fails_is_listed_with_its_file(tmp_path: Path) -> None:
    teams = submit(tmp_path / "teams", a="truthful_bidder", b="random_bidder", broken=RAISES)
    done = tournament(f"teams_dir={teams}", f"run_dir={tmp_path / 'run'}", cwd=tmp_path)
    assert done.returncode == 1
    errors = tmp_path / "run" / "teams" / "broken" / "errors.txt"
    assert f"broken: 75 × crash ({errors})" in done.stderr
    assert "ValueError: no idea" in errors.read_text()
    assert "bidding_agent.py" in errors.read_text()
    assert "seed = 0 can be guessed" in done.stderr
    board = pd.read_csv(tmp_path / "run" / "leaderboards" / "stage1_final.csv").set_index("team_id")
    assert board.loc["broken", "total_utility"] == 0
    assert board.loc["broken", "errors"] == 75
    again = tournament("action=report", f"run_dir={tmp_path / 'run'}", cwd=tmp_path)
    assert again.returncode == 1
    assert "broken: 75 × crash" in again.stderr


def test_a_machine_that_was_too_busy_is_said_at_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    request = ("stage=1", "tournament.games=1", f"run_dir={tmp_path / 'run'}")
    assert perform(competition_tree(*request)) == 0
    assert "busy" not in capsys.readouterr().err
    file = tmp_path / "run" / "stage1" / "arena_1" / "game_1.json"
    game = json.loads(file.read_text())
    team = next(iter(game["team_results"]))
    late = {"team_id": team, "round": 0, "error": "timeout", "where": "import", "text": "late"}
    file.write_text(json.dumps({**game, "failures": [late, {**late, "waited_seconds": 6.5}]}))
    for mark in (tmp_path / "run" / "shards" / "stage1").glob("*.json"):
        mark.unlink()  # it has a digest of the file as it was
    assert perform(competition_tree("action=report", f"run_dir={tmp_path / 'run'}")) == 1
    said = "machine was too busy: 1 of 2 late answers waited 6.50 s for a CPU"
    assert said in capsys.readouterr().err


def test_files_that_do_not_play_are_named_in_a_line_for_each_team(tmp_path: Path) -> None:
    teams = submit(tmp_path / "teams", a="truthful_bidder", b="random_bidder", c="random_bidder")
    (teams / "a" / "random.py").write_text("x = 1")
    for number in range(5):
        (teams / "b" / f"{number}.csv").write_text("1")
    runs = (f"teams_dir={teams}", "stage=1"), ("action=game", f"teams=[{teams / 'a'},{teams / 'b'}]")
    for number, keys in enumerate(runs):
        done = tournament(*keys, f"run_dir={tmp_path / str(number)}", cwd=tmp_path)
        lines = [line for line in done.stderr.splitlines() if "ignored" in line]
        assert [line.partition(":")[0] for line in lines] == ["a", "b"]
        assert "random.py: random is the name of a module" in lines[0]
        assert "0.csv: only .py files are read" in lines[1]
        assert "and 2 more" in lines[1]
        assert sorted(path.name for path in tmp_path.glob(f"{number}/submissions/*/*")) == ["bidding_agent.py"] * (
            3 - number
        )


def test_fillers_fill_and_do_not_advance(tmp_path: Path) -> None:
    teams = submit(tmp_path / "teams", weak="random_bidder")
    fill = "tournament.fillers=[adaptive_bidder,truthful_bidder]"
    done = tournament(f"teams_dir={teams}", f"run_dir={tmp_path / 'run'}", fill, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first = pd.read_csv(tmp_path / "run" / "leaderboards" / "stage1_final.csv")
    assert len(first) == 5
    assert list(first.loc[first["rank"] == 1, "team_id"]) == ["weak"]
    assert list(first.loc[first["advances"], "team_id"]) == ["weak"]
    assert first["rank"].isna().sum() == first["filler"].sum() == 4
    final = pd.read_csv(tmp_path / "run" / "leaderboards" / "stage2_final.csv")
    assert list(final["team_id"]) == ["weak"]
    replayed = tournament("action=replay", f"run_dir={tmp_path / 'run'}", cwd=tmp_path)
    assert replayed.returncode == 0, replayed.stderr


def test_one_game(tmp_path: Path) -> None:
    own = submit(tmp_path / "mine", my_agent="shading_bidder") / "my_agent"
    who = f"teams=[truthful_bidder,adaptive_bidder,truthful_bidder,adaptive_2,{own}/]"
    done = tournament("action=game", who, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("outputs/agt_tournament/game-*/game.json")
    game = json.loads(path.read_text())
    expected = ["truthful_bidder", "adaptive_bidder", "truthful_bidder_2", "adaptive_2", "my_agent"]
    assert list(game["team_results"]) == expected
    assert len(game["auction_log"]) == 15
    assert str(path.relative_to(tmp_path)) in done.stdout
    with (own / "bidding_agent.py").open("a") as file:
        file.write("# another version\n")
    again = tournament("action=game", who, cwd=tmp_path)
    assert again.returncode == 0
    assert len(list(tmp_path.glob("outputs/agt_tournament/game-*/game.json"))) == 2
    (path,) = set(tmp_path.glob("outputs/agt_tournament/game-*/game.json")) - {path}
    replayed = tournament("action=replay", "rerun=true", f"run_dir={path.parent}", cwd=tmp_path)
    assert replayed.returncode == 0, replayed.stderr
    shown = tournament("action=report", f"run_dir={path.parent.relative_to(tmp_path)}", cwd=tmp_path)
    assert shown.stdout == again.stdout


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (["action=game"], ["teams = null"]),
        (["action=game", "teams=[nobody]"], ["teams[0] = nobody", "truthful_bidder"]),
        (["teams_dir=nowhere"], ["teams_dir = nowhere"]),
        (["tournament.fillers=[nobody]", "tournament.arena_size=4"], ["tournament.fillers[0] = nobody"]),
        (["action=replay", "run_dir=nowhere"], ["run_dir = nowhere"]),
        (["action=report", "run_dir=nowhere"], ["run_dir = nowhere"]),
        (["action=validate"], ["agent = null"]),
    ],
)
def test_a_wrong_request_says_key_value_and_what_is_valid(
    args: list[str], parts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError) as said:
        perform(competition_tree(*args))
    for part in parts:
        assert part in str(said.value)
    assert not list(tmp_path.rglob("config.yaml"))


@pytest.mark.parametrize("args", [["action=game", "teams=[nobody]"], ["stage=3"], ["tournament.bogus=1"]])
def test_on_the_command_line_it_is_one_line(args: list[str], tmp_path: Path) -> None:
    refused(tournament(*args, cwd=tmp_path), args[-1].partition("=")[0])


def test_help_names_every_key(tmp_path: Path) -> None:
    done = tournament("--help", cwd=tmp_path)
    assert done.returncode == 0
    conf = Path(__file__).parents[2] / "conf"
    keys = yaml.safe_load((conf / "agt_tournament.yaml").read_text())
    for key in [*keys, *yaml.safe_load((conf / "tournament" / "agt.yaml").read_text())]:
        if key not in ("defaults", "hydra"):
            assert key in done.stdout


def test_a_multirun_keeps_its_jobs_apart(tmp_path: Path) -> None:
    done = tournament("-m", "seed=1,2", "stage=1", f"run_dir={tmp_path / 'many'}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    seeds = [yaml.safe_load(path.read_text())["seed"] for path in sorted(tmp_path.glob("many/*/config.yaml"))]
    assert seeds == [1, 2]
