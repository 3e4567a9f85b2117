"""`action=validate`: every kind of mistake that a student can make is found, and told with its line and a hint."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from agt_tournament.actions.validate import validate
from agt_tournament.config import CompetitionConfig
from agt_tournament.tournament.registration.submissions import read_submission
from agt_tournament.tournament.registration.unregistered import EXAMPLES, examples
from agt_tournament.validation.cautions import find_cautions
from agt_tournament.validation.problems import find_problems
from agt_tournament.validation.trial import Trial
from agt_tournament.validation.verdict import Verdict, progress
from generative_auctions.errors import RequestError
from tests.support import auction, environment
from tests.tournament import children, competition, inhabitants, submission

ALONE = ("tournament.arena_size=1", "tournament.auction_rounds=3")
"""A trial of one short game."""
FAST = ("tournament.arena_size=2", "tournament.auction_rounds=3")
"""A whole trial of short games."""
IMPATIENT = ("tournament.load_timeout_seconds=1", "tournament.bid_timeout_seconds=0.3")
N_BIDS = 2 * 3 + 5 * 3  # of a FAST trial: two copies in the first game, one in the five others
HEAD = "import math, os, random, sys, time\nfrom agt_tournament.base_agent import BiddingAgent\n"
COMPUTING = f"""{HEAD}def compute(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end: pass
"""


def agent(body: str, head: str = HEAD) -> str:
    """A submission whose class has `body`."""
    return f"{head}\nclass MyAgent(BiddingAgent):\n{textwrap.indent(textwrap.dedent(body).strip(), '    ')}\n"


def bidding(statement: str, head: str = HEAD) -> str:
    """A submission whose bidding_function is `statement`."""
    return agent(f"def bidding_function(self, item_id):\n    {statement}", head)


TRUTHFUL = bidding("return self.valuation_vector[item_id]")


def marked(source: str) -> int:
    """The line in which `source` says ``# here``."""
    return next(number for number, line in enumerate(source.splitlines(), start=1) if "# here" in line)


def requested(*overrides: str, **keys: str | None) -> CompetitionConfig:
    """The configuration for `overrides`, and for `keys` whose values Hydra would want quoted."""
    return _composed(*overrides).model_copy(update=keys)


@cache
def _composed(*overrides: str) -> CompetitionConfig:
    return competition("action=validate", *overrides)


def ask(path: Path, *overrides: str) -> tuple[int, dict[str, Any]]:
    """The exit status and the JSON verdict on the submission at `path`."""
    target = path.with_name(f"{path.name}.verdict.json")
    status = validate(requested(*overrides, agent=str(path), json_=str(target)), seconds=math.inf)
    return status, json.loads(target.read_bytes())


def tried(folder: Path, source: str | bytes, *overrides: str, name: str = "my_agent.py") -> dict[str, Any]:
    """The JSON verdict on one file with `source`, whose exit status is checked."""
    path = folder / name
    path.write_bytes(source if isinstance(source, bytes) else source.encode())
    status, verdict = ask(path, *(overrides or ALONE))
    assert verdict["valid"] == (not verdict["problems"])
    assert status == (0 if verdict["valid"] else 1)
    return verdict


# --- mistakes --------------------------------------------------------------------------------------------

DOES_NOT_LOAD = {
    "syntax": ("def f(:  # here\n    pass\n", "crash", "SyntaxError", "Python 3"),
    "indentation": ("class A:\n    def f(self):\n    return 1  # here\n", "crash", "IndentationError", "four spaces"),
    "tabs_and_spaces": (
        "class A:\n\tdef f(self):\n\t\tx = 1\n                return x  # here\n",
        "crash",
        "TabError",
        "turn all tabs into spaces",
    ),
    "pandas": (
        "import os\nimport pandas as pd  # here\n",
        "crash",
        "ModuleNotFoundError: No module named 'pandas'",
        "numpy, scipy and modules beside their file: do without pandas",
    ),
    "interface_elsewhere": (
        "from src.base_agent import BiddingAgent  # here\n",
        "crash",
        "No module named 'src'",
        "Write from agt_tournament.base_agent import BiddingAgent",
    ),
    "relative_import": ("from .helpers import x  # here\n", "crash", "ImportError", "without the dot"),
    "name_in_a_module": ("from math import cosinus  # here\n", "crash", "ImportError", "check its spelling"),
    "error_at_import": ("x = {}\nprint(x['a'])  # here\n", "crash", "KeyError: 'a'", "d.get"),
    "exit_at_import": ("import sys\nsys.exit(4)  # here\n", "exit", "4", "remove sys.exit()"),
    "no_class": ("x = 1\n", "invalid", "my_agent.py defines no class BiddingAgent", "class MyAgent(BiddingAgent):"),
    "misspelt_method": (
        "class Clever:\n    def bid_function(self, item_id):\n        return 1\n",
        "invalid",
        "it defines Clever",
        "check the spelling",
    ),
    "two_classes": (
        agent("pass").replace("MyAgent", "One") + agent("pass", "").replace("MyAgent", "Two"),
        "invalid",
        "defines One, Two",
        "named BiddingAgent is the one that plays",
    ),
    "no_update": (
        "class A:\n    def __init__(self, *a): pass\n    def bidding_function(self, i): return 1\n",
        "invalid",
        "no method update_after_each_round",
        "def update_after_each_round(self, item_id, winning_team, price_paid):",
    ),
    "signature_of_constructor": (
        agent("def __init__(self, team_id, budget):  # here\n    pass"),
        "crash",
        "takes 3 positional arguments but 5 were given",
        "def __init__(self, team_id, valuation_vector, budget, auction_items_sequence):",
    ),
    "no_constructor": (
        "class A:  # here\n    def bidding_function(self, i): pass\n    def update_after_each_round(self, *a): pass\n",
        "crash",
        "A() takes no arguments",
        "derive it from BiddingAgent",
    ),
    "misspelt_base_class": (
        "from agt_tournament.base_agent import BidingAgent  # here\n",
        "crash",
        "ImportError: cannot import name 'BidingAgent' from 'agt_tournament.base_agent'",
        "Write from agt_tournament.base_agent import BiddingAgent.",
    ),
    "misspelt_module": ("import nunpy  # here\n", "crash", "No module named 'nunpy'", "is numpy meant?"),
    "super_without_arguments": (
        agent("def __init__(self, team_id, v, b, s):\n    super().__init__()  # here"),
        "crash",
        "missing 4 required positional arguments",
        "Write super().__init__(team_id, valuation_vector, budget, auction_items_sequence)",
    ),
}


@pytest.mark.parametrize("name", DOES_NOT_LOAD)
def test_what_does_not_load_is_told_at_once(name: str, tmp_path: Path) -> None:
    source, error, what, hint = DOES_NOT_LOAD[name]
    verdict = tried(tmp_path, source)
    [problem] = verdict["problems"]
    assert (problem["error"], problem["count"]) == (error, 1)
    assert what in problem["what"]
    assert hint in problem["hint"]
    assert verdict["games"] == []
    assert verdict["stopped"].startswith("no game was played")
    if "# here" in source:
        assert (problem["file"], problem["line"]) == ("my_agent.py", marked(source))
        assert problem["source"].endswith("# here")
    else:
        assert problem["line"] is None


IN_PLAY = {
    "none": (
        agent("def bidding_function(self, item_id):  # here\n    if item_id == 'item_99':\n        return 1.0"),
        "invalid",
        "returned None",
        "ends without a return",
    ),
    "nan": (bidding("return float('nan')"), "invalid", "returned nan", "math.isfinite"),
    "inf": (bidding("return math.inf"), "invalid", "returned inf", "return self.budget"),
    "negative": (bidding("return -random.random()"), "invalid", "returned -0.", "max(0.0, bid)"),
    "str": (bidding("return '7.5'"), "invalid", "returned '7.5', a str", "float(bid)"),
    "bool": (bidding("return random.random() > .5"), "invalid", "a bool", "True and False"),
    "list": (bidding("return [random.random()]"), "invalid", "a list", "Return one number"),
    "method": (bidding("return self.bidding_function"), "invalid", "a method", "call it"),
    "generator": (bidding("yield 1.0"), "invalid", "a generator", "use return"),
    "coroutine": (
        bidding("return 1.0").replace("def bidd", "async def bidd"),
        "invalid",
        "a coroutine",
        "not async def",
    ),
    "array": (bidding("return np.ones(1)", f"import numpy as np\n{HEAD}"), "invalid", "a ndarray", "float(bids[0])"),
    "key": (bidding("return {}[item_id]  # here"), "crash", "KeyError", "d.get(key, default)"),
    "index": (bidding("return [][0]  # here"), "crash", "IndexError", "shorter"),
    "zero": (bidding("return 1 / (self.budget - 60)  # here"), "crash", "ZeroDivisionError", "before you divide"),
    "name": (bidding("return valuation_vector[item_id]  # here"), "crash", "NameError", "self. is missing"),
    "attribute": (bidding("return self.plan[item_id]  # here"), "crash", "no attribute 'plan'", "__init__"),
    "nonetype": (bidding("return 2 * None  # here"), "crash", "TypeError", "A value is None"),
    "own": (bidding("raise ValueError('two\\nlines')  # here"), "crash", "ValueError: two", "counts 0"),
    "library": (
        bidding("return np.linalg.inv(np.zeros((2, 2)))  # here", f"import numpy as np\n{HEAD}"),
        "crash",
        "LinAlgError: Singular matrix",
        "counts 0",
    ),
    "recursion": (bidding("return self.bidding_function(item_id)  # here"), "crash", "RecursionError", "itself"),
    "signature": (
        agent("def bidding_function(item_id):  # here\n    return 1.0"),
        "crash",
        "takes 1 positional argument but 2 were given",
        "def bidding_function(self, item_id):",
    ),
    "not_there": (agent("pass").replace("):", "):  # here"), "crash", "NotImplementedError", "no bidding_function"),
    "misspelt_attribute": (bidding("return self.budjet  # here"), "crash", "'budjet'", "is self.budget meant?"),
    "missing_import": (bidding("return np.exp(1)  # here"), "crash", "'np' is not defined", "import numpy as np at"),
    "misspelt_bid": (
        agent("def biding_function(self, i):\n    return 1").replace("):", "):  # here", 1),
        "crash",
        "NotImplementedError",
        "biding_function is never called: rename it to bidding_function",
    ),
    "files": (
        bidding("return len(open('/nonexistent').read())  # here"),
        "crash",
        "FileNotFoundError",
        "not use files",
    ),
    "input": (bidding("return float(input())  # here"), "crash", "EOFError", "remove it"),
    "memory": (bidding("return len(bytearray(10**9))  # here"), "memory", "MemoryError", "256 MB"),
}


@pytest.mark.parametrize("name", IN_PLAY)
def test_a_mistake_in_every_bid_is_told_once(name: str, tmp_path: Path) -> None:
    source, error, what, hint = IN_PLAY[name]
    verdict = tried(tmp_path, source)
    [problem] = verdict["problems"]
    assert (problem["error"], problem["count"]) == (error, 3)
    assert what in problem["what"]
    assert hint in problem["hint"]
    assert problem["where"] == "game 1 against nobody, round 1, bidding_function"
    here = source.replace("def bidding_function", "# here") if "# here" not in source else source
    assert (problem["file"], problem["line"]) == ("my_agent.py", marked(here))
    assert problem["source"] == source.splitlines()[problem["line"] - 1].strip()
    assert problem["what"].split(":")[-1].strip() in problem["traceback"]
    assert len(verdict["games"]) == 1
    assert not verdict["warnings"], "that it bids nothing follows from the error"


def test_an_exit_is_found_in_the_file_though_it_leaves_no_traceback(tmp_path: Path) -> None:
    source = bidding("return os._exit(3)  # here")
    [problem] = tried(tmp_path, source, *FAST)["problems"]
    assert (problem["error"], problem["line"], problem["count"]) == ("exit", marked(source), 2 + 5)  # once a game
    assert "status 3" in problem["what"]
    assert "remove sys.exit()" in problem["hint"]


def test_a_crash_of_python_itself_is_told(tmp_path: Path) -> None:
    source = bidding("import ctypes; return ctypes.string_at(0)")
    [problem] = tried(tmp_path, source)["problems"]
    assert (problem["error"], problem["what"]) == ("crash", "the process was ended by SIGSEGV")
    assert problem["source"].startswith("def bidding_function")


def test_an_update_that_fails_is_told_though_the_bid_after_it_ends_the_process(tmp_path: Path) -> None:
    source = agent(
        """
        def update_after_each_round(self, *outcome):
            return {}["last"]  # here
        def bidding_function(self, item_id):
            if self.utility is None:
                os._exit(1)
            self.utility = None
            return 1.0
        """
    )
    update, bid = tried(tmp_path, source)["problems"]
    assert (update["error"], update["what"], update["line"]) == ("crash", "KeyError: 'last'", marked(source))
    assert update["where"] == "game 1 against nobody, after round 1, update_after_each_round"
    assert (bid["error"], bid["where"]) == ("exit", "game 1 against nobody, round 2, bidding_function")


def test_an_update_that_fails_is_placed_after_its_round(tmp_path: Path) -> None:
    source = TRUTHFUL + "    def update_after_each_round(self, item_id, winner):  # here\n        pass\n"
    verdict = tried(tmp_path, source, *FAST)
    [problem] = verdict["problems"]
    assert problem["where"] == "game 1 against 1 × adaptive_bidder, after round 1, update_after_each_round"
    assert problem["line"] == marked(source)
    assert "def update_after_each_round(self, item_id, winning_team, price_paid):" in problem["hint"]
    assert problem["count"] == N_BIDS, "the outcome of the last round included"
    assert verdict["games"][0]["valid_bids"] == 3


def test_a_class_without_the_base_class_constructor(tmp_path: Path) -> None:
    source = agent("def __init__(self, *a):\n    pass\ndef bidding_function(self, i):\n    return self.budget  # here")
    first, last = tried(tmp_path, source, *FAST)["problems"]
    assert first["line"] == marked(source)
    assert "begin its __init__ with super().__init__(team_id" in first["hint"]
    assert last["where"].startswith("game 1 against 1 × adaptive_bidder, after round 1, update")


def test_what_goes_wrong_only_in_a_later_game_is_found(tmp_path: Path) -> None:
    source = agent(
        """
        games = []
        def __init__(self, *a):
            super().__init__(*a)
            self.games.append(1)
            assert len(self.games) < 3, "the third game"  # here
        def bidding_function(self, item_id):
            return 1.0
        """
    )
    verdict = tried(tmp_path, source, *FAST)
    [problem] = verdict["problems"]
    assert problem["where"].startswith("before game 3 against 1 × ")
    assert (problem["line"], problem["count"]) == (marked(source), 4)
    assert len(verdict["games"]) == 6


# --- too slow --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "method", "hint"),
    [
        ("while True:\n    pass\n", "the import", "load_timeout_seconds"),
        (agent("def __init__(self, *a):\n    while True: pass"), "__init__", "load_timeout_seconds"),
    ],
)
def test_hanging_before_the_first_round_is_told_at_once(source: str, method: str, hint: str, tmp_path: Path) -> None:
    began = time.perf_counter()
    verdict = tried(tmp_path, source, *FAST, *IMPATIENT)
    assert time.perf_counter() - began < 20
    [problem] = verdict["problems"]
    assert problem["error"] == "timeout"
    assert problem["what"].startswith(f"too slow: {method} was stopped after 1.")
    assert hint in problem["hint"]
    assert verdict["games"] == []


