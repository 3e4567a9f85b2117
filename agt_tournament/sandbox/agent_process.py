"""An agent in a process of its own: started by exec, asked over sockets, ended when over budget.

Nothing of a submission is imported, compiled or unpickled here.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from agt_tournament.game import NOBODY, Answer
from agt_tournament.game.auction_engine import NOT_STARTED
from agt_tournament.sandbox.budget import DEFAULT_LIMITS, GameBudget, Limits
from agt_tournament.sandbox.inside import protocol
from agt_tournament.sandbox.meter import Times
from agt_tournament.sandbox.position import UPDATE, position
from agt_tournament.sandbox.printed import OverBudgetError
from agt_tournament.sandbox.process import Process
from agt_tournament.sandbox.walls.readable import library_folders
from agt_tournament.sandbox.walls.sandbox import NONE, Sandbox

_MOST_FAILED_STARTS = 3
_QUICK = 0.001  # seconds
_START_SECONDS = 120.0  # of wall time, until the walls stand: the agent has no part in it


class StartError(OSError):
    """An agent's process cannot be started or cannot raise its walls: the machine is to blame, not the agent."""


class AgentProcess:
    """A team's process, over a block of games: module state persists, the agent object is made anew each game.

    Once the agent is over a budget or its process is gone, it plays on as bids of 0 and is started again for the next
    game. Use it as a context manager, so that its process ends with the block.
    """

    def __init__(
        self,
        submission: Path,
        team_id: str,
        limits: Limits = DEFAULT_LIMITS,
        *,
        sandbox: Sandbox = NONE,
    ) -> None:
        """Prepare an agent of `submission`, a folder with ``bidding_agent.py``; nothing is started yet."""
        self.team_id = team_id
        self._submission, self._limits, self._sandbox = submission.resolve(), limits, sandbox
        self._process: Process | None = None
        self._loaded = False
        self._failed_starts, self._starts = 0, 0
        self._out: str | None = None  # the error for which it is not asked any more in this game
        self._seats: dict[str, int] = {NOBODY: protocol.NOBODY}
        self._items: dict[str, int] = {}
        self._outcome = (protocol.NO_ROUND, 0.0)
        self._budget = GameBudget(limits)

    def __enter__(self) -> AgentProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()

    # --- what a game asks for --------------------------------------------------------------------------

    def prepare(self, seed: Callable[[], int]) -> None:
        """Start the process if there is none, without waiting until its walls stand; `seed` returns the import's seed.

        Raises:
            StartError: it cannot be started.
        """
        self._out = None
        self._budget.begin_game()
        if self._process is None and self._failed_starts < _MOST_FAILED_STARTS:
            self._seed = seed()
            try:
                self._process = Process(
                    self._sandbox, self._submission, self._limits.memory_limit_mb, self._budget.printed
                )
                body = json.dumps({"walls": self._process.plan()}).encode()
            except OSError as error:
                # Without walls it may have removed its own folder.
                if not self._sandbox.walled and not self._submission.is_dir():
                    self._failed_starts = _MOST_FAILED_STARTS
                    return
                raise StartError(f"the agent of {self.team_id} cannot be started: {error}") from error
            self._process.channel.send(protocol.WALLS, body)

    def load(self) -> Answer:
        """Import the submission in the process; only later loads of a process are charged to their game.

        Raises:
            StartError: the process cannot raise its walls.
        """
        if self._loaded:
            return Answer(0.0)
        if self._process is None:
            self._out = "exit"
            return Answer(0.0, 0.0, "exit", f"{NOT_STARTED}: it could not be loaded before", "import", valid=False)
        process = self._process
        self._await_walls(process)
        request = {"folder": str(process.folder), "libraries": library_folders(), "seed": self._seed}
        self._starts += 1
        with self._budget.without_time_of_game() if self._starts == 1 else nullcontext():
            answer = self._ask(protocol.LOAD, json.dumps(request).encode(), self._limits.load_timeout_seconds)
        if answer.error:
            self._kill()
            self._failed_starts += 1
            self._out = answer.error
        else:
            self._loaded, self._failed_starts = True, 0
        return answer._replace(where=answer.where or "import")

    def start_game(self, briefing: Mapping[str, Any]) -> Answer:
        """Make a new agent object; `briefing` has team_id, valuation_vector, budget, items, teams and seed."""
        self._seats = {NOBODY: protocol.NOBODY, **{team: seat for seat, team in enumerate(briefing["teams"])}}
        self._items = {item: place for place, item in enumerate(briefing["items"])}
        self._outcome = (protocol.NO_ROUND, 0.0)
        loaded = self.load()
        if loaded.error:
            return loaded
        answer = self._ask(protocol.GAME, json.dumps(briefing).encode(), self._limits.load_timeout_seconds)
        self._out = answer.error
        return answer._replace(where=answer.where or "__init__")

    def notify(self, item_id: str, winning_team: str, price_paid: float) -> None:
        """Keep the outcome of a round; it travels with the next request."""
        self._outcome = (self._seats[winning_team], price_paid)

    def bid(self, item_id: str, timeout: float | None = None) -> Answer:
        """Ask for a bid within `timeout` seconds of CPU time, None for its limit; the bid is 0 if none is valid."""
        if self._out:
            return Answer(0.0, None, self._out, valid=False)
        body = protocol.pack_turn(*self._outcome, self._items[item_id])
        return self._ask(protocol.TURN, body, self._limits.bid_timeout_seconds if timeout is None else timeout)

    def end_game(self) -> Answer:
        """Tell the outcome of the last round."""
        if self._out:
            return Answer(0.0, None, self._out)
        body = protocol.pack_outcome(*self._outcome)
        answer = self._ask(protocol.END, body, self._limits.bid_timeout_seconds, look=True)
        return answer._replace(where=answer.where or UPDATE)

    @property
    def pid(self) -> int | None:
        """The process id of the agent, if its process runs."""
        return self._process.pid if self._process else None

    def take_output(self) -> str:
        """Return what the agent has printed since the last call, cut at the limit."""
        if self._process is not None and self._process.channel.has_output():
            self._process.stop()  # it may wait for room to print
            self._process.channel.drain()
        return self._budget.printed.take()

    # --- questions and answers -------------------------------------------------------------------------

    def _await_walls(self, process: Process) -> None:
        deadline = time.perf_counter() + _START_SECONDS

        def check() -> None:
            if time.perf_counter() > deadline:
                raise StartError(f"the walls of {self.team_id} do not stand after {_START_SECONDS:g} s")

        try:
            _, error, _, text = process.channel.receive(check)
        except (EOFError, protocol.ProtocolError):
            error, text = process.death()
            text = self.take_output().strip() or text
        if error:
            self._kill()
            raise StartError(f"the walls of {self.team_id} cannot be raised: {text.strip().splitlines()[-1]}")
        process.identify()
        process.settle()

    def _ask(self, kind: int, body: bytes, limit: float, *, look: bool = False) -> Answer:
        """Ask the agent, wait for its answer and stop the process; a process without an answer in its budget is killed.

        Args:
            kind: The kind of the request, see `protocol`.
            body: The content of the request.
            limit: Seconds of CPU time for this answer.
            look: Whether to check the budget even after an answer that took no time.
        """
        process = self._process
        assert process is not None
        meter = self._budget.meter(process, limit)
        process.channel.send(kind, body)
        process.resume()  # only now: a wait with a time-out shall not tell how long it was stopped
        try:
            bid, error, where, text = process.channel.receive(lambda: self._budget.check(process, meter))
            process.rest()
            times = meter.times()
            if look or times["seconds"] > _QUICK:  # in less nobody can have used much
                self._budget.check(process, meter)
        except OverBudgetError as over:
            times = meter.times()
            where, line = position(process) if over.error != "memory" else ("", "")  # it shall not take more
            return self._lost(process, times, over.error, f"{over}{line}", where, over.held_up)
        except EOFError:
            return self._lost(process, meter.times(), *process.death())
        except protocol.ProtocolError as problem:
            return self._lost(process, meter.times(), "protocol", str(problem))
        self._budget.charge(times)
        valid = math.isfinite(bid) and bid >= 0
        update = self._update_failed(process) if error is None or not valid else None
        if error is None and not valid:
            error, text = "invalid", f"the bid {bid} is no finite number, or negative"
        if valid and error is None and update:
            (error, text), where, update = update, UPDATE, None
        text, bid = self._budget.error_text(text), bid + 0.0 if valid else 0.0  # minus zero is zero
        return Answer(
            bid, error=error, text=text, where=where, valid=valid, update_failed=None if valid else update, **times
        )

    def _update_failed(self, process: Process) -> tuple[str, str] | None:
        """Return error class and text of a failed update that was reported before the answer."""
        if process.channel.reported is None:
            return None
        error, text = process.channel.reported
        return error, self._budget.error_text(text)

    # --- its end ---------------------------------------------------------------------------------------

    def _lost(
        self, process: Process, times: Times, error: str, text: str, where: str = "", held_up: bool = False
    ) -> Answer:
        """End the process; the agent is not asked again in this game."""
        self._kill()
        self._out = error
        update, text = self._update_failed(process), self._budget.error_text(text)
        lost = Answer(0.0, error=error, text=text, where=where, valid=False, held_up=held_up, **times)
        return lost._replace(update_failed=update)

    def _kill(self) -> None:
        """End the process and keep what it has printed."""
        if self._process is not None:
            self._process.kill()
            self._process.channel.drain()
            self._process.close()
        self._process, self._loaded = None, False
