"""The worker that makes the images of the plan, and the shards of its work."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from PIL import Image
from pydantic import TypeAdapter

from diffusion_auction.config import ModelConfig
from diffusion_auction.generation.batching import Batching
from diffusion_auction.generation.loading import load_pipeline
from diffusion_auction.generation.plan import in_parts, planned_images
from diffusion_auction.generation.store import Images
from diffusion_auction.market.scenarios import Scenario
from launchers import Shard, completion_of, open_shards, record_of

GENERATE = "shards/generate"
"""The folder of this stage's completion records, below the run directory."""


@dataclass(frozen=True)
class Made:
    """The completion record of a generation shard: the digest of each image, and the mean seconds per image."""

    sha256: list[str]
    seconds: float


_MADE = TypeAdapter(Made)


def made_of(run_dir: Path, shard: Shard) -> Made | None:
    """Return the completion record of a generation shard; None if it is absent or damaged."""
    mark = record_of(run_dir / GENERATE, shard, _MADE)
    return mark if mark and len(mark.sha256) == shard.size else None


def generation_shards(
    images: pd.DataFrame, scenarios: dict[int, Scenario], composition: str, config: ModelConfig
) -> list[Shard]:
    """Divide the images of a plan into shards of one batch each.

    The division is always the same and a batch is always made whole, so the rounding of an image never changes.
    """
    settings = config.model_dump(exclude={"device", "offload"})
    return [
        Shard.of(
            {
                "model": settings,
                "composition": composition,
                "images": [
                    {
                        "base_prompt": scenarios[image.scenario].base_prompt,
                        "agent_prompts": list(scenarios[image.scenario].agent_prompts),
                        "bids": list(image.bids),
                        "seed": image.seed,
                        "path": image.path,
                    }
                    for image in part
                ],
            },
            size=len(part),
        )
        for part in in_parts(planned_images(images), config.batch)
    ]


class Generator:
    """Worker of generation shards: the pipeline, loaded once, from `stage_dir` on this node's disk if there is one."""

    def __init__(self, config: ModelConfig, run_dir: Path, stage_dir: str | None = None) -> None:
        self._config, self._run_dir = config, run_dir
        self._pipe = load_pipeline(config, stage_dir)
        advice = "try model.offload=true, smaller model.height and model.width, or model.max_branches=1"
        self._in_parts = Batching("model.batch", advice, free=self._pipe.maybe_free_model_hooks)

    def __call__(self, shard: Shard) -> None:
        """Make and store the images of `shard`, and write its completion record."""
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
        shard.complete(self._run_dir / GENERATE, record)
        files.publish()

    def _make(self, rows: Sequence[dict[str, Any]], composition: str) -> list[Image.Image]:
        config = self._config
        images: list[Image.Image] = self._pipe(
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
        return images


def unfinished(shards: list[Shard], run_dir: Path) -> list[Shard]:
    """Return the shards that have no completion record, or whose images differ from it.

    The completion records of the latter are removed.
    """
    return open_shards(shards, run_dir / GENERATE, lambda shard: _is_made(shard, run_dir))


def _is_made(shard: Shard, run_dir: Path) -> bool:
    mark = made_of(run_dir, shard)
    return mark is not None and _images(shard, run_dir).complete(mark.sha256)


def take_over(shards: list[Shard], source: Path, run_dir: Path) -> list[Shard]:
    """Take images over from the finished shards of another run.

    The key of a shard covers everything that its images depend on, so equal keys mean equal images. A run with another
    alignment or quality measure, another mechanism or fewer samples needs no new images.

    Args:
        shards: the shards to finish.
        source: the run directory to take images from.
        run_dir: the run directory of this run.

    Returns:
        The shards that `source` has not finished.
    """
    rest = []
    for shard in shards:
        record, mark = completion_of(source / GENERATE, shard.key), made_of(source, shard)
        files = _images(shard, run_dir)
        if record is not None and mark is not None and files.link(source, mark.sha256):
            shard.complete(run_dir / GENERATE, record)
            files.publish()
        else:
            rest.append(shard)
    return rest


def _images(shard: Shard, run_dir: Path) -> Images:
    return Images(run_dir, [image["path"] for image in shard.payload["images"]])
