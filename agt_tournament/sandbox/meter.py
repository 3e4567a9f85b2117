"""What an agent has used of its time: CPU time first, wall time laxly, as judges of programming contests count.

CPU time is the agent's own whatever else the machine does. Wall time ends what waits for something that never comes;
time in which the agent was ready to run and others had the CPU does not count. An agent has one thread, so it cannot
make itself wait.
"""

from __future__ import annotations

import time
from typing import TypedDict

from agt_tournament.sandbox.printed import OverBudgetError
from agt_tournament.sandbox.process import Process

_PATIENCE = 10
"""How many times the wall time of a limit an answer may take on a busy machine."""


class Times(TypedDict):
    """The times of an `Answer`, in seconds."""

    seconds: float
    cpu_seconds: float
    waited_seconds: float | None


def wall_seconds(limit: float) -> float:
    """Return the wall time for what may take `limit` seconds of CPU time, waiting for a CPU not counted."""
    return 2 * limit + 1


def own_seconds(times: Times) -> float:
    """Return the wall time without waiting for a CPU."""
    return times["seconds"] - (times["waited_seconds"] or 0.0)


class Meter:
    """The clocks of one question to a process."""

    def __init__(self, process: Process, cpu: float, wall: float, what: str) -> None:
        """Count from now on, and what CPU time it has used since the last answer: it should have used none.

        Args:
            process: The agent's process.
            cpu: The limit of CPU time in seconds.
            wall: The limit of wall time in seconds, waiting for a CPU not counted.
            what: What the limits are for; it is said to the team.
        """
        self._process, self._limit, self._wall, self._what = process, cpu, wall, what
        self._began = time.perf_counter()
        self._cpu, self._waited = process.counted_seconds, process.waited_seconds()

    def check(self) -> None:
        """Raise `OverBudgetError` if the agent has used more than its limit."""
        times = self.times()
        if times["cpu_seconds"] > self._limit:
            raise OverBudgetError("timeout", f"too much CPU time {self._what}")
        if own_seconds(times) > self._wall:
            raise OverBudgetError("timeout", f"no answer for too long {self._what}")
        if times["seconds"] > _PATIENCE * self._wall:
            waited = times["waited_seconds"] or 0.0
            text = f"no answer within {times['seconds']:.3g} s {self._what}"
            text += f", of which it waited {waited:.3g} s for a CPU: the machine is too busy"
            raise OverBudgetError("timeout", text, held_up=True)

    def times(self) -> Times:
        """Return the times since the question."""
        seconds = time.perf_counter() - self._began
        cpu = self._process.cpu_seconds() - self._cpu
        waited = self._process.waited_seconds()
        if waited is not None and self._waited is not None:
            waited = min(waited - self._waited, max(seconds - cpu, 0.0))
        return {"seconds": seconds, "cpu_seconds": cpu, "waited_seconds": waited}
