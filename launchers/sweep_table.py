"""The table of a sweep: a row for each job, with its overrides, its status and its metrics."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from hydra.core.override_parser.overrides_parser import OverridesParser
from pydantic import TypeAdapter

from generative_auctions.files import read_json, write_atomic, write_table
from generative_auctions.schema import flat

Row = Mapping[str, Mapping[str, Any]]
"""One job: `row` holds its overrides, directory and status, `metrics` its metrics under keys joined with dots."""

_METRICS = TypeAdapter(dict[str, Any])

Headline = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""A function that selects, from all metrics of a run, the few by which runs are compared. Keys are joined with dots."""


def write_sweep_table(directory: Path, headline: Headline) -> None:
    """Write the table of every command whose jobs lie in `directory`: sweep.csv to read, sweep.parquet with all.

    A row is a job: what it overrides, its run_dir, its status, and in sweep.csv the `headline` of its metrics, in
    sweep.parquet all of them. Of two commands with the same job the later one's row counts.
    """
    stored = [content for path in directory.glob(".sweep/*/rows.json") if (content := _read_rows(path))]
    stored.sort(key=lambda content: content["begun"])
    rows = {entry["row"]["run_dir"]: entry for content in stored for entry in content["rows"]}
    write_table(_table([{**entry["row"], **entry["metrics"]} for entry in rows.values()]), directory / "sweep.parquet")
    few = _table([{**e["row"], **(headline(e["metrics"]) if e["metrics"] else {})} for e in rows.values()])
    write_atomic(directory / "sweep.csv", few.to_csv(index=False, lineterminator="\n").encode())


def store_rows(folder: Path, rows: Sequence[Row]) -> None:
    """Store the outcomes of the jobs of one command in its `folder`, with the time of the first such call."""
    path = folder / "rows.json"
    begun = (_read_rows(path) or {"begun": time.time()})["begun"]
    write_atomic(path, json.dumps({"begun": begun, "rows": rows}).encode())


def _read_rows(path: Path) -> dict[str, Any] | None:
    """Return what one command stored of its jobs; None if there is nothing that can be read."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and {"begun", "rows"} <= content.keys() else None


def _table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return `rows` as a table; a key that a row lacks is an empty cell."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return pd.DataFrame({key: _column([row.get(key) for row in rows]) for key in keys})


def _column(values: Sequence[Any]) -> pd.Series:
    """Return the values as numbers if all are numbers, else as text: a column of a file has one type."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pd.Series(values, dtype="boolean")
    if kinds == {int} and all(-(2**63) <= value < 2**63 for value in values if value is not None):
        return pd.Series(values, dtype="Int64")
    if kinds and kinds <= {int, float} and float in kinds:
        return pd.Series(values, dtype="float64")
    return pd.Series([None if value is None else str(value) for value in values], dtype="str")


def override_values(overrides: Iterable[str]) -> dict[str, Any]:
    """Return the values of Hydra's `overrides` by key, typed as Hydra reads them; lists and mappings as text."""
    values = {}
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        value = override.value()
        if isinstance(value, list | dict):
            value = override.get_value_element_as_str()
        values[override.get_key_element().lstrip("+")] = value
    return values


def scalar_metrics(run_dir: Path) -> dict[str, Any]:
    """Return the single values of the run's metrics.json by their keys joined with dots; none without that file."""
    file = run_dir / "metrics.json"
    metrics = read_json(file, _METRICS) if file.exists() else {}
    return {key: value for key, value in flat(metrics).items() if not isinstance(value, list)}
