"""The score table: what is refused, what is left out and said, and the pools that the rest makes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffusion_auction.evaluation.evaluate import evaluate, run_auctions
from diffusion_auction.evaluation.scores import LeftOut, Scores, auction_bids, check_scores, read_scores
from diffusion_auction.market.bids import Bids, grid
from diffusion_auction.mechanisms import MECHANISMS, VCG
from generative_auctions.errors import RequestError
from tests.unit.score_tables import random_table, table

ALL = [mechanism() for mechanism in MECHANISMS.values()]
VECTORS = [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (0.75, 0.25)]
Change = Callable[[pd.DataFrame], pd.DataFrame]


def sound(k: int = 3, scenarios: Sequence[Any] = ("pool",), vectors: Sequence[Bids] = VECTORS) -> pd.DataFrame:
    """A table with nothing to say about it."""
    return random_table(vectors, scenarios, k).assign(alignment_base=0.2, quality=0.5)


def broken(at: Sequence[int], column: str, value: Any, rows: pd.DataFrame | None = None) -> pd.DataFrame:
    """The table with `value` in some rows of `column`."""
    rows = sound() if rows is None else rows.copy()
    values = rows[column].astype(object).tolist()
    for row in at:
        values[row] = value
    return rows.assign(**{column: pd.Series(values, dtype=object, index=rows.index)})


def said(scores: Scores) -> list[tuple[str, str, int]]:
    return [(item.where, item.found, item.count) for item in scores.left_out]


def vectors_of(scores: Scores) -> dict[Any, list[Bids]]:
    return {scenario: scores.bids(scenario) for scenario in scores.scenarios}


# --- a sound table ---------------------------------------------------------------------------------------


def test_a_sound_table_is_taken_whole() -> None:
    rows = sound(scenarios=("pool", "desk"))
    scores = check_scores(rows)
    assert (scores.n_agents, scores.left_out, scores.scenarios) == (2, (), ["desk", "pool"])
    assert len(scores.rows) == len(rows)
    assert scores.bids("desk") == sorted(VECTORS)
    assert evaluate(scores, ALL)["left_out"] == []


def test_the_table_is_not_changed() -> None:
    rows = broken([1], "alignment_1", "x")
    before = rows.copy(deep=True)
    check_scores(rows)
    pd.testing.assert_frame_equal(rows, before)


def test_what_is_left_is_sorted_whatever_the_order() -> None:
    rows = sound()
    scores = check_scores(rows.sample(frac=1, random_state=1))
    assert [*scores.rows] == [*rows]
    keys = list(zip(scores.rows["bid_1"], scores.rows["bid_2"], scores.rows["sample"], strict=True))
    assert keys == sorted(keys)
    assert scores.rows["sample"].dtype == int


def test_other_columns_are_left_alone() -> None:
    rows = sound().assign(bids="a", bid_01=np.nan, alignment_0="z", alignment_x=1, seed=np.inf)
    scores = check_scores(rows)
    assert (scores.n_agents, scores.left_out) == (2, ())


def test_numbers_may_be_text() -> None:
    scores = check_scores(sound().astype({"bid_1": str, "alignment_2": str, "sample": float}))
    assert scores.left_out == ()
    pd.testing.assert_frame_equal(scores.rows, check_scores(sound()).rows)


def test_nullable_columns() -> None:
    rows = sound().convert_dtypes()
    rows.loc[4, "alignment_1"] = pd.NA
    rows.loc[5, "quality"] = pd.NA
    scores = check_scores(rows)
    assert [where for where, *_ in said(scores)[:2]] == ["row 4, column alignment_1", "row 5, column quality"]


def test_one_agent_one_scenario_one_sample() -> None:
    scores = check_scores(table({("only", (0.5,)): [[0.3]]}, alignment_base=0.1, quality=0.5))
    assert (scores.n_agents, scores.left_out, len(scores.rows)) == (1, (), 1)
    metrics = evaluate(scores, ALL)
    assert metrics["welfare"]["vcg"]["relative_gain_mean"] == 0


# --- what is refused -------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[Change, str]] = {
    "no scenario": (lambda t: t.drop(columns="scenario"), "scores, column scenario = absent"),
    "no sample": (lambda t: t.drop(columns="sample"), "scores, column sample = absent"),
    "no bid_1": (lambda t: t.drop(columns="bid_1"), "scores, column bid_1 = absent"),
    "no bid_2": (lambda t: t.drop(columns="bid_2"), "scores, column bid_2 = absent"),
    "no alignment_1": (lambda t: t.drop(columns="alignment_1"), "scores, column alignment_1 = absent"),
    "no alignment_2": (lambda t: t.drop(columns="alignment_2"), "scores, column alignment_2 = absent"),
    "alignment_3 alone": (lambda t: t.assign(alignment_3=0.1), "scores, column bid_3 = absent"),
    "bid_3 alone": (lambda t: t.assign(bid_3=0.1), "scores, column alignment_3 = absent"),
    "no bids": (lambda t: t[["scenario", "sample", "quality"]], "scores, column bid_1 = absent"),
    "nothing": (lambda t: pd.DataFrame(), "scores, column scenario = absent"),
    "empty": (lambda t: t.iloc[:0], "scores = no rows"),
    "no sound row": (lambda t: t.assign(alignment_2="x"), r"no sound rows.*row 0, column alignment_2"),
    "no scenario in any row": (lambda t: t.assign(scenario=None), r"no sound rows.*row 0, column scenario"),
    "each row bad in its way": (
        lambda t: t.assign(bid_1=[-1] * 6 + [1] * 6, alignment_1=[1] * 6 + [np.nan] * 6),
        "no sound rows",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_table_of_which_nothing_can_be_used_is_refused(case: str) -> None:
    change, named = REFUSED[case]
    with pytest.raises(RequestError, match=named) as caught:
        check_scores(change(sound()))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("column", ["scenario", "sample", "bid_1", "alignment_2"])
def test_a_missing_column_is_named_with_those_needed(column: str) -> None:
    with pytest.raises(RequestError, match="scenario, sample, bid_1, bid_2, alignment_1, alignment_2"):
        check_scores(sound().drop(columns=column))


def test_an_absurd_number_of_agents_is_refused_briefly() -> None:
    with pytest.raises(RequestError) as caught:
        check_scores(sound().assign(bid_1000000=1.0))
    assert len(str(caught.value)) < 1000


# --- values that are left out ------------------------------------------------------------------------------

BAD = {
    "alignment_1": [np.nan, None, "x", "", np.inf, -np.inf, "nan"],
    "bid_2": [np.nan, None, "x", np.inf, -0.5, "-1", -1e-300],
    "sample": [np.nan, None, "x", np.inf, -1, 0.5, "1.5"],
}
CASES = [(column, value) for column, values in BAD.items() for value in values]


@pytest.mark.parametrize(("column", "value"), CASES)
def test_a_bad_value_leaves_its_row_out_and_is_named(column: str, value: Any) -> None:
    scores = check_scores(broken([10], column, value))
    first = scores.left_out[0]
    assert (first.where, first.count) == (f"row 10, column {column}", 1)
    assert first.found == str(value)
    assert first.consequence == "left out: row 10"
    found = evaluate(scores, [VCG()])
    assert found["welfare"]["vcg"]["n"] == 3  # its vector has two samples left and goes
    assert found == evaluate(check_scores(sound().iloc[:9]), [VCG()]) | {"left_out": found["left_out"]}


def test_rows_are_named_by_place_whatever_the_index() -> None:
    rows = broken([4, 6, 7], "bid_1", -2).set_index(pd.Index(range(100, 112)))
    assert said(check_scores(rows))[0] == ("row 4, column bid_1", "-2", 3)


def test_every_column_with_bad_values_is_named() -> None:
    rows = broken([1], "alignment_1", np.inf, broken([2], "sample", 0.5, broken([1, 3], "bid_1", "x")))
    found = said(check_scores(rows))[:3]
    assert found == [
        ("row 2, column sample", "0.5", 1),
        ("row 1, column bid_1", "x", 2),
        ("row 1, column alignment_1", "inf", 1),
    ]


def test_a_scenario_without_a_name_is_left_out() -> None:
    rows = pd.concat([sound(), sound().assign(scenario=None)], ignore_index=True)
    scores = check_scores(rows)
    assert said(scores) == [("row 12, column scenario", "None", 12)]
    pd.testing.assert_frame_equal(scores.rows, check_scores(sound()).rows, check_dtype=False)


def test_bad_optional_values_leave_the_row_in() -> None:
    scores = check_scores(broken([0, 2], "quality", "good", broken([1], "alignment_base", np.inf)))
    assert said(scores) == [("row 1, column alignment_base", "inf", 1), ("row 0, column quality", "good", 2)]
    assert [item.consequence for item in scores.left_out] == [
        "no alignment_base for row 1",
        "no quality for rows 0, 2",
    ]
    assert len(scores.rows) == 12
    assert scores.rows["quality"].isna().sum() == 2
    quality = evaluate(scores, [VCG()])["quality"]
    assert quality is not None
    assert {p["n"] for p in quality["by_normalized_bid"]} <= {1, 2, 3}


@pytest.mark.parametrize("column", ["quality", "alignment_base"])
def test_absent_optional_columns_are_said(column: str) -> None:
    scores = check_scores(sound().drop(columns=column))
    assert said(scores) == [(f"column {column}", "absent", 12)]
    assert ("quality" in evaluate(scores, [VCG()])) == (column != "quality")


def test_a_sample_beyond_64_bits_is_left_out() -> None:
    scores = check_scores(broken([2, 5, 8, 11], "sample", 1e30))
    assert scores.rows["sample"].between(0, 2).all()


def test_large_samples_are_kept() -> None:
    scores = check_scores(broken([2, 5, 8, 11], "sample", 2**53))
    assert scores.left_out == ()
    assert list(evaluate(scores, [VCG()])["welfare"]["vcg"]["by_k"]) == [
        "1",
        "5",
        "10",
        "25",
        "50",
        "100",
        f"{2**53 + 1}",
    ]


# --- rows given twice --------------------------------------------------------------------------------------


def test_the_first_of_two_rows_counts() -> None:
    rows = sound()
    again = rows.iloc[[2, 7]].assign(alignment_1=0.9, quality=0.1)
    scores = check_scores(pd.concat([rows, again, rows.iloc[:1]]))  # rows count by place, not by index
    assert said(scores) == [("row 12", "a scenario, sample and bid vector given before", 3)]
    pd.testing.assert_frame_equal(scores.rows, check_scores(rows).rows)


def test_a_bad_row_is_no_first_row() -> None:
    rows = sound()
    scores = check_scores(pd.concat([broken([0], "alignment_1", "x"), rows.iloc[:1]], ignore_index=True))
    assert said(scores) == [("row 0, column alignment_1", "x", 1)]
    assert len(scores.rows) == 12


def test_one_sample_index_in_two_forms_is_one() -> None:
    rows = pd.concat([sound(), sound().assign(sample=lambda t: t["sample"].map("{}.0".format))], ignore_index=True)
    assert said(check_scores(rows))[0][2] == 12


# --- samples that only some bids have ----------------------------------------------------------------------


def with_samples(samples: dict[Bids, Sequence[int]]) -> pd.DataFrame:
    """A scenario whose bid vectors have these samples."""
    k = 1 + max(max(own) for own in samples.values())
    rows = sound(k, vectors=list(samples))
    keep = [
        sample in samples[bid_1, bid_2]
        for sample, bid_1, bid_2 in zip(rows["sample"], rows["bid_1"], rows["bid_2"], strict=True)
    ]
    return rows[keep]


def test_one_bad_row_drops_its_vector_where_that_keeps_more() -> None:
    """Of 4 vectors × 3 samples less one: three vectors keep 9 rows, two samples 8."""
    scores = check_scores(broken([10], "alignment_1", np.nan))
    assert vectors_of(scores) == {"pool": sorted(VECTORS[:3])}
    assert len(scores.rows) == 9
    assert scores.left_out[1] == LeftOut(
        where="scenario pool, bids (0.75, 0.25)",
        found="2 samples where other bids have 3",
        count=2,
        consequence="3 of 4 bid vectors are evaluated, on the 3 samples that all of them have",
    )


def test_one_bad_row_drops_its_sample_where_that_keeps_more() -> None:
    """Of 9 vectors × 4 samples less one: eight vectors keep 32 rows, three samples 27; of 6 samples 48, 45; …"""
    rows = sound(4, vectors=grid((0, 0.5, 1), (0, 0.5, 1)))
    assert len(check_scores(broken([6], "alignment_1", np.nan, rows)).rows) == 32
    rows = sound(10, vectors=VECTORS)
    scores = check_scores(broken([6], "alignment_1", np.nan, rows))
    assert len(scores.rows) == 36  # 4 vectors × 9 samples, not 3 × 10
    assert sorted(set(scores.rows["sample"])) == [0, 1, 2, 3, 4, 5, 7, 8, 9]
    assert scores.left_out[1].count == 3
    assert scores.left_out[1].consequence.startswith("4 of 4 bid vectors are evaluated, on the 9 samples")


@pytest.mark.parametrize(
    ("samples", "kept"),
    [
        # Nine vectors' worth of rows: one odd vector of few samples goes, one of many costs a sample.
        ([range(8), range(8), range(8), range(2)], (3, 8)),
        ([range(8), range(8), range(8), range(7)], (4, 7)),
        # Two odd vectors that lack different samples: 2 × 8, 3 × 7 or 4 × 6.
        ([range(8), range(8), range(7), range(1, 8)], (4, 6)),
        # 1 × 8, 2 × 6, 3 × 2, 4 × 2: from the vectors with most samples down.
        ([range(8), range(6), range(2), range(2)], (2, 6)),
        ([range(8), range(6), range(5), range(5)], (4, 5)),
        # Nothing in common: the vectors with most samples.
        ([range(3), range(3, 6), range(3, 5), range(6, 7)], (1, 3)),
        # A tie, 2 × 4 and 4 × 2: more samples.
        ([range(4), range(4), range(2), range(2)], (2, 4)),
    ],
)
def test_which_cut_is_taken(samples: list[range], kept: tuple[int, int]) -> None:
    scores = check_scores(with_samples(dict(zip(VECTORS, samples, strict=True))))
    vectors, found = len(scores.bids("pool")), scores.rows["sample"].nunique()
    assert (vectors, found) == kept
    assert len(scores.rows) == vectors * found
    (item,) = (item for item in scores.left_out if "samples where other bids have" in item.found)
    assert item.count == sum(map(len, samples)) - len(scores.rows)
    assert item.consequence == (
        f"{vectors} of 4 bid vectors are evaluated, on the {found} samples that all of them have"
    )


def test_scenarios_may_differ_in_samples_and_bids() -> None:
    rows = pd.concat([sound(2, ["a"]), sound(5, ["b"], vectors=VECTORS[:3])], ignore_index=True)
    scores = check_scores(rows)
    assert scores.left_out == ()
    assert [len(scores.pools(s).samples) for s in ("a", "b")] == [2, 5]
    metrics = evaluate(scores, [VCG()])
    assert list(metrics["welfare"]["vcg"]["by_k"]) == ["1", "5"]
    assert metrics["welfare"]["vcg"]["n"] == 7


@st.composite
def ragged(draw: st.DrawFn) -> tuple[pd.DataFrame, dict[Bids, frozenset[int]]]:
    samples = {
        vector: draw(st.frozensets(st.integers(0, 4), min_size=1))
        for vector in draw(st.lists(st.sampled_from(grid((0, 1, 2), (0, 1, 3))), min_size=1, max_size=6, unique=True))
    }
    rows = with_samples({vector: sorted(own) for vector, own in samples.items()})
    return rows.sample(frac=1, random_state=draw(st.integers(0, 99))), samples


@settings(max_examples=60, deadline=None)
@given(ragged())
def test_what_is_left_has_every_sample_at_every_bid(case: tuple[pd.DataFrame, dict[Bids, frozenset[int]]]) -> None:
    rows, samples = case
    scores = check_scores(rows)
    bids, kept = scores.bids("pool"), set(scores.rows["sample"])
    assert len(scores.rows) == len(bids) * len(kept)
    assert all(kept <= samples[vector] for vector in bids)
    assert all(vector in bids for vector, own in samples.items() if kept <= own)  # no vector goes without need
    most = max(map(len, samples.values()))
    assert len(scores.rows) >= most  # never worse than the vector with most samples
    assert len(scores.rows) >= len(samples) * len(frozenset.intersection(*samples.values()))  # nor than all vectors
    left_out = sum(item.count for item in scores.left_out if "samples where" in item.found)
    assert left_out == len(rows) - len(scores.rows)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 8), st.integers(2, 9), st.data())
def test_a_single_bad_row_costs_as_little_as_can_be(k: int, count: int, data: st.DataObject) -> None:
    vectors = grid((0, 0.5, 1), (0, 0.5, 1))[:count]
    rows = sound(k, vectors=vectors)
    bad = data.draw(st.integers(0, len(rows) - 1))
    scores = check_scores(broken([bad], "alignment_1", np.nan, rows))
    assert len(scores.rows) == max(k * (count - 1), (k - 1) * count)


# --- pools that are missing ----------------------------------------------------------------------------------


def test_bids_without_single_winner_rows() -> None:
    """No welfare to compare in that scenario, and all else computed."""
    rows = pd.concat([sound(scenarios=["whole"]), sound(scenarios=["half"])], ignore_index=True)
    rows = rows[~((rows["scenario"] == "half") & (rows["bid_1"] == 1))]
    scores = check_scores(rows)
    assert scores.left_out == (
        LeftOut(
            where="scenario half, bids of agent 1 alone",
            found="no rows",
            count=3,
            consequence="no single winner to compare these auctions with",
        ),
    )
    metrics = evaluate(scores, ALL)
    assert (metrics["welfare"]["vcg"]["n"], metrics["welfare"]["vcg"]["left_out"]) == (4, 3)
    assert (metrics["revenue"]["vcg"]["n"], metrics["revenue"]["vcg"]["left_out"]) == (5, 2)
    assert (metrics["revenue"]["vcg_pool"]["n"], metrics["revenue"]["first_price"]["n"]) == (7, 7)
    assert metrics["revenue"]["single_winner"]["left_out"] == 3
    by_scenario = {own["scenario"]: own["n"] for own in metrics["welfare"]["vcg"]["by_scenario"]}
    assert by_scenario == {"whole": 4, "half": 0}
    curve = metrics["monotonicity"]["agent_1"]["curve"]
    assert [point["n"] for point in curve] == [6, 6, 6, 3]
    assert metrics["left_out"][0]["where"] == "scenario half, bids of agent 1 alone"
    auctions = run_auctions(scores, ALL).query("scenario == 'half'")
    assert auctions.groupby("mechanism").size().to_dict() == {
        "first_price": 3, "myerson": 3, "shapley": 3, "vcg": 3, "vcg_pool": 3,
    }  # fmt: skip


def test_scaled_one_hot_bids_are_a_baseline() -> None:
    scores = check_scores(sound(vectors=[(0.3, 0.0), (0.0, 2.0), (1.0, 1.0)]))
    assert scores.left_out == ()
    assert evaluate(scores, [VCG()])["welfare"]["vcg"]["left_out"] == 0


def test_every_agent_without_rows_of_its_own_is_named() -> None:
    scores = check_scores(sound(vectors=[(1.0, 1.0), (0.0, 0.0)]))
    assert said(scores) == [(f"scenario pool, bids of agent {i} alone", "no rows", 1) for i in (1, 2)]


# --- scenarios, pools, bids ----------------------------------------------------------------------------------


NAMES: list[tuple[list[Any], list[Any]]] = [
    (["b", "a"], ["a", "b"]),
    ([7, 3, 10], [3, 7, 10]),
    ([1.0, 0.0], [0, 1]),
    ([0.5, 0.25], ["0.25", "0.5"]),
    ([True, False], ["False", "True"]),
    ([1, "a", 0], [0, 1, "a"]),
    (["b", 1, 2.5], [1, "2.5", "b"]),
    ([1, "1"], [1, "1"]),
    (["日本", "a b/c", ""], ["", "a b/c", "日本"]),
    ([pd.Timestamp("2026-01-02"), pd.Timestamp("2026-01-01")], ["2026-01-01 00:00:00", "2026-01-02 00:00:00"]),
]


@pytest.mark.parametrize(("given", "found"), NAMES, ids=[str(given) for given, _ in NAMES])
def test_scenarios_of_any_kind(given: list[Any], found: list[Any]) -> None:
    """Numbers before words, whatever the order of the rows."""
    places = random_table(VECTORS, range(len(given)))
    rows = places.assign(scenario=pd.Series([given[place] for place in places["scenario"]], dtype=object))
    scores = check_scores(rows.iloc[::-1])
    assert scores.scenarios == found
    metrics = json.loads(json.dumps(evaluate(scores, ALL), allow_nan=False))
    assert [own["scenario"] for own in metrics["welfare"]["vcg"]["by_scenario"]] == found
    assert metrics["welfare"]["vcg"]["n"] == 4 * len(given)
    assert run_auctions(scores, [VCG()])["scenario"].unique().tolist() == found


def test_categories_are_scenarios() -> None:
    rows = random_table(VECTORS, ("b", "a"))
    categories = rows.astype({"scenario": pd.CategoricalDtype(["unused", "b", "a"])})
    assert check_scores(categories).scenarios == ["a", "b"]
    assert evaluate(check_scores(categories), [VCG()]) == evaluate(check_scores(rows), [VCG()])


def test_lists_as_scenarios_are_words() -> None:
    rows = random_table(VECTORS, (0,)).assign(scenario=[[1, 2]] * 16)
    assert check_scores(rows).scenarios == ["[1, 2]"]


def test_numbers_of_scenarios_stay_whole_beside_a_missing_one() -> None:
    rows = random_table(VECTORS, (0, 1)).astype({"scenario": object})
    rows.loc[3, "scenario"] = None
    assert list(map(repr, check_scores(rows).scenarios)) == list(map(repr, check_scores(rows.drop(index=3)).scenarios))


def test_scenarios_of_large_numbers_stay_apart() -> None:
    numbers = [2**60, 2**60 + 1, 2**60 + 2]
    assert check_scores(random_table(VECTORS, numbers)).scenarios == numbers


def test_a_pool_is_every_row_of_a_ratio() -> None:
    rows = table(
        {
            ("s", (0.5, 0.0)): [[0.1, 0.2], [0.3, 0.4]],
            ("s", (2.0, 0.0)): [[0.5, 0.6], [0.7, 0.8]],  # recorded with noise of its own
            ("s", (1.0, 3.0)): [[0.9, 1.0], [1.1, 1.2]],
            ("s", (2.0, 6.0)): [[0.9, 1.0], [1.1, 1.2]],  # the same images
            ("t", (1.0, 0.0)): [[9.0, 9.0]],
        }
    )
    pools = check_scores(rows.iloc[::-1]).pools("s")
    assert pools.ratios.tolist() == [[0.25, 0.75], [1.0, 0.0], [1.0, 0.0]]
    np.testing.assert_array_equal(pools.alignments[0], [[0.9, 1.0], [1.1, 1.2]])
    np.testing.assert_array_equal(pools.alignments[1:], [[[0.1, 0.2], [0.3, 0.4]], [[0.5, 0.6], [0.7, 0.8]]])
    np.testing.assert_array_equal(pools.of_bids(np.array([(7.0, 0.0), (1.0, 1.0)])), [[0, 1, 1], [0, 0, 0]])


def test_samples_need_not_begin_with_zero() -> None:
    rows = sound().assign(sample=lambda t: t["sample"] * 3 + 4)
    pools = check_scores(rows).pools("pool")
    assert pools.samples.tolist() == [4, 7, 10]
    assert run_auctions(check_scores(rows), [VCG()])["chosen_sample"].isin([4, 7, 10]).all()
    gain = evaluate(check_scores(rows), [VCG()])["welfare"]["vcg"]
    assert gain["by_k"]["1"] is None  # sample 0 is not there
    assert gain["by_k"]["11"] == gain["relative_gain_mean"]


def test_bids_of_the_table_or_those_asked_for() -> None:
    scores = check_scores(sound(scenarios=("a", "b")))
    assert {s: list(map(tuple, own)) for s, own in auction_bids(scores, None).items()} == vectors_of(scores)
    asked = auction_bids(scores, [(0.2, 0.1)])
    assert {s: own.tolist() for s, own in asked.items()} == {"a": [[0.2, 0.1]], "b": [[0.2, 0.1]]}


def test_nearly_equal_bids_are_bid_vectors_of_their_own() -> None:
    scores = check_scores(sound(vectors=[(0.5, 0.5), (0.5 + 1e-11, 0.5), (1.0, 0.0), (0.0, 1.0)]))
    assert len(scores.bids("pool")) == 4
    assert len(scores.pools("pool").ratios) == 3
    assert evaluate(scores, [VCG()])["welfare"]["vcg"]["n"] == 4


# --- files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["scores.csv", "scores.parquet"])
def test_a_table_is_read_as_written(name: str, tmp_path: Path) -> None:
    rows = random_table(grid((0, 0.1, 1 / 3), (0, 0.7)), ("pool", "desk"))
    (rows.to_csv if name.endswith("csv") else rows.to_parquet)(tmp_path / name, index=False)
    pd.testing.assert_frame_equal(read_scores(tmp_path / name), rows)
    with_index = rows.set_index(rows.index + 5)
    (with_index.to_csv if name.endswith("csv") else with_index.to_parquet)(tmp_path / name)
    pd.testing.assert_frame_equal(check_scores(read_scores(tmp_path / name)).rows[[*rows]], check_scores(rows).rows)


GARBAGE = bytes(itertools.islice(itertools.cycle(range(255, -1, -1)), 5000))
FILES: dict[str, bytes | None] = {
    "missing.csv": None,
    "missing.parquet": None,
    "scores.txt": b"scenario,sample\n",
    "scores": b"scenario,sample\n",
    "scores.csv.gz": b"scenario,sample\n",
    "empty.csv": b"",
    "empty.parquet": b"",
    "garbage.csv": GARBAGE,
    "garbage.parquet": GARBAGE,
    "ragged.csv": b"a,b\n1,2,3\n1,2,3,4,5\n",
    "text.parquet": b"scenario,sample,bid_1,alignment_1\n0,0,1,0.5\n",
    "cut.parquet": b"PAR1" + bytes(50) + b"PAR1",
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_table_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if FILES[name] is not None:
        path.write_bytes(FILES[name])
    with pytest.raises(RequestError) as caught:
        read_scores(path)
    assert str(caught.value).startswith(f"scores = {path}: expected ")
    assert "\n" not in str(caught.value)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "folder.parquet").mkdir()
    for name in ("folder.csv", "folder.parquet"):
        with pytest.raises(RequestError, match="scores"):
            check_scores(read_scores(tmp_path / name))


def test_a_file_of_other_columns_names_the_first_that_is_absent(tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text("a,b\n1,2\n")
    with pytest.raises(RequestError, match="column scenario = absent"):
        check_scores(read_scores(tmp_path / "scores.csv"))


def test_rows_left_out_are_named_up_to_twenty() -> None:
    rows = pd.concat([sound().assign(scenario=number) for number in range(3)], ignore_index=True)
    rows["alignment_1"] = rows["alignment_1"].astype(object).where(rows.index >= 25, "n/a")
    (first, *_) = check_scores(rows).left_out
    assert first.consequence == f"left out: rows {', '.join(map(str, range(20)))} and 5 more"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("scenario;sample;bid_1;alignment_1\n0;0;1;0,5\n", "it is not separated by commas"),
        ("scene,sample,bid_1,alignment_1\n0,0,1,.5\n", "there are scene, sample, bid_1, alignment_1"),
    ],
)
def test_a_table_of_another_form_says_what_was_found(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "scores.csv"
    file.write_text(text)
    with pytest.raises(RequestError, match=said):
        check_scores(read_scores(file))


def test_blanks_around_the_names_of_columns_are_no_part_of_them(tmp_path: Path) -> None:
    file = tmp_path / "scores.csv"
    file.write_text("scenario, sample, bid_1, alignment_1\n0, 0, 1, 0.5\n")
    assert len(check_scores(read_scores(file)).rows) == 1
