"""Which walls hold on this machine, found out by trying: an agent attempts what they promise to prevent."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from functools import cache

from agt_tournament.config import CompetitionConfig
from agt_tournament.sandbox.inside.walls import landlock_abi
from agt_tournament.sandbox.probe.promises import broken_promises, try_promises
from agt_tournament.sandbox.walls.sandbox import NONE, TIERS, Sandbox
from agt_tournament.tournament.registration import Team
from agt_tournament.tournament.registration.unregistered import is_bundled
from generative_auctions.errors import RequestError

ON_LINUX = sys.platform == "linux"
_TOLD = ("run", "game", "validate")
"""Actions that explain why ``auto`` did not choose the highest tier."""
_NAMESPACES_REFUSED = re.compile(r"bwrap: |namespace|uid map", re.IGNORECASE)
_WITHOUT_WALLS = "sandbox=none i_trust_these_agents=true runs agents that you trust without walls"


def walls(config: CompetitionConfig, teams: Iterable[Team]) -> Sandbox:
    """Choose the walls for `teams`; the project's own agents are trusted where no tier holds."""
    trusted = config.i_trust_these_agents or all(is_bundled(team) for team in teams)
    sandbox = choose(config.sandbox.name, trusted=trusted)
    if config.sandbox.name == "auto" and sandbox.name != TIERS[0] and config.action in _TOLD:
        _tell_why_lower(sandbox.name)
    return sandbox


@cache
def _tell_why_lower(chosen: str) -> None:
    """Say once on standard error why ``auto`` is no higher tier than `chosen`."""
    reasons = "; ".join(f"{tier} does not hold: {why_not(tier)}" for tier in TIERS[: TIERS.index(chosen)])
    print(" ".join(f"sandbox=auto is {chosen}: {reasons}".split()), file=sys.stderr)


def choose(name: str, *, trusted: bool) -> Sandbox:
    """Return the tier called `name`, ``auto`` for the first that holds; raises `RequestError` if it does not hold.

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
    raise RequestError("sandbox", name, f"walls that hold on this machine ({said}). {remedies(reasons)}")


def remedies(reasons: Mapping[str, str]) -> str:
    """Say in a sentence what this machine lacks.

    Args:
        reasons: Why a tier does not hold, by tier.
    """
    if not ON_LINUX:
        return f"Remedy: {_WITHOUT_WALLS}"
    if not _has_libseccomp():  # without it no tier can hold
        return f"Remedy: install libseccomp2 and pyseccomp; or {_WITHOUT_WALLS}"
    lacking = []
    if "bubblewrap" in reasons and not shutil.which("bwrap"):
        lacking.append("install bubblewrap")
    elif _NAMESPACES_REFUSED.search(reasons.get("bubblewrap", "")):
        lacking.append("allow bubblewrap to make user namespaces")
    if "landlock" in reasons and not landlock_abi():
        lacking.append("use a kernel with Landlock (5.13 or later) that has it enabled")
    return f"Remedy: {'; or '.join((*lacking, _WITHOUT_WALLS))}"


def _has_libseccomp() -> bool:
    try:
        import pyseccomp  # noqa: F401
    except (ImportError, OSError, RuntimeError):
        return False
    return True


@cache
def why_not(tier: str) -> str | None:
    """Say why `tier` does not hold on this machine and for this user; None if it holds."""
    if not ON_LINUX:
        return "needs Linux"
    return broken_promises(try_promises(Sandbox(tier)))
