"""Whatever comes from an agent's side, it is one answer or one named error, and the organiser goes on."""

from __future__ import annotations

import socket

from hypothesis import given
from hypothesis import strategies as st

from agt_tournament.sandbox.channel import Channel
from agt_tournament.sandbox.inside import protocol
from agt_tournament.sandbox.printed import OverBudgetError, Printed
from tests.fuzzing import fuzzed

TURN = protocol.pack_turn(0, 1.0, 0)

numbers = st.one_of(st.just("asked"), st.just("before"), st.integers(0, 2**64 - 1))
bodies = st.one_of(
    st.binary(max_size=40),
    st.builds(protocol.pack_answer, st.floats(), st.sampled_from(protocol.ERRORS), st.sampled_from(protocol.PLACES)),
    st.binary(min_size=protocol.MAX_ANSWER - 2, max_size=protocol.MAX_ANSWER + 2),
)
frames = st.tuples(st.integers(0, 255), numbers, bodies)
"""Kind, number and body."""
pieces = st.one_of(frames, st.binary(max_size=60))


class Agent:
    """A channel and the agent's ends of its sockets."""

    def __init__(self) -> None:
        requests, self.asked = socket.socketpair()
        answers, self.answering = socket.socketpair()
        output, self.printing = socket.socketpair()
        self.printed = Printed(100, 10_000)
        self.channel = Channel((requests, answers, output), self.printed)
        self.answering.setblocking(False)
        self.before = self.number = 0

    def ask(self) -> int:
        """Ask for a bid; the number of the question."""
        self.channel.send(protocol.TURN, TURN)
        self.before = self.number
        self.number = protocol._HEADER.unpack_from(self.asked.recv(1 << 16))[2]
        return self.number

    def answer(self, piece: bytes | tuple[int, object, bytes]) -> bytes:
        """Send `piece`; what was sent."""
        if isinstance(piece, tuple):
            kind, number, body = piece
            number = {"asked": self.number, "before": self.before}.get(number, number)  # type: ignore[call-overload]
            piece = protocol.pack(kind, number, body)
        self.answering.send(piece)
        return piece

    def heard(self) -> tuple[float, str | None, str, str] | str:
        """What the organiser makes of it."""

        def check() -> None:
            raise OverBudgetError("timeout", "late")

        try:
            return self.channel.receive(check)
        except (OverBudgetError, protocol.ProtocolError, EOFError) as problem:
            return type(problem).__name__


@fuzzed(300)
@given(st.lists(pieces, max_size=5), st.booleans())
def test_anything_is_one_answer_or_one_error(sent: list[object], closes: bool) -> None:
    one = Agent()
    number = one.ask()
    stream = b"".join(one.answer(piece) for piece in sent)  # type: ignore[arg-type]
    if closes:
        one.answering.close()
    heard = one.heard()
    if isinstance(heard, str):
        assert heard in {"OverBudgetError", "ProtocolError", "EOFError"}
    else:  # all that was sent is the one frame that answers, and one report before it at most
        length, kind, repeated = protocol._HEADER.unpack_from(stream)
        if kind == protocol.REPORT:
            assert (repeated, one.channel.reported is None) == (number, False)
            stream = stream[protocol._HEADER.size + length :]
            length, kind, repeated = protocol._HEADER.unpack_from(stream)
        assert (kind, repeated) == (protocol.ANSWER, number)
        assert protocol._HEADER.size + length == len(stream)
    one.channel.close()


@fuzzed(300)
@given(st.lists(st.binary(min_size=1, max_size=30), min_size=1, max_size=4), st.floats())
def test_an_answer_after_other_bytes_is_no_bid(stray: list[bytes], bid: float) -> None:
    """However the bytes are cut up on their way, and also if they came before the question."""
    one = Agent()
    one.answering.send(stray[0])
    number = one.ask()
    for piece in stray[1:]:
        one.answering.send(piece)
    one.answering.send(protocol.pack_reply(number, bid))
    assert isinstance(one.heard(), str)
    one.channel.close()


@fuzzed(300)
@given(st.floats(), st.integers(1, 30))
def test_an_answer_in_two_pieces_is_that_answer(bid: float, cut: int) -> None:
    one = Agent()
    reply = protocol.pack_reply(one.ask(), bid)
    cut = min(cut, len(reply) - 1)
    one.answering.send(reply[:cut])
    one.channel._read()
    one.answering.send(reply[cut:])
    heard = one.heard()
    assert heard[0] == bid or bid != bid
    assert heard[1:] == (None, "", "")
    one.channel.close()


def test_one_report_may_come_before_the_answer() -> None:
    report = protocol.pack_answer(float("nan"), "crash", "update_after_each_round", "told")
    one = Agent()
    number = one.ask()
    one.answering.send(protocol.pack(protocol.REPORT, number, report) + protocol.pack_reply(number, 2.0))
    assert (one.heard(), one.channel.reported) == ((2.0, None, "", ""), ("crash", "told"))
    one.ask()
    assert one.channel.reported is None
    one.answer((protocol.REPORT, "asked", report))
    one.answer((protocol.REPORT, "asked", report))
    assert one.heard() == "ProtocolError"
    one.channel.close()
    other = Agent()
    other.ask()
    other.answer((protocol.REPORT, "asked", protocol.pack_answer(0.0)))
    assert other.heard() == "ProtocolError"
    other.channel.close()


def test_what_comes_in_the_place_of_an_answer_is_read_up_to_its_end() -> None:
    one = Agent()
    one.ask()
    one.answering.send(b"a line\nthe last line\n")
    assert one.channel.receive_instead(b"the last", 60.0) == "a line\nthe last line\n"
    assert one.channel.receive_instead(b"the last", 0.01) == ""
    one.answering.close()
    assert one.channel.receive_instead(b"the last", 60.0) == ""
    one.channel.close()


@fuzzed(300)
@given(st.lists(st.binary(max_size=5000), max_size=6))
def test_what_is_printed_is_counted_and_cut(chunks: list[bytes]) -> None:
    one = Agent()
    one.printing.setblocking(False)
    for chunk in chunks:
        one.printing.send(chunk)
    one.channel.drain()
    total = sum(map(len, chunks))
    assert len(one.printed.take().encode()) <= 100 + len("\n[10,000,000 further bytes were dropped]")
    assert total <= 30_000
    one.channel.close()
