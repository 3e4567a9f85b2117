"""The channel to an agent's process: round trips, cuts at every byte, what is refused."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agt_tournament.sandbox.inside import protocol
from agt_tournament.sandbox.inside.protocol import Frame, Frames, ProtocolError

NUMBER = 2**64 - 1
FRAME = protocol.pack(protocol.TURN, NUMBER, b"abcdef")


@given(st.integers(0, 255), st.integers(0, 2**64 - 1), st.binary(max_size=300))
def test_a_frame_comes_out_as_it_went_in(kind: int, number: int, body: bytes) -> None:
    frames = Frames(300)
    assert frames.feed(protocol.pack(kind, number, body)) == Frame(kind, number, body)
    assert frames.rest == 0


@pytest.mark.parametrize("cut", range(len(FRAME)))
def test_a_frame_cut_anywhere_is_put_together(cut: int) -> None:
    frames = Frames(6)
    assert frames.feed(FRAME[:cut]) is None
    assert frames.rest == cut
    assert frames.feed(FRAME[cut:]) == Frame(protocol.TURN, NUMBER, b"abcdef")


def test_a_frame_can_come_byte_by_byte() -> None:
    frames = Frames(6)
    got = [frames.feed(bytes([byte])) for byte in FRAME]
    assert got == [None] * (len(FRAME) - 1) + [Frame(protocol.TURN, NUMBER, b"abcdef")]


def test_of_two_frames_in_one_read_the_second_is_kept_and_counted() -> None:
    frames = Frames(6)
    assert frames.feed(FRAME + protocol.pack(protocol.END, 1, b"x")) == Frame(protocol.TURN, NUMBER, b"abcdef")
    assert frames.rest == len(protocol.pack(protocol.END, 1, b"x"))
    assert frames.feed(b"") == Frame(protocol.END, 1, b"x")
    assert frames.rest == 0


def test_a_frame_that_would_be_too_long_is_refused_by_its_header() -> None:
    assert Frames(6).feed(FRAME) is not None
    with pytest.raises(ProtocolError, match="6 bytes, at most 5"):
        Frames(5).feed(FRAME[:13])


def test_garbage_is_refused_and_not_waited_for() -> None:
    with pytest.raises(ProtocolError):
        Frames(protocol.MAX_ANSWER).feed(b"\xff" * 64)


doubles = st.floats(allow_nan=True, allow_infinity=True)


@given(doubles, st.sampled_from(protocol.ERRORS), st.sampled_from(protocol.PLACES), st.text(max_size=200))
def test_an_answer_comes_out_as_it_went_in(bid: float, error: str | None, where: str, text: str) -> None:
    got_bid, *rest = protocol.unpack_answer(protocol.pack_answer(bid, error, where, text))
    assert got_bid == bid or (math.isnan(got_bid) and math.isnan(bid))
    assert rest == [error, where, text]


def test_text_that_is_no_unicode_is_replaced() -> None:
    assert protocol.unpack_answer(protocol.pack_answer(0.0, "crash", "", "a\udcffb"))[3] == "a?b"


@pytest.mark.parametrize("before", range(5))
def test_text_is_cut_at_the_bound_also_within_a_letter(before: int) -> None:
    text = "x" * before + "\N{PILE OF POO}" * protocol.MAX_TEXT
    body = protocol.pack_answer(1.0, "crash", "import", text)
    assert len(body) == protocol.MAX_ANSWER
    got = protocol.unpack_answer(body)[3]
    whole = (protocol.MAX_TEXT - before) // 4
    assert got.startswith("x" * before + "\N{PILE OF POO}" * whole)
    assert set(got[before + whole :]) <= {"\N{REPLACEMENT CHARACTER}"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        struct.pack("<BBd", 0, 0, 1.0)[:-1],
        struct.pack("<BBd", len(protocol.ERRORS), 0, 1.0),
        struct.pack("<BBd", 255, 0, 1.0),
        struct.pack("<BBd", 0, len(protocol.PLACES), 1.0),
        struct.pack("<BBd", 0, 255, 1.0),
        struct.pack("<BBd", 0, 0, 1.0) + b"x" * (protocol.MAX_TEXT + 1),
    ],
)
def test_an_answer_of_unknown_codes_or_length_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        protocol.unpack_answer(body)


def test_an_answer_cannot_claim_what_only_the_organiser_finds() -> None:
    assert not {"timeout", "protocol"} & set(protocol.ERRORS)


@given(st.binary(max_size=protocol.MAX_ANSWER))
def test_any_bytes_are_an_answer_or_refused(body: bytes) -> None:
    try:
        bid, error, where, text = protocol.unpack_answer(body)
    except ProtocolError:
        return
    assert isinstance(bid, float)
    assert error in protocol.ERRORS
    assert where in protocol.PLACES
    text.encode()


@given(st.integers(-2, 2**31 - 1), doubles.filter(math.isfinite), st.integers(0, 2**31 - 1))
def test_outcome_and_turn_come_out_as_they_went_in(winner: int, price: float, item: int) -> None:
    assert protocol.unpack_outcome(protocol.pack_outcome(winner, price)) == (winner, price)
    frame = protocol.pack(protocol.TURN, 7, protocol.pack_turn(winner, price, item))
    assert protocol.plain_turn(frame) == (7, winner, price, item)


def test_a_turn_carries_the_last_winner_the_price_and_the_item_and_no_room_for_more() -> None:
    assert len(protocol.pack_turn(3, 1.5, 7)) == 4 + 8 + 4
    assert len(protocol.pack_outcome(3, 1.5)) == 4 + 8


# --- the short way of the most frequent frames -----------------------------------------------------------


def same(one: float | None, other: float) -> bool:
    return one == other or (one is not None and math.isnan(one) and math.isnan(other))


@given(st.integers(0, 2**64 - 1), doubles)
def test_a_plain_answer_is_read_the_short_way_as_the_long_way(number: int, bid: float) -> None:
    data = protocol.pack_reply(number, bid)
    frame = Frames(protocol.MAX_ANSWER).feed(data)
    assert frame is not None
    assert (frame.kind, frame.number) == (protocol.ANSWER, number)
    assert same(protocol.unpack_answer(frame.body)[0], bid)
    assert same(protocol.plain_bid(data, number), bid)


def test_only_one_whole_plain_answer_to_the_question_is_read_the_short_way() -> None:
    data = protocol.pack_reply(NUMBER, 2.5)
    assert protocol.plain_bid(data, NUMBER) == 2.5
    assert protocol.plain_bid(data, NUMBER - 1) is None
    assert all(protocol.plain_bid(data[:cut], NUMBER) is None for cut in range(len(data)))
    assert protocol.plain_bid(data + b"x", NUMBER) is None
    for failure in (("crash", "import", ""), ("invalid", "", "")):
        assert protocol.plain_bid(protocol.pack_reply(NUMBER, 2.5, failure), NUMBER) is None
    assert protocol.plain_bid(protocol.pack(protocol.END, NUMBER, data[13:]), NUMBER) is None
    for place in (0, 4, 5, 13, 14):  # length, kind, number, error, method
        changed = bytes([*data[:place], data[place] ^ 1, *data[place + 1 :]])
        assert protocol.plain_bid(changed, NUMBER) is None


@given(st.integers(0, 2**64 - 1), st.integers(-2, 9), doubles.filter(math.isfinite), st.integers(0, 99))
def test_a_turn_is_read_the_short_way_as_the_long_way(number: int, winner: int, price: float, item: int) -> None:
    body = protocol.pack_turn(winner, price, item)
    data = protocol.pack(protocol.TURN, number, body)
    assert protocol.plain_turn(data) == (number, winner, price, item)
    assert Frames(99).feed(data) == Frame(protocol.TURN, number, body)
    assert protocol.plain_turn(data[:-1]) is None
    assert protocol.plain_turn(data + b"x") is None
    assert protocol.plain_turn(protocol.pack(protocol.GAME, number, body)) is None
    assert protocol.plain_turn(protocol.pack(protocol.END, number, protocol.pack_outcome(winner, price))) is None
