"""The candidate images of one scenario, and the choice of the one with the highest welfare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from diffusion_auction.market.bids import Bids, normalized


@dataclass(frozen=True, eq=False)
class Allocation:
    """The image of highest welfare for each draw (D) and bid vector (B); ties go to the lowest sample, then block.

    Where there is none, because a pool is missing or a draw is empty, indices are −1 and values NaN.
    """

    pools: CandidatePool
    block: np.ndarray
    """The row of `CandidatePool.ratios`, int (D, B)."""
    place: np.ndarray
    """The row of `CandidatePool.samples`, int (D, B)."""
    welfare: np.ndarray
    """Σ_i b_i α_i of the image, (D, B)."""

    @cached_property
    def alignments(self) -> np.ndarray:
        """α_i of the image, (D, B, n)."""
        images: np.ndarray = self.pools.alignments[self.block, self.place]
        images[self.block < 0] = np.nan
        return images


@dataclass(frozen=True, eq=False)
class CandidatePool:
    """All candidate images of one scenario, in blocks of k: one image for each sample under one composition.

    P(b) is made of the blocks whose ratio is that of b; scores recorded without common noise have several.
    """

    ratios: np.ndarray
    """The normalised bids of each block, (E, n), ascending: a block of the base prompt alone comes first."""
    alignments: np.ndarray
    """The alignment α_i of each image, (E, k, n)."""
    samples: np.ndarray
    """The sample index of each image of a block, int (k,), ascending."""
    draws: np.ndarray
    """The samples that each draw contains, bool (D, k): all of them in a single draw, or resampled for intervals."""

    @classmethod
    def of(cls, blocks: Iterable[tuple[Bids, np.ndarray]], samples: np.ndarray | None = None) -> CandidatePool:
        """Build pools from pairs of bids and alignments.

        Args:
            blocks: bids (n,) and the alignments (k, n) of the k images composed by them.
            samples: the sample index of each image, ascending; default, 0…k−1.

        Returns:
            The pools, with all samples in a single draw.
        """
        ordered = sorted(((normalized(bids), images) for bids, images in blocks), key=lambda block: block[0])
        ratios = np.array([ratio for ratio, _ in ordered], dtype=float)
        alignments = np.array([images for _, images in ordered], dtype=float)
        numbers = np.arange(alignments.shape[1]) if samples is None else samples
        return cls(ratios, alignments, numbers, np.ones((1, len(numbers)), dtype=bool))

    @classmethod
    def from_mapping(cls, pools: Mapping[Bids, object]) -> CandidatePool:
        """Return pools of one block each: bids to alignments (k, n)."""
        return cls.of((bids, np.array(images, dtype=float)) for bids, images in pools.items())

    @property
    def n_agents(self) -> int:
        """The number n of agents."""
        return int(self.ratios.shape[1])

    def drawn(self, draws: np.ndarray) -> CandidatePool:
        """Return the same images under other `draws`, bool (D, k)."""
        return replace(self, draws=draws)

    def first(self, count: int | None) -> CandidatePool:
        """Return only the samples 0…count−1; None for all."""
        return self if count is None else replace(self, draws=self.draws & (self.samples < count))

    def of_bids(self, bids: np.ndarray) -> np.ndarray:
        """Return the blocks of P(b) for each row of `bids` (B, n): bool (B, E); none where that pool is missing."""
        same: np.ndarray = shares(bids)[:, None, :] == self.ratios
        return np.asarray(same.all(axis=2))

    def of_all(self, vectors: Iterable[Bids]) -> np.ndarray:
        """Return the blocks of ∪ P(b) over `vectors`: bool (E,); none if a single pool is missing."""
        members = self.of_bids(np.array(list(vectors), dtype=float))
        return np.logical_and(members.any(axis=0), members.any(axis=1).all())

    def best(self, bids: np.ndarray, members: np.ndarray) -> Allocation:
        """Return the image of highest welfare at each row of `bids` (B, n) among the blocks `members`, bool (B, E)."""
        asked = np.flatnonzero(members.any(axis=0))
        asked = asked if len(asked) else np.arange(1)
        value = welfare(self.alignments[None, asked], bids[:, None, None, :])
        value = np.where(members[:, asked, None], value, -np.inf)  # (B, asked, k)
        block = asked[value.argmax(axis=1)]  # (B, k): of each sample its best block
        value = value.max(axis=1)
        order = np.argsort(-value, axis=1, kind="stable")
        rank = _first_there(self.draws, order)
        rows = np.arange(len(bids))
        place = order[rows, rank]
        found = (rank >= 0) & members.any(axis=1)
        return Allocation(
            pools=self,
            block=np.where(found, block[rows, place], -1),
            place=np.where(found, place, -1),
            welfare=np.where(found, value[rows, place], np.nan),
        )


def _first_there(draws: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Find the first column r of each row of `order` (B, k) with draws[:, order[:, r]]: int (D, B), −1 for none.

    The search goes rank by rank, over the entries that are not found yet. A draw with replacement holds two thirds of
    the samples, so few ranks are needed; a search over all (D, B, k) at once takes twenty times as long.
    """
    rank = np.full(len(draws) * len(order), -1)
    pending = np.arange(len(rank))
    draw, row = np.divmod(pending, len(order))
    there, start = draws.ravel(), draw * draws.shape[1]
    for r, column in enumerate(order.T):
        found = there[start + column[row]]
        rank[pending[found]] = r
        left = ~found
        pending, start, row = pending[left], start[left], row[left]
        if not len(pending):
            break
    return rank.reshape(len(draws), len(order))


def shares(bids: np.ndarray) -> np.ndarray:
    """Return the normalised bids of each row of `bids` (B, n): (B, n)."""
    return np.array([normalized(tuple(row)) for row in bids.tolist()]).reshape(bids.shape)


def welfare(alignments: np.ndarray, bids: np.ndarray) -> np.ndarray:
    """Return W(I; b) = Σ_i b_i α_i(I) over the last axis of both, which otherwise broadcast.

    Summed agent by agent, so that a figure does not change in its last digit with what it is computed beside.
    """
    total: np.ndarray = alignments[..., 0] * bids[..., 0]
    for i in range(1, bids.shape[-1]):
        total = total + alignments[..., i] * bids[..., i]
    return total
