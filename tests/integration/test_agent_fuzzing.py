"""Whatever an agent's code does: its game ends, and is stored as text that can be shown."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agt_tournament.game.auction_engine import Bidder
from agt_tournament.game.game_files import game_files, log_game_result, read_game, read_output
from agt_tournament.sandbox.budget import Limits
from agt_tournament.sandbox.walls.sandbox import NONE
from agt_tournament.tournament.agent_manager import AgentProcess
from agt_tournament.tournament.registration.submissions import read_submission
from agt_tournament.validation.trial import Trial
from agt_tournament.validation.verdict import Verdict, show, write
from tests.fuzzing import fuzzed
from tests.tournament import ScriptedBidder, play, rules

pytestmark = pytest.mark.slow

RULES = rules(auction_rounds=3)
QUICK = rules(bid_timeout_seconds=0.1, load_timeout_seconds=1.0, game_timeout_seconds=1.0)
LIMITS = Limits(bid_timeout_seconds=0.1, load_timeout_seconds=1, game_timeout_seconds=1.0, output_limit_kb=1)
TOP = """
import sys, os, json, gc
me = object()

class Odd(float):
    def __float__(self): raise KeyboardInterrupt("odd")
    def __repr__(self): return "\\udc80\\x1b[31m<b>" * 100
    def __eq__(self, other): raise ValueError(other)
    __hash__ = float.__hash__

class Loud(Exception):
    def __str__(self): raise RecursionError("loud")
    def __repr__(self): return "\\0" * 9999

class Nameless(type):
    def __getattribute__(cls, name): raise AttributeError(name) if name == "__name__" else TypeError("no " + name)

def deep(n=0): return deep(n + 1)
"""
VALUES = (
    "1.5", "0", "-0.0", "-1", "float('nan')", "float('inf')", "10**400", "True", "None", "'1'", "b'1'", "1j", "[1]",
    "Odd(1)", "Odd", "__import__('fractions').Fraction(1, 3)", "__import__('decimal').Decimal(1)", "print", "deep()",
    "__import__('numpy').float32(2)", "__import__('numpy').array([1.0])", "__import__('numpy').datetime64(1, 's')",
    "1 / 0", "{}[me]", "exit()", "exit('\\udc80')", "os._exit(3)", "os.abort()", "self.nothing", "self.budget",
    "self.valuation_vector[item_id]", "item_id", "5e-324", "1e308", "60.000000000000001", "(x for x in ())",
)  # fmt: skip
DEEDS = (
    "pass",
    "print('x' * 700)",
    "print('\\x1b]0;t\\x07<script>\\udc80'.encode('utf-8', 'surrogatepass'))",
    "os.write(1, bytes(range(256)) * 9)",
    "sys.stderr.write('e\\n' * 99)",
    "os.close(1)",
    "os.close(2)",
    "os.close(0)",
    "sys.stdout.close()",
    "sys.stdout = None",
    "sys.stderr = 3",
    "raise Loud()",
    "raise Loud",
    "raise SystemExit(Loud())",
    "raise KeyboardInterrupt",
    "raise BaseException('base')",
    "raise ExceptionGroup('g', [ValueError(1), Loud()])",
    "raise StopIteration",
    "raise MemoryError",
    "raise UnicodeEncodeError('x', '\\udc80', 0, 1, 'y')",
    "raise SyntaxError('s', ('f', -1, -1, '\\0'))",
    "raise type('\\n<b>' * 2000, (Exception,), {})('t' * 9000)",
    "raise Exception(*['a'] * 5000)",
    "bytearray(1 << 33)",
    "while True: pass",
    "sys.setrecursionlimit(10**6)",
    "sys.settrace(lambda *a: 1 / 0)",
    "sys.modules.clear()",
    "sys.meta_path.clear()",
    "import builtins; builtins.__dict__.clear()",
    "import builtins; builtins.float = Odd",
    "import json as j; j.loads = None",
    "import struct; struct.Struct.pack = None",
    "import math; math.isfinite = lambda x: True",
    "gc.disable()",
    "os.chdir('/')",
    "del self.budget",
    "self.__class__ = type('Other', (), {})",
    "self.__dict__.clear()",
    "type(self).bidding_function = None",
    "type(self).update_after_each_round = 3",
    "globals().clear()",
    "os.close(next(n for n in range(3, 9)))",
    "os.write(3, b'?')",
    "os.write(4, b'?')",
    "os.write(4, bytes(23))",
    "os.read(3, 9)",
    "import nothing_there",
    "import agt_tournament.sandbox.inside.protocol as p; p.pack_reply = lambda *a: b'x' * 99999",
    "import agt_tournament.sandbox.inside.walls as w; w.raise_walls = None",
)
CLASS = """
{decorated}class {name}({bases}):
    def __init__(self, *given{more}):
        {init}
        super().__init__(*given)

    def {method}(self, item_id):
        {deed}
        return {value}

    def update_after_each_round(self, *heard):
        {update}
        {base_update}
