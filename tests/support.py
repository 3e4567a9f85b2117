"""What several tests need: composed configurations, the command line, bids for properties."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hypothesis import strategies as st
from omegaconf import OmegaConf

from diffusion_auction.config import ExperimentConfig, read_config
from diffusion_auction.market.scenarios import Scenario, choose_scenarios, read_prompts
from tests.warm import Server

REPO = Path(__file__).parents[1]
CONF = REPO / "conf"
WEIGHTS = REPO / "diffusion_auction" / "tiny_flux" / "weights"
_TOO_LONG = 300.0  # seconds of a command

TABLE_1 = (
    ("A hiker resting on a mountain trail", "North Face backpack", "Gatorade bottle"),
    ("A professional working at a desk in a bright office", "Dell monitor", "Deer Park water bottle"),
    ("A swimming pool outdoors", "Marriott Bonvoy hotel", "Ray-Ban sunglasses"),
    ("Friends gathered for a movie night at home", "Doritos chips", "Coca-Cola cans"),
    ("A car driving along a scenic coastal highway", "Tesla car", "ExxonMobil sign"),
)
"""Appendix E of the paper, word for word."""

CAFE = (
    "Two friends chatting over coffee at a cafe",
    "Starbucks mug",
    "Apple MacBook Air",
    "New York Times newspaper",
)


def tree(*overrides: str) -> dict[str, Any]:
    """The configuration that Hydra composes for `overrides`, unchecked."""
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        composed = compose("diffusion_auction", overrides=list(overrides))
    return plain(composed, resolve=True)


def plain(config: Any, resolve: bool = False) -> dict[str, Any]:
    """A configuration of OmegaConf's as a dictionary."""
    tree = OmegaConf.to_container(config, resolve=resolve)
    assert isinstance(tree, dict)
    return {str(key): value for key, value in tree.items()}


def configured(*overrides: str) -> ExperimentConfig:
    """The checked configuration for `overrides`."""
    return read_config(tree(*overrides))


def scenarios_of(config: ExperimentConfig) -> dict[int, Scenario]:
    """The scenarios that `config` chooses, by number."""
    return choose_scenarios(read_prompts(config.prompts), config.scenarios)


def environment() -> dict[str, str]:
    """That of a user on a machine without network or GPU, one thread a process."""
    return {
        **os.environ,
        "PYTHONPATH": str(REPO),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
        "COLUMNS": "200",
    }


def application_command(module: str, *args: object) -> list[str]:
    """`python -m module …`."""
    return [sys.executable, "-m", module, *map(str, args)]


@cache
def server() -> Server:
    """Start the server that has both applications loaded; later calls return the same one."""
    return Server(environment(), REPO)


def auction(
    *args: object, cwd: Path, module: str = "diffusion_auction", **more: str
) -> subprocess.CompletedProcess[str]:
    """Run `python -m module …` to its end, in `cwd`, with `more` variables of the environment.

    The process is forked from one that has the libraries loaded. It starts anew if a variable differs that libraries
    may have read while they were imported.
    """
    command, variables = application_command(module, *args), environment() | more
    if _read_at_import(variables) == _read_at_import(server().environment):
        return server().run(command, cwd=cwd, environment=variables, timeout=_TOO_LONG)
    return subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=_TOO_LONG)


def _read_at_import(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that libraries may read while they are imported."""
    return {name: value for name, value in variables.items() if name not in ("PYTEST_CURRENT_TEST", "COLUMNS")}


def bid_vectors(n: int | None = None, distinct: bool = False) -> st.SearchStrategy[tuple[float, ...]]:
    """Bids of `n` agents (or of one to six) on a lattice coarse enough to keep their ratios well apart."""
    size = {"min_size": n or 1, "max_size": n or 6}
    return st.lists(st.integers(0, 40), unique=distinct, **size).map(lambda bids: tuple(b / 8 for b in bids))
