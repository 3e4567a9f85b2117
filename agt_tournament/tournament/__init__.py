"""A competition: teams and their submissions, stages of games, and the standings. Names are imported when asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agt_tournament.tournament.stage_data import StageData
    from agt_tournament.tournament.submissions import Submission, digest, read_submission, store_submission
    from agt_tournament.tournament.teams import SetAside, Team
    from agt_tournament.tournament.tournament_manager import TournamentStage, open_agents
    from agt_tournament.tournament.unregistered import examples

_EXPORTED = {
    "unregistered": ("examples",),
    "stage_data": ("StageData",),
    "submissions": ("Submission", "digest", "read_submission", "store_submission"),
    "teams": ("SetAside", "Team"),
    "tournament_manager": ("TournamentStage", "open_agents"),
}
_MODULES = {name: module for module, names in _EXPORTED.items() for name in names}

__all__ = [
    "SetAside",
    "StageData",
    "Submission",
    "Team",
    "TournamentStage",
    "digest",
    "examples",
    "open_agents",
    "read_submission",
    "store_submission",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: tables and ratings load heavy libraries."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
