"""Which walls are chosen, and what an honest agent finds behind them."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from agt_tournament.__main__ import perform
from agt_tournament.config import read_config
from agt_tournament.sandbox.budget import Limits
from agt_tournament.sandbox.probe.promises import try_promises
from agt_tournament.sandbox.process import Process
from agt_tournament.sandbox.walls import control_group
from agt_tournament.sandbox.walls.control_group import ControlGroup
from agt_tournament.sandbox.walls.sandbox import NONE, TIERS, Sandbox
from agt_tournament.tournament import preflight
from agt_tournament.tournament.agent_manager import AgentProcess
from agt_tournament.tournament.preflight import choose, why_not
from generative_auctions.errors import RequestError
from tests.attacks.endurance import endure
from tests.tournament import competition_tree

HOLDING = [tier for tier in TIERS[:-1] if why_not(tier) is None]
AGENT = """
from agt_tournament.base_agent import BiddingAgent
class Agent(BiddingAgent):
    def bidding_function(self, item_id):
        return 1.0
"""


@pytest.fixture
def nothing_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "why_not", lambda tier: f"{tier} is not here")


@pytest.fixture
def submission(tmp_path: Path) -> Path:
    folder = tmp_path / "agent"
    folder.mkdir()
    (folder / "bidding_agent.py").write_text(AGENT)
    return folder


def test_a_tier_holds_on_a_machine_that_runs_these_tests() -> None:
    assert HOLDING, {tier: why_not(tier) for tier in TIERS}


def test_auto_is_the_first_that_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose("auto", trusted=False).name == HOLDING[0]
    monkeypatch.setattr(preflight, "why_not", lambda tier: None if tier == "landlock" else "closed")
    assert choose("auto", trusted=False).name == "landlock"
    assert choose("auto", trusted=True).name == "landlock"


def test_without_walls_only_trusted_agents_run(nothing_holds: None) -> None:
    assert choose("auto", trusted=True).name == "none"
    assert choose("none", trusted=True).name == "none"
    with pytest.raises(RequestError) as refused:
        choose("auto", trusted=False)
    for part in ("sandbox = auto", "bubblewrap is not here", "landlock is not here", "i_trust_these_agents=true"):
        assert part in str(refused.value)
    with pytest.raises(RequestError, match="sandbox = none"):
        choose("none", trusted=False)
    with pytest.raises(RequestError, match="landlock is not here"):
        choose("landlock", trusted=True)


@pytest.mark.parametrize(
    ("has_bwrap", "abi", "reason", "expected"),
    [
        (True, 7, "bwrap: setting up uid map: Permission denied", "allow bubblewrap to make user namespaces; or "),
        (True, 0, "does not prevent keyctl", "use a kernel with Landlock (5.13 or later) that has it enabled; or "),
        (False, 7, "bwrap is missing", "install bubblewrap; or "),
        (True, 7, "does not prevent keyctl", ""),
    ],
)
def test_the_remedy_names_only_what_is_lacking(
    has_bwrap: bool, abi: int, reason: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "why_not", lambda tier: reason if tier == "bubblewrap" else "it is refused")
    monkeypatch.setattr(preflight, "landlock_abi", lambda: abi)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}" if has_bwrap else None)
    with pytest.raises(RequestError) as refused:
        choose("auto", trusted=False)
    assert f"Remedy: {expected}sandbox=none" in str(refused.value)


@pytest.mark.parametrize(("action", "lines"), [("run", 1), ("game", 1), ("validate", 1), ("replay", 0)])
def test_a_lower_tier_than_the_highest_is_explained_once(
    action: str, lines: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(preflight, "why_not", lambda tier: "it is\nclosed" if tier == "bubblewrap" else None)
    config = read_config(competition_tree(f"action={action}"))
    preflight._tell_why_lower.cache_clear()
    for _ in range(2):
        assert preflight.walls(config, []).name == "landlock"
    preflight._tell_why_lower.cache_clear()
    expected = "sandbox=auto is landlock: bubblewrap does not hold: it is closed\n"
    assert capsys.readouterr().err == expected * lines
    monkeypatch.setattr(preflight, "why_not", lambda tier: None)
    assert preflight.walls(config, []).name == "bubblewrap"
    assert capsys.readouterr().err == ""


def test_agents_of_others_are_refused_where_no_walls_hold(
    nothing_holds: None, submission: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = [f"teams_dir={submission.parent}", f"run_dir={tmp_path / 'run'}", "stage=1", "tournament.games=1"]
    with pytest.raises(RequestError, match="sandbox = auto"):
        perform(competition_tree(*own))
    assert not (tmp_path / "run").exists()
    assert perform(competition_tree(*own, "sandbox=none", "i_trust_these_agents=true")) == 0
    assert "sandbox: none" in capsys.readouterr().err


def test_the_bundled_agents_play_anywhere(nothing_holds: None, tmp_path: Path) -> None:
    assert perform(competition_tree(f"run_dir={tmp_path / 'run'}", "stage=1", "tournament.games=1")) == 0
    assert json.loads((tmp_path / "run" / "provenance.json").read_text())["sandbox"] == "none"


@pytest.mark.parametrize("tier", HOLDING)
def test_the_tier_is_stored_and_changes_no_result(tier: str, tmp_path: Path) -> None:
    boards = []
    for name in (tier, "none"):
        run_dir = tmp_path / name
        request = [f"run_dir={run_dir}", "stage=1", "tournament.games=2", f"sandbox={name}"]
        assert perform(competition_tree(*request, "i_trust_these_agents=true")) == 0
        assert json.loads((run_dir / "provenance.json").read_text())["sandbox"] == name
        assert yaml.safe_load((run_dir / "config.yaml").read_text())["sandbox"] == {"name": name}
        assert f"{name}, " in (run_dir / "analytics" / "competition_report.html").read_text()
        boards.append((run_dir / "leaderboards" / "stage1_final.csv").read_bytes())
    assert boards[0] == boards[1]


@pytest.mark.parametrize("tier", TIERS)
def test_numpy_scipy_and_threads_work_under_the_memory_limit(tier: str) -> None:
    if tier != "none" and tier not in HOLDING:
        pytest.skip(str(why_not(tier)))
    result = try_promises(Sandbox(tier), thorough=True)
    assert result["error"] is None
    assert "scipy.stats" in result["works"]


def test_the_probe_sees_that_there_are_no_walls() -> None:
    """Else it could not tell that there are some."""
    found = try_promises(NONE)["held"]
    assert sum(happened is not None for happened in found.values()) >= 10
    for promise in ("files of the machine", "the network, TCP", "starting processes", "ptrace"):
        assert found[promise], promise


@pytest.mark.parametrize("tier", HOLDING)
def test_an_agent_does_not_run_between_its_turns(tier: str, submission: Path) -> None:
    with AgentProcess(submission, "agent", sandbox=Sandbox(tier)) as agent:
        agent.prepare(lambda: 0)
        game = {"team_id": "agent", "valuation_vector": {"item_1": 1.0}, "budget": 60, "items": ["item_1"]}
        assert agent.start_game({**game, "teams": ["agent"], "seed": 1}).error is None
        for _ in range(5):
            assert agent.bid("item_1").bid == 1.0
            pid = agent.pid
            assert pid
            assert rests(pid)
        assert agent.end_game().error is None
    assert not Path(f"/proc/{pid}").exists()


def rests_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give an agent time to wait, or to go on, before its process is stopped."""
    rest = Process.rest

    def late(self: Process) -> None:
        time.sleep(0.05)
        rest(self)

    monkeypatch.setattr(Process, "rest", late)


