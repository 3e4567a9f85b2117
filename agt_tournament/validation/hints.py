"""Hints for students: one or two sentences on how to mend each kind of mistake in an agent."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from agt_tournament.config import TournamentConfig
from agt_tournament.sandbox.inside.protocol import LIBRARIES, SUBMISSION
from agt_tournament.tournament.registration.submissions import AGENT_FILE, Ignored

_PYTHON = f"Python {sys.version_info.major}.{sys.version_info.minor}"

_CALLED = {
    "__init__": "def __init__(self, team_id, valuation_vector, budget, auction_items_sequence):",
    "bidding_function": "def bidding_function(self, item_id):",
    "update_after_each_round": "def update_after_each_round(self, item_id, winning_team, price_paid):",
}
_SUPER = "super().__init__(team_id, valuation_vector, budget, auction_items_sequence)"
_IMPORT_BASE = "Write from agt_tournament.base_agent import BiddingAgent."
_MOST_NAMED = 5
_BASE_NAMES = ("team_id", "valuation_vector", "budget", "auction_items_sequence", "utility", "items_won")

# --- warnings --------------------------------------------------------------------------------------------

BUSY = "What goes wrong in the other games was not seen: try again when less runs on this machine."
OUT_OF_TIME = (
    "It kept to the limits, but what goes wrong in the other games was not seen, and a slower machine may stop it: "
    "compute less, or play other games with action=game."
)
SLOW_START = "On a slower machine it may be too late: import less, and compute less before the first round."
SLOW_BID = (
    "On a slower machine it may be too late, and then the rest of the game is lost: watch time.perf_counter() and "
    "return the best bid so far."
)
SLOW_GAME = (
    "On a slower machine it may be too late, and then the rest of the game is lost: all rounds share this time, so "
    "compute less in each."
)
CUT_DOWN = (
    "Fine if it is meant. If not: does update_after_each_round call super().update_after_each_round(item_id, "
    "winning_team, price_paid), which keeps self.budget right?"
)
NO_BID = "Return what the item is worth to you, for a start: self.valuation_vector[item_id]."
NO_WIN = "It bids less than the others on every item. The value itself is never too much in a single auction."
OUTPUT = "Printing takes time from your bids: remove the prints that are for testing."
OUTPUT_DROPPED = "The rest is dropped, and printing takes time from your bids: remove the prints that are for testing."
UNSEEDED = (
    "Random numbers of Python and numpy are seeded for you and repeat. Bids may not depend on the clock, on id() or "
    "hash() of objects, or on the order of a set of objects."
)


def never_called(meant: str) -> str:
    """Say what to do about a method whose name is nearly `meant`."""
    return f"The game calls {meant} and nothing else: rename it, if that is meant."


def ignored(file: Ignored) -> str:
    """Say what to do about a file that does not play."""
    return f"It does not play, as {file.reason}: {file.remedy}."


def refused(path: Path) -> str:
    """Say what to do about a submission that cannot be tried."""
    if not path.is_dir():
        return f"Move data out of it: all that a submission needs fits into {AGENT_FILE} and modules beside it."
    if (path / AGENT_FILE).is_file():
        return "Leave out what the agent does not need: it plays from its .py files alone."
    if inner := next((file.parent for file in sorted(path.glob(f"*/{AGENT_FILE}"))), None):
        return f"{AGENT_FILE} lies one folder further down: hand in {inner.name}/."
    if names := sorted(file.name for file in path.glob("*.py")):
        others = ", ".join(names[:_MOST_NAMED]) + (", …" if len(names) > _MOST_NAMED else "")
        return f"Rename the file with your agent to {AGENT_FILE}; there is {others}."
    return f"Put your agent into the folder, as {AGENT_FILE}."


# --- problems --------------------------------------------------------------------------------------------


class Mistake(NamedTuple):
    """What a hint depends on."""

    error: str
    """The class of the error as in the logs."""
    method: str
    message: str
    source: str
    """The line of the submission where it happened."""
    rules: TournamentConfig
    folder: Path | None
    """The folder of a file that was submitted alone."""
    files: Collection[str] = ()
    """The modules of the submission."""
    text: str = ""
    """The text of the module where it happened."""
    ignored: Sequence[Ignored] = ()
    """The files of the submission that do not play."""


def problem(mistake: Mistake) -> str:
    """Return one or two sentences on how to mend `mistake`."""
    if mistake.error == "crash":
        return _crash(mistake)
    if mistake.error == "invalid":
        return _invalid(mistake.message)
    if mistake.error == "timeout":
        return _timeout(mistake)
    if mistake.error == "memory":
        limit = mistake.rules.memory_limit_mb
        return f"There are {limit} MB, Python and the libraries included: keep less, or smaller numpy types."
    if mistake.error == "output":
        return "An agent that prints without end is stopped: remove the prints that are for testing."
    if mistake.error == "exit":
        return (
            "Something ends the process: remove sys.exit(), exit(), quit() and os._exit(). Return 0.0 where you do "
            "not want to bid."
        )
    return "Something wrote to the organiser's channel: leave file descriptors alone. print() is fine."


WAITED = "no answer for too long"
"""The beginning of a timeout's message if the agent used no CPU time."""


