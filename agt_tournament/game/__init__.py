"""One game: its rounds, valuations and random streams, its record, and the files it leaves."""

from __future__ import annotations

from agt_tournament.game.auction_engine import NOBODY, Answer, Bidder, in_words
from agt_tournament.game.game_manager import Game
from agt_tournament.game.record import Failure, GameResult, RoundRecord, TeamGameResult, when
from agt_tournament.game.seeding import GameSeeds

__all__ = [
    "NOBODY",
    "Answer",
    "Bidder",
    "Failure",
    "Game",
    "GameResult",
    "GameSeeds",
    "RoundRecord",
    "TeamGameResult",
    "in_words",
    "when",
]
