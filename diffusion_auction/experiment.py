"""The actions of the command line: plan, run and report, from a checked configuration to a run directory."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import asdict, dataclass
from itertools import chain, product
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table

from diffusion_auction import bids as bidding
from diffusion_auction.compositions import COMPOSITIONS
from diffusion_auction.config import (
    ANOTHER,
    ExperimentConfig,
    PromptsConfig,
    check_words,
    choose_scenarios,
    experiment_bids,
    experiment_mechanism,
    identity,
    read_config,
    read_prompts,
)
from diffusion_auction.evaluation.evaluate import BASELINE, evaluate, run_auctions
from diffusion_auction.evaluation.scores import Scores, check_scores, numbered
from diffusion_auction.finished import check_finished, check_images, is_of, read_outcomes, read_scores
from diffusion_auction.mechanisms import Mechanism, side_by_side
from diffusion_auction.plan import Plan, columns, make_plan, row_values
from diffusion_auction.scenarios import Scenario
from experiments.run_directory import (
    from_stored,
    read_provenance,
    read_run,
    run_directory,
    write_json,
    write_provenance,
    write_table,
)
from experiments.stored import DamagedFileError, read_table
from experiments.terminal import plain_console
from launchers import check_launcher, fan_out
from launchers.provenance import provenance
from launchers.status import write_manifest

_OUT = plain_console(soft_wrap=True)


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
        return Path(self.config.run_dir)


def prepare(config: ExperimentConfig) -> Experiment:
    """Check what the schema alone cannot, and plan. Raises `RequestError`.

    Prompts read from a file become entries of the configuration: what is stored no longer needs the file, and a file
    that changed is another configuration.
    """
    everything = read_prompts(config.prompts)
    prompts = PromptsConfig(path=None, entries=[scenario.entry() for scenario in everything])
    config = config.model_copy(update={"prompts": prompts})
    scenarios = choose_scenarios(everything, config.scenarios)
    bids = experiment_bids(config, next(iter(scenarios.values())).n_agents)
    mechanism = experiment_mechanism(config, len(bids[0]))

    def pools(vector: bidding.Bids) -> Iterable[bidding.Bids]:
        return chain(mechanism.pools(vector), BASELINE.pools(vector))

    compose = COMPOSITIONS[config.composition.name]
    plan = make_plan(
        scenarios, bids, pools, compose, samples=config.samples, steps=config.model.steps, seed=config.seed
    )
    check_words(config, scenarios, plan.coalitions)
    return Experiment(config, scenarios, bids, mechanism, plan)


def show_plan(experiment: Experiment) -> None:
    """Print what the run would make and cost; nothing is generated or written."""
    plan, config = experiment.plan, experiment.config
    table = Table(title=f"plan of {config.name}", show_header=False)
    for label, value in {
        "scenarios": _scenarios(experiment),
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
        own = {ratio for b in experiment.bids for ratio in map(bidding.normalized, mechanism.pools(b))}
        images = plan.images[ratios.isin(own)]
        bill = f"{len(own):,} compositions, {len(images):,} images, {images['sample_passes'].sum():,} sample passes"
        table.add_row(f"of these {mechanism.name} needs", bill)
    _OUT.print(table)
    _OUT.print(f"run_dir  {config.run_dir}")


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
        page = _write_report(experiment, run_dir, samples, scores, auctions, metrics)
    _show_outcome(experiment, auctions, samples, metrics, page)


def report(run_dir: Path, stored: dict[str, Any]) -> None:
    """Figures and page again from what `run_dir` stores; `stored` is its configuration. Raises `RequestError`."""
    with from_stored(run_dir):
        tree = {key: value for key, value in stored.items() if key != "identity"}
        experiment = prepare(read_config(tree | {"run_dir": str(run_dir)}))
    check_finished(run_dir, "samples.parquet")
    samples = read_table(run_dir / "samples.parquet", ("sha256",))
    if not is_of(samples, experiment.plan.images):
        raise DamagedFileError(run_dir / "samples.parquet", "its images are not those that config.yaml plans")
    check_images(run_dir, samples)
    scores = read_scores(run_dir)
    auctions, metrics = read_outcomes(run_dir, scores, experiment.mechanism, experiment.bids)
    if not _scored(scores) <= _asked(experiment) or metrics["left_out"] != [asdict(item) for item in scores.left_out]:
        raise DamagedFileError(run_dir / "scores.parquet", "its rows are not those that metrics.json is of")
    page = _write_report(experiment, run_dir, samples, scores.rows, auctions, metrics)
    _OUT.print(f"report   {page}")


def _asked(experiment: Experiment) -> set[tuple[Hashable, ...]]:
    """Scenario, bids and sample of each row that scores.parquet should have."""
    vectors, samples = experiment.plan.vectors, range(experiment.config.samples)
    return {(scenario, *vector, sample) for scenario, vector, sample in product(experiment.scenarios, vectors, samples)}


def _scored(scores: Scores) -> set[tuple[Hashable, ...]]:
    """The same of the rows that it has."""
    keys = scores.rows[["scenario", *numbered("bid", scores.n_agents), "sample"]]
    return set(keys.itertuples(index=False, name=None))


def check_possible(experiment: Experiment) -> None:
    """Refuse what cannot be run before any image is made, any worker is queued or anything is written.

    Weights are to be had and read the prompts, measures load, the launcher and the devices are there. Where all is
    scored nothing is asked. Raises `RequestError` and `LaunchError`.
    """
    config, coalitions = experiment.config, experiment.plan.coalitions
    if config.images_from is not None:
        read_run(Path(config.images_from), key="images_from")
    if (experiment.run_dir / "scores.parquet").exists():
        return
    check_launcher(config.launcher, experiment.run_dir)
    from diffusion_auction.fetch import check_fetched  # the hub's library, only where images are made
    from diffusion_auction.weights import check_pipeline

    check_pipeline(config.model.weights)
    check_fetched(config)
    from diffusion_auction import generate as work  # and torch
    from diffusion_auction.loading import check_prompts

    if config.launcher.name not in ("slurm", "external"):  # whose nodes have devices that this host may lack
        work.check_devices(config.model, config.alignment)
    texts = (scenario.coalition_prompt(part) for scenario in experiment.scenarios.values() for part in coalitions)
    check_prompts(config.model, texts)
    work.check_measures(config.alignment, config.quality)


def _make_and_score(experiment: Experiment, run_dir: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables `samples` and `scores`, after making and scoring what is not yet there."""
    from diffusion_auction import generate as work  # torch, only where images are made

    config, images = experiment.config, experiment.plan.images
    made = work.generation_shards(images, experiment.scenarios, config.composition.name, config.model)
    folder = run_dir / work.GENERATE
    write_manifest(folder, [shard.key for shard in made])
    missing = work.unfinished(made, run_dir)
    if config.images_from is not None:
        missing = work.take_over(missing, Path(config.images_from), run_dir)
    fan_out(
        lambda: work.Generator(config.model, run_dir, config.launcher.stage_dir),
        missing,
        folder,
        what="making images",
        launcher=config.launcher,
    )

    scored = work.scoring_shards(images, experiment.scenarios, config.alignment, config.quality, run_dir, made)
    folder = run_dir / work.SCORE
    write_manifest(folder, [shard.key for shard in scored])
    missing = work.unscored(scored, run_dir)
    fan_out(
        lambda: work.Scorer(config.alignment, config.quality, run_dir),
        missing,
        folder,
        what="scoring",
        launcher=config.launcher,
    )

    marks = [(shard, work.made_of(run_dir, shard)) for shard in made]
    samples = images.assign(
        sha256=[digest for _, mark in marks if mark for digest in mark.sha256],
        seconds=[mark.seconds for shard, mark in marks if mark for _ in range(shard.size)],
    )
    results = [mark for shard in scored if (mark := work.scored_of(run_dir, shard))]
    alignments = [values for mark in results for values in mark.alignments]
    quality = [value for mark in results for value in mark.quality]
    return samples, _scores(experiment, samples, alignments, quality)


