"""The plan: which images the mechanisms need, each distinct composition once, and what they cost."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

import pandas as pd

from diffusion_auction.columns import columns, row_values
from diffusion_auction.market.bids import Bids, normalized
from diffusion_auction.market.compositions import Coalition, Weights
from diffusion_auction.market.scenarios import Scenario

_Row = TypeVar("_Row")


@dataclass(frozen=True)
class PlannedImage:
    """A distinct image: a row of plan.parquet, which samples.parquet repeats."""

    scenario: int
    sample: int
    bids: Bids
    """The normalised bids."""
    weights: Weights
    seed: int
    """The seed of the initial noise."""
    sample_passes: int
    path: str
    """The path of the image below the run directory."""

    def row(self) -> dict[str, Any]:
        """Return the image by the columns of the table."""
        return {
            "scenario": self.scenario,
            "sample": self.sample,
            **columns("normalized_bid", self.bids),
            "coalitions": json.dumps([list(coalition) for coalition in self.weights]),
            "weights": json.dumps(list(self.weights.values())),
            "seed": self.seed,
            "sample_passes": self.sample_passes,
            "path": self.path,
        }


def planned_images(table: pd.DataFrame) -> list[PlannedImage]:
    """Read the images of a table with the columns of plan.parquet, in its order."""
    return [
        PlannedImage(
            scenario=row["scenario"],
            sample=row["sample"],
            bids=row_values(row, "normalized_bid"),
            weights=dict(zip(map(tuple, json.loads(row["coalitions"])), json.loads(row["weights"]), strict=True)),
            seed=row["seed"],
            sample_passes=row["sample_passes"],
            path=row["path"],
        )
        for row in table.to_dict("records")
    ]


@dataclass(frozen=True)
class Plan:
    """What a run makes.

    vectors: every bid vector that a pool is made for: those asked for whose pool a mechanism reads, then the others.
    images: one row per distinct image, a `PlannedImage`; its coalitions and weights are JSON.
    sample_passes_naive: the cost without sharing or skipping: an image for every requested bid vector, scenario and
        sample, with the prompt of every non-empty coalition at every step.
    """

    vectors: list[Bids]
    images: pd.DataFrame
    sample_passes_naive: int

    @property
    def coalitions(self) -> list[Coalition]:
        """Every coalition whose text conditions an image."""
        written = chain.from_iterable(json.loads(text) for text in self.images["coalitions"].unique())
        return list(dict.fromkeys(map(tuple, written)))

    @property
    def sample_passes(self) -> int:
        """Sample passes that generating `images` takes."""
        return int(self.images["sample_passes"].sum())


def make_plan(
    scenarios: Mapping[int, Scenario],
    bids: Sequence[Bids],
    pools: Callable[[Bids], Iterable[Bids]],
    compose: Callable[[Bids], Weights],
    *,
    samples: int,
    steps: int,
    seed: int,
) -> Plan:
    """Plan the images of a run: `samples` of each distinct composition that a mechanism needs.

    A composition depends on the ratios of the bids alone, so bid vectors of one ratio share their images: the
    paper's 55 vectors have 30 compositions.

    Args:
        scenarios: the scenarios by number.
        bids: the bid vectors asked for, each of n bids ≥ 0.
        pools: maps a bid vector to those whose candidate pools the mechanisms need at it.
        compose: maps bids to the weights of coalitions.
        samples: images per composition, k.
        steps: denoising steps.
        seed: of the initial noise.

    Returns:
        The plan, with one row per distinct image.
    """
    vectors = _read(bids, pools)
    compositions = {ratio: compose(ratio) for ratio in dict.fromkeys(map(normalized, vectors))}
    tags = _tags(list(compositions))
    images = [
        PlannedImage(
            scenario=number,
            sample=sample,
            bids=ratio,
            weights=weights,
            seed=noise_seed(seed, scenario, sample),
            sample_passes=steps * len(weights),
            path=f"images/prompt_{number:03d}/idx{number:03d}_{tags[ratio]}_s{sample:02d}.png",
        )
        for number, scenario in scenarios.items()
        for ratio, weights in compositions.items()
        for sample in range(samples)
    ]
    coalitions = 2 ** len(bids[0]) - 1
    naive = len(scenarios) * len(bids) * samples * steps * coalitions
    return Plan(vectors, pd.DataFrame([image.row() for image in images]), naive)


def noise_seed(seed: int, scenario: Scenario, sample: int) -> int:
    """Return the seed of an image's initial noise: a function of (seed, scenario, sample) alone, below 2^63."""
    text = f"{seed}/{scenario.key}/{sample}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def _read(bids: Sequence[Bids], pools: Callable[[Bids], Iterable[Bids]]) -> list[Bids]:
    """Return the requested vectors whose pools mechanisms read, as submitted, then the other ratios that they read."""
    ratios = dict.fromkeys(normalized(vector) for each in bids for vector in pools(each))
    requested = [vector for vector in bids if normalized(vector) in ratios]
    return [*requested, *(ratio for ratio in ratios if ratio not in set(map(normalized, requested)))]


def _tags(ratios: Sequence[Bids]) -> dict[Bids, str]:
    """Return `b1_0.70_b2_0.30` for each ratio, all with as many digits as keep them apart, two at least."""
    for digits in range(2, 11):
        tags = {ratio: "_".join(f"b{i}_{b:.{digits}f}" for i, b in enumerate(ratio, start=1)) for ratio in ratios}
        if len(set(tags.values())) == len(ratios):
            break
    return tags


def in_parts(rows: Sequence[_Row], size: int) -> list[Sequence[_Row]]:
    """Split `rows` into parts of `size`, the last one shorter."""
    return [rows[i : i + size] for i in range(0, len(rows), size)]
