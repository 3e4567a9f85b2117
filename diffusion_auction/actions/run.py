"""`action=run`: make the images, score them, hold the auctions, evaluate and report."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table

from diffusion_auction.actions.experiment import Experiment, check_possible, scenarios_in_words
from diffusion_auction.actions.report import write_run_report
from diffusion_auction.columns import columns, row_values
from diffusion_auction.config import ANOTHER, identity
from diffusion_auction.evaluation.evaluate import evaluate, run_auctions
from diffusion_auction.evaluation.metrics import Metrics
from diffusion_auction.evaluation.scores import check_scores
from diffusion_auction.figures import image_paths, sold_image
from diffusion_auction.generation.plan import planned_images
from diffusion_auction.market import bids as bidding
from diffusion_auction.market.compositions import COMPOSITIONS
from diffusion_auction.market.scenarios import Scenario
from diffusion_auction.mechanisms import Mechanism, side_by_side
from generative_auctions.files import write_json, write_table
from generative_auctions.provenance import provenance
from generative_auctions.run_directory import run_directory, write_provenance
from generative_auctions.terminal import plain_console
from launchers import fan_out, write_manifest

_OUT = plain_console(soft_wrap=True)


def run(experiment: Experiment) -> None:
    """Generate what is missing, score it, hold the auctions, evaluate and report."""
    config = experiment.config
    resolved = config.model_dump(mode="json")
    check_possible(experiment)
    with run_directory(experiment.run_dir, resolved, identity(config), ANOTHER) as run_dir:
        begun = (run_dir / "plan.parquet").exists()
        write_provenance(run_dir, provenance(config.seed), first=not begun)
        write_table(experiment.plan.images, run_dir / "plan.parquet")
        samples, scores = _make_and_score(experiment, run_dir)
        auctions, metrics = _settle(experiment, samples, scores)
        for table, name in ((samples, "samples"), (scores, "scores"), (auctions, "auctions")):
            write_table(table, run_dir / f"{name}.parquet")
        write_json(metrics, run_dir / "metrics.json")
        write_json(_generation_log(experiment, samples), run_dir / "generation_log.json")
        page = write_run_report(experiment, run_dir, samples, scores, auctions, metrics)
    _show_outcome(experiment, auctions, samples, metrics, page)


def _make_and_score(experiment: Experiment, run_dir: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make and score what is not yet there and return the tables `samples` and `scores`."""
    from diffusion_auction.generation import generator  # torch, only where images are made
    from diffusion_auction.scoring import scorer

    config, images = experiment.config, experiment.plan.images
    made = generator.generation_shards(images, experiment.scenarios, config.composition.name, config.model)
    folder = run_dir / generator.GENERATE
    write_manifest(folder, [shard.key for shard in made])
    missing = generator.unfinished(made, run_dir)
    if config.images_from is not None:
        missing = generator.take_over(missing, Path(config.images_from), run_dir)
    fan_out(
        lambda: generator.Generator(config.model, run_dir, config.launcher.stage_dir),
        missing,
        folder,
        what="making images",
        launcher=config.launcher,
    )

    scored = scorer.scoring_shards(images, experiment.scenarios, config.alignment, config.quality, run_dir, made)
    folder = run_dir / scorer.SCORE
    write_manifest(folder, [shard.key for shard in scored])
    missing = scorer.unscored(scored, run_dir)
    fan_out(
        lambda: scorer.Scorer(config.alignment, config.quality, run_dir),
        missing,
        folder,
        what="scoring",
        launcher=config.launcher,
    )

    marks = [(shard, generator.made_of(run_dir, shard)) for shard in made]
    samples = images.assign(
        sha256=[digest for _, mark in marks if mark for digest in mark.sha256],
        seconds=[mark.seconds for shard, mark in marks if mark for _ in range(shard.size)],
    )
    results = [mark for shard in scored if (mark := scorer.scored_of(run_dir, shard))]
    alignments = [values for mark in results for values in mark.alignments]
    quality = [value for mark in results for value in mark.quality]
    return samples, _scores(experiment, samples, alignments, quality)


