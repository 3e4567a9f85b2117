"""The organiser's end of the pipes to an agent's process: questions, deadlines, and whatever the agent prints."""

from __future__ import annotations

import os
import select
import struct
import time
from collections.abc import Callable, Iterator

from agt_tournament.agents import protocol

_CHUNK = 1 << 16
_WATCH_SECONDS = 0.03
_NUMBERS = struct.Struct("<512Q")


def _drawn() -> Iterator[int]:
    """Numbers that no agent can foresee, drawn many at a time."""
    while True:
        yield from _NUMBERS.unpack(os.urandom(_NUMBERS.size))


_numbers = _drawn()


class Channel:
    """Three non-blocking pipes: requests to the agent, answers from it, and what it prints.

    A question is `send` and then `receive`. Nothing that the agent does or fails to do on its side of the pipes keeps
    the organiser beyond the deadline, or makes it keep more than `output_limit` bytes of what is printed.
    """

    def __init__(self, requests: int, answers: int, printed: int, output_limit: int) -> None:
        """The descriptors stay the caller's to close."""
        self._requests, self._answers, self._printed = requests, answers, printed
        self._output_limit = output_limit
        self._output, self._dropped = bytearray(), 0
        self._frames = protocol.Frames(protocol.MAX_ANSWER)
        self._poll = select.poll()
        for descriptor in (requests, answers, printed):
            os.set_blocking(descriptor, False)
        self._poll.register(answers, select.POLLIN)
        self._poll.register(printed, select.POLLIN)
        self._registered = {answers, printed}
        self._end = -1

    def send(self, kind: int, body: bytes, timeout: float) -> None:
        """Begin a question whose answer is due in `timeout` seconds of wall time; never waits."""
        self._number = next(_numbers)
        self._timeout = timeout
        self._began = time.perf_counter()
        self._unsent = protocol.pack(kind, self._number, body)
        self._write()

    def end_with(self, pidfd: int) -> None:
        """Take the end of that process for the end of the answers: another one may hold the pipe open."""
        self._end = pidfd
        self._poll.register(pidfd, select.POLLIN)

    def restart_clock(self) -> None:
        """Count the time of the question that was sent from now on."""
        self._began = time.perf_counter()

    def receive(self, watch: Callable[[], None]) -> tuple[float, str | None, str, str]:
        """Wait for the answer: bid (any double), error, place, text; call `watch` every so often meanwhile.

        Raises `TimeoutError` at the deadline, `EOFError` once the agent's end is closed, `protocol.ProtocolError`
        for anything but one answer to the question that was sent, and whatever `watch` raises.
        """
        deadline = self._began + self._timeout
        while True:
            remaining = deadline - time.perf_counter()
            # What has come is taken, however late we look.
            events = self._poll.poll(min(max(remaining, 0), _WATCH_SECONDS) * 1000)
            ended = False
            for descriptor, event in events:
                if descriptor == self._end:
                    ended = True  # what it answered before has come as well
                    continue
                if descriptor != self._answers:
                    self._attend(descriptor, event)
                    continue
                try:
                    data = os.read(descriptor, _CHUNK)
                except BlockingIOError:  # an agent with the other end open can take its own answer back
                    continue
                if (bid := protocol.plain_bid(data, self._number)) is not None:
                    return bid, None, "", ""
                if not data:
                    raise EOFError
                if frame := self._frames.feed(data):
                    return self._opened(frame)
            if ended:
                raise EOFError
            if remaining <= 0:
                raise TimeoutError
            if not events:
                watch()

    @property
    def seconds(self) -> float:
        """Wall time since the question was sent."""
        return time.perf_counter() - self._began

    def take_output(self) -> tuple[bytes, int]:
        """What was printed since this was last asked, and how many bytes more were dropped."""
        self._drain()
        output, dropped = bytes(self._output), self._dropped
        self._output, self._dropped = bytearray(), 0
        return output, dropped

    def _opened(self, frame: protocol.Frame) -> tuple[float, str | None, str, str]:
        if frame.kind != protocol.ANSWER or frame.number != self._number or self._frames.rest:
            raise protocol.ProtocolError("an answer that was not asked for")
        return protocol.unpack_answer(frame.body)

    def _attend(self, descriptor: int, event: int) -> None:
        if descriptor == self._printed:
            self._drain()
        elif event & (select.POLLERR | select.POLLHUP):
            self._watch(descriptor, False)  # it reads no more requests; it may have answered
        else:
            self._write()

    def _write(self) -> None:
        """Write as much of the request as the pipe takes; the rest is written when there is room."""
        try:
            written = os.write(self._requests, self._unsent)
        except BlockingIOError:
            written = 0
        except BrokenPipeError:
            written = len(self._unsent)  # the end of the answers will tell
        self._unsent = self._unsent[written:]
        self._watch(self._requests, bool(self._unsent))

    def _drain(self) -> None:
        """Read what the agent has printed, so that it never waits for us; keep it up to the limit."""
        try:
            data = os.read(self._printed, _CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._watch(self._printed, False)
        kept = data[: max(self._output_limit - len(self._output), 0)]
        self._output += kept
        self._dropped += len(data) - len(kept)

    def _watch(self, descriptor: int, watched: bool) -> None:
        """Have `descriptor` among those that are polled, or not."""
        if watched and descriptor not in self._registered:
            self._poll.register(descriptor, select.POLLOUT)
            self._registered.add(descriptor)
        elif not watched and descriptor in self._registered:
            self._poll.unregister(descriptor)
            self._registered.discard(descriptor)
