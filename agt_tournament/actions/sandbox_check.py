"""`action=sandbox_check`: show which walls hold on this machine."""

from __future__ import annotations

from agt_tournament.sandbox.budget import DEFAULT_LIMITS
from agt_tournament.sandbox.probe.check import check, layers_and_openings, promises_table
from agt_tournament.sandbox.probe.memory import too_little_memory
from agt_tournament.sandbox.walls.sandbox import TIERS, Sandbox
from agt_tournament.tournament.preflight import ON_LINUX, remedies
from generative_auctions.terminal import plain_console


def sandbox_check(memory_limit_mb: int = DEFAULT_LIMITS.memory_limit_mb) -> int:
    """Print what each tier prevents here, which layers are on and what is open that nobody has reviewed.

    Args:
        memory_limit_mb: What an agent may use; a warning is printed if five could not.

    Returns:
        The exit status: 0 if a tier holds and nothing is open there that nobody has reviewed.
    """
    if not ON_LINUX:
        print(f"no tier holds: walls need Linux. {remedies({})}")
        return 1
    checked = [check(Sandbox(tier)) for tier in TIERS]
    walled = checked[:-1]  # the last tier has no walls
    console = plain_console(highlight=False)
    console.print(promises_table(checked))
    for result in walled:
        console.print(*layers_and_openings(result), sep="\n")
        console.print()
    if warning := too_little_memory(memory_limit_mb):
        console.print(warning)
    reasons = {result.sandbox.name: result.why_not for result in walled if result.why_not}
    holding = [result for result in walled if not result.why_not]
    warned = [result.sandbox.name for result in holding if result.warning]
    if not holding:
        console.print(f"no tier holds. {remedies(reasons)}")
        return 1
    console.print(f"sandbox=auto is {holding[0].sandbox.name}")
    if warned:
        names = " and ".join(warned)
        console.print(f"warning: see {names} above; all promises hold, so runs still use {names}")
    return 1 if warned else 0