def test_after_three_late_bids_the_rest_is_not_played(tmp_path: Path) -> None:
    source = bidding("while True: pass")
    began = time.perf_counter()
    verdict = tried(tmp_path, source, "tournament.arena_size=5", *IMPATIENT)
    assert time.perf_counter() - began < 20
    [problem] = verdict["problems"]
    assert (problem["error"], problem["count"]) == ("timeout", 3)
    assert problem["source"].startswith(("def bidding_function", "while True"))
    assert problem["what"].startswith("too slow: bidding_function was stopped after 0.3")
    assert "may take 0.3 s of CPU time (bid_timeout_seconds)" in problem["hint"]
    assert "rest was not played" in verdict["stopped"]


def test_an_update_without_an_end_is_not_blamed_on_the_bid(tmp_path: Path) -> None:
    body = "print('x' * 99_999)\n    while True: pass  # here"
    source = TRUTHFUL + textwrap.indent(f"def update_after_each_round(self, *outcome):\n    {body}\n", "    ")
    verdict = tried(tmp_path, source, *ALONE, *IMPATIENT)
    [problem] = verdict["problems"]
    assert problem["what"].startswith("too slow: update_after_each_round was stopped after 0.3")
    assert problem["where"] == "game 1 against nobody, after round 1, update_after_each_round"
    assert problem["line"] == marked(source)
    assert set(verdict["output"]) == {"x"}, "where it was stopped is nothing that it printed"


