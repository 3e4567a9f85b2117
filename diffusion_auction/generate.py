"""The workers: one makes images of the plan, the other scores them as stored."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from diffusion_auction.alignment import alignments, load_alignment
from diffusion_auction.config import AlignmentConfig, ModelConfig, QualityConfig
from diffusion_auction.halving import Halving
from diffusion_auction.loading import device_of, load_pipeline
from diffusion_auction.plan import row_values
from diffusion_auction.quality import load_quality
from diffusion_auction.scenarios import Scenario
from diffusion_auction.store import Images
from launchers import Shard, mark_of, unmark

GENERATE, SCORE = "shards/generate", "shards/score"
"""Folders of the marks, below the run directory."""


@dataclass(frozen=True)
class Made:
    """What the mark of a generation shard says: the digest of each image, and the mean seconds of one."""

    sha256: list[str]
    seconds: float


@dataclass(frozen=True)
class Scored:
    """What the mark of a scoring shard says of each image: alignments, that of the base prompt last, and quality."""

    alignments: list[list[float]]
    quality: list[float]


_MADE, _SCORED = TypeAdapter(Made), TypeAdapter(Scored)


def made_of(run_dir: Path, shard: Shard) -> Made | None:
    """What the mark of a generation shard says; None without a mark, and if it is damaged."""
    mark: Made | None = _mark(run_dir / GENERATE, shard, _MADE)
    return mark if mark and len(mark.sha256) == shard.size else None


def scored_of(run_dir: Path, shard: Shard) -> Scored | None:
    """The same of a scoring shard."""
    mark: Scored | None = _mark(run_dir / SCORE, shard, _SCORED)
    texts = [len(image["texts"]) for image in shard.payload["images"]]
    whole = mark and len(mark.quality) == shard.size and list(map(len, mark.alignments)) == texts
    return mark if whole else None


def _mark(folder: Path, shard: Shard, shape: TypeAdapter[Any]) -> Any:
    try:
        return shape.validate_python(mark_of(folder, shard.key))
    except ValidationError:
        return None


@cache
def check_measures(alignment: AlignmentConfig, quality: QualityConfig) -> None:
    """Refuse, before any image is made, measures whose weights cannot be had. Raises `RequestError`.

    They are fetched where need be, loaded on the CPU, and let go: hours of images shall not end in a wrong file.
    """
    load_quality(quality, load_alignment(alignment, "cpu"), "cpu")


def check_devices(model: ModelConfig, alignment: AlignmentConfig) -> None:
    """Refuse devices that this host has not. Raises `RequestError`."""
    device_of("model.device", model.device)
    device_of("alignment.device", alignment.device)


def generation_shards(
    images: pd.DataFrame, scenarios: dict[int, Scenario], composition: str, config: ModelConfig
) -> list[Shard]:
    """The plan's images in batches, always the same ones: a batch is made whole, so its rounding never changes."""
    settings = config.model_dump(exclude={"device", "offload"})
    return [
        Shard.of(
            {
                "model": settings,
                "composition": composition,
                "images": [
                    {
                        "base_prompt": scenarios[row["scenario"]].base_prompt,
                        "agent_prompts": list(scenarios[row["scenario"]].agent_prompts),
                        "bids": list(row_values(row, "normalized_bid")),
                        "seed": row["seed"],
                        "path": row["path"],
                    }
                    for row in part.to_dict("records")
                ],
            },
            size=len(part),
        )
        for part in _parts(images, config.batch)
    ]


def scoring_shards(
    images: pd.DataFrame,
    scenarios: dict[int, Scenario],
    alignment: AlignmentConfig,
    quality: QualityConfig,
    run_dir: Path,
    made: list[Shard],
) -> list[Shard]:
    """The stored images in batches, each keyed by the digests of its files and the texts they are held against."""
    digests: dict[str, str] = {}
    for shard in made:
        mark = made_of(run_dir, shard)
        digests |= zip((image["path"] for image in shard.payload["images"]), mark.sha256 if mark else (), strict=True)
    settings = {"alignment": alignment.model_dump(exclude={"device"}), "quality": quality.model_dump()}
    return [
        Shard.of(
            {
                **settings,
                "images": [
                    {
                        "path": row.path,
                        "sha256": digests[row.path],
                        "texts": [
                            *scenarios[row.scenario].agent_prompts,
                            scenarios[row.scenario].base_prompt,
                        ],
                    }
                    for row in part.itertuples()
                ],
            },
            size=len(part),
        )
        for part in _parts(images, alignment.batch)
    ]


def _parts(images: pd.DataFrame, size: int) -> list[pd.DataFrame]:
    return [images.iloc[i : i + size] for i in range(0, len(images), size)]


