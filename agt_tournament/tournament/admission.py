"""Which teams play: every submission is read and loaded once, behind the walls, before anything is stored."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from agt_tournament.config import CompetitionConfig, TournamentConfig
from agt_tournament.sandbox.one_cpu import one_cpu
from agt_tournament.sandbox.walls.sandbox import Sandbox
from agt_tournament.tournament import messages
from agt_tournament.tournament.registration import SetAside, Submission, Team, read_submission, store_submission
from agt_tournament.tournament.registration.submissions import AGENT_FILE
from agt_tournament.tournament.tournament_manager import open_agents
from generative_auctions.errors import RequestError


def admit(config: CompetitionConfig, teams: Sequence[Team], sandbox: Sandbox) -> tuple[list[Team], list[SetAside]]:
    """Try the submission of each of `teams` and return the teams that play and those that do not.

    Raises:
        RequestError: `config` refuses bad submissions and there are some, each named with its reason; or none plays.
    """
    links = [team for team in teams if Path(team.agent_file_path).is_symlink()]
    submissions, bad = read_submissions([team for team in teams if team not in links])
    bad += [SetAside(team, "a link: it could lead anywhere on this machine") for team in links]
    readable = {team.team_id: team for team in teams if team.team_id in submissions}
    with messages.trying(len(readable)) as progress:
        reasons = _load(submissions, config.tournament, sandbox, progress)
    bad += [SetAside(readable[team_id], reason) for team_id, reason in reasons.items()]
    bad.sort(key=lambda aside: aside.team.team_id)
    playing = [team for team in readable.values() if team.team_id not in reasons]
    if bad and (config.bad_submissions == "refuse" or not playing):
        raise refusal("bad_submissions", config.bad_submissions, len(teams), bad)
    return playing, bad


def refusal(key: str, value: object, teams: int, bad: Sequence[SetAside]) -> RequestError:
    """Return the error that names every one of `bad` among so many `teams`."""
    lines = [f"{aside.team.team_id}: {aside.gist}" for aside in bad]
    remedy = "; bad_submissions=set_aside plays without them" if len(lines) < teams and key == "bad_submissions" else ""
    return RequestError(key, value, f"submissions that load; {len(lines)} of {teams} do not{remedy}", lines)


def read_submissions(teams: Iterable[Team]) -> tuple[dict[str, Submission], list[SetAside]]:
    """Read what each of `teams` handed in, by team id; return also the teams whose submission cannot be read."""
    submissions, bad = {}, []
    for team in teams:
        path = Path(team.agent_file_path)
        try:
            submissions[team.team_id] = read_submission(path, "submission")
        except RequestError as error:
            bad.append(SetAside(team, _told(path, error)))
        except OSError as error:
            bad.append(SetAside(team, f"{_beside(path, error.filename)}: {error.strerror}"))
    return submissions, bad


def _told(path: Path, error: RequestError) -> str:
    """Say why the submission at `path` is refused, without the organiser's folders."""
    if path.is_dir() and not (path / AGENT_FILE).exists():
        elsewhere = sorted(found.relative_to(path).as_posix() for found in path.glob(f"*/{AGENT_FILE}"))
        return f"no {AGENT_FILE} in its folder" + (f"; there is {elsewhere[0]}" if elsewhere else "")
    return f"{_beside(path, error.value)}: expected {error.expected}"


def _beside(path: Path, value: object) -> str:
    """Return the place of `value`, a path in the submission `path`, relative to the folder of all submissions."""
    inside = isinstance(value, (str, Path)) and os.path.lexists(value)
    return os.path.relpath(str(value), path.parent) if inside else str(value)


def _load(
    submissions: Mapping[str, Submission], rules: TournamentConfig, sandbox: Sandbox, progress: Callable[[str], None]
) -> dict[str, str]:
    """Load each submission and return why it fails, by team id; constructor and methods depend on the game."""
    reasons = {}
    sandbox.prepare()
    with one_cpu(), tempfile.TemporaryDirectory(prefix="agt_admit_", ignore_cleanup_errors=True) as folder:
        place = Path(folder).resolve()
        for team_id, submission in submissions.items():
            progress(team_id)
            store_submission(submission.files, place / team_id)
            with ExitStack() as processes:
                agent = open_agents(place, [team_id], rules, processes, sandbox=sandbox)[team_id]
                agent.prepare(lambda: 0)
                answer = agent.load()
            if answer.error:
                text = answer.text.strip() or answer.error
                reasons[team_id] = text if answer.error in ("crash", "invalid") else f"its import: {text}"
    return reasons