def test_a_lock_that_is_taken_twice_is_explained(tmp_path: Path) -> None:
    source = bidding("lock.acquire()  # here", HEAD + "import threading\nlock = threading.Lock()\nlock.acquire()\n")
    [problem] = tried(tmp_path, source, *ALONE, *IMPATIENT)["problems"]
    assert (problem["error"], problem["line"]) == ("timeout", marked(source))
    assert "a lock that it holds already" in problem["hint"]


def test_who_waits_is_not_told_of_cpu_time(tmp_path: Path) -> None:
    """Without walls nothing keeps an agent from sleeping."""
    source = bidding("time.sleep(60)  # here")
    path = tmp_path / "my_agent.py"
    path.write_text(source)
    rules = requested(*ALONE, "tournament.bid_timeout_seconds=0.1").tournament
    [problem] = find_problems(Trial(path, read_submission(path, "agent"), rules, 0).run())
    assert problem.what.startswith("too slow: bidding_function waited and was stopped after 1.")
    assert (problem.line, "time.sleep()" in problem.hint) == (marked(source), True)


# --- how long it takes -----------------------------------------------------------------------------------


def in_a_hurry(folder: Path, source: str, seconds: float = 0.0) -> Verdict:
    """The verdict on `source` after a trial of at most so many `seconds`, its first game not counted."""
    path = folder / "my_agent.py"
    path.write_text(source)
    return Verdict.of(
        Trial(path, read_submission(path, "agent"), requested(*FAST).tournament, 0, seconds=seconds).run()
    )