_WAITS = re.compile(r"\bwith\s+[\w.]*lock\b|\.(?:acquire|wait|join)\(", re.IGNORECASE)
"""Matches a line that waits for another thread; an agent has no other thread."""


def _timeout(mistake: Mistake) -> str:
    """Say which limit was passed, and what to do about it."""
    rules = mistake.rules
    if mistake.message.startswith(WAITED) or _WAITS.search(mistake.source):
        return (
            "It does not compute, it waits: for a lock that it holds already (an agent has one thread and needs none), "
            "for time.sleep(), or for something that never comes."
        )
    if "in a game, which may take" in mistake.message:
        return (
            f"Constructor, bids and updates of a game may together take {rules.game_timeout_seconds:g} s of CPU time "
            "(game_timeout_seconds): compute less in each round, or once in __init__."
        )
    load, bid = (f"{seconds:g} s of CPU time" for seconds in (rules.load_timeout_seconds, rules.bid_timeout_seconds))
    if mistake.method == "import":
        return (
            f"The import may take {load} (load_timeout_seconds). Put loops and tests at the end of the file under "
            'if __name__ == "__main__":, and import less.'
        )
    if mistake.method == "__init__":
        return f"The constructor may take {load} (load_timeout_seconds): plan less."
    return (
        f"A bid, with the update for the round before, may take {bid} (bid_timeout_seconds), and the rest of the game "
        "is lost otherwise. Is there a loop without an end? Else watch time.perf_counter() and return the best bid so "
        "far."
    )


_RETURNED = re.compile(r"bidding_function returned (.*?)(?:, an? ([\w.]+))?: expected a", re.DOTALL)
_OF_VALUE = {
    "None": "A path through the function ends without a return. Return 0.0 where you do not want to bid.",
    "nan": "nan comes of 0/0, inf - inf or the mean of nothing: test math.isfinite(bid) before you return it.",
    "inf": "To bid all that you have, return self.budget.",
    "-inf": "Return 0.0 where you do not want to bid.",
}
_OF_TYPE = {
    "str": "Text is no number: return float(bid).",
    "bool": "True and False are no bids: return the amount, and 0.0 where you do not want to bid.",
    "coroutine": "Write def, not async def.",
    "generator": "yield makes the function a generator: use return.",
    "ndarray": "An array is no number: return float(bids[0]), or bids.max().",
    "method": "This is the function, not what it returns: call it, with ().",
    "function": "This is the function, not what it returns: call it, with ().",
    "Decimal": "Return float(bid).",
    "Fraction": "Return float(bid).",
}


def _invalid(message: str) -> str:
    """Say what to return or define, by the `message` of an invalid bid or class."""
    if returned := _RETURNED.match(message):
        value, kind = returned.groups()
        if kind is None:
            return _OF_VALUE.get(value, "Bids are not negative: return max(0.0, bid).")
        return _OF_TYPE.get(kind, "Return one number, for example float(bid).")
    if "no class" in message:
        return (
            "Write class MyAgent(BiddingAgent): with def bidding_function(self, item_id): in it, in this very file; "
            "check the spelling. A class that is only imported here does not count."
        )
    if "update_after_each_round" in message:
        return (
            "Derive your class from BiddingAgent, class MyAgent(BiddingAgent):, which has it, or write "
            f"{_CALLED['update_after_each_round']}"
        )
    if "name one of them" in message:
        return "The class named BiddingAgent is the one that plays."
    return "Return a finite number that is not negative."


# --- exceptions ------------------------------------------------------------------------------------------

