"""An experiment: a checked configuration with its scenarios, bids, mechanism and plan."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from diffusion_auction.config import ExperimentConfig, PromptsConfig
from diffusion_auction.evaluation.evaluate import BASELINE
from diffusion_auction.generation.plan import Plan, make_plan
from diffusion_auction.generation.words import check_words
from diffusion_auction.market import bids as bidding
from diffusion_auction.market.bids import experiment_bids
from diffusion_auction.market.compositions import COMPOSITIONS
from diffusion_auction.market.scenarios import Scenario, choose_scenarios, read_prompts
from diffusion_auction.mechanisms import Mechanism
from diffusion_auction.mechanisms.configured import experiment_mechanism
from generative_auctions.run_directory import read_run
from launchers import check_launcher


@dataclass(frozen=True)
class Experiment:
    """A checked configuration with what follows from it."""

    config: ExperimentConfig
    scenarios: dict[int, Scenario]
    bids: list[bidding.Bids]
    mechanism: Mechanism
    plan: Plan

    @property
    def run_dir(self) -> Path:
        """The run directory."""
        return Path(self.config.run_dir)


def prepare(config: ExperimentConfig) -> Experiment:
    """Check a configuration beyond its schema and plan its images.

    Prompts read from a file become entries of the configuration. The stored configuration therefore does not need the
    file, and a changed file is another configuration.

    Raises:
        RequestError: prompts, bids or options of the mechanism are wrong.
    """
    everything = read_prompts(config.prompts)
    prompts = PromptsConfig(path=None, entries=[scenario.entry() for scenario in everything])
    config = config.model_copy(update={"prompts": prompts})
    scenarios = choose_scenarios(everything, config.scenarios)
    bids = experiment_bids(config, next(iter(scenarios.values())).n_agents)
    mechanism = experiment_mechanism(config, len(bids[0]))

    def pools(vector: bidding.Bids) -> Iterable[bidding.Bids]:
        return chain(mechanism.required_bids(vector), BASELINE.required_bids(vector))

    compose = COMPOSITIONS[config.composition.name]
    plan = make_plan(
        scenarios, bids, pools, compose, samples=config.samples, steps=config.model.steps, seed=config.seed
    )
    check_words(config, scenarios, plan.coalitions)
    return Experiment(config, scenarios, bids, mechanism, plan)


def check_possible(experiment: Experiment) -> None:
    """Check that a run can be done before any image is made, any worker is queued or anything is written.

    The weights must load and read the prompts, the measures must load, and the launcher and the devices must exist.
    Nothing is checked if every image has been scored.

    Raises:
        RequestError: something that the configuration names cannot be used.
        LaunchError: the launcher cannot start workers here.
    """
    config, coalitions = experiment.config, experiment.plan.coalitions
    if config.images_from is not None:
        read_run(Path(config.images_from), key="images_from")
    if (experiment.run_dir / "scores.parquet").exists():
        return
    check_launcher(config.launcher, experiment.run_dir)
    from diffusion_auction.actions.fetch import check_fetched  # the hub's library, only where images are made
    from diffusion_auction.weights.sources import check_pipeline

    check_pipeline(config.model.weights)
    check_fetched(config)
    from diffusion_auction.generation.loading import check_prompts  # and torch
    from diffusion_auction.scoring import scorer

    if config.launcher.name not in ("slurm", "external"):  # whose nodes have devices that this host may lack
        scorer.check_devices(config.model, config.alignment)
    texts = (scenario.coalition_prompt(part) for scenario in experiment.scenarios.values() for part in coalitions)
    check_prompts(config.model, texts)
    scorer.check_measures(config.alignment, config.quality)


def scenarios_in_words(experiment: Experiment) -> str:
    """Say how many of the scenarios of the prompts take part, and how all of them would."""
    chosen, everything = len(experiment.scenarios), len(experiment.config.prompts.entries or ())
    return f"{chosen}" if chosen == everything else f"{chosen} of {everything} scenarios; scenarios=null takes all"
