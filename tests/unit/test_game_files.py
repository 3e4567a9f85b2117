"""Files of games that are no files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agt_tournament.game.game_files import game_digests, read_game
from generative_auctions.errors import RequestError


def test_a_pipe_in_the_place_of_a_game_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "game_1.json")
    with pytest.raises(RequestError, match="no regular file"):
        read_game(tmp_path / "game_1.json")
    assert game_digests(tmp_path / "game_1.json") == (None, None)
