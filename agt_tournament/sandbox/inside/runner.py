"""What an agent's process executes: it loads the submission and answers the organiser's questions.

Of the project it imports only the other modules of this folder that need no more than the standard library, and the
agents' interface: whatever is imported here an agent can reach. It guards nothing against the agent, which may rewrite
all of it; it only reports to the team what went wrong in its code, and hands the organiser numbers that are checked
again there.
"""

from __future__ import annotations

import errno
import faulthandler
import json
import math
import os
import posix
import signal
import sys
from typing import Any

from agt_tournament.sandbox.inside import imports, libraries, protocol, randomness, walls
from agt_tournament.sandbox.inside import tracebacks as traces
from agt_tournament.sandbox.inside.interface import InvalidError, agent_class_of, as_bid, wants_opponents

_MOST_DESCRIPTORS, _LAST_STATUS = 1 << 30, 127
_exit = os._exit
_Failure = tuple[str, str, str]
"""The class of the error, the method that raised it, and its text."""


def main() -> None:
    """Answer requests until the organiser closes the channel.

    Requests come through what was standard input, answers go through what was standard output; both become what an
    agent expects of them. Whatever else is open is closed first: nothing of it is meant for an agent.
    """
    if sys.platform == "linux":  # one system call; elsewhere there are no walls, and it would be one for each number
        os.closerange(3, _MOST_DESCRIPTORS)
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    frames, player = protocol.Frames(protocol.MAX_REQUEST), Player(answers)
    while data := os.read(requests, 1 << 16):
        if (turn := protocol.plain_turn(data)) is not None:
            number, winner, price, item = turn
            if failure := player.hear(winner, price):
                os.write(answers, protocol.pack(protocol.REPORT, number, protocol.pack_answer(math.nan, *failure)))
            os.write(answers, protocol.pack_reply(number, *player.bid(item)))
        elif frame := frames.feed(data):
            os.write(answers, protocol.pack_reply(frame.number, *player.answer(frame)))


class Player:
    """The submission's class, and the agent made of it for the game."""

    def __init__(self, answers: int) -> None:
        """Make a runner; on the descriptor `answers` it may be asked for its position."""
        self._answers = answers
        self._folder = ""
        self._class: Any = None
        self._wants_opponents = False
        self._agent: Any = None
        self._items: list[str] = []
        self._teams: list[str] = []
        self._last = 0  # the item asked for last

    def bid(self, item: int) -> tuple[float, _Failure | None]:
        """Ask for a bid; NaN where there is none."""
        self._last = item
        try:
            return as_bid(self._agent.bidding_function(self._items[item])), None
        except (Exception, SystemExit) as error:
            return math.nan, self._failure(error, "bidding_function")

    def answer(self, frame: protocol.Frame) -> tuple[float, _Failure | None]:
        """Answer any other request with 0 or, with a failure, NaN."""
        if frame.kind == protocol.END:
            failure = self.hear(*protocol.unpack_outcome(frame.body))
        elif frame.kind == protocol.GAME:
            failure = self._attempt("__init__", self._start, json.loads(frame.body))
        elif frame.kind == protocol.LOAD:
            failure = self._attempt("import", self._load, json.loads(frame.body))
        else:
            failure = self._attempt("", self._raise_walls, json.loads(frame.body))
        return math.nan if failure else 0.0, failure

    def hear(self, winner: int, price: float) -> _Failure | None:
        """Tell the outcome of the last round; the agent may bid though it fails to hear."""
        if winner == protocol.NO_ROUND:
            return None
        try:
            name = "" if winner == protocol.NOBODY else self._teams[winner]
            self._agent.update_after_each_round(self._items[self._last], name, price)
        except (Exception, SystemExit) as error:
            return self._failure(error, "update_after_each_round")
        return None

    def _attempt(self, where: str, work: Any, request: dict[str, Any]) -> _Failure | None:
        try:
            work(request)
        except (Exception, SystemExit) as error:
            return self._failure(error, where)
        return None

    def _raise_walls(self, request: dict[str, Any]) -> None:
        """Raise the walls; after that the organiser can ask by a signal where the agent is, instead of an answer."""
        walls.raise_walls(request["walls"])
        if "seccomp" in request["walls"]:
            signal.alarm = _no_timer  # alarm(2) cannot say that it is refused
            modules: tuple[Any, ...] = (os, posix)
            for module in modules:
                module._exit = _exit_without_signal
        faulthandler.register(signal.SIGUSR1, file=self._answers, all_threads=False)

    def _load(self, request: dict[str, Any]) -> None:
        self._folder = request["folder"]
        randomness.seed_randomness(request["seed"])
        sys.meta_path.insert(0, libraries.Libraries(request["libraries"]))
        self._class = agent_class_of(imports.load_submission(self._folder))
        self._wants_opponents = wants_opponents(self._class)

    def _start(self, game: dict[str, Any]) -> None:
        randomness.seed_randomness(game["seed"])
        self._items, self._teams = game["items"], game["teams"]
        me, values, budget = game["team_id"], game["valuation_vector"], game["budget"]
        if self._wants_opponents:
            fourth = [team for team in self._teams if team != me]
        else:
            fourth = list(self._items)
        self._agent = None  # an agent whose constructor fails is not the one of the last game
        self._agent = self._class(me, values, budget, fourth)

    # --- what went wrong -------------------------------------------------------------------------------

    def _failure(self, error: BaseException, where: str) -> _Failure:
        if isinstance(error, InvalidError):
            return "invalid", where, str(error) + self._definition(where)
        kind = "memory" if isinstance(error, MemoryError) else "exit" if isinstance(error, SystemExit) else "crash"
        return kind, where, self._describe(error, where)

    def _describe(self, error: BaseException, where: str) -> str:
        """Return the traceback as far as it lies in the submission, or else its last line and where the method is."""
        try:
            text = traces.traceback_in(self._folder, error)
            return text if traces.IN_FILE in text else text + self._definition(where)
        except Exception:  # an agent may have made its own errors, or our modules, unusable
            return "an error that cannot be described"

    def _definition(self, where: str) -> str:
        """Return the place of the method `where`, or else of its class, as a traceback shows places."""
        try:
            return traces.place_in(self._folder, self._class, where) if self._class else ""
        except Exception:  # a class may be made in ways that have no place
            return ""


def _exit_without_signal(status: int) -> None:
    """Exit as `os._exit` does, but with no status above 127, which would say that a signal ended the process."""
    _exit(min(status & 0xFF, _LAST_STATUS))


def _no_timer(*_: Any) -> int:
    raise PermissionError(errno.EPERM, "agents have no timers")


if __name__ == "__main__":
    main()
