"""Pairs of agents that try to talk: bits right of bits sent, beside games in which the sender sends nothing.

A sender and a receiver, whose bids are constant, sit beside each other in an arena of five. In each round the sender
does one thing or another for the next of its random bits, and the receiver prints what it reads; a value above the
middle of its game is a guess of 1. ``python -m tests.attacks.pairs --tier landlock`` prints a table of all channels.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cache
from itertools import chain, count
from multiprocessing import current_process, get_context
from pathlib import Path
from secrets import randbits

import scipy
from rich import box
from rich.console import Console
from rich.table import Table
from scipy.stats import binomtest

from tests.attacks.channels import ACTIONS, CHANNELS, PRELUDE, SENSES, Channel, body, closed

SENDER, RECEIVER = "sender", "receiver"
SEATS = ("random_bidder", SENDER, RECEIVER, "shading_bidder", "adaptive_bidder")
GAMES = 5
"""Of 15 rounds, in which the sender sends; as many follow in which it does not: 75 bits each."""
LEVEL = 0.01
WORKERS = 2

_LIBRARY_LINKS = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib")
_MOST_RARE = 400
_SENDER = """
def made(name, body):
    try:
        return body()
    except (OSError, ValueError, RuntimeError) as problem:
        print("refused:", name, problem, flush=True)
        return {}

bits = json.loads('<<bits>>')  # by action, a string for each game; none where nothing is sent
actions = {name: made(name, each) for name, each in BODIES.items()}
game = -1


class BiddingAgent:
    def __init__(self, *given):
        global game, turn
        game, turn = game + 1, -1

    def bidding_function(self, item_id):
        global turn
        turn += 1
        for name, action in actions.items():
            sent = bits[name][game]
            try:
                action.get("on" if sent and sent[turn] == "1" else "off", int)()
            except (OSError, ValueError, RuntimeError, MemoryError):
                pass
        return 1.0

    def update_after_each_round(self, item_id, winning_team, price_paid):
        pass
"""
_RECEIVER = """
def made(name, body):
    try:
        kept.append(body())
        return kept[-1]["read"]
    except (OSError, ValueError, RuntimeError) as problem:
        print("refused:", name, problem, flush=True)
        return int

kept = []
senses = {name: made(name, each) for name, each in BODIES.items()}


def value(read):
    try:
        return float(f"{float(read()):.12g}")
    except (OSError, ValueError, RuntimeError, MemoryError):
        return 0.0


class BiddingAgent:
    def __init__(self, *given):
        global turn
        turn = -1

    def bidding_function(self, item_id):
        global turn
        turn += 1
        print("VALUES", json.dumps([value(each) for each in senses.values()]), flush=True)
        return 1.0

    def update_after_each_round(self, item_id, winning_team, price_paid):
        pass
