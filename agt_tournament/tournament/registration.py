"""Who takes part: a teams.yaml or a folder per team, examples by name (design document, Team)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import yaml
from omegaconf import DictConfig, OmegaConf
from pydantic import Field

from agt_tournament.config import PRESENTATION, TEAM_ID
from agt_tournament.tournament.submissions import AGENT_FILE, digest, read_submission
from generative_auctions import schema
from generative_auctions.errors import RequestError
from generative_auctions.naming import request_name

BUNDLED = Path(__file__).resolve().parents[1] / "example_teams"
EXAMPLES = Path(__file__).resolve().parents[1] / "agents"
_ROSTER = "teams.yaml"
_LETTERS = 200
"""Of a reason that is told in a line."""
_PLACE = re.compile(r'File "(.+)", line (\d+)')


@dataclass(frozen=True)
class Team:
    """A registered team; `agent_file_path` is a file or a folder with `AGENT_FILE`."""

    team_id: str
    team_name: str
    agent_file_path: str
    registration_timestamp: datetime | None = None
    """None where it is not known: behind all others when it has to break a tie."""
    members: list[str] = field(default_factory=list)
    filler: bool = False
    """Of the staff: it fills an arena up, is not ranked and cannot advance."""

    def as_json(self) -> dict[str, Any]:
        """For the run directory, without the path."""
        stamp = self.registration_timestamp
        shown = {**asdict(self), "registration_timestamp": stamp.isoformat() if stamp else None}
        del shown["agent_file_path"]
        return shown

    @classmethod
    def of_json(cls, entry: dict[str, Any], agent_file_path: str = "") -> Team:
        """What `as_json` gave."""
        stamp = entry["registration_timestamp"]
        parsed = datetime.fromisoformat(stamp) if stamp else None
        return cls(**{**entry, "registration_timestamp": parsed}, agent_file_path=agent_file_path)


class SetAside(NamedTuple):
    """A team that does not play."""

    team: Team
    reason: str
    """Why its submission cannot be read or loaded: a line, or what its import raised."""

    @property
    def gist(self) -> str:
        """The reason in a line: of a traceback the last place and the error."""
        lines = self.reason.strip().splitlines()
        places = _PLACE.findall(self.reason)
        is_raised = not lines[-1].startswith("  ")  # else the last line is a place, where it was stopped
        error = lines[-1] if is_raised else lines[0]
        said = f"{places[-1][0]}:{places[-1][1]}: {error}" if places else lines[0]
        return said if len(said) <= _LETTERS else f"{said[: _LETTERS - 1]}…"

    def as_json(self) -> dict[str, Any]:
        """For the run directory."""
        return {**self.team.as_json(), "reason": self.reason}

    @classmethod
    def of_json(cls, entry: dict[str, Any]) -> SetAside:
        """What `as_json` gave."""
        return cls(Team.of_json({key: value for key, value in entry.items() if key != "reason"}), entry["reason"])


def examples() -> dict[str, Path]:
    """The bundled example agents by name."""
    return {path.stem: path for path in sorted(EXAMPLES.glob("*_bidder.py"))}


def is_bundled(team: Team) -> bool:
    """Whether the team's agent comes with the project."""
    return Path(team.agent_file_path).resolve().is_relative_to(EXAMPLES)


def read_teams(teams_dir: Path, key: str = "teams_dir") -> list[Team]:
    """The teams in `teams_dir`, by its teams.yaml or its folders; raises `RequestError` naming what is wrong."""
    if not teams_dir.is_dir():
        raise RequestError(key, teams_dir, "a folder with a folder for each team, or with a teams.yaml")
    roster = teams_dir / _ROSTER
    teams = list(_of_roster(roster) if roster.exists() else _of_folders(teams_dir, key))
    if not teams:
        raise RequestError(key, teams_dir, f"at least one folder with {AGENT_FILE}, or a {_ROSTER}")
    seen: set[str] = set()
    for team in teams:
        if team.team_id.casefold() in seen:  # some file systems do not tell A from a
            raise RequestError("team_id", team.team_id, f"an id that no other team of {teams_dir} has")
        seen.add(team.team_id.casefold())
    return teams


class _Entry(schema.Section):
    team_id: Annotated[str, schema.matching(TEAM_ID, "letters, digits, - and _, at most 64, a letter or digit first")]
    team_name: str | None = Field(default=None, min_length=1, max_length=200)
    agent_file_path: Annotated[str, schema.matching(r"[^\0]+", "a path")] | None = None
    registration_timestamp: Any = None
    members: list[str] = Field(default_factory=list)


def _of_roster(roster: Path) -> Iterator[Team]:
    try:
        entries = yaml.safe_load(roster.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError:
        raise RequestError("teams_dir", roster, "a YAML file in UTF-8; save it in that encoding") from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:  # a date that is none is a ValueError
        raise RequestError("teams_dir", roster, f"a readable YAML file ({' '.join(str(error).split())})") from None
    if isinstance(entries, dict) and set(entries) == {"teams"}:
        entries = entries["teams"]
    if not (isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)):
        raise RequestError("teams_dir", roster, "a list of teams, each with team_id and agent_file_path")
    wrong = []
    for place, entry in enumerate(entries):
        try:
            yield _of_entry(entry, f"{roster.name}[{place}]", roster.parent)
        except RequestError as error:
            wrong.append(error)
    if len(wrong) == 1:
        raise wrong[0]
    if wrong:
        expected = f"a list of teams; {len(wrong)} of {len(entries)} entries are wrong"
        raise RequestError("teams_dir", roster, expected, list(map(str, wrong)))


