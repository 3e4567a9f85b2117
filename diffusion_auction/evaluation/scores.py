"""The score table: what it must hold, what is left out of it and why, and the candidate pools that it makes.

Columns: scenario, sample, bid_1…bid_n as submitted, alignment_1…alignment_n; alignment_base and quality if they were
measured; others are left alone. Rows are counted from 0, without the header.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from diffusion_auction.columns import count_agents, numbered
from diffusion_auction.market.bids import Bids, normalized, one_hot
from diffusion_auction.mechanisms import CandidatePool
from generative_auctions.errors import RequestError

OPTIONAL = ("alignment_base", "quality")
_MOST_ROWS = 20  # that are named, of those left out
_HIGHEST_BID = 1e100  # sums and products of higher ones could overflow


@dataclass(frozen=True)
class LeftOut:
    """Something in a score table that the evaluation cannot use."""

    where: str
    """The row and column, or the scenario and bids."""
    found: str
    count: int
    """The number of rows or values concerned."""
    consequence: str


@dataclass(frozen=True, eq=False)
class Scores:
    """The sound rows of a score table: within a scenario every bid vector has the same samples."""

    rows: pd.DataFrame
    """The rows, sorted by scenario (numbers before words), bids and sample."""
    n_agents: int
    left_out: tuple[LeftOut, ...]

    @property
    def scenarios(self) -> list[Hashable]:
        """The scenarios of the table, numbers before words."""
        return list(self.rows["scenario"].unique())

    def of(self, scenario: Hashable) -> pd.DataFrame:
        """Return the rows of one scenario."""
        return self.rows[self.rows["scenario"] == scenario]

    def bids(self, scenario: Hashable) -> list[Bids]:
        """Return the distinct bid vectors of one scenario, ascending."""
        return _vectors(self.of(scenario), self.n_agents)

    def pools(self, scenario: Hashable) -> CandidatePool:
        """Return the candidate pools of one scenario: P(b) is every row whose bids have the ratios of b.

        Bid vectors of one ratio share their images; where scores were recorded without common noise they do not, and
        each vector's images are a block of their own.
        """
        rows = self.of(scenario)
        samples = np.unique(rows["sample"].to_numpy(dtype=int))
        vectors = _vectors(rows, self.n_agents)
        images = rows[numbered("alignment", self.n_agents)].to_numpy(dtype=float)
        blocks: dict[tuple[Bids, bytes], np.ndarray] = {}
        for vector, block in zip(vectors, images.reshape(len(vectors), len(samples), -1), strict=True):
            blocks.setdefault((normalized(vector), block.tobytes()), block)
        return CandidatePool.of(((ratio, block) for (ratio, _), block in blocks.items()), samples)


def read_scores(path: Path) -> pd.DataFrame:
    """Read a table of recorded scores from a CSV or Parquet file.

    Args:
        path: a file whose suffix is .csv or .parquet.

    Returns:
        The table as it stands in the file; `check_scores` checks it.

    Raises:
        RequestError: the file cannot be read, or has another suffix.
    """
    readers = {".csv": _read_csv, ".parquet": pd.read_parquet}
    if path.suffix not in readers:
        raise RequestError("scores", path, "a .csv or .parquet file")
    try:
        return readers[path.suffix](path)
    except UnicodeDecodeError:
        raise RequestError("scores", path, "a .csv table in UTF-8; save it in that encoding") from None
    except Exception as error:  # of a damaged file pandas and pyarrow raise errors of many classes
        reason = " ".join(str(error).split())
        raise RequestError("scores", path, f"a readable {path.suffix} table ({reason})") from None


def _read_csv(path: Path) -> pd.DataFrame:
    """Read the table of a file separated by commas; blanks around a column's name are no part of it."""
    table = pd.read_csv(path).rename(columns=lambda name: str(name).strip())
    if len(table.columns) == 1 and re.search("[;\t]", table.columns[0]):
        raise ValueError("it is not separated by commas: save it with , between columns and . in numbers")
    return table


