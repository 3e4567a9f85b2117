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
"""Numbers of samples that figures by k show, as far as there are so many."""


def run_auctions(scores: Scores, mechanisms: Sequence[Mechanism], bids: Sequence[Bids] | None = None) -> pd.DataFrame:
    """Hold the auctions of auctions.parquet: a row per mechanism, scenario and bid vector.

    The bid vectors are each of `bids`, or by default all of `scores`.

    Columns: scenario, bid_1…n, mechanism, chosen_bid_1…n (normalised bids of the pool that the image came
    from), chosen_sample, welfare, alignment_, value_, payment_ and utility_1…n, revenue. An auction that lacks a pool
    for its image is left out; one that lacks a pool for a payment has NaN there.
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
    """Compute metrics.json but for the cost of making the images.

    `bids` are those to auction, by default all of the table; monotonicity and quality take every image. `branches`
    says how many sample passes a step of the composition of some bids takes; with it mechanisms are also compared at
    equal cost. The same `seed` gives the same intervals. What could not be used is stated in `left_out`.
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
