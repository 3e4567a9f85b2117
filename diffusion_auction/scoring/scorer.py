"""The worker that scores stored images, and the shards of its work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from pydantic import TypeAdapter

from diffusion_auction.config import AlignmentConfig, ModelConfig, QualityConfig
from diffusion_auction.generation.batching import Batching
from diffusion_auction.generation.generator import made_of
from diffusion_auction.generation.loading import device_of
from diffusion_auction.generation.plan import in_parts, planned_images
from diffusion_auction.market.scenarios import Scenario
from diffusion_auction.scoring.alignment import alignments, load_alignment
from diffusion_auction.scoring.quality import load_quality
from launchers import Shard, open_shards, record_of

SCORE = "shards/score"
"""The folder of this stage's completion records, below the run directory."""


@dataclass(frozen=True)
class Scored:
    """The completion record of a scoring shard: alignments (the base prompt's last) and quality of each image."""

    alignments: list[list[float]]
    quality: list[float]


_SCORED = TypeAdapter(Scored)


def scored_of(run_dir: Path, shard: Shard) -> Scored | None:
    """Return the completion record of a scoring shard; None if it is absent or damaged."""
    mark = record_of(run_dir / SCORE, shard, _SCORED)
    texts = [len(image["texts"]) for image in shard.payload["images"]]
    whole = mark and len(mark.quality) == shard.size and list(map(len, mark.alignments)) == texts
    return mark if whole else None


@cache
def check_measures(alignment: AlignmentConfig, quality: QualityConfig) -> None:
    """Check, before any image is made, that the measures can be loaded.

    Both are downloaded if necessary, loaded on the CPU and released, so that a wrong file does not show only after
    hours of generation.

    Raises:
        RequestError: their weights cannot be loaded.
    """
    load_quality(quality, load_alignment(alignment, "cpu"), "cpu")


def check_devices(model: ModelConfig, alignment: AlignmentConfig) -> None:
    """Check that this host has the configured devices.

    Raises:
        RequestError: it lacks one.
    """
    device_of("model.device", model.device)
    device_of("alignment.device", alignment.device)


def scoring_shards(
    images: pd.DataFrame,
    scenarios: dict[int, Scenario],
    alignment: AlignmentConfig,
    quality: QualityConfig,
    run_dir: Path,
    made: list[Shard],
) -> list[Shard]:
    """Divide the stored images into shards of one batch each.

    The key of a shard covers the digests of its images and the texts that they are compared with.
    """
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
                        "path": image.path,
                        "sha256": digests[image.path],
                        "texts": [*scenarios[image.scenario].agent_prompts, scenarios[image.scenario].base_prompt],
                    }
                    for image in part
                ],
            },
            size=len(part),
        )
        for part in in_parts(planned_images(images), alignment.batch)
    ]


def unscored(shards: list[Shard], run_dir: Path) -> list[Shard]:
    """Return the scoring shards without a sound completion record; damaged records are removed."""
    return open_shards(shards, run_dir / SCORE, lambda shard: scored_of(run_dir, shard) is not None)


class Scorer:
    """Worker of scoring shards: the models of alignment and quality, loaded once on one device."""

    def __init__(self, alignment: AlignmentConfig, quality: QualityConfig, run_dir: Path) -> None:
        self._measure, self._run_dir = alignment.measure, run_dir
        device = device_of("alignment.device", alignment.device)
        self._alignment = load_alignment(alignment, device)
        self._quality = load_quality(quality, self._alignment, device)
        self._in_parts = Batching("alignment.batch", "try alignment.device=cpu")

    def __call__(self, shard: Shard) -> None:
        """Score the 8-bit images of `shard` as they are stored, and mark it with the scores."""
        aligned, quality = zip(*self._in_parts(self._score, shard.payload["images"]), strict=True)
        shard.complete(self._run_dir / SCORE, {"alignments": aligned, "quality": quality})

    def _score(self, rows: Sequence[dict[str, Any]]) -> list[tuple[list[float], float]]:
        """Score each image: its alignments and its quality."""
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
