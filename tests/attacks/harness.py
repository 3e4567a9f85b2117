"""Games with an attacker in them, each with an organiser of its own that may die of it, and what is seen afterwards.

Three kinds of processes: the tests; a few watchers, which they start (``python -m tests.attacks.harness``) and ask for
one attack after the other; and for each attack an organiser, which the watcher forks, and whose children the agents
are. Whatever an attack leaves behind becomes a child of the watcher, however often it forks and whatever session it
opens: so it is found, and ended by its process id.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, get_type_hints

from tests.attacks.attack import Attack, Evidence, Planted

ATTACKER = "mallory"
SEATS = ("random_bidder", "budget_aware_bidder", ATTACKER, "shading_bidder", "adaptive_bidder")
WATCHERS = 2
SEED = 17
BID_TIMEOUT, LOAD_TIMEOUT, MEMORY_MB, OUTPUT_KB = 0.5, 2.0, 128, 64
"""Of the attacker; the others have time enough on a busy machine."""

_LONGEST = 60.0  # seconds of a game; then it is not going to end
_GRACE = 1.0  # seconds in which whoever was killed must be gone
_PAUSE = 0.01  # seconds after each round, in which nobody is asked
_PUBLIC = ("/", "/tmp", "/var/tmp", "/dev", "/dev/shm", "/run", "/etc", "/usr/lib", "/root", f"{sys.prefix}/lib")
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def all_attacks() -> dict[str, Attack]:
    """All attacks by key."""
    from tests.attacks import attacks_01_23, attacks_24_53, attacks_54_65

    attacks = [*attacks_01_23.ATTACKS, *attacks_24_53.ATTACKS, *attacks_54_65.ATTACKS]
    found = {attack.key: attack for attack in attacks}
    assert len(found) == len(attacks), "two attacks have the same number and name"
    return found


def why_not(tier: str) -> str | None:
    """Why `tier` does not hold here; None if it does."""
    if tier == "none":
        return None
    try:
        from agt_tournament.tournament import preflight
    except ImportError:
        return "there is no agt_tournament.tournament.preflight"
    return preflight.why_not(tier)


@dataclass
class Played:
    """The games of an attack, the same games without it, and what was seen."""

    ended: bool
    """Whether the organiser came to the end of its games."""
    games: list[dict[str, Any]] = field(default_factory=list)
    """As their files would have them."""
    reference: list[dict[str, Any]] = field(default_factory=list)
    """The same with a bidder that only bids what the attacker bid."""
    evidence: Evidence | None = None

    def failures(self) -> list[dict[str, Any]]:
        """All errors in the games."""
        return [failure for game in self.games for failure in game["failures"]]

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Played:
        """What `as_json` made JSON of."""
        seen = dict(content["evidence"])
        seen["planted"] = _planted(seen["planted"])
        for name in ("connections", "written", "left", "rivals_failed"):
            seen[name] = tuple(seen[name])
        seen["bids"] = tuple(map(tuple, seen["bids"]))
        return cls(**{**content, "evidence": Evidence(**seen)})

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return json.loads(json.dumps(asdict(self), default=str))


def _planted(content: Mapping[str, Any]) -> Planted:
    kinds = get_type_hints(Planted)
    return Planted(**{each.name: kinds[each.name](content[each.name]) for each in fields(Planted)})


# --- the tests' side -------------------------------------------------------------------------------------


def play_attacks(tier: str, keys: Sequence[str]) -> dict[str, Played]:
    """Play each attack in a game of its own, `WATCHERS` at a time."""
    waiting: SimpleQueue[str] = SimpleQueue()
    for key in keys:
        waiting.put(key)
    played: dict[str, Played] = {}
    problems: list[Exception] = []

    def work(place: int) -> None:
        try:
            with ExitStack() as stack:
                watcher: Watcher | None = None
                while True:
                    key = waiting.get_nowait()
                    watcher = watcher or stack.enter_context(Watcher(tier, place))
                    played[key] = watcher.play(key)
                    if not watcher.alive:
                        watcher = None
        except Empty:
            return
        except Exception as problem:
            problems.append(problem)

    threads = [threading.Thread(target=work, args=(place,)) for place in range(min(WATCHERS, len(keys)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]
    return played


class Watcher:
    """A process that plays the attacks that it is asked for, as a context."""

    def __init__(self, tier: str, place: int) -> None:
        secret = f"s3cret{os.urandom(6).hex()}"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.attacks.harness", tier, str(place), secret],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "AUCTION_SECRET": secret, "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.alive = True

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(BrokenPipeError):
            self._process.communicate(timeout=_LONGEST)

    def play(self, key: str) -> Played:
        """Have `key` played; an attack that kills even its watcher has not ended."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(key + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self.alive = False
            return Played(ended=False)
        return Played.from_json(json.loads(line))


