"""Self-contained pages: the template environment, numbers for reading, figures inlined."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from generative_auctions.plotting import COLOURS
from generative_auctions.text import count, number, words


def render(package: str, template: str, **context: Any) -> bytes:
    """The page that the `template` of `package` makes of `context`; whatever a user wrote into it is escaped."""
    return _environment(package).get_template(template).render(**context).encode()


@cache
def _environment(package: str) -> Environment:
    """One for each package: it keeps compiled templates, and there may be hundreds of pages of one template."""
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
    """An image inlined; `kind` is its media subtype."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def drawings(written: Mapping[str, Mapping[str, Path]]) -> dict[str, str]:
    """The SVG of each figure inlined, by the figure's name."""
    return {name: data_uri(paths["svg"].read_bytes(), "svg+xml") for name, paths in written.items()}


# --- numbers for reading: – where there is none --------------------------------------------------------


def _plain(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else number(value, f",.{digits}f")


def _fine(value: float | None) -> str:
    return _plain(value, digits=4)


def _money(value: float | None) -> str:
    return _plain(value, digits=2)


def _whole(value: float | None) -> str:
    return _plain(value, digits=0)


def _seconds(value: float | None) -> str:
    if value is None:
        return "–"
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:,.{2 if value < 10 * size else 0}f}\N{NO-BREAK SPACE}{unit}"
    return f"{value / 1e-6:.0f}\N{NO-BREAK SPACE}µs"


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
    "money": _money,
    "whole": _whole,
    "seconds": _seconds,
    "percent": _percent,
    "gain": _gain,
    "interval": _interval,
    "count": _count,
    "bid": _bid,
    "words": words,
}
