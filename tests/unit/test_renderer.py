"""Pictures: reproducible, honest about what shows, and telling every object and scene apart."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffusion_auction.tiny_flux.data import caption, fresh_picture, pictures
from diffusion_auction.tiny_flux.renderer import SIZE, Layout, Picture, Placement, render, sample_layout
from diffusion_auction.tiny_flux.vocabulary import OBJECTS, SCENES


def draw(layout: Layout, seed: int = 0) -> Picture:
    return render(layout, np.random.default_rng(seed))


def alone(name: str, size: float = 0.5) -> Placement:
    """`name` in the middle, wholly inside the picture."""
    return Placement(name, 0.5, 0.8, size)


def difference(a: Picture, b: Picture) -> float:
    """Mean grey levels between two pictures."""
    return float(np.abs(a.pixels.astype(int) - b.pixels.astype(int)).mean())


@given(st.integers(0, 2**32), st.integers(0, 2**32))
@settings(max_examples=30)
def test_same_layout_and_seed_give_the_same_pixels(layout_seed: int, seed: int) -> None:
    layout = sample_layout(np.random.default_rng(layout_seed))
    assert sample_layout(np.random.default_rng(layout_seed)) == layout
    first, second = draw(layout, seed), draw(layout, seed)
    assert np.array_equal(first.pixels, second.pixels)
    assert first.visible == second.visible
    assert first.pixels.shape == (SIZE, SIZE, 3)
    assert first.pixels.dtype == np.uint8
    assert first.visible.keys() == {placement.name for placement in layout.objects}
    assert all(0 <= share <= 1 for share in first.visible.values())


def test_another_seed_gives_other_details() -> None:
    for scene in SCENES:
        assert difference(draw(Layout(scene), 1), draw(Layout(scene), 2)) > 0.5


@pytest.mark.parametrize("name", OBJECTS)
def test_visible_share_falls_when_covered(name: str) -> None:
    cover = "chips" if name != "chips" else "monitor"
    free = draw(Layout("trail", (alone(name),))).visible[name]
    half = draw(Layout("trail", (alone(name), replace(alone(cover), x=0.75)))).visible[name]
    whole = draw(Layout("trail", (alone(name), alone(cover, 0.9)))).visible[name]
    assert free > half > whole >= 0
    behind = draw(Layout("trail", (alone(cover, 0.9), alone(name)))).visible[name]
    assert behind == pytest.approx(free)


@pytest.mark.parametrize("name", OBJECTS)
def test_a_larger_object_shows_more(name: str) -> None:
    shares = [draw(Layout("office", (alone(name, size),))).visible[name] for size in (0.3, 0.4, 0.5, 0.6)]
    assert all(smaller < larger for smaller, larger in pairwise(shares))
    # the area grows by four when the side doubles, but for the rounding of the sprite to whole pixels
    assert shares[3] / shares[0] == pytest.approx(4, rel=0.12)


def test_a_see_through_object_shows_in_proportion() -> None:
    full, half = alone("mug"), replace(alone("mug"), opacity=0.5)
    shown = [draw(Layout("cafe", (placement,))).visible["mug"] for placement in (full, half)]
    assert shown[1] == pytest.approx(shown[0] / 2)


def test_an_object_outside_does_not_show() -> None:
    picture = draw(Layout("pool", (Placement("hotel", -1.0, 0.8, 0.5),)))
    assert picture.visible["hotel"] == 0
    assert np.array_equal(picture.pixels, draw(Layout("pool")).pixels)


def test_every_scene_is_drawn_and_distinct() -> None:
    drawn = {scene: draw(Layout(scene)) for scene in SCENES}
    for a, b in combinations(drawn, 2):
        assert difference(drawn[a], drawn[b]) > 15, (a, b)


@pytest.mark.parametrize("scene", SCENES)
def test_every_object_stands_out_from_every_scene(scene: str) -> None:
    """By the pixels that it covers: the mean change there, in grey levels."""
    empty = draw(Layout(scene))
    for name in OBJECTS:
        picture = draw(Layout(scene, (alone(name),)))
        assert difference(picture, empty) / picture.visible[name] > 25, name


def test_every_object_is_distinct_from_every_other() -> None:
    drawn = {name: draw(Layout("highway", (alone(name),))) for name in OBJECTS}
    for a, b in combinations(drawn, 2):
        covered = max(drawn[a].visible[a], drawn[b].visible[b])
        assert difference(drawn[a], drawn[b]) / covered > 25, (a, b)


@given(st.integers(0, 2**32))
@settings(max_examples=60)
def test_layouts_have_at_most_three_different_objects_farthest_first(seed: int) -> None:
    layout = sample_layout(np.random.default_rng(seed))
    names = [placement.name for placement in layout.objects]
    assert layout.scene in SCENES
    assert len(names) == len(set(names)) <= 3
    assert set(names) <= OBJECTS.keys()
    bases = [placement.base for placement in layout.objects]
    assert bases == sorted(bases)


def test_layouts_have_zero_to_three_objects_and_every_object_and_scene() -> None:
    rng = np.random.default_rng(0)
    layouts = [sample_layout(rng) for _ in range(1000)]
    assert {len(layout.objects) for layout in layouts} == {0, 1, 2, 3}
    assert {layout.scene for layout in layouts} == SCENES.keys()
    assert {placement.name for layout in layouts for placement in layout.objects} == OBJECTS.keys()


def test_scene_and_objects_can_be_asked_for() -> None:
    layout, picture = fresh_picture(np.random.default_rng(0), "cafe", ["mug", "newspaper"])
    assert layout.scene == "cafe"
    assert picture.visible.keys() == {"mug", "newspaper"}


def test_captions_are_the_coalitions_prompts() -> None:
    layout = Layout("trail", (alone("gatorade"), alone("backpack")))
    expected = "A hiker resting on a mountain trail, featuring North Face backpack and Gatorade bottle"
    assert caption(layout) == expected
    assert caption(Layout("pool")) == "A swimming pool outdoors"


def test_pictures_depend_on_seed_and_place_alone(tmp_path: Path) -> None:
    few, many = pictures(3, seed=5, ghosts=True), pictures(6, seed=5, ghosts=True, cache=tmp_path)
    assert np.array_equal(few.pixels, many.pixels[:3])
    assert few.captions == many.captions[:3]
    cached = pictures(6, seed=5, ghosts=True, cache=tmp_path)
    assert np.array_equal(cached.pixels, many.pixels)
    assert cached.captions == many.captions
    assert np.array_equal(cached.visible, many.visible)
    assert not np.array_equal(pictures(3, seed=6, ghosts=True).pixels, few.pixels)
    assert [path.name for path in tmp_path.iterdir()] == ["pictures_6_5_1.npz"]
