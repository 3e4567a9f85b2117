"""One round: price, cap, ties, failures; worked by hand and as properties."""

from __future__ import annotations

import itertools
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from agt_tournament.game.auction_engine import NOBODY, Answer, AuctionRound
from agt_tournament.game.seeding import GameSeeds
from tests.tournament import ScriptedBidder

TEAMS = ("ana", "ben", "cai", "dee", "eli")


def no_ties() -> np.random.Generator:
    raise AssertionError("nobody is equal, yet the stream of ties was asked for")


def held(bids: dict[str, float], budget: float = 60.0, decimals: int | None = None, seed: int = 0) -> AuctionRound:
    """The round of `bids`, everyone with the same budget."""
    ties = np.random.default_rng(seed)
    return AuctionRound("item_0", dict.fromkeys(bids, budget), lambda: ties, decimals).settle(bids)


@pytest.mark.parametrize(
    ("bids", "winner", "price"),
    [
        ({"ana": 3.0, "ben": 2.0, "cai": 1.0}, "ana", 2.0),
        ({"ana": 1.0, "ben": 2.0, "cai": 3.0}, "cai", 2.0),
        ({"ana": 1.0, "ben": 3.0, "cai": 1.0}, "ben", 1.0),
        ({"ana": 0.0, "ben": 5e-324, "cai": 0.0}, "ben", 0.0),
        ({"ana": 7.0}, "ana", 0.0),
        ({"ana": 0.0, "ben": 0.0}, NOBODY, 0.0),
        ({"ana": 0.0}, NOBODY, 0.0),
        ({}, NOBODY, 0.0),
        ({"ana": 61.0, "ben": 59.0}, "ana", 59.0),
    ],
)
def test_the_highest_bidder_pays_the_second_highest_bid(bids: dict[str, float], winner: str, price: float) -> None:
    round_ = AuctionRound("item_0", dict.fromkeys(bids, 60.0), no_ties).settle(bids)
    assert (round_.winner, round_.price) == (winner, price)


def test_equal_highest_bidders_pay_their_bid() -> None:
    round_ = held({"ana": 4.0, "ben": 9.0, "cai": 9.0})
    assert round_.winner in ("ben", "cai")
    assert round_.price == 9.0


def test_bids_that_only_the_cap_makes_equal_are_a_tie() -> None:
    winners = {held({"ana": 61.0, "ben": 99.0, "cai": 3.0}, seed=seed).winner for seed in range(40)}
    assert winners == {"ana", "ben"}
    assert held({"ana": 61.0, "ben": 99.0}).price == 60.0


def test_a_team_without_money_cannot_win_however_much_it_bids() -> None:
    round_ = AuctionRound("item_0", {"ana": 0.0, "ben": 60.0}, no_ties).settle({"ana": 50.0, "ben": 0.25})
    assert (round_.winner, round_.price, round_.all_bids) == ("ben", 0.0, {"ana": 0.0, "ben": 0.25})


def test_bids_are_rounded_before_they_are_compared() -> None:
    round_ = held({"ana": 1.006, "ben": 1.014, "cai": 0.2}, decimals=2)
    assert round_.all_bids == {"ana": 1.01, "ben": 1.01, "cai": 0.2}
    assert round_.price == 1.01
    assert held({"ana": 0.004, "ben": 0.0}, decimals=2).winner == NOBODY
    assert held({"ana": 0.004, "ben": 0.0}).winner == "ana"


def test_rounding_never_lifts_a_bid_above_the_budget() -> None:
    round_ = held({"ana": 59.999, "ben": 1.0}, budget=59.997, decimals=2)
    assert round_.all_bids["ana"] <= 59.997


def test_every_agent_is_asked_once_for_the_item_of_the_round() -> None:
    agents = {team: ScriptedBidder({"item_7": float(place)}) for place, team in enumerate(TEAMS)}
    round_ = AuctionRound("item_7", dict.fromkeys(TEAMS, 60.0), no_ties).run(agents)
    assert [agent.asked for agent in agents.values()] == [["item_7"]] * 5
    assert (round_.winner, round_.price) == ("eli", 3.0)


def test_the_log_tells_what_was_asked_capped_failed_and_noted() -> None:
    script = {
        "ana": Answer(80.0, 0.25, cpu_seconds=0.125, waited_seconds=0.0625),
        "ben": Answer(0.0, 2.0, "timeout", "no answer within 2 s", valid=False),
        "cai": Answer(5.0, 0.5, "crash", "in the update", "update_after_each_round"),
        "dee": Answer(0.0, None, "exit", valid=False),
    }
    agents = {team: ScriptedBidder({"item_1": answer}) for team, answer in script.items()}
    budgets = {"ana": 40.0, "ben": 30.0, "cai": 20.0, "dee": 10.0}
    assert asdict(AuctionRound("item_1", budgets, no_ties).run(agents).record(3)) == {
        "round": 3,
        "item_id": "item_1",
        "winner": "ana",
        "price": 5.0,
        "all_bids": {"ana": 40.0, "ben": 0.0, "cai": 5.0, "dee": 0.0},
        "asked": {"ana": 80.0, "ben": None, "cai": 5.0, "dee": None},
        "caps": {"ana": 40.0, "ben": 30.0, "cai": 20.0, "dee": 10.0},
        "cpu_seconds": {"ana": 0.125, "ben": None, "cai": None, "dee": None},
        "seconds": {"ana": 0.25, "ben": 2.0, "cai": 0.5, "dee": None},
        "waited_seconds": {"ana": 0.0625, "ben": None, "cai": None, "dee": None},
        "errors": {"ben": "timeout", "cai": "crash", "dee": "exit"},
        "notes": {"ana": "bid 80 cut down to the budget, 40"},
    }


