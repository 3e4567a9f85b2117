"""Which walls hold on this machine, found out by trying: an agent attempts what they promise to prevent."""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from agt_tournament.agents import control_group
from agt_tournament.agents.agent_process import AgentProcess, Limits
from agt_tournament.agents.sandbox import NONE, TIERS, Sandbox
from agt_tournament.config import CompetitionConfig
from agt_tournament.registration import Team, is_bundled
from experiments.errors import RequestError

PROBE = Path(__file__).resolve().parent / "probe"
_SECRET = "agt_preflight_secret"
_MEMORY_MB = 256
_REMEDY = (
    "install bubblewrap and libseccomp2 and allow user namespaces, or use a kernel with Landlock (5.13 or later); "
    "sandbox=none i_trust_these_agents=true runs agents that you trust without walls"
)


def walls(config: CompetitionConfig, teams: Iterable[Team]) -> Sandbox:
    """The walls for `teams`; the project's own agents are trusted where no tier holds."""
    trusted = config.i_trust_these_agents or all(is_bundled(team) for team in teams)
    return choose(config.sandbox.name, trusted=trusted)


def choose(name: str, *, trusted: bool) -> Sandbox:
    """The tier called `name`, ``auto`` for the first that holds; raises `RequestError` where it does not hold.

    With `trusted` agents ``auto`` is ``none`` where nothing else holds.
    """
    if name == "none":
        if not trusted:
            expected = "auto, bubblewrap or landlock, or i_trust_these_agents=true: without walls agents act as you"
            raise RequestError("sandbox", name, expected)
        return NONE
    reasons = {}
    for tier in TIERS[:-1] if name == "auto" else (name,):
        reason = why_not(tier)
        if reason is None:
            return Sandbox(tier)
        reasons[tier] = reason
    if name == "auto" and trusted:
        return NONE
    said = "; ".join(f"{tier}: {reason}" for tier, reason in reasons.items())
    raise RequestError("sandbox", name, f"walls that hold on this machine ({said}). Remedy: {_REMEDY}")


@cache
def why_not(tier: str) -> str | None:
    """Why `tier` does not hold on this machine and for this user; None if it holds."""
    result = probe(tier)
    if result["error"]:
        return str(result["error"])
    broken = [promise for promise, happened in result["held"].items() if happened]
    return f"does not prevent {', '.join(broken)}" if broken else None


def probe(tier: str, *, thorough: bool = False) -> dict[str, Any]:
    """What the probe found: by promise what happened, None where it was prevented; and what did not work.

    A thorough one tries scipy as well, which takes a second.
    """
    with _planted(thorough) as submission:
        limits = Limits(load_timeout_seconds=20.0, memory_limit_mb=_MEMORY_MB)
        with AgentProcess(submission, "probe", limits, sandbox=Sandbox(tier)) as agent:
            try:
                agent.prepare(lambda: 0)
            except (OSError, ImportError, RuntimeError) as error:  # no libseccomp
                return {"held": {}, "works": None, "error": f"{type(error).__name__}: {error}"}
            answer = agent.load()
            printed = agent.take_output()
    found = [line for line in printed.splitlines() if line.startswith('{"held"')]
    if answer.error or not found:
        told = (printed.strip() or answer.text).splitlines()
        return {"held": {}, "works": None, "error": told[-1] if told else answer.error}
    result: dict[str, Any] = json.loads(found[0])
    return result


def sandbox_check() -> int:
    """Print each promise of each tier and whether it holds here; 0 if a tier holds."""
    results = {tier: probe(tier, thorough=True) for tier in TIERS}
    table = Table(
        title="Walls on this machine", title_justify="left", title_style="bold", box=box.SIMPLE, pad_edge=False
    )
    table.add_column("prevented")
    for tier in TIERS:
        table.add_column(tier)
    promises = dict.fromkeys(promise for result in results.values() for promise in result["held"])
    for promise in promises:
        table.add_row(promise, *(_cell(result, promise) for result in results.values()))
    table.add_row("agents can compute", *("yes" if result["works"] else "[red]no[/red]" for result in results.values()))
    console = Console(highlight=False)
    console.print(table)
    for tier in TIERS[:-1]:
        reason = why_not(tier)
        console.print(f"{tier}: " + ("holds" if reason is None else f"does not hold: {reason}"), markup=False)
    counted = "control groups" if control_group.works() else "hard limits and a look at the resident set"
    console.print(f"memory is limited by {counted}")
    holding = [tier for tier in TIERS[:-1] if why_not(tier) is None]
    console.print(f"sandbox=auto is {holding[0]}" if holding else f"no tier holds. Remedy: {_REMEDY}", soft_wrap=True)
    return 0 if holding else 1


def _cell(result: dict[str, Any], promise: str) -> str:
    if promise not in result["held"]:
        return "–"
    return "[red]no[/red]" if result["held"][promise] else "yes"


@contextmanager
def _planted(thorough: bool) -> Iterator[Path]:
    """A copy of the probe, with what there is to be reached."""
    with tempfile.TemporaryDirectory(prefix="agt_probe_") as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        secret_file = Path(folder) / "secret.txt"
        secret_file.write_text(_SECRET)
        submission = Path(folder) / "submission"
        submission.mkdir()
        shutil.copy(PROBE / "bidding_agent.py", submission)
        known = {
            "secret": _SECRET,
            "secret_file": str(secret_file),
            "writable": str(Path(folder) / "written"),
            "port": listener.getsockname()[1],
            "organiser": os.getpid(),
            "memory_limit_mb": 2 * _MEMORY_MB,
            "thorough": thorough,
        }
        (submission / "known.json").write_text(json.dumps(known))
        yield submission
