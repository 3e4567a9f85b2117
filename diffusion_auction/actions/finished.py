"""Read what a finished run stores and check each file against those that it follows from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.testing import assert_frame_equal

from diffusion_auction.config import ExperimentConfig, read_config
from diffusion_auction.evaluation.evaluate import run_auctions
from diffusion_auction.evaluation.metrics import Metrics, check_metrics, read_metrics
from diffusion_auction.evaluation.scores import Scores, check_scores
from diffusion_auction.market.bids import Bids
from diffusion_auction.mechanisms import Mechanism, side_by_side
from generative_auctions.errors import RequestError
from generative_auctions.files import DamagedFileError, read_table


def read_stored(run_dir: Path, stored: dict[str, Any]) -> ExperimentConfig:
    """Check the configuration `stored` in `run_dir`, which may lie elsewhere than when it was written."""
    tree = {key: value for key, value in stored.items() if key != "identity"}
    return read_config(tree | {"run_dir": str(run_dir)})


def check_finished(run_dir: Path, *also: str) -> None:
    """Raise `RequestError` unless `run_dir` has the files of a finished run, and `also` these."""
    for file in (*also, "scores.parquet", "auctions.parquet", "metrics.json", "provenance.json"):
        if not (run_dir / file).exists():
            raise RequestError("run_dir", run_dir, f"the directory of a finished run (it has no {file})")


def check_images(run_dir: Path, samples: pd.DataFrame) -> None:
    """Raise `DamagedFileError` for an image other than the one of the table `samples`. Images may be absent."""
    for path, digest in zip(samples["path"], samples["sha256"], strict=True):
        file = run_dir / path
        if file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            raise DamagedFileError(file, "it is another picture than was made, by the digest in samples.parquet")


def read_scores(run_dir: Path) -> Scores:
    """Read the scores of `run_dir`. Raises `RequestError` naming the file if it is damaged."""
    file = run_dir / "scores.parquet"
    table = read_table(file)
    try:
        return check_scores(table)
    except RequestError as error:
        raise DamagedFileError(file, error) from None


def read_outcomes(
    run_dir: Path, scores: Scores, mechanism: Mechanism, bids: Sequence[Bids] | None = None
) -> tuple[pd.DataFrame, Metrics]:
    """Read the auctions and metrics of `run_dir`; `bids` are those auctioned, by default all of the `scores`.

    The auctions are held again, which is cheap, to check that table and metrics belong to this run.

    Raises:
        RequestError: a file is damaged, or does not follow from the one before it.
    """
    file = run_dir / "auctions.parquet"
    auctions = read_table(file)
    if not is_of(auctions, run_auctions(scores, side_by_side(mechanism), bids)):
        raise DamagedFileError(file, "it does not follow from scores.parquet")
    file = run_dir / "metrics.json"
    metrics = read_metrics(file)
    check_metrics(file, metrics, auctions)
    return auctions, metrics


def is_of(table: pd.DataFrame, expected: pd.DataFrame) -> bool:
    """Return whether `table` has the rows and at least the columns of `expected`, numbers within rounding."""
    try:
        assert_frame_equal(table[list(expected)], expected, check_dtype=False, rtol=1e-9, atol=1e-12)
    except (AssertionError, KeyError, TypeError, ValueError):
        return False
    return True
