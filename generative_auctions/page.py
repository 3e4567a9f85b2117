"""Self-contained pages: the template environment, numbers for reading, figures inlined."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from generative_auctions.plotting import COLOURS
from generative_auctions.text import count, number, words


def render(package: str, template: str, **context: Any) -> bytes:
    """Render the `template` of `package` with `context`; whatever a user wrote into it is escaped."""
    return _environment(package).get_template(template).render(**context).encode()


@cache
def _environment(package: str) -> Environment:
    """Make the environment of a package once: it keeps compiled templates, and one may make hundreds of pages."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("generative_auctions")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(_FILTERS)
    environment.globals["colours"] = COLOURS
    return environment


def data_uri(content: bytes, kind: str) -> str:
    """Return an image inlined; `kind` is its media subtype."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def drawings(written: Mapping[str, Mapping[str, Path]]) -> dict[str, str]:
    """Return the SVG of each figure inlined, by the figure's name."""
    return {name: data_uri(paths["svg"].read_bytes(), "svg+xml") for name, paths in written.items()}


# --- numbers for reading: – where there is none --------------------------------------------------------


def _plain(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else number(value, f",.{digits}f")


def _seconds(value: float | None) -> str:
    if value is None:
        return "–"
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:,.{2 if value < 10 * size else 0}f}\N{NO-BREAK SPACE}{unit}"
    return f"{value / 1e-6:.0f}\N{NO-BREAK SPACE}µs"


def _percent(value: float | None, form: str = ",.1f") -> str:
    return "–" if value is None else f"{number(100 * value, form)}\N{NO-BREAK SPACE}%"


def _interval(ends: Sequence[float | None], form: str = "number") -> str:
    low, high = ends
    return "–" if low is None and high is None else f"{_FILTERS[form](low)} to {_FILTERS[form](high)}"


def _count(value: int | None, unit: str = "") -> str:
    if value is None:
        return "–"
    return count(value, unit) if unit else f"{value:,}"


_FILTERS: dict[str, Any] = {
    "number": _plain,
    "fine": partial(_plain, digits=4),
    "money": partial(_plain, digits=2),
    "whole": partial(_plain, digits=0),
    "seconds": _seconds,
    "percent": _percent,
    "gain": partial(_percent, form="+,.1f"),
    "interval": _interval,
    "count": _count,
    "bid": "{:.4g}".format,
    "words": words,
}
