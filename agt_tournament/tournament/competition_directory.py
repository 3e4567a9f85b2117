"""The run directory of a competition: held by one run, with the submissions as they were and who handed them in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from agt_tournament.config import CompetitionConfig, SandboxConfig, TournamentConfig, identity
from agt_tournament.sandbox.walls.sandbox import Sandbox
from agt_tournament.tournament import messages
from agt_tournament.tournament.admission import read_submissions, refusal
from agt_tournament.tournament.registration import SetAside, Submission, Team, digest, store_submission
from agt_tournament.tournament.registration.registered import read_teams
from agt_tournament.tournament.registration.unregistered import BUNDLED
from generative_auctions.errors import RequestError
from generative_auctions.files import DamagedFileError, in_words
from generative_auctions.provenance import provenance
from generative_auctions.run_directory import (
    GUESSABLE,
    NOTHING_ELSE_SAYS,
    from_stored,
    read_run,
    run_directory,
    write_config,
    write_provenance,
)

SUBMISSIONS = "submissions"


def registered(config: CompetitionConfig) -> list[Team]:
    """Read the teams of `teams_dir`, or the bundled ones."""
    return read_teams(BUNDLED if config.teams_dir is None else Path(config.teams_dir))


@contextmanager
def competition_directory(
    config: CompetitionConfig, teams: Sequence[Team], sandbox: Sandbox, set_aside: Sequence[SetAside] = ()
) -> Iterator[Path]:
    """Hold the run directory for this run, with the submissions of `teams` and the provenance in it.

    `sandbox` is the tier in force, which config.yaml names in the place of ``auto``; `set_aside` are teams that do
    not play.
    """
    run_dir = Path(config.run_dir)
    read, bad = read_submissions(teams)
    decided = {f"teams.{team.team_id}": _identity(team, read.get(team.team_id)) for team in teams}
    if config.action == "run" and has_begun(run_dir):
        _check_teams(run_dir, config, read_run(run_dir), decided)
    if bad:
        raise refusal("teams", config.teams or "those of teams_dir", len(teams), bad)
    stored = {**config.model_dump(mode="json", by_alias=True), "roster": [team.as_json() for team in teams]}
    stored |= {"set_aside": [aside.as_json() for aside in set_aside], "sandbox": {"name": sandbox.name}}
    with run_directory(run_dir, stored, identity(config) | decided):
        begun = (run_dir / SUBMISSIONS).exists()
        write_provenance(run_dir, {**provenance(config.seed), "sandbox": sandbox.name}, first=not begun)
        keep_presentation(run_dir, config)
        for team_id, submission in read.items():
            store_submission(submission.files, run_dir / SUBMISSIONS / team_id)
            messages.ignored(team_id, submission.ignored)
        if config.teams_dir is not None and config.seed < GUESSABLE:
            messages.guessable(config.seed)
        yield run_dir


def _identity(team: Team, submission: Submission | None) -> str:
    """Return what two runs of one directory must share of a team; `submission` is None if it cannot be read."""
    content = digest(submission.files) if submission else "unreadable"
    return f"{content}, registered {team.stamp or 'at an unknown time'}"


def _check_teams(
    run_dir: Path, config: CompetitionConfig, stored: Mapping[str, Any], decided: Mapping[str, str]
) -> None:
    """Raise `RequestError` if other teams or submissions are to play than those of the run, saying how to go on."""
    before = {key: text for key, text in stored["identity"].items() if key.startswith("teams.")}
    if not before.keys() & decided.keys():
        then = stored.get("teams_dir") or "null, the bundled teams"
        raise RequestError("teams_dir", config.teams_dir or "null", f"the teams that {run_dir} was made with ({then})")
    lines = []
    for key in sorted(before.keys() | decided.keys()):
        team_id = key.removeprefix("teams.")
        if change := _change(before.get(key), decided.get(key), run_dir / SUBMISSIONS / team_id):
            lines.append(f"{team_id} {change}")
    if lines:
        expected = "the teams that it was made with, as arenas are drawn once; another run_dir plays with those of now"
        raise RequestError("run_dir", run_dir, expected, lines)


def _change(then: str | None, now: str | None, copy: Path) -> str:
    """Say how a team's `_identity` changed since the run, and how to go on; `copy` is the submission that played."""
    if then is None:
        return "is late: to go on, take it out of the teams"
    if now is None:
        return f"is withdrawn: to go on, put its submission back, which lies in {copy}"
    (content, registered), (content_now, registered_now) = (text.split(", ", 1) for text in (then, now))
    if content != content_now:
        return f"handed in another submission: to go on, put back the one that played, which lies in {copy}"
    return f"is {registered_now}: to go on, say {registered}" if registered != registered_now else ""


def stored_decisions(run_dir: Path) -> list[SetAside] | None:
    """Return who was set aside when the competition in `run_dir` began; None before that."""
    return set_aside_teams(read_competition(run_dir)) if has_begun(run_dir) else None


def has_begun(run_dir: Path) -> bool:
    """Whether a game of a competition in `run_dir` is stored: who plays in it is decided then."""
    return (run_dir / "config.yaml").exists() and (run_dir / "stage1").exists()


def keep_presentation(run_dir: Path, config: CompetitionConfig) -> None:
    """Store what `config` says of the pages, where it says anything: they may be made anew with another headline."""
    stored = read_run(run_dir)
    given = {key: value for key in ("title", "public") if (value := getattr(config.tournament, key)) is not None}
    with _readable("tournament"):
        if stored["tournament"] != (presented := stored["tournament"] | given):
            write_config(run_dir, stored | {"tournament": presented})


class _Stored(BaseModel):
    """What is read of the configuration beside rules and roster."""

    model_config = ConfigDict(strict=True)

    action: str
    seed: int
    roster: list[dict[str, Any]]
    set_aside: list[dict[str, Any]] = []
    tournament: dict[str, Any]
    sandbox: SandboxConfig
    identity: dict[str, str | int | float | bool | list[Any] | None]


def read_competition(run_dir: Path) -> dict[str, Any]:
    """Read the configuration of the competition in `run_dir`; raises `RequestError` if it is damaged."""
    stored = read_run(run_dir)
    if "mechanism" in stored:
        raise RequestError("run_dir", run_dir, "the directory of a competition; its config.yaml is an image auction's")
    try:
        _Stored.model_validate(stored)
        with from_stored(run_dir):
            stored_teams(stored)
            set_aside_teams(stored)
            rules_of(stored)
    except ValidationError as error:
        raise DamagedFileError(run_dir / "config.yaml", in_words(error), NOTHING_ELSE_SAYS) from None
    return stored


def stored_teams(stored: Mapping[str, Any]) -> list[Team]:
    """Return the teams of a run directory's configuration, fillers included."""
    with _readable("roster"):
        return [Team.of_json(entry) for entry in stored["roster"]]


def set_aside_teams(stored: Mapping[str, Any]) -> list[SetAside]:
    """Return the teams of a run directory's configuration that did not play."""
    with _readable("set_aside"):
        return [SetAside.of_json(entry) for entry in stored.get("set_aside", [])]


def rules_of(stored: Mapping[str, Any]) -> TournamentConfig:
    """Return the rules that a run directory was made with."""
    with _readable("tournament"):
        return TournamentConfig.model_validate(stored["tournament"])


@contextmanager
def _readable(section: str) -> Iterator[None]:
    """Raise `RequestError` where a section of the stored configuration is not as it was written."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        said = " ".join(str(error).split())[:200]
        raise RequestError("run_dir", "config.yaml", f"a configuration as it was written, {section}: {said}") from None
