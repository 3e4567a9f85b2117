"""Agents in real processes: what they may be, what they are told, what they break, and that only they pay for it."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import marshal
import os
import random
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from agt_tournament.actions.checks import bid_failures
from agt_tournament.game.auction_engine import Bidder
from agt_tournament.game.game_manager import Game
from agt_tournament.game.record import GameResult
from agt_tournament.game.seeding import GameSeeds
from agt_tournament.sandbox.printed import stored_bytes
from agt_tournament.sandbox.walls.sandbox import NONE
from agt_tournament.tournament.agent_manager import (
    AgentProcess,
    execute_bid_with_timeout,
    load_agent,
    one_cpu,
    validate_agent,
)
from agt_tournament.tournament.registration.submissions import read_submission, store_submission
from agt_tournament.tournament.registration.unregistered import examples
from agt_tournament.tournament.tournament_manager import limits_of
from tests.support import REPO
from tests.tournament import ScriptedBidder, children, descriptors, inhabitants, play, repeatable, rules, submission

QUICK = rules(bid_timeout_seconds=1.0, load_timeout_seconds=3.0)
SEED = 17
HONEST = ("random_bidder", "budget_aware_bidder", "shading_bidder", "adaptive_bidder")


def seeds(game: int = 1) -> GameSeeds:
    return GameSeeds(SEED, 1, 1, game)


@contextlib.contextmanager
def opened(folders: Mapping[str, Path], rules_: Any = QUICK) -> Iterator[dict[str, AgentProcess]]:
    """An agent in a process for each folder."""
    with ExitStack() as processes:
        yield {
            team: processes.enter_context(AgentProcess(folder, team, limits_of(rules_)))
            for team, folder in folders.items()
        }


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Submissions of four example agents."""
    folder = tmp_path_factory.mktemp("honest")
    for name in HONEST:
        store_submission(read_submission(examples()[name], name).files, folder / name)
    return {name: folder / name for name in HONEST}


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path) -> Iterator[None]:
    """Every test of this file ends with the processes and descriptors that it began with."""
    before, open_before = children(), descriptors()
    yield
    assert children() == before
    assert descriptors() == open_before
    deadline = time.monotonic() + 5
    while (left := inhabitants(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.05)  # killed with its group, and not yet buried by init
    assert not left


def solo(folder: Path, games: int = 1, rules_: Any = QUICK) -> tuple[list[GameResult], list[str]]:
    """Games of one agent against a bidder of 1, and what the agent printed in each."""
    results, printed = [], []
    with opened({"ana": folder}, rules_) as agents:
        for game in range(1, games + 1):
            everyone: dict[str, Bidder] = {**agents, "ben": ScriptedBidder(lambda _: 1.0)}
            results.append(play(everyone, rules_, seeds(game)))
            printed.append(agents["ana"].take_output())
    return results, printed


def bids(result: GameResult, team: str = "ana") -> list[float | None]:
    return [entry.asked[team] for entry in result.auction_log]


# --- what a submission may look like ---------------------------------------------------------------------

BASE = """
from base_agent import BiddingAgent

class Agent(BiddingAgent):
    def bidding_function(self, item_id):
        return self.valuation_vector[item_id]
"""
OWN = """
class BiddingAgent:
    def __init__(self, team_id, valuation_vector, budget, {fourth}):
        self.values = valuation_vector
        self.told = [team_id, sorted(valuation_vector), budget, {fourth}]

    def update_after_each_round(self, item_id, winning_team, price_paid):
        pass

    def bidding_function(self, item_id):
        if self.told:
            import json
            print(json.dumps(self.told))
            self.told = None
        return self.values[item_id]
"""


@pytest.mark.parametrize(
    "source",
    [
        BASE,
        BASE.replace("from base_agent", "from agt_tournament.base_agent"),
        BASE.replace("class Agent", "class Helper: pass\n\nclass Agent"),
        BASE.replace("class Agent(BiddingAgent)", "import base_agent\n\nclass BiddingAgent(base_agent.BiddingAgent)"),
        BASE + "\nclass Other(Agent):\n    pass\n\nclass BiddingAgent(Other):\n    pass\n",
        BASE + "\ndel BiddingAgent\nfrom fractions import Fraction\n",
        OWN.format(fourth="whatever"),
        OWN.format(fourth="whatever").replace("class BiddingAgent", "class Mine"),
        '# -*- coding: latin-1 -*-\n"""Läuft."""\n' + BASE,
    ],
)
def test_an_agent_is_the_class_with_a_bidding_function(tmp_path: Path, source: str) -> None:
    folder = submission(tmp_path / "ana", source)
    if "latin-1" in source:
        (folder / "bidding_agent.py").write_text(source, encoding="latin-1")
    (result,), _ = solo(folder)
    values = result.team_results["ana"].valuation_vector
    assert not result.failures
    assert bids(result) == [values[entry.item_id] for entry in result.auction_log]


@pytest.mark.parametrize(
    ("source", "error", "told"),
    [
        ("", "invalid", "bidding_function"),
        ("x = 1", "invalid", "bidding_function"),
        ("from base_agent import BiddingAgent", "invalid", "bidding_function"),
        ("class BiddingAgent: pass", "invalid", "bidding_function"),
        ("class A:\n    def bidding_function(self, item): return 1", "invalid", "update_after_each_round"),
        (BASE + BASE.replace("Agent(B", "Another(B"), "invalid", "Agent, Another"),
        (
            "class BiddingAgent:\n    bidding_function = 3\n    update_after_each_round = 4",
            "invalid",
            "bidding_function",
        ),
        ("def f(:", "crash", "SyntaxError"),
        ("1 / 0", "crash", "ZeroDivisionError"),
        ("import pandas", "crash", "pandas"),
        ("import torch", "crash", "torch"),
        ("import omegaconf", "crash", "omegaconf"),
        ("import helper", "crash", "helper"),
    ],
)
def test_what_is_no_agent_says_why(tmp_path: Path, source: str, error: str, told: str) -> None:
    (result,), _ = solo(submission(tmp_path / "ana", source))
    (failure,) = result.failures
    assert (failure.team_id, failure.round, failure.where) == ("ana", 0, "import")
    assert failure.error == error
    assert told in failure.text
    assert str(tmp_path) not in failure.text
    assert bids(result) == [None] * 15
    assert [entry.errors for entry in result.auction_log] == [{"ana": error}] * 15
    assert result.team_results["ben"].utility == pytest.approx(sum(
        result.team_results["ben"].valuation_vector[entry.item_id] for entry in result.auction_log
    ))  # fmt: skip


def test_the_fourth_parameter_is_the_items_or_by_its_name_the_rivals(tmp_path: Path) -> None:
    fourth = {"auction_items_sequence": "items", "anything": "items", "opponent_teams": "rivals"}
    folders = {name: submission(tmp_path / name, OWN.format(fourth=name)) for name in fourth}
    with opened(folders) as agents:
        result = play(agents, QUICK, seeds())
        printed = {team: json.loads(agent.take_output()) for team, agent in agents.items()}
    items = [entry.item_id for entry in result.auction_log]
    assert len(items) == 15
    for team, kind in fourth.items():
        rivals = [name for name in fourth if name != team]
        known = sorted(f"item_{i}" for i in range(20))
        assert printed[team] == [team, known, 60.0, items if kind == "items" else rivals]


def test_an_agent_may_bring_modules_and_use_numpy_and_scipy(tmp_path: Path) -> None:
    source = """
    import numpy as np
    from scipy import optimize
    from helper import share
    import package.deep

    class BiddingAgent:
        def __init__(self, team_id, valuation_vector, budget, items):
            self.values = valuation_vector

        def update_after_each_round(self, item_id, winning_team, price_paid):
            pass

        def bidding_function(self, item_id):
            root = optimize.brentq(lambda x: x - 2.0, 0, 10)
            return np.float64(root) * share * package.deep.ONE
    """
    folder = submission(tmp_path / "ana", source, helper="share = 0.25")
    submission(folder / "package", "", deep="ONE = 1.0", __init__="")
    standard = rules(bid_timeout_seconds=20.0, load_timeout_seconds=30.0)
    (result,), _ = solo(folder, rules_=standard)
    assert not result.failures
    assert bids(result) == pytest.approx([0.5] * 15)


def test_modules_and_packages_are_found_under_the_names_that_students_use(tmp_path: Path) -> None:
    source = """
    import sys
    import helpers
    import pkg.sub
    import bare.deep.end as end
    from pkg import sub as again
    from pkg.sub import three
    from base_agent import BiddingAgent
    import agt_tournament.base_agent

    assert pkg.sub is again and pkg.early == 3 and sys.modules["helpers"] is helpers
    assert BiddingAgent is agt_tournament.base_agent.BiddingAgent

    class Agent(BiddingAgent):
        def bidding_function(self, item_id):
            import late
            return helpers.one + three + end.four + late.ten
    """
    folder = submission(tmp_path / "ana", source, helpers="one = 1", late="ten = 10")
    files = {"pkg/__init__": "from .sub import three as early", "pkg/sub": "from pkg import other; three = other.n"}
    for name, text in {**files, "pkg/other": "n = 3", "bare/deep/end": "four = 4"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.py").write_text(text)
    (result,), _ = solo(folder)
    assert not result.failures
    assert set(bids(result)) == {18.0}


PLANTED = """
def bidding_function(*_): return 7.0
def update_after_each_round(*_): pass
BiddingAgent = type("BiddingAgent", (), {**globals(), "__init__": lambda *_: None, "__module__": __name__})
"""


def compiled(path: Path, source: str, told: Path | None = None) -> None:
    """Bytecode of `source` at `path`, as that of the file `told` and unchecked (PEP 552)."""
    code = compile(source, str(told or path), "exec")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8) + marshal.dumps(code))


