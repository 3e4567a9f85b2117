"""What the games of a stage come to: tables of rounds, the leaderboard, and how certain it is."""

from agt_tournament.tournament.standings.leaderboard import leaderboards
from agt_tournament.tournament.standings.stage_data import StageData

__all__ = ["StageData", "leaderboards"]