@pytest.mark.parametrize("tier", HOLDING)
@pytest.mark.parametrize("first", ["", "print('x' * 500_000, flush=True)"], ids=["computes", "waits for room to print"])
def test_an_agent_that_answers_early_does_not_go_on(
    tier: str, first: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers before its bid is asked back, and then computes: in its rivals' turns, if it could."""
    rests_late(monkeypatch)
    code = f"""
import os, sys
from agt_tournament.sandbox.inside import protocol
from agt_tournament.base_agent import BiddingAgent

class Agent(BiddingAgent):
    def bidding_function(self, item_id):
        request = sys._getframe(2).f_locals
        os.write(request["answers"], protocol.pack_reply(request["number"], 1.0))
        {first or "pass"}
        while True:
            pass
"""
    (tmp_path / "bidding_agent.py").write_text(code)
    with AgentProcess(tmp_path, "agent", sandbox=Sandbox(tier)) as agent:
        agent.prepare(lambda: 0)
        game = {"team_id": "agent", "valuation_vector": {"item_1": 1.0}, "budget": 60, "items": ["item_1"]}
        assert agent.start_game({**game, "teams": ["agent"], "seed": 1}).error is None
        assert agent.bid("item_1").bid == 1.0
        process = agent._process
        assert process
        for _ in range(6):  # until all is printed
            assert rests(process.pid)
            used = process.cpu_seconds()
            time.sleep(0.1)
            assert process.cpu_seconds() == used
            agent.take_output()  # makes room
            time.sleep(0.01)


SHARED_FUTEX = """
import ctypes, mmap, os, sys
from agt_tournament.sandbox.inside import protocol
from agt_tournament.base_agent import BiddingAgent

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
file = os.open(os.__file__, os.O_RDONLY)  # every agent maps it
address = libc.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_PRIVATE, file, 0)
word = ctypes.c_int.from_address(address).value

def futex(operation, value):
    return libc.syscall(202, ctypes.c_void_p(address), operation, value, None, None, 0)
"""
WAITS = (
    SHARED_FUTEX
    + """
class Agent(BiddingAgent):
    def bidding_function(self, item_id):
        request = sys._getframe(2).f_locals
        os.write(request["answers"], protocol.pack_reply(request["number"], 1.0))
        while True:
            futex(0, word)
"""
)
WAKES = (
    SHARED_FUTEX
    + """
class Agent(BiddingAgent):
    def bidding_function(self, item_id):
        return max(futex(1, 1), 0)
"""
)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers of system calls")
@pytest.mark.parametrize("tier", HOLDING)
def test_no_agent_wakes_another(tier: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a futex in a file that both map."""
    rests_late(monkeypatch)
    game = {"valuation_vector": {"item_1": 1.0}, "budget": 60, "items": ["item_1"], "teams": ["waits", "wakes"]}
    with ExitStack() as stack:
        agents = {}
        for team, code in (("waits", WAITS), ("wakes", WAKES)):
            (tmp_path / team).mkdir()
            (tmp_path / team / "bidding_agent.py").write_text(code)
            agents[team] = stack.enter_context(AgentProcess(tmp_path / team, team, sandbox=Sandbox(tier)))
            agents[team].prepare(lambda: 0)
            assert agents[team].start_game({**game, "team_id": team, "seed": 1}).error is None
        assert agents["waits"].bid("item_1").bid == 1.0
        waiting = agents["waits"]._process
        assert waiting
        assert rests(waiting.pid)
        used = waiting.cpu_seconds()
        assert [agents["wakes"].bid("item_1").bid for _ in range(5)] == [0.0] * 5
        assert waiting.cpu_seconds() == used


@pytest.mark.parametrize("tier", HOLDING)
def test_what_an_agent_uses_between_its_turns_is_counted(tier: str, submission: Path, monkeypatch: Any) -> None:
    """Even if nobody stopped it."""
    monkeypatch.setattr(Process, "rest", lambda self: None)
    code = """
import os, sys
from agt_tournament.sandbox.inside import protocol
from agt_tournament.base_agent import BiddingAgent

class Agent(BiddingAgent):
    def bidding_function(self, item_id):
        request = sys._getframe(2).f_locals
        os.write(request["answers"], protocol.pack_reply(request["number"], 1.0))
        while True:
            pass
"""
    (submission / "bidding_agent.py").write_text(code)
    with AgentProcess(submission, "agent", Limits(bid_timeout_seconds=0.2), sandbox=Sandbox(tier)) as agent:
        agent.prepare(lambda: 0)
        game = {"team_id": "agent", "valuation_vector": {"item_1": 1.0}, "budget": 60, "items": ["item_1"]}
        assert agent.start_game({**game, "teams": ["agent"], "seed": 1}).error is None
        assert agent.bid("item_1").bid == 1.0
        assert agent.pid
        deadline = time.monotonic() + 20
        while (used := time.clock_gettime(~agent.pid << 3 | 2)) < 1.0:  # CLOCK_SCHED of that process
            assert time.monotonic() < deadline
            time.sleep(0.01)
        late = agent.bid("item_1")
    assert late.error == "timeout"
    assert late.cpu_seconds is not None
    assert late.cpu_seconds > used - 0.5, "starting and loading took less"


@pytest.mark.parametrize("tier", HOLDING)
@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ("os._exit(3)", ("exit", "status 3")),
        ("os._exit(137)", ("exit", "status 127")),
        ("ctypes.CDLL(None)._exit(137)", ("crash", "SIGSEGV")),  # as it is refused, the C library goes on to a fault
        ("ctypes.string_at(1)", ("crash", "SIGSEGV")),
    ],
)
def test_an_end_of_its_own_does_not_look_like_another(
    tier: str, ends: str, expected: tuple[str, str], submission: Path
) -> None:
    (submission / "bidding_agent.py").write_text(f"import ctypes, os\n{ends}\n{AGENT}")
    with AgentProcess(submission, "agent", sandbox=Sandbox(tier)) as agent:
        agent.prepare(lambda: 0)
        answer = agent.load()
    assert answer.error == expected[0]
    assert expected[1] in answer.text


@pytest.mark.parametrize("tier", HOLDING)
def test_an_agent_is_never_root_and_has_no_threads(tier: str, submission: Path) -> None:
    asking = """
import os, threading
try:
    threading.Thread(target=print).start()
except RuntimeError as problem:
    print(problem)
"""
    (submission / "bidding_agent.py").write_text(asking + AGENT)
    with (
        AgentProcess(submission, "agent", sandbox=Sandbox(tier)) as agent,
        AgentProcess(submission, "other", sandbox=Sandbox(tier)) as other,
    ):
        for each in (agent, other):
            each.prepare(lambda: 0)
            assert each.load().error is None
            assert "can't start new thread" in each.take_output()
        ids = [user_of(each.pid) for each in (agent, other)]
        assert 0 not in ids
        assert os.geteuid() or len(set(ids)) == 2  # root gives each an id of its own


def user_of(pid: int | None) -> int:
    """The real user id of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Uid:")).split()[1])


@pytest.mark.parametrize("tier", HOLDING)
def test_other_system_files_than_the_needed_libraries_cannot_be_read(tier: str, submission: Path) -> None:
    readings = """
for path in ("/usr/lib/os-release", "/etc/passwd", "/proc/self/status", "/usr/bin/env"):
    try:
        print(open(path).read(1))
    except OSError:
        print("refused")
"""
    (submission / "bidding_agent.py").write_text(readings + AGENT)
    with AgentProcess(submission, "agent", sandbox=Sandbox(tier)) as agent:
        agent.prepare(lambda: 0)
        assert agent.load().error is None
        assert agent.take_output().split() == ["refused"] * 4


@pytest.mark.parametrize("tier", TIERS)
def test_an_agent_has_no_descriptors_but_those_of_its_channel(tier: str, submission: Path) -> None:
    if tier != "none" and tier not in HOLDING:
        pytest.skip(str(why_not(tier)))
    counting = """
import os
def is_open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
print(sum(map(is_open, range(64))))
"""
    (submission / "bidding_agent.py").write_text(counting + AGENT)
    with AgentProcess(submission, "agent", sandbox=Sandbox(tier)) as agent:
        agent.prepare(lambda: 0)
        assert agent.load().error is None
        assert int(agent.take_output()) == 5  # input, output, errors; requests; answers


@pytest.mark.skipif(not control_group.works(), reason="this user may make no control groups here")
def test_a_control_group_ends_who_needs_more_memory_and_is_removed() -> None:
    group = ControlGroup.create(64 << 20)
    assert group
    waits = "import sys; sys.stdin.read(1); print(len(bytearray(b'x' * int(sys.argv[1]))))"
    ended = {}
    for size in (1 << 20, 200 << 20):
        command = [sys.executable, "-c", waits, str(size)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
            group.add(process.pid)
            process.communicate(b"x")
            ended[size] = process.returncode
    assert list(ended.values()) == [0, -signal.SIGKILL]
    group.remove()
    assert not any(folder.exists() for folder in group._folders.values())


@pytest.mark.skipif(not control_group.works(), reason="this user may make no control groups here")
def test_organisers_side_by_side_find_the_same_place_for_groups() -> None:
    look = "from agt_tournament.sandbox.walls import control_group as m; print(m.works(), m._parents()['memory'][0])"
    organisers = [subprocess.Popen([sys.executable, "-c", look], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert {organiser.communicate()[0] for organiser in organisers} == {
        f"True {control_group._parents()['memory'][0]}\n"
    }


@pytest.mark.parametrize("tier", HOLDING)
def test_no_control_group_is_left(tier: str, submission: Path) -> None:
    before = groups()
    with AgentProcess(submission, "agent", sandbox=Sandbox(tier)) as agent:
        agent.prepare(lambda: 0)
        assert agent.load().error is None
        assert len(groups() - before) == len({parent for parent, _ in control_group._parents().values()})
    assert groups() == before


def groups() -> set[Path]:
    return {group for parent, _ in control_group._parents().values() for group in parent.glob("agt_agent_*")}


def rests(pid: int) -> bool:
    """Whether the process is stopped or waits, now or in a moment: it has to be scheduled once more for that."""
    deadline = time.monotonic() + 2
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "TS":
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


def test_the_check_prints_every_promise(capsys: pytest.CaptureFixture[str]) -> None:
    assert perform(competition_tree("action=sandbox_check")) == 0
    shown = capsys.readouterr().out
    for promise in try_promises(NONE)["held"]:
        assert promise in shown
    assert f"sandbox=auto is {HOLDING[0]}" in shown


@pytest.mark.slow
@pytest.mark.parametrize("tier", HOLDING)
def test_many_games_with_attackers_leak_nothing(tier: str) -> None:
    states = endure(60, tier)
    assert states[-1].resident - states[10].resident < 8e6
    assert len({state.descriptors for state in states}) == 1
    assert len({state.children for state in states[10:]}) == 1


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    yield
    assert "bidding_agent" not in sys.modules  # nothing of a submission was imported here