# --- the watcher's side ----------------------------------------------------------------------------------


def main() -> None:
    """Play the attacks that come by key on standard input, one a line; each answer is a line."""
    tier, place, secret = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    if ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError("what attacks leave behind cannot be found: PR_SET_CHILD_SUBREAPER is refused")
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpus[place % len(cpus)]})  # as blocks of games are played
    attacks = all_attacks()
    for line in sys.stdin:
        print(json.dumps(attack_game(attacks[line.strip()], tier, secret).as_json()), flush=True)


def attack_game(attack: Attack, tier: str, secret: str) -> Played:
    """Play `attack` and, if its games end, the same ones with a bidder that only bids."""
    base = Path(tempfile.mkdtemp(prefix="auctions-"))
    marker = f"attack-{os.urandom(5).hex()}"
    try:
        _write_files(base, secret)
        _write_files_of(attack, base)
        before = _files(base)
        told, most_resident, hit = _watch(lambda send: _organise(attack, tier, base, secret, marker, send))
        left = _end_all()
        strays = _strays(marker)
        now = _files(base)
        written = [path for path in now if now[path] != before.get(path)] + [path for path in before if path not in now]
        evidence = Evidence(
            planted=_planted(told["planted"]),
            printed=told.get("printed", ""),
            connections=tuple(sorted(set(told.get("connections", ())))),
            written=tuple(sorted(written) + told.get("changed", []) + strays),
            left=tuple(left),
            most_resident=most_resident,
            rivals_slowed=0.0,
            organiser_hit=hit,
            between_turns=told.get("between_turns", 0.0),
            seconds=told.get("seconds", 0.0),
            stored_bytes=told.get("stored_bytes", 0),
            notes=told.get("notes", {}),
        )
        for path in strays:
            _remove(Path(path))
        _remove_segment(marker)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    played = Played("games" in told, told.get("games", []), [], evidence)
    if played.ended:
        bids = tuple(_bids(game) for game in played.games)
        played.reference = reference(tier, bids, attack.games)
        slowed = sum(map(_honest_seconds, played.games)) - sum(map(_honest_seconds, played.reference))
        more = {
            "rivals_slowed": slowed,
            "rivals_failed": tuple(sorted({failure["team_id"] for failure in played.failures()} - {ATTACKER})),
            "bids": tuple(tuple(bid for _, bid in game) for game in bids),
        }
        played.evidence = Evidence(**{**vars(evidence), **more})
    return played


def _watch(organise: Callable[[int], None]) -> tuple[dict[str, Any], int, bool]:
    """Fork an organiser; what it told, the most memory that was seen, and whether it was hit."""
    receive, send = os.pipe()
    sys.stdout.flush()
    organiser = os.fork()
    if not organiser:
        status = 1
        try:
            os.close(receive)
            os.dup2(2, 1)
            os.setsid()
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            organise(send)
            status = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(send)
    heard = Heard(receive)
    most_resident, hit, deadline = 0, False, time.monotonic() + _LONGEST
    while True:
        heard.listen(0.015)
        resident = sum(map(_resident, _attackers(os.getpid(), organiser, heard.told.get("roots", ()))))
        most_resident = max(most_resident, resident)
        pid, status = os.waitpid(organiser, os.WNOHANG | os.WUNTRACED)
        if pid and os.WIFSTOPPED(status):
            hit = True
        elif pid:
            hit = hit or os.WIFSIGNALED(status)
            break
        if hit or time.monotonic() > deadline:
            os.kill(organiser, signal.SIGKILL)
            os.waitpid(organiser, 0)
            break
    while heard.listen(0.0):
        pass
    os.close(receive)
    if hit:
        heard.told.pop("games", None)
    return heard.told, most_resident, hit


class Heard:
    """What an organiser has told through a pipe: lines of JSON, whose values are put together."""

    def __init__(self, descriptor: int) -> None:
        self.told: dict[str, Any] = {}
        self._descriptor, self._rest = descriptor, b""

    def listen(self, seconds: float) -> bool:
        """Wait up to `seconds` for more; whether some came."""
        if not select.select([self._descriptor], [], [], seconds)[0]:
            return False
        data = os.read(self._descriptor, 1 << 16)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self.told.update(json.loads(line))
        if not data:
            time.sleep(seconds)
        return bool(data)