def check_scores(table: pd.DataFrame) -> Scores:
    """Check a score table, keep the rows that can be evaluated, and state what is left out.

    Left out are rows in which a needed value is absent, not a number or out of range; rows given twice; and samples
    that only some bid vectors of a scenario have.

    Args:
        table: one row per image and bid vector, with the columns scenario, sample (integer ≥ 0), bid_1…bid_n (≥ 0, as
            submitted) and alignment_1…alignment_n. The columns alignment_base and quality may be absent.

    Returns:
        The rows that are kept, and in `left_out` the others.

    Raises:
        RequestError: a column is missing, or no row can be used.
    """
    n = _check_columns(table)
    rows = table.reset_index(drop=True)
    rows, bad_values = _without_bad_values(rows, n)
    rows, doubles = _without_doubles(rows, n)
    parts = sorted(rows.groupby("scenario", sort=False), key=lambda part: (isinstance(part[0], str), part[0]))
    balanced = [_balanced(part, n) for _, part in parts]
    if not balanced:
        raise RequestError("scores", "no sound rows", f"one row per image and bid vector ({bad_values[0].where})")
    rows = pd.concat([part for part, _ in balanced], ignore_index=True)
    uneven = [item for _, items in balanced for item in items]
    return Scores(rows, n, (*_absent(table), *bad_values, *doubles, *uneven, *_without_baseline(rows, n)))


def _check_columns(table: pd.DataFrame) -> int:
    n = max(count_agents(table), 1)
    needed = ["scenario", "sample", *numbered("bid", n), *numbered("alignment", n)]
    listed = ", ".join(needed) if n <= 5 else f"scenario, sample, bid_1 … bid_{n}, alignment_1 … alignment_{n}"
    for column in needed:
        if column not in table:
            found = ", ".join(map(str, list(table)[:12]))
            raise RequestError(f"scores, column {column}", "absent", f"the columns {listed}; there are {found}")
    if table.empty:
        raise RequestError("scores", "no rows", "one row per image and bid vector")
    return n


def _scenario_name(value: Any) -> int | str | None:
    """Return a scenario's number, or its name; None where there is neither."""
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, Real) and not isinstance(value, bool):
        number = float(value)
        return (int(number) if number.is_integer() else str(number)) if np.isfinite(number) else None
    return None if value is None or value is pd.NA or value is pd.NaT else str(value)


def _absent(table: pd.DataFrame) -> list[LeftOut]:
    return [
        LeftOut(f"column {column}", "absent", len(table), f"no figure that needs {column}")
        for column in OPTIONAL
        if column not in table
    ]


def _without_bad_values(rows: pd.DataFrame, n: int) -> tuple[pd.DataFrame, list[LeftOut]]:
    """Return rows whose needed values are all numbers in range; optional values that are not become NaN."""
    names = pd.Series(map(_scenario_name, rows["scenario"]), rows.index, dtype=object)
    sound, found, clean = names.notna().to_numpy(), [], rows.assign(scenario=names)
    if not sound.all():
        found.append(_bad(rows, "scenario", ~sound, "left out: {}"))
    for column in ("sample", *numbered("bid", n), *numbered("alignment", n), *OPTIONAL):
        if column not in rows:
            continue
        values = pd.to_numeric(rows[column], errors="coerce").to_numpy(dtype=float)
        wrong = ~np.isfinite(values)
        if column == "sample":
            wrong |= (values < 0) | (values != np.floor(values)) | (values > 2**53)
        elif column.startswith("bid"):
            wrong |= (values < 0) | (values > _HIGHEST_BID)
        optional = column in OPTIONAL
        if wrong.any():
            consequence = f"no {column} for {{}}" if optional else "left out: {}"
            found.append(_bad(rows, column, wrong, consequence))
        clean[column] = np.where(wrong, np.nan, values)
        if not optional:
            sound = sound & ~wrong
    clean = clean[sound]
    return clean.astype({"sample": int}), found


def _bad(rows: pd.DataFrame, column: str, wrong: np.ndarray, consequence: str) -> LeftOut:
    """Return what is left out for the rows that are `wrong`, which take the place of {} in `consequence`."""
    first, *others = (int(number) for number in np.flatnonzero(wrong))
    named = ", ".join(map(str, (first, *others[: _MOST_ROWS - 1])))
    more = f" and {len(others) + 1 - _MOST_ROWS} more" if len(others) >= _MOST_ROWS else ""
    listed = f"row{'s' if others else ''} {named}{more}"
    value = str(rows[column].iloc[first])
    return LeftOut(f"row {first}, column {column}", value, len(others) + 1, consequence.format(listed))


def _without_doubles(rows: pd.DataFrame, n: int) -> tuple[pd.DataFrame, list[LeftOut]]:
    """Return rows of one scenario, sample and bid vector but the first."""
    again = rows.duplicated(["scenario", "sample", *numbered("bid", n)]).to_numpy()
    if not again.any():
        return rows, []
    first = rows.index[again][0]
    what = "a scenario, sample and bid vector given before"
    return rows[~again], [LeftOut(f"row {first}", what, int(again.sum()), "the first of such rows counts")]


