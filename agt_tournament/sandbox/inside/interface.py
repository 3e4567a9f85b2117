"""What makes a class an agent and a value a bid; standard library only."""

from __future__ import annotations

import inspect
import math
import sys
from types import ModuleType
from typing import Any

from agt_tournament.sandbox.inside import protocol

_FILE = f"{protocol.SUBMISSION}.py"
_METHODS = ("bidding_function", "update_after_each_round")


class InvalidError(Exception):
    """The agent does not keep to the interface; the message says how."""


def agent_class_of(module: ModuleType) -> Any:
    """Return the class in `module` that has a `bidding_function`; raises `InvalidError`."""
    able = {value for value in vars(module).values() if _defined_in(module, value) and hasattr(value, _METHODS[0])}
    bases = {base for value in able for base in value.__mro__[1:]}  # a class that another is derived from is not played
    classes = [value for value in able if value not in bases]
    named = [value for value in classes if value.__name__ == "BiddingAgent"]
    found = named or classes
    if not found:
        others = [value.__name__ for value in vars(module).values() if _defined_in(module, value)]
        there = f"; it defines {', '.join(others[:8])}" if others else ""
        raise InvalidError(f"{_FILE} defines no class BiddingAgent with a method bidding_function{there}")
    if len(found) > 1:
        names = ", ".join(sorted(value.__name__ for value in found))
        raise InvalidError(f"{_FILE} defines {names}, each with a bidding_function: name one of them BiddingAgent")
    missing = [name for name in _METHODS if not callable(getattr(found[0], name, None))]
    if missing:
        raise InvalidError(f"the class {found[0].__name__} has no method {' and no method '.join(missing)}")
    return found[0]


def _defined_in(module: ModuleType, value: Any) -> bool:
    return inspect.isclass(value) and value.__module__ == module.__name__


def wants_opponents(agent_class: Any) -> bool:
    """Whether the fourth parameter of the constructor asks for the rivals' ids rather than for the items."""
    try:
        parameters = list(inspect.signature(agent_class).parameters.values())
    except (TypeError, ValueError):
        return False
    return len(parameters) > 3 and parameters[3].name == "opponent_teams"


def as_bid(value: Any) -> float:
    """Return `value` as a float; raises `InvalidError` if it is no number or no bid.

    Integers and the scalars of numpy are numbers; booleans and text are not, though Python would convert them.
    """
    if type(value) is float:
        number = value
    elif isinstance(value, bool) or not (isinstance(value, (int, float)) or _is_numpy_number(value)):
        kind = "" if value is None else f", a {type(value).__name__}"
        raise InvalidError(f"bidding_function returned {_shown(value)}{kind}: expected a number")
    else:
        try:
            number = float(value)
        except OverflowError:
            raise InvalidError("bidding_function returned an integer that no float can hold") from None
    if not math.isfinite(number) or number < 0:
        raise InvalidError(f"bidding_function returned {number}: expected a finite number, not negative")
    return number


def _is_numpy_number(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    if numpy is None or isinstance(value, numpy.timedelta64):  # to numpy a time is an integer
        return False
    return isinstance(value, (numpy.integer, numpy.floating))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
