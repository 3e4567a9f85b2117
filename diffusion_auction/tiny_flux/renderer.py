"""Procedural pictures of the six scenes and seventeen objects: what the embedded models learn from.

A picture is a `Layout` (a scene and its placed objects) and a generator for the scene's details;
the same layout and generator state give the same pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from PIL import Image, ImageDraw

from diffusion_auction.tiny_flux.vocabulary import AT_HOME, OBJECTS, SCENES

SIZE = 64
"""The side of a picture in pixels."""

_SPRITE = 192  # side of the canvas on which a sprite is drawn, in pixels
_Colour = tuple[int, ...]
"""Red, green and blue, 0 to 255; an object's colour has an opacity too."""

_INK = (24, 22, 30, 255)
_WHITE = (250, 250, 246, 255)


@dataclass(frozen=True)
class Placement:
    """One object in a picture: `x` its centre, `base` its lower edge, `size` its side, all in [0, 1]."""

    name: str
    x: float
    base: float
    size: float
    opacity: float = 1.0


@dataclass(frozen=True)
class Layout:
    """A scene and the objects in it, farthest first."""

    scene: str
    objects: tuple[Placement, ...] = ()


@dataclass(frozen=True)
class Picture:
    """Pixels `(64, 64, 3)` uint8, and for each object the share of the picture that shows it, in [0, 1]."""

    pixels: np.ndarray
    visible: dict[str, float]


def sample_layout(
    rng: np.random.Generator,
    scene: str | None = None,
    names: Sequence[str] | None = None,
    home_rate: float = 0.75,
) -> Layout:
    """Return a random layout: a scene, zero to three objects, each at a random place and size.

    With probability `home_rate` each object is one that belongs to the scene. `names` fixes the objects.
    """
    scene = scene or str(rng.choice(list(SCENES)))
    if names is None:
        names = _sample_names(rng, scene, home_rate)
    centres = _sample_centres(rng, len(names))
    placed = [
        Placement(name, x, float(rng.uniform(0.72, 0.98)), float(rng.uniform(0.4, 0.58)))
        for name, x in zip(names, centres, strict=True)
    ]
    return Layout(scene, tuple(sorted(placed, key=lambda p: p.base)))


def _sample_centres(rng: np.random.Generator, count: int) -> list[float]:
    """Draw uniform horizontal centres; nine in ten layouts keep their objects from hiding one another."""
    gap = min(0.24, 0.5 / max(count - 1, 1)) if rng.random() < 0.9 else 0.0
    while True:
        centres = rng.uniform(0.18, 0.82, count)
        if count < 2 or np.diff(np.sort(centres)).min() >= gap:
            return [float(x) for x in centres]


def _sample_names(rng: np.random.Generator, scene: str, home_rate: float) -> list[str]:
    count = int(rng.choice(4, p=(0.1, 0.4, 0.35, 0.15)))
    names: list[str] = []
    while len(names) < count:
        pool = AT_HOME[scene] if rng.random() < home_rate else tuple(OBJECTS)
        free = [name for name in pool if name not in names] or [n for n in OBJECTS if n not in names]
        names.append(str(rng.choice(free)))
    return names


def render(layout: Layout, rng: np.random.Generator) -> Picture:
    """Draw `layout`; `rng` decides the scene's details and each object's shade."""
    canvas = Image.new("RGB", (2 * SIZE, 2 * SIZE))
    backdrop, paint = _SCENES[layout.scene]
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((0, 0, 128, 128), _jitter(rng, backdrop))
    paint(draw, rng)
    pixels = np.asarray(canvas.reduce(2), dtype=np.float32)
    masks: dict[str, np.ndarray] = {}
    for placement in layout.objects:
        colour, alpha = _stamp(placement, rng)
        pixels = pixels * (1 - alpha[..., None]) + colour * alpha[..., None]
        masks = {name: mask * (1 - alpha) for name, mask in masks.items()}
        masks[placement.name] = alpha
    visible = {name: float(mask.mean()) for name, mask in masks.items()}
    return Picture(pixels.round().clip(0, 255).astype(np.uint8), visible)


