"""Bids a random part of what the item is worth.

It never bids above the value and knows nothing else, like the traders of Gode and Sunder (1993), "Allocative Efficiency
of Markets with Zero-Intelligence Traders", Journal of Political Economy 101(1), 119-137. An agent that does not beat it
has a bug.
"""

import random

from agt_tournament.base_agent import BiddingAgent


class RandomBidder(BiddingAgent):
    """b = u v, u uniform on [0, 1]."""

    def bidding_function(self, item_id: str) -> float:
        """Bid the value times a new u for each item, from the generator of `random`.

        That generator is seeded before each game, so the game can be replayed to the bid.
        """
        return random.random() * self.valuation_vector[item_id]
