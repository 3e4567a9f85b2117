"""Agents in processes of their own, and the walls around them.

The process of an agent imports this package too: at import it loads the standard library alone.
"""

from importlib import import_module

_HOMES = {
    "AgentProcess": "agent_process",
    "StartError": "agent_process",
    "DEFAULT_LIMITS": "budget",
    "Limits": "budget",
    "NONE": "walls.sandbox",
    "TIERS": "walls.sandbox",
    "Sandbox": "walls.sandbox",
}
"""The module of each public name, imported when the name is first asked for."""

__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
