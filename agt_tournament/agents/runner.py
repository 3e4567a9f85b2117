"""What an agent's process executes: it loads the submission and answers the organiser's questions.

Standard library only, and of the project only the protocol and the agents' interface: whatever is imported here an
agent can reach. It guards nothing against the agent, which may rewrite all of it; it only reports to the team what
went wrong in its code, and hands the organiser numbers that are checked again there.
"""

from __future__ import annotations

import importlib
import inspect
import json
import linecache
import math
import os
import random
import resource
import sys
import traceback
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from agt_tournament import base_agent
from agt_tournament.agents import protocol

_FILE = f"{protocol.SUBMISSION}.py"
_METHODS = ("bidding_function", "update_after_each_round")
_OUTER_FRAMES, _INNER_FRAMES = 3, 12
_IN_FILE = '  File "'


def main() -> None:
    """Answer requests until the organiser closes the channel: standard input and what was standard output."""
    requests, answers = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what the agent prints goes where its errors go, never into the channel
    frames, player = protocol.Frames(protocol.MAX_REQUEST), _Player()
    while data := os.read(requests, 1 << 16):
        if frame := frames.feed(data):
            os.write(answers, protocol.pack(protocol.ANSWER, frame.number, player.answer(frame)))


class _InvalidError(Exception):
    """The agent does not keep to the interface; the message says how."""


class _Player:
    """The submission's class, and the agent made of it for the game."""

    def __init__(self) -> None:
        self._folder = ""
        self._class: Any = None
        self._wants_opponents = False
        self._agent: Any = None
        self._items: list[str] = []
        self._teams: list[str] = []
        self._last = 0  # the item asked for last

    def answer(self, frame: protocol.Frame) -> bytes:
        """The body of the answer to `frame`."""
        if frame.kind == protocol.TURN:
            winner, price, item = protocol.unpack_turn(frame.body)
            _, failed = self._attempt("update_after_each_round", self._update, winner, price)
            self._last = item
            bid, failure = self._attempt("bidding_function", self._bid, item)
            return protocol.pack_answer(bid, *(failure or failed or ()))  # who failed to update may bid all the same
        if frame.kind == protocol.END:
            outcome = protocol.unpack_outcome(frame.body)
            bid, failure = self._attempt("update_after_each_round", self._update, *outcome)
        elif frame.kind == protocol.GAME:
            bid, failure = self._attempt("__init__", self._start, json.loads(frame.body))
        else:
            bid, failure = self._attempt("import", self._load, json.loads(frame.body))
        return protocol.pack_answer(bid, *(failure or ()))

    def _attempt(self, where: str, work: Any, *args: Any) -> tuple[float, tuple[str, str, str] | None]:
        """What `work` returns, or NaN and the error, where and what it was."""
        try:
            return work(*args), None
        except _InvalidError as error:
            return math.nan, ("invalid", where, str(error) + self._definition(where))
        except MemoryError as error:
            return math.nan, ("memory", where, self._describe(error, where))
        except Exception as error:
            return math.nan, ("crash", where, self._describe(error, where))

    def _load(self, request: dict[str, Any]) -> float:
        self._folder = request["folder"]
        limit = request["memory_limit_bytes"]
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        random.seed(request["seed"])
        _Libraries.seed = request["seed"]
        sys.meta_path.insert(0, _Libraries(request["libraries"]))
        sys.modules["base_agent"] = base_agent  # as the design document calls it
        sys.path.insert(0, self._folder)
        self._class = _agent_class(importlib.import_module(protocol.SUBMISSION))
        self._wants_opponents = _wants_opponents(self._class)
        return 0.0

    def _start(self, game: dict[str, Any]) -> float:
        _seed(game["seed"])
        self._items, self._teams = game["items"], game["teams"]
        me, values, budget = game["team_id"], game["valuation_vector"], game["budget"]
        if self._wants_opponents:
            fourth = [team for team in self._teams if team != me]
        else:
            fourth = list(self._items)
        self._agent = None  # an agent whose constructor fails is not the one of the last game
        self._agent = self._class(me, values, budget, fourth)
        return 0.0

    def _update(self, winner: int, price: float) -> float:
        if winner != protocol.NO_ROUND:
            name = "" if winner == protocol.NOBODY else self._teams[winner]
            self._agent.update_after_each_round(self._items[self._last], name, price)
        return 0.0

    def _bid(self, item: int) -> float:
        return _as_bid(self._agent.bidding_function(self._items[item]))

    def _describe(self, error: BaseException, where: str) -> str:
        """The traceback as far as it lies in the submission, or else its last line and where the method is."""
        try:
            text = _traceback(error, self._folder)
            return text if _IN_FILE in text else text + self._definition(where)
        except Exception:  # an agent may have made its own errors, or our modules, unusable
            return "an error that cannot be described"

    def _definition(self, where: str) -> str:
        """The place of the method `where` in the submission, or else of its class, as a traceback shows places."""
        try:
            return _place(self._class, where, self._folder) if self._class else ""
        except Exception:  # a class may be made in ways that have no place
            return ""


