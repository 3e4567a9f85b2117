"""Arenas, fillers and blocks of games."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from agt_tournament.game.game_files import game_files, place_of_game
from agt_tournament.tournament.tournament_manager import (
    Arena,
    TournamentStage,
    block_player,
    draw_arenas,
    fill_arenas,
    is_played,
    limits_of,
    unplayed,
)
from launchers import completion_of
from tests.tournament import rules, submission


def names(n: int) -> list[str]:
    return [f"team_{i}" for i in range(n)]


@given(st.integers(1, 60), st.integers(1, 8), st.integers(0, 9))
def test_arenas_are_balanced_as_few_as_possible_and_seat_every_team_once(n: int, size: int, seed: int) -> None:
    arenas = draw_arenas(names(n), size, seed)
    sizes = [len(arena.team_ids) for arena in arenas]
    assert sorted(team for arena in arenas for team in arena.team_ids) == sorted(names(n))
    assert (len(arenas) - 1) * size < n <= len(arenas) * size
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= size
    assert [arena.number for arena in arenas] == list(range(1, len(arenas) + 1))
    assert {arena.stage for arena in arenas} == {1}
    assert all(isinstance(team, str) for arena in arenas for team in arena.team_ids)


@given(st.integers(1, 60), st.integers(1, 8))
def test_fillers_take_every_free_seat_once(n: int, size: int) -> None:
    fillers = [f"filler_{i}" for i in range(-n % size)]
    drawn = draw_arenas(names(n), size, 0)
    filled = fill_arenas(drawn, size, fillers)
    assert {len(arena.team_ids) for arena in filled} == {size}
    assert sorted(team for arena in filled for team in arena.team_ids) == sorted([*names(n), *fillers])
    for before, after in zip(drawn, filled, strict=True):
        assert after.team_ids[: len(before.team_ids)] == before.team_ids
        assert (after.stage, after.number) == (before.stage, before.number)


@pytest.mark.parametrize(
    ("n", "size", "sizes"), [(7, 3, [3, 2, 2]), (6, 5, [3, 3]), (5, 5, [5]), (1, 5, [1]), (4, 1, [1] * 4)]
)
def test_sizes_by_hand(n: int, size: int, sizes: list[int]) -> None:
    assert [len(arena.team_ids) for arena in draw_arenas(names(n), size, 4)] == sizes


def test_every_team_is_as_likely_in_every_arena_and_seat() -> None:
    draws = [[team for arena in draw_arenas(names(7), 3, seed) for team in arena.team_ids] for seed in range(4200)]
    for seat in range(7):
        assert stats.chisquare(list(Counter(draw[seat] for draw in draws).values())).pvalue > 1e-4


def test_every_division_into_arenas_is_equally_likely() -> None:
    divisions = Counter(
        frozenset(frozenset(arena.team_ids) for arena in draw_arenas(names(4), 2, seed)) for seed in range(3000)
    )
    assert len(divisions) == 3
    assert stats.chisquare(list(divisions.values())).pvalue > 1e-3


def test_the_draw_follows_from_the_seed() -> None:
    assert draw_arenas(names(20), 5, 3) == draw_arenas(names(20), 5, 3)
    assert draw_arenas(names(20), 5, 3) != draw_arenas(names(20), 5, 4)
    assert draw_arenas(names(20), 5, 3)[0].arena_id == "arena_1"


# --- blocks of games -------------------------------------------------------------------------------------


@given(st.integers(1, 40), st.integers(1, 12))
def test_blocks_hold_every_game_of_every_arena_once(games: int, block: int) -> None:
    stage = TournamentStage(1, (Arena(1, 1, ("a", "b")), Arena(1, 2, ("c",))), games)
    shards = stage.blocks(block)
    for number in (1, 2):
        ranges = [shard.payload["games"] for shard in shards if shard.payload["arena"] == number]
        assert [game for first, last in ranges for game in range(first, last + 1)] == list(range(1, games + 1))
        assert all(1 <= last - first + 1 <= block for first, last in ranges)
    assert sum(shard.size for shard in shards) == 2 * games
    assert len({shard.key for shard in shards}) == len(shards)


BIDDER = """
from base_agent import BiddingAgent

class Bidder(BiddingAgent):
    def bidding_function(self, item_id):
        return self.valuation_vector[item_id]
"""


def test_a_block_is_played_stored_and_marked_and_a_change_is_noticed(tmp_path: Path) -> None:
    for team in ("ana", "ben"):
        submission(tmp_path / "submissions" / team, BIDDER)
    small, marks = rules(auction_rounds=2), tmp_path / "shards"
    (shard,) = TournamentStage(1, (Arena(1, 3, ("ana", "ben")),), 2).blocks(5)
    assert not is_played(tmp_path, marks, shard)
    block_player(tmp_path, tmp_path / "submissions", small, 4, marks)(shard)
    assert is_played(tmp_path, marks, shard)
    files = [game_files(tmp_path / place_of_game(1, "arena_3", game))[0] for game in (1, 2)]
    assert [path.relative_to(tmp_path).as_posix() for path in files] == [
        "stage1/arena_3/game_1.json",
        "stage1/arena_3/game_2.json",
    ]
    content = files[1].read_bytes()
    files[1].write_bytes(content + b" ")
    assert not is_played(tmp_path, marks, shard)
    files[1].write_bytes(content)
    assert is_played(tmp_path, marks, shard)
    assert unplayed(tmp_path, marks, [shard]) == []
    files[0].unlink()
    assert not is_played(tmp_path, marks, shard)
    assert unplayed(tmp_path, marks, [shard]) == [shard]
    assert completion_of(marks, shard.key) is None


def test_the_rules_set_the_limits_of_a_process() -> None:
    changed = rules(bid_timeout_seconds=3, load_timeout_seconds=4, game_timeout_seconds=5, memory_limit_mb=55)
    assert limits_of(changed)[:5] == (3, 4, 5, 55, 16)
