"""From a table of scores to auctions and metrics; the same for a run of our own and for recorded scores."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from diffusion_auction.columns import numbered
from diffusion_auction.evaluation.equal_cost import Branches, equal_cost
from diffusion_auction.evaluation.mechanism_metrics import MechanismMetrics, draws_by_k
from diffusion_auction.evaluation.metrics import Metrics
from diffusion_auction.evaluation.monotonicity import monotonicity
from diffusion_auction.evaluation.quality import quality
from diffusion_auction.evaluation.scores import Scores, auction_bids
from diffusion_auction.market.bids import Bids
from diffusion_auction.mechanisms import CandidatePool, Mechanism, Outcomes, SingleWinner

BASELINE = SingleWinner()
KS = (1, 5, 10, 25, 50, 100)
"""The numbers of samples at which figures show a quantity, as far as there are that many samples."""


def run_auctions(scores: Scores, mechanisms: Sequence[Mechanism], bids: Sequence[Bids] | None = None) -> pd.DataFrame:
    """Hold an auction at every bid vector of every scenario, under each mechanism.

    Args:
        scores: the checked score table, from `check_scores`.
        mechanisms: the mechanisms to compare, for example `[VCG(), VCGPool()]`.
        bids: the bid vectors to auction, each of n bids ≥ 0; default, all of the table.

    Returns:
        The table auctions.parquet, one row per mechanism, scenario and bid vector. Columns: scenario, bid_1…n,
        mechanism, chosen_bid_1…n (the normalised bids of the pool that the image came from), chosen_sample, welfare,
        alignment_1…n, value_1…n, payment_1…n, utility_1…n and revenue. An auction without images to choose from has
        no row. A payment is NaN if a pool that it needs is missing.
    """
    parts = []
    for mechanism in mechanisms:
        for scenario, vectors in auction_bids(scores, bids).items():
            pools = scores.pools(scenario)
            parts.append(_table(scenario, mechanism.name, mechanism.run(vectors, pools), pools))
    return pd.concat(parts, ignore_index=True)


def _table(scenario: Hashable, name: str, outcomes: Outcomes, pools: CandidatePool) -> pd.DataFrame:
    held = outcomes.sold.block[0] >= 0
    n = pools.n_agents
    columns: dict[str, Any] = {"scenario": [scenario] * int(held.sum())}

    def add(prefix: str, values: np.ndarray) -> None:
        columns.update(zip(numbered(prefix, n), values.T, strict=True))

    add("bid", outcomes.bids[held])
    columns["mechanism"] = name
    add("chosen_bid", pools.ratios[outcomes.sold.block[0, held]])
    columns["chosen_sample"] = pools.samples[outcomes.sold.place[0, held]]
    columns["welfare"] = outcomes.sold.welfare[0, held]
    add("alignment", outcomes.sold.alignments[0, held])
    add("value", outcomes.values[0, held])
    add("payment", outcomes.payments[0, held])
    add("utility", outcomes.utilities[0, held])
    columns["revenue"] = outcomes.revenue[0, held]
    return pd.DataFrame(columns)


def evaluate(
    scores: Scores,
    mechanisms: Sequence[Mechanism],
    seed: int = 0,
    bids: Sequence[Bids] | None = None,
    branches: Branches | None = None,
) -> Metrics:
    """Compute the metrics of all mechanisms: everything in metrics.json except the cost of generation.

    Args:
        scores: the checked score table, from `check_scores`.
        mechanisms: the mechanisms to compare; the first is the run's own.
        seed: of the bootstrap; the same seed gives the same intervals.
        bids: the bid vectors to auction, each of n bids ≥ 0; default, all of the table. Monotonicity and quality use
            every image of the table in either case.
        branches: maps bids to the sample passes of one denoising step. If given, mechanisms are also compared at
            equal cost.

    Returns:
        The metrics, with 95 % bootstrap intervals. `left_out` lists what could not be used, and why.
    """
    vectors = auction_bids(scores, bids)
    most = int(scores.rows["sample"].max()) + 1
    ks = [*(k for k in KS if k < most), most]
    measured = {mechanism.name: MechanismMetrics(ks) for mechanism in mechanisms}
    for scenario, asked in vectors.items():
        pools = scores.pools(scenario)
        pools = pools.drawn(draws_by_k(pools.samples, ks, seed))
        baseline = BASELINE.run(asked, pools)
        for mechanism in mechanisms:
            outcomes = baseline if mechanism == BASELINE else mechanism.run(asked, pools)
            measured[mechanism.name].add(scenario, outcomes, baseline)
    metrics: Any = {
        "monotonicity": monotonicity(scores.rows, seed),
        "welfare": {
            "baseline": BASELINE.name,
            **{name: own.welfare(seed) for name, own in measured.items() if name != BASELINE.name},
        },
        "truthfulness": {name: own.truthfulness(seed) for name, own in measured.items()},
        "revenue": {name: own.revenue(seed) for name, own in measured.items()},
    }
    if branches is not None:
        metrics["equal_cost"] = equal_cost(scores, vectors, mechanisms, branches, seed)
    if "quality" in scores.rows and scores.rows["quality"].notna().any():
        metrics["quality"] = quality(scores.rows, seed)
    metrics["left_out"] = [asdict(item) for item in scores.left_out]
    whole: Metrics = metrics
    return whole
