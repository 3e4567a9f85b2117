"""Derive every random stream from one seed, so that no stream reveals another.

A stream is named by its place: stage, arena, game, what it is for, and whose it is. The place spawns a
`numpy.random.SeedSequence` from the seed, so that any game can be run again alone. SeedSequence and PCG64 can be
calculated backwards, and agents see numbers of their own streams: SHA-256 between the two is what keeps them from
getting at the seed, and with it at the valuations of their rivals. A small seed can still be guessed by trying.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

import numpy as np


class Purpose(IntEnum):
    """What a stream of random numbers is for."""

    ARENAS = 0
    CATEGORIES = 1
    VALUATIONS = 2
    ITEMS = 3
    TIES = 4
    AGENT = 5
    LOADING = 6


def stream_seed(seed: int, *place: int, whose: str = "") -> int:
    """Derive 256 bits for the stream at `place` and for `whose`, from which `seed` cannot be calculated."""
    return int.from_bytes(hashlib.sha256(_spawned(seed, *place) + whose.encode()).digest(), "little")


def stream(seed: int, *place: int) -> np.random.Generator:
    """Return the generator of the stream at `place`."""
    return _generator(stream_seed(seed, *place))


@lru_cache(maxsize=256)  # the part of a stream's seed that all teams of a game share
def _spawned(seed: int, *place: int) -> bytes:
    return np.random.SeedSequence(seed, spawn_key=place).generate_state(8).tobytes()


def _generator(state: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(state))


@dataclass(frozen=True)
class GameSeeds:
    """The streams of one game; stage 0 is a game outside any stage, arenas and games count from 1."""

    seed: int
    stage: int
    arena: int
    game: int
    valuations_per: str = "game"

    def categories(self) -> np.random.Generator:
        """Return the stream that decides which items are of high, low and mixed value."""
        return _generator(self._seed(Purpose.CATEGORIES, self._valued))

    def valuations(self, team_id: str) -> np.random.Generator:
        """Return the stream of a team's values; it depends neither on the seat nor on who else plays."""
        return _generator(self._seed(Purpose.VALUATIONS, self._valued, team_id))

    def items(self) -> np.random.Generator:
        """Return the stream that decides which items are sold, and in which order."""
        return _generator(self._seed(Purpose.ITEMS, self.game))

    def ties(self) -> np.random.Generator:
        """Return the stream that decides between equal bids."""
        return _generator(self._seed(Purpose.TIES, self.game))

    def agent(self, team_id: str) -> int:
        """Return the seed of a team's `random` and numpy for this game."""
        return self._seed(Purpose.AGENT, self.game, team_id)

    def loading(self, team_id: str) -> int:
        """Return their seed during the import of the submission, if that happens before this game."""
        return self._seed(Purpose.LOADING, self.game, team_id)

    @property
    def _valued(self) -> int:
        return self.game if self.valuations_per == "game" else 0

    def _seed(self, purpose: Purpose, game: int, team_id: str = "") -> int:
        return stream_seed(self.seed, self.stage, self.arena, game, purpose, whose=team_id)
