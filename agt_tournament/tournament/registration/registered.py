"""Read who takes part: a teams.yaml, or a folder for each team."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field

from agt_tournament.config import TEAM_ID
from agt_tournament.tournament.registration.submissions import AGENT_FILE
from agt_tournament.tournament.registration.teams import Team
from generative_auctions import schema
from generative_auctions.errors import RequestError

_ROSTER = "teams.yaml"


def read_teams(teams_dir: Path, key: str = "teams_dir") -> list[Team]:
    """Read the teams in `teams_dir` from its teams.yaml or its folders; raises `RequestError`."""
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
    """Read the team of a roster's entry; raises `RequestError` with keys that begin with `where`."""
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
    """Yield a team for each folder; its registration time is unknown, as file times only say when it was copied."""
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
    """Parse ISO 8601 text, or what YAML makes of it; without a time zone it is UTC."""
    try:
        stamp = datetime.fromisoformat(value) if isinstance(value, str) and ":" in value else value
    except ValueError:
        stamp = value
    if stamp is None:
        return None
    if not isinstance(stamp, datetime):
        raise RequestError(key, value, "date and time as 2026-10-05T09:00:00+02:00")
    return stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)