def _end_all() -> list[int]:
    """End all that is left below this process; what had not gone by itself by then."""
    deadline = time.monotonic() + _GRACE
    while (left := _alive_below(os.getpid())) and time.monotonic() < deadline:
        time.sleep(0.01)
    remaining = left
    while remaining:
        for pid in remaining:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
        remaining = _alive_below(os.getpid())
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return left


def _alive_below(pid: int) -> list[int]:
    """The descendants of `pid` that still live; those that do not are buried where they are children of this one."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return [each for each, (_, state) in _below(pid, _processes()).items() if state != "Z"]


# --- the organiser's side --------------------------------------------------------------------------------


def _organise(attack: Attack, tier: str, base: Path, secret: str, marker: str, send: int) -> None:
    """Play the games; `send` what the watcher is to know."""

    def tell(**content: Any) -> None:
        os.write(send, json.dumps(content).encode() + b"\n")

    connections: list[str] = []
    with plant(base, secret, marker, connections) as planted:
        tell(planted=json.loads(json.dumps(asdict(planted), default=str)))
        code, source = base / "submissions" / ATTACKER / "bidding_agent.py", formatted(attack.source, planted)
        code.write_text(source)
        games, watched, stored, began = [], [], 0, time.perf_counter()
        for _ in range(attack.runs):
            with ExitStack() as processes:
                agents = {team: processes.enter_context(_seated(base, team, tier, attack)) for team in SEATS}
                watched.append(Watched(agents[ATTACKER], lambda roots: tell(roots=roots)))
                agents[ATTACKER] = watched[-1]
                results = [_play(agents, game) for game in range(1, attack.games + 1)]
                seconds = time.perf_counter() - began
                printed = {team: agent.take_output() for team, agent in agents.items()}
            games += [result.as_json() for result in results]
            stored += _stored_bytes(base / "stored", results, printed)
        changed = not code.exists() or code.read_text() != source
        time.sleep(0.02)  # the listeners are threads
    tell(
        games=games,
        printed=printed[ATTACKER],
        connections=connections,
        changed=[str(code)] if changed else [],
        between_turns=sum(each.between_turns for each in watched),
        seconds=seconds,
        stored_bytes=stored,
        notes={"printed_bytes": str(len(printed[ATTACKER].encode()))},
    )


def _stored_bytes(folder: Path, results: Sequence[Any], printed: Mapping[str, str]) -> int:
    """Store the games as a competition does, the output with the last one; return the bytes of all files."""
    from agt_tournament.game.game_files import log_game_result

    folder.mkdir()
    for number, result in enumerate(results, start=1):
        log_game_result(folder / f"{number}.json", result, printed if number == len(results) else {})
    size = sum(path.stat().st_size for path in folder.iterdir())
    shutil.rmtree(folder)
    return size


def formatted(source: str, planted: Planted) -> str:
    """`source` with what is planted in the place of ``<<field>>``."""
    for each in fields(planted):
        source = source.replace(f"<<{each.name}>>", str(getattr(planted, each.name)))
    return source


@contextmanager
def plant(base: Path, secret: str, marker: str, connections: list[str]) -> Iterator[Planted]:
    """Open everything that an agent may try to reach; who connects is noted in `connections`."""
    path, name = base / "socket", f"organiser-{marker}"
    kinds = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
    sockets = {kind: socket.socket(socket.AF_INET, type_) for kind, type_ in kinds.items()}
    for each in sockets.values():
        each.bind(("127.0.0.1", 0))
    for kind, address in {"unix": str(path), "abstract": f"\0{name}"}.items():
        sockets[kind] = socket.socket(socket.AF_UNIX)
        sockets[kind].bind(address)
    for kind, each in sockets.items():
        if kind != "udp":
            each.listen(8)
    ports = {kind: sockets[kind].getsockname()[1] for kind in kinds}
    threading.Thread(target=_listen, args=(sockets, secret, connections), daemon=True).start()
    descriptor = os.open(base / "secrets" / "organiser.txt", os.O_RDONLY)
    os.set_inheritable(descriptor, True)
    yield Planted(
        secret=secret,
        secret_file=base / "secrets" / "organiser.txt",
        rival_folder=base / "submissions" / SEATS[0],
        run_dir=base / "run",
        scratch=base / "scratch",
        tcp_port=ports["tcp"],
        udp_port=ports["udp"],
        unix_socket=path,
        abstract_name=name,
        descriptor=descriptor,
        organiser=os.getpid(),
        marker=marker,
    )


def _listen(sockets: Mapping[str, socket.socket], secret: str, connections: list[str]) -> None:
    poll = select.poll()
    kinds = {each.fileno(): kind for kind, each in sockets.items()}
    for descriptor in kinds:
        poll.register(descriptor, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            kind = kinds[descriptor]
            connections.append(kind)
            if kind == "udp":
                _, sender = sockets[kind].recvfrom(1 << 16)
                sockets[kind].sendto(secret.encode(), sender)
                continue
            with sockets[kind].accept()[0] as connection, suppress(OSError):
                connection.sendall(secret.encode())


def _write_files(base: Path, secret: str) -> None:
    from agt_tournament.tournament.registration.unregistered import examples

    for name in ("secrets", "scratch", "run"):
        (base / name).mkdir()
    (base / "secrets" / "organiser.txt").write_text(secret)
    (base / "run" / "config.yaml").write_text(f"seed: {SEED}\nnote: {secret}\n")
    for team in SEATS:
        if team != ATTACKER:
            _submission(base, team, examples()[team].read_text() + f"\n# {secret}\n")
    _submission(base, ATTACKER, "")


def _write_files_of(attack: Attack, base: Path) -> None:
    """Write what the attacker has beside its code, and what honest agents import in this attack."""
    for name, content in attack.files.items():
        path = base / "submissions" / ATTACKER / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    for team in SEATS[1::2] if attack.rivals_import else ():
        rival = base / "submissions" / team / "bidding_agent.py"
        rival.write_text(f"import {attack.rivals_import}\n" + rival.read_text())


def _submission(base: Path, team: str, source: str) -> None:
    folder = base / "submissions" / team
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bidding_agent.py").write_text(source)


def _agent(base: Path, team: str, tier: str, **changed: float) -> Any:
    """The agent of `team` with the limits of an attacker or of an honest agent but for those `changed`."""
    from agt_tournament.sandbox.walls.sandbox import Sandbox
    from agt_tournament.tournament.agent_manager import AgentProcess, Limits

    limits: dict[str, float] = {"bid_timeout_seconds": 5.0, "load_timeout_seconds": 10.0}
    if team == ATTACKER:
        limits = {"bid_timeout_seconds": BID_TIMEOUT, "load_timeout_seconds": LOAD_TIMEOUT}
        limits |= {"memory_limit_mb": MEMORY_MB, "output_limit_kb": OUTPUT_KB}
    known = {name: value for name, value in {**limits, **changed}.items() if name in Limits._fields}
    return AgentProcess(base / "submissions" / team, team, Limits(**known), sandbox=Sandbox(tier))  # type: ignore


def _seated(base: Path, team: str, tier: str, attack: Attack) -> Any:
    """The agent of `team` in a game with `attack`."""
    changed = attack.limits if team == ATTACKER else {"load_timeout_seconds": attack.rivals_load_seconds}
    return _agent(base, team, tier, **changed)


def _play(agents: Mapping[str, Any], game: int) -> Any:
    from agt_tournament.game.seeding import GameSeeds
    from tests.tournament import play

    return play(agents, seeds=GameSeeds(SEED, 1, 1, game))


class Watched:
    """An agent whose processes are known, and how much they compute while it is not asked."""

    def __init__(self, agent: Any, tell: Callable[[list[int]], None]) -> None:
        self._agent, self._tell = agent, tell
        self._roots: list[int] = []
        self._before: dict[int, float] | None = None
        self.between_turns = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._agent, name)

    def prepare(self, seed: Callable[[], int]) -> None:
        before = _children(os.getpid())
        self._agent.prepare(seed)
        self._roots += sorted(_children(os.getpid()) - before)
        self._before = None
        self._tell(self._roots)

    def bid(self, item_id: str) -> Any:
        if self._before is not None:
            spent = self._spent()
            self.between_turns += sum(seconds - self._before.get(pid, 0.0) for pid, seconds in spent.items())
        answer = self._agent.bid(item_id)
        self._before = self._spent()
        return answer

    def notify(self, item_id: str, winning_team: str, price_paid: float) -> None:
        self._agent.notify(item_id, winning_team, price_paid)
        time.sleep(_PAUSE)

    def _spent(self) -> dict[int, float]:
        return {pid: _cpu_seconds(pid) for pid in _attackers(os.getppid(), os.getpid(), self._roots)}


# --- the same games without the attack -------------------------------------------------------------------

Bids = tuple[tuple[str, float], ...]


def _bids(game: Mapping[str, Any]) -> Bids:
    return tuple((entry["item_id"], entry["asked"][ATTACKER] or 0.0) for entry in game["auction_log"])


@cache
def reference(tier: str, bids: tuple[Bids, ...], games: int) -> list[dict[str, Any]]:
    """A game for each of `bids`, in which a bidder in this process bids just that; each run has `games`."""
    from tests.tournament import ScriptedBidder

    base = Path(tempfile.mkdtemp(prefix="auctions-"))
    try:
        _write_files(base, "")
        found: list[dict[str, Any]] = []
        for start in range(0, len(bids), games):
            with ExitStack() as processes:
                agents = {team: processes.enter_context(_agent(base, team, tier)) for team in SEATS if team != ATTACKER}
                for number, script in enumerate(bids[start : start + games], start=1):
                    everyone = {team: agents.get(team) or ScriptedBidder(dict(script)) for team in SEATS}
                    found.append(json.loads(json.dumps(_play(everyone, number).as_json())))
        return found
    finally:
        shutil.rmtree(base, ignore_errors=True)


def outcome(game: Mapping[str, Any]) -> list[Any]:
    """What the others did and got, and who paid what: the part of a game that an attack must not change."""
    log = [(e["item_id"], e["winner"], e["price"], e["all_bids"]) for e in game["auction_log"]]
    return json.loads(json.dumps([log, game["team_results"]]))


def _honest_seconds(game: Mapping[str, Any]) -> float:
    return sum(s or 0.0 for e in game["auction_log"] for team, s in e["seconds"].items() if team != ATTACKER)


# --- processes and files ---------------------------------------------------------------------------------


def _processes() -> dict[int, tuple[int, str]]:
    """Parent and state of every process."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with suppress(OSError), open(f"/proc/{name}/stat") as stat:
                state, parent, *_ = stat.read().rpartition(")")[2].split(maxsplit=2)
                found[int(name)] = int(parent), state
    return found


