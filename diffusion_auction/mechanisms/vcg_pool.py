"""Our mechanism: VCG over images that do not depend on the bids, exactly truthful."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from diffusion_auction.market.bids import Bids
from diffusion_auction.mechanisms.outcome import Outcomes, externalities, without
from diffusion_auction.mechanisms.pools import CandidatePool

_SIZES: dict[str, Callable[[int], Sequence[int]]] = {
    "base": lambda n: (0,),
    "one_hot": lambda n: (1,),
    "joint": lambda n: (n,),
    "coalitions": lambda n: range(1, n + 1),
}
"""The sizes of the coalitions in each named set of compositions, for n agents; the members of one bid equally."""

SETS = tuple(_SIZES)
"""Named sets of compositions: the base prompt alone; each agent alone; all agents; every coalition."""


@dataclass(frozen=True)
class VCGPool:
    """VCG over one finite pool 𝒫 of images, the same for all bid vectors.

    Sells I* = argmax_{I ∈ 𝒫} W(I; b), ties to the lowest sample and then to the composition of the lowest shares,
    and charges the Clarke pivot over the same pool: max_{I ∈ 𝒫} Σ_{j≠i} b_j α_j(I) − Σ_{j≠i} b_j α_j(I*).

    With 𝒫 fixed before the bids this is the VCG mechanism for the public choice among |𝒫| images (Clarke 1971,
    Groves 1973), so, exactly and for any 𝒫: truth is a dominant strategy; α_i(I*) does not fall when b_i rises;
    payments are not negative, for I* is in the pool of the first term, and there is no deficit; and where alignments
    are not negative a truthful agent's utility W(I*; b) − max_𝒫 W(I; b_−i) is not either.

    `compositions` says what the pool is made of: names of `SETS` and bid vectors; None is every image that the
    scenario has, for which a plan makes the one-hot and the joint compositions. Of each composition only the samples
    0…`samples`−1 are in it, or all. All-zero bids buy the first image of the pool, the base prompt's if it is in.
    """

    compositions: tuple[str | Bids, ...] | None = None
    samples: int | None = None
    name: ClassVar[str] = "vcg_pool"

    def vectors(self, n_agents: int) -> list[Bids]:
        """Return the bid vectors of the compositions in the pool, or those that a plan makes for one of everything."""
        named = ("one_hot", "joint") if self.compositions is None else self.compositions
        vectors = itertools.chain.from_iterable(compositions_of(entry, n_agents) for entry in named)
        return list(dict.fromkeys(vectors))

    def required_bids(self, bids: Bids) -> list[Bids]:
        """Return the pool's compositions, whatever the bids."""
        return self.vectors(len(bids))

    def run(self, bids: np.ndarray, pools: CandidatePool) -> Outcomes:
        """Hold an auction at each row of `bids` (B, n)."""
        everything = np.ones(len(pools.ratios), dtype=bool)
        pool = everything if self.compositions is None else pools.of_all(self.vectors(pools.n_agents))
        members = np.broadcast_to(pool, (len(bids), len(pool)))
        images = pools.first(self.samples)
        sold = images.best(bids, members)
        counterfactual = np.stack(
            [images.best(without(bids, i), members).welfare for i in range(bids.shape[1])], axis=-1
        )
        payments = externalities(bids, sold, counterfactual)
        return Outcomes(bids, sold, payments, members, {"counterfactual": counterfactual})


def compositions_of(entry: str | Sequence[float], n_agents: int) -> list[Bids]:
    """Return the bid vectors that an entry of `VCGPool.compositions` stands for."""
    if not isinstance(entry, str):
        return [tuple(map(float, entry))]
    if entry not in _SIZES:
        raise ValueError(f"`compositions` has to name some of {', '.join(SETS)} but names {entry!r}")
    agents = range(n_agents)
    coalitions = (coalition for size in _SIZES[entry](n_agents) for coalition in itertools.combinations(agents, size))
    return [tuple(float(i in coalition) for i in agents) for coalition in coalitions]
