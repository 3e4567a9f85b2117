"""logs/: every round, cut bid and error of a game is told in lines that no agent can forge."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agt_tournament.game.auction_engine import Answer
from agt_tournament.game.execution_log import log, logged, told
from tests.tournament import ScriptedBidder, play, rules

FORGED = "first\n2026-01-01T00:00:00.000+00:00 ana is disqualified\r\x85\u2028again"


def test_a_line_is_a_line_whatever_an_agent_wrote(tmp_path: Path) -> None:
    log(tmp_path / "a" / "x.log", "one", FORGED)
    log(tmp_path / "a" / "x.log", "three \ud800")
    lines = (tmp_path / "a" / "x.log").read_text().splitlines()
    assert len(lines) == 3
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00 (one|first 2026|three)", line) for line in lines)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.log").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device") as raised:
        log(tmp_path / "x.log", "one")
    assert raised.value.filename == str(tmp_path / "x.log")


def test_how_a_run_ends_is_told(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), logged(tmp_path / "x.log", "the run"):
        raise KeyboardInterrupt
    with logged(tmp_path / "x.log", "the run"):
        pass
    said = [line.split(" ", 1)[1] for line in (tmp_path / "x.log").read_text().splitlines()]
    assert said == [
        "the run begins",
        "the run ends before its time: KeyboardInterrupt",
        "the run begins",
        "the run ends",
    ]


def test_a_game_is_told_round_by_round() -> None:
    agents = {
        "ana": ScriptedBidder(lambda item: 100.0),
        "ben": ScriptedBidder(lambda item: Answer(0.0, 0.1, "crash", "Traceback\nValueError: no", valid=False)),
    }
    game = play(agents, rules(auction_rounds=2))
    lines = list(told(3, game))
    first = game.auction_log[0].item_id
    assert f"game 3, round 1: {first}: ana pays 0; bids: ana 60, ben 0" in lines
    assert "game 3, round 1: ana: bid 100 cut down to the budget, 60" in lines
    assert "game 3, round 2: ben: crash in bidding_function: ValueError: no" in lines
    worth = game.team_results["ana"].utility  # at the price 0
    assert f"game 3: ana: utility {worth:.6g}; 2 items, worth {worth:.6g}, for 0" in lines
    assert "game 3: ben: utility 0; 0 items, worth 0, for 0" in lines
