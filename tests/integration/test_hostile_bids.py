"""Whatever a bidding function returns, and whatever an agent's process says in its stead, is a bid or costs the bid."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agt_tournament.game.auction_engine import Bidder
from agt_tournament.game.record import Failure, GameResult, RoundRecord
from agt_tournament.game.seeding import GameSeeds
from agt_tournament.sandbox.inside import protocol
from agt_tournament.tournament.agent_manager import AgentProcess
from agt_tournament.tournament.tournament_manager import limits_of
from tests.tournament import ScriptedBidder, play, rules, submission

RETURNING = """
import enum, sys
from decimal import Decimal
from fractions import Fraction
import numpy as np
from base_agent import BiddingAgent

class Half(float): pass
class Raising(float):
    def __float__(self): raise ValueError
class Lying(float):
    def __float__(self): return 5.0
class Texting(float):
    def __float__(self): return "5"
class LyingNaN(float):
    def __float__(self): return float("nan")
class Mute(str):
    def __repr__(self): raise ValueError
class Exiting(int):
    def __float__(self): raise OverflowError
class Convertible:
    def __float__(self): return 5.0
    def __index__(self): return 5
class Disguised:
    __class__ = float
class Level(enum.IntEnum):
    FIVE = 5

VALUES = [{values}]

class Agent(BiddingAgent):
    def bidding_function(self, item_id):
        return VALUES.pop(0)()
"""
BIDS: list[tuple[str, float]] = [
    ("0", 0.0),
    ("7", 7.0),
    ("7.5", 7.5),
    ("0.1", 0.1),
    ("-0.0", 0.0),
    ("5e-324", 5e-324),
    ("1e308", 1e308),
    ("10 ** 308", 1e308),
    ("2 ** 53 + 1", 2.0**53),
    ("np.float64(7.5)", 7.5),
    ("np.float32(0.1)", float(np.float32(0.1))),
    ("np.float16(0.1)", float(np.float16(0.1))),
    ("np.longdouble(7.5)", 7.5),
    ("np.int64(7)", 7.0),
    ("np.uint8(7)", 7.0),
    ("np.array([7.5])[0]", 7.5),
    ("np.float64(-0.0)", 0.0),
    ("Half(7.5)", 7.5),
    ("Lying(3)", 5.0),
    ("Level.FIVE", 5.0),
]
NO_BIDS: list[tuple[str, str]] = [
    ("float('nan')", "nan"),
    ("float('inf')", "inf"),
    ("float('-inf')", "-inf"),
    ("-1", "-1"),
    ("-1e-300", "-1e-300"),
    ("-5e-324", "-5e-324"),
    ("None", "None"),
    ("'7'", "'7'"),
    ("b'7'", "b'7'"),
    ("True", "True"),
    ("False", "False"),
    ("10 ** 400", "no float can hold"),
    ("-10 ** 400", "no float can hold"),
    ("10 ** 5000", "no float can hold"),
    ("[7]", "[7]"),
    ("(7,)", "(7,)"),
    ("{'bid': 7}", "{'bid': 7}"),
    ("7j", "7j"),
    ("complex(7)", "(7+0j)"),
    ("Decimal(7)", "Decimal"),
    ("Fraction(7)", "Fraction"),
    ("float", "float"),
    ("lambda: 7", "lambda"),
    ("(x for x in [7])", "generator"),
    ("Convertible()", "Convertible"),
    ("np.bool_(True)", "True"),
    ("np.array([7.5])", "array([7.5])"),
    ("np.array(7.5)", "array(7.5)"),
    ("np.array([1.0, 2.0])", "array"),
    ("np.float64('nan')", "nan"),
    ("np.float32('inf')", "inf"),
    ("np.int64(-7)", "-7"),
    ("np.complex128(7)", "7"),
    ("np.str_('7')", "7"),
    ("Half('nan')", "nan"),
    ("Half(-1)", "-1"),
    ("LyingNaN(3)", "nan"),
    ("Exiting(3)", "no float can hold"),
    ("'x' * 10 ** 7", "xxx"),
    ("list(range(10 ** 5))", "[0, 1"),
]
CRASHES = ["Raising(3)", "Texting(3)", "Mute('7')", "Disguised()", "1 / 0"]
DOUBTFUL = ["np.timedelta64(7, 's')", "np.timedelta64(7)"]  # numpy calls them integers

ALL = [source for source, _ in BIDS + NO_BIDS] + CRASHES + DOUBTFUL
RULES = rules(
    total_items=len(ALL),
    high_value_items=len(ALL),
    low_value_items=0,
    mixed_value_items=0,
    auction_rounds=len(ALL),
    bid_timeout_seconds=20.0,
    load_timeout_seconds=30.0,
)


def against_one(folder: Path, rules_: Any) -> GameResult:
    """A game of the agent in `folder` and a bidder that bids 1 throughout."""
    with AgentProcess(folder, "ana", limits_of(rules_)._replace(raised_limit_kb=1024)) as agent:
        everyone: dict[str, Bidder] = {"ana": agent, "ben": ScriptedBidder(lambda _: 1.0)}
        return play(everyone, rules_, GameSeeds(1, 1, 1, 1))


Returned = dict[str, tuple[RoundRecord, Failure | None]]


@pytest.fixture(scope="module")
def returned(tmp_path_factory: pytest.TempPathFactory) -> Returned:
    """What became of each of `ALL`: the round's entry, with the failure if there was one."""
    values = ", ".join(f"lambda: ({source})" for source in ALL)
    folder = submission(tmp_path_factory.mktemp("bids") / "ana", RETURNING.replace("{values}", values))
    result = against_one(folder, RULES)
    failures = {failure.round: failure for failure in result.failures}
    json.dumps(result.as_json(), allow_nan=False)
    return {source: (entry, failures.get(entry.round)) for source, entry in zip(ALL, result.auction_log, strict=True)}


