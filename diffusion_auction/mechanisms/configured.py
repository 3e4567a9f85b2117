"""The mechanism that a configuration names."""

from __future__ import annotations

from diffusion_auction.config import ExperimentConfig, VcgPoolConfig
from diffusion_auction.market.bids import check_agents, check_numbers
from diffusion_auction.mechanisms import MECHANISMS, Mechanism
from generative_auctions.errors import RequestError


def experiment_mechanism(config: ExperimentConfig, n_agents: int) -> Mechanism:
    """Return the mechanism of the configuration, its options checked against the run's. Raises `RequestError`."""
    section = config.mechanism
    options = section.model_dump(exclude={"name"})
    if isinstance(section, VcgPoolConfig):
        if section.samples is not None and config.action != "evaluate" and section.samples > config.samples:
            expected = f"at most the run's samples={config.samples}, or null for all of them"
            raise RequestError("mechanism.samples", section.samples, expected)
        for i, entry in enumerate(section.compositions or []):
            if not isinstance(entry, str):
                check_agents(f"mechanism.compositions[{i}]", entry, len(entry), n_agents, "bids")
                check_numbers(f"mechanism.compositions[{i}]", entry)
        named = (entry if isinstance(entry, str) else tuple(entry) for entry in section.compositions or [])
        options["compositions"] = tuple(named) or None
    return MECHANISMS[section.name](**options)
