"""Metrics against numbers worked by hand from small tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffusion_auction.bids import Bids, grid, normalized
from diffusion_auction.errors import RequestError
from diffusion_auction.evaluation.bootstrap import mean_interval, nested_interval, number, resample
from diffusion_auction.evaluation.evaluate import evaluate, pools_of, run_auctions, validate_scores
from diffusion_auction.evaluation.monotonicity import monotonicity
from diffusion_auction.evaluation.scores import distinct_images
from diffusion_auction.evaluation.welfare import welfare_gain
from diffusion_auction.mechanisms import VCG, MissingPoolError, SingleWinner


def table(rows: Mapping[tuple[int, Bids], list[list[float]]], **more: Any) -> pd.DataFrame:
    """A score table from the alignments of each (scenario, bids), one per sample."""
    return pd.DataFrame(
        [
            {
                "scenario": scenario,
                "sample": sample,
                **{f"bid_{i}": bid for i, bid in enumerate(bids, 1)},
                **{f"alignment_{i}": value for i, value in enumerate(alignments, 1)},
                **more,
            }
            for (scenario, bids), images in rows.items()
            for sample, alignments in enumerate(images)
        ]
    )


ONE_HOTS = {(0, (1.0, 0.0)): [[0.4, 0.1], [0.3, 0.1]], (0, (0.0, 1.0)): [[0.1, 0.5], [0.1, 0.3]]}


def random_scores(scenarios: int = 2, k: int = 4, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = {}
    for scenario in range(scenarios):
        images: dict[Bids, list[list[float]]] = {}
        for bids in grid((0, 0.5, 1), (0, 0.5, 1)):
            images.setdefault(normalized(bids), rng.uniform(0.1, 0.5, (k, 2)).tolist())
            rows[scenario, bids] = images[normalized(bids)]
    return table(rows)


# --- the table -------------------------------------------------------------------------------------------


def test_pools_by_ratio() -> None:
    scores = table({**ONE_HOTS, (1, (0.2, 0.6)): [[0.1, 0.2]]})
    pools = pools_of(scores, 0)
    np.testing.assert_array_equal(pools((0.3, 0.0)), [[0.4, 0.1], [0.3, 0.1]])
    assert (0.2, 0.6) not in pools
    with pytest.raises(MissingPoolError, match=r"0\.2, 0\.6"):
        pools((0.2, 0.6))
    assert (0.1, 0.3) in pools_of(scores, 1)


def test_pool_is_in_sample_order() -> None:
    scores = table(ONE_HOTS).iloc[::-1]
    np.testing.assert_array_equal(pools_of(scores, 0)((1.0, 0.0)), [[0.4, 0.1], [0.3, 0.1]])


def test_rows_of_one_ratio_are_one_image() -> None:
    shared = {(0, (0.5, 0.5)): [[0.2, 0.3]], (0, (1.0, 1.0)): [[0.2, 0.3]]}
    assert len(distinct_images(table(shared))) == 1
    apart = {**shared, (0, (1.0, 1.0)): [[0.2, 0.4]]}  # recorded without common noise: two images
    assert len(pools_of(table(apart), 0)((3.0, 3.0))) == 2


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda t: t.drop(columns="bid_2"), "alignment_2|bid_2"),
        (lambda t: t.drop(columns="alignment_2"), "column alignment_2"),
        (lambda t: t.drop(columns=["bid_1", "bid_2"]), "column bid_1"),
        (lambda t: t.drop(columns="scenario"), "column scenario"),
        (lambda t: t.iloc[:0], "no rows"),
        (lambda t: t.assign(bid_1=[1, 1, -0.5, 0]), r"row 2, column bid_1 = -0\.5"),
        (lambda t: t.assign(alignment_1=[1, np.nan, 0, 0]), "row 1, column alignment_1 = nan"),
        (lambda t: t.assign(alignment_1=["a", 1, 0, 0]), "row 0, column alignment_1 = a"),
        (lambda t: t.assign(bid_2=[0, 0, 1, np.inf]), "row 3, column bid_2 = inf"),
    ],
)
def test_bad_tables_are_refused_by_name(change, named: str) -> None:
    validate_scores(table(ONE_HOTS))
    changed = change(table(ONE_HOTS))
    if "bid_2" not in changed and "bid_1" in changed:
        validate_scores(changed)  # a sound table of one agent, with a column more
        return
    with pytest.raises(RequestError, match=named):
        evaluate(changed, VCG())


# --- bootstrap -------------------------------------------------------------------------------------------


def test_resample_draws_scenarios_then_samples() -> None:
    scenarios = np.array([7, 3, 7, 7, 3])
    counts = resample(scenarios, np.random.default_rng(0), draws=4000)
    of_7, of_3 = counts[:, scenarios == 7].sum(axis=1), counts[:, scenarios == 3].sum(axis=1)
    assert set(zip(of_7.tolist(), of_3.tolist(), strict=True)) == {(6, 0), (3, 2), (0, 4)}
    assert counts.mean(axis=0) == pytest.approx(np.ones(5), abs=0.1)


def test_interval_has_its_level() -> None:
    """Of many normal samples of known mean, about 95 % have it in their interval."""
    rng, hits, n = np.random.default_rng(1), 0, 300
    for _ in range(n):
        values = rng.normal(0, 1, (40, 1))
        low, high = mean_interval(resample(np.zeros(40), rng, 300), values, np.ones((40, 1)))
        hits += int(low[0] <= 0 <= high[0])
    assert 0.89 <= hits / n <= 0.98


def test_nested_interval_is_about_the_estimate() -> None:
    rng = np.random.default_rng(0)
    low, high = nested_interval(rng.normal(5, 1, (3, 1000)), np.ones((3, 1000)), 7.0, rng)
    assert low < 7 < high
    assert high - low == pytest.approx(2 * 1.96 / np.sqrt(3), rel=0.1)


def test_number_is_json() -> None:
    assert (number(np.float64(1.5)), number(np.nan), number(-np.inf)) == (1.5, None, None)


# --- monotonicity ----------------------------------------------------------------------------------------


def test_monotonicity_by_hand() -> None:
    scores = table(
        {
            **{(0, (0.0, 0.0)): [[9.0, 9.0], [9.0, 9.0]], (0, (0.0, 1.0)): [[0.1, 0.5], [0.3, 0.5]]},
            **{(0, (1.0, 1.0)): [[0.4, 0.3], [0.2, 0.3]], (0, (0.5, 0.5)): [[0.4, 0.3], [0.2, 0.3]]},
            **{(0, (1.0, 0.0)): [[0.5, 0.1], [0.7, 0.1]], (1, (0.0, 1.0)): [[0.5, 0.2], [0.5, 0.2]]},
            **{(1, (1.0, 0.0)): [[0.4, 0.3], [0.4, 0.3]]},
        }
    )
    metrics = monotonicity(scores)
    first = metrics["agent_1"]
    assert [(p["normalized_bid"], p["n"]) for p in first["curve"]] == [(0.0, 4), (0.5, 2), (1.0, 4)]
    assert [p["mean"] for p in first["curve"]] == pytest.approx([1.4 / 4, 0.3, 2.0 / 4])
    assert first["spearman"] == pytest.approx(0.5)  # ranks 2, 1, 3
    assert (first["adjacent_pairs"], first["adjacent_violations"]) == (3, 1)  # .2 .3 .6; .5 .4
    second = metrics["agent_2"]
    assert [p["mean"] for p in second["curve"]] == pytest.approx([0.2, 0.3, 0.35])
    assert second["spearman"] == 1.0
    assert (second["adjacent_pairs"], second["adjacent_violations"]) == (3, 1)  # .1 .3 .5; .3 .2
    for point in first["curve"]:
        assert point["ci_low"] <= point["mean"] <= point["ci_high"]


def test_curve_interval_of_one_value_has_no_width() -> None:
    point = monotonicity(table({(s, (1.0, 0.0)): [[0.25, 0.1]] * 3 for s in range(2)}))["agent_1"]
    assert point["spearman"] is None
    assert point["curve"] == [{"normalized_bid": 1.0, "mean": 0.25, "ci_low": 0.25, "ci_high": 0.25, "n": 6}]


def test_flat_curve_has_no_rank_correlation() -> None:
    flat = {(0, bids): [[0.2, 0.2]] for bids in ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0))}
    assert monotonicity(table(flat))["agent_1"]["spearman"] is None


# --- welfare ---------------------------------------------------------------------------------------------


def test_relative_gain_by_hand() -> None:
    scores = table(
        {
            **ONE_HOTS,
            (0, (0.0, 0.0)): [[0.1, 0.1], [0.1, 0.1]],
            (0, (0.5, 0.5)): [[0.3, 0.2], [0.4, 0.5]],
            (0, (1.0, 1.0)): [[0.3, 0.2], [0.4, 0.5]],
        }
    )
    gain = welfare_gain(scores, VCG())
    # joint at (.5, .5): best .45 of the single winners' .3; with one sample .25 of .3
    assert {tuple(each["bids"]): each["relative_gain"] for each in gain["by_bids"]} == {
        (1.0, 0.0): 0.0,
        (0.0, 1.0): 0.0,
        (0.5, 0.5): pytest.approx(0.5),
        (1.0, 1.0): pytest.approx(0.5),
    }
    assert gain["relative_gain_mean"] == pytest.approx(0.25)
    assert gain["relative_gain_max"] == pytest.approx(0.5)
    assert (gain["n"], gain["left_out"]) == (4, 0)
    assert gain["by_k"] == {"1": pytest.approx(2 * (0.25 / 0.3 - 1) / 4), "2": pytest.approx(0.25)}
    assert gain["ci_low"] <= 0.25 <= gain["ci_high"]
    assert welfare_gain(scores, SingleWinner())["relative_gain_max"] == 0
    assert welfare_gain(scores, VCG(), bids=[(0.2, 0.2)])["n"] == 1


def test_gain_without_a_baseline_is_left_out() -> None:
    scores = table({(0, (1.0, 0.0)): [[0.4, 0.1]], (0, (0.5, 0.5)): [[0.3, 0.3]]})
    gain = welfare_gain(scores, VCG())
    assert (gain["n"], gain["left_out"], gain["relative_gain_mean"], gain["ci_low"]) == (0, 2, None, None)
    negative = {key: [[-0.1, -0.1]] for key in [*ONE_HOTS, (0, (0.5, 0.5))]}
    assert welfare_gain(table(negative), VCG())["left_out"] == 3
    other = {(1, bids): images for (_, bids), images in ONE_HOTS.items()}
    mixed = welfare_gain(pd.concat([scores, table(other)], ignore_index=True), VCG())
    assert (mixed["n"], mixed["left_out"]) == (2, 2)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5))
def test_gain_is_that_of_the_auctions(seed: int, k: int) -> None:
    """By k and overall, the vectorised gain is what running both mechanisms on the first k samples gives."""
    scores = random_scores(scenarios=2, k=5, seed=seed)
    gain = welfare_gain(scores, VCG())
    first = scores[scores["sample"] < k]
    ours, theirs = (run_auctions(first, m).set_index(["scenario", "bid_1", "bid_2"]) for m in (VCG(), SingleWinner()))
    sold = ours.index[[any(key[1:]) for key in ours.index]]
    expected = (ours.loc[sold, "welfare"] / theirs.loc[sold, "welfare"] - 1).mean()
    if str(k) in gain["by_k"]:
        assert gain["by_k"][str(k)] == pytest.approx(expected, abs=1e-12)
    if k == 5:
        assert gain["relative_gain_mean"] == pytest.approx(expected, abs=1e-12)


# --- auctions and the whole ------------------------------------------------------------------------------


def test_auction_rows() -> None:
    scores = table({**ONE_HOTS, (0, (0.6, 0.2)): [[0.30, 0.20], [0.25, 0.40]]})
    scores["sample"] += 5  # a table need not begin with sample 0
    rows = run_auctions(scores, VCG())
    bids, chosen = ["bid_1", "bid_2"], ["chosen_bid_1", "chosen_bid_2", "chosen_sample"]
    per_agent = [f"{name}_{i}" for name in ("alignment", "value", "payment", "utility") for i in (1, 2)]
    assert list(rows) == ["scenario", *bids, "mechanism", *chosen, "welfare", *per_agent, "revenue"]
    row = rows.iloc[2]
    assert (row["chosen_bid_1"], row["chosen_sample"], row["welfare"]) == (0.75, 6, pytest.approx(0.23))
    assert (row["payment_1"], row["payment_2"]) == (pytest.approx(0.02), pytest.approx(0.09))
    assert row["revenue"] == pytest.approx(0.11)


def test_auctions_without_their_pools_are_left_out_and_counted() -> None:
    scores = table({(0, (1.0, 0.0)): [[0.4, 0.1]], (0, (0.5, 0.5)): [[0.3, 0.3]]})
    assert run_auctions(scores, VCG())[["bid_1", "bid_2"]].to_numpy().tolist() == [[1.0, 0.0]]
    assert evaluate(scores, VCG())["auctions"] == {"n": 1, "left_out": 1}
    assert evaluate(scores, VCG(), bids=[(0.3, 0.0)])["auctions"] == {"n": 1, "left_out": 0}


def test_metrics_are_strict_json_and_seeded() -> None:
    scores = random_scores().assign(quality=0.5)
    metrics = evaluate(scores, VCG(), seed=3)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    assert evaluate(scores, VCG(), seed=3) == metrics
    assert evaluate(scores, VCG(), seed=4) != metrics
    assert set(metrics) == {"auctions", "monotonicity", "welfare", "quality"}
    assert set(metrics["welfare"]) == {"baseline", "vcg"}
    assert metrics["welfare"]["baseline"] == "single_winner"


def test_quality_by_hand() -> None:
    rows = {(0, (0.0, 0.0)): [[0.1, 0.1]], **ONE_HOTS}
    scores = table(rows).assign(quality=[0.9, 0.2, 0.4, 0.6, np.nan])
    quality = evaluate(scores, VCG())["quality"]
    assert quality["base_only"] == 0.9
    found = [(p["agent"], p["normalized_bid"], p["mean"], p["n"]) for p in quality["by_normalized_bid"]]
    assert found == [
        (1, 0.0, 0.6, 1),
        (1, 1.0, pytest.approx(0.3), 2),
        (2, 0.0, pytest.approx(0.3), 2),
        (2, 1.0, 0.6, 1),
    ]
    assert "quality" not in evaluate(table(ONE_HOTS), VCG())


def test_order_of_rows_does_not_matter() -> None:
    scores = random_scores()
    mixed = scores.sample(frac=1, random_state=0, ignore_index=True)
    assert monotonicity(scores, 1) == monotonicity(mixed, 1)