@pytest.mark.parametrize(("source", "bid"), BIDS)
def test_a_finite_number_that_is_not_negative_is_a_bid(source: str, bid: float, returned: Returned) -> None:
    entry, failure = returned[source]
    assert failure is None
    assert entry.asked["ana"] == bid
    assert math.copysign(1, entry.asked["ana"]) == 1
    assert entry.all_bids["ana"] == min(bid, entry.caps["ana"])


def text(returned: tuple[RoundRecord, Failure | None]) -> str:
    """What the team is told."""
    _, failure = returned
    return failure.text if failure else ""


def is_no_bid(returned: tuple[RoundRecord, Failure | None], error: str) -> bool:
    """Nothing was asked, 0 was bid, and the other one won for nothing."""
    entry, failure = returned
    assert failure
    assert (entry.asked["ana"], entry.all_bids["ana"]) == (None, 0.0)
    assert (entry.winner, entry.price) == ("ben", 0.0)
    assert entry.errors == {"ana": error}
    assert (failure.error, failure.where) == (error, "bidding_function")
    return True


@pytest.mark.parametrize(("source", "told"), NO_BIDS)
def test_anything_else_is_invalid_and_the_team_is_told_what_it_was(source: str, told: str, returned: Returned) -> None:
    assert is_no_bid(returned[source], "invalid")
    assert told in text(returned[source])
    assert len(text(returned[source])) < 1000


@pytest.mark.parametrize("source", CRASHES)
def test_what_fails_when_it_is_looked_at_is_a_crash(source: str, returned: Returned) -> None:
    assert is_no_bid(returned[source], "crash")


@pytest.mark.parametrize("source", DOUBTFUL)
def test_a_duration_is_no_bid(source: str, returned: Returned) -> None:
    assert is_no_bid(returned[source], "invalid")


# --- a process that does not keep to its own protocol ----------------------------------------------------