def _below(pid: int, processes: Mapping[int, tuple[int, str]]) -> dict[int, tuple[int, str]]:
    """The descendants of `pid`."""
    found: dict[int, tuple[int, str]] = {}
    parents = {pid}
    while parents:
        new = {each: entry for each, entry in processes.items() if entry[0] in parents and each not in found}
        found.update(new)
        parents = set(new)
    return found


def _children(pid: int) -> set[int]:
    return {each for each, (parent, _) in _processes().items() if parent == pid}


def _attackers(watcher: int, organiser: int, roots: Sequence[int]) -> list[int]:
    """The attacker's processes: below its `roots`, or children of the watcher because their parents have gone."""
    processes = _processes()
    starts = {each for each, (parent, _) in processes.items() if parent == watcher and each != organiser} | set(roots)
    below = [pid for start in starts for pid in _below(start, processes)]
    return sorted({*below, *(start for start in starts if start in processes)})


def _cpu_seconds(pid: int) -> float:
    """Of all its threads that live."""
    spent = 0
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{thread}/schedstat") as stat:
                spent += int(stat.read().split()[0])
    return spent / 1e9


def _resident(pid: int) -> int:
    """Bytes, but for the files that it has mapped."""
    with suppress(OSError), open(f"/proc/{pid}/status") as status:
        rows = dict(line.split(":", 1) for line in status if line.startswith(("RssAnon", "RssShmem")))
        return sum(int(row.split()[0]) << 10 for row in rows.values())
    return 0


