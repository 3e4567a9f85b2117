"""The workers: one makes images of the plan, the other scores them as stored."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import diffusers
import open_clip
import pandas as pd
import torch
import transformers
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from PIL import Image

from diffusion_auction.alignment import ClipAlignment
from diffusion_auction.config import AlignmentConfig, ModelConfig
from diffusion_auction.errors import RequestError
from diffusion_auction.pipelines import FluxPipelineAuction
from diffusion_auction.plan import row_values
from diffusion_auction.scenarios import Scenario
from diffusion_auction.store import Images
from diffusion_auction.tiny_flux import WEIGHTS
from launchers import Shard, mark_of

GENERATE, SCORE = "shards/generate", "shards/score"
"""Folders of the marks, below the run directory."""


def load_pipeline(config: ModelConfig) -> FluxPipelineAuction:
    """The configured Flux on its device, silent. Raises `RequestError` if its weights cannot be had."""
    weights = WEIGHTS / "flux" if config.weights == "tiny_flux" else config.weights
    device = device_of("model.device", config.device)
    _silence()
    try:
        pipe = FluxPipelineAuction.from_pretrained(weights, dtype=getattr(torch, config.dtype))
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        reason = " ".join(str(error).split())
        raise RequestError(
            "model.weights", weights, f"a diffusers folder or a reachable hub name ({reason})"
        ) from error
    pipe.set_progress_bar_config(disable=True)
    if config.offload:
        pipe.enable_model_cpu_offload(device=device)
    else:
        pipe.to(device)
    return pipe


def _silence() -> None:
    """One progress bar is enough: those of loading are turned off."""
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()


def device_of(key: str, name: str) -> str:
    """The device that `name`, the value of `key`, means; `auto` is the GPU where there is one.

    Raises `RequestError` for a GPU that is not there.
    """
    count = torch.cuda.device_count()
    if name == "auto":
        return "cuda" if count else "cpu"
    if name.startswith("cuda") and int(name.partition(":")[2] or 0) >= count:
        raise RequestError(key, name, f"auto, cpu or one of the {count} GPUs that this process sees")
    return name


def check_alignment(config: AlignmentConfig) -> None:
    """Refuse, before any image is made, an alignment model that cannot be had. Raises `RequestError`."""
    device_of("alignment.device", config.device)
    if config.model == "tiny_clip":
        if config.pretrained is not None:
            raise RequestError("alignment.pretrained", config.pretrained, "null, tiny_clip has its own weights")
    elif ":" not in config.model:  # a scheme such as hf-hub: or local-dir: says where to look
        if config.model not in open_clip.list_models():
            raise RequestError("alignment.model", config.model, "tiny_clip or a name of open_clip.list_models()")
        tags = open_clip.list_pretrained_tags_by_model(config.model)
        if config.pretrained not in tags and not Path(str(config.pretrained)).is_file():
            raise RequestError("alignment.pretrained", config.pretrained, f"a file or one of {', '.join(tags)}")


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
    config: AlignmentConfig,
    run_dir: Path,
    made: list[Shard],
) -> list[Shard]:
    """The stored images in batches, each keyed by the digests of its files and the texts they are held against."""
    digests: dict[str, str] = {}
    for shard in made:
        record = mark_of(run_dir / GENERATE, shard.key) or {"sha256": []}
        digests |= zip((image["path"] for image in shard.payload["images"]), record["sha256"], strict=True)
    settings = config.model_dump(exclude={"device"})
    return [
        Shard.of(
            {
                "alignment": settings,
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
        for part in _parts(images, config.batch)
    ]


def _parts(images: pd.DataFrame, size: int) -> list[pd.DataFrame]:
    return [images.iloc[i : i + size] for i in range(0, len(images), size)]


class Generator:
    """Worker of generation shards: the pipeline, loaded once."""

    def __init__(self, config: ModelConfig, run_dir: Path) -> None:
        self._config, self._run_dir = config, run_dir
        self._pipe = load_pipeline(config)

    def __call__(self, shard: Shard) -> None:
        """Make, store and mark the images of `shard`."""
        rows = shard.payload["images"]
        began = time.perf_counter()
        images = self._make(rows, shard.payload["composition"])
        seconds = time.perf_counter() - began
        files = Images(self._run_dir, [row["path"] for row in rows])
        record = {
            "sha256": files.write(images),
            "seconds": seconds / len(rows),
            "sample_passes": self._pipe.sample_passes,
            "device": str(self._pipe.device),
        }
        shard.mark(self._run_dir / GENERATE, record)
        files.publish()

    def _make(self, rows: list[dict[str, Any]], composition: str) -> list[Image.Image]:
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
    """The generation shards that are not marked, or whose images are not all as marked."""
    return [shard for shard in shards if not _finished(shard, run_dir)]


def _finished(shard: Shard, run_dir: Path) -> bool:
    record = mark_of(run_dir / GENERATE, shard.key)
    paths = [image["path"] for image in shard.payload["images"]]
    return record is not None and Images(run_dir, paths).complete(record["sha256"])


class Scorer:
    """Worker of scoring shards: the alignment model, loaded once."""

    def __init__(self, config: AlignmentConfig, run_dir: Path) -> None:
        self._config, self._run_dir = config, run_dir
        self._clip = ClipAlignment(config.model, config.pretrained, device_of("alignment.device", config.device))

    def __call__(self, shard: Shard) -> None:
        """Score the 8-bit images of `shard` as they are stored, and mark it with the scores."""
        images = shard.payload["images"]
        embeddings = self._clip.embed([self._open(image["path"]) for image in images])
        quality = self._clip.quality(embeddings, self._config.good_prompt, self._config.bad_prompt)
        alignments = [
            self._clip.similarities(embedding[None], image["texts"])[0].tolist()
            for embedding, image in zip(embeddings, images, strict=True)
        ]
        record: dict[str, Any] = {"alignments": alignments, "quality": quality.tolist()}
        shard.mark(self._run_dir / SCORE, record)

    def _open(self, path: str) -> Image.Image:
        with Image.open(self._run_dir / path) as image:
            return image.convert("RGB")
