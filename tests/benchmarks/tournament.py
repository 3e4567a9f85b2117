"""The bidding competition: games a second, and a stage of two hundred teams."""

from __future__ import annotations

import importlib.util
import inspect
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from agt_tournament.game.auction_engine import Answer, Bidder
from agt_tournament.game.game_manager import Game
from agt_tournament.game.seeding import GameSeeds
from agt_tournament.sandbox.inside import protocol
from agt_tournament.sandbox.walls.sandbox import NONE, TIERS, Sandbox
from agt_tournament.tournament.agent_manager import AgentProcess, one_cpu
from agt_tournament.tournament.preflight import why_not
from agt_tournament.tournament.registration.unregistered import examples
from tests.support import environment
from tests.tournament import rules

GAMES, REPEATS = 100, 5
PER_BID, PIPE_SHARE = 100, 1 / 3
TEAMS, STAGE_SECONDS = 200, 180
WALLED_SHARE, START_MS = 0.7, 60


def main() -> int:
    """Print games a second in four ways, and how long a stage takes; 1 if a bound is broken."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as processes:
        processes.enter_context(one_cpu())
        started = {name: _started(Path(folder) / name, path, processes) for name, path in examples().items()}
        ways = {
            "processes": lambda: _games(started, GAMES),
            "in_process": lambda: _games(_in_process(Called), GAMES),
            "per_bid": lambda: _games(_in_process(CalledInAProcess), 2),
            "pipe": lambda: _pipe_games(GAMES),
        }
        fastest = dict.fromkeys(ways, 0.0)
        for _ in range(REPEATS):  # in turns, so that what else the machine does meets all of them
            for name, way in ways.items():
                fastest[name] = max(fastest[name], way())
    ours, per_bid, pipe = fastest["processes"], fastest["per_bid"], fastest["pipe"]
    print(f"five example agents in their processes play {ours:.0f} games/s; in-process {fastest['in_process']:.0f}")
    print(f"  {ours / per_bid:.0f} × one process per bid, {per_bid:.1f} games/s (at least {PER_BID})")
    print(
        f"  {ours / pipe:.2f} × what the pipe round trips alone allow, {pipe:.0f} games/s (at least {PIPE_SHARE:.2f})"
    )
    walled = [_walled(tier, ours) for tier in TIERS[:-1] if why_not(tier) is None]
    return max(*walled, int(ours < PER_BID * per_bid or ours < PIPE_SHARE * pipe), _stage())


def _walled(tier: str, plain: float) -> int:
    """The same behind walls: games a second, and the start of an agent that imports numpy."""
    sandbox = Sandbox(tier)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as processes:
        processes.enter_context(one_cpu())
        started = {name: _started(Path(folder) / name, path, processes, sandbox) for name, path in examples().items()}
        share = max(_games(started, GAMES) for _ in range(REPEATS)) / plain
        submission = Path(folder) / "numpy"
        submission.mkdir()
        (submission / "bidding_agent.py").write_text("import numpy\n" + examples()["truthful_bidder"].read_text())
        walled = min(_loading(submission, sandbox) for _ in range(REPEATS))
        bare = min(_seconds_of([sys.executable, "-c", "import numpy"]) for _ in range(REPEATS))
    more = 1000 * (walled - bare)
    print(f"behind {tier} they play {share:.2f} × as many games (at least {WALLED_SHARE})")
    print(
        f"  an agent that imports numpy starts {more:.0f} ms later than python -c 'import numpy' (at most {START_MS})"
    )
    return int(share < WALLED_SHARE or more > START_MS)


def _loading(submission: Path, sandbox: Sandbox) -> float:
    with AgentProcess(submission, "numpy", sandbox=sandbox) as agent:
        began = time.perf_counter()
        agent.prepare(lambda: 0)
        assert agent.load().error is None
        return time.perf_counter() - began


def _seconds_of(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - began


def _games(agents: Mapping[str, Bidder], count: int) -> float:
    """Games a second, after one to warm up."""
    constants = rules()
    for number in range(count + 1):
        if number == 1:
            began = time.perf_counter()
        Game("game", "arena", 0, agents, constants, GameSeeds(0, 0, 1, number + 1)).play()
    return count / (time.perf_counter() - began)


def _started(submission: Path, path: Path, processes: ExitStack, sandbox: Sandbox = NONE) -> AgentProcess:
    submission.mkdir()
    shutil.copy(path, submission / "bidding_agent.py")
    return processes.enter_context(AgentProcess(submission, submission.name, sandbox=sandbox))


# --- the same agents without the machinery ---------------------------------------------------------------


class Called:
    """An agent that is called as a function of this process."""

    def __init__(self, agent_class: Any) -> None:
        self._class = agent_class

    def prepare(self, seed: Callable[[], int]) -> None:
        """Nothing to start."""

    def start_game(self, briefing: Mapping[str, Any]) -> Answer:
        rivals = [team for team in briefing["teams"] if team != briefing["team_id"]]
        fourth = rivals if "opponent_teams" in self._class.__init__.__code__.co_varnames else briefing["items"]
        self._agent = self._class(briefing["team_id"], briefing["valuation_vector"], briefing["budget"], fourth)
        return Answer(0.0, 0.0)

    def notify(self, item_id: str, winning_team: str, price_paid: float) -> None:
        self._agent.update_after_each_round(item_id, winning_team, price_paid)

    def bid(self, item_id: str) -> Answer:
        return Answer(self._agent.bidding_function(item_id), 0.0)

    def end_game(self) -> Answer:
        return Answer(0.0, 0.0)


class CalledInAProcess(Called):
    """An agent whose every bid is made in a new process, as the original competition does it to enforce its limit."""

    def bid(self, item_id: str) -> Answer:
        context = multiprocessing.get_context("fork")
        answers = context.Queue()
        process = context.Process(target=lambda: answers.put(self._agent.bidding_function(item_id)))
        process.start()
        process.join(2.0)
        return Answer(answers.get(timeout=2.0), 0.0)


def _in_process(kind: type[Called]) -> dict[str, Bidder]:
    agents: dict[str, Bidder] = {}
    for name, path in examples().items():
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        (own,) = (value for value in vars(module).values() if inspect.isclass(value) and value.__module__ == name)
        agents[name] = kind(own)
    return agents


# --- the pipes alone -------------------------------------------------------------------------------------

_ECHO = """
import os
while data := os.read(0, 65536):
    os.write(1, {answer!r})
