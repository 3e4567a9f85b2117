"""Inline images into a page, each once."""

from __future__ import annotations

import io
from pathlib import Path

from diffusion_auction.figures import read_image
from generative_auctions.page import data_uri

_PIXEL_ART = 128  # images up to this size are shown pixel by pixel and stored without loss


class Thumbnails:
    """The images of the page, each defined once as a CSS class and shown wherever it is named."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._classes: dict[str, str | None] = {}
        self.rules: list[tuple[str, str, bool]] = []
        """Class, data URI, and whether it is shown pixel by pixel."""

    def __call__(self, path: str | None) -> str | None:
        """Return the class of the image at `path`; None if there is no readable one."""
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