FORGING = """
import os, struct
from base_agent import BiddingAgent

BODIES = [{bodies}]
asked = False
write = os.write

def forge(descriptor, answer):  # its header holds the length, the kind and the number of the question
    global asked
    if not asked:
        return write(descriptor, answer)
    asked, body = False, BODIES.pop(0)
    frame = struct.pack("<IB", len(body), 6) + answer[5:13] + body
    return write(descriptor, {frame})

os.write = forge

class Agent(BiddingAgent):
    def bidding_function(self, item_id):
        global asked
        asked = True
        return 0.0
"""


def forged(folder: Path, *bodies: bytes, frame: str = "frame") -> GameResult:
    """A game whose rounds are answered with `bodies`, each in a frame of which `frame` is sent."""
    few = rules(auction_rounds=len(bodies), bid_timeout_seconds=2.0)
    source = FORGING.replace("{bodies}", ", ".join(map(repr, bodies))).replace("{frame}", frame)
    return against_one(submission(folder / "ana", source), few)


def body(bid: float, error: int = 0, where: int = 0, text: bytes = b"") -> bytes:
    return struct.pack("<BBd", error, where, bid) + text


def test_a_forged_bid_is_checked_by_the_organiser(tmp_path: Path) -> None:
    bids = [math.nan, math.inf, -math.inf, -1.0, -5e-324, -0.0, 7.0, 1e308]
    result = forged(tmp_path, *map(body, bids))
    assert [entry.asked["ana"] for entry in result.auction_log] == [None] * 5 + [0.0, 7.0, 1e308]
    assert [entry.all_bids["ana"] for entry in result.auction_log] == [0.0] * 6 + [7.0, 59.0]
    assert [(failure.round, failure.error) for failure in result.failures] == [(n, "invalid") for n in range(1, 6)]
    assert math.copysign(1, result.auction_log[5].all_bids["ana"]) == 1


def test_a_forged_text_has_no_controls(tmp_path: Path) -> None:
    text = b"\x1b[2J\x00\r\x07\xff\xed\xa0\x80\xe2\x80\xae=1+1\n\tend"
    result = forged(tmp_path, body(math.nan, 1, 3, text))
    (failure,) = result.failures
    assert failure.error == "crash"
    assert failure.text.endswith("=1+1\n\tend")
    assert not {"\x1b", "\x00", "\r", "\x07", "\u202e"} & set(failure.text)
    json.dumps(result.as_json(), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        body(1.0)[:-1],
        body(1.0, error=5),
        body(1.0, where=5),
        body(1.0, 255, 255),
        body(1.0, 1, 1, b"x" * (protocol.MAX_TEXT + 1)),
    ],
    ids=["empty", "short", "error", "place", "codes", "long"],
)
def test_a_forged_answer_that_is_none_ends_the_process(tmp_path: Path, wrong: bytes) -> None:
    result = forged(tmp_path, body(3.0), wrong, body(3.0))
    assert [entry.asked["ana"] for entry in result.auction_log] == [3.0, None, None]
    assert [(failure.round, failure.error) for failure in result.failures] == [(2, "protocol")]


@pytest.mark.parametrize(
    "change",
    [
        "frame[:5] + bytes([frame[5] ^ 1]) + frame[6:]",
        "frame + b'x'",
        "frame + frame",
        "frame[:4] + b'\\5' + frame[5:]",
    ],
    ids=["to another question", "with a byte too many", "twice", "of another kind"],
)
@pytest.mark.parametrize("text", [b"", b"text"])
def test_only_one_answer_to_the_question_is_taken(tmp_path: Path, change: str, text: bytes) -> None:
    result = forged(tmp_path, body(3.0, text=text), body(3.0), frame=change)
    assert [(failure.round, failure.error) for failure in result.failures] == [(1, "protocol")]
    assert [entry.asked["ana"] for entry in result.auction_log] == [None, None]


def test_an_agent_cannot_claim_to_have_been_late(tmp_path: Path) -> None:
    """Only errors that its process can know of have codes."""
    result = forged(tmp_path, *(body(2.0, error) for error in range(5)))
    assert [entry.errors.get("ana") for entry in result.auction_log] == [None, "crash", "invalid", "memory", "exit"]