class Generator:
    """Worker of generation shards: the pipeline, loaded once, from `stage_dir` on this node's disk if there is one."""

    def __init__(self, config: ModelConfig, run_dir: Path, stage_dir: str | None = None) -> None:
        self._config, self._run_dir = config, run_dir
        self._pipe = load_pipeline(config, stage_dir)
        advice = "try model.offload=true, smaller model.height and model.width, or model.max_branches=1"
        self._in_parts = Halving("model.batch", advice, free=self._pipe.maybe_free_model_hooks)

    def __call__(self, shard: Shard) -> None:
        """Make, store and mark the images of `shard`."""
        rows = shard.payload["images"]
        passes: list[int] = []

        def make(part: Sequence[dict[str, Any]]) -> list[Image.Image]:
            images = self._make(part, shard.payload["composition"])
            passes.append(self._pipe.sample_passes)
            return images

        began = time.perf_counter()
        images = self._in_parts(make, rows)
        seconds = time.perf_counter() - began
        files = _images(shard, self._run_dir)
        record = {
            "sha256": files.write(images),
            "seconds": seconds / len(rows),
            "sample_passes": sum(passes),
            "device": str(self._pipe.device),
        }
        shard.mark(self._run_dir / GENERATE, record)
        files.publish()

    def _make(self, rows: Sequence[dict[str, Any]], composition: str) -> list[Image.Image]:
        config = self._config
        return self._pipe(
            base_prompt=[row["base_prompt"] for row in rows],
            agent_prompts=[row["agent_prompts"] for row in rows],
            bids=[row["bids"] for row in rows],
            composition=composition,
            generator=[torch.Generator("cpu").manual_seed(row["seed"]) for row in rows],
            height=config.height,
            width=config.width,
            num_inference_steps=config.steps,
            schedule=config.schedule,
            guidance_scale=config.guidance_scale,
            max_sequence_length=config.max_sequence_length,
            max_branches=config.max_branches,
            return_dict=False,
        )[0]


def unfinished(shards: list[Shard], run_dir: Path) -> list[Shard]:
    """The generation shards that are not marked, or whose images are not all as marked: those lose their marks."""
    return [shard for shard in shards if not _keeps_mark(shard, run_dir / GENERATE, lambda s: _is_made(s, run_dir))]


def unscored(shards: list[Shard], run_dir: Path) -> list[Shard]:
    """The scoring shards that are not marked, or whose marks are damaged: those lose them."""
    return [shard for shard in shards if not _keeps_mark(shard, run_dir / SCORE, lambda s: bool(scored_of(run_dir, s)))]


def _keeps_mark(shard: Shard, folder: Path, is_done: Callable[[Shard], bool]) -> bool:
    marked = mark_of(folder, shard.key) is not None  # asked first: a worker of an earlier run may be marking it
    done = is_done(shard)
    if marked and not done:
        unmark(folder, shard.key)
    return done


def _is_made(shard: Shard, run_dir: Path) -> bool:
    mark = made_of(run_dir, shard)
    return mark is not None and _images(shard, run_dir).complete(mark.sha256)


def take_over(shards: list[Shard], source: Path, run_dir: Path) -> list[Shard]:
    """Finish those of `shards` that another run has finished too; the rest.

    A shard's key says all that its images depend on, so they are those that this run would make: another alignment or
    quality measure, another mechanism or fewer samples need no new images.
    """
    rest = []
    for shard in shards:
        record, mark = mark_of(source / GENERATE, shard.key), made_of(source, shard)
        files = _images(shard, run_dir)
        if record is not None and mark is not None and files.link(source, mark.sha256):
            shard.mark(run_dir / GENERATE, record)
            files.publish()
        else:
            rest.append(shard)
    return rest


def _images(shard: Shard, run_dir: Path) -> Images:
    return Images(run_dir, [image["path"] for image in shard.payload["images"]])


class Scorer:
    """Worker of scoring shards: the models of alignment and quality, loaded once on one device."""

    def __init__(self, alignment: AlignmentConfig, quality: QualityConfig, run_dir: Path) -> None:
        self._measure, self._run_dir = alignment.measure, run_dir
        device = device_of("alignment.device", alignment.device)
        self._alignment = load_alignment(alignment, device)
        self._quality = load_quality(quality, self._alignment, device)
        self._in_parts = Halving("alignment.batch", "try alignment.device=cpu")

    def __call__(self, shard: Shard) -> None:
        """Score the 8-bit images of `shard` as they are stored, and mark it with the scores."""
        aligned, quality = zip(*self._in_parts(self._score, shard.payload["images"]), strict=True)
        shard.mark(self._run_dir / SCORE, {"alignments": aligned, "quality": quality})

    def _score(self, rows: Sequence[dict[str, Any]]) -> list[tuple[list[float], float]]:
        """Alignments and quality of each image."""
        images = [self._open(row["path"]) for row in rows]
        texts = [row["texts"] for row in rows]
        embeddings = self._alignment.embed(images)
        cosines = [
            self._alignment.similarities(embedding[None], own)[0]
            for embedding, own in zip(embeddings, texts, strict=True)
        ]
        aligned = alignments(np.stack(cosines), self._measure, self._alignment.logit_scale)
        quality = self._quality(images, embeddings, [base for *_, base in texts])
        return list(zip(aligned.tolist(), quality.tolist(), strict=True))

    def _open(self, path: str) -> Image.Image:
        with Image.open(self._run_dir / path) as image:
            return image.convert("RGB")
