"""Bids what the item is worth.

In a single second-price auction no bid does better, whatever the others do (Vickrey 1961, "Counterspeculation,
Auctions, and Competitive Sealed Tenders", The Journal of Finance 16(1), 8-37): the bid decides whether an item is won,
the others' bids decide what it costs. Over a game with a budget that no longer holds: money that went into a surplus
of one is missing when a surplus of five comes up, and this agent does not look ahead. See adaptive_bidder.py.
"""

from agt_tournament.base_agent import BiddingAgent


class TruthfulBidder(BiddingAgent):
    """b = v.

    It needs no constructor and no update of its own: the base class keeps `valuation_vector`, and books in `budget`,
    `utility` and `items_won` what it wins.
    """

    def bidding_function(self, item_id: str) -> float:
        """Return the value. The auctioneer cuts it down to the money left, so an empty purse bids 0."""
        return self.valuation_vector[item_id]
