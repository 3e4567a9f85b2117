"""Walk a tier of walls from inside: what is open of paths, system calls and counters of the machine."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from agt_tournament.sandbox.probe import steps as catalogue
from agt_tournament.sandbox.probe.churn import busy_machine
from agt_tournament.sandbox.probe.names import readable_trees
from agt_tournament.sandbox.probe.steps import Step
from agt_tournament.sandbox.probe.submission import LIMITS, briefing, failure, planted, started
from agt_tournament.sandbox.walls import readable
from agt_tournament.sandbox.walls.sandbox import Sandbox

_STOPPED_SECONDS = 0.3
_BLOCKED = LIMITS._replace(load_timeout_seconds=1.0)
_KILLED_BY_FILTER = "SIGSYS"


@dataclass(frozen=True, order=True)
class Opening:
    """Something that an agent can do or see."""

    kind: str
    """system call, writable, readable, visible, clock, moving counter, moving content, …"""
    name: str
    detail: str = ""
    """The error of the kernel, or the number of paths."""


@dataclass
class Walked:
    """What a walk found."""

    tier: str
    paths: int = 0
    """The number of paths tried."""
    calls: int = 0
    """The number of system calls made; a call with another argument counts again."""
    seconds: float = 0.0
    openings: list[Opening] = field(default_factory=list)

    def described_effort(self) -> str:
        """Describe how much was tried."""
        return f"{self.paths:,} paths and {self.calls:,} system calls in {self.seconds:.1f} s"

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Walked:
        """Read what `as_json` returned."""
        return cls(**{**content, "openings": [Opening(**opening) for opening in content["openings"]]})


def walk(sandbox: Sandbox, paths: Iterable[str], steps: Iterable[Step]) -> Walked:
    """Try every path and every step from inside `sandbox`.

    Args:
        sandbox: The walls to try.
        paths: Paths to try besides all that can be listed.
        steps: System calls, see `steps.all_steps`.

    Raises:
        ProbeError: An agent cannot be started there.
    """
    began = time.monotonic()
    steps = list(steps)
    tried, openings = walk_paths(sandbox, paths)
    openings += sweep(sandbox, steps)
    calls = sum(_variants(step) for step in steps)
    return Walked(sandbox.name, tried, calls, time.monotonic() - began, sorted(openings))


def walk_paths(
    sandbox: Sandbox, paths: Iterable[str], roots: tuple[str, ...] | None = None
) -> tuple[int, list[Opening]]:
    """Try paths from inside `sandbox`, and read the counters of the machine twice.

    Args:
        sandbox: The walls to try.
        paths: Paths to try besides all that can be listed below `roots`.
        roots: By default the root and every tree that agents may read. Without walls a smaller one should be given, as
            files are created and removed there.

    Returns:
        How many paths were tried, and what is open.
    """
    roots = ("/", *map(str, readable_trees())) if roots is None else roots
    known = {"paths": list(paths), "roots": roots, "stopped": _STOPPED_SECONDS}
    readable.warm()  # as before games: the first to read a file of a day changes its access time
    with planted("paths", known) as submission, started(submission, sandbox) as agent:
        loaded = agent.load()
        if loaded.error:
            raise failure(agent.take_output(), loaded.text, loaded.error)
        with busy_machine(_STOPPED_SECONDS):
            answer = agent.start_game(briefing())
        printed = agent.take_output()
    lines = [line for line in printed.splitlines() if line.startswith('{"report"')]
    if answer.error or not lines:
        raise failure(printed, answer.text, answer.error)
    report = json.loads(lines[-1])["report"]
    found = report["open"].items()
    openings = [Opening(kind, name, _files(count)) for kind, names in found for name, count in names.items()]
    return report["tried"], openings


def _files(count: int) -> str:
    return f"{count:,} paths" if count > 1 else ""


# --- system calls ----------------------------------------------------------------------------------------


def sweep(sandbox: Sandbox, steps: list[Step]) -> list[Opening]:
    """Return the system calls that were let through; blocking ones come last, each in a process of its own."""
    blocking = [step for step in steps if step["label"] in catalogue.BLOCKING]
    remaining = [step for step in steps if step not in blocking]
    found: list[Opening] = []
    while remaining:
        remaining = _batch(sandbox, remaining, LIMITS, found)
    for step in blocking:
        _batch(sandbox, [step], _BLOCKED, found)
    whole = {opening.name for opening in found}  # a call that is open whatever its arguments
    return [opening for opening in found if opening.name.partition(" ")[0] not in whole - {opening.name}]


def _batch(sandbox: Sandbox, steps: list[Step], limits: Any, found: list[Opening]) -> list[Step]:
    """Make calls until one ends the process; what is left to do without the family of that one."""
    with planted("system_calls", {"steps": steps}) as submission, started(submission, sandbox, limits) as agent:
        answer = agent.load()
        printed = agent.take_output()
    begun = -1
    for line in printed.splitlines():
        if line.endswith(">"):
            begun = int(line[:-1])
        elif "=" in line:
            place, _, result = line.partition("=")
            code, _, value = result.partition(" ")
            label = steps[int(place)]["label"]
            found.append(Opening("system call", f"{label} {value}".strip(), code))
        elif line == "end":
            return []
    if begun < 0:
        raise failure(printed, answer.text, answer.error)
    ended = steps[begun]
    refused = _KILLED_BY_FILTER in answer.text or ended["way"] != "syscall"  # machine code ends where it is refused
    if not refused:
        happened = "blocks the process" if answer.error == "timeout" else "ends the process"
        found.append(Opening("system call", ended["label"], happened))
    return [step for step in steps[begun + 1 :] if step["family"] != ended["family"]]


def _variants(step: Step) -> int:
    """Return how many calls a step makes."""
    values = step.get("values", [0])
    return len(range(*values["range"])) if "range" in values else len(values)
