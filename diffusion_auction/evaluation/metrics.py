"""metrics.json: what must stand in it for figures, pages and comparisons to be made of it.

More may stand there. A number is None where there is nothing that it could be of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter

from diffusion_auction.evaluation.scores import count_agents, numbered
from generative_auctions.files import DamagedFileError, read_json

_Number = FiniteFloat | None
_Samples = Annotated[str, Field(pattern=r"^[1-9]\d*$")]
"""k, as a key."""


@dataclass
class _Mean:
    mean: _Number
    ci_low: _Number
    ci_high: _Number
    n: int


@dataclass
class _Point(_Mean):
    normalized_bid: FiniteFloat


@dataclass
class _Monotonicity:
    spearman: _Number
    adjacent_pairs: int
    adjacent_violations: int
    curve: list[_Point]


@dataclass
class _ScenarioGain(_Mean):
    scenario: int | str
    by_k: dict[_Samples, _Mean]


@dataclass
class _GainByBids:
    bids: list[FiniteFloat]
    relative_gain: FiniteFloat
    n: int


@dataclass
class _GainByBidders:
    bidders: int
    relative_gain: FiniteFloat
    n: int


@dataclass
class _Gain:
    relative_gain_mean: _Number
    ci_low: _Number
    ci_high: _Number
    relative_gain_max: _Number
    n: int
    left_out: int
    by_k: dict[_Samples, _Number]
    by_k_intervals: dict[_Samples, tuple[_Number, _Number]]
    by_bids: list[_GainByBids]
    by_bidders: list[_GainByBidders]
    by_scenario: list[_ScenarioGain]


class _Welfare(BaseModel):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, _Gain]
    baseline: str


@dataclass
class _Regret:
    relative_regret_mean: _Number
    ci_low: _Number
    ci_high: _Number
    n: int
    deviation_mean: _Number
    deviation_ci_low: _Number
    deviation_ci_high: _Number


@dataclass
class _ScenarioRegret(_Regret):
    scenario: int | str
    by_k: dict[_Samples, _Regret]


@dataclass
class _Truthfulness(_Regret):
    relative_regret_median: _Number
    relative_regret_max: _Number
    absolute_regret_max: _Number
    excluded: int
    left_out: int
    by_k: dict[_Samples, _Regret]
    by_scenario: list[_ScenarioRegret]


@dataclass
class _Revenue:
    mean: _Number
    ci_low: _Number
    ci_high: _Number
    share_of_welfare: _Number
    share_ci_low: _Number
    share_ci_high: _Number
    n: int
    left_out: int
    deficits: int
    payments: int
    payments_below_zero: int
    utilities_below_zero: int
    lowest_utility: _Number


@dataclass
class _EqualCost:
    mechanism: str
    equal: str
    k: int
    reference_k: int
    cost: FiniteFloat
    reference_cost: FiniteFloat
    relative_welfare: _Mean
    relative_regret: _Mean
    share_of_welfare: _Mean
    reference_regret: _Mean
    reference_share: _Mean


@dataclass
class _QualityPoint(_Point):
    agent: int


@dataclass
class _Difference(_Mean):
    n_reference: int


@dataclass
class _Quality:
    by_normalized_bid: list[_QualityPoint]
    base_only: _Number
    base_only_n: int
    composed_minus_single: _Difference
    composed_minus_base: _Difference


@dataclass
class _Cost:
    images: int
    sample_passes: int


@dataclass
class _LeftOut:
    where: str
    found: str
    count: int
    consequence: str


@dataclass
class _Metrics:
    monotonicity: dict[str, _Monotonicity]
    welfare: _Welfare
    truthfulness: dict[str, _Truthfulness]
    revenue: dict[str, _Revenue]
    left_out: list[_LeftOut]
    equal_cost: list[_EqualCost] | None = None
    quality: _Quality | None = None
    cost: _Cost | None = None


_METRICS = TypeAdapter(_Metrics)


def read_metrics(path: Path, key: str = "run_dir") -> dict[str, Any]:
    """The content of metrics.json; raises `RequestError` naming the file if it is damaged."""
    metrics: dict[str, Any] = read_json(path, _METRICS, key=key)
    return metrics


def check_metrics(path: Path, metrics: Mapping[str, Any], auctions: pd.DataFrame, key: str = "run_dir") -> None:
    """Raise `RequestError` if `metrics`, read from `path`, are not of `auctions`: told by the mean revenues."""
    try:
        bids = auctions[numbered("bid", count_agents(auctions))]
        held = auctions[(bids > 0).any(axis=1)]
        earned = held.groupby("mechanism")["revenue"].mean()
    except (KeyError, TypeError, ValueError) as error:
        problem = f"no columns of bids and revenue, {type(error).__name__}: {error}"
        raise DamagedFileError(path.with_name("auctions.parquet"), problem, key=key) from None
    for mechanism, part in metrics["revenue"].items():
        stated = np.nan if part["mean"] is None else part["mean"]
        if not np.isclose(stated, earned.get(mechanism, np.nan), rtol=1e-9, atol=1e-12, equal_nan=True):
            raise DamagedFileError(path, f"its revenue under {mechanism} is not that of auctions.parquet", key=key)
    if unknown := set(auctions["mechanism"]) - set(metrics["revenue"]):
        raise DamagedFileError(path, f"it lacks {min(unknown)}, which auctions.parquet has", key=key)
