"""The score table: what it must hold, which of its rows are one image, and the pools that it makes.

Columns: scenario, sample, bid_1…bid_n as submitted, alignment_1…alignment_n; others are left alone.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd

from diffusion_auction.bids import Bids, normalized
from diffusion_auction.errors import RequestError
from diffusion_auction.mechanisms.outcome import MissingPoolError


def numbered(prefix: str, n_agents: int) -> list[str]:
    """The columns ``{prefix}_1`` … ``{prefix}_n``."""
    return [f"{prefix}_{i}" for i in range(1, n_agents + 1)]


def count_agents(scores: pd.DataFrame) -> int:
    """n: how many columns bid_1, bid_2, … stand in a row."""
    n = 0
    while f"bid_{n + 1}" in scores:
        n += 1
    return n


def validate_scores(scores: pd.DataFrame) -> None:
    """Raise `RequestError` naming the column, and the row, that the evaluation cannot do with."""
    n = max(count_agents(scores), 1)
    numbers = ["sample", *numbered("bid", n), *numbered("alignment", n)]
    for column in ("scenario", *numbers):
        if column not in scores:
            wanted = f"the columns scenario, {', '.join(numbers)}"
            raise RequestError(f"scores, column {column}", "absent", wanted)
    if scores.empty:
        raise RequestError("scores", "no rows", "one row per image and bid vector")
    if scores["scenario"].isna().any():
        row = int(scores["scenario"].isna().to_numpy().argmax())
        raise RequestError(f"scores, row {row}, column scenario", "absent", "the scenario's number or name")
    for column in numbers:
        values = pd.to_numeric(scores[column], errors="coerce").to_numpy(dtype=float)
        wrong = ~np.isfinite(values)
        expected = "a finite number"
        if not column.startswith("alignment"):
            wrong |= values < 0
            expected = "a finite number, not negative"
        if wrong.any():
            row = int(wrong.argmax())
            raise RequestError(f"scores, row {row}, column {column}", scores[column].iloc[row], expected)


def distinct_images(scores: pd.DataFrame) -> pd.DataFrame:
    """One row per image, with normalized_bid_1…n added, ordered by scenario, bids and sample.

    Rows whose bids have the same ratios share their images: those of one scenario, sample and ratio with
    equal alignments are one image. With other alignments they are images of their own, as in scores recorded
    without common noise, and stay.
    """
    n = count_agents(scores)
    bids, alignments, shares = (numbered(prefix, n) for prefix in ("bid", "alignment", "normalized_bid"))
    unique, inverse = np.unique(scores[bids].to_numpy(dtype=float), axis=0, return_inverse=True)
    ratios = np.array([normalized(tuple(map(float, row))) for row in unique]).reshape(-1, n)
    images = scores.assign(**dict(zip(shares, ratios[inverse.ravel()].T, strict=True)))
    images = images.drop_duplicates(["scenario", "sample", *shares, *alignments])
    return images.sort_values(["scenario", *shares, "sample"], kind="stable", ignore_index=True)


class ScorePools:
    """The candidate pools P(b) of one scenario: a `Pool` that also knows each row's sample index."""

    def __init__(self, images: pd.DataFrame) -> None:
        """`images` are rows of `distinct_images` of one scenario."""
        n = count_agents(images)
        shares = images[numbered("normalized_bid", n)].to_numpy(dtype=float)
        alignments = images[numbered("alignment", n)].to_numpy(dtype=float)
        samples = images["sample"].to_numpy(dtype=int)
        rows: dict[Bids, list[int]] = {}
        for row, ratio in enumerate(map(tuple, shares.tolist())):
            rows.setdefault(ratio, []).append(row)
        self._pools = {ratio: (alignments[at], samples[at]) for ratio, at in rows.items()}

    def __call__(self, bids: Bids) -> np.ndarray:
        """Alignments (k, n) of P(bids), by sample index; raises `MissingPoolError`."""
        return self._pool(bids)[0]

    def samples(self, bids: Bids) -> np.ndarray:
        """Sample indices (k,) of the rows of P(bids); raises `MissingPoolError`."""
        return self._pool(bids)[1]

    def __contains__(self, bids: Bids) -> bool:
        return normalized(bids) in self._pools

    def _pool(self, bids: Bids) -> tuple[np.ndarray, np.ndarray]:
        try:
            return self._pools[normalized(bids)]
        except KeyError:
            raise MissingPoolError(bids) from None


def pools_of(scores: pd.DataFrame, scenario: Hashable) -> ScorePools:
    """The candidate pools of one scenario: P(b) is every row whose bids have the ratios of b."""
    return ScorePools(distinct_images(scores[scores["scenario"] == scenario]))


def bid_vectors(scores: pd.DataFrame, bids: Sequence[Bids] | None = None) -> list[tuple[Hashable, Bids]]:
    """Every (scenario, bids) to auction: each of `bids` in each scenario; if None, those of the table.

    A run's table has rows of bids that nobody submitted, for payments: there `bids` says which are auctions.
    """
    if bids is not None:
        return [(scenario, each) for scenario in scores["scenario"].unique() for each in dict.fromkeys(bids)]
    columns = ["scenario", *numbered("bid", count_agents(scores))]
    rows = scores[columns].drop_duplicates().itertuples(index=False, name=None)
    return [(scenario, tuple(map(float, each))) for scenario, *each in rows]
