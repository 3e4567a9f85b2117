"""The record of each game on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agt_tournament.game_manager import GameResult
from experiments.run_directory import write_json
from launchers.shards import write_atomic


def place_of_game(stage: int, arena_id: str, game: int) -> str:
    """The game file of a stage's arena, below the run directory."""
    return f"stage{stage}/{arena_id}/game_{game}.json"


def game_files(path: Path) -> tuple[Path, Path]:
    """A game file, and what the agents printed in that game; the second is there only if they did."""
    return path, path.with_suffix(".output.json")


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


def read_game(path: Path) -> dict[str, Any]:
    """The content of a game file."""
    content: dict[str, Any] = json.loads(path.read_bytes())
    content["failures"] = _all_texts(content["failures"])
    return content


def _each_text_once(failures: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """`failures` with ``text_of``, the place of an earlier one, instead of a text that is the same: it may be long."""
    first: dict[str, int] = {}
    stored = []
    for place, failure in enumerate(failures):
        earlier = first.setdefault(failure["text"], place)
        shared = {"text": failure["text"]} if earlier == place else {"text_of": earlier}
        stored.append({**{key: value for key, value in failure.items() if key != "text"}, **shared})
    return stored


def _all_texts(stored: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What `_each_text_once` was given."""
    failures: list[dict[str, Any]] = []
    for failure in stored:
        text = failures[failure["text_of"]]["text"] if "text_of" in failure else failure["text"]
        failures.append({**{key: value for key, value in failure.items() if key != "text_of"}, "text": text})
    return failures
