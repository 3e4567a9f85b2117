"""A game on the terminal: item, winner and price of each round are shown however narrow it is."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from agt_tournament.actions import game as game_action
from agt_tournament.game.auction_engine import Answer, in_words
from agt_tournament.game.record import GameResult
from agt_tournament.report import terminal
from generative_auctions.terminal import plain_console
from tests.tournament import ScriptedBidder, play

LONG = "a_very_long_team_name_that_fills_all_its_fifty_let"


def game(**scripts: Any) -> GameResult:
    """A game as its file holds it: five bidders, whose names differ in the last letter alone."""
    names = [f"{LONG[:-1]}{number}" for number in range(1, 6)]
    bidders = {name: ScriptedBidder(lambda item, n=number: 2.0 + n) for number, name in enumerate(names)}
    return play({**bidders, **{name: ScriptedBidder(script) for name, script in scripts.items()}})


def shown(content: GameResult, columns: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """What is printed of a game on a terminal of so many `columns`."""
    out = StringIO()
    monkeypatch.setattr(game_action, "_OUT", plain_console(file=out, width=columns, highlight=False))
    game_action.print_game(content, Path("game.json"))
    return out.getvalue()


@pytest.mark.parametrize("columns", [200, 80, 60, 40])
def test_each_round_shows_item_winner_and_price(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    content = game()
    text = shown(content, columns, monkeypatch)
    assert max(map(len, text.splitlines())) <= columns
    rows = [line.split() for line in text.splitlines() if " item_" in line]
    numbers = list(content.team_results)
    assert len(rows) == 15
    for row, entry in zip(rows, content.auction_log, strict=True):
        winner = str(numbers.index(entry.winner) + 1) if entry.winner else "–"
        assert row[:3] == [str(entry.round), entry.item_id, winner]
        assert f"{entry.price:.2f}" in row


def test_at_80_columns_all_bids_of_five_teams_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    content = game()
    text = shown(content, 80, monkeypatch)
    [first] = [line for line in text.splitlines() if line.split()[:1] == ["1"] and " item_" in line]
    assert first.split()[-5:] == [f"{bid:.2f}" for bid in content.auction_log[0].all_bids.values()]


def test_who_was_not_asked_any_more_has_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([Answer(0.0, 0.1, "timeout", valid=False), *14 * [Answer(0.0, None, "timeout", valid=False)]])
    text = shown(game(late=lambda item: next(answers)), 120, monkeypatch)
    last = [line.split()[-1] for line in text.splitlines() if " item_" in line]
    assert last == ["timeout", *14 * ["–"]]


def test_an_agent_that_was_not_started_is_not_said_to_have_ended_itself(capsys: pytest.CaptureFixture[str]) -> None:
    text = "not started: it could not be loaded before"
    assert in_words("exit", text) == "not started"
    assert in_words("exit", "the process ended itself with status 3") == "exit"
    errors = [("crash", "no"), ("exit", text), ("exit", text), ("exit", "SystemExit: 3")]
    table = pd.DataFrame([{"team_id": "ana", "error": error, "text": said} for error, said in errors])
    terminal.failures(table, Path("teams"))
    line = capsys.readouterr().err.splitlines()[-1]
    assert "2 × not started" in line
    assert "1 × exit" in line
