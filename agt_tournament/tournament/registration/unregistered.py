"""Teams that need no registration: bundled examples, files and folders by name, fillers of free seats."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import chain, count
from pathlib import Path

from agt_tournament.config import TournamentConfig
from agt_tournament.tournament.registration.submissions import AGENT_FILE
from agt_tournament.tournament.registration.teams import Team
from generative_auctions.errors import RequestError

_PACKAGE = Path(__file__).resolve().parents[2]
BUNDLED, EXAMPLES = _PACKAGE / "example_teams", _PACKAGE / "agents"


def examples() -> dict[str, Path]:
    """Return the bundled example agents by name."""
    return {path.stem: path for path in sorted(EXAMPLES.glob("*_bidder.py"))}


def is_bundled(team: Team) -> bool:
    """Return whether the team's agent comes with the project."""
    return Path(team.agent_file_path).resolve().is_relative_to(EXAMPLES)


def example_team(name: str, team_id: str, *, key: str, filler: bool = False) -> Team:
    """Make a team of the bundled example `name`, or of a file or folder of that name; raises `RequestError`."""
    path = examples().get(name) or Path(name)
    if not path.exists():
        raise RequestError(key, name, f"a file, a folder or one of {', '.join(examples())}")
    return Team(team_id, team_id, str(path), filler=filler)


def game_teams(named: Iterable[str], registered: Iterable[Team]) -> list[Team]:
    """Return the teams of one game: each of `named` is an id of `registered`, an example, a file or a folder."""
    known = {team.team_id: team for team in registered}
    teams: list[Team] = []
    for place, name in enumerate(named):
        key = f"teams[{place}]"
        team_id = _free_id(name, {team.team_id for team in teams}, key)
        if name in known:
            teams.append(replace(known[name], team_id=team_id))
        else:
            teams.append(example_team(name, team_id, key=key))
    return teams


def _free_id(name: str, taken: set[str], key: str) -> str:
    """Make a team id of the last part of `name`; the second of that name ends in _2."""
    path = Path(name)
    stem = path.parent.name if path.name == AGENT_FILE and path.parent.name else path.stem
    letters = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in stem)[:50].lstrip("-_")
    if not letters:
        raise RequestError(key, name, "a name with at least one letter or digit")
    numbered = chain([letters], (f"{letters}_{number}" for number in count(2)))
    return next(team_id for team_id in numbered if team_id not in taken)


def fillers(rules: TournamentConfig, number: int) -> list[Team]:
    """Return so many teams of the staff, their agents taken in turn from `rules.fillers`."""
    places = [seat % len(rules.fillers) for seat in range(number)]
    return [
        example_team(rules.fillers[place], f"filler_{seat}", key=f"tournament.fillers[{place}]", filler=True)
        for seat, place in enumerate(places, start=1)
    ]


def with_fillers(teams: list[Team], rules: TournamentConfig) -> list[Team]:
    """Return `teams` and, if the rules name any, as many fillers as there are free seats in their arenas."""
    if not rules.fillers:
        return teams
    added = fillers(rules, -len(teams) % rules.arena_size)
    taken = {team.team_id for team in teams} & {team.team_id for team in added}
    if taken:
        raise RequestError("team_id", ", ".join(sorted(taken)), "another id: with fillers these are the staff's")
    return [*teams, *added]
