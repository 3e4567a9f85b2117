"""Learns what the rivals bid, and keeps the money that will earn more later.

An item costs its price and, on top, what that money would have earned in the rounds to come. So the agent plans each
game backwards, W_t(B) being the utility that it expects from round t on with the budget B, and bids the b at which
buying and keeping the money are equally good: v - b + W_{t+1}(B - b) = W_{t+1}(B).

The plan: Gummadi, Key and Proutiere (2013), "Optimal Bidding Strategies and Equilibria in Dynamic Auctions with Budget
Constraints", SSRN 2066175. Learning prices for such a plan when a lost round shows only that the rivals bid more: Amin,
Kearns, Key and Schwaighofer (2012), "Budget Optimization for Sponsored Search: Censored Learning in MDPs", UAI, 54-63.
"""

from collections.abc import Sequence

from agt_tournament.base_agent import BiddingAgent

HIGH, LOW, MIXED = (10, 20), (1, 10), (1, 20)  # an item is of one of these kinds: its values are uniform on the range
HIGHEST_VALUE = 20
RIVALS = 4
UNIT = 2  # of money, in which the plan and the rivals' bids are counted
SURENESS = 10.0  # the first guess counts as much as this many observations


def first_guess(kinds: dict[tuple[int, int], float]) -> list[float]:
    """Return counts of the rivals' highest bid, 0, 2, ..., 20, if they are truthful and kinds of items so frequent."""

    def below(bid: float) -> float:
        at_most = {(low, high): min(max((bid - low) / (high - low), 0.0), 1.0) for low, high in kinds}
        return sum(weight * at_most[kind] ** RIVALS for kind, weight in kinds.items()) / sum(kinds.values())

    bids = range(0, HIGHEST_VALUE + 1, UNIT)
    return [SURENESS * (below(bid + UNIT / 2) - below(bid - UNIT / 2)) for bid in bids]


# All that is known of an item's kind is the own value: from 10 on it is high or mixed, below it is low or mixed. A name
# of the module outlives the game, so what is counted here in one game serves the plan of the next.
counts = {
    True: first_guess({HIGH: 6, MIXED: 10 * 10 / 19}),
    False: first_guess({LOW: 4, MIXED: 10 * 9 / 19}),
}


class AdaptiveBidder(BiddingAgent):
    """b = v - (W(B) - W(B - b)): the value less what the money is worth later."""

    def __init__(
        self, team_id: str, valuation_vector: dict[str, float], budget: float, auction_items_sequence: Sequence[str]
    ) -> None:
        super().__init__(team_id, valuation_vector, budget, auction_items_sequence)
        self.round = 0
        self.plan = self.plan_game()

    def plan_game(self) -> list[list[float]]:
        """W_t(B) as plan[t][B], t counted from 0, B in whole units; after the last round it is 0.

        W_t(B) = W_{t+1}(B) + sum over d of P(d) max(0, v_t - d + W_{t+1}(B - d) - W_{t+1}(B)), d being the rivals' bid.
        """
        plan = [[0.0] * (int(self.budget / UNIT) + 2)]
        for item_id in reversed(self.auction_items_sequence):
            value, later = self.valuation_vector[item_id], plan[-1]
            seen = counts[value >= 10]
            total = sum(seen)
            chances = [count / total for count in seen[: int(value / UNIT) + 1]]
            now = []
            for budget, keep in enumerate(later):
                worth = keep
                for d, chance in enumerate(chances[: budget + 1]):
                    gain = value - d * UNIT + later[budget - d] - keep
                    if gain <= 0:  # and it falls with d
                        break
                    worth += chance * gain
                now.append(worth)
            plan.append(now)
        return plan[::-1]

    def worth(self, money: float) -> float:
        """Return W_{t+1} of an amount between whole units, by linear interpolation."""
        later, units = self.plan[self.round + 1], money / UNIT
        below = int(units)
        return later[below] + (units - below) * (later[below + 1] - later[below])

    def bidding_function(self, item_id: str) -> float:
        """Return the highest price worth paying, found by bisection."""
        value, budget = self.valuation_vector[item_id], max(self.budget, 0.0)
        low, high, keep = 0.0, min(value, budget), self.worth(budget)
        for _ in range(12):  # to less than a cent
            bid = (low + high) / 2
            if value - bid + self.worth(budget - bid) > keep:
                low = bid
            else:
                high = bid
        return high

    def update_after_each_round(self, item_id: str, winning_team: str, price_paid: float) -> None:
        """Count the rivals' highest bid: seen if the round was won, else only known to be the price or more."""
        super().update_after_each_round(item_id, winning_team, price_paid)
        self.round += 1
        seen, price = counts[self.valuation_vector[item_id] >= 10], min(round(price_paid / UNIT), HIGHEST_VALUE // UNIT)
        if winning_team in (self.team_id, ""):
            seen[price] += 1
        else:  # divide the observation among the bids that are possible, as they were distributed so far
            possible = sum(seen[price:])
            seen[price:] = [count * (1 + 1 / possible) for count in seen[price:]]
