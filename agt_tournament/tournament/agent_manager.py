"""The agent manager of the design document (section 5) over `AgentProcess`: load, check, ask.

Nothing of a submission is imported, compiled or unpickled here. The document's `sandbox_agent(agent)` would restrict an
agent that is loaded already, and could have done what it likes by then: the walls are an argument of `load_agent`
instead, and stand before the process reads the submission.
"""

from __future__ import annotations

from pathlib import Path

from agt_tournament.sandbox.agent_process import AgentProcess, StartError
from agt_tournament.sandbox.budget import DEFAULT_LIMITS, Limits
from agt_tournament.sandbox.one_cpu import one_cpu
from agt_tournament.sandbox.walls.sandbox import Sandbox
from agt_tournament.tournament.preflight import choose
from agt_tournament.tournament.registration.submissions import AGENT_FILE
from generative_auctions.errors import RequestError

__all__ = [
    "DEFAULT_LIMITS",
    "AgentProcess",
    "Limits",
    "StartError",
    "execute_bid_with_timeout",
    "load_agent",
    "one_cpu",
    "validate_agent",
]


def load_agent(
    file_path: str | Path, team_id: str, limits: Limits = DEFAULT_LIMITS, seed: int = 0, sandbox: Sandbox | None = None
) -> AgentProcess:
    """Start a process and import the submission at `file_path` in it; ask `validate_agent` whether that went well.

    Args:
        file_path: The folder of the submission, or the bidding_agent.py in it.
        team_id: The name of its team, used in messages.
        limits: What the process may use.
        seed: Of its random numbers during the import.
        sandbox: The walls around it; None for the highest that hold on this machine.

    Raises:
        RequestError: `file_path` is no submission; or no walls hold and none were chosen.
        StartError: the process cannot be started.
    """
    path = Path(file_path)
    folder = path.parent if path.name == AGENT_FILE else path
    if not (folder / AGENT_FILE).is_file():
        raise RequestError("file_path", path, f"a folder with {AGENT_FILE}, or that file")
    walls = choose("auto", trusted=False) if sandbox is None else sandbox
    agent = AgentProcess(folder, team_id, limits, sandbox=walls)
    agent.prepare(lambda: seed)
    return agent


def validate_agent(agent: AgentProcess) -> bool:
    """Whether the submission loads and has the interface of `BiddingAgent`."""
    return agent.load().error is None


def execute_bid_with_timeout(
    agent: AgentProcess, item_id: str, timeout: float = DEFAULT_LIMITS.bid_timeout_seconds
) -> float:
    """Ask the agent, for which a game was started, what it bids for `item_id`.

    Args:
        agent: The agent, in a game.
        item_id: The item that is sold.
        timeout: Seconds of CPU time within which the bid must come; twice that and a second of wall time.

    Returns:
        The bid; 0 if the agent fails or is late.
    """
    return agent.bid(item_id, timeout).bid
