"""The configuration of a competition, composed for programs and notebooks as the command line composes it."""

from __future__ import annotations

from typing import Any, cast

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from omegaconf import OmegaConf

import agt_tournament.tournament.directory_name  # noqa: F401  (the configuration names the run directory by its resolver)
from agt_tournament.config import CompetitionConfig, read_config
from generative_auctions.config_tree import CONF


def compose(*overrides: str) -> CompetitionConfig:
    """Compose and check the configuration of a competition.

    Args:
        overrides: What is asked for, written as on the command line: ``"tournament.games=10"``.

    Raises:
        RequestError: A value is wrong; the error names its key.
    """
    return read_config(composed_tree(*overrides))


def composed_tree(*overrides: str) -> dict[str, Any]:
    """Compose the configuration for `overrides` without checking it."""
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        composed = hydra_compose("agt_tournament", overrides=list(overrides))
    return cast(dict[str, Any], OmegaConf.to_container(composed, resolve=True))
