"""From a table of scores to auctions and metrics; the same for a run of our own and for recorded scores."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from diffusion_auction.bids import Bids
from diffusion_auction.evaluation.bootstrap import number
from diffusion_auction.evaluation.monotonicity import auctioned, curve, monotonicity
from diffusion_auction.evaluation.scores import (
    ScorePools,
    bid_vectors,
    count_agents,
    distinct_images,
    numbered,
    pools_of,
    validate_scores,
)
from diffusion_auction.evaluation.welfare import BASELINE, welfare_gain
from diffusion_auction.mechanisms import Mechanism, MissingPoolError

__all__ = ["evaluate", "pools_of", "run_auctions", "validate_scores"]


def run_auctions(scores: pd.DataFrame, mechanism: Mechanism, bids: Sequence[Bids] | None = None) -> pd.DataFrame:
    """One row of auctions.parquet per scenario and bid vector: each of `bids`, by default all of `scores`.

    Columns: scenario, bid_1…n, mechanism, chosen_bid_1…n (normalised bids of the pool that the image came
    from), chosen_sample, welfare, alignment_, value_, payment_ and utility_1…n, revenue. An auction that
    lacks a pool is left out; `auctions` of `evaluate` counts them.
    """
    n = count_agents(scores)
    pools: dict[Hashable, ScorePools] = {}
    rows = []
    for scenario, submitted in bid_vectors(scores, bids):
        if scenario not in pools:
            pools[scenario] = pools_of(scores, scenario)
        try:
            rows.append((scenario, *_auction(mechanism, submitted, pools[scenario])))
        except MissingPoolError:
            continue
    columns = ["scenario", *numbered("bid", n), "mechanism", *numbered("chosen_bid", n)]
    columns += ["chosen_sample", "welfare"]
    for prefix in ("alignment", "value", "payment", "utility"):
        columns += numbered(prefix, n)
    return pd.DataFrame(rows, columns=[*columns, "revenue"])


def _auction(mechanism: Mechanism, bids: Bids, pools: ScorePools) -> tuple[Any, ...]:
    sold = mechanism.run(bids, pools)
    sample = int(pools.samples(sold.chosen_bids)[sold.chosen_sample])  # recorded pools may lack a sample
    per_agent = np.concatenate([sold.alignments, sold.values, sold.payments, sold.utilities]).tolist()
    return (*bids, mechanism.name, *sold.chosen_bids, sample, sold.welfare, *per_agent, sold.revenue)


def evaluate(
    scores: pd.DataFrame, mechanism: Mechanism, seed: int = 0, bids: Sequence[Bids] | None = None
) -> dict[str, Any]:
    """The parts of metrics.json that scores alone give: monotonicity, welfare, and quality if it was scored.

    `bids` are those to auction, by default all of the table; monotonicity and quality take every image.
    `auctions` counts those that `run_auctions` makes and those that lack a pool. Raises `RequestError` for a
    table that `validate_scores` refuses. The same `seed` gives the same intervals.
    """
    validate_scores(scores)
    n_auctions, n_run = len(bid_vectors(scores, bids)), len(run_auctions(scores, mechanism, bids))
    metrics: dict[str, Any] = {
        "auctions": {"n": n_run, "left_out": n_auctions - n_run},
        "monotonicity": monotonicity(scores, seed),
        "welfare": {"baseline": BASELINE.name, mechanism.name: welfare_gain(scores, mechanism, seed, bids)},
    }
    if "quality" in scores and scores["quality"].notna().any():
        metrics["quality"] = _quality(distinct_images(scores), seed)
    return metrics


def _quality(images: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Mean quality against each agent's normalised bid, and that of the base prompt's images as reference."""
    sold = auctioned(images)
    base = images.drop(index=sold.index)["quality"].mean()
    return {
        "by_normalized_bid": [
            {"agent": i, **point}
            for i in range(1, count_agents(images) + 1)
            for point in curve(sold, f"normalized_bid_{i}", "quality", seed)
        ],
        "base_only": number(base),
    }
