"""`action=report`: draw the figures and the page of a finished run again from what it stored."""

from __future__ import annotations

from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from diffusion_auction.actions.experiment import Experiment, prepare
from diffusion_auction.actions.finished import (
    check_finished,
    check_images,
    is_of,
    read_outcomes,
    read_scores,
    read_stored,
)
from diffusion_auction.columns import numbered
from diffusion_auction.evaluation.metrics import Metrics
from diffusion_auction.report.page import write_report
from generative_auctions.files import DamagedFileError, read_table
from generative_auctions.run_directory import from_stored, read_provenance
from generative_auctions.terminal import plain_console

_OUT = plain_console(soft_wrap=True)


def report(run_dir: Path, stored: dict[str, Any]) -> None:
    """Draw the figures and the page again from what `run_dir` stores; `stored` is its configuration.

    Raises `RequestError`.
    """
    with from_stored(run_dir):
        experiment = prepare(read_stored(run_dir, stored))
    check_finished(run_dir, "samples.parquet")
    samples = read_table(run_dir / "samples.parquet", ("sha256",))
    if not is_of(samples, experiment.plan.images):
        raise DamagedFileError(run_dir / "samples.parquet", "its images are not those that config.yaml plans")
    check_images(run_dir, samples)
    scores = read_scores(run_dir)
    auctions, metrics = read_outcomes(run_dir, scores, experiment.mechanism, experiment.bids)
    planned = product(experiment.scenarios, experiment.plan.vectors, range(experiment.config.samples))
    asked = {(scenario, *vector, sample) for scenario, vector, sample in planned}
    scored = scores.rows[["scenario", *numbered("bid", scores.n_agents), "sample"]].itertuples(index=False, name=None)
    if not asked.issuperset(scored) or metrics["left_out"] != [asdict(item) for item in scores.left_out]:
        raise DamagedFileError(run_dir / "scores.parquet", "its rows are not those that metrics.json is of")
    page = write_run_report(experiment, run_dir, samples, scores.rows, auctions, metrics)
    _OUT.print(f"report   {page}")


def write_run_report(
    experiment: Experiment,
    run_dir: Path,
    samples: pd.DataFrame,
    scores: pd.DataFrame,
    auctions: pd.DataFrame,
    metrics: Metrics,
) -> Path:
    """Write the figures and the page of `experiment` from its tables and return the page's path."""
    config = experiment.config
    settings = {
        "name": config.name,
        "model": config.model.name,
        "alignment": f"{config.alignment.name}, {config.alignment.measure}",
        "quality": config.quality.name,
        "composition": config.composition.name,
        "mechanism": config.mechanism.name,
        "samples (k)": config.samples,
        "steps": config.model.steps,
        "seed": config.seed,
        "made": read_provenance(run_dir)["time"],
    }
    return write_report(
        run_dir,
        scenarios=experiment.scenarios,
        scores=scores,
        auctions=auctions,
        samples=samples,
        metrics=metrics,
        settings=settings,
    )
