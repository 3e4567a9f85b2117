"""Run directories in which a file is damaged: no action ends in a traceback, the file is named, `run` remakes it.

The files are found by walking a finished run, so that one that is new is tried too. What actions read is damaged a file
at a time, all else at once.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from filelock import FileLock
from matplotlib.figure import Figure

from agt_tournament.__main__ import perform
from diffusion_auction.__main__ import _act as act
from generative_auctions.command_line import _status as status_of
from launchers.__main__ import main as launchers
from tests.support import tree
from tests.tournament import competition_tree, submission

Damage = Callable[[Path, Path], None]
"""Of the first path; the second is that of the file of the same name in another run, which need not be there."""


def _rewriting(change: Callable[[bytes], bytes]) -> Damage:
    def damage(path: Path, other: Path) -> None:
        content = change(path.read_bytes())
        path.unlink()  # and no writing into it: other copies of the run are links to the same file
        path.write_bytes(content)

    return damage


def _anothers(path: Path, other: Path) -> None:
    path.unlink()
    same = other if other.exists() else next(other.parent.glob(f"*{other.suffix}"), None)
    path.write_bytes(same.read_bytes() if same else b"another")


def _directory(path: Path, other: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").touch()


def _link(path: Path, other: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def _typed(content: bytes, numbers: Callable[[Any], Any]) -> bytes:
    """JSON, YAML or a table with other `numbers`; another file as it is, and junk behind it."""

    def changed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: changed(item) for key, item in value.items()}
        if isinstance(value, list):
            return [changed(item) for item in value]
        return numbers(value) if isinstance(value, int | float) and not isinstance(value, bool) else value

    if content.startswith(b"PAR1"):
        table = pd.read_parquet(io.BytesIO(content))
        kinds = table.select_dtypes("number").columns
        return table.assign(**{name: [numbers(value) for value in table[name]] for name in kinds}).to_parquet()
    try:
        return json.dumps(changed(json.loads(content))).encode()
    except ValueError:
        return content + b"\0"


def _fewer(content: bytes) -> bytes:
    """A table without its last columns, an object without its last keys; of another file half of the lines."""
    if content.startswith(b"PAR1"):
        table = pd.read_parquet(io.BytesIO(content))
        return table[list(table)[: len(table.columns) // 2]].to_parquet()
    try:
        value = json.loads(content)
        return json.dumps(dict(list(value.items())[: len(value) // 2])).encode()
    except (ValueError, AttributeError):
        lines = content.splitlines(keepends=True)
        return b"".join(lines[: len(lines) // 2])


DAMAGES: dict[str, Damage] = {
    "truncated": _rewriting(lambda content: content[: len(content) // 2]),
    "emptied": _rewriting(lambda content: b""),
    "an empty object": _rewriting(lambda content: b"{}"),
    "an empty list": _rewriting(lambda content: b"[]"),
    "junk": _rewriting(lambda content: bytes(range(256)) * 4),
    "brackets": _rewriting(lambda content: b"[" * 100_000),
    "numbers as text": _rewriting(lambda content: _typed(content, str)),
    "no numbers": _rewriting(lambda content: _typed(content, lambda _: float("nan"))),
    "fewer parts": _rewriting(_fewer),
    "another run's": _anothers,
    "removed": lambda path, other: path.unlink(),
    "a directory": _directory,
    "a link to nothing": _link,
}


_WHOLE_AND_ANOTHER = ("numbers as text", "no numbers", "fewer parts", "another run's")
"""What leaves a file with what an agent printed whole: no other game takes the place of the one it is of."""


@pytest.fixture(params=DAMAGES)
def damage(request: pytest.FixtureRequest) -> Damage:
    return DAMAGES[request.param]


def files_of(run_dir: Path) -> list[str]:
    return sorted(p.relative_to(run_dir).as_posix() for p in run_dir.rglob("*") if p.is_file() or p.is_symlink())


def copied(run_dir: Path, copy: Path) -> Path:
    """A copy of links to the same files, which nobody writes to again."""
    shutil.rmtree(copy, ignore_errors=True)
    return Path(shutil.copytree(run_dir, copy, copy_function=os.link))


class Case:
    """A finished run in which something was damaged, and what its actions say."""

    def __init__(self, run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.run_dir, self._capsys = run_dir, capsys
        self.said = ""

    def status(self, action: Callable[..., int | None], *args: Any) -> int:
        """The exit status of `action`, what it said in `said`; raises what would be a traceback."""
        self._capsys.readouterr()
        status = status_of(lambda: action(*args))
        self.said = self._capsys.readouterr().err
        return status

    def refuses(self, action: Callable[[], int | None], file: str) -> bool:
        """Whether `action` is refused, which must be in one line that names `file`, or its folder or run."""
        status = self.status(action)
        assert status in (0, 1, 2, 3), self.said
        if status == 2:
            lines = [line for line in self.said.splitlines() if not line.startswith("run_dir  ")]
            assert len(lines) == 1, self.said
            assert any(str(name) in self.said for name in (file, Path(file).name)), (file, self.said)
        return status == 2


def drawn_as_blanks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are composed, and not drawn: that takes most of the time, and is tried elsewhere."""
    monkeypatch.setattr(Figure, "savefig", lambda self, file, format, **_: file.write(format.encode()))


