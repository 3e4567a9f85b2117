"""`action=evaluate`: evaluate scores that were recorded elsewhere, without loading torch."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table

from diffusion_auction.actions import finished
from diffusion_auction.actions.run import show_gain
from diffusion_auction.config import ANOTHER, ExperimentConfig
from diffusion_auction.evaluation.evaluate import evaluate, run_auctions
from diffusion_auction.evaluation.metrics import Metrics
from diffusion_auction.evaluation.scores import LeftOut, Scores, check_scores, read_scores
from diffusion_auction.market.compositions import COMPOSITIONS
from diffusion_auction.mechanisms import Mechanism, side_by_side
from diffusion_auction.mechanisms.configured import experiment_mechanism
from generative_auctions.errors import RequestError
from generative_auctions.files import write_json, write_table
from generative_auctions.provenance import provenance
from generative_auctions.run_directory import from_stored, read_provenance, run_directory, write_provenance
from generative_auctions.schema import flat
from generative_auctions.terminal import plain_console

_OUT = plain_console(soft_wrap=True)


def read_recorded(config: ExperimentConfig) -> tuple[Path, Scores, Mechanism]:
    """Return the table `config.scores`, where it lies, and the mechanism for so many agents. Raises `RequestError`."""
    if config.scores is None:
        raise RequestError("scores", "null", "the path of a .csv or .parquet table of scores")
    path = Path(config.scores)
    scores = check_scores(read_scores(path))
    return path, scores, experiment_mechanism(config, scores.n_agents)


def evaluate_recorded(config: ExperimentConfig) -> None:
    """Evaluate the table `config.scores`, whose bids are those auctioned. Raises `RequestError`.

    Every mechanism is run, that of the configuration with its options. `composition` says what an image cost, for the
    comparison at equal sample passes; prompts, model and bids of the configuration have no part in it.
    """
    path, scores, mechanism = read_recorded(config)
    mechanisms, compose = side_by_side(mechanism), COMPOSITIONS[config.composition.name]
    resolved = config.model_dump(mode="json")
    identity = {
        "scores.sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "seed": config.seed,
        "composition": config.composition.name,
        **flat({"mechanism": resolved["mechanism"]}),
    }
    with run_directory(Path(config.run_dir), resolved, identity, ANOTHER) as run_dir:
        write_provenance(run_dir, provenance(config.seed), first=True)  # all is made anew
        write_table(scores.rows, run_dir / "scores.parquet")
        auctions = run_auctions(scores, mechanisms)
        write_table(auctions, run_dir / "auctions.parquet")
        metrics = evaluate(scores, mechanisms, config.seed, branches=lambda bids: len(compose(bids)))
        write_json(metrics, run_dir / "metrics.json")
        page = _write_report(run_dir, config, scores.rows, auctions, metrics)
    if scores.left_out:
        _OUT.print(_left_out(scores.left_out))
    show_gain(metrics, mechanism)
    _OUT.print(f"report   {page}")


def report_recorded(run_dir: Path, stored: dict[str, Any]) -> None:
    """Draw the figures and the page again from what `run_dir` stores; `stored` is its configuration.

    Raises `RequestError`.
    """
    with from_stored(run_dir):
        config = finished.read_stored(run_dir, stored)
    finished.check_finished(run_dir)
    scores = finished.read_scores(run_dir)
    with from_stored(run_dir):
        mechanism = experiment_mechanism(config, scores.n_agents)
    auctions, metrics = finished.read_outcomes(run_dir, scores, mechanism)
    _OUT.print(f"report   {_write_report(run_dir, config, scores.rows, auctions, metrics)}")


def _write_report(
    run_dir: Path, config: ExperimentConfig, scores: pd.DataFrame, auctions: pd.DataFrame, metrics: Metrics
) -> Path:
    from diffusion_auction.report.page import write_report  # matplotlib, only where figures are drawn

    settings = {
        "name": config.name,
        "scores": Path(config.scores or "").name,
        "scenarios": scores["scenario"].nunique(),
        "mechanism": config.mechanism.name,
        "seed": config.seed,
        "evaluated": read_provenance(run_dir)["time"],
    }
    return write_report(
        run_dir, scenarios=None, samples=None, scores=scores, auctions=auctions, metrics=metrics, settings=settings
    )


def _left_out(items: tuple[LeftOut, ...]) -> Table:
    table = Table("where", "found", title="what was left out", title_justify="left")
    table.add_column("count", justify="right")
    table.add_column("consequence")
    for item in items:
        table.add_row(item.where, item.found, str(item.count), item.consequence)
    return table
