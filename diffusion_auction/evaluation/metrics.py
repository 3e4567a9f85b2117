"""The schema of metrics.json, and its reader.

More may stand there. A number is None where there is nothing that it could be of.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple, NotRequired

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, GetPydanticSchema, TypeAdapter
from typing_extensions import TypedDict

from diffusion_auction.columns import count_agents, numbered
from generative_auctions.files import DamagedFileError, read_json

_Number = FiniteFloat | None
_Samples = Annotated[str, Field(pattern=r"^[1-9]\d*$")]
"""A number of samples k, as a key of JSON."""


class _Interval(TypedDict):
    """The ends of a 95 % interval, and the number of observations."""

    ci_low: _Number
    ci_high: _Number
    n: int


class Mean(_Interval):
    """A mean with its interval."""

    mean: _Number


class Names(NamedTuple):
    """Under which names a part of metrics.json states a mean and the ends of its interval."""

    mean: str
    low: str = "ci_low"
    high: str = "ci_high"

    def of(self, estimate: Mean) -> dict[str, Any]:
        """Return `estimate`, without its n, under these names."""
        return {self.mean: estimate["mean"], self.low: estimate["ci_low"], self.high: estimate["ci_high"]}


GAIN = Names("relative_gain_mean")
REGRET = Names("relative_regret_mean")
DEVIATION = Names("deviation_mean", "deviation_ci_low", "deviation_ci_high")
REVENUE = Names("mean")
SHARE = Names("share_of_welfare", "share_ci_low", "share_ci_high")
"""What entries of `welfare`, `truthfulness` (regret and deviation) and `revenue` (revenue and share) state."""


class Point(Mean):
    """A point of a curve over an agent's normalised bid."""

    normalized_bid: FiniteFloat


class Monotonicity(TypedDict):
    """How an agent's alignment follows its bid."""

    spearman: _Number
    adjacent_pairs: int
    adjacent_violations: int
    curve: list[Point]


class ScenarioGain(Mean):
    """The gain of one scenario."""

    scenario: int | str
    by_k: dict[_Samples, Mean]


class _MeanGain(TypedDict):
    relative_gain: FiniteFloat
    n: int


class GainByBids(_MeanGain):
    """The mean gain at one bid vector."""

    bids: list[FiniteFloat]


class GainByBidders(_MeanGain):
    """The mean gain where so many agents bid."""

    bidders: int


class Gain(_Interval):
    """A mechanism's entry of `welfare`: its gain over the baseline."""

    relative_gain_mean: _Number
    relative_gain_max: _Number
    left_out: int
    by_k: dict[_Samples, _Number]
    by_k_intervals: dict[_Samples, tuple[_Number, _Number]]
    by_bids: list[GainByBids]
    by_bidders: list[GainByBidders]
    by_scenario: list[ScenarioGain]


class Regret(_Interval):
    """Regret of agent 1, and deviation of its best bid."""

    relative_regret_mean: _Number
    deviation_mean: _Number
    deviation_ci_low: _Number
    deviation_ci_high: _Number


class ScenarioRegret(Regret):
    """Regret and deviation of one scenario."""

    scenario: int | str
    by_k: dict[_Samples, Regret]


class Truthfulness(Regret):
    """A mechanism's entry of `truthfulness`."""

    relative_regret_median: _Number
    relative_regret_max: _Number
    absolute_regret_max: _Number
    excluded: int
    left_out: int
    by_k: dict[_Samples, Regret]
    by_scenario: list[ScenarioRegret]


class Revenue(Mean):
    """A mechanism's entry of `revenue`."""

    share_of_welfare: _Number
    share_ci_low: _Number
    share_ci_high: _Number
    left_out: int
    deficits: int
    payments: int
    payments_below_zero: int
    utilities_below_zero: int
    lowest_utility: _Number


class EqualCost(TypedDict):
    """A mechanism beside the reference at the same cost."""

    mechanism: str
    equal: str
    k: int
    reference_k: int
    cost: FiniteFloat
    reference_cost: FiniteFloat
    relative_welfare: Mean
    relative_regret: Mean
    share_of_welfare: Mean
    reference_regret: Mean
    reference_share: Mean


class QualityPoint(Point):
    """A point of an agent's curve of quality."""

    agent: int


class Difference(Mean):
    """A difference of two means, and the number of observations of the second."""

    n_reference: int


class Quality(TypedDict):
    """Image quality by bid, and composed images against others."""

    by_normalized_bid: list[QualityPoint]
    base_only: _Number
    base_only_n: int
    composed_minus_single: Difference
    composed_minus_base: Difference


class Cost(TypedDict):
    """What it took to generate the images of a run."""

    images: int
    sample_passes: int
    sample_passes_naive: NotRequired[int]


class LeftOut(TypedDict):
    """Something in a score table that the evaluation cannot use; see `scores.LeftOut`."""

    where: str
    found: str
    count: int
    consequence: str


class _Welfare(BaseModel):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Gain]
    baseline: str


Welfare = Annotated[dict[str, Any], GetPydanticSchema(lambda _, schema_of: schema_of(_Welfare))]
"""The name of the `baseline`; beside it a `Gain` by the name of every other mechanism."""


class Metrics(TypedDict):
    """The whole of metrics.json, mechanisms by their names; the run's own is the first of `truthfulness`."""

    monotonicity: dict[str, Monotonicity]
    welfare: Welfare
    truthfulness: dict[str, Truthfulness]
    revenue: dict[str, Revenue]
    left_out: list[LeftOut]
    equal_cost: NotRequired[list[EqualCost] | None]
    quality: NotRequired[Quality | None]
    cost: NotRequired[Cost | None]


_METRICS = TypeAdapter(Metrics)


def own_mechanism(metrics: Mapping[str, Any]) -> str | None:
    """Return the name of the run's own mechanism, the first of `truthfulness`; None if there is none."""
    return next(iter(metrics.get("truthfulness") or {}), None)


def read_metrics(path: Path, key: str = "run_dir") -> Metrics:
    """Read metrics.json and check its schema.

    Args:
        path: the file.
        key: the configuration key that named the run, for the error message.

    Returns:
        The metrics as they stand in the file.

    Raises:
        RequestError: the file is damaged.
    """
    metrics: Metrics = read_json(path, _METRICS, key=key)
    return metrics


def check_metrics(path: Path, metrics: Metrics, auctions: pd.DataFrame, key: str = "run_dir") -> None:
    """Check that metrics belong to a table of auctions: the mean revenue of each mechanism must agree.

    Args:
        path: the file that `metrics` were read from.
        metrics: the metrics.
        auctions: the table auctions.parquet of the same run.
        key: the configuration key that named the run, for the error message.

    Raises:
        RequestError: a mean revenue differs, or a mechanism is missing.
    """
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
