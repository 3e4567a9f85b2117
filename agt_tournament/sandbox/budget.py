"""What an agent's process may use, and what is left of it in a game."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from agt_tournament.sandbox.meter import Meter, Times, own_seconds, wall_seconds
from agt_tournament.sandbox.printed import OverBudgetError, Printed, cut, printable, stored_bytes
from agt_tournament.sandbox.process import Process

_KEPT_SHARE = 64
"""How many times the kept amount of output an agent may print."""


class Limits(NamedTuple):
    """What a process may use."""

    bid_timeout_seconds: float = 2.0
    """The CPU time limit of one answer, including the update that travels with it."""
    load_timeout_seconds: float = 10.0
    """The CPU time limit of importing the submission, and of making the agent of a game."""
    game_timeout_seconds: float = 10.0
    """The CPU time limit of a whole game, including the import if the process had to be started again."""
    memory_limit_mb: int = 256
    output_limit_kb: int = 16
    """The amount of output kept in a game; the rest is read and dropped."""
    raised_limit_kb: int = 4
    """The amount of error texts kept in a game; each text counts once."""

    @property
    def game_wall_seconds(self) -> float:
        """The wall time limit of a game for a loaded agent; time spent waiting for a CPU is not counted."""
        return wall_seconds(self.game_timeout_seconds)


DEFAULT_LIMITS = Limits()


class GameBudget:
    """What an agent may still use in a game: CPU time, wall time, printed bytes and bytes of error texts."""

    def __init__(self, limits: Limits) -> None:
        """Grant a first game within `limits`."""
        self._limits = limits
        kept = limits.output_limit_kb << 10
        self.printed = Printed(kept, _KEPT_SHARE * kept)
        self.begin_game()

    def begin_game(self) -> None:
        """Grant what a game may cost."""
        self._cpu_left, self._wall_left = self._limits.game_timeout_seconds, self._limits.game_wall_seconds
        self.printed.begin_game()
        self._raised_left, self._raised_before = self._limits.raised_limit_kb << 10, {""}

    @contextmanager
    def without_time_of_game(self) -> Iterator[None]:
        """Count no time for the game, as for the first load of a process."""
        left = self._cpu_left, self._wall_left
        self._cpu_left = self._wall_left = math.inf
        yield
        self._cpu_left, self._wall_left = left

    def meter(self, process: Process, limit: float) -> Meter:
        """Start the clocks of a question that may take `limit` seconds of CPU time and what is left of the game."""
        whole = limit <= self._cpu_left and wall_seconds(limit) <= self._wall_left
        game = self._limits.game_timeout_seconds
        what = f"for what may take {limit:g} s" if whole else f"in a game, which may take {game:g} s"
        return Meter(process, min(limit, self._cpu_left), min(wall_seconds(limit), self._wall_left), what)

    def charge(self, times: Times) -> None:
        """Take the time of an answer off what is left."""
        self._cpu_left -= times["cpu_seconds"]
        self._wall_left -= own_seconds(times)

    def check(self, process: Process, meter: Meter) -> None:
        """Raise `OverBudgetError` if the agent uses more than it may.

        The resident set is looked at because no limit of the kernel but that of addresses counts pages that are
        written without being writable.
        """
        meter.check()
        self.printed.check()
        resident, most = process.resident_bytes() >> 20, self._limits.memory_limit_mb
        if resident > most:
            raise OverBudgetError("memory", f"{resident} MB are resident, {most} MB are allowed")

    def error_text(self, text: str) -> str:
        """Return as much of an error's text as the budget of a game allows; each text is counted once."""
        text = printable(text)
        if text in self._raised_before:
            return text
        text = cut(text, self._raised_left) or "[no more text of errors is kept in this game]"
        self._raised_left -= stored_bytes(text)
        self._raised_before.add(text)
        return text
