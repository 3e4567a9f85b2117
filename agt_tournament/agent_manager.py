"""Agents in processes of their own: started by exec, asked over pipes, killed when late (design document, section 5).

Nothing of a submission is imported, compiled or unpickled here.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from agt_tournament.agents import protocol
from agt_tournament.agents.process import Process
from agt_tournament.agents.sandbox import NONE, Sandbox, library_folders
from agt_tournament.auction_engine import NOBODY, Answer

_MOST_FAILED_STARTS = 3
_QUICK = 0.001  # seconds


class Limits(NamedTuple):
    """What a process may use."""

    bid_timeout_seconds: float = 2.0
    """Wall time of one answer, the update that travels with it included."""
    load_timeout_seconds: float = 10.0
    """Of importing the submission, and of making the agent of a game."""
    memory_limit_mb: int = 256
    output_limit_kb: int = 64
    """Of what it prints in a game, as far as it is kept; the rest is read and dropped."""


DEFAULT_LIMITS = Limits()


class _Times(TypedDict):
    seconds: float
    cpu_seconds: float
    waited_seconds: float | None


class AgentProcess:
    """A team's process, over a block of games: module state persists, the agent object is made anew each game.

    Once an answer is late or the process is gone, the agent plays on as bids of 0 and is started again for the next
    game. Use it as a context, so that no process outlives the organiser's interest in it.
    """

    def __init__(
        self,
        submission: Path,
        team_id: str,
        limits: Limits = DEFAULT_LIMITS,
        *,
        sandbox: Sandbox = NONE,
        explain_delays: bool = False,
    ) -> None:
        """`submission` is a folder with ``bidding_agent.py``; nothing is started yet.

        With `explain_delays` the process watches itself, and the text of a timeout says in which line the agent was:
        for trying a submission out, as it slows every answer.
        """
        self.team_id = team_id
        self._explain_delays = explain_delays
        self._submission, self._limits, self._sandbox = submission.resolve(), limits, sandbox
        self._process: Process | None = None
        self._loaded = False
        self._failed_starts, self._unstarted = 0, ""
        self._out: str | None = None  # the error for which it is not asked any more in this game
        self._seats: dict[str, int] = {NOBODY: protocol.NOBODY}
        self._items: dict[str, int] = {}
        self._outcome = (protocol.NO_ROUND, 0.0)
        self._output, self._dropped = b"", 0
        self._cpu_before = 0.0
        self._waited_before: float | None = None

    def __enter__(self) -> AgentProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()

    # --- what a game asks for --------------------------------------------------------------------------

    def prepare(self, seed: Callable[[], int]) -> None:
        """Start the process if there is none, without waiting until it has loaded; `seed` gives the import's."""
        self._out = None
        if self._process is None and self._failed_starts < _MOST_FAILED_STARTS:
            try:
                self._process = Process(
                    self._sandbox,
                    self._submission,
                    output_limit=self._limits.output_limit_kb << 10,
                    memory_limit=self._limits.memory_limit_mb << 20,
                )
            except OSError as error:  # it may have removed its own folder
                self._failed_starts, self._unstarted = _MOST_FAILED_STARTS, str(error)
                return
            request = {
                "folder": str(self._submission),
                "libraries": library_folders(),
                "walls": self._sandbox.plan(self._submission, self._limits.memory_limit_mb),
                "seed": seed(),
                "patience": self._patience() if self._explain_delays else None,
            }
            body = json.dumps(request).encode()
            self._process.channel.send(protocol.LOAD, body, self._limits.load_timeout_seconds)

    def load(self) -> Answer:
        """Wait until the submission has been imported."""
        if self._loaded:
            return Answer(0.0)
        if self._process is None:
            self._out = "exit"
            text = f"not started: {self._unstarted}"
            return Answer(0.0, 0.0, "exit", text, "import", valid=False)
        self._process.identify()
        self._process.channel.restart_clock()  # while another one loaded, nobody read what this one printed
        self._look_at_clocks(self._process)
        answer = self._receive(self._process, self._limits.load_timeout_seconds)
        if answer.error:
            self._kill()
            self._failed_starts, self._unstarted = self._failed_starts + 1, "it could not be loaded before"
            self._out = answer.error
        else:
            self._loaded, self._failed_starts = True, 0
            self._process.settle()  # see `one_cpu`
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

    def bid(self, item_id: str) -> Answer:
        """Ask for a bid; 0 where none comes."""
        if self._out:
            return Answer(0.0, None, self._out, valid=False)
        body = protocol.pack_turn(*self._outcome, self._items[item_id])
        return self._ask(protocol.TURN, body, self._limits.bid_timeout_seconds)

    def end_game(self) -> Answer:
        """Tell the outcome of the last round."""
        if self._out:
            return Answer(0.0, None, self._out)
        body = protocol.pack_outcome(*self._outcome)
        answer = self._ask(protocol.END, body, self._limits.bid_timeout_seconds, look=True)
        return answer._replace(where=answer.where or "update_after_each_round")

    @property
    def pid(self) -> int | None:
        """The number of the process that runs the agent, if there is one."""
        return self._process.pid if self._process else None

    def take_output(self) -> str:
        """What the agent has printed since this was last asked, cut at the limit."""
        self._keep_output()
        text = _printable(self._output.decode(errors="replace"))
        if self._dropped:
            text += f"\n[{self._dropped:,} further bytes were dropped]"
        self._output, self._dropped = b"", 0
        return text

    # --- questions and answers -------------------------------------------------------------------------

    def _ask(self, kind: int, body: bytes, timeout: float, *, look: bool = False) -> Answer:
        assert self._process is not None
        self._look_at_clocks(self._process)
        self._process.resume()
        self._process.channel.send(kind, body, timeout)
        return self._receive(self._process, timeout, look=look)

    def _receive(self, process: Process, timeout: float, *, look: bool = False) -> Answer:
        """Wait for the answer and stop the process; one that gives none in time, or anything else, is killed."""
        try:
            bid, error, where, text = process.channel.receive(self._watch)
            process.stop()
            times = self._times(process)
            if look or times["seconds"] > _QUICK:  # in less nobody can have filled much memory
                self._watch()
        except TimeoutError:
            return self._lose("timeout", f"no answer within {timeout:g} s{self._excuse(process)}{self._position()}")
        except EOFError:
            return self._lose(*process.death())
        except MemoryError as problem:
            return self._lose("memory", str(problem))
        except protocol.ProtocolError as problem:
            return self._lose("protocol", str(problem))
        if math.isfinite(bid) and bid >= 0:
            bid += 0.0  # minus zero is zero
            return Answer(bid, error=error, text=_printable(text), where=where, **times)
        if error is None:
            error, text = "invalid", f"the bid {bid} is no finite number, or negative"
        return Answer(0.0, error=error, text=_printable(text), where=where, valid=False, **times)

    def _watch(self) -> None:
        """Look at an agent that takes its time; raises `MemoryError` if its resident set is over the limit.

        Pages that are written without being writable are in no limit of the kernel but that of addresses.
        """
        assert self._process is not None
        resident = self._process.resident_bytes()
        if resident > self._limits.memory_limit_mb << 20:
            raise MemoryError(f"{resident >> 20} MB are resident, {self._limits.memory_limit_mb} MB are allowed")

    def _excuse(self, process: Process) -> str:
        """How long a late agent waited for a CPU, if that was long: then it is not its fault."""
        late = Answer(0.0, **self._times(process))
        if not late.held_up:
            return ""
        return f", of which it waited {late.waited_seconds:.2f} s for a CPU: the machine is too busy"

    def _look_at_clocks(self, process: Process) -> None:
        """Count CPU time and waiting for a CPU from now on."""
        self._cpu_before, self._waited_before = process.cpu_seconds(), process.waited_seconds()

    def _times(self, process: Process) -> _Times:
        """The times of an `Answer`; waiting for threads of its own does not count."""
        seconds, cpu = process.channel.seconds, process.cpu_seconds() - self._cpu_before
        before, waited = self._waited_before, process.waited_seconds()
        if waited is not None and before is not None:
            waited = min(waited - before, max(seconds - cpu, 0.0))
        return {"seconds": seconds, "cpu_seconds": cpu, "waited_seconds": waited}

    def _patience(self) -> dict[str, float]:
        """Seconds after which an agent that watches itself says where it is."""
        return {"load": 0.9 * self._limits.load_timeout_seconds, "bid": 0.9 * self._limits.bid_timeout_seconds}

    def _position(self) -> str:
        """The innermost line of the submission in what a watched process printed of its delay, which is taken out."""
        self._keep_output()
        output, found, stack = self._output.rpartition(b"Timeout (") if self._explain_delays else (b"", b"", b"")
        if not found:
            return ""
        self._output = output
        place = rf'File "{re.escape(str(self._submission))}/(.+)", line (\d+) in (.+)'
        line = re.search(place, stack.decode(errors="replace"))
        return f'\n  File "{line[1]}", line {line[2]}, in {line[3]}' if line else ""

    # --- its end ---------------------------------------------------------------------------------------

    def _lose(self, error: str, text: str) -> Answer:
        """End the process; the agent is not asked again in this game."""
        assert self._process is not None
        times = self._times(self._process)
        self._kill()
        self._out = error
        return Answer(0.0, error=error, text=text, valid=False, **times)

    def _kill(self) -> None:
        """End the process and keep what it has printed."""
        if self._process is not None:
            self._process.kill()
            self._keep_output()
            self._process.close()
        self._process, self._loaded = None, False

    def _keep_output(self) -> None:
        """Take what the channel holds of the agent's output; over several processes in a game the limit holds too."""
        if self._process is not None:
            printed, dropped = self._process.channel.take_output()
            kept = printed[: max((self._limits.output_limit_kb << 10) - len(self._output), 0)]
            self._output += kept
            self._dropped += dropped + len(printed) - len(kept)


@contextmanager
def one_cpu() -> Iterator[None]:
    """Keep this process, and the agents that load meanwhile, on the CPU on which it runs now.

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


def load_agent(file_path: str | Path, team_id: str, limits: Limits = DEFAULT_LIMITS, seed: int = 0) -> AgentProcess:
    """Start a process and import the submission at `file_path` in it; ask `validate_agent` whether that went well."""
    path = Path(file_path)
    agent = AgentProcess(path.parent if path.is_file() else path, team_id, limits)
    agent.prepare(lambda: seed)
    return agent


def validate_agent(agent: AgentProcess) -> bool:
    """Whether the submission loads and has the interface of `BiddingAgent`."""
    return agent.load().error is None


def execute_bid_with_timeout(agent: AgentProcess, item_id: str) -> float:
    """The agent's bid for `item_id`; 0 if it fails or is late."""
    return agent.bid(item_id).bid


def _printable(text: str) -> str:
    """`text` without control characters: it is shown on terminals."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