def test_who_is_slow_plays_the_first_game_and_is_told_how_slow_it_is(tmp_path: Path) -> None:
    verdict = in_a_hurry(tmp_path, bidding("compute(0.05); return self.valuation_vector[item_id]", COMPUTING))
    assert verdict.valid
    assert [(game["opponents"], game["valid_bids"]) for game in verdict.games] == [("1 × adaptive_bidder", 3)]
    assert verdict.stopped == "1 of 6 games were played, as more would take too long"
    [warning] = verdict.warnings
    assert warning.what.startswith("slow: 1 of 6 games tried; a bid takes 0.05")


def test_who_is_quick_is_not_blamed_for_a_slow_machine(tmp_path: Path) -> None:
    path = tmp_path / "my_agent.py"
    path.write_text(TRUTHFUL)
    trial = Trial(path, read_submission(path, "agent"), requested(*FAST).tournament, 0, seconds=math.inf).run()
    trial.out_of_time = True
    [caution] = find_cautions(trial)
    assert caution.what == "6 of 6 games tried: this machine is slow, or busy"


def test_what_goes_wrong_in_the_first_game_is_told_of_who_is_slow(tmp_path: Path) -> None:
    verdict = in_a_hurry(tmp_path, bidding("return 1 / 0"))
    assert [problem.count for problem in verdict.problems] == [3]
    assert not verdict.warnings


