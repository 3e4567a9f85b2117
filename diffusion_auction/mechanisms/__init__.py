"""Mechanisms: which image is sold, and what each agent pays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from diffusion_auction.errors import RequestError
from diffusion_auction.mechanisms.outcome import Mechanism, MissingPoolError, Outcome, Pool
from diffusion_auction.mechanisms.single_winner import SingleWinner
from diffusion_auction.mechanisms.vcg import VCG

__all__ = ["MECHANISMS", "VCG", "Mechanism", "MissingPoolError", "Outcome", "Pool", "SingleWinner", "build"]

MECHANISMS: dict[str, Callable[..., Mechanism]] = {mechanism.name: mechanism for mechanism in (VCG, SingleWinner)}
"""Every mechanism by its name in the configuration."""


def build(name: str, payment_floor: str = "none", **options: Any) -> Mechanism:
    """The mechanism that the configuration group `mechanism` describes.

    Raises `RequestError` naming the key for an unknown name, floor or option.
    """
    if name not in MECHANISMS:
        raise RequestError("mechanism.name", name, f"one of {', '.join(MECHANISMS)}")
    if payment_floor not in ("none", "zero"):
        raise RequestError("mechanism.payment_floor", payment_floor, "none or zero")
    for option, value in options.items():
        raise RequestError(f"mechanism.{option}", value, "one of the options name, payment_floor")
    return MECHANISMS[name](payment_floor=payment_floor)
