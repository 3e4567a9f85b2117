"""Which walls hold on this machine, found out by trying: an agent attempts what they promise to prevent."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from rich.console import Console

from agt_tournament.agents.sandbox import NONE, TIERS, Sandbox
from agt_tournament.config import CompetitionConfig
from agt_tournament.probe.check import check, layers_and_openings, promises_table
from agt_tournament.probe.promises import Result, broken_promises, try_promises
from agt_tournament.registration import Team, is_bundled
from experiments.errors import RequestError

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
    return broken_promises(probe(tier))


def probe(tier: str, *, thorough: bool = False) -> Result:
    """Try every promise of `tier`, see `promises.try_promises`."""
    return try_promises(Sandbox(tier), thorough=thorough)


def sandbox_check() -> int:
    """Print what each tier prevents here, which layers are on and what is open that nobody has reviewed.

    Returns:
        The exit status: 0 if a tier holds.
    """
    checked = [check(Sandbox(tier)) for tier in TIERS]
    console = Console(highlight=False)
    console.print(promises_table(checked))
    for result in checked[:-1]:
        console.print(*layers_and_openings(result), sep="\n", markup=False)
        console.print()
    holding = [result.sandbox.name for result in checked[:-1] if result.why_not is None]
    chosen = f"sandbox=auto is {holding[0]}" if holding else f"no tier holds. Remedy: {_REMEDY}"
    console.print(chosen, markup=False)
    return 0 if holding else 1