"""


@dataclass(frozen=True)
class Heard:
    """How well a receiver guessed."""

    channel: str
    right: int
    sent: int
    silent_right: int
    """Of as many bits, of which the sender sent none."""
    refused: str = ""
    """Why one of both could not even begin, or was out."""

    @property
    def p_value(self) -> float:
        """How often chance does as well; a channel that always says the opposite carries, too."""
        return float(binomtest(self.right, self.sent, 0.5).pvalue)

    @property
    def carries(self) -> bool:
        """Whether this is better than chance."""
        return self.p_value < LEVEL

    @property
    def more_right(self) -> bool:
        """Whether more than half of the guesses were right."""
        return 2 * self.right > self.sent

    def bits_a_round(self) -> tuple[float, float, float]:
        """Capacity of a symmetric channel with this share of errors, and the ends of its 95 % interval."""
        interval = binomtest(self.right, self.sent).proportion_ci(0.95)
        low, high = _capacity(interval.low), _capacity(interval.high)
        least = 0.0 if interval.low <= 0.5 <= interval.high else min(low, high)
        return _capacity(self.right / self.sent), least, max(low, high)


def _capacity(right: float) -> float:
    return 1 + sum(share * math.log2(share) for share in (right, 1 - right) if share > 0)


# --- many channels ---------------------------------------------------------------------------------------


def measure(tier: str, channels: Iterable[Channel], games: int = GAMES) -> dict[str, Heard]:
    """Try the channels, group by group, on two CPUs at once; by name."""
    groups: dict[str, list[Channel]] = {}
    for channel in channels:
        groups.setdefault(channel.group, []).append(channel)
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn"), initializer=_take_a_cpu) as workers:
        tried = [workers.submit(try_group, tier, group, games, randbits(48)) for group in groups.values()]
        return {heard.channel: heard for each in tried for heard in each.result()}


def _take_a_cpu() -> None:
    """Stay on one CPU, as blocks of games do."""
    if hasattr(os, "sched_setaffinity"):
        cpus = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cpus[current_process()._identity[0] % len(cpus)]})


def carrying(tier: str, channels: Sequence[Channel], games: int = GAMES) -> list[Heard]:
    """Channels that carry more than they may, twice, with fresh bits and in the same direction; the second time.

    By chance one of a hundred is better than chance once, and one of twenty thousand twice.
    """
    first = measure(tier, channels, games)
    suspicious = [channel for channel in channels if _too_much(channel, first[channel.name])]
    second = measure(tier, suspicious, 2 * games) if suspicious else {}
    found = [channel.name for channel in suspicious if _too_much(channel, second[channel.name])]
    return [second[name] for name in found if first[name].more_right == second[name].more_right]


def _too_much(channel: Channel, heard: Heard) -> bool:
    return heard.carries and heard.bits_a_round()[1] > channel.bits_left


# --- one group -------------------------------------------------------------------------------------------


def try_group(tier: str, channels: Sequence[Channel], games: int, seed: int) -> list[Heard]:
    """Play `games` with bits and as many without, by the same processes; what came over each channel."""
    chosen = random.Random(seed)
    actions = list(dict.fromkeys(channel.action for channel in channels))
    bits = {action: _bits(games, chosen) for action in actions}
    sent = {action: [text if number % 2 == 0 else "" for number, text in enumerate(bits[action])] for action in actions}
    with tempfile.TemporaryDirectory(prefix="pairs-") as folder:
        Path(folder).chmod(0o755)
        _write_agents(Path(folder), channels, sent, seed)
        values, complaints = _played(Path(folder), tier, 2 * games, channels)
    return [
        _heard(channel, bits[channel.action], [game[place] for game in values], complaints)
        for place, channel in enumerate(channels)
    ]


def _bits(games: int, chosen: random.Random) -> list[str]:
    """A string of bits for each of `games` that are sent and, after each, for one that is not.

    Of both kinds half are ones, so that who always guesses the same is right half of the time.
    """
    rounds = rounds_of_a_game()
    kinds = []
    for _ in range(2):
        bits = ["01"[place % 2] for place in range(games * rounds)]
        chosen.shuffle(bits)
        kinds.append(["".join(bits[start : start + rounds]) for start in range(0, len(bits), rounds)])
    return list(chain.from_iterable(zip(*kinds, strict=True)))


def _heard(channel: Channel, bits: Sequence[str], values: Sequence[Sequence[float]], complaints: str) -> Heard:
    right = [0, 0]
    for number, (text, read) in enumerate(zip(bits, values, strict=True)):
        right[number % 2] += sum(guess == bit for guess, bit in zip(guesses(read, len(text)), text, strict=True))
    sent = sum(map(len, bits[::2]))
    refused = "; ".join(line for line in complaints.splitlines() if _concerns(line, channel))
    return Heard(channel.name, right[0], sent, right[1], refused)


def _concerns(complaint: str, channel: Channel) -> bool:
    return complaint.startswith((f"refused: {channel.action} ", f"refused: {channel.sense} ", "out: "))


def guesses(values: Sequence[float], rounds: int) -> str:
    """A 1 for each value above the middle between the second lowest and the second highest; 0 where there is none."""
    ordered = sorted(values)
    if not ordered:
        return "0" * rounds
    few = 1 if len(set(values)) > 2 else 0  # the first value of a game spans its start
    low, high = ordered[few], ordered[-1 - few]
    return "".join("1" if value > (low + high) / 2 else "0" for value in values).ljust(rounds, "0")


def _played(folder: Path, tier: str, games: int, channels: Sequence[Channel]) -> tuple[list[list[list[float]]], str]:
    """What the receiver read by game, sense and round, and what the two complained about."""
    from agt_tournament.game.seeding import GameSeeds
    from agt_tournament.sandbox.walls.sandbox import Sandbox
    from agt_tournament.tournament.agent_manager import AgentProcess
    from tests.tournament import play

    values, complaints = [], ""
    if tier != "none":
        _begin_block(tier)
    with ExitStack() as stack:
        agents = {team: stack.enter_context(AgentProcess(folder / team, team, sandbox=Sandbox(tier))) for team in SEATS}
        for number in range(1, games + 1):
            if tier == "none":
                forget_rare_files()
            result = play(agents, seeds=GameSeeds(1, 1, 1, number))
            printed = agents[RECEIVER].take_output()
            rows = [json.loads(line[7:]) for line in printed.splitlines() if line.startswith("VALUES ")]
            values.append([[row[place] for row in rows] for place in range(len(channels))])
            complaints += agents[SENDER].take_output() + printed
            complaints += "".join(f"out: {each.team_id} {each.error}\n" for each in result.failures)
    return values, complaints


@cache
def rounds_of_a_game() -> int:
    """How many rounds a game has by the standard rules."""
    from agt_tournament.game.seeding import GameSeeds
    from agt_tournament.game.valuation_generator import draw_items
    from tests.tournament import rules

    return len(draw_items(rules(), GameSeeds(1, 1, 1, 1)))


# --- agents ----------------------------------------------------------------------------------------------


def _write_agents(folder: Path, channels: Sequence[Channel], sent: dict[str, list[str]], seed: int) -> None:
    from agt_tournament.tournament.registration.unregistered import examples

    prelude = PRELUDE.replace("<<name>>", f"pair{seed}").replace("<<key>>", str(seed % (1 << 30)))
    prelude = prelude.replace("<<rare>>", json.dumps(rare_files()))
    sender = _functions({name: ACTIONS[name] for name in sent}) + _SENDER.replace("<<bits>>", json.dumps(sent))
    receiver = _functions({channel.sense: SENSES[channel.sense] for channel in channels}) + _RECEIVER
    sources = {SENDER: prelude + sender, RECEIVER: prelude + receiver}
    for team in SEATS:
        (folder / team).mkdir()
        (folder / team / "bidding_agent.py").write_text(sources.get(team) or examples()[team].read_text())


def _functions(fragments: dict[str, str]) -> str:
    """A function of each fragment, which returns what is defined in it, and ``BODIES`` of all by name."""
    text, names = "", {}
    for number, (name, fragment) in zip(count(), fragments.items()):
        lines = "\n".join("    " + line for line in body(fragment).splitlines())
        text += f"\ndef body_{number}():\n{lines}\n    return locals()\n"
        names[name] = f"body_{number}"
    return text + "\nBODIES = {" + ", ".join(f"{name!r}: {function}" for name, function in names.items()) + "}\n"


@cache
def rare_files() -> dict[str, list[str]]:
    """Files, folders and links which agents may read and hardly anybody does."""
    found = sorted(Path(scipy.__file__).parent.rglob("*"))
    files = [str(path) for path in found if path.is_file() and path.suffix == ".py" and path.stat().st_size > 4096]
    folders = [str(path) for path in found if path.is_dir() and path.name != "__pycache__"]
    links = [str(path) for name in _LIBRARY_LINKS for path in sorted(Path(name).glob("*")) if path.is_symlink()]
    return {"files": files[1::2][:_MOST_RARE], "old files": files[::2][:_MOST_RARE], "folders": folders, "links": links}


@cache
def _begin_block(tier: str) -> None:
    """Do what is done before games behind walls, on a machine on which nobody has read the rare files for long."""
    from agt_tournament.sandbox.walls.sandbox import Sandbox

    forget_rare_files()
    Sandbox(tier).prepare()


def forget_rare_files() -> None:
    """Have the rare files as nobody had read them for long: out of the page cache, with old access times."""
    rare = rare_files()
    for path in rare["files"]:
        with suppress(OSError):
            file = os.open(path, os.O_RDONLY)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)
    hour_ago = time.time_ns() - 3600 * 10**9
    for path in (*rare["old files"], *rare["folders"], *rare["links"]):
        with suppress(OSError):  # only their owner may
            modified = os.lstat(path).st_mtime_ns
            os.utime(path, ns=(hour_ago, modified), follow_symlinks=False)


# --- the command -----------------------------------------------------------------------------------------


def main() -> None:
    """Measure channels and print how well each carries."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("channel", nargs="*", help="names, or parts of them; all without")
    parser.add_argument("--tier", default="none", help="the sandbox: bubblewrap, landlock or none")
    parser.add_argument("--games", type=int, default=GAMES, help="with bits; as many are played without")
    parser.add_argument("--check", action="store_true", help="only those that must be closed; fail if one is not")
    asked = parser.parse_args()
    known = closed(asked.tier) if asked.check else CHANNELS
    wanted = [each for each in known if not asked.channel or any(part in each.name for part in asked.channel)]
    if asked.check:
        found = carrying(asked.tier, wanted, asked.games)
    else:
        found = list(measure(asked.tier, wanted, asked.games).values())
    Console(width=160).print(table(f"Channels between two agents, sandbox={asked.tier}", found))
    sys.exit(1 if asked.check and found else 0)


def table(title: str, found: Iterable[Heard]) -> Table:
    """How well each channel carried."""
    shown = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE, pad_edge=False)
    for name in ("channel", "right", "sent", "silent", "p", "bits a round", "95 %", ""):
        shown.add_column(name, justify="left" if name in ("channel", "") else "right")
    for heard in found:
        bits, least, most = heard.bits_a_round()
        numbers = (str(heard.right), str(heard.sent), str(heard.silent_right), f"{heard.p_value:.2g}")
        mark = "carries" if heard.carries else heard.refused[:60]
        shown.add_row(heard.channel, *numbers, f"{bits:.2f}", f"{least:.2f}–{most:.2f}", mark)
    return shown


if __name__ == "__main__":
    main()