@pytest.mark.parametrize("place", ["package", "namespace", "bytecode", "beside"])
def test_no_other_agent_plays_than_the_file_that_was_read(tmp_path: Path, place: str) -> None:
    folder = submission(tmp_path / "ana", BASE)
    if place == "package":
        submission(folder / "bidding_agent", PLANTED)
        (folder / "bidding_agent" / "bidding_agent.py").rename(folder / "bidding_agent" / "__init__.py")
    elif place == "namespace":
        (folder / "bidding_agent").mkdir()
    elif place == "bytecode":
        file = folder / "bidding_agent.py"
        compiled(Path(importlib.util.cache_from_source(str(file))), PLANTED, file)
    else:
        compiled(folder / "bidding_agent.pyc", PLANTED)
    (result,), _ = solo(folder)
    values = result.team_results["ana"].valuation_vector
    assert bids(result) == [values[entry.item_id] for entry in result.auction_log]


@pytest.mark.parametrize("planted", ["fast.pyc", "pkg/fast.pyc", f"fast{sysconfig.get_config_var('EXT_SUFFIX')}"])
def test_only_source_can_be_imported(tmp_path: Path, planted: str) -> None:
    name = planted.replace("/", ".").partition(".pyc")[0].partition(".c")[0]
    folder = submission(tmp_path / "ana", f"import {name}\n{BASE}")
    (folder / "pkg").mkdir()
    (folder / "pkg" / "__init__.py").touch()
    if planted.endswith(".pyc"):
        compiled(folder / planted, "")
    else:  # if it was found, the error would be another
        (folder / planted).write_bytes(b"\x7fELF")
    (result,), _ = solo(folder)
    assert f"ModuleNotFoundError: No module named '{name}'" in result.failures[0].text