"""


def _pipe_games(games: int) -> float:
    """Games a second if nothing had to be done but to send as many bytes there and back, agent after agent."""
    answer = protocol.pack(protocol.ANSWER, 0, protocol.pack_answer(0.0))
    turn = protocol.pack(protocol.TURN, 0, protocol.pack_turn(0, 0.0, 0))
    trips = [bytes(1500), *[turn] * rules().auction_rounds, turn]  # the briefing, the rounds, the last outcome
    code = _ECHO.format(answer=answer)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "bufsize": 0}
    command = [sys.executable, "-I", "-S", "-c", code]
    children = [subprocess.Popen(command, **pipes) for _ in range(5)]
    ends = [(child.stdin.fileno(), child.stdout.fileno()) for child in children if child.stdin and child.stdout]
    for _ in range(2):  # the first time warms up
        began = time.perf_counter()
        for _ in range(games):
            for request in trips:
                for there, back in ends:
                    os.write(there, request)
                    os.read(back, 1 << 16)
        seconds = time.perf_counter() - began
    for child in children:
        child.kill()
        child.wait()
    return games / seconds


def _stage() -> int:
    """Stage 1 of `TEAMS` teams by the command line, tables and pages included."""
    with tempfile.TemporaryDirectory() as folder:
        teams = Path(folder) / "teams"
        for i in range(TEAMS):
            submission = teams / f"team_{i:03d}"
            submission.mkdir(parents=True)
            shutil.copy(list(examples().values())[i % len(examples())], submission / "bidding_agent.py")
        command = [sys.executable, "-m", "agt_tournament", "stage=1", f"teams_dir={teams}", f"run_dir={folder}/run"]
        began = time.perf_counter()
        subprocess.run(command, check=True, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds = time.perf_counter() - began
    print(f"stage 1 of {TEAMS} teams takes {seconds:.0f} s (at most {STAGE_SECONDS} on two cores)")
    return int(seconds > STAGE_SECONDS)
