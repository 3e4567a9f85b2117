"""One round: a second-price sealed-bid auction of one item (design document, section 2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from agt_tournament.game.record import RoundRecord

NOT_STARTED = "not started"
"""The beginning of the text of an `exit` of a process that never started."""

NOBODY = ""
"""The winner of a round in which nobody bids more than zero."""


class Answer(NamedTuple):
    """What came of asking an agent."""

    bid: float
    """The bid, finite and not negative; 0 if an error cost it."""
    seconds: float | None = None
    """The wall time until the answer; None for an agent that was no longer asked."""
    error: str | None = None
    """The kind of error: ``timeout``, ``crash``, ``invalid``, ``memory``, ``output``, ``exit`` or ``protocol``."""
    text: str = ""
    """A description of the error for the team."""
    where: str = ""
    """The method of the agent that failed."""
    valid: bool = True
    """Whether `bid` is what the agent asked for."""
    cpu_seconds: float | None = None
    """The CPU time of its process until the answer; None if unknown."""
    waited_seconds: float | None = None
    """Seconds for which the process was ready to run while others had the CPU; None if unknown."""

    held_up: bool = False
    """Whether the answer is late only because others had the CPU, which is not the agent's fault."""
    update_failed: tuple[str, str] | None = None
    """Error class and text of a failed update for the round before, if the bid failed too."""


def in_words(error: str, text: str) -> str:
    """Return the class of a logged error in words for people; `text` is the logged text."""
    return NOT_STARTED if error == "exit" and text.startswith(NOT_STARTED) else error


class Bidder(Protocol):
    """What a game needs of an agent."""

    def prepare(self, seed: Callable[[], int]) -> None:
        """Start the process if there is none, without waiting for it; `seed` returns the seed of the import."""

    def start_game(self, briefing: Mapping[str, Any]) -> Answer:
        """Make a new agent object of what a game is given (see `Game`)."""

    def notify(self, item_id: str, winning_team: str, price_paid: float) -> None:
        """Keep the outcome of a round, to travel with the next request."""

    def bid(self, item_id: str) -> Answer:
        """Tell the outcome of the last round and ask for a bid."""

    def end_game(self) -> Answer:
        """Tell the outcome of the last round."""


class AuctionRound:
    """A round and, once it has been run, its outcome: one entry of the auction log."""

    def __init__(
        self,
        item_id: str,
        budgets: Mapping[str, float],
        ties: Callable[[], np.random.Generator],
        bid_decimals: int | None = None,
    ) -> None:
        """Make an engine: `budgets` caps each team's bid, and the stream from `ties` decides between equal bids."""
        self.item_id = item_id
        self.winner = NOBODY
        self.price = 0.0
        self.all_bids: dict[str, float] = {}
        self.answers: dict[str, Answer] = {}
        self._caps = dict(budgets)
        self._ties = ties
        self._decimals = bid_decimals

    def run(self, agents: Mapping[str, Bidder]) -> AuctionRound:
        """Ask every agent and settle."""
        return self.settle(self.collect_bids(agents, self.item_id))

    def settle(self, asked: Mapping[str, float]) -> AuctionRound:
        """Cap the bids that were `asked`, and find winner and price."""
        self.all_bids = {team: self.validate_bid(bid, self._caps[team]) for team, bid in asked.items()}
        self.winner, self.price = self.determine_winner(self.all_bids)
        return self

    def collect_bids(self, agents: Mapping[str, Bidder], item_id: str) -> dict[str, float]:
        """Ask the agents one after the other, so that none computes on the time of another."""
        self.answers = {team: agent.bid(item_id) for team, agent in agents.items()}
        return {team: answer.bid for team, answer in self.answers.items()}

    def determine_winner(self, bids: Mapping[str, float]) -> tuple[str, float]:
        """Return the highest bidder and the second-highest bid; nobody and 0 without a positive bid."""
        highest = max(bids.values(), default=0.0)
        if not highest > 0:
            return NOBODY, 0.0
        top_bidders = [team for team, bid in bids.items() if bid == highest]
        if len(top_bidders) > 1:
            return self.handle_ties(top_bidders), highest
        return top_bidders[0], max((bid for bid in bids.values() if bid != highest), default=0.0)

    def handle_ties(self, top_bidders: list[str]) -> str:
        """Draw one of `top_bidders`, each with the same chance."""
        return top_bidders[int(self._ties().integers(len(top_bidders)))]

    def validate_bid(self, bid: float, budget: float) -> float:
        """Return `bid`, rounded as the rules say and cut down to `budget`."""
        if self._decimals is not None:
            bid = round(bid, self._decimals)
        return min(bid, budget)

    def record(self, number: int) -> RoundRecord:
        """Return the settled round as the game's round `number`."""
        answers = self.answers
        return RoundRecord(
            round=number,
            item_id=self.item_id,
            winner=self.winner,
            price=self.price,
            all_bids=self.all_bids,
            asked={team: answer.bid if answer.valid else None for team, answer in answers.items()},
            caps=self._caps,
            seconds={team: _rounded(answer.seconds) for team, answer in answers.items()},
            cpu_seconds={team: _rounded(answer.cpu_seconds) for team, answer in answers.items()},
            waited_seconds={team: _rounded(answer.waited_seconds) for team, answer in answers.items()},
            errors={team: answer.error for team, answer in answers.items() if answer.error},
            notes={
                team: f"bid {answer.bid:g} cut down to the budget, {self._caps[team]:g}"
                for team, answer in answers.items()
                if answer.valid and answer.bid > self._caps[team]
            },
        )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 7)
