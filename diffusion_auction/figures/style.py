"""How figures of image auctions name and mark what they show."""

from __future__ import annotations

from typing import Any

from diffusion_auction.mechanisms import MECHANISMS
from generative_auctions.plotting import Mark, mark
from generative_auctions.text import cut

BOOTSTRAP = "95 % bootstrap intervals over scenarios and samples"


def mechanism_mark(name: str) -> Mark:
    """The same mark for a mechanism in every figure; for ``vcg_pool (joint)`` that of ``vcg_pool``."""
    names = list(MECHANISMS)
    kind = name.split(" ")[0]
    return mark(names.index(kind) if kind in names else len(names))


def scenario_label(scenario: Any, letters: int = 24) -> str:
    """``scenario 3``; a scenario that recorded scores name otherwise, by that name."""
    text = str(scenario)
    if text.isdecimal() or text.startswith("_"):  # a legend leaves out what begins with _
        text = f"scenario {text}"
    return cut(text, letters)
