"""The record of each game on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from agt_tournament.game.auction_engine import NOBODY
from agt_tournament.game.record import Failure, GameResult
from generative_auctions.files import DamagedFileError, read_json, write_atomic, write_json

Digests = tuple[str | None, str | None]
"""The digests of the two `game_files`, None for one that is missing."""


def place_of_game(stage: int, arena_id: str, game: int) -> str:
    """Return the path of a game file below the run directory."""
    return f"stage{stage}/{arena_id}/game_{game}.json"


def id_of_game(stage: int, arena_id: str, game: int) -> str:
    """Return the id of a game of a stage."""
    return f"stage{stage}_{arena_id}_game_{game}"


def game_files(path: Path) -> tuple[Path, Path]:
    """Return the path of a game file and that of the agents' output, which exists only if there is some."""
    return path, path.with_suffix(".output.json")


def game_digests(path: Path) -> Digests:
    """Return the digests that completion records keep of a game."""
    game, output = (
        hashlib.sha256(file.read_bytes()).hexdigest()[:20] if file.is_file() else None for file in game_files(path)
    )
    return game, output


def log_game_result(path: Path, result: GameResult, outputs: Mapping[str, str]) -> None:
    """Write a game file and, if there is any, what the agents printed."""
    game_file, output_file = game_files(path)
    printed = {team: text for team, text in outputs.items() if text}
    if printed:
        write_json(printed, output_file)
    else:
        output_file.unlink(missing_ok=True)
    content = result.as_json()
    content["failures"] = _each_text_once(content["failures"])
    write_atomic(game_file, (json.dumps(content, allow_nan=False, ensure_ascii=False) + "\n").encode())


def read_game(path: Path) -> GameResult:
    """Read the game file `path`; raises `RequestError` naming the file if it is damaged."""
    return GameResult.from_json(read_content(path))


def read_content(path: Path) -> dict[str, Any]:
    """Read the game file `path` as plain JSON, with keys that no record has; raises as `read_game` does."""
    content: dict[str, Any] = read_json(path, _GAME, _REMEDY)
    if problem := _contradiction(content):
        raise DamagedFileError(path, problem, _REMEDY)
    content["failures"] = _all_texts(content["failures"])
    return content


def read_output(path: Path) -> dict[str, str]:
    """Read what each team's agent printed in a game, {} without a file; raises `RequestError` if it is damaged."""
    return read_json(path, _OUTPUT, _REMEDY) if path.exists() else {}


def check_as_played(path: Path, digests: Digests) -> DamagedFileError | None:
    """Return the damage of a game that does not match its `digests`, so that it may be played again; else None.

    Raises `DamagedFileError` for a whole file that is another than was played: no other game may take its place.
    """
    found = None
    for file, then, now in zip(game_files(path), digests, game_digests(path), strict=True):
        if now == then:
            continue
        try:
            if now is None:
                raise DamagedFileError(file, "no regular file" if file.exists() else "it is missing", _REMEDY)
            read_game(file) if file == path else read_output(file)
        except DamagedFileError as error:
            found = error
        else:
            problem = "it is another than was played, by the digest that was kept"
            raise DamagedFileError(file, problem, f"put it back from a copy, or {_REMEDY}")
    return found


def _each_text_once(failures: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Replace each repeated text by ``text_of``, the place of the failure that has it: texts may be long."""
    first: dict[str, int] = {}
    stored = []
    for place, failure in enumerate(failures):
        earlier = first.setdefault(failure["text"], place)
        shared = {"text": failure["text"]} if earlier == place else {"text_of": earlier}
        stored.append({**{key: value for key, value in failure.items() if key != "text"}, **shared})
    return stored


def _all_texts(stored: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Undo `_each_text_once`."""
    failures: list[dict[str, Any]] = []
    for failure in stored:
        text = failure["text"] if "text" in failure else failures[failure["text_of"]]["text"]
        failures.append({**{key: value for key, value in failure.items() if key != "text_of"}, "text": text})
    return failures


# --- damaged files ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _StoredFailure(Failure):
    text_of: int = 0


@dataclass(frozen=True)
class _StoredGame(GameResult):
    failures: list[_StoredFailure]  # type: ignore[assignment]


_GAME, _OUTPUT = TypeAdapter(_StoredGame), TypeAdapter(Annotated[dict[str, str], Field(min_length=1)])
"""The parts of the files that are read. The files may hold more; `replay` reports it."""

_REMEDY = "remove it, and the command that played the game plays it again"


def _contradiction(game: Mapping[str, Any]) -> str | None:
    """Name a team or an item that one part of the game knows and another does not; None if there is none."""
    teams = set(game["team_results"])
    for place, entry in enumerate(game["auction_log"]):
        for name in ("all_bids", "asked", "caps", "seconds", "cpu_seconds"):
            if set(entry[name]) != teams:
                return f"auction_log.{place}.{name}: other teams than in team_results"
        if entry["winner"] not in teams | {NOBODY}:
            return f"auction_log.{place}.winner: {entry['winner']!r} is no team of the game"
        if not all(entry["item_id"] in result["valuation_vector"] for result in game["team_results"].values()):
            return f"auction_log.{place}.item_id: an item without a valuation"
    for place, failure in enumerate(game["failures"]):
        told = "text" in failure
        if told == ("text_of" in failure) or not (told or 0 <= failure["text_of"] < place):
            return f"failures.{place}: neither a text nor the place of an earlier one"
    strangers = {failure["team_id"] for failure in game["failures"]} - teams
    return f"failures: {min(strangers)} is no team of the game" if strangers else None