@pytest.mark.parametrize("name", ["random", "numpy", "base_agent", "heapq"])
def test_a_module_of_ones_own_hides_none_of_pythons(tmp_path: Path, name: str) -> None:
    source = f"import {name}\nassert not hasattr({name}, 'mine')\nimport statistics\n{BASE}"
    (result,), _ = solo(submission(tmp_path / "ana", source, **{name: "mine = 1"}), rules_=SLOWLY)
    assert not result.failures


LISTENING = """
import json
from base_agent import BiddingAgent

class Listener(BiddingAgent):
    def __init__(self, team_id, valuation_vector, budget, opponent_teams):
        super().__init__(team_id, valuation_vector, budget, opponent_teams)
        self.bid = {bid}

    def bidding_function(self, item_id):
        return self.bid.pop(0)

    def update_after_each_round(self, *outcome, **more):
        super().update_after_each_round(*outcome)
        print(json.dumps([*outcome, more, self.budget]))
"""


def test_every_agent_hears_item_winner_and_price_of_each_round_and_nothing_more(tmp_path: Path) -> None:
    few = rules(auction_rounds=4, bid_timeout_seconds=1.0)
    own = {"ana": [3.5, 0.0, 1.25, 2.0], "ben": [2.25, 0.0, 9.0, 2.0], "cai": [0.125, 0.0, 8.0, 1.0]}
    folders = {team: submission(tmp_path / team, LISTENING.format(bid=bid)) for team, bid in own.items()}
    with opened(folders, few) as agents:
        result = play(agents, few, seeds())
        heard = {
            team: [json.loads(line) for line in agent.take_output().splitlines()] for team, agent in agents.items()
        }
    log = result.auction_log
    assert [(entry.winner, entry.price) for entry in log[:3]] == [("ana", 2.25), ("", 0.0), ("ben", 8.0)]
    assert log[3].winner in ("ana", "ben")
    assert log[3].price == 2.0
    for team, lines in heard.items():
        assert [line[:3] for line in lines] == [[entry.item_id, entry.winner, entry.price] for entry in log]
        assert [line[3] for line in lines] == [{}] * 4
        left = 60.0
        for line, entry in zip(lines, log, strict=True):
            left -= entry.price if entry.winner == team else 0.0
            assert line[4] == left


def test_a_secret_order_stays_secret_and_items_are_told_right(tmp_path: Path) -> None:
    secret = rules(reveal_order=False, bid_timeout_seconds=1.0)
    (result,), (printed,) = solo(submission(tmp_path / "ana", OWN.format(fourth="items")), rules_=secret)
    sold = [entry.item_id for entry in result.auction_log]
    told = json.loads(printed)[3]
    assert told == sorted(sold, key=lambda item: int(item[5:]))
    assert told != sold
    values = result.team_results["ana"].valuation_vector
    assert bids(result) == [values[item] for item in sold]


COUNTING = """
import builtins
games = []

class BiddingAgent:
    def __init__(self, team_id, valuation_vector, budget, items):
        games.append(id(self))
        self.rounds = 0

    def update_after_each_round(self, item_id, winning_team, price_paid):
        self.rounds += 1

    def bidding_function(self, item_id):
        return len(games) + self.rounds / 100
"""


def test_module_state_outlives_a_game_and_the_agent_does_not(tmp_path: Path) -> None:
    results, _ = solo(submission(tmp_path / "ana", COUNTING), games=3)
    for game, result in enumerate(results, start=1):
        assert bids(result) == [game + round_ / 100 for round_ in range(15)]


def test_an_agent_sees_nothing_of_the_organisers_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "token")
    source = "import json, os, sys\nprint(json.dumps([dict(os.environ), sys.path]))\n" + BASE
    _, (printed,) = solo(submission(tmp_path / "ana", source))
    environment, path = json.loads(printed)
    assert "A_SECRET" not in environment
    assert set(environment) <= {
        "PATH",
        "LANG",
        "LC_CTYPE",
        "PYTHONHASHSEED",
        *(n for n in environment if "THREADS" in n),
    }
    strange = ("site-packages", str(REPO), str(tmp_path))  # a submission's own modules are found by other means
    assert not [folder for folder in path if any(part in folder for part in strange)]


def test_one_agent_by_hand(tmp_path: Path) -> None:
    folder = submission(tmp_path / "ana", COUNTING)
    for path in (folder, folder / "bidding_agent.py"):
        with load_agent(path, "ana", limits_of(QUICK)) as agent:
            assert validate_agent(agent)
            briefing = {"team_id": "ana", "valuation_vector": {"item_3": 2.0}, "budget": 60.0, "items": ["item_3"]}
            assert agent.start_game({**briefing, "teams": ["ana"], "seed": 1}).error is None
            assert execute_bid_with_timeout(agent, "item_3") == 1.0
            assert agent.pid
            assert "Seccomp:\t2" in Path(f"/proc/{agent.pid}/status").read_text()  # behind walls, unless told otherwise
    with load_agent(submission(tmp_path / "bad", "x = 1"), "bad", limits_of(QUICK), sandbox=NONE) as agent:
        assert not validate_agent(agent)