def test_a_bid_of_exactly_the_budget_is_not_noted() -> None:
    agents = {"ana": ScriptedBidder({"item_1": 40.0})}
    assert AuctionRound("item_1", {"ana": 40.0}, no_ties).run(agents).record(1).notes == {}


# --- ties ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tied", [2, 3, 5])
def test_within_one_stream_each_of_the_equal_wins_as_often(tied: int) -> None:
    ties = GameSeeds(11, 1, 1, 1).ties()
    bids = {team: 7.0 if place < tied else 3.0 for place, team in enumerate(TEAMS)}
    winners = [AuctionRound("i", dict.fromkeys(TEAMS, 60.0), lambda: ties).settle(bids).winner for _ in range(6000)]
    assert set(winners) == set(TEAMS[:tied])
    assert stats.chisquare([winners.count(team) for team in TEAMS[:tied]]).pvalue > 1e-3


@pytest.mark.parametrize("tied", [2, 3, 5])
def test_over_the_first_ties_of_many_games_each_of_the_equal_wins_as_often(tied: int) -> None:
    bids = {team: 7.0 if place >= 5 - tied else 3.0 for place, team in enumerate(TEAMS)}
    winners = [
        AuctionRound("i", dict.fromkeys(TEAMS, 60.0), GameSeeds(12, 1, 1, game).ties).settle(bids).winner
        for game in range(1, 4001)
    ]
    assert set(winners) == set(TEAMS[5 - tied :])
    assert stats.chisquare([winners.count(team) for team in TEAMS[5 - tied :]]).pvalue > 1e-3


def test_successive_ties_are_independent() -> None:
    ties = GameSeeds(13, 1, 1, 1).ties()
    bids = {"ana": 7.0, "ben": 7.0}
    winners = [AuctionRound("i", dict.fromkeys(bids, 60.0), lambda: ties).settle(bids).winner for _ in range(4001)]
    pairs = list(itertools.pairwise(winners))
    counts = [pairs.count((a, b)) for a in bids for b in bids]
    assert stats.chisquare(counts).pvalue > 1e-3


def test_ties_follow_from_the_seed() -> None:
    def winners(seed: int) -> list[str]:
        ties = GameSeeds(seed, 1, 1, 1).ties()
        return [
            AuctionRound("i", dict.fromkeys(TEAMS, 60.0), lambda: ties).settle(dict.fromkeys(TEAMS, 7.0)).winner
            for _ in range(50)
        ]

    assert winners(1) == winners(1)
    assert winners(1) != winners(2)


# --- properties ------------------------------------------------------------------------------------------

amounts = st.one_of(st.integers(0, 12).map(lambda n: n / 4), st.floats(0, 1e6, allow_nan=False))
teams = st.lists(st.tuples(amounts, amounts), min_size=1, max_size=7)


@given(teams, st.sampled_from([None, 0, 2, 6]), st.integers(0, 3))
def test_whatever_is_bid_the_price_is_the_second_highest_and_within_the_winners_cap(
    asked: list[tuple[float, float]], decimals: int | None, seed: int
) -> None:
    bids = {f"t{i}": bid for i, (bid, _) in enumerate(asked)}
    caps = {f"t{i}": cap for i, (_, cap) in enumerate(asked)}
    ties = np.random.default_rng(seed)
    round_ = AuctionRound("i", caps, lambda: ties, decimals).settle(bids)
    ordered = sorted(round_.all_bids.values(), reverse=True)
    assert all(0 <= bid <= caps[team] for team, bid in round_.all_bids.items())
    if decimals is None:
        assert round_.all_bids == {team: min(bid, caps[team]) for team, bid in bids.items()}
    if round_.winner == NOBODY:
        assert ordered[0] == 0
        assert round_.price == 0
    else:
        won = round_.all_bids[round_.winner]
        assert won == ordered[0] > 0
        assert round_.price == (ordered[1] if len(ordered) > 1 else 0)
        assert round_.price <= won <= caps[round_.winner]
    if decimals == 2:
        for team, bid in round_.all_bids.items():
            assert bid == caps[team] or float(f"{bid:.2f}") == bid