def test_without_a_terminal_a_line_every_few_seconds_says_what_is_waited_for(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    said = ""
    with progress(every=0.01) as tell:
        tell("game 2 against 4 × [red]itself, round 7 of 15")
        deadline = time.monotonic() + 20
        while not said and time.monotonic() < deadline:
            time.sleep(0.01)
            said = capfd.readouterr().err
    assert re.match(r"\d+ s: game 2 against 4 × \[red\]itself, round 7 of 15\n", said)
    assert capfd.readouterr().out == ""


def test_a_trial_says_which_round_is_waited_for(tmp_path: Path) -> None:
    path, told = tmp_path / "my_agent.py", []
    path.write_text(TRUTHFUL)
    Trial(path, read_submission(path, "agent"), requested(*ALONE).tournament, 0, seconds=math.inf).run(told.append)
    game, again = (f"game 1{again} against nobody, " for again in ("", ", played again,"))
    steps = ("__init__", *(f"round {number} of 3" for number in (1, 2, 3)))
    assert told == ["its import", *(f"{each}{step} (1 games in all)" for each in (game, again) for step in steps)]


def test_a_bid_that_was_stopped_in_two_lines_is_one_problem(tmp_path: Path) -> None:
    source = bidding("if self.team_id == 'you':\n        while True: pass\n    while True: pass")
    [problem] = tried(tmp_path, source, "tournament.arena_size=5", *IMPATIENT)["problems"]
    assert (problem["error"], problem["count"]) == ("timeout", 3)


# --- warnings --------------------------------------------------------------------------------------------


def the_warning(verdict: dict[str, Any]) -> dict[str, Any]:
    """The only one, of a valid submission."""
    assert verdict["valid"]
    [warning] = verdict["warnings"]
    return warning


def test_slow_bids_are_warned_of(tmp_path: Path) -> None:
    source = bidding("compute(0.15); return self.valuation_vector[item_id]", COMPUTING)
    warning = the_warning(tried(tmp_path, source, *ALONE, "tournament.bid_timeout_seconds=0.5"))
    assert (warning["error"], warning["count"]) == ("slow", 2 * 3)  # the game is played twice
    assert "of 0.5 s" in warning["what"]


def test_a_slow_game_of_quick_bids_is_warned_of(tmp_path: Path) -> None:
    source = bidding("compute(0.2); return self.valuation_vector[item_id]", COMPUTING)
    warning = the_warning(tried(tmp_path, source, *ALONE, "tournament.game_timeout_seconds=1"))
    assert warning["what"].startswith("slow: a game took 0.6 s of 1 s")


def test_a_game_over_its_budget_says_which_budget(tmp_path: Path) -> None:
    source = bidding("compute(0.3); return self.valuation_vector[item_id]", COMPUTING)
    verdict = tried(tmp_path, source, *ALONE, "tournament.game_timeout_seconds=0.5")
    [problem] = verdict["problems"]
    assert problem["error"] == "timeout"
    assert "game_timeout_seconds" in problem["hint"]


def test_threads_and_endless_output_are_explained(tmp_path: Path) -> None:
    [problem] = tried(tmp_path, bidding("import threading; threading.Thread().start(); return 1.0"), *ALONE)["problems"]
    assert "one thread" in problem["hint"]
    [problem] = tried(tmp_path, bidding("while True: print('x' * 999)"), *ALONE)["problems"]
    assert problem["error"] == "output"
    assert "prints without end" in problem["hint"]


def test_a_slow_constructor_is_warned_of(tmp_path: Path) -> None:
    source = agent(
        """
        def __init__(self, *a):
            super().__init__(*a)
            compute(1.1)
        def bidding_function(self, item_id):
            return self.valuation_vector[item_id]
        """,
        COMPUTING,
    )
    warnings = tried(tmp_path, source, *ALONE, "tournament.load_timeout_seconds=2")["warnings"]
    assert [warning["what"][:20] for warning in warnings] == ["slow: __init__ took "]


def test_bids_cut_down_to_the_budget_are_warned_of(tmp_path: Path) -> None:
    warning = the_warning(tried(tmp_path, bidding("return 1000.0"), *FAST))
    assert warning["error"] == "over_budget"
    assert warning["where"] == "game 1 against 1 × adaptive_bidder, round 1: 1000 with 60 left"
    assert "super().update_after_each_round" in warning["hint"]
    assert warning["count"] == N_BIDS


def test_an_agent_that_never_bids_is_warned_of(tmp_path: Path) -> None:
    warning = the_warning(tried(tmp_path, bidding("return 0")))
    assert (warning["error"], warning["what"]) == ("no_bid", "it never bids more than 0")


def test_an_agent_that_wins_nothing_is_warned_of(tmp_path: Path) -> None:
    verdict = tried(tmp_path, bidding("return 0.001"), *FAST)
    assert the_warning(verdict)["error"] == "no_win"
    assert [game["items_won"] for game in verdict["games"][:-1]] == [0] * 5


def test_printing_too_much_is_warned_of(tmp_path: Path) -> None:
    source = bidding("print('é' * 20_000); return self.valuation_vector[item_id]")
    verdict = tried(tmp_path, source)
    warning = the_warning(verdict)
    assert warning["error"] == "output"
    assert "117 kB in a game, 16 kB are kept" in warning["what"]
    assert verdict["output"] == "é" * 1024
    assert len(verdict["output"].encode()) == 2048


UNSEEDED = {
    "generator": ("numpy.random.default_rng().random()", False),
    "seeded_generator": ("numpy.random.default_rng(random.getrandbits(64)).random()", False),
    "numpy": ("numpy.random.uniform()", False),
    "random": ("random.random()", False),
    "system": ("random.SystemRandom().random()", False),
    "clock": ("time.time() % 1", True),
    "object": ("id(object()) % 997 / 997", True),
}


@pytest.mark.parametrize("name", UNSEEDED)
def test_what_a_rerun_does_not_repeat_is_warned_of(name: str, tmp_path: Path) -> None:
    expression, differs = UNSEEDED[name]
    head = HEAD + "import numpy\n" * ("numpy" in expression)
    source = bidding(f"return {expression} * self.valuation_vector[item_id]", head)
    verdict = tried(tmp_path, source)
    assert verdict["valid"]
    found = [warning for warning in verdict["warnings"] if warning["error"] == "not_reproducible"]
    assert len(found) == differs
    if found:
        assert "may not depend on the clock" in found[0]["hint"]


# --- what is fine ----------------------------------------------------------------------------------------


def test_the_template_plays_every_example_under_the_rules_of_the_competition(tmp_path: Path) -> None:
    verdict = tried(tmp_path, (EXAMPLES / "template.py").read_bytes(), "seed=3")
    assert verdict["problems"] == verdict["warnings"] == []
    assert [game["opponents"] for game in verdict["games"]] == [f"4 × {name}" for name in (*examples(), "itself")]
    assert set(verdict) == {"agent", "valid", "problems", "warnings", "games", "stopped", "output", "rules"}
    assert all(game["slowest_bid_seconds"] > 0 for game in verdict["games"])
    assert verdict["rules"]["bid_timeout_seconds"] == 2.0
    assert verdict["rules"]["memory_limit_mb"] == 256
    assert verdict["stopped"] is None


@pytest.mark.parametrize("name", examples())
def test_every_example_is_valid(name: str) -> None:
    assert validate(requested("tournament.arena_size=3", agent=str(examples()[name])), math.inf) == 0


def test_an_agent_may_ask_for_its_opponents(tmp_path: Path) -> None:
    source = agent(
        """
        def __init__(self, team_id, valuation_vector, budget, opponent_teams):
            super().__init__(team_id, valuation_vector, budget, [])
            assert team_id not in opponent_teams and len(opponent_teams) == 1
        def bidding_function(self, item_id):
            return self.valuation_vector[item_id]
        """
    )
    assert tried(tmp_path, source, *FAST)["valid"]


def test_alone_in_the_arena_it_plays_one_game(tmp_path: Path) -> None:
    verdict = tried(tmp_path, TRUTHFUL, *ALONE)
    assert [game["opponents"] for game in verdict["games"]] == ["nobody"]
    assert verdict["valid"]


# --- files -----------------------------------------------------------------------------------------------


def test_a_folder_with_modules_of_its_own(tmp_path: Path) -> None:
    module = "VALUE = 2\n\ndef worth(item):\n    return {}[item]  # here\n"
    main = bidding("return 2 + worth(item_id)", f"from helpers import VALUE, worth\n{HEAD}")
    status, verdict = ask(submission(tmp_path / "my agent", main, helpers=module), *ALONE)
    [problem] = verdict["problems"]
    assert status == 1
    assert (problem["file"], problem["line"], problem["source"]) == ("helpers.py", 4, "return {}[item]  # here")
    assert 'File "bidding_agent.py", line 7, in bidding_function' in problem["traceback"]
    assert verdict["agent"].endswith("/my agent")


def test_a_module_that_was_left_behind(tmp_path: Path) -> None:
    (tmp_path / "helpers.py").write_text("x = 1\n")
    [problem] = tried(tmp_path, f"from helpers import x\n{TRUTHFUL}")["problems"]
    assert "helpers lies beside your file, which was given alone: give the folder" in problem["hint"]


def test_a_misspelt_module_of_its_own_is_named(tmp_path: Path) -> None:
    source = f"import helpr  # here\n{TRUTHFUL}"
    [problem] = ask(submission(tmp_path / "mine", source, helper="x = 1"), *ALONE)[1]["problems"]
    assert problem["hint"] == "helper.py lies beside it: import helper?"
    (tmp_path / "helper.py").write_text("x = 1\n")
    [problem] = tried(tmp_path, source)["problems"]
    assert (
        problem["hint"] == "helper.py lies beside it: import helper? Give the folder, then: your file was given alone."
    )


def test_an_update_of_almost_the_right_name_is_warned_of(tmp_path: Path) -> None:
    source = TRUTHFUL + "    def update_after_round(self, *outcome):\n        pass\n"
    warning = the_warning(tried(tmp_path, source))
    assert (warning["error"], warning["what"]) == ("misspelt", "update_after_round is never called")


REFUSED = {
    "agent.py": (
        {"agent.py": TRUTHFUL},
        "there is no bidding_agent.py",
        "Rename the file with your agent",
        "agent.py.",
    ),
    "nested": ({"mine/bidding_agent.py": TRUTHFUL}, "there is no bidding_agent.py", "hand in mine/."),
    "empty": ({}, "there is no bidding_agent.py", "Put your agent into the folder, as bidding_agent.py."),
    "too_much": (
        {"bidding_agent.py": TRUTHFUL, **{f"{n}.txt": "" for n in range(1001)}},
        "at most 1,000 files",
        "Leave out what the agent does not need",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_folder_that_cannot_be_tried_gets_a_verdict(name: str, tmp_path: Path) -> None:
    files, what, *hints = REFUSED[name]
    folder = tmp_path / "submitted"
    for file in ("", *files):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(exist_ok=True)
    for file, text in files.items():
        (folder / file).write_text(text)
    status, verdict = ask(folder)
    assert (status, verdict["valid"], verdict["games"]) == (1, False, [])
    [problem] = verdict["problems"]
    assert (problem["error"], problem["where"]) == ("refused", "in the folder")
    assert what in problem["what"]
    for hint in hints:
        assert hint in problem["hint"]


def test_each_file_that_does_not_play_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = submission(tmp_path / "mine", TRUTHFUL, helpers="x = 1", random="x = 1")
    (folder / "table.csv").write_text("1,2")
    status, verdict = ask(folder, *ALONE)
    assert (status, verdict["valid"]) == (0, True)
    found = {warning["what"]: warning["hint"] for warning in verdict["warnings"] if warning["error"] == "ignored"}
    assert set(found) == {"ignored: random.py", "ignored: table.csv"}
    assert "rename it" in found["ignored: random.py"]
    assert "put data into a .py module" in found["ignored: table.csv"]
    assert "ignored: table.csv" in capsys.readouterr().out
    for number in range(30):
        (folder / f"{number}.txt").touch()
    warnings = [warning for warning in ask(folder, *ALONE)[1]["warnings"] if warning["error"] == "ignored"]
    assert len(warnings) == 21
    assert sum(warning["count"] for warning in warnings) == 32


MISSED = {
    "data": ("open('table.csv')", "table.csv", "table.csv lies in your folder but is ignored", "into a .py module"),
    "compiled": ("import fast", "fast.cpython-311.so", "compiled code is not read", "hand in its source"),
    "bytecode_in_a_package": ("import pkg.fast", "pkg/fast.pyc", "compiled code is not read", "hand in its source"),
    "attribute": ("import random; random.mine", "random.py", "a module that Python or the game brings", "rename it"),
    "name": ("from random import mine", "random.py", "a module that Python or the game brings", "rename it"),
    "package": ("import bidding_agent.x", "bidding_agent/x.py", "bidding_agent.py lies beside", "rename the folder"),
    "small_letters": ("import table", "Table.py", "Your file is called Table.py", "capital letters count"),
}


@pytest.mark.parametrize("name", MISSED)
def test_an_ignored_file_that_is_missed_is_named_in_the_hint(name: str, tmp_path: Path) -> None:
    statement, file, *said = MISSED[name]
    folder = submission(tmp_path / "mine", f"{statement}  # here\n{TRUTHFUL}")
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_text("mine = 1\n")
    [problem] = ask(folder, *ALONE)[1]["problems"]
    assert problem["line"] == 1
    for part in said:
        assert part in problem["hint"]


@pytest.mark.parametrize("name", ["my agent.py", "agent-2.0.py", "Größe 入札.py", "[red]x.py", "no_suffix"])
def test_files_may_have_any_name(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [problem] = tried(tmp_path, bidding("return 1 / 0"), name=name)["problems"]
    assert problem["file"] == name
    assert f"{name}:6" in capsys.readouterr().out


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("    ", "\t").encode(),
        lambda text: f"# coding: latin-1\n# Größe\n{text}".encode("latin-1"),
        lambda text: f"x = '''\x0c\x1c\u2028'''\n{text}".encode(),  # these end a line for str.splitlines only
    ],
    ids=["bom", "crlf", "tabs", "latin-1", "separators"],
)
def test_lines_are_counted_as_python_counts_them(encode: Any, tmp_path: Path) -> None:
    [problem] = tried(tmp_path, encode(bidding("return 1 / 0  # here")))["problems"]
    assert problem["what"] == "ZeroDivisionError: division by zero"
    assert problem["source"] == "return 1 / 0  # here"


@pytest.mark.parametrize("content", [b"x = '\xe9'\n", b"x = 1\n\0\n", bytes(range(256))])
def test_what_is_no_text_is_told(content: bytes, tmp_path: Path) -> None:
    [problem] = tried(tmp_path, content)["problems"]
    assert problem["what"].startswith("SyntaxError")
    assert problem["hint"] == "Save the file as UTF-8 text."


def test_an_empty_file_defines_no_class(tmp_path: Path) -> None:
    [problem] = tried(tmp_path, b"")["problems"]
    assert "defines no class" in problem["what"]


# --- no trust --------------------------------------------------------------------------------------------


def test_nothing_of_a_submission_runs_in_this_process(tmp_path: Path) -> None:
    verdict = tried(tmp_path, f"import os; print('I am', os.getpid())\n{TRUTHFUL}")
    assert verdict["output"].startswith("I am ")
    assert f"I am {os.getpid()}\n" not in verdict["output"]
    assert "bidding_agent" not in sys.modules


def test_a_traceback_cannot_point_out_of_the_submission(tmp_path: Path) -> None:
    forged = 'raise Exception(\'\\n  File "/etc/passwd", line 1, in x\\n  File "../x.py", line 1\')  # here'
    [problem] = tried(tmp_path, bidding(forged))["problems"]
    assert (problem["file"], problem["source"][:5]) == ("my_agent.py", "raise")


def test_text_of_a_submission_is_shown_as_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = bidding(
        "print('\\x1b[31m [red]p\\u202e[/red]'); raise Exception('[bold]\\x1b]0;title\\x07[/bold] \\ud800')"
    )
    tried(tmp_path, source)
    shown = capsys.readouterr().out
    assert "[red]p?[/red]" in shown
    assert "[bold]?]0;title" in shown
    assert not any(c in shown for c in "\x1b\x07\u202e")


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch, here = tmp_path / "scratch", tmp_path / "here"
    scratch.mkdir()
    here.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.chdir(here)
    before = children()
    source = agent(
        """
        def __init__(self, *a):
            super().__init__(*a)
            os.makedirs("deep/er", exist_ok=True)
            os.chmod("deep", 0)
        def bidding_function(self, item_id):
            return 1.0
        """
    )
    tried(tmp_path, source, *FAST)
    tried(tmp_path, bidding("while True: pass"), *FAST, *IMPATIENT)
    assert children() == before
    assert list(scratch.iterdir()) == []
    assert list(here.iterdir()) == []


# --- requests --------------------------------------------------------------------------------------------


def test_what_is_no_submission_is_a_wrong_request(tmp_path: Path) -> None:
    linked = submission(tmp_path / "linked", TRUTHFUL)
    (linked / "more.py").symlink_to(linked / "bidding_agent.py")
    for wrong in (None, tmp_path / "missing.py", linked / "more.py", Path("/dev/null")):
        with pytest.raises(RequestError) as raised:
            validate(requested(agent=str(wrong) if wrong else None))
        assert raised.value.key == "agent"
    assert ask(linked)[1]["problems"][0]["error"] == "refused"


@pytest.mark.parametrize("target", [".", "my_agent.py/verdict.json"])
def test_a_verdict_that_cannot_be_written_is_a_wrong_request(target: str, tmp_path: Path) -> None:
    (tmp_path / "my_agent.py").write_text("x = 1\n")
    config = requested(agent=str(tmp_path / "my_agent.py"), json_=str(tmp_path / target))
    with pytest.raises(RequestError, match=r"^json = "):
        validate(config)


def test_every_line_fits_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    tried(tmp_path, bidding(f"print('x' * 500); raise Exception('{'long ' * 80}{'x' * 100}')"))
    *lines, verdict = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) < 25
    assert verdict == f"not valid: {tmp_path / 'my_agent.py'} has 1 problem"


# --- the command line ------------------------------------------------------------------------------------


def test_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "good one (1).py").write_text(TRUTHFUL)
    (tmp_path / "bad.py").write_text(bidding("return 1 / 0"))
    rules = ("action=validate", *ALONE)
    good = auction("agent=good one (1).py", "json=-", *rules, cwd=tmp_path, module="agt_tournament")
    assert (good.returncode, json.loads(good.stdout)["valid"]) == (0, True)
    assert [line.partition(" ")[0] for line in good.stderr.splitlines()] == ["sandbox:"]
    bad = auction("agent=bad.py", *rules, cwd=tmp_path, module="agt_tournament")
    assert bad.returncode == 1
    assert bad.stdout.splitlines()[-1] == "not valid: bad.py has 1 problem"
    wrong = auction("agent=missing.py", *rules, cwd=tmp_path, module="agt_tournament")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("agent = missing.py: expected a Python file")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.py", "good one (1).py"]


def test_an_interruption_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "hangs.py").write_text("while True:\n    pass\n")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command = [sys.executable, "-m", "agt_tournament", "action=validate", "agent=hangs.py"]
    with subprocess.Popen(
        command, cwd=tmp_path, env={**environment(), "TMPDIR": str(scratch)}, stderr=subprocess.PIPE
    ) as process:
        deadline = time.monotonic() + 20
        while not inhabitants(scratch) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert inhabitants(scratch)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 130
        assert process.stderr
        assert process.stderr.read().splitlines()[-1] == b"interrupted"
    assert inhabitants(scratch) == []
    assert list(scratch.iterdir()) == []
