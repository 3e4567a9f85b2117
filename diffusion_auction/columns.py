"""Columns numbered by agent: ``bid_1`` … ``bid_n``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def numbered(stem: str, n_agents: int) -> list[str]:
    """Return the names ``{stem}_1`` … ``{stem}_n``."""
    return [f"{stem}_{i}" for i in range(1, n_agents + 1)]


def columns(stem: str, values: Sequence[float]) -> dict[str, float]:
    """Return `values` by their columns: ``{stem_1: …, stem_n: …}``."""
    return {name: float(value) for name, value in zip(numbered(stem, len(values)), values, strict=True)}


def row_values(row: Mapping[str, Any], stem: str) -> tuple[float, ...]:
    """Return the values of the columns ``{stem}_1`` … ``{stem}_n`` in `row`, the inverse of `columns`."""
    return tuple(float(row[name]) for name in numbered(stem, count_agents(row, stem)))


def count_agents(names: Iterable[object], stems: str = "bid|alignment") -> int:
    """Return n, the highest number of a column among `names` that begins with one of `stems` (separated by ``|``)."""
    numbers = [re.fullmatch(rf"(?:{stems})_([1-9]\d*)", str(name)) for name in names]
    return max((int(found[1]) for found in numbers if found), default=0)
