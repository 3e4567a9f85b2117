"""The name of a run directory that was not given: conf/agt_tournament.yaml asks for it by a resolver."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from agt_tournament.config import PRESENTATION
from agt_tournament.tournament.registration import Team, digest, examples, read_submission
from agt_tournament.tournament.registration.registered import read_teams
from generative_auctions.errors import RequestError
from generative_auctions.naming import request_name

_NOT_IN_NAMES = tuple(key for key in PRESENTATION if key not in ("teams_dir", "teams"))


def tournament_directory(action: str, tournament: str, teams_dir: str | None, teams: Any, *, _root_: DictConfig) -> str:
    """Name the folder that `run_dir` ends in by default: the tournament's name, and what else was asked.

    A team tries its agent again and again: the name of a game follows from the submissions too, so that each version
    has a directory of its own.
    """
    if teams and action in ("game", "report", "replay"):
        versions = _versions(list(map(str, teams)), teams_dir)
        return request_name("game", _root_, named_by=None, unnamed=_NOT_IN_NAMES, versions=versions)
    return request_name(tournament, _root_, named_by="tournament.name", unnamed=("tournament.name", *_NOT_IN_NAMES))


def _versions(named: Iterable[str], teams_dir: str | None) -> Iterator[str]:
    """Yield the digests of the submissions of a game."""
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


OmegaConf.register_new_resolver("tournament_directory", tournament_directory, replace=True)
