"""An agent in a process of its own: started by exec, asked over sockets, ended when over budget.

Nothing of a submission is imported, compiled or unpickled here.
"""

from __future__ import annotations

import json
import math
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from agt_tournament.game.auction_engine import NOBODY, NOT_STARTED, Answer
from agt_tournament.sandbox.inside import protocol
from agt_tournament.sandbox.meter import Meter, Times, own_seconds, wall_seconds
from agt_tournament.sandbox.printed import OverBudgetError, Printed, cut, printable, stored_bytes
from agt_tournament.sandbox.process import Process
from agt_tournament.sandbox.walls.readable import library_folders
from agt_tournament.sandbox.walls.sandbox import NONE, Sandbox

_MOST_FAILED_STARTS = 3
_QUICK = 0.001  # seconds
_START_SECONDS = 120.0  # of wall time, until the walls stand: the agent has no part in it
_KEPT_SHARE = 64
"""How many times what is kept of its output an agent may print."""
_RUNNER = Path(__file__).with_name("inside") / "runner.py"
_OUTERMOST = b'File "<string>", line 1 in <module>'
"""How faulthandler ends its answer to where a process is."""
_POSITION_SECONDS = 0.5
_UPDATE = "update_after_each_round"


class Limits(NamedTuple):
    """What a process may use."""

    bid_timeout_seconds: float = 2.0
    """CPU time of one answer, the update that travels with it included."""
    load_timeout_seconds: float = 10.0
    """CPU time of importing the submission, and of making the agent of a game."""
    game_timeout_seconds: float = 10.0
    """CPU time of all that an agent does in a game; the import too, if it had to be started again."""
    memory_limit_mb: int = 256
    output_limit_kb: int = 16
    """Of what it prints in a game, as far as it is kept; the rest is read and dropped."""
    raised_limit_kb: int = 4
    """Of the texts of its errors in a game, each text counted once."""

    @property
    def game_wall_seconds(self) -> float:
        """Wall time within which an agent that was not started for it ends a game, waiting for a CPU not counted."""
        return wall_seconds(self.game_timeout_seconds)


DEFAULT_LIMITS = Limits()


class StartError(OSError):
    """An agent's process cannot be started or cannot raise its walls: the machine is to blame, not the agent."""