def test_a_bid_has_the_time_that_is_asked_for(tmp_path: Path) -> None:
    slow = """
    from base_agent import BiddingAgent
    class Slow(BiddingAgent):
        def bidding_function(self, item_id):
            while True:
                pass
    """
    with load_agent(submission(tmp_path / "ana", slow), "ana", limits_of(QUICK), sandbox=NONE) as agent:
        assert validate_agent(agent)
        briefing = {"team_id": "ana", "valuation_vector": {"item_3": 2.0}, "budget": 60.0, "items": ["item_3"]}
        agent.start_game({**briefing, "teams": ["ana"], "seed": 1})
        late = agent.bid("item_3", timeout=0.05)
    assert (late.bid, late.error) == (0.0, "timeout")
    assert "0.05 s" in late.text


# --- seeds -----------------------------------------------------------------------------------------------

DICE = """
{module}
from base_agent import BiddingAgent

class Dice(BiddingAgent):
    def bidding_function(self, item_id):
        {lazy}
        return {number}
"""
STYLES = {
    "random": ("import random", "pass", "random.random()"),
    "random, lazily": ("", "import random", "random.random()"),
    "numpy": ("import numpy as np", "pass", "np.random.random()"),
    "numpy.random": ("from numpy import random", "pass", "random.random()"),
    "numpy, lazily": ("", "import numpy as np", "np.random.random()"),
    "numpy.random, lazily": ("import numpy", "from numpy.random import random", "random()"),
}


def dice(style: str) -> str:
    module, lazy, number = STYLES[style]
    return DICE.format(module=module, lazy=lazy, number=number)


SLOWLY = rules(bid_timeout_seconds=20.0, load_timeout_seconds=30.0)  # numpy takes its time on a busy machine


@pytest.mark.parametrize("style", STYLES)
def test_an_agents_random_numbers_follow_from_the_game_and_the_team(tmp_path: Path, style: str) -> None:
    folder = submission(tmp_path / "x", dice(style))
    drawn = []
    for _ in range(2):
        with opened({"ana": folder, "ben": folder}, SLOWLY) as agents:
            results = [play(agents, SLOWLY, seeds(game)) for game in (1, 2)]
        assert not [failure for result in results for failure in result.failures]
        drawn.append([bids(result, team) for result in results for team in ("ana", "ben")])
    assert drawn[0] == drawn[1]
    numbers = [number for row in drawn[0] for number in row]
    assert len(set(numbers)) == 4 * 15
    with opened({"ana": folder, "zoe": folder}, SLOWLY) as agents:
        assert bids(play(agents, SLOWLY, seeds(2))) == drawn[0][2]  # alone, against another, without the first game


SOURCES = (
    "random.Random().random()",
    "random.seed() or random.random()",
    "random.SystemRandom().random()",
    "secrets.token_hex(8)",
    "os.urandom(8).hex()",
    "os.getrandom(8).hex()",
    "str(uuid.uuid4())",
    "str(uuid.getnode()) + str(random.random())",
    "_random.Random().random()",
    "ssl.RAND_bytes(8).hex()",
    "numpy.random.default_rng().random()",
    "numpy.random.SeedSequence().entropy",
    "numpy.random.seed() or numpy.random.random()",
    "numpy.random.RandomState().random_sample()",
    "numpy.random.Generator(numpy.random.MT19937()).random()",
)
"""What asks the operating system for random numbers, in Python and in numpy."""
GAMBLER = f"""
import _random, json, os, random, secrets, ssl, uuid, numpy
from base_agent import BiddingAgent

class Gambler(BiddingAgent):
    def bidding_function(self, item_id):
        print(json.dumps([{", ".join(SOURCES)}]))
        return random.random()
"""


def test_all_random_numbers_follow_from_the_game(tmp_path: Path) -> None:
    folder = submission(tmp_path / "ana", GAMBLER)
    results, printed = solo(folder, games=2, rules_=SLOWLY)
    again, printed_again = solo(folder, games=2, rules_=SLOWLY)
    assert [bids(result) for result in results] == [bids(result) for result in again]
    rows, rows_again = ([json.loads(line) for line in "".join(text).splitlines()] for text in (printed, printed_again))
    assert len(rows) == 2 * 15
    for source, drawn, drawn_again in zip(SOURCES, zip(*rows, strict=True), zip(*rows_again, strict=True), strict=True):
        assert drawn == drawn_again, source
        assert len(set(drawn)) == 2 * 15, f"{source}: numbers repeat from round to round or from game to game"


def test_what_nobody_can_seed_cannot_be_imported(tmp_path: Path) -> None:
    folder = submission(tmp_path / "ana", "import sqlite3\n" + BASE)
    (result,), _ = solo(folder)
    assert "ModuleNotFoundError: agents have no sqlite3: its random" in result.failures[0].text


@pytest.mark.parametrize(
    "source",
    [
        b"# coding: utf-7\nBID = 1.0 #+AAo-BID = 9.0\n",
        b"# coding: unicode_escape\nBID = 1.0 #\\nBID = 9.0\n",
        b"BID = 1.0 #\rBID = 9.0\n",
        "BID = 1.0 # \u202e\u2066;BID=9.0\n".encode(),
    ],
)
def test_text_that_a_reader_sees_otherwise_does_not_play(tmp_path: Path, source: bytes) -> None:
    (tmp_path / "ana.py").write_bytes(source + BASE.replace("self.valuation_vector[item_id]", "BID").encode())
    store_submission(read_submission(tmp_path / "ana.py", "agent").files, tmp_path / "ana")
    (result,), _ = solo(tmp_path / "ana")
    assert bids(result) == [None] * 15
    assert "SyntaxError" in result.failures[0].text
    assert "save it as plain UTF-8" in result.failures[0].text


