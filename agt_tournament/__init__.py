"""A competition of sequential second-price auctions between bidding agents that nobody has to trust."""
