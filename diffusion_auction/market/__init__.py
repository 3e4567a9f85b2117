"""What agents bring to an auction: scenarios, bids, and compositions of their prompts."""

from diffusion_auction.market.bids import Bids, experiment_bids, grid, normalized, one_hot, simplex, without
from diffusion_auction.market.compositions import COMPOSITIONS, Coalition, Weights, weights_of
from diffusion_auction.market.scenarios import (
    Scenario,
    choose_scenarios,
    join_prompts,
    load_scenarios,
    parse_scenarios,
    read_prompts,
)

__all__ = [
    "COMPOSITIONS",
    "Bids",
    "Coalition",
    "Scenario",
    "Weights",
    "choose_scenarios",
    "experiment_bids",
    "grid",
    "join_prompts",
    "load_scenarios",
    "normalized",
    "one_hot",
    "parse_scenarios",
    "read_prompts",
    "simplex",
    "weights_of",
    "without",
]