"""
deeds, values = st.sampled_from(DEEDS), st.sampled_from(VALUES)
classes = st.builds(
    lambda **parts: CLASS.format(**parts),
    decorated=st.sampled_from(
        ("", "", "", "@lambda c: 3\n", "@property\n", "@staticmethod\n", "@__import__('dataclasses').dataclass\n")
    ),
    name=st.sampled_from(("BiddingAgent", "Mine", "Odd", "Größe")),
    bases=st.sampled_from(
        ("Base", "Base", "Base", "object", "Base, metaclass=Nameless", "dict", "Exception", "Base, Base")
    ),
    more=st.sampled_from(("", "", "", "", ", **more", ", must")),
    init=st.sampled_from(("pass", "pass", *DEEDS)),
    method=st.sampled_from(("bidding_function", "bidding_function", "bidding_function", "bid", "__call__")),
    deed=deeds,
    value=values,
    update=st.sampled_from(("pass", "pass", *DEEDS)),
    base_update=st.sampled_from(("super().update_after_each_round(*heard)", "pass", "return heard")),
)
sources = st.builds(
    lambda top, bodies: "\n".join(
        (TOP, "from base_agent import BiddingAgent as Base", top.replace("self", "me"), *bodies)
    ),
    st.sampled_from(("pass", "pass", "pass", *DEEDS)),
    st.lists(classes, min_size=1, max_size=2),
)


@fuzzed(40)
@given(sources)
def test_its_game_ends_and_is_stored(source: str) -> None:
    with tempfile.TemporaryDirectory() as base:
        folder, file = Path(base) / "ana", Path(base) / "game_1.json"
        folder.mkdir()
        (folder / "bidding_agent.py").write_text(source)
        with AgentProcess(folder, "ana", LIMITS, sandbox=NONE) as agent:
            everyone: dict[str, Bidder] = {"ana": agent, "ben": ScriptedBidder(lambda _: 1.0)}
            result = play(everyone, RULES)
            printed = agent.take_output()
        log_game_result(file, result, {"ana": printed})
        stored = read_game(file)
        assert {failure.team_id for failure in stored.failures} <= {"ana"}
        assert len(file.read_bytes()) < 16_000
        assert len(stored.auction_log) == RULES.auction_rounds
        kept = read_output(game_files(file)[1]).get("ana", "")
        assert all(sign.isprintable() or sign in "\n\t" for sign in kept)
        assert all(sign.isprintable() or sign in "\n\t" for each in stored.failures for sign in each.text)


@fuzzed(3)
@given(source=sources)
def test_its_verdict_can_be_shown(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    with tempfile.TemporaryDirectory() as base:
        path = Path(base) / "mine.py"
        path.write_text(source)
        verdict = Verdict.of(Trial(path, read_submission(path, "agent"), QUICK, 1, NONE).run())
        write(verdict, str(Path(base) / "verdict.json"))
        write(verdict, "-")
        assert capsys.readouterr().out.isascii()
        show(verdict)
        assert all(sign.isprintable() or sign == "\n" for sign in capsys.readouterr().out)
