"""The table of a sweep: one type a column, the same in both files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from launchers.sweep_table import override_values, scalar_metrics, write_sweep_table


def written(rows: list[dict[str, Any]], folder: Path) -> pd.DataFrame:
    """The table of `rows` as the Parquet file has it; the CSV file, whose headline is everything, must say the same."""
    own = folder / ".sweep" / "command"
    own.mkdir(parents=True)
    entries = [{"row": {"run_dir": str(i), **row}, "metrics": {}} for i, row in enumerate(rows)]
    (own / "rows.json").write_text(json.dumps({"begun": 0, "rows": entries}))
    write_sweep_table(folder, dict)
    table = pd.read_parquet(folder / "sweep.parquet")
    read = pd.read_csv(folder / "sweep.csv", dtype=table.dtypes.to_dict(), keep_default_na=False, na_values=[""])
    pd.testing.assert_frame_equal(read, table)
    assert {path.name for path in folder.iterdir()} == {".sweep", "sweep.parquet", "sweep.csv"}
    return table.drop(columns="run_dir")


def test_rows_keep_their_order_and_lack_what_they_lack(tmp_path: Path) -> None:
    rows = [
        {"job": 0, "samples": 2, "status": "refused"},
        {"job": 1, "samples": 1, "status": "done", "welfare.vcg.relative_gain_mean": 0.1, "cost.images": 3},
    ]
    table = written(rows, tmp_path)
    assert list(table) == ["job", "samples", "status", "welfare.vcg.relative_gain_mean", "cost.images"]
    assert table["samples"].tolist() == [2, 1]
    assert table.isna().sum().sum() == 2
    assert table["cost.images"].iloc[1] == 3


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], "Int64"),
        ([1, None], "Int64"),
        ([1, 2.5], "float64"),
        ([None, 0.1], "float64"),
        ([True, False, None], "boolean"),
        ([True, 1], "str"),
        ([1, "[1,2]"], "str"),
        (["vcg", None], "str"),
        ([2**100, 1], "str"),
        ([None, None], "str"),
    ],
)
def test_a_column_has_one_type(values: list[Any], kind: str, tmp_path: Path) -> None:
    table = written([{"x": value, "y": 1} for value in values], tmp_path)
    assert table["x"].dtype == kind
    assert table["x"].isna().tolist() == [value is None for value in values]


def test_overrides_are_typed_as_hydra_reads_them() -> None:
    overrides = [
        "seed=1",
        "+sweep=two_agent_grid",
        "x=0.5",
        "a.b=true",
        "teams=null",
        "bids.vectors=[[0.2,0.8]]",
        "n='1'",
    ]
    assert override_values(overrides) == {
        "seed": 1,
        "sweep": "two_agent_grid",
        "x": 0.5,
        "a.b": True,
        "teams": None,
        "bids.vectors": "[[0.2,0.8]]",
        "n": "1",
    }


def test_single_values_of_the_metrics(tmp_path: Path) -> None:
    assert scalar_metrics(tmp_path) == {}
    metrics = {"welfare": {"baseline": "single_winner", "vcg": {"n": 3, "ci_low": None, "by_bids": [1]}}, "curve": []}
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    assert scalar_metrics(tmp_path) == {
        "welfare.baseline": "single_winner",
        "welfare.vcg.n": 3,
        "welfare.vcg.ci_low": None,
    }