def _stamp(placement: Placement, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return colour `(64, 64, 3)` in 0…255 and coverage `(64, 64)` in 0…1 of one placed object."""
    sprite = _sprite(placement.name)
    side = placement.size * SIZE / max(sprite.size)
    width, height = (max(1, round(side * extent)) for extent in sprite.size)
    small = sprite.resize((width, height), Image.Resampling.BOX)
    layer = Image.new("RGBA", (SIZE, SIZE))
    layer.paste(small, (round(placement.x * SIZE - width / 2), round(placement.base * SIZE - height)))
    values = np.asarray(layer, dtype=np.float32)
    shade = float(rng.uniform(0.92, 1.06))
    return np.minimum(values[..., :3] * shade, 255), values[..., 3] / 255 * placement.opacity


# --- objects: each painter draws on a canvas of 96 × 96 units ------------------------------------------


class _Brush:
    """`ImageDraw` in units of a sprite canvas 96 wide and high."""

    def __init__(self, image: Image.Image) -> None:
        self._draw, self._unit = ImageDraw.Draw(image), image.width / 96

    def _px(self, values: Sequence[float]) -> list[float]:
        return [v * self._unit for v in values]

    def box(self, *xy: float, fill: _Colour, radius: float = 0, line: _Colour | None = _INK, width: float = 3) -> None:
        outline = round(width * self._unit) if line else 0
        self._draw.rounded_rectangle(self._px(xy), radius * self._unit, fill, line, outline)

    def oval(self, *xy: float, fill: _Colour | None, line: _Colour | None = None, width: float = 3) -> None:
        self._draw.ellipse(self._px(xy), fill, line, round(width * self._unit))

    def shape(self, *xy: float, fill: _Colour, line: _Colour | None = None, width: float = 3) -> None:
        self._draw.polygon(self._px(xy), fill, line, round(width * self._unit))

    def stroke(self, *xy: float, fill: _Colour, width: float = 3) -> None:
        self._draw.line(self._px(xy), fill, round(width * self._unit), joint="curve")

    def arc(self, *xy: float, start: float, end: float, fill: _Colour, width: float = 3) -> None:
        self._draw.arc(self._px(xy), start, end, fill, round(width * self._unit))


def _backpack(brush: _Brush, body: _Colour, pocket: _Colour, logo: _Colour) -> None:
    brush.arc(36, 2, 60, 26, start=180, end=360, fill=_INK, width=5)
    brush.box(6, 40, 18, 82, fill=pocket, radius=6)
    brush.box(78, 40, 90, 82, fill=pocket, radius=6)
    brush.box(14, 12, 82, 92, fill=body, radius=22)
    brush.box(22, 54, 74, 86, fill=pocket, radius=8)
    for inset in (0, 7, 14):
        brush.arc(36 + inset, 24 + inset, 64 + inset, 52 + inset, start=180, end=270, fill=logo, width=4)


def _gatorade(brush: _Brush) -> None:
    brush.box(38, 2, 58, 16, fill=(255, 140, 20, 255), radius=3)
    brush.box(28, 14, 68, 94, fill=(255, 126, 16, 255), radius=12)
    brush.box(28, 40, 68, 74, fill=(20, 20, 24, 255), line=None)
    brush.shape(52, 34, 38, 60, 47, 60, 42, 82, 60, 53, 50, 53, 58, 34, fill=(255, 236, 60, 255))


def _deer_park(brush: _Brush) -> None:
    brush.box(40, 2, 56, 14, fill=(30, 90, 200, 255), radius=3)
    brush.shape(40, 14, 56, 14, 68, 30, 28, 30, fill=(196, 232, 250, 255), line=_INK)
    brush.box(28, 28, 68, 94, fill=(196, 232, 250, 255), radius=8)
    brush.box(28, 44, 68, 74, fill=(22, 110, 62, 255), line=None)
    brush.oval(39, 48, 57, 70, fill=_WHITE)
    for y in (36, 82):
        brush.stroke(33, y, 63, y, fill=(120, 190, 232, 255), width=3)


def _monitor(brush: _Brush) -> None:
    brush.shape(40, 70, 56, 70, 62, 90, 34, 90, fill=(70, 72, 80, 255))
    brush.box(26, 86, 70, 94, fill=(70, 72, 80, 255), radius=3)
    brush.box(2, 8, 94, 74, fill=(20, 20, 26, 255), radius=5)
    brush.box(9, 15, 87, 66, fill=(24, 110, 222, 255), line=None)
    brush.oval(31, 23, 65, 57, fill=None, line=_WHITE, width=5)
    brush.stroke(40, 40, 56, 40, fill=_WHITE, width=6)


def _hotel(brush: _Brush) -> None:
    wall, window = (176, 36, 74, 255), (255, 226, 130, 255)
    brush.box(14, 20, 82, 94, fill=wall)
    brush.box(26, 3, 70, 21, fill=_WHITE)
    brush.stroke(36, 18, 36, 7, 48, 15, 60, 7, 60, 18, fill=wall, width=4)
    for y in (28, 44, 60):
        for x in (21, 37, 53, 69):
            brush.box(x, y, x + 8, y + 9, fill=window, line=None)
    brush.box(40, 76, 56, 94, fill=(64, 30, 40, 255), line=None)


def _sunglasses(brush: _Brush) -> None:
    gold, lens = (240, 190, 40, 255), (14, 14, 18, 255)
    brush.arc(36, 26, 60, 50, start=190, end=350, fill=gold, width=6)
    for x in (3, 53):
        brush.box(x, 28, x + 40, 66, fill=lens, radius=15, line=gold, width=4)
        brush.stroke(x + 9, 46, x + 18, 36, fill=_WHITE, width=5)


def _chips(brush: _Brush, bag: _Colour, band: _Colour) -> None:
    teeth = [(14 + 7 * i, 3 if i % 2 else 9) for i in range(11)]
    lower = [(82 - 7 * i, 93 if i % 2 else 87) for i in range(11)]
    edge = [value for point in (*teeth, (80, 48), *lower, (16, 48)) for value in point]
    brush.shape(*edge, fill=bag, line=_INK)
    brush.box(18, 12, 78, 24, fill=band, line=None)


def _doritos(brush: _Brush) -> None:
    _chips(brush, (132, 20, 30, 255), (20, 16, 20, 255))
    brush.shape(48, 28, 74, 70, 22, 70, fill=(255, 150, 20, 255), line=(255, 226, 70, 255), width=5)


def _lays(brush: _Brush) -> None:
    _chips(brush, (255, 210, 40, 255), (255, 246, 190, 255))
    brush.oval(28, 32, 68, 72, fill=(226, 34, 40, 255), line=_WHITE, width=4)
    brush.stroke(36, 56, 60, 48, fill=_WHITE, width=6)


_CANS = (4, 50)  # left edges


def _cans(brush: _Brush, body: _Colour) -> None:
    for x in _CANS:
        brush.box(x, 10, x + 42, 92, fill=body, radius=7)
        brush.box(x + 4, 8, x + 38, 17, fill=(206, 210, 216, 255), radius=3)


def _coca_cola(brush: _Brush) -> None:
    _cans(brush, (226, 20, 32, 255))
    for x in _CANS:
        brush.stroke(x + 10, 82, x + 16, 60, x + 28, 44, x + 31, 24, fill=_WHITE, width=9)


def _pepsi(brush: _Brush) -> None:
    _cans(brush, (18, 64, 190, 255))
    for x in _CANS:
        brush.oval(x + 7, 36, x + 35, 64, fill=_WHITE)
        brush.shape(x + 8, 46, x + 13, 38, x + 29, 38, x + 34, 46, fill=(226, 34, 48, 255))


def _tesla(brush: _Brush) -> None:
    body = (236, 238, 244, 255)
    brush.shape(18, 50, 32, 24, 66, 24, 82, 50, fill=(26, 28, 36, 255), line=_INK)
    brush.stroke(50, 26, 50, 48, fill=body, width=4)
    brush.box(2, 46, 94, 74, fill=body, radius=11)
    brush.stroke(38, 54, 58, 54, fill=(222, 24, 36, 255), width=6)
    brush.stroke(48, 54, 48, 70, fill=(222, 24, 36, 255), width=6)
    for x in (12, 64):
        brush.oval(x, 62, x + 22, 84, fill=(20, 20, 24, 255))
        brush.oval(x + 7, 69, x + 15, 77, fill=(190, 194, 200, 255))


def _exxonmobil(brush: _Brush) -> None:
    brush.box(43, 46, 53, 95, fill=(92, 94, 104, 255))
    brush.box(4, 4, 92, 54, fill=_WHITE, radius=4)
    brush.box(8, 36, 88, 50, fill=(22, 60, 170, 255), line=None)
    red = (228, 24, 36, 255)
    for x in (26, 54):
        brush.stroke(x - 10, 12, x + 10, 32, fill=red, width=7)
        brush.stroke(x + 10, 12, x - 10, 32, fill=red, width=7)
    brush.oval(70, 12, 86, 32, fill=None, line=red, width=5)


def _mug(brush: _Brush, body: _Colour, rim: _Colour, badge: _Colour) -> None:
    brush.arc(58, 34, 94, 74, start=270, end=90, fill=_INK, width=11)
    brush.arc(60, 36, 92, 72, start=270, end=90, fill=body, width=7)
    brush.box(8, 16, 76, 92, fill=body, radius=10)
    brush.box(8, 14, 76, 26, fill=rim, radius=4)
    brush.oval(24, 36, 60, 74, fill=badge)
    brush.oval(35, 47, 49, 63, fill=_WHITE)


def _macbook(brush: _Brush) -> None:
    silver = (208, 212, 220, 255)
    brush.box(12, 18, 84, 72, fill=silver, radius=5)
    brush.box(17, 23, 79, 67, fill=(112, 70, 190, 255), line=None)
    brush.oval(38, 36, 58, 58, fill=_WHITE)
    brush.stroke(48, 36, 53, 28, fill=_WHITE, width=4)
    brush.shape(10, 72, 86, 72, 95, 86, 1, 86, fill=silver, line=_INK)


def _new_york_times(brush: _Brush) -> None:
    ink = (70, 70, 72, 255)
    brush.box(10, 6, 86, 92, fill=(244, 240, 222, 255))
    brush.box(16, 13, 80, 25, fill=(16, 16, 18, 255), line=None)
    brush.box(16, 32, 46, 58, fill=(138, 138, 142, 255), line=None)
    for y in (34, 43, 52):
        brush.stroke(52, y, 80, y, fill=ink, width=4)
    for y in (66, 75, 84):
        brush.stroke(16, y, 80, y, fill=ink, width=4)


_OBJECT_PAINTERS: dict[str, Callable[[_Brush], None]] = {
    "backpack": partial(_backpack, body=(214, 38, 44, 255), pocket=(46, 44, 52, 255), logo=_WHITE),
    "gatorade": _gatorade,
    "monitor": _monitor,
    "water": _deer_park,
    "hotel": _hotel,
    "sunglasses": _sunglasses,
    "chips": _doritos,
    "cola": _coca_cola,
    "car": _tesla,
    "sign": _exxonmobil,
    "mug": partial(_mug, body=_WHITE, rim=(0, 120, 72, 255), badge=(0, 112, 66, 255)),
    "laptop": _macbook,
    "newspaper": _new_york_times,
    "rival_backpack": partial(_backpack, body=(24, 164, 156, 255), pocket=(250, 208, 66, 255), logo=(12, 60, 92, 255)),
    "rival_cola": _pepsi,
    "rival_chips": _lays,
    "rival_mug": partial(_mug, body=(255, 146, 40, 255), rim=(232, 30, 140, 255), badge=(232, 30, 140, 255)),
}


@cache
def _sprite(name: str) -> Image.Image:
    image = Image.new("RGBA", (_SPRITE, _SPRITE))
    _OBJECT_PAINTERS[name](_Brush(image))
    return image.crop(image.getbbox())


# --- scenes: each painter draws on a canvas of 128 × 128 pixels, halved afterwards ---------------------


def _jitter(rng: np.random.Generator, colour: _Colour, by: int = 8) -> _Colour:
    shift = rng.integers(-by, by + 1)
    return tuple(int(np.clip(c + shift, 0, 255)) for c in colour)


def _person(draw: ImageDraw.ImageDraw, x: float, y: float, shirt: _Colour, hair: _Colour) -> None:
    """Draw a head and shoulders with the chin at (x, y)."""
    draw.rounded_rectangle((x - 15, y + 1, x + 15, y + 46), 12, shirt)
    draw.ellipse((x - 10, y - 20, x + 10, y + 3), (232, 184, 146))
    draw.pieslice((x - 11, y - 22, x + 11, y + 2), 180, 360, hair)


def _paint_trail(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    peak = rng.uniform(70, 104)
    draw.polygon((peak - 62, 78, peak, 12, peak + 62, 78), (126, 134, 158))
    draw.polygon((peak - 17, 30, peak, 12, peak + 17, 30), (240, 244, 250))
    draw.rectangle((0, 68, 128, 128), _jitter(rng, (126, 178, 96)))
    bend = rng.uniform(56, 80)
    draw.polygon((bend - 4, 68, bend + 4, 68, 96, 128, 26, 128), (206, 178, 134))
    x = rng.uniform(14, 40)
    draw.ellipse((x - 18, 74, x + 18, 100), (142, 140, 138))
    _person(draw, x, 50, (70, 96, 178), (92, 58, 34))


def _paint_office(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    x = rng.uniform(6, 50)
    draw.rectangle((x, 8, x + 60, 50), (186, 222, 246), (150, 150, 150), 3)
    draw.line((x + 30, 8, x + 30, 50), (150, 150, 150), 3)
    _person(draw, rng.uniform(24, 104), 44, (56, 66, 92), (40, 34, 34))
    draw.rectangle((0, 80, 128, 128), _jitter(rng, (190, 142, 92)))
    draw.rectangle((0, 80, 128, 85), (214, 170, 118))


def _paint_pool(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    sun = rng.uniform(16, 112)
    draw.ellipse((sun - 11, 6, sun + 11, 28), (255, 226, 96))
    draw.rectangle((0, 44, 128, 60), (118, 184, 104))
    draw.rectangle((0, 58, 128, 128), (236, 224, 200))
    draw.polygon((18, 66, 110, 66, 128, 120, 0, 120), _jitter(rng, (52, 184, 214)))
    for y in (78, 92, 106):
        shift = rng.uniform(0, 20)
        for x in range(10, 120, 36):
            draw.arc((x + shift - 10, y - 4, x + shift + 10, y + 4), 0, 180, (190, 236, 246), 2)


def _paint_movie(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    x = rng.uniform(12, 34)
    draw.rectangle((x, 8, x + 82, 54), (22, 20, 30))
    draw.rectangle((x + 4, 12, x + 78, 50), _jitter(rng, (170, 222, 236), 14))
    draw.polygon((x + 33, 22, x + 33, 40, x + 52, 31), (250, 250, 250))
    for centre, shirt in ((28, (86, 146, 96)), (92, (150, 98, 152))):
        _person(draw, centre + rng.uniform(-12, 12), 72, shirt, (58, 40, 34))
    draw.rounded_rectangle((-6, 84, 134, 140), 12, _jitter(rng, (122, 112, 150)))


def _paint_highway(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    draw.rectangle((0, 36, 128, 70), _jitter(rng, (46, 124, 186)))
    cliff = rng.uniform(80, 110)
    draw.polygon((cliff, 66, cliff + 12, 22, 128, 14, 128, 70), (164, 142, 106))
    draw.rectangle((0, 64, 128, 74), (130, 172, 92))
    draw.rectangle((0, 72, 128, 128), _jitter(rng, (108, 110, 118)))
    for dash in range(int(rng.integers(-28, 0)), 128, 36):
        draw.rectangle((dash, 97, dash + 18, 101), (244, 226, 140))
    x = rng.uniform(6, 84)
    draw.polygon((x + 8, 76, x + 13, 66, x + 29, 66, x + 34, 76), (60, 70, 88))
    draw.rounded_rectangle((x, 74, x + 42, 88), 5, (60, 150, 88))
    for wheel in (x + 6, x + 26):
        draw.ellipse((wheel, 83, wheel + 10, 93), (24, 24, 28))


def _paint_cafe(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    for x in range(0, 128, 26):
        draw.rectangle((x, 0, x + 13, 12), (176, 70, 62))
        draw.rectangle((x + 13, 0, x + 26, 12), (240, 230, 214))
    _person(draw, 26 + rng.uniform(-10, 10), 48, (88, 104, 164), (66, 40, 26))
    _person(draw, 102 + rng.uniform(-10, 10), 48, (176, 92, 104), (206, 168, 86))
    draw.ellipse((-16, 76, 144, 170), _jitter(rng, (112, 72, 48)))
    for x in (38, 90):
        cup = x + rng.uniform(-6, 6)
        draw.rounded_rectangle((cup - 7, 76, cup + 7, 88), 3, (238, 232, 222))


_SCENES: dict[str, tuple[_Colour, Callable[[ImageDraw.ImageDraw, np.random.Generator], None]]] = {
    "trail": ((158, 208, 240), _paint_trail),
    "office": ((240, 236, 224), _paint_office),
    "pool": ((172, 222, 250), _paint_pool),
    "movie": ((74, 62, 106), _paint_movie),
    "highway": ((188, 222, 246), _paint_highway),
    "cafe": ((206, 160, 116), _paint_cafe),
}
"""The colour of the backdrop and the painter of its furniture, by scene."""
