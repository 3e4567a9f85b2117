"""What agents bring to an auction: scenarios, bids, and compositions of their prompts."""
