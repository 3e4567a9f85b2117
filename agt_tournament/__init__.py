"""A competition of sequential second-price auctions between bidding agents that nobody has to trust.

An agent's process imports this module too, so it needs nothing but the standard library.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "BiddingAgent": "base_agent",
    "CompetitionConfig": "config",
    "TournamentConfig": "config",
    "Game": "game",
    "GameResult": "game",
    "GameSeeds": "game",
    "Bidder": "game",
    "Answer": "game",
    "AgentProcess": "sandbox.agent_process",
    "examples": "tournament",
    "open_agents": "tournament",
    "run": "actions.run",
    "play_stage": "actions.run",
    "read_competition": "tournament.competition_directory",
    "read_stages": "tournament.stage_data",
    "leaderboards": "tournament.leaderboard",
}
"""The module of each public name, imported when the name is first asked for: some load pandas and scipy."""

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