# --- the image auction -----------------------------------------------------------------------------------

AUCTION = ("config.yaml", "provenance.json", "samples.parquet", "scores.parquet", "auctions.parquet", "metrics.json")
"""What actions read; the files of shards too."""


def auction_tree(run_dir: Path, **changes: Any) -> dict[str, Any]:
    return {**_AUCTION_TREE, "run_dir": str(run_dir), **changes}


_AUCTION_TREE = tree("samples=1", "name=tiny")


@pytest.fixture(scope="module")
def auctions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A finished run, and another of other noise."""
    here = tmp_path_factory.mktemp("auctions")
    for seed, name in enumerate(("run", "other")):
        assert not act(auction_tree(here / name, seed=seed))
    return here / "run", here / "other"


def reading_auction(run_dir: Path, other: Path, key: str) -> Mapping[str, Callable[[], int | None]]:
    """What one may ask of a finished run, without changing what it made; `key` is that of one of its shards."""
    out = run_dir.with_name("comparison")
    return {
        "report": lambda: act(auction_tree(run_dir, action="report")),
        "compare": lambda: act(auction_tree(out, action="compare", runs=[str(run_dir), str(other)])),
        "plan": lambda: act(auction_tree(run_dir, action="plan")),
        **launching(run_dir, key),
    }


def launching(run_dir: Path, key: str) -> Mapping[str, Callable[[], int | None]]:
    """What launchers say of a run; `key` is that of one of its shards."""
    return {
        "status": lambda: launchers(["status", str(run_dir)]),
        "logs": lambda: launchers(["logs", str(run_dir), key[:4]]),
        "cancel": lambda: launchers(["cancel", str(run_dir)]),
    }


def read_of_auction(run_dir: Path) -> list[str]:
    return [file for file in files_of(run_dir) if file in AUCTION or file.startswith("shards/")]


def test_no_action_of_the_image_auction_fails_over_a_damaged_file(
    damage: Damage,
    auctions: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn_as_blanks(monkeypatch)
    finished, other = auctions
    (key,) = (finished / "shards/generate/shards.txt").read_text().split()
    for file in read_of_auction(finished):
        case = Case(copied(finished, tmp_path / "run"), capsys)
        damage(case.run_dir / file, other / file)
        of_shards = file.startswith("shards/")
        actions = launching(case.run_dir, key) if of_shards else reading_auction(case.run_dir, other, key)
        refused = {name for name, action in actions.items() if case.refuses(action, file)}
        if file in AUCTION[2:]:
            assert "report" in refused, (file, case.said)
        if file == "metrics.json":
            assert "compare" in refused, file


@pytest.mark.parametrize("damage", ["truncated", "numbers as text", "another run's", "a directory"], indirect=True)
def test_the_image_auction_remakes_what_is_damaged(
    damage: Damage,
    auctions: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    drawn_as_blanks(monkeypatch)
    finished, other = auctions
    marks = [file for file in files_of(finished) if file.startswith("shards/")]
    results = [file for file in files_of(finished) if file not in (*marks, "config.yaml", ".lock", "provenance.json")]
    for files in (marks, results, ["provenance.json"]):
        case = Case(copied(finished, tmp_path / "run"), capsys)
        for file in files:
            damage(case.run_dir / file, other / file)
        status = case.status(act, auction_tree(case.run_dir))
        if blocked := [file for file in files if (case.run_dir / file).is_dir()]:
            assert status in (1, 2), case.said
            assert any(Path(file).name in case.said for file in blocked)
            continue
        assert status == 0, case.said
        assert is_remade(case.run_dir, finished), files
        if "provenance.json" in files and request.node.callspec.params["damage"] != "numbers as text":  # no part of it
            assert "provenance.json: written anew" in case.said
            assert "damaged" in json.loads((case.run_dir / "provenance.json").read_text())["written_anew"]
        assert case.status(act, auction_tree(case.run_dir, action="report")) == 0


def is_remade(run_dir: Path, finished: Path) -> bool:
    """Whether the run directories hold the same results."""
    for file in files_of(finished):
        if file.startswith("images/") or file in ("plan.parquet", "scores.parquet", "auctions.parquet", "metrics.json"):
            assert (run_dir / file).read_bytes() == (finished / file).read_bytes(), file
    return set(files_of(finished)) <= {re.sub(r"workers/.*", "", file) for file in files_of(run_dir)} | {
        file for file in files_of(finished) if "workers/" in file
    }


def test_a_damaged_configuration_is_not_written_over(
    damage: Damage, auctions: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finished, other = auctions
    case = Case(copied(finished, tmp_path / "run"), capsys)
    damage(case.run_dir / "config.yaml", other / "config.yaml")
    before = set(files_of(case.run_dir))
    refused = case.status(act, auction_tree(case.run_dir)) == 2
    assert refused or (case.run_dir / "config.yaml").read_bytes() == (finished / "config.yaml").read_bytes() + b"\0"
    assert set(files_of(case.run_dir)) == before


# --- the competition -------------------------------------------------------------------------------------

TALKATIVE = """
from agt_tournament.base_agent import BiddingAgent
class Agent(BiddingAgent):
    def bidding_function(self, item_id):
        print("I bid", item_id)
        return self.valuation_vector[item_id] / 2