_OF_EXCEPTION = {
    "SyntaxError": f"{_PYTHON} cannot read this line; the cause may also be in the line above it.",
    "IndentationError": "Indent the body of each block by four spaces, and lines of one block equally.",
    "TabError": "Tabs and spaces are mixed: let your editor turn all tabs into spaces.",
    "KeyError": "The dictionary has no such key: use d.get(key, default), or fill it in __init__.",
    "IndexError": "The list is shorter than that. Items count from 0, and it may be empty in the first round.",
    "ZeroDivisionError": "Test for 0 before you divide: budgets, counts and rounds left become 0.",
    "UnboundLocalError": "Assigning makes a name local to the function: say global NAME first to mean the module's.",
    "NameError": "The name is not known here: a missing import, a misspelling, or self. is missing.",
    "RecursionError": (
        "A function calls itself without an end, or too often: return without a call in the simplest case, or write a "
        "loop."
    ),
    "NotImplementedError": f"Your class has no bidding_function of its own. Write {_CALLED['bidding_function']}",
    "EOFError": "Nobody answers input(): remove it.",
    "PermissionError": (
        "Agents may not use files, network, processes or timers (signal.alarm, select): keep data in your modules, and "
        "watch time.perf_counter() instead of a timer."
    ),
    "FileNotFoundError": "Agents may not use files: keep what you need in your modules.",
    "OSError": "Agents may not use files, network or processes: keep what you need in your modules.",
}


_SUGGESTION = re.compile(r"\.? Did you (?:mean|forget)\b.*")
"""Matches the suggestion that newer versions of Python append to a message."""


def _crash(mistake: Mistake) -> str:
    """Say how to mend what raised an exception, by its class and message."""
    name, _, reason = mistake.message.partition(":")
    name, reason = name.rpartition(".")[2], _SUGGESTION.sub("", reason.strip())
    if hint := _of_ignored(name, reason, mistake.ignored):
        return hint
    if name == "ModuleNotFoundError":
        return _missing(reason, mistake)
    if name == "ImportError":
        if "relative import" in reason:
            return "Write from helpers import …, without the dot: modules of your own lie beside the file."
        if "base_agent" in reason:
            return _IMPORT_BASE
        return f"The module is there, but the name in it is not: check its spelling, and that {_PYTHON} has it."
    if name == "SyntaxError" and ("unicode" in reason or "null bytes" in reason or "codec" in reason):
        return "Save the file as UTF-8 text."
    if name == "TypeError" and "argument" in reason:
        return _arguments(reason, mistake)
    if name == "AttributeError" and any(reason.endswith(f"no attribute {base!r}") for base in _BASE_NAMES):
        return f"Derive the class from BiddingAgent, and begin its __init__ with {_SUPER}."
    if name == "AttributeError" and "object has no attribute" in reason and "NoneType" not in reason:
        if near := _near(reason.rsplit("'", 2)[1], [*_BASE_NAMES, *_ATTRIBUTE.findall(mistake.text)]):
            return f"Nothing of that name was set: is self.{near} meant?"
        return "Nothing of that name was set: set it in __init__, for each game has a new object; check the spelling."
    if name == "NameError" and (module := _module_meant(reason)):
        return f"Write {module} at the top of the file."
    if name == "NotImplementedError" and (near := misspelt("bidding_function", mistake.text)):
        return f"{near} is never called: rename it to bidding_function."
    if "start new thread" in reason:
        return "Agents have one thread. Compute in bidding_function, and watch time.perf_counter() to stop in time."
    if "'NoneType'" in reason:
        return "A value is None: a function without a return, or a name that was never set."
    if mistake.message.startswith("the process was ended by"):
        return (
            "Python itself was ended, not your code by an exception: by sys.setrecursionlimit() and endless recursion, "
            "by ctypes, or by what agents may not use."
        )
    if name == "ConnectionError" or "urlopen" in reason:
        return _OF_EXCEPTION["OSError"]
    return _OF_EXCEPTION.get(name, "The bid of such a round counts 0. The traceback is in the JSON, json=FILE.")


_OF_FILES = ("FileNotFoundError", "PermissionError", "OSError")
_OF_IMPORTS = ("ModuleNotFoundError", "ImportError")