def _files(base: Path) -> dict[str, tuple[int, int]]:
    """Size and time of each file below `base`, 0 for folders; without the socket, and the attacker's code.

    That is written later, and looked at again by the organiser.
    """
    found = {}
    for folder, names, files in os.walk(base):
        for name in (*names, *files):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            found[path] = (0, 0) if name in names else (status.st_size, status.st_mtime_ns)
    own = str(base / "submissions" / ATTACKER / "bidding_agent.py")
    return {path: seen for path, seen in found.items() if path not in (own, str(base / "socket"))}


def _strays(marker: str) -> list[str]:
    """Whatever in public places has `marker` in its name."""
    found = []
    for folder in (*_PUBLIC, str(Path.home())):
        with suppress(OSError):
            found += [os.path.join(folder, name) for name in os.listdir(folder) if marker in name]
    return sorted(set(found))


def _remove(path: Path) -> None:
    with suppress(OSError):
        if not os.path.islink(path) and path.is_dir():  # a link may lead to a name that is too long to look at
            shutil.rmtree(path)
        else:
            path.unlink()


def _remove_segment(marker: str) -> None:
    """Remove the System V segment that an attack may have made under the number of `marker`."""
    libc = ctypes.CDLL(None)
    segment = libc.shmget(zlib.crc32(marker.encode()) & 0x7FFFFFFF, ctypes.c_size_t(1), 0)
    if segment != -1:
        libc.shmctl(segment, 0, None)


if __name__ == "__main__":
    main()
