"""Many games of one organiser with an attacker of random kind in every one: nothing leaks, no result is wrong.

``python -m tests.attacks.endurance 1000 bubblewrap`` prints how the organiser's memory, descriptors and children went.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.attacks import harness
from tests.attacks.harness import ATTACKER, SEATS
from tests.tournament import ScriptedBidder

_SECRET = "endurance-secret"


@dataclass(frozen=True)
class State:
    """The organiser after a game."""

    resident: int
    """Bytes."""
    descriptors: int
    children: int


def endure(games: int, tier: str, seed: int = 0) -> list[State]:
    """Play `games`, each also without the attack by agents of their own; raises `AssertionError` at a wrong result."""
    kinds = [
        attack for attack in harness.all_attacks().values() if not attack.long and attack.games == attack.runs == 1
    ]
    chosen, states = random.Random(seed), []
    with tempfile.TemporaryDirectory(prefix="auctions-") as folder, ExitStack() as stack:
        base = Path(folder)
        harness._write_files(base, _SECRET)
        planted = stack.enter_context(harness.plant(base, _SECRET, base.name, []))
        honest, alike = _honest(base, tier, stack), _honest(base, tier, stack)
        for number in range(1, games + 1):
            attack = chosen.choice(kinds)
            game = _attacked(base, tier, harness.formatted(attack.source, planted), honest, number)
            script = ScriptedBidder(dict(harness._bids(game)))
            peaceful = json.loads(json.dumps(harness._play(_seated(alike, script), number).as_json()))
            assert harness.outcome(game) == harness.outcome(peaceful), attack.key
            states.append(_state())
    return states


def _honest(base: Path, tier: str, stack: ExitStack) -> dict[str, Any]:
    return {team: stack.enter_context(harness._agent(base, team, tier)) for team in SEATS if team != ATTACKER}


def _seated(honest: Mapping[str, Any], attacker: Any) -> dict[str, Any]:
    return {team: honest.get(team, attacker) for team in SEATS}


def _attacked(base: Path, tier: str, source: str, honest: Mapping[str, Any], number: int) -> dict[str, Any]:
    harness._submission(base, ATTACKER, source)
    with harness._agent(base, ATTACKER, tier) as attacker:
        return harness._play(_seated(honest, attacker), number).as_json()


def _state() -> State:
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return State(resident, len(os.listdir("/proc/self/fd")), len(list(_children())))


def _children() -> Iterator[int]:
    yield from map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def main() -> None:
    """Play as many games as the first argument says, under the tier that the second names."""
    states = endure(int(sys.argv[1]), sys.argv[2])
    for number in sorted({10, len(states) // 4, len(states) // 2, len(states)}):
        state = states[number - 1]
        held = f"{state.resident / 1e6:.1f} MB, {state.descriptors} descriptors, {state.children} children"
        print(f"after {number} games: {held}")


if __name__ == "__main__":
    main()
