"""What is printed stands as it is: square brackets and colons in a path or a name are no markup."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from agt_tournament.actions.game import print_game
from agt_tournament.game.record import Failure
from agt_tournament.report import terminal
from agt_tournament.tournament import messages
from agt_tournament.validation import verdict
from agt_tournament.validation.problems import Finding
from diffusion_auction import __main__ as auctions
from generative_auctions.terminal import plain_console
from launchers.__main__ import main as launchers
from launchers.progress import Bar, Watch
from launchers.status import standing, write_manifest
from launchers.worker_record import announce
from tests.launching import shards_of
from tests.tournament import ScriptedBidder, play
from tests.unit.score_tables import random_table

NAME = "[bold]y:smile:x[/b]"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(monkeypatch: pytest.MonkeyPatch, *args: str) -> int:
    monkeypatch.setattr(sys, "argv", ["diffusion_auction", *args])
    return auctions.main()


def test_a_plan(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "action=plan", "samples=1", f"run_dir='{NAME}'") == 0
    assert capsys.readouterr().out.endswith(f"run_dir  {NAME}\n")


def test_an_evaluation_and_its_report(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("diffusion_auction.report.page.write_report", lambda run_dir, **_: run_dir / "report.html")
    rows = random_table([(1.0, 0.0), (0.0, 1.0), (0.5, 0.5)], (NAME, "pool"), k=2)
    rows.loc[rows.index[0], "alignment_1"] = float("nan")
    rows.to_csv("scores.csv", index=False)
    for action in ("evaluate", "report"):
        assert run(monkeypatch, f"action={action}", "scores=scores.csv", f"run_dir='{NAME}'") == 0
        shown = capsys.readouterr().out
        assert shown.endswith(f"report   {NAME}/report.html\n")
        assert action == "report" or f"scenario {NAME}" in shown


def test_a_game(capsys: pytest.CaptureFixture[str]) -> None:
    bidders: dict[str, Any] = {NAME: ScriptedBidder(lambda item: 2.0), "other": ScriptedBidder(lambda item: 1.0)}
    failure = Failure(NAME, 1, "crash", "", f"ValueError: {NAME}")
    print_game(replace(play(bidders), failures=[failure]), Path(NAME, "game.json"))
    out, err = capsys.readouterr()
    assert out.count(f" {NAME} ") >= 2  # as a winner, and in the result
    assert out.endswith(f"game     {NAME}/game.json\n")
    assert err.startswith(f"{NAME}: ")
    assert err.endswith(f"ValueError: {NAME}\n")
    terminal.where(Path(NAME, "report.html"), Path(NAME), None)
    assert f"report   {NAME}/report.html" in capsys.readouterr().out


def test_the_standings(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"arena_id": NAME, "rank": 1, "filler": True, "team_name": NAME, "errors": 0}
    numbers = ("total_score", "mean_score", "ci_low", "ci_high", "first_chance", "rating_mu", "rating_sigma")
    monkeypatch.setattr(terminal, "_OUT", plain_console(width=200))
    terminal.leaderboard(1, pd.DataFrame([row | dict.fromkeys(numbers, 1.0)]))
    shown = capsys.readouterr().out
    assert f"qualification, {NAME}" in shown
    assert f"{NAME} (filler)" in shown


def test_what_is_waited_for_is_a_text_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(messages, "_ERR", plain_console(stderr=True))
    with messages.trying(1) as tell:
        tell(NAME)
    with verdict.progress() as say:
        say(NAME)
    shards = shards_of(1)
    with Bar(shards, what=NAME, unit="images"):
        pass
    with Watch(shards, Path(), what=NAME, unit="images") as watch:
        watch.show(standing(Path(), [shards[0].key]))
    assert capsys.readouterr().err.count(NAME) >= 3


def test_a_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    finding = Finding(what=NAME, where=NAME, error="crash", hint=NAME, file=NAME, line=3, source=NAME, count=2)
    found = verdict.Verdict(NAME, [finding], [], [], "", NAME, {})
    verdict.show(found)
    out = capsys.readouterr().out
    assert out.count(NAME) >= 6
    assert f"{NAME} (2 times)" in out


def test_the_workers_of_a_run_in_unfolded_lines(capsys: pytest.CaptureFixture[str]) -> None:
    [shard] = shards_of(1)
    folder, log = Path("shards", "make"), f"/{'long_folder/' * 20}{NAME}/worker.log"
    write_manifest(folder, [shard.key])
    announce(folder, "w", os.getpid(), log=log)
    launchers(["status", "."])
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.lstrip().startswith("w ")]
    assert line.split()[-1] == log
