"""Spreads its budget over the items that it can hope to win.

Of n teams each wins about every n-th item. So the money should last for the best n-th of the items to come; while it
does, the agent bids the value, and when it does not, less, in proportion. A rule of thumb of this project, without a
source. (To spread the budget over all items to come is too careful: most of them go to others, and a winner pays less
than it bids.)
"""

from math import ceil

from agt_tournament.base_agent import BiddingAgent

ROUNDS = 15  # items sold in a game


class BudgetAwareBidder(BiddingAgent):
    """b = v min(1, B / S), S being the sum of the ceil(r / n) highest values not yet seen, r the rounds left.

    The fourth parameter is called `opponent_teams`, so it gets the rivals' ids instead of the items to come. What will
    be sold is then unknown: S counts all items that have not come up, though five of the twenty never will.
    """

    def __init__(
        self, team_id: str, valuation_vector: dict[str, float], budget: float, opponent_teams: list[str]
    ) -> None:
        super().__init__(team_id, valuation_vector, budget, [])
        self.teams = 1 + len(opponent_teams)
        self.rounds_left = ROUNDS
        self.unseen = dict(valuation_vector)

    def bidding_function(self, item_id: str) -> float:
        """Return the value, or the share of it that leaves enough for the other items hoped for."""
        value = self.valuation_vector[item_id]
        hoped_for = ceil(max(self.rounds_left, 1) / self.teams)
        needed = sum(sorted(self.unseen.values(), reverse=True)[:hoped_for])
        return value if needed <= self.budget else value * self.budget / needed

    def update_after_each_round(self, item_id: str, winning_team: str, price_paid: float) -> None:
        """Strike the item off the list."""
        super().update_after_each_round(item_id, winning_team, price_paid)
        self.rounds_left -= 1
        del self.unseen[item_id]
