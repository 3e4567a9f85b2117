"""The record of a game: one typed value with one reader and one writer, stored as a JSON file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import FiniteFloat, TypeAdapter


@dataclass(frozen=True)
class TeamGameResult:
    """One team's result of a game; utility is the sum of value − price over the items it won."""

    utility: FiniteFloat
    budget_spent: FiniteFloat
    items_won: list[str]
    valuation_vector: dict[str, FiniteFloat]
    max_single_item_utility: FiniteFloat
    """The highest value minus price among the items won; 0 if none was won."""

    @property
    def valuation_sum(self) -> float:
        """The value of the items won: utility plus budget spent."""
        return sum((self.valuation_vector[item] for item in self.items_won), 0.0)


@dataclass(frozen=True)
class RoundRecord:
    """One round as the staff log has it; a rerun repeats all of it but the times. Dicts are by team id."""

    round: int
    """Counted from 1."""
    item_id: str
    winner: str
    price: FiniteFloat
    all_bids: dict[str, FiniteFloat]
    """The bids that counted, after rounding and capping."""
    asked: dict[str, FiniteFloat | None]
    """The bids as the agents gave them; None where an agent gave no valid bid."""
    caps: dict[str, FiniteFloat]
    """The budget of each team before the round."""
    seconds: dict[str, FiniteFloat | None]
    """The wall time of each answer; None for an agent that was not asked."""
    cpu_seconds: dict[str, FiniteFloat | None]
    waited_seconds: dict[str, FiniteFloat | None] = field(default_factory=dict, kw_only=True)
    """Time for which the agent was ready to run and had no CPU; empty in records of earlier versions."""
    errors: dict[str, str]
    notes: dict[str, str]
    """Changes made to a bid, such as cutting it down to the budget."""


@dataclass(frozen=True)
class Failure:
    """One error of an agent."""

    team_id: str
    round: int | None
    """Counted from 1; 0 before the first round, None after the last."""
    error: str
    where: str
    """The method that failed."""
    text: str = ""
    waited_seconds: FiniteFloat | None = None
    """Set if the answer was late because other work had the CPU; seconds."""


@dataclass(frozen=True)
class GameResult:
    """A whole game; everything but `timestamp` and the seconds in it follows from the bids."""

    game_id: str
    arena_id: str
    stage: int
    timestamp: str
    """The time of the game, ISO 8601 in UTC."""
    team_results: dict[str, TeamGameResult]
    auction_log: list[RoundRecord]
    failures: list[Failure]

    def as_json(self) -> dict[str, Any]:
        """Return the content of a game file; `from_json` reads it."""
        content = asdict(self)
        for failure in content["failures"]:
            if failure["waited_seconds"] is None:
                del failure["waited_seconds"]
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> GameResult:
        """Read the validated `content` of a game file; keys that no record has are left out."""
        return _GAME.validate_python(content)


def when(round_: int | None) -> str:
    """Say where in a game an error was: `round_` counts from 1, 0 is before the first, None after the last."""
    return {0: "before the first round", None: "after the last round"}.get(round_, f"round {round_}")


_GAME = TypeAdapter(GameResult)
