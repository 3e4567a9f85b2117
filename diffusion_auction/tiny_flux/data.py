"""Rendered pictures with captions and visible shares, cached as arrays for training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from diffusion_auction.market.scenarios import join_prompts
from diffusion_auction.tiny_flux.renderer import SIZE, Layout, Picture, render, sample_layout
from diffusion_auction.tiny_flux.vocabulary import OBJECTS, SCENES

SCENE_NAMES, OBJECT_NAMES = tuple(SCENES), tuple(OBJECTS)


@dataclass(frozen=True)
class Pictures:
    """`pixels` uint8 (N, 64, 64, 3), `captions` of length N, `scenes` int (N,), `visible` float32 (N, 17)."""

    pixels: np.ndarray
    captions: list[str]
    scenes: np.ndarray
    visible: np.ndarray


def caption(layout: Layout) -> str:
    """Return the prompt whose picture `layout` is: the scene's base prompt joined with its objects' prompts.

    Objects stand in catalogue order, as agents do in a coalition's prompt, so the order says nothing about place.
    """
    names = sorted((placement.name for placement in layout.objects), key=OBJECT_NAMES.index)
    return join_prompts(SCENES[layout.scene], [OBJECTS[name] for name in names])


def fresh_picture(
    rng: np.random.Generator, scene: str | None = None, names: list[str] | None = None, ghosts: bool = False
) -> tuple[Layout, Picture]:
    """Return a random layout and its picture; with `ghosts`, a third of the layouts have see-through objects."""
    layout = sample_layout(rng, scene, names)
    if ghosts and rng.random() < 1 / 3:
        faded = tuple(replace(placement, opacity=float(rng.uniform(0.1, 1))) for placement in layout.objects)
        layout = Layout(layout.scene, faded)
    return layout, render(layout, rng)


def pictures(count: int, seed: int, ghosts: bool, cache: Path | None = None) -> Pictures:
    """Render `count` fresh pictures; picture i depends on (`seed`, `ghosts`, i) alone. Cached in `cache` if given."""
    path = cache / f"pictures_{count}_{seed}_{int(ghosts)}.npz" if cache else None
    if path and path.exists():
        stored = np.load(path)
        return Pictures(stored["pixels"], [str(c) for c in stored["captions"]], stored["scenes"], stored["visible"])
    pixels = np.empty((count, SIZE, SIZE, 3), np.uint8)
    visible = np.zeros((count, len(OBJECT_NAMES)), np.float32)
    scenes, captions = np.empty(count, np.int64), []
    for i in range(count):
        layout, picture = fresh_picture(np.random.default_rng((seed, int(ghosts), i)), ghosts=ghosts)
        pixels[i], scenes[i] = picture.pixels, SCENE_NAMES.index(layout.scene)
        for name, share in picture.visible.items():
            visible[i, OBJECT_NAMES.index(name)] = share
        captions.append(caption(layout))
    if path:
        part = path.with_suffix(".part.npz")
        np.savez(part, pixels=pixels, captions=np.array(captions), scenes=scenes, visible=visible)
        part.replace(path)
    return Pictures(pixels, captions, scenes, visible)
