"""One agent again in a stored game: it hears what it heard, and only its own answers are compared."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agt_tournament.actions.rerun import ComparedSeat, Deviation, play_again
from agt_tournament.game.auction_engine import Answer
from agt_tournament.game.record import Failure, GameResult
from agt_tournament.game.seeding import GameSeeds
from tests.tournament import ScriptedBidder, play, rules

SEEDS = GameSeeds(3, 1, 1, 2)


def stored(**scripts: Any) -> tuple[GameResult, dict[str, ScriptedBidder]]:
    """A game of bidders as its file holds it, and the bidders."""
    bidders = {team: ScriptedBidder(script) for team, script in scripts.items()}
    return GameResult.from_json(json.loads(json.dumps(play(bidders, seeds=SEEDS).as_json()))), bidders


def again(game: GameResult, team: str, script: Any) -> tuple[ComparedSeat, ScriptedBidder]:
    agent = ScriptedBidder(script)
    return play_again(game, team, agent, rules(), SEEDS), agent


def half(item: str) -> float:
    return int(item[5:]) / 2


def test_who_answers_the_same_hears_the_same_and_does_not_deviate() -> None:
    game, then = stored(ana=half, ben=lambda _: 4.0, zoe=lambda _: 4.0)
    seat, agent = again(game, "ben", lambda _: 4.0)
    assert seat.deviations == []
    assert agent.heard == then["ben"].heard
    assert agent.briefing == then["ben"].briefing
    assert agent.loading_seed == then["ben"].loading_seed
    assert agent.ended


def test_who_answers_otherwise_hears_what_was_heard_then() -> None:
    game, then = stored(ana=half, ben=lambda _: 4.0)
    seat, agent = again(game, "ben", lambda item: 59.0 if item == game.auction_log[6].item_id else 4.0)
    assert seat.deviations == [(7, "4.0", "59.0")]
    assert agent.heard == then["ben"].heard


def test_an_error_is_compared_as_well() -> None:
    game, _ = stored(ana=half, ben=lambda _: Answer(0.0, 2.1, "timeout", valid=False))
    assert again(game, "ben", lambda _: Answer(0.0, 2.2, "timeout", valid=False))[0].deviations == []
    seat, _ = again(game, "ben", lambda _: Answer(1.5, 0.1, "crash"))
    assert seat.deviations[0] == (1, "timeout", "1.5 with crash")
    assert len(seat.deviations) == 15


@pytest.mark.parametrize("moment", [0, None])
def test_an_error_outside_the_rounds_is_compared_as_well(moment: int | None) -> None:
    game, _ = stored(ana=half, ben=half)
    game.failures.append(Failure("ben", moment, "crash", ""))
    assert again(game, "ben", half)[0].deviations == [(moment, "crash", "without an error")]
    assert again(game, "ana", half)[0].deviations == []


def test_who_is_out_at_the_end_then_as_now_does_not_deviate() -> None:
    game, _ = stored(ana=half, ben=half)
    agent = ScriptedBidder(half)
    agent.end_game = lambda: Answer(0.0, None, "timeout")  # type: ignore[method-assign]
    assert play_again(game, "ben", agent, rules(), SEEDS).deviations == []


def test_a_deviation_names_team_game_round_and_both_answers() -> None:
    said = str(Deviation("stage1/arena_2/game_3.json", "ben", 7, "4.0", "59.0", 2))
    assert said == "stage1/arena_2/game_3.json: ben, round 7: answered 4.0, alone again 59.0, and 2 more answers differ"
    for then, now in (("timeout", "4.0"), ("4.0", "timeout")):
        assert "depends on the clock" in str(Deviation("game.json", "ben", None, then, now, 0))
