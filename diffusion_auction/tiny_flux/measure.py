"""Measure the embedded models for the model card: `python -m diffusion_auction.tiny_flux.measure [--run DIR]`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from diffusion_auction.columns import row_values
from diffusion_auction.evaluation.scores import distinct_images
from diffusion_auction.market.bids import one_hot
from diffusion_auction.pipelines import FluxPipelineAuction
from diffusion_auction.scoring.alignment import ClipAlignment
from diffusion_auction.tiny_flux import WEIGHTS
from diffusion_auction.tiny_flux.data import OBJECT_NAMES, fresh_picture
from diffusion_auction.tiny_flux.vocabulary import AT_HOME, OBJECTS, SCENES

PROMPTS = list(OBJECTS.values())
SEEN = 0.01
"""An object counts as absent from a rendering if it covers less than this share of the picture."""


def similarities(clip: ClipAlignment, images: list[Image.Image]) -> np.ndarray:
    """Return cosines (N, 17) of `images` and every object's prompt."""
    parts = [clip.similarities(clip.embed(images[i : i + 256]), PROMPTS) for i in range(0, len(images), 256)]
    return np.concatenate(parts)


def zero_shot_on_renderings(clip: ClipAlignment, count: int = 1700, seed: int = 1_000_001) -> float:
    """Return the share of fresh renderings of one object whose most similar prompt is that object's."""
    rng = np.random.default_rng(seed)
    truth = [OBJECT_NAMES[i % len(OBJECT_NAMES)] for i in range(count)]
    images = [Image.fromarray(fresh_picture(rng, names=[name])[1].pixels) for name in truth]
    return _accuracy(similarities(clip, images), truth)


def zero_shot_on_generated(
    clip: ClipAlignment, pipe: FluxPipelineAuction, steps: int, each: int = 20, seed: int = 0
) -> dict[str, float]:
    """Return for each object the share right of `each` images generated for it alone, in a scene of its own."""
    right: dict[str, float] = {}
    for index, name in enumerate(OBJECT_NAMES):
        scene = next(scene for scene, names in AT_HOME.items() if name in names)
        generators = [torch.Generator().manual_seed(seed * 10_007 + index * 1_009 + i) for i in range(each)]
        images = pipe(
            base_prompt=[SCENES[scene]] * each,
            agent_prompts=[[OBJECTS[name]]] * each,
            bids=[[1.0]] * each,
            num_inference_steps=steps,
            generator=generators,
            return_dict=False,
        )[0]
        right[name] = _accuracy(similarities(clip, images), [name] * each)
    return right


def thresholds(clip: ClipAlignment, count: int = 3000, seed: int = 1_000_002) -> dict[str, tuple[float, float]]:
    """Return for each object's prompt the alignment that separates fresh renderings with and without the object.

    The value at which as large a share of pictures with the object lie below as of those without lie above
    (equal error), and that error.
    """
    rng = np.random.default_rng(seed)
    pictures = [fresh_picture(rng)[1] for _ in range(count)]
    cosines = similarities(clip, [Image.fromarray(picture.pixels) for picture in pictures])
    out = {}
    for column, name in enumerate(OBJECT_NAMES):
        shows = np.array([picture.visible.get(name, 0.0) > SEEN for picture in pictures])
        out[OBJECTS[name]] = _equal_error(cosines[shows, column], cosines[~shows, column])
    return out


def _equal_error(present: np.ndarray, absent: np.ndarray) -> tuple[float, float]:
    levels = np.sort(np.concatenate([present, absent]))
    missed = np.searchsorted(np.sort(present), levels) / len(present)
    false = 1 - np.searchsorted(np.sort(absent), levels) / len(absent)
    at = int(np.argmin(np.abs(missed - false)))
    return float(levels[at]), float((missed[at] + false[at]) / 2)


def both_recognised(scores: pd.DataFrame, prompts: dict[int, tuple[str, ...]], level: dict[str, float]) -> float:
    """Return the share of the distinct images at equal bids on which every agent's object is recognised.

    `scores` as in scores.parquet, `prompts` the agents' prompts by scenario, `level` the alignment above which a
    prompt's object is recognised.
    """
    seen = [
        all(a > level[p] for a, p in zip(row_values(row, "alignment"), prompts[row["scenario"]], strict=True))
        for row in distinct_images(scores).to_dict("records")
        if len(set(row_values(row, "normalized_bid"))) == 1 and row["normalized_bid_1"] > 0
    ]
    return float(np.mean(seen))


def winners_shown(scores: pd.DataFrame, prompts: dict[int, tuple[str, ...]], level: dict[str, float]) -> float:
    """Return the share of the distinct images at one-hot bids on which that agent's object is recognised."""
    seen = [
        row[f"alignment_{agent + 1}"] > level[prompt]
        for row in distinct_images(scores).to_dict("records")
        for agent, prompt in enumerate(prompts[row["scenario"]])
        if row_values(row, "normalized_bid") == one_hot(agent, len(prompts[row["scenario"]]))
    ]
    return float(np.mean(seen))


def _accuracy(cosines: np.ndarray, truth: list[str]) -> float:
    return float(np.mean([OBJECT_NAMES[best] == name for best, name in zip(cosines.argmax(1), truth, strict=True)]))


def main(argv: list[str] | None = None) -> None:
    """Print the figures as JSON; with `--run`, those of a two-agent run too."""
    parser = argparse.ArgumentParser(prog="python -m diffusion_auction.tiny_flux.measure", description=__doc__)
    parser.add_argument("--run", type=Path, help="run directory of +sweep=two_agent_grid")
    parser.add_argument("--steps", type=int, default=5, help="Euler steps of generated images")
    args = parser.parse_args(argv)
    clip = ClipAlignment("tiny_clip")
    pipe = FluxPipelineAuction.from_pretrained(WEIGHTS / "flux", dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    generated = zero_shot_on_generated(clip, pipe, args.steps)
    levels = thresholds(clip)
    figures: dict[str, object] = {
        "zero_shot_renderings": zero_shot_on_renderings(clip),
        "zero_shot_generated": float(np.mean(list(generated.values()))),
        "zero_shot_generated_by_object": generated,
        "equal_error_rate_mean": float(np.mean([error for _, error in levels.values()])),
    }
    if args.run:
        scores = pd.read_parquet(args.run / "scores.parquet")
        log = json.loads((args.run / "generation_log.json").read_text())["scenarios"]
        prompts = {
            int(name.removeprefix("prompt_")): tuple(v for k, v in texts.items() if k != "base_prompt")
            for name, texts in log.items()
        }
        level = {prompt: value for prompt, (value, _) in levels.items()}
        metrics = json.loads((args.run / "metrics.json").read_text())
        figures["both_recognised_at_equal_bids"] = both_recognised(scores, prompts, level)
        figures["winner_recognised_at_one_hot_bids"] = winners_shown(scores, prompts, level)
        figures["spearman"] = {agent: part["spearman"] for agent, part in metrics["monotonicity"].items()}
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
