"""Self-contained pages: the template environment, numbers for reading, images inlined."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from diffusion_auction.figures import COLOURS, count, number, read_image, words

_PIXEL_ART = 128  # images up to this size are shown pixel by pixel and stored without loss


def render(template: str, **context: Any) -> bytes:
    """The page that `template` makes of `context`; whatever a user wrote into it is escaped."""
    environment = Environment(
        loader=PackageLoader("diffusion_auction"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(_FILTERS)
    environment.globals["colours"] = COLOURS
    return environment.get_template(template).render(**context).encode()


def data_uri(content: bytes, kind: str) -> str:
    """An image inlined; `kind` is its media subtype."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def drawings(written: Mapping[str, Mapping[str, Path]]) -> dict[str, str]:
    """The SVG of each figure inlined, by the figure's name."""
    return {name: data_uri(paths["svg"].read_bytes(), "svg+xml") for name, paths in written.items()}


class Thumbnails:
    """The images of the page, each defined once as a CSS class and shown wherever it is named."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._classes: dict[str, str | None] = {}
        self.rules: list[tuple[str, str, bool]] = []
        """Class, data URI, and whether it is shown pixel by pixel."""

    def __call__(self, path: str | None) -> str | None:
        """The class of the image at `path`; None if there is no readable one."""
        if path is None:
            return None
        if path not in self._classes:
            self._classes[path] = self._define(path)
        return self._classes[path]

    def _define(self, path: str) -> str | None:
        image = read_image(self._run_dir / path)
        if image is None:
            return None
        small = max(image.size) <= _PIXEL_ART
        data = io.BytesIO()
        if small:
            image.save(data, "PNG", optimize=True)
        else:
            image.save(data, "JPEG", quality=82)
        name, kind = f"i{len(self.rules)}", "png" if small else "jpeg"
        self.rules.append((name, data_uri(data.getvalue(), kind), small))
        return name


# --- numbers for reading: – where there is none --------------------------------------------------------


def _plain(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else number(value, f",.{digits}f")


def _fine(value: float | None) -> str:
    return _plain(value, digits=4)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{number(100 * value, ',.1f')}\N{NO-BREAK SPACE}%"


def _gain(value: float | None) -> str:
    return "–" if value is None else f"{number(100 * value, '+,.1f')}\N{NO-BREAK SPACE}%"


def _interval(ends: Sequence[float | None], form: str = "number") -> str:
    low, high = ends
    return "–" if low is None and high is None else f"{_FILTERS[form](low)} to {_FILTERS[form](high)}"


def _count(value: int | None, unit: str = "") -> str:
    if value is None:
        return "–"
    return count(value, unit) if unit else f"{value:,}"


def _bid(value: float) -> str:
    return f"{value:.4g}"


_FILTERS: dict[str, Any] = {
    "number": _plain,
    "fine": _fine,
    "percent": _percent,
    "gain": _gain,
    "interval": _interval,
    "count": _count,
    "bid": _bid,
    "words": words,
}
