"""A competition of sequential second-price auctions between bidding agents that nobody has to trust.

A game in this process needs rules, seeds and a `Bidder` in each seat; `play_game` and `run` do what the command line
does, with agents behind walls::

    from pathlib import Path

    from agt_tournament import StoredRun, compose, leaderboards, run

    config = compose("tournament.games=10", "run_dir=outputs/course")
    run(config)
    stored = StoredRun.read(Path(config.run_dir))
    leaderboards(stored.stages, config.seed)[1]

Agents import this package too: at import it loads the standard library alone.
"""

from importlib import import_module

_HOMES = {
    "BiddingAgent": "base_agent",
    "CompetitionConfig": "config",
    "TournamentConfig": "config",
    "Answer": "game",
    "Bidder": "game",
    "Game": "game",
    "GameResult": "game",
    "GameSeeds": "game",
    "read_game": "game.game_files",
    "load_agent": "tournament.agent_manager",
    "compose": "tournament.composed_config",
    "leaderboards": "tournament.standings",
    "examples": "tournament.registration",
    "play_game": "actions.game",
    "run": "actions.run",
    "StoredRun": "actions.stored_run",
}
"""The module of each public name, imported when the name is first asked for."""

__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