def test_an_agent_that_goes_through_a_set_bids_the_same_again(tmp_path: Path) -> None:
    """The order of a set of text depends on the hashes of text, which Python draws anew for each process."""
    source = BASE.replace(
        "return self.valuation_vector[item_id]", "return int(next(iter(set(self.valuation_vector)))[5:])"
    )
    folder = submission(tmp_path / "ana", source)
    assert len({tuple(bids(solo(folder)[0][0])) for _ in range(4)}) == 1


def test_it_does_not_matter_when_numpy_is_imported(tmp_path: Path) -> None:
    drawn = []
    for style in ("numpy", "numpy.random", "numpy, lazily", "numpy.random, lazily"):
        folder = submission(tmp_path / style.replace(" ", "_"), dice(style))
        drawn.append([bids(result) for result in solo(folder, games=2, rules_=SLOWLY)[0]])
    assert drawn == [drawn[0]] * 4


def test_an_agents_own_stream_does_not_give_its_rivals_values(tmp_path: Path) -> None:
    result = solo(submission(tmp_path / "ana", dice("random")))[0][0]
    expected = random.Random(seeds().agent("ana"))
    assert bids(result) == [expected.random() for _ in range(15)]
    assert seeds().agent("ana") != seeds().loading("ana")


def test_random_numbers_of_the_import_follow_from_the_seed_too(tmp_path: Path) -> None:
    source = "import random\nfirst = random.random()\n" + BASE.replace("self.valuation_vector[item_id]", "first")
    (one, two), _ = solo(submission(tmp_path / "ana", source), games=2)
    first = random.Random(seeds(1).loading("ana")).random()
    assert bids(one) == bids(two) == [first] * 15


def test_a_game_of_a_block_can_be_run_again_alone(tmp_path: Path) -> None:
    names = ("random_bidder", "truthful_bidder", "budget_aware_bidder", "shading_bidder", "template")
    for name in names:
        path = examples().get(name) or examples()["random_bidder"].with_name(f"{name}.py")
        store_submission(read_submission(path, name).files, tmp_path / name)
    folders = {name: tmp_path / name for name in names}
    with opened(folders) as agents:
        block = [repeatable(play(agents, QUICK, seeds(game))) for game in (1, 2, 3)]
    for game in (3, 1):
        with opened(folders) as agents:
            assert repeatable(play(agents, QUICK, seeds(game))) == block[game - 1]
    assert len(set(block)) == 3


# --- agents that misbehave -------------------------------------------------------------------------------

# How; the error it is logged as, or None; whether the process is lost with it.
MISDEEDS: dict[str, tuple[str, str | None, bool]] = {
    "raises": ("raise ValueError('no')", "crash", False),
    "raises what cannot be printed": (
        "class Mute(Exception):\n    def __str__(self): raise RuntimeError\n    __repr__ = __str__\nraise Mute()",
        "crash",
        False,
    ),
    "raises what exits when printed": (
        "class Trap(Exception):\n    def __str__(self): os._exit(0)\nraise Trap()",
        "exit",
        True,
    ),
    "raises with surrogates and controls": ("raise ValueError('\\udcff\\x1b[31m\\x00' * 9000)", "crash", False),
    "raises a group": ("raise ExceptionGroup('g', [ValueError(1)] * 3)", "crash", False),
    "raises its own base": ("class Base(BaseException): pass\nraise Base()", "exit", True),
    "recurses": ("def f(): f()\nf()", "crash", False),
    "sys.exit": ("sys.exit(3)", "exit", False),
    "os._exit": ("os._exit(0)", "exit", True),
    "own SystemExit": ("class Bye(SystemExit): pass\nraise Bye('bye')", "exit", False),
    "KeyboardInterrupt": ("raise KeyboardInterrupt", "crash", True),
    "segfault": ("import ctypes\nctypes.string_at(0)", "crash", True),
    "abort": ("os.abort()", "crash", True),
    "a signal without a name": ("os.kill(os.getpid(), 35)", "crash", True),
    "kills itself": ("os.kill(os.getpid(), 9)", "memory", True),
    "kills its group": ("os.killpg(0, 9)", "memory", True),
    "becomes another program": ("os.execv('/bin/true', ['true'])", "exit", True),
    "closes everything": ("os.closerange(0, 256)", "exit", True),
    "closes everything and stays": ("os.closerange(0, 256)\ntime.sleep(60)", "exit", True),
    "garbage to every descriptor": (
        "for fd in range(256):\n    try: os.write(fd, b'\\xff' * 100)\n    except OSError: pass",
        "protocol",
        True,
    ),
    "an answer too many": (
        "from agt_tournament.sandbox.inside import protocol\nframe = protocol.pack(6, 1, protocol.pack_answer(60.0))\n"
        "for fd in range(3, 256):\n    try: os.write(fd, frame)\n    except OSError: pass",
        "protocol",
        True,
    ),
    "eats memory": ("hoard = []\nwhile True: hoard.append(bytearray(1 << 24))", "memory", False),
    "asks for all memory": ("bytearray(1 << 40)", "memory", False),
    "sleeps": ("time.sleep(60)", "timeout", True),
    "computes": ("while True: pass", "timeout", True),
    "stops itself": ("os.kill(os.getpid(), 19)", "timeout", True),
    "prints without end": ("while True: print('x' * 1000)", "output", True),
    "prints more than is kept": ("print('x' * (40 << 10))\nprint('y' * (20 << 10), file=sys.stderr)", None, False),
    "prints bytes that are no text": (
        "os.write(1, bytes(range(256)) * 99)\nos.write(2, b'\\xff' * 9999)",
        None,
        False,
    ),
    "closes what it prints to": ("for fd in (1, 2):\n    try: os.close(fd)\n    except OSError: pass", None, False),
    "leaves a child": ("if not os.fork(): time.sleep(60)", None, False),
    "leaves a thread": (
        "import threading\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
        None,
        False,
    ),
    "ignores signals": (
        "import signal\nfor n in (1, 2, 3, 15): signal.signal(n, signal.SIG_IGN)\ntime.sleep(60)",
        "timeout",
        True,
    ),
}
PLACES = ("import", "__init__", "bidding_function", "update_after_each_round")
SLOW = ("sleeps", "computes", "stops itself", "prints without end", "ignores signals", "closes everything and stays")
ROUND = 4

