"""The interface of a bidding agent (design document, section 7); standard library only: it is given to the teams."""

from __future__ import annotations

from collections.abc import Sequence


class BiddingAgent:
    """A team's agent: a new object plays each game, and is asked for one bid in each round.

    Overwrite `bidding_function`; overwrite `update_after_each_round` to learn from the rounds, and call this one in
    it so that `budget`, `utility` and `items_won` stay right. What a module keeps in its global names outlives the
    game, an object of this class does not.
    """

    def __init__(
        self,
        team_id: str,
        valuation_vector: dict[str, float],
        budget: float,
        auction_items_sequence: Sequence[str],
    ) -> None:
        """Start a game.

        `valuation_vector` holds what each of the game's items, sold or not, is worth to this team. `budget` is what
        it may spend in this game. `auction_items_sequence` names the items that will be sold, in the order of the
        auction or, where the rules keep that secret, sorted. A fourth parameter of the name `opponent_teams` is given
        the ids of the other teams instead.
        """
        self.team_id = team_id
        self.valuation_vector = valuation_vector
        self.budget = budget
        self.auction_items_sequence = auction_items_sequence
        self.utility = 0.0
        self.items_won: list[str] = []

    def bidding_function(self, item_id: str) -> float:
        """Return the bid for `item_id`: a finite number, not negative; a bid above the budget is cut down to it."""
        raise NotImplementedError("bidding_function must return a bid")

    def update_after_each_round(self, item_id: str, winning_team: str, price_paid: float) -> None:
        """Learn who won `item_id` and what was paid: the second-highest bid; nobody bid: "" and 0."""
        self._update_available_budget(item_id, winning_team, price_paid)

    def _update_available_budget(self, item_id: str, winning_team: str, price_paid: float) -> None:
        """Book an item that this team has won."""
        if winning_team == self.team_id:
            self.budget -= price_paid
            self.utility += self.valuation_vector[item_id] - price_paid
            self.items_won.append(item_id)
