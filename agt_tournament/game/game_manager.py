"""One game: its rounds in order, budgets, utilities and the log of all of it (design document, section 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import cache, partial

import numpy as np

from agt_tournament.config import TournamentConfig
from agt_tournament.game.auction_engine import NOBODY, Answer, AuctionRound, Bidder
from agt_tournament.game.record import Failure, GameResult, RoundRecord, TeamGameResult
from agt_tournament.game.seeding import GameSeeds
from agt_tournament.game.valuation_generator import draw_items, generate_arena_valuations


class Ledger:
    """What each team has left, has won, and what that is worth to it."""

    def __init__(self, valuations: Mapping[str, Mapping[str, float]], rules: TournamentConfig) -> None:
        self._valuations = valuations
        self._digits = None if rules.bid_decimals is None else rules.bid_decimals + 6
        self.budgets = dict.fromkeys(valuations, rules.initial_budget)
        self.gains: dict[str, dict[str, float]] = {team: {} for team in valuations}
        """The value minus the price of each item won, by team."""
        self._spent = dict.fromkeys(valuations, 0.0)

    def book(self, round_: AuctionRound) -> None:
        """Charge the winner."""
        if round_.winner == NOBODY:
            return
        team, item, price = round_.winner, round_.item_id, round_.price
        left = self.budgets[team] - price
        self.budgets[team] = left if self._digits is None else round(left, self._digits)  # cents stay cents
        self._spent[team] += price
        self.gains[team][item] = self._valuations[team][item] - price

    def results(self) -> dict[str, TeamGameResult]:
        """Return the result of each team."""
        return {
            team: TeamGameResult(
                utility=sum(gains.values(), 0.0),
                budget_spent=self._spent[team],
                items_won=list(gains),
                valuation_vector=dict(self._valuations[team]),
                max_single_item_utility=max(gains.values(), default=0.0),
            )
            for team, gains in self.gains.items()
        }


class Game:
    """A game of the teams in `agents`: valuations, items and ties are those of `seeds`."""

    def __init__(
        self,
        game_id: str,
        arena_id: str,
        stage: int,
        agents: Mapping[str, Bidder],
        rules: TournamentConfig,
        seeds: GameSeeds,
        *,
        valuations: Mapping[str, Mapping[str, float]] | None = None,
        items: Iterable[str] | None = None,
    ) -> None:
        """Make a game. `valuations` and `items` (in the order of the auction) replace those drawn from `seeds`."""
        self.game_id, self.arena_id, self.stage = game_id, arena_id, stage
        self._agents, self._rules, self._seeds = agents, rules, seeds
        self.valuations = valuations or generate_arena_valuations(agents, rules, seeds)
        self.items = list(items) if items is not None else draw_items(rules, seeds)
        self._failures: list[Failure] = []

    def play(self) -> GameResult:
        """Play all rounds. Agents may do what they like: none of them can stop the game."""
        timestamp = datetime.now(UTC).isoformat()
        self._start()
        ledger, ties = Ledger(self.valuations, self._rules), tie_stream(self._seeds)
        log: list[RoundRecord] = []
        for number, item_id in enumerate(self.items, start=1):
            round_ = AuctionRound(item_id, ledger.budgets, ties, self._rules.bid_decimals).run(self._agents)
            ledger.book(round_)
            log.append(round_.record(number))
            for team, agent in self._agents.items():
                agent.notify(item_id, round_.winner, round_.price)
                self._keep(team, number, round_.answers[team])
        for team, agent in self._agents.items():
            self._keep(team, None, agent.end_game())
        results = ledger.results()
        return GameResult(self.game_id, self.arena_id, self.stage, timestamp, results, log, self._failures)

    def _start(self) -> None:
        for team, agent in self._agents.items():
            agent.prepare(partial(self._seeds.loading, team))  # they start side by side, and load one after the other
        teams = list(self._agents)
        items = self.items if self._rules.reveal_order else sorted(self.items, key=_place)
        for team, agent in self._agents.items():
            briefing = {
                "team_id": team,
                "valuation_vector": self.valuations[team],
                "budget": self._rules.initial_budget,
                "items": items,
                "teams": teams,
                "seed": self._seeds.agent(team),
            }
            self._keep(team, 0, agent.start_game(briefing))

    def _keep(self, team: str, round_: int | None, answer: Answer) -> None:
        """Note an error where it happens; later requests of an agent that is out have no time and no text."""
        if answer.update_failed:
            error, text = answer.update_failed
            self._failures.append(Failure(team, round_, error, "update_after_each_round", text))
        if answer.error and answer.seconds is not None:
            waited = answer.waited_seconds if answer.held_up else None
            self._failures.append(Failure(team, round_, answer.error, answer.where, answer.text, waited))


def tie_stream(seeds: GameSeeds) -> Callable[[], np.random.Generator]:
    """Return the stream that decides between equal bids; it is made when it is first needed."""
    return cache(seeds.ties)


def _place(item_id: str) -> tuple[int, str]:
    """Return a sort key that puts item_2 before item_10."""
    return int("".join(filter(str.isdigit, item_id)) or 0), item_id
