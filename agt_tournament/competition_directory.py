"""The run directory of a competition: held by one run, with the submissions as they were and who handed them in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from agt_tournament import show
from agt_tournament.agents.sandbox import Sandbox
from agt_tournament.config import CompetitionConfig, SandboxConfig, TournamentConfig, identity
from agt_tournament.registration import BUNDLED, Team, read_teams
from agt_tournament.seeding import GUESSABLE
from agt_tournament.submissions import digest, read_submission, store_submission
from experiments.errors import RequestError
from experiments.run_directory import NOTHING_ELSE_SAYS, from_stored, read_run, run_directory, write_provenance
from experiments.stored import DamagedFileError, in_words
from launchers.provenance import provenance

SUBMISSIONS = "submissions"


def registered(config: CompetitionConfig) -> list[Team]:
    """The teams of `teams_dir`, or the bundled ones."""
    return read_teams(BUNDLED if config.teams_dir is None else Path(config.teams_dir))


@contextmanager
def competition_directory(config: CompetitionConfig, teams: Sequence[Team], sandbox: Sandbox) -> Iterator[Path]:
    """The run directory, held for this run, with the submissions and the provenance in it.

    `sandbox` is the tier in force, which config.yaml names in the place of ``auto``.
    """
    read = {team.team_id: read_submission(Path(team.agent_file_path), f"team {team.team_id}") for team in teams}
    files = {team_id: submission.files for team_id, submission in read.items()}
    decided = {f"teams.{team.team_id}": _identity(team, files[team.team_id]) for team in teams}
    stored = {**config.model_dump(mode="json", by_alias=True), "roster": [team.as_json() for team in teams]}
    stored["sandbox"] = {"name": sandbox.name}
    with run_directory(Path(config.run_dir), stored, identity(config) | decided) as run_dir:
        begun = (run_dir / SUBMISSIONS).exists()
        write_provenance(run_dir, {**provenance(config.seed), "sandbox": sandbox.name}, first=not begun)
        for team_id, submission in read.items():
            store_submission(submission.files, run_dir / SUBMISSIONS / team_id)
            show.ignored(team_id, submission.ignored)
        if config.teams_dir is not None and config.seed < GUESSABLE:
            show.guessable(config.seed)
        yield run_dir


def _identity(team: Team, files: dict[str, bytes]) -> str:
    stamp = team.registration_timestamp
    return f"{digest(files)}, registered {stamp.isoformat() if stamp else 'at an unknown time'}"


class _Stored(BaseModel):
    """What is read of the configuration beside rules and roster."""

    model_config = ConfigDict(strict=True)

    action: str
    seed: int
    roster: list[dict[str, Any]]
    tournament: dict[str, Any]
    sandbox: SandboxConfig
    identity: dict[str, str | int | float | bool | list[Any] | None]


def read_competition(run_dir: Path) -> dict[str, Any]:
    """The configuration of the competition in `run_dir`; raises `RequestError` naming the file if it is damaged."""
    stored = read_run(run_dir)
    try:
        _Stored.model_validate(stored)
        with from_stored(run_dir):
            stored_teams(stored)
            rules_of(stored)
    except ValidationError as error:
        raise DamagedFileError(run_dir / "config.yaml", in_words(error), NOTHING_ELSE_SAYS) from None
    return stored


def stored_teams(stored: Mapping[str, Any]) -> list[Team]:
    """The teams of a run directory's configuration, fillers included."""
    with _readable("roster"):
        return [Team.of_json(entry) for entry in stored["roster"]]


def rules_of(stored: Mapping[str, Any]) -> TournamentConfig:
    """The rules that a run directory was made with."""
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
