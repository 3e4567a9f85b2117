"""Frames between the organiser and an agent's process: data only, standard library only.

A frame is a header (length of the body, kind, number used once) and a body. The organiser asks with WALLS, LOAD, GAME,
TURN or END; to each the agent's process answers with one ANSWER that repeats the number, so that an answer given before
the question or twice is told from the right one. Before that it may send one REPORT, of an update that failed: who ends
or hangs in its bid cannot take it back. The organiser never parses anything of free form: an answer, as a report, is
two codes, a double and text of bounded length.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

WALLS, LOAD, GAME, TURN, END, ANSWER, REPORT = range(1, 8)
"""WALLS, LOAD and GAME carry JSON; TURN what `pack_turn` packs; END what `pack_outcome` packs; ANSWER and REPORT what
`pack_answer` packs."""

_HEADER = struct.Struct("<IBQ")
_OUTCOME = struct.Struct("<id")
_TURN = struct.Struct("<idi")
_PLAIN_TURN = struct.Struct("<IBQidi")  # header and turn
_ANSWER = struct.Struct("<BBd")
_PLAIN = struct.Struct("<IBQBBd")  # header and answer of an agent that has nothing to report

SUBMISSION = "bidding_agent"
"""The name of the module that is imported."""

LIBRARIES = ("numpy", "scipy")
"""The packages that an agent may import, beside the standard library and its own modules."""

MAX_REQUEST = 1 << 20
MAX_TEXT = 4 << 10
MAX_ANSWER = _ANSWER.size + MAX_TEXT

NO_ROUND, NOBODY = -2, -1
"""Values in place of the winner's seat: no round was played yet; nobody bid."""

ERRORS = (None, "crash", "invalid", "memory", "exit")
"""The errors that an agent's process reports; the code of an error is its index.

Others are found by the organiser alone.
"""

PLACES = ("", "import", "__init__", "bidding_function", "update_after_each_round")
"""The places in the agent's code that an error may have; the code of a place is its index."""


class ProtocolError(ValueError):
    """Malformed or unexpected frame."""


class Frame(NamedTuple):
    """A whole frame."""

    kind: int
    number: int
    body: bytes


def pack(kind: int, number: int, body: bytes) -> bytes:
    """Pack a frame; `number` is unsigned, of 64 bits."""
    return _HEADER.pack(len(body), kind, number) + body


class Frames:
    """Cuts what comes through a pipe into frames of at most `most` bytes each."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._buffer = b""

    def feed(self, data: bytes) -> Frame | None:
        """Take `data`; the next frame if it is whole. Raises `ProtocolError` for one that would be too long."""
        self._buffer += data
        if len(self._buffer) < _HEADER.size:
            return None
        length, kind, number = _HEADER.unpack_from(self._buffer)
        if length > self._most:
            raise ProtocolError(f"a frame of {length:,} bytes, at most {self._most:,} are allowed")
        end = _HEADER.size + length
        if len(self._buffer) < end:
            return None
        body, self._buffer = self._buffer[_HEADER.size : end], self._buffer[end:]
        return Frame(kind, number, body)

    @property
    def rest(self) -> int:
        """Bytes that came after the last frame."""
        return len(self._buffer)


def pack_outcome(winner: int, price: float) -> bytes:
    """Pack the outcome of the last round: the winner's seat, `NOBODY` or `NO_ROUND`, and the price."""
    return _OUTCOME.pack(winner, price)


def unpack_outcome(body: bytes) -> tuple[int, float]:
    """Unpack what `pack_outcome` packed."""
    return _OUTCOME.unpack(body)


def pack_turn(winner: int, price: float, item: int) -> bytes:
    """Pack the outcome of the last round, and the place of the item to bid for in the list that GAME carried."""
    return _TURN.pack(winner, price, item)


def plain_turn(data: bytes) -> tuple[int, int, float, int] | None:
    """Unpack number and turn if `data` is a whole TURN, by far the most frequent request; else return None."""
    if len(data) != _PLAIN_TURN.size:
        return None
    length, kind, number, winner, price, item = _PLAIN_TURN.unpack(data)
    return (number, winner, price, item) if length == _TURN.size and kind == TURN else None


def pack_reply(number: int, bid: float, failure: tuple[str, str, str] | None = None) -> bytes:
    """Pack the frame that answers the request `number`; `failure` is error, place and text."""
    if failure is None:
        return _PLAIN.pack(_ANSWER.size, ANSWER, number, 0, 0, bid)
    return pack(ANSWER, number, pack_answer(bid, *failure))


def pack_answer(bid: float, error: str | None = None, where: str = "", text: str = "") -> bytes:
    """Pack an agent's answer; `bid` is NaN where there is none; `text` is cut at `MAX_TEXT` bytes."""
    cut = text.encode(errors="replace")[:MAX_TEXT]
    return _ANSWER.pack(ERRORS.index(error), PLACES.index(where), bid) + cut


def plain_bid(data: bytes, number: int) -> float | None:
    """Unpack the bid if `data` is a whole answer to `number` without an error, the usual case; else return None."""
    if len(data) != _PLAIN.size:
        return None
    length, kind, repeated, error, where, bid = _PLAIN.unpack(data)
    plain = length == _ANSWER.size and kind == ANSWER and repeated == number and not error and not where
    return bid if plain else None


def unpack_answer(body: bytes) -> tuple[float, str | None, str, str]:
    """Unpack bid (any double), error, place and text; raises `ProtocolError`."""
    if not _ANSWER.size <= len(body) <= MAX_ANSWER:
        raise ProtocolError(f"an answer of {len(body):,} bytes")
    error, where, bid = _ANSWER.unpack_from(body)
    if error >= len(ERRORS) or where >= len(PLACES):
        raise ProtocolError(f"an answer with the codes {error} and {where}")
    return bid, ERRORS[error], PLACES[where], body[_ANSWER.size :].decode(errors="replace")
