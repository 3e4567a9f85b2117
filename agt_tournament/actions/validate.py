"""`action=validate`: what the competition would make of a submission, said to the student who wrote it."""

from __future__ import annotations

import sys
from pathlib import Path

from agt_tournament.config import CompetitionConfig
from agt_tournament.tournament.messages import sandbox as show_sandbox
from agt_tournament.tournament.preflight import walls
from agt_tournament.tournament.registration import Submission, Team, read_submission
from agt_tournament.tournament.registration.submissions import AGENT_FILE, SubmissionError
from agt_tournament.validation.trial import SECONDS, Trial
from agt_tournament.validation.verdict import Verdict, progress, show, write
from generative_auctions.errors import RequestError


def validate(config: CompetitionConfig, seconds: float = SECONDS) -> int:
    """Try `config.agent`, print what came of it and write it as JSON: 0 if the competition would take it, else 1.

    Args:
        config: The request.
        seconds: Wall time after which no more is played than the first game.

    Raises:
        RequestError: nothing is there to be tried, or the verdict cannot be written.
    """
    if config.agent is None:
        raise RequestError("agent", "null", f"a Python file, or a folder with {AGENT_FILE}")
    if config.json_ not in (None, "-") and Path(config.json_).is_dir():
        raise RequestError("json", config.json_, "a file to write, or - for the terminal")
    path = Path(config.agent)
    try:
        verdict = _tried(path, read_submission(path, "agent"), config, seconds)
    except SubmissionError as error:
        verdict = Verdict.refusing(path, error, config.tournament)
    except OSError as error:
        raise RequestError("agent", path, f"files that can be read ({error.strerror})") from None
    if config.json_ is not None:
        write(verdict, config.json_)
    if config.json_ != "-":
        show(verdict)
    return 0 if verdict.valid else 1


def _tried(path: Path, submission: Submission, config: CompetitionConfig, seconds: float) -> Verdict:
    """Play `submission` behind the walls of this machine."""
    with progress() as tell:
        tell("the walls of this machine")
        sandbox = walls(config, [Team("you", "you", str(path))])
        show_sandbox(sandbox.name)
        if not sandbox.walled:
            print(
                "without walls this tells nothing of files, network, processes and sleep, which walls refuse",
                file=sys.stderr,
            )
        trial = Trial(path, submission, config.tournament, config.seed, sandbox, seconds).run(tell)
    return Verdict.of(trial)