def _balanced(rows: pd.DataFrame, n: int) -> tuple[pd.DataFrame, list[LeftOut]]:
    """Return the rows of a scenario cut down to vectors that have all of some samples, and to those samples.

    Of the ways to cut, from the vectors with most samples down to all vectors, the one that keeps most rows.
    """
    rows = rows.sort_values([*numbered("bid", n), "sample"], kind="stable")
    keys = rows[numbered("bid", n)].apply(tuple, axis=1)
    samples = rows.groupby(keys, sort=False)["sample"].agg(frozenset)
    kinds = sorted(Counter(samples).items(), key=lambda kind: (-len(kind[0]), -kind[1]))
    if len(kinds) == 1:
        return rows, []
    cuts: list[frozenset[int]] = list(accumulate((kind for kind, _ in kinds), frozenset.intersection))
    kept = max(cuts, key=lambda cut: len(cut) * sum(cut <= own for own in samples))
    whole = keys.map(samples).map(lambda own: kept <= own)
    sound = whole & rows["sample"].isin(kept)
    odd = next(vector for vector, own in samples.items() if own != kinds[0][0])
    scenario = rows["scenario"].iloc[0]
    item = LeftOut(
        where=f"scenario {scenario}, bids {_listed(odd)}",
        found=f"{len(samples[odd])} samples where other bids have {len(kinds[0][0])}",
        count=int((~sound).sum()),
        consequence=f"{int(whole.groupby(keys).first().sum())} of {len(samples)} bid vectors "
        f"are evaluated, on the {len(kept)} samples that all of them have",
    )
    return rows[sound], [item]


def _without_baseline(rows: pd.DataFrame, n: int) -> list[LeftOut]:
    """Return the scenarios that lack the images made for one agent alone, of which the single winner is chosen."""
    consequence = "no single winner to compare these auctions with"
    found = []
    for scenario, part in rows.groupby("scenario", sort=False):
        vectors = _vectors(part, n)
        count, ratios = sum(map(any, vectors)), set(map(normalized, vectors))
        wheres = [f"scenario {scenario}, bids of agent {i + 1} alone" for i in range(n) if one_hot(i, n) not in ratios]
        found += [LeftOut(where, "no rows", count, consequence) for where in wheres]
    return found


def _listed(bids: Sequence[float]) -> str:
    return f"({', '.join(f'{bid:g}' for bid in bids)})"


def _vectors(rows: pd.DataFrame, n: int) -> list[Bids]:
    unique = np.unique(rows[numbered("bid", n)].to_numpy(dtype=float), axis=0)
    return [tuple(vector) for vector in unique.tolist()]


def distinct_images(rows: pd.DataFrame) -> pd.DataFrame:
    """Reduce a score table to one row per image.

    Bid vectors with the same ratios share their images: rows of one scenario, sample and ratio with equal alignments
    are one image. Rows with other alignments are images of their own, as in scores recorded without common noise.

    Args:
        rows: a checked score table, `Scores.rows`.

    Returns:
        The rows that are kept, with the columns normalized_bid_1…n added, sorted by scenario, bids and sample.
    """
    n = count_agents(rows)
    bids, alignments, shares = (numbered(prefix, n) for prefix in ("bid", "alignment", "normalized_bid"))
    unique, inverse = np.unique(rows[bids].to_numpy(dtype=float), axis=0, return_inverse=True)
    ratios = np.array([normalized(tuple(map(float, row))) for row in unique]).reshape(-1, n)
    images = rows.assign(**dict(zip(shares, ratios[inverse.ravel()].T, strict=True)))
    images = images.drop_duplicates(["scenario", "sample", *shares, *alignments])
    return images.sort_values(["scenario", *shares, "sample"], kind="stable", ignore_index=True)


def auction_bids(scores: Scores, bids: Sequence[Bids] | None) -> dict[Hashable, np.ndarray]:
    """Return the bid vectors (B, n) to auction in each scenario: `bids`; if None, those of the table.

    A run's table has rows of bids that nobody submitted, for payments: there `bids` says which are auctions.
    """
    vectors: dict[Hashable, Any] = {s: scores.bids(s) if bids is None else list(bids) for s in scores.scenarios}
    return {scenario: np.array(each, dtype=float) for scenario, each in vectors.items()}
