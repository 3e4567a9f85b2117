"""Batches that do not fit: halved, remembered, and the same shard in the end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from diffusion_auction.actions.experiment import prepare
from diffusion_auction.generation.batching import Batching
from diffusion_auction.generation.generator import GENERATE, Generator, generation_shards
from diffusion_auction.pipelines import FluxPipelineAuction
from diffusion_auction.scoring.alignment import ClipAlignment
from diffusion_auction.scoring.scorer import SCORE, Scorer, scoring_shards
from launchers import Shard, completion_of
from tests.support import configured

REASON = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB"


def fits(most: int, calls: list[int]) -> Callable[[Any], list[Any]]:
    """Work that does nothing to at most `most` rows."""

    def work(rows: Any) -> list[Any]:
        calls.append(len(rows))
        if len(rows) > most:
            raise torch.OutOfMemoryError(REASON)
        return list(rows)

    return work


@pytest.mark.parametrize(("count", "most"), [(1, 1), (6, 6), (7, 3), (60, 1), (25, 13)])
def test_all_rows_in_their_order_and_never_a_size_that_failed(count: int, most: int) -> None:
    calls: list[int] = []
    in_parts = Batching("model.batch", "buy another")
    for _ in range(2):
        assert in_parts(fits(most, calls), range(count)) == list(range(count))
    failed = [size for size in calls if size > most]
    assert len(failed) == len(set(failed)) <= 5
    assert failed == calls[: len(failed)]  # the second shard begins with the size that fitted


def test_it_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    in_parts = Batching("model.batch", "buy another")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            in_parts(fits(2, []), range(4))
    (message,) = caplog.messages
    assert message == "4 images at once do not fit (CUDA out of memory): 2 from now on, as model.batch=2 would"


def test_one_row_that_does_not_fit() -> None:
    with pytest.raises(MemoryError, match=r"one image alone does not fit \(CUDA out of memory\): buy another"):
        Batching("model.batch", "buy another")(fits(0, []), range(3))


def test_other_errors_are_not_its_own() -> None:
    calls = []

    def broken(rows: range) -> list[int]:
        calls.append(rows)
        raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="out of luck"):
        Batching("model.batch", "buy another")(broken, range(4))
    assert len(calls) == 1


# --- the workers -----------------------------------------------------------------------------------

REQUEST = ("samples=2", "model.batch=6", "alignment.batch=6")


def one_shard(tmp_path: Path) -> Shard:
    """Six images of the embedded model in one shard."""
    experiment = prepare(configured(*REQUEST, f"run_dir={tmp_path}"))
    config = experiment.config
    shards = generation_shards(experiment.plan.images, experiment.scenarios, config.composition.name, config.model)
    (shard,) = shards
    return shard


def pixels(run_dir: Path, shard: Shard) -> np.ndarray:
    """The stored images, int16 (N, H, W, 3)."""
    images = [Image.open(run_dir / image["path"]) for image in shard.payload["images"]]
    return np.stack([np.asarray(image, dtype=np.int16) for image in images])


def test_a_generator_on_a_small_gpu_makes_the_same_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shard, config, call = one_shard(tmp_path), configured(*REQUEST).model, FluxPipelineAuction.__call__
    Generator(config, tmp_path / "large")(shard)

    def small(self: FluxPipelineAuction, **kwargs: Any) -> Any:
        if len(kwargs["bids"]) > 2:
            raise torch.OutOfMemoryError(REASON)
        return call(self, **kwargs)

    monkeypatch.setattr(FluxPipelineAuction, "__call__", small)
    Generator(config, tmp_path / "small")(shard)
    large, small_record = (completion_of(tmp_path / name / GENERATE, shard.key) for name in ("large", "small"))
    assert small_record is not None
    assert large is not None
    assert small_record["sample_passes"] == large["sample_passes"]
    assert len(small_record["sha256"]) == shard.size
    assert np.abs(pixels(tmp_path / "large", shard) - pixels(tmp_path / "small", shard)).max() <= 1


def test_an_image_that_does_not_fit_says_what_to_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(self: FluxPipelineAuction, **kwargs: Any) -> Any:
        raise torch.OutOfMemoryError(REASON)

    monkeypatch.setattr(FluxPipelineAuction, "__call__", none)
    shard = one_shard(tmp_path)
    with pytest.raises(MemoryError, match=r"model\.offload=true, smaller model\.height .* model\.max_branches=1"):
        Generator(configured(*REQUEST).model, tmp_path / "run")(shard)
    assert completion_of(tmp_path / "run" / GENERATE, shard.key) is None


def test_a_scorer_on_a_small_gpu_gives_the_same_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shard, config, embed = one_shard(tmp_path), configured(*REQUEST), ClipAlignment.embed
    Generator(config.model, tmp_path)(shard)
    experiment = prepare(config)
    settings = (config.alignment, config.quality, tmp_path)
    (scoring,) = scoring_shards(experiment.plan.images, experiment.scenarios, *settings, [shard])
    Scorer(*settings)(scoring)
    large = completion_of(tmp_path / SCORE, scoring.key)

    def small(self: ClipAlignment, images: Any) -> torch.Tensor:
        if len(images) > 4:
            raise torch.OutOfMemoryError(REASON)
        return embed(self, images)

    monkeypatch.setattr(ClipAlignment, "embed", small)
    Scorer(*settings)(scoring)
    halved = completion_of(tmp_path / SCORE, scoring.key)
    assert halved is not None
    assert large is not None
    for column in ("alignments", "quality"):
        np.testing.assert_allclose(halved[column], large[column], rtol=1e-4, atol=1e-5)