def _of_ignored(name: str, reason: str, ignored: Sequence[Ignored]) -> str:
    """Explain that the missing module or file lies in the submission and is ignored; empty if it does not."""
    quoted = re.findall(r"'([^']+)'", reason)
    files = {PurePosixPath(path).name for path in quoted} if name in _OF_FILES else ()
    modules = quoted if name in _OF_IMPORTS or (name == "AttributeError" and reason.startswith("module ")) else ()
    for file in ignored:
        if PurePosixPath(file.name).name in files or any(f"{file.module}.".startswith(f"{name}.") for name in modules):
            return f"{file.name} lies in your folder but is ignored, as {file.reason}: {file.remedy}."
    return ""


def misspelt(method: str, text: str) -> str:
    """Return the method of the module `text` that may be meant for `method`; empty if none, or `method` exists."""
    defined = _METHOD.findall(text)
    return "" if method in defined else _near(method, defined)


_METHOD = re.compile(r"^[ \t]+(?:async\s+)?def\s+(\w+)", re.MULTILINE)
_ATTRIBUTE = re.compile(r"\bself\.(\w+)\s*(?::[^=\n]+)?=(?!=)")
"""Matches an attribute that a module sets on self."""
_SHORT = {"np": "import numpy as np", "sp": "import scipy as sp", "stats": "from scipy import stats"}
_NEAR = 0.75  # of `difflib`: helpr is .91 to helper, torch .60 to struct


def _near(name: str, names: Iterable[str]) -> str:
    """Return the one of `names` that `name` may be a misspelling of; empty if none is near."""
    return next(iter(difflib.get_close_matches(name, sorted({*names} - {name}), n=1, cutoff=_NEAR)), "")


def _module_meant(reason: str) -> str:
    """Return the import statement that a name calls for; empty if it is no module's."""
    quoted = re.match(r"name '(\w+)' is not defined", reason)
    name = quoted[1] if quoted else ""
    known = name in sys.stdlib_module_names or name in LIBRARIES
    return _SHORT.get(name, f"import {name}" if known else "")


def _missing(reason: str, mistake: Mistake) -> str:
    """Say what to import instead of a module that was not found, or which files to hand in."""
    quoted = re.search(r"'([^']+)'", reason)
    module = quoted[1] if quoted else "it"
    top = module.partition(".")[0]
    if mistake.folder and _lies_in(mistake.folder, top):
        return f"{top} lies beside your file, which was given alone: give the folder, your file as bidding_agent.py."
    if other := next((file for file in mistake.files if file.lower() == f"{top}.py".lower()), None):
        return f"Your file is called {other}: capital letters count, in its name as in the import."
    if "BiddingAgent" in mistake.source:
        return _IMPORT_BASE
    if top in sys.stdlib_module_names:
        return f"Agents cannot use {module} of the standard library here ({_PYTHON})."
    beside = _beside(mistake)
    if near := _near(top, beside):
        alone = " Give the folder, then: your file was given alone." if mistake.folder else ""
        return f"{beside[near]} lies beside it: import {near}?{alone}"
    if near := _near(top, LIBRARIES) or _near(top, sys.stdlib_module_names):
        return f"There is no module of that name here: is {near} meant?"
    allowed = "the standard library but sqlite3, numpy, scipy and modules beside their file"
    return f"Agents may import {allowed}: do without {module}."


def _beside(mistake: Mistake) -> dict[str, str]:
    """Return the files that an agent could import, or could if its folder were given, by module name."""
    if mistake.folder:
        return {path.stem: path.name for path in mistake.folder.glob("*.py")}
    tops = (PurePosixPath(file).parts[0] for file in mistake.files)
    return {top.removesuffix(".py"): top for top in tops if top != f"{SUBMISSION}.py"}


def _lies_in(folder: Path, module: str) -> bool:
    """Tell whether `folder` has a module or package of that name."""
    return module.isidentifier() and any(
        (folder / place).is_file() for place in (f"{module}.py", f"{module}/__init__.py")
    )


def _arguments(reason: str, mistake: Mistake) -> str:
    """Explain a call that does not fit a signature: ours of a method, or one in the submission."""
    called = re.match(r"(?:[\w.<>]*\.)?(\w+)\(\)", reason)
    if called and called[1] == "__init__" and "super()" in mistake.source:
        return f"Write {_SUPER}."
    if called and called[1] == mistake.method and mistake.source.startswith(("def ", "async def ", "@", "class ")):
        return f"It is called with other arguments. Write {_CALLED[mistake.method]}"
    if mistake.method == "__init__" and "takes no arguments" in reason:
        return f"The class needs a constructor, {_CALLED['__init__']} or derive it from BiddingAgent."
    return "The call and the function's parameters do not fit: count them, and do not forget self."