TEMPLATE = """
import os, random, sys, time

def misbehave():
{misdeed}

FIRST_GAME = random.random() == {loading}  # seeded for the import: another number when it is imported again

if FIRST_GAME and {place!r} == "import":
    misbehave()

class BiddingAgent:
    def __init__(self, team_id, valuation_vector, budget, items):
        self.values, self.round, self.first = valuation_vector, 0, valuation_vector["item_0"] == {value}
        if self.first and {place!r} == "__init__":
            misbehave()

    def update_after_each_round(self, item_id, winning_team, price_paid):
        if self.first and {place!r} == "update_after_each_round" and self.round >= {round} - 1:
            misbehave()

    def bidding_function(self, item_id):
        self.round += 1
        if self.first and {place!r} == "bidding_function" and self.round >= {round}:
            misbehave()
        return 0.9 * self.values[item_id]
"""


def mallory(folder: Path, misdeed: str, place: str) -> Path:
    """An agent that is decent but for `misdeed`, in the first game alone, at `place` from round `ROUND` on."""
    values = Game("g", "a", 1, {"mallory": ScriptedBidder()}, QUICK, seeds(1)).valuations["mallory"]
    code = "\n".join(f"    {line}" for line in misdeed.splitlines())
    loading = random.Random(seeds(1).loading("mallory")).random()
    source = TEMPLATE.format(misdeed=code, place=place, loading=loading, value=values["item_0"], round=ROUND)
    return submission(folder / "mallory", source)


def what_others_did(result: GameResult) -> list[Any]:
    """Bids, prices, winners and utilities; of mallory only what it won."""
    log = [(e.item_id, e.winner, e.price, {**e.all_bids, "mallory": None}) for e in result.auction_log]
    return [log, result.as_json()["team_results"]]


@pytest.fixture(scope="module")
def expected(honest: dict[str, Path]) -> Callable[[int, int], list[Any]]:
    """The same game with a decent mallory in this process that bids 0 from round `silent` on."""

    @cache
    def played(game: int, silent: int) -> list[Any]:
        values = Game("g", "a", 1, {"mallory": ScriptedBidder()}, QUICK, seeds(game)).valuations["mallory"]
        bidder = ScriptedBidder()

        def script(item: str) -> float:
            return 0.0 if len(bidder.asked) >= silent else 0.9 * values[item]

        bidder._script = script
        with opened(honest) as agents:
            result = play({**agents, "mallory": bidder}, QUICK, seeds(game))
        assert not result.failures
        return what_others_did(result)

    return played


NEVER = 99


def check_misdeed(
    name: str, place: str, folder: Path, honest: dict[str, Path], expected: Callable[[int, int], list[Any]]
) -> None:
    _, error, lost = MISDEEDS[name]
    agent = mallory(folder, MISDEEDS[name][0], place)
    begins = {"import": 0, "__init__": 0, "bidding_function": ROUND, "update_after_each_round": ROUND}[place]
    with opened({**honest, "mallory": agent}) as agents:
        result = play(agents, QUICK, seeds(1))
        printed = agents["mallory"].take_output()
    for text in (printed, json.dumps(result.as_json(), allow_nan=False, ensure_ascii=False)):
        text.encode()
    assert {failure.team_id for failure in result.failures} == ({"mallory"} if error else set())
    assert {failure.error for failure in result.failures} == ({error} if error else set())
    if error:
        assert result.failures[0].round == begins
    only_told = place == "update_after_each_round" and not lost  # who failed to learn may bid all the same
    silent = NEVER if error is None or only_told else max(begins, 1)
    if error and (lost or begins == 0):
        assert len(result.failures) == 1
    elif error:  # again in every round, and after the last one if it then learns
        assert len(result.failures) == 15 - ROUND + 1 + only_told
    assert what_others_did(result) == expected(1, silent)
    if error and (lost or place == "import"):
        check_next_game(agent, honest, expected)


def check_next_game(agent: Path, honest: dict[str, Path], expected: Callable[[int, int], list[Any]]) -> None:
    """After its misdeeds in game 1 mallory is started again and plays game 2 as any other agent."""
    with opened({**honest, "mallory": agent}) as agents:
        absent = {team: ScriptedBidder() for team in honest}
        assert play({**absent, "mallory": agents["mallory"]}, QUICK, seeds(1)).failures
        result = play(agents, QUICK, seeds(2))
    assert not result.failures
    assert what_others_did(result) == expected(2, NEVER)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", [name for name in MISDEEDS if name not in SLOW])