def _scores(
    experiment: Experiment, samples: pd.DataFrame, alignments: list[list[float]], quality: list[float]
) -> pd.DataFrame:
    """One row per (scenario, bid vector as submitted, sample): bid vectors of one ratio share their images."""
    scored = {
        (row["scenario"], row_values(row, "normalized_bid"), row["sample"]): (values, score)
        for row, values, score in zip(samples.to_dict("records"), alignments, quality, strict=True)
    }
    rows = []
    for scenario in experiment.scenarios:
        for vector in experiment.plan.vectors:
            for sample in range(experiment.config.samples):
                (*own, base), score = scored[scenario, bidding.normalized(vector), sample]
                rows.append(
                    {
                        "scenario": scenario,
                        "sample": sample,
                        **columns("bid", vector),
                        **columns("alignment", own),
                        "alignment_base": base,
                        "quality": score,
                    }
                )
    return pd.DataFrame(rows)


def _settle(experiment: Experiment, samples: pd.DataFrame, table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The auctions under every mechanism, that of the run first, and the metrics."""
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
    """What was made from which words: the log that users of the paper's scripts know."""
    return {
        "scenarios": {f"prompt_{number:03d}": scenario.entry() for number, scenario in experiment.scenarios.items()},
        "model": experiment.config.model.model_dump(mode="json"),
        "images": samples.drop(columns=["coalitions", "weights", "seconds"]).to_dict("records"),
    }


def _write_report(
    experiment: Experiment,
    run_dir: Path,
    samples: pd.DataFrame,
    scores: pd.DataFrame,
    auctions: pd.DataFrame,
    metrics: dict[str, Any],
) -> Path:
    from diffusion_auction.report import write_report

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


def _show_outcome(
    experiment: Experiment, auctions: pd.DataFrame, samples: pd.DataFrame, metrics: dict[str, Any], page: Path
) -> None:
    """Print the auctions of a small run one by one, of a sweep the gain; then where to look."""
    own = auctions[auctions["mechanism"] == experiment.mechanism.name]
    if len(own) <= 12:
        for auction in own.to_dict("records"):
            _OUT.print(_auction_table(experiment.scenarios[auction["scenario"]], auction))
            _OUT.print(f"image    {experiment.run_dir / _sold(auction, samples)}")
    show_gain(metrics, experiment.mechanism)
    if len(experiment.scenarios) < len(experiment.config.prompts.entries or ()):
        _OUT.print(f"prompts  {_scenarios(experiment)}")
    _OUT.print(f"report   {page}")


def _scenarios(experiment: Experiment) -> str:
    """Say how many of the scenarios of the prompts take part, and how all of them would."""
    chosen, everything = len(experiment.scenarios), len(experiment.config.prompts.entries or ())
    return f"{chosen}" if chosen == everything else f"{chosen} of {everything} scenarios; scenarios=null takes all"


def show_gain(metrics: dict[str, Any], mechanism: Mechanism) -> None:
    """Print how far `mechanism` beats the baseline, if it is another and there is something to compare."""
    gain = metrics["welfare"].get(mechanism.name)
    if gain and gain["relative_gain_mean"] is not None:
        _OUT.print(
            f"welfare  {gain['relative_gain_mean']:+.1%} over the single winner "
            f"(95 % interval {gain['ci_low']:+.1%} to {gain['ci_high']:+.1%}, "
            f"{gain['n']} auction{'' if gain['n'] == 1 else 's'})"
        )


def _auction_table(scenario: Scenario, auction: dict[str, Any]) -> Table:
    table = Table(title=f"{scenario.base_prompt} ({auction['mechanism']})")
    for heading in ("agent", "bid", "alignment", "value", "payment", "utility"):
        table.add_column(heading, justify="left" if heading == "agent" else "right")
    for i, prompt in enumerate(scenario.agent_prompts, start=1):
        figures = [auction[f"{name}_{i}"] for name in ("alignment", "value", "payment", "utility")]
        table.add_row(prompt, f"{auction[f'bid_{i}']:g}", *(f"{value:.4f}" for value in figures))
    table.caption = f"welfare {auction['welfare']:.4f}, revenue {auction['revenue']:.4f}"
    return table


def _sold(auction: dict[str, Any], samples: pd.DataFrame) -> str:
    """The path, below the run directory, of the image that `auction` sold."""
    chosen = row_values(auction, "chosen_bid")
    for row in samples[samples["scenario"] == auction["scenario"]].to_dict("records"):
        if row["sample"] == auction["chosen_sample"] and row_values(row, "normalized_bid") == chosen:
            return row["path"]
    raise LookupError(f"no image for {auction}")