class AgentProcess:
    """A team's process, over a block of games: module state persists, the agent object is made anew each game.

    Once the agent is over a budget or its process is gone, it plays on as bids of 0 and is started again for the next
    game. Use it as a context, so that no process outlives the organiser's interest in it.
    """

    def __init__(
        self,
        submission: Path,
        team_id: str,
        limits: Limits = DEFAULT_LIMITS,
        *,
        sandbox: Sandbox = NONE,
    ) -> None:
        """`submission` is a folder with ``bidding_agent.py``; nothing is started yet."""
        self.team_id = team_id
        self._submission, self._limits, self._sandbox = submission.resolve(), limits, sandbox
        self._process: Process | None = None
        self._loaded = False
        self._failed_starts, self._starts = 0, 0
        self._out: str | None = None  # the error for which it is not asked any more in this game
        self._seats: dict[str, int] = {NOBODY: protocol.NOBODY}
        self._items: dict[str, int] = {}
        self._outcome = (protocol.NO_ROUND, 0.0)
        kept = limits.output_limit_kb << 10
        self._printed = Printed(kept, _KEPT_SHARE * kept)
        self._cpu_left = self._wall_left = 0.0
        self._begin_budgets()

    def __enter__(self) -> AgentProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()

    # --- what a game asks for --------------------------------------------------------------------------

    def prepare(self, seed: Callable[[], int]) -> None:
        """Start the process if there is none, without waiting until its walls stand; `seed` gives the import's.

        Raises:
            StartError: it cannot be started.
        """
        self._out = None
        self._begin_budgets()
        if self._process is None and self._failed_starts < _MOST_FAILED_STARTS:
            self._seed = seed()
            try:
                self._process = Process(self._sandbox, self._submission, self._limits.memory_limit_mb, self._printed)
                body = json.dumps({"walls": self._process.plan()}).encode()
            except OSError as error:
                # Without walls it may have removed its own folder.
                if not self._sandbox.walled and not self._submission.is_dir():
                    self._failed_starts = _MOST_FAILED_STARTS
                    return
                raise StartError(f"the agent of {self.team_id} cannot be started: {error}") from error
            self._process.channel.send(protocol.WALLS, body)

    def load(self) -> Answer:
        """Have the submission imported: the first load of a process counts for itself, later ones for their game.

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
        game_budget, self._starts = (self._cpu_left, self._wall_left), self._starts + 1
        if self._starts == 1:
            self._cpu_left = self._wall_left = math.inf
        answer = self._ask(protocol.LOAD, json.dumps(request).encode(), self._limits.load_timeout_seconds)
        if answer.error:
            self._kill()
            self._failed_starts += 1
            self._out = answer.error
        else:
            self._loaded, self._failed_starts = True, 0
        if self._starts == 1:
            self._cpu_left, self._wall_left = game_budget
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
        """Ask for a bid, to be given in `timeout` seconds of CPU time, None for that of its limits; 0 without one."""
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
        return answer._replace(where=answer.where or _UPDATE)

    @property
    def pid(self) -> int | None:
        """The number of the process that runs the agent, if there is one."""
        return self._process.pid if self._process else None

    def take_output(self) -> str:
        """What the agent has printed since this was last asked, cut at the limit."""
        if self._process is not None and self._process.channel.has_output():
            self._process.stop()  # it may wait for room to print
            self._process.channel.drain()
        return self._printed.take()

    # --- questions and answers -------------------------------------------------------------------------

    def _begin_budgets(self) -> None:
        """Grant what a game may cost."""
        self._cpu_left, self._wall_left = self._limits.game_timeout_seconds, self._limits.game_wall_seconds
        self._printed.begin_game()
        self._raised_left, self._raised_before = self._limits.raised_limit_kb << 10, {""}

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
        """Ask, wait for the answer and stop the process; one that gives none within its budgets is ended."""
        process = self._process
        assert process is not None
        whole = limit <= self._cpu_left and wall_seconds(limit) <= self._wall_left
        what = (
            f"for what may take {limit:g} s"
            if whole
            else f"in a game, which may take {self._limits.game_timeout_seconds:g} s"
        )
        meter = Meter(process, min(limit, self._cpu_left), min(wall_seconds(limit), self._wall_left), what)
        process.channel.send(kind, body)
        process.resume()  # only now: a wait with a time-out shall not tell how long it was stopped
        try:
            bid, error, where, text = process.channel.receive(lambda: self._check(process, meter))
            process.rest()
            times = meter.times()
            if look or times["seconds"] > _QUICK:  # in less nobody can have used much
                self._check(process, meter)
        except OverBudgetError as over:
            times = meter.times()
            where, line = self._position(process) if over.error != "memory" else ("", "")  # it shall not take more
            return self._lost(process, times, over.error, f"{over}{line}", where, over.held_up)
        except EOFError:
            return self._lost(process, meter.times(), *process.death())
        except protocol.ProtocolError as problem:
            return self._lost(process, meter.times(), "protocol", str(problem))
        self._cpu_left -= times["cpu_seconds"]
        self._wall_left -= own_seconds(times)
        if math.isfinite(bid) and bid >= 0:
            bid += 0.0  # minus zero is zero
            if error is None and (update := self._update_failed(process)):
                error, text, where = *update, _UPDATE
            return Answer(bid, error=error, text=self._raised(text), where=where, **times)
        if error is None:
            error, text = "invalid", f"the bid {bid} is no finite number, or negative"
        update = self._update_failed(process)
        text = self._raised(text)
        return Answer(0.0, error=error, text=text, where=where, valid=False, update_failed=update, **times)

    def _check(self, process: Process, meter: Meter) -> None:
        """Raise `OverBudgetError` if the agent uses more than it may.

        Pages that are written without being writable are in no limit of the kernel but that of addresses, so the
        resident set is looked at.
        """
        meter.check()
        self._printed.check()
        resident, most = process.resident_bytes() >> 20, self._limits.memory_limit_mb
        if resident > most:
            raise OverBudgetError("memory", f"{resident} MB are resident, {most} MB are allowed")

    def _raised(self, text: str) -> str:
        """As much of an error's text as the budget of a game allows."""
        text = printable(text)
        if text in self._raised_before:
            return text
        text = cut(text, self._raised_left) or "[no more text of errors is kept in this game]"
        self._raised_left -= stored_bytes(text)
        self._raised_before.add(text)
        return text

    def _update_failed(self, process: Process) -> tuple[str, str] | None:
        """Error class and text of the update that was reported before the answer."""
        if process.channel.reported is None:
            return None
        error, text = process.channel.reported
        return error, self._raised(text)

    def _position(self, process: Process) -> tuple[str, str]:
        """The method of an agent over budget, where only that can tell, and the innermost line of the submission.

        The agent may write whatever it likes instead: it is told to nobody but its team.
        """
        process.send_signal(signal.SIGUSR1)
        process.resume()
        stack = process.channel.receive_instead(_OUTERMOST, _POSITION_SECONDS)
        line = re.search(rf'File "{re.escape(str(process.folder))}/(.+)", line (\d+) in (.+)', stack)
        heard = re.search(rf'File "{re.escape(str(_RUNNER))}", line \d+ in hear$', stack, re.MULTILINE)
        return _UPDATE if heard else "", f'\n  File "{line[1]}", line {line[2]}, in {line[3]}' if line else ""

    # --- its end ---------------------------------------------------------------------------------------

    def _lost(
        self, process: Process, times: Times, error: str, text: str, where: str = "", held_up: bool = False
    ) -> Answer:
        """End the process; the agent is not asked again in this game."""
        self._kill()
        self._out = error
        update, text = self._update_failed(process), self._raised(text)
        lost = Answer(0.0, error=error, text=text, where=where, valid=False, held_up=held_up, **times)
        return lost._replace(update_failed=update)

    def _kill(self) -> None:
        """End the process and keep what it has printed."""
        if self._process is not None:
            self._process.kill()
            self._process.channel.drain()
            self._process.close()
        self._process, self._loaded = None, False


@contextmanager
def one_cpu() -> Iterator[None]:
    """Keep this process, and the agents that it starts meanwhile, on the CPU on which it runs now.

    Organiser and agents take turns and never work at the same time. On one CPU a question and its answer take a third
    to a half of the time that it takes to wake another one, and each block of games leaves the other CPUs alone.
    """
    if not hasattr(os, "sched_setaffinity"):  # on macOS
        yield
        return
    allowed = os.sched_getaffinity(0)
    current = int(Path("/proc/thread-self/stat").read_text().rpartition(")")[2].split()[36])
    os.sched_setaffinity(0, {current} & allowed or allowed)
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
