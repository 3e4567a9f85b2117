"""Everything random comes from one seed, and knowing one stream tells nothing of another.

A stream is named by its place: stage, arena, game, what it is for, and whose it is. The place spawns a
`numpy.random.SeedSequence` from the seed, so that any game can be run again alone. SeedSequence and PCG64 can be
calculated backwards, and agents see numbers of their own streams: SHA-256 between the two is what keeps them from
getting at the seed, and with it at the valuations of their rivals. A small seed can still be guessed by trying.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

GUESSABLE = 2**64
"""Seeds below this can be found by trying them all; staff are told so."""


class Purpose(IntEnum):
    """What a stream of random numbers is for."""

    ARENAS = 0
    CATEGORIES = 1
    VALUATIONS = 2
    ITEMS = 3
    TIES = 4
    AGENT = 5
    LOADING = 6


def stream_seed(seed: int, *place: int) -> int:
    """256 bits for the stream at `place`, which cannot be calculated back to `seed`."""
    sequence = np.random.SeedSequence(seed, spawn_key=place)
    return int.from_bytes(hashlib.sha256(sequence.generate_state(8).tobytes()).digest(), "little")


def stream(seed: int, *place: int) -> np.random.Generator:
    """The random numbers at `place`."""
    return np.random.Generator(np.random.PCG64(stream_seed(seed, *place)))


@dataclass(frozen=True)
class GameSeeds:
    """The streams of one game; stage 0 is a game outside any stage, arenas and games count from 1."""

    seed: int
    stage: int
    arena: int
    game: int
    valuations_per: str = "game"

    def _stream(self, game: int, purpose: Purpose, team_id: str | None = None) -> int:
        whose = () if team_id is None else (_number(team_id),)
        return stream_seed(self.seed, self.stage, self.arena, game, purpose, *whose)

    @property
    def _valued(self) -> int:
        return self.game if self.valuations_per == "game" else 0

    def categories(self) -> np.random.Generator:
        """Which items are of high, low and mixed value."""
        return _generator(self._stream(self._valued, Purpose.CATEGORIES))

    def valuations(self, team_id: str) -> np.random.Generator:
        """The values of a team: they depend neither on its seat nor on who else plays."""
        return _generator(self._stream(self._valued, Purpose.VALUATIONS, team_id))

    def items(self) -> np.random.Generator:
        """Which items are sold, and in which order."""
        return _generator(self._stream(self.game, Purpose.ITEMS))

    def ties(self) -> np.random.Generator:
        """Who wins among equal bids."""
        return _generator(self._stream(self.game, Purpose.TIES))

    def agent(self, team_id: str) -> int:
        """What a team's `random` and numpy are seeded with for this game."""
        return self._stream(self.game, Purpose.AGENT, team_id)

    def loading(self, team_id: str) -> int:
        """What they are seeded with while the submission is imported, if that happens before this game."""
        return self._stream(self.game, Purpose.LOADING, team_id)


def _generator(state: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(state))


def _number(team_id: str) -> int:
    return int.from_bytes(hashlib.sha256(team_id.encode()).digest()[:16], "little")
