"""`action=plan`: what a run would make and cost."""

from __future__ import annotations

from rich.table import Table

from diffusion_auction.actions.experiment import Experiment, scenarios_in_words
from diffusion_auction.evaluation.evaluate import BASELINE
from diffusion_auction.market import bids as bidding
from generative_auctions.terminal import plain_console

_OUT = plain_console(soft_wrap=True)


def show_plan(experiment: Experiment) -> None:
    """Print what the run would make and cost. Nothing is generated or written."""
    plan, config = experiment.plan, experiment.config
    table = Table(title=f"plan of {config.name}", show_header=False)
    for label, value in {
        "scenarios": scenarios_in_words(experiment),
        "bid vectors": len(experiment.bids),
        "compositions": len(plan.images) // (len(experiment.scenarios) * config.samples),
        "samples of each (k)": config.samples,
        "images": len(plan.images),
        "sample passes": plan.sample_passes,
        "sample passes, naive": plan.sample_passes_naive,
    }.items():
        table.add_row(label, value if isinstance(value, str) else f"{value:,}")
    ratios = plan.images.filter(regex=r"^normalized_bid_").apply(tuple, axis=1)
    for mechanism in dict.fromkeys((experiment.mechanism, BASELINE)):
        own = {ratio for b in experiment.bids for ratio in map(bidding.normalized, mechanism.required_bids(b))}
        images = plan.images[ratios.isin(own)]
        bill = f"{len(own):,} compositions, {len(images):,} images, {images['sample_passes'].sum():,} sample passes"
        table.add_row(f"of these {mechanism.name} needs", bill)
    _OUT.print(table)
    _OUT.print(f"run_dir  {config.run_dir}")
