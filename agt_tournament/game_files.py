"""The record of each game on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
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
    write_atomic(game_file, (json.dumps(result.as_json(), allow_nan=False, ensure_ascii=False) + "\n").encode())


def read_game(path: Path) -> dict[str, Any]:
    """The content of a game file."""
    content: dict[str, Any] = json.loads(path.read_bytes())
    return content
