"""Score tables for tests: from alignments written out, or drawn at random."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from diffusion_auction.market.bids import Bids, normalized


def table(rows: Mapping[tuple[Hashable, Bids], Sequence[Sequence[float]]], **more: Any) -> pd.DataFrame:
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


def random_table(
    vectors: Sequence[Bids], scenarios: Sequence[Hashable] = (0, 1), k: int = 4, seed: int = 0, common: bool = True
) -> pd.DataFrame:
    """Uniform alignments; bid vectors of one ratio share their images if `common`."""
    rng = np.random.default_rng(seed)
    rows: dict[tuple[Hashable, Bids], list[list[float]]] = {}
    for scenario in scenarios:
        images: dict[Bids, list[list[float]]] = {}
        for bids in vectors:
            key = normalized(bids) if common else bids
            rows[scenario, bids] = images.setdefault(key, rng.uniform(0.1, 0.5, (k, len(bids))).tolist())
    return table(rows)
