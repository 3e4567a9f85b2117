"""Auctions for influence over a generated image."""

from importlib import import_module
from typing import Any

from diffusion_auction.rounding import hold_rounding

hold_rounding()  # here, before any module of the package loads torch

_HOMES = {
    "evaluate": "evaluation.evaluate",
    "run_auctions": "evaluation.evaluate",
    "check_scores": "evaluation.scores",
    "read_scores": "evaluation.scores",
    "COMPOSITIONS": "market.compositions",
    "Scenario": "market.scenarios",
    "load_scenarios": "market.scenarios",
    "MECHANISMS": "mechanisms",
    "Mechanism": "mechanisms",
    "CandidatePool": "mechanisms",
    "Branches": "pipelines",
    "FluxPipelineAuction": "pipelines",
}
"""The module of each public name, imported when the name is first asked for: some load torch."""

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