"""


@pytest.fixture(scope="module")
def competitions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """A finished competition, another of other valuations, and the configuration but for seed and directory."""
    here = tmp_path_factory.mktemp("competitions")
    for team in ("ants", "bees", "cats", "dogs"):
        submission(here / "teams" / team, TALKATIVE.replace("2", "2" if team < "c" else "3"))
    rules = ("arena_size=2", "stage1_games=2", "stage2_games=1", "block_games=1")
    asked = competition_tree(
        *(f"tournament.{rule}" for rule in rules),
        "sandbox=none",
        "i_trust_these_agents=true",
        f"teams_dir={here / 'teams'}",
    )
    for seed, name in enumerate(("run", "other"), start=1):
        assert perform({**asked, "seed": seed, "run_dir": str(here / name)}) == 0
    return here / "run", here / "other", {**asked, "seed": 1}


def reading_competition(run_dir: Path, asked: dict[str, Any]) -> Mapping[str, Callable[[], int | None]]:
    at = {**asked, "run_dir": str(run_dir)}
    return {
        "report": lambda: perform({**at, "action": "report"}),
        "replay": lambda: perform({**at, "action": "replay"}),
    }


def read_of_competition(run_dir: Path) -> Iterator[str]:
    """What actions read, of files of one kind the last."""
    kinds = {re.sub(r"arena_\d+|game_\d+|[0-9a-f]{20}|stage\d", "", file): file for file in files_of(run_dir)}
    for file in kinds.values():
        if file in ("config.yaml", "provenance.json") or file.startswith(("stage", "shards/", "submissions/ants")):
            yield file


def test_no_action_of_the_competition_fails_over_a_damaged_file(
    damage: Damage,
    competitions: tuple[Path, Path, dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn_as_blanks(monkeypatch)
    finished, other, asked = competitions
    (key,) = (finished / "shards/stage2/shards.txt").read_text().split()
    for file in read_of_competition(finished):
        case = Case(copied(finished, tmp_path / "run"), capsys)
        damage(case.run_dir / file, other / file)
        actions = dict(reading_competition(case.run_dir, asked))
        if file.startswith("shards/"):
            actions |= launching(case.run_dir, key)
        refused = {name for name, action in actions.items() if case.refuses(action, file)}
        if file.startswith("stage"):
            assert "report" in refused, (file, case.said)


def test_the_competition_remakes_what_is_damaged(
    damage: Damage,
    competitions: tuple[Path, Path, dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    drawn_as_blanks(monkeypatch)
    finished, other, asked = competitions
    everything = [file for file in files_of(finished) if file not in ("config.yaml", ".lock")]
    games = [file for file in everything if file.startswith("stage")]
    marks = [file for file in everything if file.startswith("shards/")]
    results = [file for file in everything if file not in (*games, *marks)]
    for files in (results, games, marks):
        case = Case(copied(finished, tmp_path / "run"), capsys)
        for file in files:
            damage(case.run_dir / file, other / file)
        status = case.status(perform, {**asked, "run_dir": str(case.run_dir)})
        if blocked := [file for file in files if (case.run_dir / file).is_dir()]:
            assert status in (1, 2), case.said
            assert any(Path(file).name in case.said for file in blocked)
        elif files is games and request.node.callspec.params["damage"] in _WHOLE_AND_ANOTHER:
            assert status == 2
            assert "another than was played" in case.said
        else:
            assert status == 0, case.said
            assert case.status(perform, {**asked, "run_dir": str(case.run_dir), "action": "replay"}) == 0


def test_a_name_that_is_too_long_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for run_dir in (tmp_path / ("x" * 300), tmp_path.joinpath(*["y" * 50] * 90)):
        case = Case(run_dir, capsys)
        for action in ("run", "report", "replay"):
            tree_ = competition_tree(f"action={action}", f"run_dir={run_dir}")
            assert case.status(perform, tree_) == 2
            assert "name too long" in case.said
            assert len(case.said.splitlines()) == 1
        for command in (["status"], ["cancel"], ["logs"]):
            assert launchers([*command, str(run_dir), *(["a"] if command == ["logs"] else [])]) == 2
            assert "name too long" in capsys.readouterr().err


def test_report_misses_each_arena_and_the_final(
    competitions: tuple[Path, Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finished, _, asked = competitions
    for folder in ("stage1/arena_1", "stage1/arena_2", "stage2/arena_1"):
        case = Case(copied(finished, tmp_path / "run"), capsys)
        shutil.rmtree(case.run_dir / folder)
        assert case.status(perform, {**asked, "run_dir": str(case.run_dir), "action": "report"}) == 2
        assert f"{folder}/game_1.json is missing" in case.said


def test_report_shows_no_other_runs_pictures(
    auctions: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finished, other = auctions
    case = Case(copied(finished, tmp_path / "run"), capsys)
    shutil.rmtree(case.run_dir / "images")
    shutil.copytree(other / "images", case.run_dir / "images")
    assert case.status(act, auction_tree(case.run_dir, action="report")) == 2
    assert "it is another picture than was made" in case.said


def test_the_other_applications_directory_is_called_so(
    auctions: tuple[Path, Path],
    competitions: tuple[Path, Path, dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    auction, competition, asked = auctions[0], competitions[0], competitions[2]
    case = Case(tmp_path, capsys)
    assert case.status(act, auction_tree(competition, action="report")) == 2
    assert "the directory of an image auction" in case.said
    for action in ("report", "replay"):
        assert case.status(perform, {**asked, "run_dir": str(auction), "action": action}) == 2
        assert "the directory of a competition" in case.said


def test_while_a_competition_is_played_nothing_is_missing_yet(
    competitions: tuple[Path, Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finished, _, asked = competitions
    case = Case(copied(finished, tmp_path / "run"), capsys)
    (case.run_dir / ".lock").unlink()
    with FileLock(case.run_dir / ".lock"):
        for action in ("report", "replay"):
            assert case.status(perform, {**asked, "run_dir": str(case.run_dir), "action": action}) == 2
            assert "a directory in which no run is at work" in case.said
