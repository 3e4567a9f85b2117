"""Inline images into a page, each once."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any

from diffusion_auction.figures import read_image
from generative_auctions.page import data_uri

_PIXEL_ART = 128  # images up to this size are shown pixel by pixel and stored without loss


class Thumbnails:
    """The images of the page, each defined once as a CSS class and shown wherever it is named."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._define = cache(self._new_class)
        self.rules: list[tuple[str, str, bool]] = []
        """The CSS class of each image, its data URI, and whether it is shown pixel by pixel."""

    def __call__(self, path: str | None) -> str | None:
        """Return the class of the image at `path`; None if there is no readable one."""
        return None if path is None else self._define(path)

    def _new_class(self, path: str) -> str | None:
        image = read_image(self._run_dir / path)
        if image is None:
            return None
        small = max(image.size) <= _PIXEL_ART
        name, data, kind = f"i{len(self.rules)}", io.BytesIO(), "png" if small else "jpeg"
        options: dict[str, Any] = {"optimize": True} if small else {"quality": 82}
        image.save(data, kind, **options)
        self.rules.append((name, data_uri(data.getvalue(), kind), small))
        return name
