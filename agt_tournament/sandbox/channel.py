"""The organiser's end of the sockets to an agent's process: questions, answers, and whatever the agent prints."""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence

from agt_tournament.sandbox.inside import protocol
from agt_tournament.sandbox.printed import Printed

_CHUNK = 1 << 16
_MOST_CHUNKS = 16
_CHECK_SECONDS = 0.03
_MOST_INSTEAD = 1 << 16  # bytes
_NUMBERS = struct.Struct("<512Q")


def _drawn() -> Iterator[int]:
    """Yield numbers that no agent can foresee, drawn many at a time."""
    while True:
        yield from _NUMBERS.unpack(os.urandom(_NUMBERS.size))


_numbers = _drawn()


class Channel:
    """Three non-blocking sockets: for requests, for answers, and one on which the agent prints.

    A question is `send` and then `receive`. Nothing that the agent does or fails to do on its side keeps the organiser
    from looking at it every so often, or makes it keep more than `printed` does. Sockets, not pipes: `fstat` of a pipe
    tells when it was last written to. Answers have their own, as whoever waits to read from a socket is also woken when
    what it wrote there is read.
    """

    def __init__(self, sockets: Sequence[socket.socket], printed: Printed) -> None:
        """Take over `sockets` for requests, answers and output; the channel closes them."""
        self._sockets, self._printed = sockets, printed
        self._requests, self._answers, self._output = (each.fileno() for each in self._sockets)
        self._frames = protocol.Frames(protocol.MAX_ANSWER)
        self._poll = select.poll()
        self._watched: dict[int, int] = {}
        for each in self._sockets:
            each.setblocking(False)
        for descriptor in (self._answers, self._output):
            self._watch(descriptor, select.POLLIN)
        self._end = -1
        self.reported: tuple[str, str] | None = None
        """Error class and text of the failed update in the last question."""

    def send(self, kind: int, body: bytes) -> None:
        """Begin a question; never waits."""
        self._number, self.reported = next(_numbers), None
        self._unsent = protocol.pack(kind, self._number, body)
        self._write()

    def end_with(self, pidfd: int) -> None:
        """Take the end of that process for the end of the answers: another one may hold the socket open."""
        self._end = pidfd
        self._watch(pidfd, select.POLLIN)

    def receive(self, check: Callable[[], None]) -> tuple[float, str | None, str, str]:
        """Wait for the answer and call `check` every so often meanwhile.

        Returns:
            Bid (any double), error, place and text.

        Raises:
            EOFError: the agent's end is closed.
            protocol.ProtocolError: for anything but one answer to the question that was sent, and a report before it.
            Exception: whatever `check` raises.
        """
        due = time.perf_counter() + _CHECK_SECONDS
        while True:
            ended = False
            for descriptor, _ in self._poll.poll(_CHECK_SECONDS * 1000):
                if descriptor == self._end:
                    ended = True  # what it answered before has come as well
                elif descriptor == self._output:
                    self._drain()
                elif descriptor == self._requests:
                    self._write()
                elif (answer := self._read()) is not None:
                    return answer
            if ended:
                raise EOFError
            if (now := time.perf_counter()) >= due:
                check()
                due = now + _CHECK_SECONDS

    def receive_instead(self, last: bytes, seconds: float) -> str:
        """Read what comes in the place of an answer, until `last` is in it, it is too much or `seconds` have passed."""
        poll, data, deadline = select.poll(), b"", time.perf_counter() + seconds
        poll.register(self._answers, select.POLLIN)
        while last not in data and len(data) < _MOST_INSTEAD and (left := deadline - time.perf_counter()) > 0:
            if poll.poll(left * 1000):
                try:
                    chunk = os.read(self._answers, _CHUNK)
                except (BlockingIOError, ConnectionResetError):
                    break
                if not chunk:
                    break
                data += chunk
        return data.decode(errors="replace")

    def has_output(self) -> bool:
        """Whether there is something printed that has not been read."""
        return any(descriptor == self._output for descriptor, _ in self._poll.poll(0))

    def drain(self) -> None:
        """Read printed output that is waiting; from an agent that goes on printing, no more than a socket holds."""
        for _ in range(_MOST_CHUNKS):
            if not self._drain():
                return

    def close(self) -> None:
        """Close the organiser's ends."""
        for each in self._sockets:
            each.close()

    def _read(self) -> tuple[float, str | None, str, str] | None:
        """Read what has come and return the answer if it is whole."""
        try:
            data = os.read(self._answers, _CHUNK)
        except BlockingIOError:
            return None
        except ConnectionResetError:  # it ended without reading all
            raise EOFError from None
        if not self._frames.rest and (bid := protocol.plain_bid(data, self._number)) is not None:
            return bid, None, "", ""
        if not data:
            raise EOFError
        frame = self._frames.feed(data)
        if frame and frame.kind == protocol.REPORT:
            self._note(frame)
            frame = self._frames.feed(b"")
        return self._opened(frame) if frame else None

    def _note(self, frame: protocol.Frame) -> None:
        """Keep the one report that may come before an answer."""
        _, error, _, text = protocol.unpack_answer(frame.body)
        if frame.number != self._number or self.reported or error is None:
            raise protocol.ProtocolError("a report that was not asked for")
        self.reported = error, text

    def _opened(self, frame: protocol.Frame) -> tuple[float, str | None, str, str]:
        if frame.kind != protocol.ANSWER or frame.number != self._number or self._frames.rest:
            raise protocol.ProtocolError("an answer that was not asked for")
        return protocol.unpack_answer(frame.body)

    def _write(self) -> None:
        """Write as much of the request as the socket takes; the rest is written when there is room."""
        try:
            written = os.write(self._requests, self._unsent)
        except BlockingIOError:
            written = 0
        except (BrokenPipeError, ConnectionResetError):
            written = len(self._unsent)  # the end of the answers will tell
        self._unsent = self._unsent[written:]
        self._watch(self._requests, select.POLLOUT if self._unsent else 0)

    def _drain(self) -> bool:
        """Read some of what the agent has printed, so that it never waits; return whether there was some."""
        try:
            data = os.read(self._output, _CHUNK)
        except (BlockingIOError, ConnectionResetError):
            return False
        if not data:
            self._watch(self._output, 0)
        self._printed.add(data)
        return bool(data)

    def _watch(self, descriptor: int, events: int) -> None:
        """Poll `descriptor` for `events`; 0: not any more."""
        if self._watched.get(descriptor, 0) == events:
            return
        if events:
            self._poll.register(descriptor, events)
        else:
            self._poll.unregister(descriptor)
        self._watched[descriptor] = events