def _agent_class(module: ModuleType) -> Any:
    """The class that `module` defines and that has a `bidding_function`; raises `_InvalidError`."""
    classes = [
        value for value in vars(module).values() if _is_defined_in(module, value) and hasattr(value, "bidding_function")
    ]
    named = [value for value in classes if value.__name__ == "BiddingAgent"]
    found = named or classes
    if not found:
        others = [value.__name__ for value in vars(module).values() if _is_defined_in(module, value)]
        there = f"; it defines {', '.join(others[:8])}" if others else ""
        raise _InvalidError(f"{_FILE} defines no class BiddingAgent with a method bidding_function{there}")
    if len(found) > 1:
        names = ", ".join(value.__name__ for value in found)
        raise _InvalidError(f"{_FILE} defines {names}, each with a bidding_function: name one of them BiddingAgent")
    missing = [name for name in _METHODS if not callable(getattr(found[0], name, None))]
    if missing:
        raise _InvalidError(f"the class {found[0].__name__} has no method {' and no method '.join(missing)}")
    return found[0]


def _is_defined_in(module: ModuleType, value: Any) -> bool:
    return inspect.isclass(value) and value.__module__ == module.__name__


def _wants_opponents(agent_class: Any) -> bool:
    """Whether the fourth parameter of the constructor asks for the rivals' ids rather than for the items."""
    try:
        parameters = list(inspect.signature(agent_class).parameters.values())
    except (TypeError, ValueError):
        return False
    return len(parameters) > 3 and parameters[3].name == "opponent_teams"


def _as_bid(value: Any) -> float:
    """`value` as a float; raises `_InvalidError` for what is no number or no bid.

    Integers and the scalars of numpy are numbers; booleans and text are not, though Python would convert them.
    """
    if type(value) is float:
        number = value
    elif isinstance(value, bool) or not (isinstance(value, (int, float)) or _is_numpy_number(value)):
        kind = "" if value is None else f", a {type(value).__name__}"
        raise _InvalidError(f"bidding_function returned {_shown(value)}{kind}: expected a number")
    else:
        try:
            number = float(value)
        except OverflowError:
            raise _InvalidError("bidding_function returned an integer that no float can hold") from None
    if not math.isfinite(number) or number < 0:
        raise _InvalidError(f"bidding_function returned {number}: expected a finite number, not negative")
    return number


def _is_numpy_number(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, (numpy.integer, numpy.floating))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _traceback(error: BaseException, folder: str) -> str:
    described = traceback.TracebackException.from_exception(error, compact=True)
    own = [frame for frame in described.stack if _is_own(frame.filename, folder)]
    for frame in own:
        frame.filename = os.path.relpath(frame.filename, folder)
    described.stack[:] = own[:_OUTER_FRAMES] + own[_OUTER_FRAMES:][-_INNER_FRAMES:]  # the text is cut at its end
    if isinstance(error, SyntaxError) and described.filename and _is_own(described.filename, folder):
        described.filename = os.path.relpath(described.filename, folder)  # it has its place in itself
    return "".join(described.format(chain=False)).rstrip()


def _place(agent_class: Any, method: str, folder: str) -> str:
    """The first line of `method`, or of `agent_class` where it is inherited, as a traceback shows places."""
    function = inspect.unwrap(getattr(agent_class, method))
    code = getattr(function, "__code__", None)
    if code and _is_own(code.co_filename, folder):
        file, line, name = code.co_filename, code.co_firstlineno, method
    else:
        file, line, name = inspect.getfile(agent_class), inspect.getsourcelines(agent_class)[1], agent_class.__name__
    source = linecache.getline(file, line).strip()
    return f'\n{_IN_FILE}{os.path.relpath(file, folder)}", line {line}, in {name}\n    {source}'


def _is_own(file: str, folder: str) -> bool:
    return file.startswith(folder + os.sep)


def _seed(seed: int) -> None:
    """Seed the agent's own `random` and numpy."""
    random.seed(seed)
    _Libraries.seed = seed
    if numpy_random := sys.modules.get("numpy.random"):
        _seed_numpy(numpy_random)


def _seed_numpy(numpy_random: Any) -> None:
    numpy_random.seed([_Libraries.seed >> shift & 0xFFFFFFFF for shift in range(0, 256, 32)])


class _Libraries(MetaPathFinder):
    """Finds the few installed libraries that agents may import; seeds numpy whenever an agent comes to load it."""

    seed = 0

    def __init__(self, folders: list[str]) -> None:
        self._folders = folders

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """The library `name`; None for whatever else is installed beside it."""
        if name == "numpy.random":
            return _seeding(PathFinder.find_spec(name, path, target))
        return (
            PathFinder.find_spec(name, self._folders, target) if path is None and name in protocol.LIBRARIES else None
        )


def _seeding(spec: ModuleSpec | None) -> ModuleSpec | None:
    """`spec` of numpy.random, whose global state is seeded as soon as it has been executed."""
    loader: Any = spec and spec.loader
    if loader is not None:
        execute = loader.exec_module

        def execute_and_seed(module: ModuleType) -> None:
            execute(module)
            _seed_numpy(module)

        loader.exec_module = execute_and_seed
    return spec


if __name__ == "__main__":
    main()
