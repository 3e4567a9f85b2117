"""Metrics: worked by hand from small tables, against plain loops, and what they must not depend on."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffusion_auction.evaluation.bootstrap import (
    interval,
    nested_interval,
    number,
    resample,
    resampled_means,
    sample_draws,
)
from diffusion_auction.evaluation.evaluate import evaluate, run_auctions
from diffusion_auction.evaluation.monotonicity import monotonicity
from diffusion_auction.evaluation.scores import check_scores, distinct_images
from diffusion_auction.evaluation.truthfulness import regrets
from diffusion_auction.market.bids import Bids, grid
from diffusion_auction.mechanisms import (
    MECHANISMS,
    VCG,
    FirstPrice,
    Mechanism,
    Myerson,
    Shapley,
    SingleWinner,
    VCGPool,
)
from tests.unit import brute_force
from tests.unit.brute_force import Image
from tests.unit.score_tables import random_table, table

ALL = [mechanism() for mechanism in MECHANISMS.values()]
GRID = grid((0, 0.5, 1), (0, 0.5, 1))
ONE_HOTS = {(0, (1.0, 0.0)): [[0.4, 0.1], [0.3, 0.1]], (0, (0.0, 1.0)): [[0.1, 0.5], [0.1, 0.3]]}


def branches(bids: Bids) -> int:
    """Sample passes of a step: one for each agent that bids, at least one."""
    return max(1, sum(bid > 0 for bid in bids))


def metrics_of(rows: pd.DataFrame, *mechanisms: Mechanism, **options: Any) -> Any:
    return evaluate(check_scores(rows), mechanisms or [VCG()], **options)


# --- bootstrap -------------------------------------------------------------------------------------------


def test_resample_draws_scenarios_then_samples() -> None:
    scenarios = np.array([7, 3, 7, 7, 3])
    counts = resample(scenarios, np.random.default_rng(0), draws=4000)
    of_7, of_3 = counts[:, scenarios == 7].sum(axis=1), counts[:, scenarios == 3].sum(axis=1)
    assert set(zip(of_7.tolist(), of_3.tolist(), strict=True)) == {(6, 0), (3, 2), (0, 4)}
    assert counts.mean(axis=0) == pytest.approx(np.ones(5), abs=0.1)


def test_sample_draws_begin_with_the_first_samples_and_are_nested() -> None:
    samples = np.array([0, 1, 2, 4, 9])
    draws = {k: sample_draws(samples, k, seed=3, draws=500) for k in range(1, 12)}
    for k, drawn in draws.items():
        assert drawn.shape == (501, 5)
        np.testing.assert_array_equal(drawn[0], samples < k)
        sizes = drawn[1:].sum(axis=1)
        assert 1 <= sizes.min() <= sizes.max() <= (samples < k).sum()
        if k > 1:
            assert (drawn | ~draws[k - 1]).all()  # what was drawn for k − 1 is drawn for k
    np.testing.assert_array_equal(draws[11], draws[10])
    assert draws[1][1:].mean(axis=0) == pytest.approx(np.full(5, 0.2), abs=0.06)
    assert draws[10][1:].mean(axis=0) == pytest.approx(np.full(5, 1 - 0.8**5), abs=0.06)  # with replacement
    assert not np.array_equal(sample_draws(samples, 3, seed=4, draws=500), draws[3])


def test_draws_of_no_sample_are_empty() -> None:
    assert not sample_draws(np.array([5, 6]), 3, seed=0, draws=10).any()


def test_interval_has_its_level() -> None:
    """Of many normal samples of known mean, about 95 % have it in their interval."""
    rng, hits, n = np.random.default_rng(1), 0, 300
    for _ in range(n):
        values = rng.normal(0, 1, (40, 1))
        low, high = interval(resampled_means(resample(np.zeros(40), rng, 300), values, np.ones((40, 1))))
        hits += int(low[0] <= 0 <= high[0])
    assert 0.89 <= hits / n <= 0.98


def test_nested_interval_has_its_level() -> None:
    """Of many sets of 40 scenarios around a known mean, resampled with a spread of their own."""
    rng, hits, n = np.random.default_rng(2), 0, 300
    for _ in range(n):
        own = rng.normal(0, 1, (40, 1))
        observed = own + rng.normal(0, 0.5, (40, 1))
        draws = observed + rng.normal(0, 0.5, (40, 200)) - 3  # resampling loses some of a maximum
        low, high = nested_interval(draws, np.ones_like(draws), float(observed.mean()), rng)
        hits += int(low <= 0 <= high)
    assert 0.91 <= hits / n <= 1


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


def test_flat_curve_of_many_images_has_no_rank_correlation() -> None:
    flat = {(0, bids): [[0.1, 0.1]] * k for k, bids in ((1, (1.0, 0.0)), (3, (0.0, 1.0)), (8, (1.0, 1.0)))}
    agent = monotonicity(table(flat))["agent_1"]
    assert agent["adjacent_violations"] == 0
    assert agent["spearman"] is None


def test_rows_of_one_ratio_are_one_image() -> None:
    shared = {(0, (0.5, 0.5)): [[0.2, 0.3]], (0, (1.0, 1.0)): [[0.2, 0.3]]}
    assert len(distinct_images(table(shared))) == 1
    apart = {**shared, (0, (1.0, 1.0)): [[0.2, 0.4]]}  # recorded without common noise: two images
    assert len(distinct_images(table(apart))) == 2
    assert len(check_scores(table(apart)).pools(0).ratios) == 2


# --- welfare ---------------------------------------------------------------------------------------------

# At (.5, .5) and (1, 1) the best composed image has .9 a unit of bid, the best single winner .6.
JOINT = {
    **ONE_HOTS,
    (0, (0.0, 0.0)): [[0.1, 0.1], [0.1, 0.1]],
    (0, (0.5, 0.5)): [[0.3, 0.2], [0.4, 0.5]],
    (0, (1.0, 1.0)): [[0.3, 0.2], [0.4, 0.5]],
}


def test_relative_gain_by_hand() -> None:
    gain = metrics_of(table(JOINT))["welfare"]["vcg"]
    assert {tuple(each["bids"]): each["relative_gain"] for each in gain["by_bids"]} == {
        (1.0, 0.0): 0.0,
        (0.0, 1.0): 0.0,
        (0.5, 0.5): pytest.approx(0.5),
        (1.0, 1.0): pytest.approx(0.5),
    }
    assert gain["relative_gain_mean"] == pytest.approx(0.25)
    assert gain["relative_gain_max"] == pytest.approx(0.5)
    assert (gain["n"], gain["left_out"]) == (4, 0)
    # with one sample .5 of .6 twice
    assert gain["by_k"] == {"1": pytest.approx(2 * (0.5 / 0.6 - 1) / 4), "2": pytest.approx(0.25)}
    assert gain["ci_low"] <= 0.25 <= gain["ci_high"]
    assert gain["by_k_intervals"]["2"] == [gain["ci_low"], gain["ci_high"]]
    groups = {each["bidders"]: (each["relative_gain"], each["n"]) for each in gain["by_bidders"]}
    assert groups == {1: (0.0, 2), 2: (pytest.approx(0.5), 2)}
    (scenario,) = gain["by_scenario"]
    assert (scenario["scenario"], scenario["mean"], scenario["n"]) == (0, pytest.approx(0.25), 4)
    assert scenario["by_k"]["1"]["mean"] == pytest.approx(gain["by_k"]["1"])
    pool = metrics_of(table(JOINT), VCGPool())["welfare"]["vcg_pool"]
    assert pool["relative_gain_mean"] == pytest.approx((0 + 0 + 0.5 + 0.5) / 4)


def test_the_baseline_is_not_compared_with_itself() -> None:
    metrics = metrics_of(table(JOINT), VCG(), SingleWinner())
    assert set(metrics["welfare"]) == {"baseline", "vcg"}
    assert metrics["welfare"]["baseline"] == "single_winner"
    assert set(metrics["truthfulness"]) == set(metrics["revenue"]) == {"vcg", "single_winner"}


def test_bids_asked_for_are_those_auctioned() -> None:
    metrics = metrics_of(table(JOINT), VCG(), bids=[(0.2, 0.2), (0.0, 7.0), (0.2, 0.1)])
    assert (metrics["welfare"]["vcg"]["n"], metrics["welfare"]["vcg"]["left_out"]) == (2, 1)
    assert [each["bids"] for each in metrics["welfare"]["vcg"]["by_bids"]] == [[0.2, 0.2], [0.0, 7.0]]
    assert metrics["monotonicity"] == metrics_of(table(JOINT))["monotonicity"]


def test_gain_without_a_baseline_is_left_out() -> None:
    scores = table({(0, (1.0, 0.0)): [[0.4, 0.1]], (0, (0.5, 0.5)): [[0.3, 0.3]]})
    gain = metrics_of(scores)["welfare"]["vcg"]
    assert (gain["n"], gain["left_out"], gain["relative_gain_mean"], gain["ci_low"]) == (0, 2, None, None)
    assert (gain["relative_gain_max"], gain["by_bids"], gain["by_k"]) == (None, [], {"1": None})
    negative = {key: [[-0.1, -0.1]] for key in [*ONE_HOTS, (0, (0.5, 0.5))]}
    assert metrics_of(table(negative))["welfare"]["vcg"]["left_out"] == 3
    other = {(1, bids): images[:1] for (_, bids), images in ONE_HOTS.items()}
    mixed = metrics_of(pd.concat([scores, table(other)], ignore_index=True))["welfare"]["vcg"]
    assert (mixed["n"], mixed["left_out"]) == (2, 2)


# --- truthfulness ----------------------------------------------------------------------------------------

# Agent 1 beside a bid of 1, one sample. At 0, 1, 2 it gets α1 = 0, .2, .4; agent 2 has .6 without it, then .5, .1.
LINE = {
    (0, (0.0, 1.0)): [[0.0, 0.6]],
    (0, (1.0, 1.0)): [[0.2, 0.5]],
    (0, (2.0, 1.0)): [[0.4, 0.1]],
    (0, (1.0, 0.0)): [[0.5, 0.1]],
}


def test_regret_by_hand() -> None:
    """Payments at 0, 1, 2: 0, .1 and .5.

    Utilities there: of value 0 they are 0, −.1, −.5; of value 1 0, .1, −.1; of value 2 0, .3 and .3.
    """
    found = metrics_of(table(LINE))["truthfulness"]["vcg"]
    assert (found["absolute_regret_max"], found["relative_regret_max"]) == (pytest.approx(0), pytest.approx(0))
    assert (found["n"], found["excluded"], found["left_out"]) == (2, 1, 0)
    assert found["deviation_mean"] == 0  # at value 2 the truth is as good as any
    # Pay what it is worth: at 0, 1, 2 agent 1 pays 0, .2, .8. Of value 1 nothing is better than the truth, of value
    # 2 the bid of 1 leaves .2, and every truthful utility is 0.
    found = metrics_of(table(LINE), FirstPrice())["truthfulness"]["first_price"]
    assert found["absolute_regret_max"] == pytest.approx(0.2)
    assert (found["n"], found["excluded"], found["left_out"]) == (0, 3, 0)
    assert found["deviation_mean"] == pytest.approx(1 / 3)
    assert (found["relative_regret_mean"], found["relative_regret_max"]) == (None, None)


def test_relative_regret_and_deviation_by_hand() -> None:
    """Agent 2 gets .2 at (2, 1): agent 1 pays .4 there, at value 2 the truth leaves .4, a bid of 1 .3.

    At value 1 the bids leave 0, .1, 0. With .55 at (1, 1) agent 1 pays .05 there: .15 and .35.
    """
    rows = {**LINE, (0, (2.0, 1.0)): [[0.4, 0.2]]}
    assert metrics_of(table(rows))["truthfulness"]["vcg"]["relative_regret_max"] == pytest.approx(0)
    rows[0, (2.0, 1.0)] = [[0.3, 0.1]]  # pays .5: value 2 leaves .1, a bid of 1 .3
    found = metrics_of(table(rows))["truthfulness"]["vcg"]
    assert found["absolute_regret_max"] == pytest.approx(0.2)
    assert found["relative_regret_max"] == pytest.approx(2.0)
    assert found["relative_regret_mean"] == pytest.approx((0 + 2) / 2)
    assert found["deviation_mean"] == pytest.approx((0 + 0 + 1) / 3)
    assert found["by_k"]["1"]["relative_regret_mean"] == found["relative_regret_mean"]
    assert found["by_k"]["1"]["deviation_mean"] == found["deviation_mean"]


def test_regret_of_agent_1_without_payments_is_left_out() -> None:
    rows = {key: images for key, images in LINE.items() if key != (0, (0.0, 1.0))}  # P(b_−1) is missing
    found = metrics_of(table(rows))["truthfulness"]["vcg"]
    assert (found["n"], found["excluded"], found["left_out"], found["deviation_mean"]) == (0, 0, 2, None)
    assert metrics_of(table(ONE_HOTS))["truthfulness"]["vcg"]["left_out"] == 0  # no other bid to compare with


def test_the_mechanism_of_a_fixed_pool_has_no_regret() -> None:
    scores = random_table(grid(np.linspace(0, 1, 6), (0.25, 0.5, 1)), k=6)
    found = metrics_of(scores, VCGPool(), VCG())["truthfulness"]
    assert found["vcg_pool"]["relative_regret_max"] <= 1e-12
    assert found["vcg_pool"]["ci_low"] == 0
    assert found["vcg"]["relative_regret_max"] > 0.01


# --- revenue ---------------------------------------------------------------------------------------------


def test_revenue_by_hand() -> None:
    """Of `LINE`: at (0, 1) and (1, 0) nobody pays; at (1, 1) agent 2 pays .5 − .2, at (2, 1) 1 − .8; agent 1 .1, .5."""
    found = metrics_of(table(LINE))["revenue"]["vcg"]
    assert found["mean"] == pytest.approx((0 + 0 + 0.4 + 0.7) / 4)
    assert found["share_of_welfare"] == pytest.approx((0 + 0 + 0.4 / 0.7 + 0.7 / 0.9) / 4)
    assert (found["n"], found["left_out"], found["payments"], found["deficits"]) == (4, 0, 8, 0)
    assert (found["payments_below_zero"], found["utilities_below_zero"]) == (0, 1)  # at (2, 1) agent 2: .1 − .2
    assert found["lowest_utility"] == pytest.approx(-0.1)


def test_deficits_and_unknown_payments_are_counted() -> None:
    rows = {(0, (1.0, 1.0)): [[0.3, 0.6]], (0, (1.0, 0.0)): [[0.2, 0.9]], (0, (0.0, 1.0)): [[0.0, 0.5]]}
    found = metrics_of(table({**rows, (1, (1.0, 1.0)): [[0.3, 0.6]], (1, (1.0, 0.0)): [[0.2, 0.9]]}))["revenue"]["vcg"]
    assert (found["n"], found["left_out"]) == (4, 1)
    assert (found["deficits"], found["payments_below_zero"], found["utilities_below_zero"]) == (1, 2, 0)
    assert found["mean"] == pytest.approx((-0.1 - 0.1) / 4)


# --- auctions --------------------------------------------------------------------------------------------


def test_auction_rows() -> None:
    scores = table({**ONE_HOTS, (0, (0.6, 0.2)): [[0.30, 0.20], [0.25, 0.40]]})
    scores["sample"] += 5  # a table need not begin with sample 0
    rows = run_auctions(check_scores(scores), [VCG(), SingleWinner()])
    bids, composition = ["bid_1", "bid_2"], ["chosen_bid_1", "chosen_bid_2", "chosen_sample"]
    per_agent = [f"{name}_{i}" for name in ("alignment", "value", "payment", "utility") for i in (1, 2)]
    assert list(rows) == ["scenario", *bids, "mechanism", *composition, "welfare", *per_agent, "revenue"]
    assert rows["mechanism"].tolist() == ["vcg"] * 3 + ["single_winner"] * 3
    row = rows.iloc[1]
    # W .22, .23; the others' best .2·.5 and .6·.4
    assert (row["chosen_bid_1"], row["chosen_sample"], row["welfare"]) == (0.75, 6, pytest.approx(0.23))
    assert (row["payment_1"], row["payment_2"]) == (pytest.approx(0.02), pytest.approx(0.09))
    assert (row["value_1"], row["value_2"]) == (pytest.approx(0.15), pytest.approx(0.08))
    assert (row["utility_1"], row["utility_2"]) == (pytest.approx(0.13), pytest.approx(-0.01))
    assert row["revenue"] == pytest.approx(0.11)


def test_auctions_without_their_pools_are_left_out() -> None:
    scores = check_scores(table({(0, (1.0, 0.0)): [[0.4, 0.1]], (0, (0.5, 0.5)): [[0.3, 0.3]]}))
    rows = run_auctions(scores, [VCG(), SingleWinner()])
    assert rows[["bid_1", "bid_2", "mechanism"]].to_numpy().tolist() == [[0.5, 0.5, "vcg"], [1.0, 0.0, "vcg"]]
    np.testing.assert_allclose(rows[["payment_1", "payment_2", "revenue"]], [[np.nan, 0.05, np.nan], [0, 0, 0]])
    assert run_auctions(scores, [VCG()], [(0.3, 0.0), (0.1, 0.2)])[["bid_1", "bid_2"]].to_numpy().tolist() == [[0.3, 0]]


# --- at equal cost -----------------------------------------------------------------------------------------


def test_equal_cost_by_hand() -> None:
    """Bids (1, 1), (1, 0), (0, 1), k = 4; an auction of `vcg` takes 3, 1 and 1 pools of 4, 1 and 1 passes."""
    vectors = [(1.0, 1.0), (1.0, 0.0), (0.0, 1.0)]
    rows = random_table(vectors, k=4)
    found = {
        (row["mechanism"], row["equal"], row["reference_k"]): row
        for row in metrics_of(rows, *ALL, branches=branches)["equal_cost"]
    }
    # first_price: one pool an auction, of 4/3 passes. vcg for 2 of the 4 samples: int(4·1/(5/3)), int(4·(4/3)/2).
    row = found["first_price", "images", 2]
    assert (row["k"], row["cost"], row["reference_cost"]) == (3, pytest.approx(3), pytest.approx(10 / 3))
    row = found["first_price", "sample_passes", 2]
    assert (row["k"], row["cost"], row["reference_cost"]) == (3, pytest.approx(4), pytest.approx(4))
    worth = {k: [unit_worth(rows, s, bids, k) for s in (0, 1) for bids in vectors] for k in (2, 3)}
    gains = np.divide(worth[3], worth[2]) - 1
    assert row["relative_welfare"]["mean"] == pytest.approx(gains.mean())
    assert row["share_of_welfare"]["mean"] == pytest.approx(1)
    # One-hot and joint: every image, 3 pools of 4 passes an auction.
    row = found["vcg_pool (one-hot, joint)", "images", 4]
    assert (row["k"], row["cost"], row["reference_cost"]) == (2, pytest.approx(6), pytest.approx(20 / 3))
    assert row["relative_welfare"] == found["vcg_pool (every image)", "images", 4]["relative_welfare"]
    assert row["relative_regret"]["mean"] is None or row["relative_regret"]["mean"] <= 1e-12
    assert all(row["cost"] <= row["reference_cost"] + 1e-9 for row in found.values())
    assert not any("base" in label for label, *_ in found)  # no image of the base prompt
    assert "vcg" not in {label for label, *_ in found}


def unit_worth(rows: pd.DataFrame, scenario: Any, bids: Bids, k: int) -> float:
    """max W over the first k images made for `bids`."""
    own = [image for image in images_of(rows, scenario) if image.bids == bids and image.sample < k]
    return max(brute_force.worth(bids, image) for image in own)


def images_of(rows: pd.DataFrame, scenario: Any = None) -> list[Image]:
    """The rows of a table, or of one of its scenarios, for plain loops."""
    n = sum(column.startswith("bid_") for column in rows)
    found = []
    for row in rows.to_dict("records"):
        bids, alignments = (tuple(row[f"{name}_{i}"] for i in range(1, n + 1)) for name in ("bid", "alignment"))
        if scenario is None or row["scenario"] == scenario:
            found.append(Image(row["scenario"], row["sample"], bids, alignments))
    return found


# --- against plain loops -----------------------------------------------------------------------------------


def close(found: Any, expected: Any, where: str = "", tolerance: float = 1e-12) -> None:
    """`found` has what `expected` has, numbers within `tolerance`."""
    if isinstance(expected, Mapping):
        for key, value in expected.items():
            close(found[key], value, f"{where}.{key}", tolerance)
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected), where
        for i, (own, value) in enumerate(zip(found, expected, strict=True)):
            close(own, value, f"{where}[{i}]", tolerance)
    elif isinstance(expected, float) and isinstance(found, float):
        assert math.isclose(found, expected, rel_tol=tolerance, abs_tol=tolerance), f"{where}: {found}, {expected}"
    else:
        assert found == expected, f"{where}: {found}, {expected}"


def reshaped(metrics: dict[str, Any], name: str) -> dict[str, Any]:
    """The metrics of one mechanism as `brute_force.figures` has them."""
    truthfulness = metrics["truthfulness"][name]
    by_k = truthfulness["by_k"].items()
    found = {
        "truthfulness": truthfulness
        | {"by_k": {k: (each["relative_regret_mean"], each["deviation_mean"]) for k, each in by_k}},
        "revenue": metrics["revenue"][name],
    }
    if name in metrics["welfare"]:
        gain = metrics["welfare"][name]
        by_bids = {tuple(each["bids"]): (each["relative_gain"], each["n"]) for each in gain["by_bids"]}
        found["welfare"] = gain | {"by_bids": by_bids}
    return found


@st.composite
def tables(draw: st.DrawFn, values: tuple[float, ...], n: int) -> pd.DataFrame:
    """Scores of two or three scenarios, rows shuffled: some grid of bids without some of its vectors."""
    axes = draw(st.lists(st.sets(st.sampled_from(values), min_size=1, max_size=5 - n), min_size=n, max_size=n))
    every = {*itertools.product(*axes), *(brute_force.alone(i, n) for i in range(n))}
    scenarios = draw(st.sampled_from([("a", "b"), (1, 0), ("x",), (2, "b", 1)][: 6 - n]))
    k, common = draw(st.sampled_from([1, 2, 3, 6])), draw(st.booleans())
    seed = draw(st.integers(0, 2**32 - 1))
    parts = []
    for place, scenario in enumerate(scenarios):
        missing = draw(st.sets(st.sampled_from(sorted(every)), max_size=2))
        vectors = sorted(every - missing) or sorted(every)
        parts.append(random_table(vectors, [scenario], k, seed + place, common))
    rows = pd.concat(parts)
    return rows.sample(frac=1, random_state=seed % 2**32, ignore_index=True)


def assert_figures(rows: pd.DataFrame, *mechanisms: Mechanism, tolerance: float = 1e-12) -> None:
    metrics = metrics_of(rows, *mechanisms)
    images = images_of(rows)
    k = rows["sample"].max() + 1
    ks = [*(each for each in (1, 5) if each < k), k]
    for mechanism in mechanisms:
        expected = brute_force.figures(images, brute_force.MECHANISMS[mechanism.name], ks)
        if mechanism.name == "single_winner":
            del expected["welfare"]
        found = reshaped(metrics, mechanism.name)
        assert found.keys() == expected.keys()
        close(found, expected, mechanism.name, tolerance)
    for i, found in enumerate(metrics["monotonicity"].values()):
        curve = [(point["normalized_bid"], point["mean"], point["n"]) for point in found["curve"]]
        close({**found, "curve": curve}, brute_force.monotonicity(images, i), f"agent {i + 1}")


@settings(max_examples=15, deadline=None)
@given(st.data(), st.sampled_from([2, 3]))
def test_agrees_with_plain_loops(data: st.DataObject, n: int) -> None:
    rows = data.draw(tables((0.0, 0.5, 1.0, 1.5), n))
    assert_figures(rows, *(mechanism for mechanism in ALL if mechanism != Myerson()))


@settings(max_examples=10, deadline=None)
@given(tables((0.0, 1.0, 3.0, 7.0), 2))  # whose shares have less than ten decimals
def test_agrees_with_plain_loops_with_myerson_too(rows: pd.DataFrame) -> None:
    assert_figures(rows, *ALL)


@settings(max_examples=5, deadline=None)
@given(tables((0.0, 0.5, 1.0), 3))
def test_myerson_agrees_with_plain_loops_within_the_rounding_of_shares(rows: pd.DataFrame) -> None:
    assert_figures(rows, Myerson(), tolerance=1e-7)


@pytest.mark.parametrize("agent", [0, 1, 2])
def test_regret_of_every_agent_agrees_with_plain_loops(agent: int) -> None:
    rows = random_table(grid((0, 0.5, 1), (0, 0.25, 1), (0.5, 1)), [0], k=3, seed=agent)
    scores = check_scores(rows)
    bids = scores.bids(0)
    for mechanism in (VCG(), VCGPool(), FirstPrice()):
        rule = brute_force.MECHANISMS[mechanism.name]
        sales = [rule(images_of(rows), each) for each in bids]
        found = regrets(mechanism.run(np.array(bids), scores.pools(0)), agent)
        expected = np.array(brute_force.regrets(sales, agent), dtype=float)  # None is NaN
        own = np.stack([found.absolute[0], found.relative[0], found.deviation[0]], axis=1)
        np.testing.assert_allclose(own, expected, rtol=1e-9, atol=1e-12)


# --- quality -----------------------------------------------------------------------------------------------


def test_quality_by_hand() -> None:
    rows = {(0, (0.0, 0.0)): [[0.1, 0.1]] * 2, **ONE_HOTS, (0, (1.0, 2.0)): [[0.2, 0.3]] * 2}
    measured = [0.9, 0.7, 0.2, 0.4, 0.6, np.nan, 0.5, 0.8]
    quality = metrics_of(table(rows).assign(quality=measured))["quality"]
    assert (quality["base_only"], quality["base_only_n"]) == (pytest.approx(0.8), 2)
    found = [(p["agent"], p["normalized_bid"], p["mean"], p["n"]) for p in quality["by_normalized_bid"]]
    assert found == [
        (1, 0.0, 0.6, 1),
        (1, pytest.approx(1 / 3), pytest.approx(0.65), 2),
        (1, 1.0, pytest.approx(0.3), 2),
        (2, 0.0, pytest.approx(0.3), 2),
        (2, pytest.approx(2 / 3), pytest.approx(0.65), 2),
        (2, 1.0, 0.6, 1),
    ]
    single, base = quality["composed_minus_single"], quality["composed_minus_base"]
    assert (single["mean"], single["n"], single["n_reference"]) == (pytest.approx(0.65 - 1.2 / 3), 2, 3)
    assert (base["mean"], base["n"], base["n_reference"]) == (pytest.approx(0.65 - 0.8), 2, 2)
    assert base["ci_low"] <= base["mean"] <= base["ci_high"]


def test_quality_without_measurements() -> None:
    assert "quality" not in metrics_of(table(ONE_HOTS))
    assert "quality" not in metrics_of(table(ONE_HOTS).assign(quality=np.nan))
    quality = metrics_of(table(ONE_HOTS).assign(quality=0.5))["quality"]
    assert (quality["base_only"], quality["composed_minus_base"]["mean"]) == (None, None)


# --- the whole ---------------------------------------------------------------------------------------------


def test_metrics_are_strict_json_and_seeded() -> None:
    scores = random_table(GRID).assign(quality=0.5)
    first, second = (metrics_of(scores, *ALL, seed=3, branches=branches) for _ in range(2))
    assert json.dumps(first, allow_nan=False) == json.dumps(second)
    assert json.loads(json.dumps(first)) == first
    other = metrics_of(scores, *ALL, seed=4, branches=branches)
    assert other != first
    means = [metrics["welfare"]["vcg"]["relative_gain_mean"] for metrics in (first, other)]
    assert means[0] == means[1]
    assert set(first) == {
        "monotonicity", "welfare", "truthfulness", "revenue", "equal_cost", "quality", "left_out",
    }  # fmt: skip
    assert "equal_cost" not in metrics_of(scores)


def test_order_of_rows_does_not_matter() -> None:
    rows = random_table(GRID, ("b", "a", 3, 0), common=False).assign(quality=np.linspace(0, 1, 9 * 4 * 4))
    mixed = rows.sample(frac=1, random_state=0)
    first, second, third = (metrics_of(each, *ALL, branches=branches) for each in (rows, mixed, rows.iloc[::-1]))
    assert json.dumps(first) == json.dumps(second) == json.dumps(third)
    both = [run_auctions(check_scores(each), ALL) for each in (rows, mixed)]
    pd.testing.assert_frame_equal(*both)


def test_mechanisms_beside_it_do_not_matter() -> None:
    rows = random_table(GRID, common=False).assign(quality=0.5)
    together = metrics_of(rows, *ALL, branches=branches)
    for mechanism in ALL:
        alone = metrics_of(rows, mechanism, branches=branches)
        for section in ("welfare", "truthfulness", "revenue"):
            assert alone[section].get(mechanism.name) == together[section].get(mechanism.name)
        assert alone["monotonicity"] == together["monotonicity"]
        own = [row for row in together["equal_cost"] if row["mechanism"] == mechanism.name]
        assert own == [row for row in alone["equal_cost"] if row["mechanism"] == mechanism.name]


def test_more_samples_do_not_change_the_figures_of_fewer() -> None:
    rows = random_table(GRID, k=12)
    fewer = rows[rows["sample"] < 5]
    more, less = (metrics_of(each, *ALL) for each in (rows, fewer))
    for mechanism in ALL:
        own, other = more["truthfulness"][mechanism.name], less["truthfulness"][mechanism.name]
        for each in (own, *own["by_k"].values(), *own["by_scenario"]):  # neither can be below zero
            assert min(each["ci_low"] or 0, each["deviation_ci_low"] or 0) >= 0
        for figure in ("relative_regret_mean", "deviation_mean"):
            assert own["by_k"]["5"][figure] == other[figure]
        if mechanism != SingleWinner():
            gain = less["welfare"][mechanism.name]["relative_gain_mean"]
            assert more["welfare"][mechanism.name]["by_k"]["5"] == gain
    assert list(more["welfare"]["vcg"]["by_k"]) == ["1", "5", "10", "12"]


@pytest.mark.parametrize(
    "rows",
    [
        random_table([(0.0, 0.0)]),
        pd.concat([random_table([(0.0, 0.0)], ["nobody"]), random_table(GRID)]),
        random_table([(0.7, 0.3)], scenarios=["one"], k=1),
        random_table([(0.0,), (0.5,), (1.0,)]),
        pd.concat([random_table(GRID, [0], k=2), random_table(GRID, [1], k=7)]),
        random_table(GRID).assign(alignment_1=lambda t: -t["alignment_1"], alignment_2=lambda t: -t["alignment_2"]),
        random_table(GRID).assign(sample=lambda t: t["sample"] + 5),
        random_table([tuple(1e-300 * b for b in bids) for bids in GRID]),
        random_table([tuple(1e300 * b for b in bids) for bids in GRID]),
        random_table([(0.5, 0.5), (0.5 + 1e-11, 0.5), (1.0, 1e-12), (1.0, 0.0), (0.0, 1.0)]),
        random_table([*grid(*[(0.0, 1.0)] * 4)], k=2),
    ],
    ids=["zero", "zero-beside", "one", "one-agent", "uneven-k", "negative", "from-5", "tiny", "huge", "near", "four"],
)
def test_odd_tables_are_evaluated(rows: pd.DataFrame) -> None:
    scores = check_scores(rows)
    metrics = evaluate(scores, ALL, branches=branches)
    json.dumps(metrics, allow_nan=False)
    asked = sum(any(bids) for scenario in scores.scenarios for bids in scores.bids(scenario))
    auctions = run_auctions(scores, ALL)
    for name in MECHANISMS:
        own = metrics["revenue"][name]
        assert own["n"] + own["left_out"] == asked
        sold = auctions[(auctions["mechanism"] == name) & (auctions[["bid_1"]].sum(axis=1) > 0)]
        assert len(sold) <= asked
        if name != "single_winner":
            assert metrics["welfare"][name]["n"] + metrics["welfare"][name]["left_out"] == asked


def test_one_agent_without_images_is_left_out() -> None:
    metrics = metrics_of(table({(0, (0.0,)): [[0.1]]}), *ALL, bids=[(0.5,)], branches=branches)
    assert metrics["revenue"]["vcg"]["left_out"] == 1
    json.dumps(metrics, allow_nan=False)


def test_shapley_balances_in_the_ledger() -> None:
    found = metrics_of(random_table(GRID), Shapley())["revenue"]["shapley"]
    assert found["mean"] == pytest.approx(0, abs=1e-12)
    assert (found["deficits"], found["payments_below_zero"] > 0, found["left_out"]) == (0, True, 0)


def test_shapley_balances_in_the_ledger_whatever_the_unit_of_money() -> None:
    vectors = [(1e9 * a, 1e9 * b) for a, b in grid((0, 0.1, 0.3, 0.7, 1), (0, 0.1, 0.3, 1))]
    assert metrics_of(random_table(vectors), Shapley())["revenue"]["shapley"]["deficits"] == 0


def test_costs_compared_are_of_the_auctions_compared() -> None:
    """Without images of agent 2 alone the payments of `vcg` at (1, 1) are unknown: only (1, 0) is compared."""
    rows = random_table([(1.0, 0.0), (1.0, 1.0)])
    for row in metrics_of(rows, FirstPrice(), branches=branches)["equal_cost"]:
        if row["mechanism"] == "first_price":
            assert row["relative_welfare"]["n"] == row["reference_share"]["n"]
