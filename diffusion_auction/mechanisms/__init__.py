"""Mechanisms: which image is sold, and what each agent pays. Numpy alone; vectorised over bid vectors."""

from __future__ import annotations

from diffusion_auction.mechanisms.first_price import FirstPrice
from diffusion_auction.mechanisms.myerson import Myerson
from diffusion_auction.mechanisms.outcome import Mechanism, Outcomes
from diffusion_auction.mechanisms.pools import Allocation, CandidatePool
from diffusion_auction.mechanisms.shapley import Shapley
from diffusion_auction.mechanisms.single_winner import SingleWinner
from diffusion_auction.mechanisms.vcg import VCG
from diffusion_auction.mechanisms.vcg_pool import VCGPool

__all__ = [
    "MECHANISMS",
    "VCG",
    "Allocation",
    "CandidatePool",
    "FirstPrice",
    "Mechanism",
    "Myerson",
    "Outcomes",
    "Shapley",
    "SingleWinner",
    "VCGPool",
    "side_by_side",
]

MECHANISMS: dict[str, type[Mechanism]] = {
    mechanism.name: mechanism for mechanism in (VCG, VCGPool, Myerson, FirstPrice, Shapley, SingleWinner)
}
"""Every mechanism by its name in the configuration; the baseline is last."""


def side_by_side(chosen: Mechanism) -> list[Mechanism]:
    """Return `chosen`, then every other mechanism with its default options, the baseline last."""
    return [chosen, *(mechanism() for name, mechanism in MECHANISMS.items() if name != chosen.name)]
