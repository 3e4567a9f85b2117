"""Everything random follows from one seed; no two places share a stream; none tells of another."""

from __future__ import annotations

import random

import numpy as np
import pytest

from agt_tournament.game.seeding import GameSeeds, Purpose, stream, stream_seed

TEAMS = ("ana", "Ana", "ben", "team_1", "team_10", "team_11", "a" * 64)


def drawn(seeds: GameSeeds) -> dict[str, int]:
    """The first number of every stream of a game."""
    shared = {name: int(getattr(seeds, name)().integers(2**63)) for name in ("categories", "items", "ties")}
    own = {f"valuations {team}": int(seeds.valuations(team).integers(2**63)) for team in TEAMS}
    own |= {f"agent {team}": seeds.agent(team) for team in TEAMS}
    own |= {f"loading {team}": seeds.loading(team) for team in TEAMS}
    return shared | own


PLACES = [(stage, arena, game) for stage in range(3) for arena in range(1, 8) for game in (*range(1, 15), 100, 10**6)]


def test_no_two_streams_of_thousands_of_places_are_the_same() -> None:
    numbers = [number for place in PLACES for number in drawn(GameSeeds(5, *place)).values()]
    assert len(numbers) > 7000
    assert len(set(numbers)) == len(numbers)


def test_places_of_other_length_or_order_have_other_streams() -> None:
    places: list[tuple[int, ...]] = [(a, b, c) for a in range(12) for b in range(12) for c in range(12)]
    places += [(a, b) for a in range(12) for b in range(12)] + [(a,) for a in range(12)] + [(0,) * n for n in range(9)]
    distinct = set(places)
    assert len({stream_seed(3, *place) for place in distinct}) == len(distinct)


@pytest.mark.parametrize("other", [0, 6, 5 + 2**32, 5 + 2**64, 5 << 32, 2**128 - 1])
def test_another_seed_changes_every_stream(other: int) -> None:
    first, second = drawn(GameSeeds(5, 1, 2, 3)), drawn(GameSeeds(other, 1, 2, 3))
    assert not set(first.values()) & set(second.values())


def test_the_same_seed_and_place_give_the_same_stream() -> None:
    assert drawn(GameSeeds(2**127, 2, 1, 4)) == drawn(GameSeeds(2**127, 2, 1, 4))
    assert stream(4, 1, 2).integers(2**63) == stream(4, 1, 2).integers(2**63)


def test_asking_twice_begins_the_stream_again() -> None:
    seeds = GameSeeds(1, 1, 1, 1)
    assert seeds.items().random() == seeds.items().random()


def test_valuations_per_stage_repeat_and_nothing_else_does() -> None:
    one, two = (drawn(GameSeeds(5, 1, 2, game, "stage")) for game in (1, 2))
    same = {name for name in one if one[name] == two[name]}
    assert same == {"categories", *(f"valuations {team}" for team in TEAMS)}
    for seed, stage, arena in ((6, 1, 2), (5, 2, 2), (5, 1, 3)):
        other = drawn(GameSeeds(seed, stage, arena, 1, "stage"))
        assert not set(one.values()) & set(other.values())


def test_seeds_are_wide() -> None:
    seeds = [stream_seed(0, place) for place in range(200)]
    assert max(seeds) < 2**256
    assert min(seed.bit_length() for seed in seeds) > 230


def test_an_agents_seed_gives_no_other_stream_of_its_game() -> None:
    seeds = GameSeeds(5, 1, 2, 3)
    values = seeds.valuations("ana").uniform(1, 20, 20)
    for known in (seeds.agent("ana"), seeds.agent("ben"), seeds.loading("ana"), seeds.loading("ben")):
        words = np.random.SeedSequence(known)
        for generator in (np.random.PCG64(known), np.random.PCG64(words), np.random.MT19937(words)):
            assert not np.isin(np.random.Generator(generator).uniform(1, 20, 20), values).any()
        assert known not in (seeds.seed, stream_seed(seeds.seed), seeds.seed ^ known)
        random.seed(known)
        assert random.uniform(1, 20) not in values


def test_a_seed_is_not_the_sequence_that_numpy_could_be_asked_to_reverse() -> None:
    place = (1, 2, 3, Purpose.AGENT)
    sequence = np.random.SeedSequence(5, spawn_key=place)
    words = {sequence.generate_state(n).tobytes() for n in (2, 4, 8)} | {
        sequence.generate_state(4, np.uint64).tobytes()
    }
    seed = stream_seed(5, *place)
    assert not {seed.to_bytes(32, "little"), seed.to_bytes(32, "big")} & words


def test_the_numbers_of_purposes_are_fixed() -> None:
    """Stored games are replayed by them."""
    assert [(purpose.name, int(purpose)) for purpose in Purpose] == [
        ("ARENAS", 0),
        ("CATEGORIES", 1),
        ("VALUATIONS", 2),
        ("ITEMS", 3),
        ("TIES", 4),
        ("AGENT", 5),
        ("LOADING", 6),
    ]
