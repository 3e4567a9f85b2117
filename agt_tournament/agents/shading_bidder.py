"""Bids below the value, by a multiplier that follows its own spending: adaptive pacing.

To spend a budget B evenly over T rounds is to spend rho = B / T a round. After a round that cost more, the agent shades
its bids more, and after one that cost less, less. Balseiro and Gur (2019), "Learning in Repeated Auctions with Budgets:
Regret Minimization and Equilibrium", Management Science 65(9), 3952-3968, show that over many rounds this is as good as
any way of learning can be, and that bidders who all do it settle down. Fifteen rounds are few.
"""

from collections.abc import Sequence
from math import sqrt

from agt_tournament.base_agent import BiddingAgent

HIGHEST_VALUE = 20  # what an item can be worth


class ShadingBidder(BiddingAgent):
    """b = v / (1 + mu), mu <- max(0, mu - epsilon (rho - z)), z being what the round has cost.

    1 + mu is the price of money: mu is the utility that one more unit of budget would bring, the multiplier of the
    budget constraint, and the step is one of stochastic gradient descent on the dual problem. The paper bounds mu from
    above as well, at a value that so few steps do not reach.
    """

    def __init__(
        self, team_id: str, valuation_vector: dict[str, float], budget: float, auction_items_sequence: Sequence[str]
    ) -> None:
        super().__init__(team_id, valuation_vector, budget, auction_items_sequence)
        rounds = len(auction_items_sequence)
        self.rho = budget / rounds
        self.epsilon = 1 / (HIGHEST_VALUE * sqrt(rounds))  # the paper's order 1 / sqrt(T); 1 / money, as mu has no unit
        self.mu = 0.0

    def bidding_function(self, item_id: str) -> float:
        """Return the shaded value."""
        return self.valuation_vector[item_id] / (1 + self.mu)

    def update_after_each_round(self, item_id: str, winning_team: str, price_paid: float) -> None:
        """Take one step of mu towards spending rho a round."""
        super().update_after_each_round(item_id, winning_team, price_paid)
        z = price_paid if winning_team == self.team_id else 0.0
        self.mu = max(0.0, self.mu - self.epsilon * (self.rho - z))