def test_who_misbehaves_costs_only_itself(
    name: str, place: str, tmp_path: Path, honest: dict[str, Path], expected: Callable[[int, int], list[Any]]
) -> None:
    check_misdeed(name, place, tmp_path, honest, expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "place"),
    [(name, place) for name in SLOW for place in PLACES if name == "sleeps" or place == "bidding_function"],
)
def test_who_is_late_costs_only_itself(
    name: str, place: str, tmp_path: Path, honest: dict[str, Path], expected: Callable[[int, int], list[Any]]
) -> None:
    check_misdeed(name, place, tmp_path, honest, expected)


COMPUTES = """
import time
from base_agent import BiddingAgent

class Agent(BiddingAgent):
    def bidding_function(self, item_id):
        start = time.thread_time()
        while time.thread_time() < start + {seconds}: pass
        return 1.0
"""


@contextlib.contextmanager
def busy_machine(processes: int) -> Iterator[None]:
    """This process and whatever it starts share their only CPU with so many that compute, each in its own session.

    The kernel may give each session the same share of the CPU.
    """
    compute = [sys.executable, "-c", "while True: pass"]
    with one_cpu():
        others = [subprocess.Popen(compute, start_new_session=True) for _ in range(processes)]
        try:
            yield
        finally:
            for other in others:
                other.kill()
                other.wait()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="others cannot be kept on one CPU here")
def test_a_busy_machine_makes_nobody_late(tmp_path: Path) -> None:
    """Wall time is over the limit of CPU time in each round."""
    few = rules(bid_timeout_seconds=0.5, auction_rounds=3)
    with busy_machine(4):
        (result,), _ = solo(submission(tmp_path / "ana", COMPUTES.format(seconds=0.3)), rules_=few)
    assert not result.failures
    for entry in result.auction_log:
        assert entry.cpu_seconds["ana"] < 0.5 < entry.seconds["ana"]
        assert entry.waited_seconds["ana"] > 0.2


@pytest.mark.parametrize(
    ("seconds", "round_", "told"), [(0.7, 1, "what may take 0.5 s"), (0.3, 4, "in a game, which may take")]
)
def test_who_computes_longer_than_a_bid_or_a_game_may_take_is_late(
    seconds: float, round_: int, told: str, tmp_path: Path
) -> None:
    few = rules(bid_timeout_seconds=0.5, game_timeout_seconds=1.0)
    (result,), _ = solo(submission(tmp_path / "ana", COMPUTES.format(seconds=seconds)), rules_=few)
    (failure,) = result.failures
    assert (failure.error, failure.round) == ("timeout", round_)
    assert told in failure.text
    assert failure.waited_seconds is None


def test_the_first_import_of_a_process_counts_for_itself_and_later_ones_for_their_game(tmp_path: Path) -> None:
    """Else who dies in each game makes each game as long as an import may be."""
    source = COMPUTES.format(seconds=9).replace(
        "class", "START = time.thread_time()\nwhile time.thread_time() < START + 0.7: pass\nclass"
    )
    few = rules(bid_timeout_seconds=0.2, load_timeout_seconds=2.0, game_timeout_seconds=0.5)
    results, _ = solo(submission(tmp_path / "ana", source), games=2, rules_=few)
    assert [failure.where for result in results for failure in result.failures] == ["", "import"]
    assert "in a game, which may take" in results[1].failures[0].text


def test_an_error_after_the_last_round_is_noted_and_costs_nothing(tmp_path: Path) -> None:
    source = (
        BASE
        + """
    def update_after_each_round(self, item_id, winning_team, price_paid):
        super().update_after_each_round(item_id, winning_team, price_paid)
        if item_id == self.auction_items_sequence[-1]:
            raise ValueError("over")
"""
    )
    (result, _), _ = solo(submission(tmp_path / "ana", source), games=2)
    (failure,) = result.failures
    assert (failure.round, failure.error, failure.where) == (None, "crash", "update_after_each_round")
    assert "ValueError: over" in failure.text


def test_a_traceback_shows_the_submission_and_nothing_of_the_organiser(tmp_path: Path) -> None:
    source = BASE.replace("return", "return helper.f(")[:-1] + ")\n\nimport helper\n"
    folder = submission(tmp_path / "ana", source, helper="def f(value):\n    return value / 0\n")
    (result,), _ = solo(folder)
    text = result.failures[0].text
    assert 'File "bidding_agent.py", line 6, in bidding_function' in text
    assert 'File "helper.py", line 2, in f' in text
    assert text.endswith("ZeroDivisionError: float division by zero")
    assert str(tmp_path) not in text
    assert "runner" not in text


def test_a_timeout_names_method_and_line_and_is_nothing_that_was_printed(tmp_path: Path) -> None:
    source = (
        BASE
        + """
    def update_after_each_round(self, *outcome):
        print("updating")
        while True: pass
"""
    )
    (result,), printed = solo(submission(tmp_path / "ana", source), rules_=rules(bid_timeout_seconds=0.3))
    [failure] = result.failures
    assert (failure.round, failure.error, failure.where) == (2, "timeout", "update_after_each_round")
    line = source.splitlines().index("        while True: pass") + 1
    assert failure.text.endswith(f'\n  File "bidding_agent.py", line {line}, in update_after_each_round')
    assert printed == ["updating\n"]