def _of_entry(entry: dict[str, Any], where: str, folder: Path) -> Team:
    """The team of an entry of a roster in `folder`; raises `RequestError` with keys that begin with `where`."""
    try:
        checked = schema.read_config(_Entry, entry)
    except RequestError as error:
        raise RequestError(f"{where}.{error.key}", error.value, error.expected) from None
    name = checked.team_name or checked.team_id
    _check_name(f"{where}.team_name", name)
    path = folder / (checked.agent_file_path or checked.team_id)
    stamp = _timestamp(f"{where}.registration_timestamp", checked.registration_timestamp)
    return Team(checked.team_id, name, str(path), stamp, list(checked.members))


def _of_folders(teams_dir: Path, key: str) -> Iterator[Team]:
    """A folder is a team; when it registered is not known: the time of a file says when it was copied."""
    folders = [path for path in sorted(teams_dir.iterdir()) if path.is_dir() and not path.name.startswith((".", "__"))]
    if misnamed := [folder.name for folder in folders if not re.fullmatch(TEAM_ID, folder.name)]:
        expected = "folders named with letters, digits, - and _, at most 64, as team ids"
        raise RequestError(key, teams_dir, f"{expected}; {len(misnamed)} of {len(folders)} are not", misnamed)
    for folder in folders:
        yield Team(folder.name, folder.name, str(folder))


def _check_name(key: str, name: str) -> None:
    if not name.isprintable() or name.startswith(("=", "+", "-", "@")):  # a spreadsheet would run it as a formula
        raise RequestError(key, repr(name), "a printable name that does not begin with =, +, - or @")


def _timestamp(key: str, value: Any) -> datetime | None:
    """ISO 8601 text, or what YAML makes of it; without a time zone it is UTC."""
    try:
        stamp = datetime.fromisoformat(value) if isinstance(value, str) and ":" in value else value
    except ValueError:
        stamp = value
    if stamp is None:
        return None
    if not isinstance(stamp, datetime):
        raise RequestError(key, value, "date and time as 2026-10-05T09:00:00+02:00")
    return stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)


# --- who plays -------------------------------------------------------------------------------------------


def example_team(name: str, team_id: str, *, key: str, filler: bool = False) -> Team:
    """A team of the bundled example `name`, or of a file or folder of that name; raises `RequestError`."""
    path = examples().get(name) or Path(name)
    if not path.exists():
        expected = f"a file, a folder or one of {', '.join(examples())}"
        raise RequestError(key, name, expected)
    return Team(team_id, team_id, str(path), filler=filler)


def game_teams(named: Iterable[str], registered: Iterable[Team]) -> list[Team]:
    """The teams of one game: each of `named` is an id of `registered`, an example, a file or a folder."""
    known = {team.team_id: team for team in registered}
    teams: list[Team] = []
    for place, name in enumerate(named):
        key = f"teams[{place}]"
        team_id = _free_id(name, {team.team_id for team in teams}, key)
        if name in known:
            teams.append(Team(**{**vars(known[name]), "team_id": team_id}))
        else:
            teams.append(example_team(name, team_id, key=key))
    return teams


def _free_id(name: str, taken: set[str], key: str) -> str:
    """A team id after the last part of `name`; the second of that name ends in _2."""
    path = Path(name)
    stem = path.parent.name if path.name == AGENT_FILE and path.parent.name else path.stem
    letters = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in stem)[:50].lstrip("-_")
    if not letters:
        raise RequestError(key, name, "a name with at least one letter or digit")
    number = next(n for n in range(1, len(taken) + 2) if _numbered(letters, n) not in taken)
    return _numbered(letters, number)


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}_{number}"


_NOT_IN_NAMES = tuple(key for key in PRESENTATION if key not in ("teams_dir", "teams"))


def tournament_directory(action: str, tournament: str, teams_dir: str | None, teams: Any, *, _root_: DictConfig) -> str:
    """The folder that `run_dir` ends in unless it is given: the tournament's name, and what else was asked.

    A team tries its agent again and again: the name of a game follows from the submissions too, so that each version
    has a directory of its own.
    """
    if teams and action in ("game", "report", "replay"):
        versions = _versions(list(map(str, teams)), teams_dir)
        return request_name("game", _root_, named_by=None, unnamed=_NOT_IN_NAMES, versions=versions)
    return request_name(tournament, _root_, named_by="tournament.name", unnamed=("tournament.name", *_NOT_IN_NAMES))


def _versions(named: Iterable[str], teams_dir: str | None) -> Iterator[str]:
    """Digests of the submissions of a game."""
    known = {team.team_id: Path(team.agent_file_path) for team in _readable_teams(teams_dir)}
    for name in named:
        path = known.get(name) or examples().get(name) or Path(name)
        with suppress(RequestError, OSError):  # what is wrong with a submission is said when it is read to be played
            yield digest(read_submission(path, "teams").files)


def _readable_teams(teams_dir: str | None) -> list[Team]:
    try:
        return read_teams(Path(teams_dir)) if teams_dir else []
    except (RequestError, OSError):  # which is said when they are read to be played
        return []


# conf/agt_tournament.yaml asks for it
OmegaConf.register_new_resolver("tournament_directory", tournament_directory, replace=True)
