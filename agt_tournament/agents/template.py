"""Your agent: copy this file, change what it does. It works as it is.

State your idea here in two or three sentences. Allowed are the standard library, numpy and scipy; further modules of
your own may lie beside this file. Rules and interface: docs/team.md. Ideas: the other examples, adaptive_bidder.py
last.
"""

from collections.abc import Sequence

from agt_tournament.base_agent import BiddingAgent

# Names of the module outlive the game: what you learn in one game is still here in the next. Your process serves you
# alone; no other team sees this.
prices_seen: list[float] = []

# Change this: the part of the value that you bid in the first round. It rises to 1 in the last one, after which money
# is worth nothing.
FIRST_SHARE = 0.9


class MyAgent(BiddingAgent):
    """One object of this class plays one game of 15 rounds. Its name does not matter."""

    def __init__(
        self, team_id: str, valuation_vector: dict[str, float], budget: float, auction_items_sequence: Sequence[str]
    ) -> None:
        """Look at the game before it starts: you have 10 s of CPU time.

        Call the fourth parameter `opponent_teams` to get the list of the other teams' ids instead of the items.
        """
        super().__init__(team_id, valuation_vector, budget, auction_items_sequence)
        # From here on you have self.team_id, self.valuation_vector (20 items), self.auction_items_sequence (the 15 that
        # will be sold, in order), and, kept up to date for you, self.budget, self.utility and self.items_won.
        # Change this: plan the game.
        self.rounds = len(auction_items_sequence)
        self.rounds_played = 0

    def bidding_function(self, item_id: str) -> float:
        """Return your bid for `item_id`, finite and not negative, within 2 s of CPU time.

        More than your budget counts as your budget.
        """
        value = self.valuation_vector[item_id]
        # Change this: what is the money worth in the rounds to come? what have prices been like, in prices_seen?
        progress = self.rounds_played / max(self.rounds - 1, 1)
        share = FIRST_SHARE + (1 - FIRST_SHARE) * min(progress, 1.0)
        return share * value

    def update_after_each_round(self, item_id: str, winning_team: str, price_paid: float) -> None:
        """Learn how a round ended, won or lost. If nobody bid, the winner is "" and the price 0."""
        super().update_after_each_round(item_id, winning_team, price_paid)  # keep this line: it books what you win
        # Change this: who buys what, who is running out of money? (A rival has its 60 less the prices it paid.)
        self.rounds_played += 1
        prices_seen.append(price_paid)