@pytest.mark.parametrize(
    ("ends", "error", "failures"),
    [("return 1 / 0", "crash", 14), ("import os; os._exit(1)", "exit", 1), ("while True: pass", "timeout", 1)],
)
def test_an_update_and_the_bid_after_it_may_both_fail(ends: str, error: str, failures: int, tmp_path: Path) -> None:
    source = f"""
class Agent:
    told = False
    def __init__(self, *_): pass
    def update_after_each_round(self, *_):
        self.told = True
        raise KeyError("told")
    def bidding_function(self, item_id):
        if self.told:
            {ends}
        return 1.0
"""
    (result,), _ = solo(submission(tmp_path / "ana", source), rules_=rules(bid_timeout_seconds=0.3))
    update, bid, *_ = result.failures
    assert (update.round, update.error, update.where) == (2, "crash", "update_after_each_round")
    assert update.text.endswith("KeyError: 'told'")
    assert (bid.round, bid.error) == (2, error)
    assert [failure.error for failure in result.failures if failure.where != update.where] == failures * [error]
    listed, in_rounds = bid_failures(result)
    assert listed == in_rounds, "a replay finds what it expects"


def test_what_an_agent_prints_is_kept_up_to_the_limit(tmp_path: Path) -> None:
    source = 'import sys\nprint("loaded")\n' + BASE.replace("return", 'print("z" * 3000, file=sys.stderr); return')
    few = rules(bid_timeout_seconds=1.0, output_limit_kb=8)
    _, (printed,) = solo(submission(tmp_path / "ana", source), rules_=few)
    kept, _, dropped = printed.rpartition("\n")
    assert kept.startswith("loaded\nzzz")
    assert stored_bytes(kept) == 8 << 10
    assert dropped == f"[{7 + 15 * 3001 - len(kept):,} further bytes were dropped]"


def test_who_cannot_be_started_three_times_is_not_started_again(tmp_path: Path) -> None:
    source = "print('tried')\nraise ValueError('never')"
    results, printed = solo(submission(tmp_path / "ana", source), games=5)
    assert [text.count("tried") for text in printed] == [1, 1, 1, 0, 0]
    assert [[failure.error for failure in result.failures] for result in results] == [["crash"]] * 3 + [["exit"]] * 2
    assert [bids(result) for result in results] == [[None] * 15] * 5


def test_who_removes_its_own_folder_costs_only_itself(tmp_path: Path) -> None:
    source = BASE.replace("return", "import os, shutil; shutil.rmtree(os.getcwd()); os._exit(1); return")
    one, two = solo(submission(tmp_path / "ana", source), games=2)[0]
    assert [failure.error for failure in one.failures] == ["exit"]
    assert bids(two) == [None] * 15
    assert two.failures


def test_who_hangs_before_the_game_takes_no_time_from_who_prints_while_loading(tmp_path: Path) -> None:
    """The organiser waits for one after the other; meanwhile nobody reads what the next one prints."""
    short = rules(load_timeout_seconds=2.0)
    folders = {
        "hangs": submission(
            tmp_path / "hangs", "import time\n" + BASE + "    def __init__(self, *game): time.sleep(60)\n"
        ),
        "prints": submission(tmp_path / "prints", "print('x' * 300_000)\n" + BASE),
    }
    with opened(folders, short) as agents:
        result = play(agents, short, seeds())
    assert [(failure.team_id, failure.error) for failure in result.failures] == [("hangs", "timeout")]


# --- agents that take over their end of the channel ------------------------------------------------------

TAKEN = """
import os, sys, time
from agt_tournament.sandbox.inside import protocol

frame = sys._getframe()
while "answers" not in frame.f_locals:
    frame = frame.f_back
channel = frame.f_locals["answers"]

def answer(number):
    os.write(channel, protocol.pack(protocol.ANSWER, number, protocol.pack_answer(0.0)))
"""


def test_an_answer_in_pieces_is_one_answer(tmp_path: Path) -> None:
    source = (
        TAKEN
        + BASE
        + """
write = os.write

def slowly(descriptor, data):
    for place in range(len(data)):
        write(descriptor, data[place:place + 1])
        time.sleep(0.001)

os.write = slowly
"""
    )
    (result,), _ = solo(submission(tmp_path / "ana", source))
    assert not result.failures
    values = result.team_results["ana"].valuation_vector
    assert bids(result) == [values[entry.item_id] for entry in result.auction_log]


def test_an_answer_that_never_ends_is_late(tmp_path: Path) -> None:
    source = TAKEN + BASE.replace("return", "os.write(channel, protocol._HEADER.pack(99, 6, 1)); time.sleep(9); return")
    (result,), _ = solo(submission(tmp_path / "ana", source))
    assert [failure.error for failure in result.failures] == ["timeout"]


def test_an_answer_given_before_the_question_is_refused(tmp_path: Path) -> None:
    """Written while loading: it is there when the first bid is asked for."""
    source = TAKEN + BASE.replace(
        "class Agent", "for _ in range(3): answer(frame.f_locals['frame'].number)\n\nclass Agent"
    )
    (result,), _ = solo(submission(tmp_path / "ana", source))
    assert [(failure.error, failure.round) for failure in result.failures] == [("protocol", 0)]


def test_a_late_answer_is_none_of_the_next_game(tmp_path: Path) -> None:
    source = "import time\n" + BASE.replace("return", "time.sleep(4 if item_id else 0); return")
    (one, two), _ = solo(submission(tmp_path / "ana", source), games=2)
    for result in (one, two):
        assert [(failure.error, failure.round) for failure in result.failures] == [("timeout", 1)]
        assert bids(result) == [None] * 15
