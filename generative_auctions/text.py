"""Words and numbers as people read them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def words(name: str) -> str:
    """Return a name of the configuration for a reader: ``vcg pool``."""
    return name.replace("_", " ")


def listed(names: Iterable[str]) -> str:
    """Return names as a list for a reader: ``vcg, shapley and myerson``."""
    *head, last = map(words, names)
    return f"{', '.join(head)} and {last}" if head else last


def count(number: int, unit: str) -> str:
    """Return a number with its noun: ``1 scenario``, ``2 scenarios``."""
    plural = "es" if unit.endswith("s") else "s"
    return f"{number:,} {unit}{'' if number == 1 else plural}"


def sizes(numbers: Sequence[int], unit: str) -> str:
    """Return numbers with their noun: ``270 auctions``, or ``200 to 270 auctions`` if they differ."""
    lowest, highest = min(numbers, default=0), max(numbers, default=0)
    return count(lowest, unit) if lowest == highest else f"{lowest:,} to {count(highest, unit)}"


def number(value: float, form: str = "+.3f") -> str:
    """Return a number for a reader: − for minus, no sign before a zero, – if it is unknown."""
    if not math.isfinite(value):
        return "–"
    text = format(value, form).replace("-", "−")
    return text if text.strip("+−0.%") else text.lstrip("+−")


def cut(text: str, letters: int) -> str:
    """Return `text` in one line of at most `letters`, whether or not there are spaces to cut at."""
    return shortened(" ".join(text.split()), letters)


def shortened(text: str, letters: int) -> str:
    """Return at most `letters` of `text`, its white space as it is; … stands for the rest."""
    return text if len(text) <= letters else f"{text[: letters - 1]}…"