def _scores(
    experiment: Experiment, samples: pd.DataFrame, alignments: list[list[float]], quality: list[float]
) -> pd.DataFrame:
    """Return one row per (scenario, bid vector as submitted, sample): bid vectors of one ratio share their images."""
    scored = {
        (image.scenario, image.bids, image.sample): (values, score)
        for image, values, score in zip(planned_images(samples), alignments, quality, strict=True)
    }
    rows = []
    every = product(experiment.scenarios, experiment.plan.vectors, range(experiment.config.samples))
    for scenario, vector, sample in every:
        (*own, base), score = scored[scenario, bidding.normalized(vector), sample]
        row = {"scenario": scenario, "sample": sample, **columns("bid", vector), **columns("alignment", own)}
        rows.append({**row, "alignment_base": base, "quality": score})
    return pd.DataFrame(rows)


def _settle(experiment: Experiment, samples: pd.DataFrame, table: pd.DataFrame) -> tuple[pd.DataFrame, Metrics]:
    """Hold the auctions under every mechanism, that of the run first, and compute the metrics."""
    scores, mechanisms = check_scores(table), side_by_side(experiment.mechanism)
    compose = COMPOSITIONS[experiment.config.composition.name]
    auctions = run_auctions(scores, mechanisms, experiment.bids)
    metrics = evaluate(
        scores, mechanisms, experiment.config.seed, experiment.bids, branches=lambda bids: len(compose(bids))
    )
    metrics["cost"] = {
        "images": len(samples),
        "sample_passes": int(samples["sample_passes"].sum()),
        "sample_passes_naive": experiment.plan.sample_passes_naive,
    }
    return auctions, metrics


def _generation_log(experiment: Experiment, samples: pd.DataFrame) -> dict[str, Any]:
    """Return what was made from which words: the log that users of the paper's scripts know."""
    return {
        "scenarios": {f"prompt_{number:03d}": scenario.entry() for number, scenario in experiment.scenarios.items()},
        "model": experiment.config.model.model_dump(mode="json"),
        "images": samples.drop(columns=["coalitions", "weights", "seconds"]).to_dict("records"),
    }


def _show_outcome(
    experiment: Experiment, auctions: pd.DataFrame, samples: pd.DataFrame, metrics: Metrics, page: Path
) -> None:
    """Print the auctions of a small run one by one, of a sweep the gain; then where to look."""
    own = auctions[auctions["mechanism"] == experiment.mechanism.name]
    if len(own) <= 12:
        paths = image_paths(samples)
        for auction in own.to_dict("records"):
            _OUT.print(_auction_table(experiment.scenarios[auction["scenario"]], auction))
            _OUT.print(f"image    {experiment.run_dir / paths[sold_image(auction)]}")
    show_gain(metrics, experiment.mechanism)
    if len(experiment.scenarios) < len(experiment.config.prompts.entries or ()):
        _OUT.print(f"prompts  {scenarios_in_words(experiment)}")
    _OUT.print(f"report   {page}")


def show_gain(metrics: Metrics, mechanism: Mechanism) -> None:
    """Print how far `mechanism` beats the baseline, if it is another and there is something to compare."""
    gain = metrics["welfare"].get(mechanism.name)
    if gain and gain["relative_gain_mean"] is not None:
        _OUT.print(
            f"welfare  {gain['relative_gain_mean']:+.1%} over the single winner "
            f"(95 % interval {gain['ci_low']:+.1%} to {gain['ci_high']:+.1%}, "
            f"{gain['n']} auction{'' if gain['n'] == 1 else 's'})"
        )


def _auction_table(scenario: Scenario, auction: dict[str, Any]) -> Table:
    quantities = ("bid", "alignment", "value", "payment", "utility")
    table = Table("agent", title=f"{scenario.base_prompt} ({auction['mechanism']})")
    for heading in quantities:
        table.add_column(heading, justify="right")
    per_agent = zip(*(row_values(auction, name) for name in quantities), strict=True)
    for prompt, (bid, *others) in zip(scenario.agent_prompts, per_agent, strict=True):
        table.add_row(prompt, f"{bid:g}", *(f"{value:.4f}" for value in others))
    table.caption = f"welfare {auction['welfare']:.4f}, revenue {auction['revenue']:.4f}"
    return table
