"""A game: worked by hand, against plain loops, and what must hold of every game."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from agt_tournament.game.auction_engine import NOBODY, Answer
from agt_tournament.game.record import Failure, GameResult
from agt_tournament.game.seeding import GameSeeds
from agt_tournament.tournament.registration.teams import Team
from agt_tournament.tournament.standings.leaderboard import generate_stage_leaderboard
from agt_tournament.tournament.standings.stage_data import StageData
from tests.tournament import ScriptedBidder, play, repeatable, rules

# --- by hand ---------------------------------------------------------------------------------------------

# Five teams, eight rounds, a budget of 60. What an item is worth matters only to who wins it, printed in the margin.
ITEMS = ["item_4", "item_0", "item_6", "item_2", "item_1", "item_7", "item_5", "item_3"]


def by_item(*of_items: float | Answer) -> dict[str, Any]:
    return dict(zip(ITEMS, of_items, strict=True))


VALUES = {
    "ana": by_item(15.0, 9.0, 13.0, 11.0, 2.5, 1.0, 3.0, 13.0),
    "ben": by_item(10.0, 20.0, 16.0, 19.0, 9.0, 1.0, 3.0, 2.0),
    "cai": by_item(7.5, 18.5, 4.0, 3.0, 8.25, 1.0, 3.0, 2.0),
    "dee": by_item(3.0, 18.0, 2.0, 25.0, 1.0, 9.5, 3.0, 5.25),
    "eli": by_item(2.0, 1.0, 14.0, 5.0, 5.0, 1.0, 3.0, 19.0),
}
LATE = Answer(0.0, 2.0, "timeout", "no answer within 2 s", "bidding_function", valid=False)
BIDS = {
    # 1: ana, 2: ben, 3: a tie, 4: ben is capped, 5: cai, 6: dee alone, 7: nobody, 8: eli is late
    "ana": by_item(12, 9, 13, 11, 2.5, 0, 0, 17),
    "ben": by_item(10, 20, 14, 100, 30, 0, 0, 2),
    "cai": by_item(7.5, 18.5, 0, 3, 6, 0, 0, 0),
    "dee": by_item(3, 18, 2, 25, 1, 4, 0, 5.25),
    "eli": by_item(0, 1, 14, 5, 0, 0, 0, LATE),
}
SALES = [
    ("item_4", "ana", 10.0),  # 12 against 10; worth 15, gains 5; ana has 50 left
    ("item_0", "ben", 18.5),  # 20 against 18.5; worth 20, gains 1.5; ben has 41.5
    ("item_6", "ben", 14.0),  # 14 against 14, the tie falls to ben; worth 16, gains 2; ben has 27.5
    ("item_2", "ben", 25.0),  # 100 is cut to 27.5, against 25; worth 19, loses 6; ben has 2.5
    ("item_1", "cai", 2.5),  # 6 against 2.5 of ana and of ben, cut from 30; worth 8.25, gains 5.75; cai has 57.5
    ("item_7", "dee", 0.0),  # 4 against nothing; worth 9.5, gains 9.5; dee has 60
    ("item_5", "", 0.0),  # nobody bids
    ("item_3", "ana", 5.25),  # 17 against 5.25, eli is late; worth 13, gains 7.75; ana has 44.75
]
BUDGETS = [
    (60, 60, 60, 60, 60),
    (50, 60, 60, 60, 60),
    (50, 41.5, 60, 60, 60),
    (50, 27.5, 60, 60, 60),
    (50, 2.5, 60, 60, 60),
    (50, 2.5, 57.5, 60, 60),
    (50, 2.5, 57.5, 60, 60),
    (50, 2.5, 57.5, 60, 60),
]
RESULTS = {  # utility, spent, items, best item, rank
    "ana": (12.75, 15.25, ["item_4", "item_3"], 7.75, 1),
    "ben": (-2.5, 57.5, ["item_0", "item_6", "item_2"], 2.0, 5),
    "cai": (5.75, 2.5, ["item_1"], 5.75, 3),
    "dee": (9.5, 0.0, ["item_7"], 9.5, 2),
    "eli": (0.0, 0.0, [], 0.0, 4),
}


def played_by_hand() -> tuple[GameResult, dict[str, ScriptedBidder]]:
    """The game above, with the first seed by which the tie falls to ben."""
    for seed in range(50):
        agents = {team: ScriptedBidder(BIDS[team]) for team in VALUES}
        result = play(agents, seeds=GameSeeds(seed, 1, 1, 1), valuations=VALUES, items=ITEMS)
        if result.auction_log[2].winner == "ben":
            return result, agents
    raise AssertionError("the tie never falls to ben")


def test_a_game_worked_by_hand() -> None:
    result, _ = played_by_hand()
    log = result.auction_log
    assert [(entry.item_id, entry.winner, entry.price) for entry in log] == SALES
    assert [entry.round for entry in log] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [tuple(entry.caps.values()) for entry in log] == BUDGETS
    assert log[3].all_bids == {"ana": 11, "ben": 27.5, "cai": 3, "dee": 25, "eli": 5}
    assert log[3].asked["ben"] == 100
    assert log[4].all_bids == {"ana": 2.5, "ben": 2.5, "cai": 6, "dee": 1, "eli": 0}
    assert [list(entry.notes) for entry in log] == [[], [], [], ["ben"], ["ben"], [], [], []]
    assert log[7].all_bids["eli"] == 0
    assert log[7].asked["eli"] is None
    assert [entry.errors for entry in log] == [{}] * 7 + [{"eli": "timeout"}]
    assert result.failures == [Failure("eli", 8, "timeout", "bidding_function", "no answer within 2 s")]
    for team, (utility, spent, items, best, _) in RESULTS.items():
        got = result.team_results[team]
        assert (got.utility, got.budget_spent, got.items_won) == (utility, spent, items)
        assert got.max_single_item_utility == best
        assert got.valuation_vector == VALUES[team]


def test_the_ranks_of_the_game_worked_by_hand() -> None:
    result, _ = played_by_hand()
    stage = StageData(1, {team: Team(team, team, "") for team in VALUES}, {"arena_1": [result]})
    board = generate_stage_leaderboard(stage).set_index("team_id")
    assert board["rank"].to_dict() == {team: rank for team, (*_, rank) in RESULTS.items()}
    assert board["advances"].to_dict() == {"ana": True, "ben": False, "cai": False, "dee": False, "eli": False}
    assert board["total_utility"].to_dict() == {team: utility for team, (utility, *_) in RESULTS.items()}


def test_everyone_hears_every_round_and_nothing_else() -> None:
    _, agents = played_by_hand()
    for agent in agents.values():
        assert agent.heard == SALES
        assert agent.ended


def test_everyone_is_told_the_same_but_for_the_own_values_and_seed() -> None:
    _, agents = played_by_hand()
    briefings = {team: agent.briefing for team, agent in agents.items()}
    for team, briefing in briefings.items():
        assert briefing.keys() == {"team_id", "valuation_vector", "budget", "items", "teams", "seed"}
        assert briefing["team_id"] == team
        assert briefing["valuation_vector"] == VALUES[team]
        assert (briefing["budget"], briefing["items"], briefing["teams"]) == (60.0, ITEMS, list(VALUES))
    assert len({briefing["seed"] for briefing in briefings.values()}) == 5


def test_a_best_item_that_lost_money_is_negative() -> None:
    agents = {"ana": ScriptedBidder({"item_1": 9.0}), "ben": ScriptedBidder({"item_1": 8.0})}
    result = play(agents, valuations={"ana": {"item_1": 2.0}, "ben": {"item_1": 2.0}}, items=["item_1"])
    assert result.team_results["ana"].max_single_item_utility == -6.0
    assert result.team_results["ben"].max_single_item_utility == 0.0


def test_a_secret_order_is_told_sorted_by_number() -> None:
    items = ["item_10", "item_2", "item_1", "item_11", "item_0"]
    values = {team: dict.fromkeys(items, 1.0) for team in ("ana", "ben")}
    for reveal, told in ((True, items), (False, ["item_0", "item_1", "item_2", "item_10", "item_11"])):
        agents = {team: ScriptedBidder() for team in values}
        result = play(agents, rules(reveal_order=reveal), valuations=values, items=items)
        assert agents["ana"].briefing["items"] == told
        assert [entry.item_id for entry in result.auction_log] == items


def test_the_game_is_told_by_its_file() -> None:
    result, _ = played_by_hand()
    content = json.loads(json.dumps(result.as_json(), allow_nan=False))
    assert list(content) == ["game_id", "arena_id", "stage", "timestamp", "team_results", "auction_log", "failures"]
    assert datetime.fromisoformat(content["timestamp"]).utcoffset() == timedelta(0)
    assert set(content["team_results"]["ben"]) == {
        "utility",
        "budget_spent",
        "items_won",
        "valuation_vector",
        "max_single_item_utility",
    }
    assert list(content["team_results"]) == list(VALUES)


def test_cents_stay_cents() -> None:
    """0.1 thirty times: with plain floats the budget would be 57.00000000000002."""
    items = [f"item_{i}" for i in range(30)]
    values = {team: dict.fromkeys(items, 1.0) for team in ("ana", "ben")}
    agents = {"ana": ScriptedBidder(lambda _: 0.2), "ben": ScriptedBidder(lambda _: 0.1)}
    result = play(agents, rules(bid_decimals=2), valuations=values, items=items)
    caps = [entry.caps["ana"] for entry in result.auction_log]
    assert caps == [float(f"{60 - number / 10:.2f}") for number in range(30)]


def test_an_agent_that_cannot_start_is_logged_before_the_first_round() -> None:
    class Broken(ScriptedBidder):
        def start_game(self, briefing: Mapping[str, Any]) -> Answer:
            return Answer(0.0, 0.5, "crash", "it broke", "__init__", valid=False)

        def end_game(self) -> Answer:
            return Answer(0.0, None, "crash")

    agents = {"ana": ScriptedBidder(lambda _: 2.0), "ben": Broken(lambda _: Answer(0.0, None, "crash", valid=False))}
    result = play(agents)
    assert result.failures == [Failure("ben", 0, "crash", "__init__", "it broke")]
    assert all(entry.errors == {"ben": "crash"} for entry in result.auction_log)


def test_an_error_after_the_last_round_is_logged_without_a_round() -> None:
    class Sulking(ScriptedBidder):
        def end_game(self) -> Answer:
            return Answer(0.0, 0.5, "crash", "no", "update_after_each_round")

    failures = play({"ana": Sulking(lambda _: 2.0), "ben": ScriptedBidder()}).failures
    assert [(failure.team_id, failure.round) for failure in failures] == [("ana", None)]


def test_a_game_can_be_run_again_alone() -> None:
    def game(number: int) -> str:
        agents = {team: ScriptedBidder(lambda item: float(int(item[5:]) % 3)) for team in ("ana", "ben", "cai")}
        return repeatable(play(agents, seeds=GameSeeds(9, 1, 1, number)))

    in_order = [game(number) for number in range(1, 6)]
    assert [game(number) for number in (5, 3, 1)] == [in_order[4], in_order[2], in_order[0]]
    assert len(set(in_order)) == 5


# --- an independent referee ------------------------------------------------------------------------------


def referee(
    items: Sequence[str],
    values: Mapping[str, Mapping[str, float]],
    asked: Mapping[str, Mapping[str, float]],
    tie_winners: Mapping[str, str],
    purse: float = 60.0,
) -> tuple[list[tuple[str, float]], dict[str, tuple[float, float, list[str], float]]]:
    """Sales, and utility, spent, items and best item by team, from the rules alone and in plain loops."""
    money = dict.fromkeys(values, purse)
    sales = []
    bought: dict[str, list[tuple[str, float]]] = {team: [] for team in values}
    for item in items:
        offers = []
        for team in values:
            offer = asked[team][item]
            if offer > money[team]:
                offer = money[team]
            offers.append((offer, team))
        best = 0.0
        for offer, _ in offers:
            if offer > best:
                best = offer
        if best == 0:
            sales.append(("", 0.0))
            continue
        leaders = [team for offer, team in offers if offer == best]
        if len(leaders) > 1:
            winner = tie_winners[item]
            assert winner in leaders
            price = best
        else:
            winner = leaders[0]
            price = 0.0
            for offer, team in offers:
                if team != winner and offer > price:
                    price = offer
        money[winner] -= price
        bought[winner].append((item, price))
        sales.append((winner, price))
    results = {}
    for team in values:
        utility = spent = 0.0
        best_item = None
        for item, price in bought[team]:
            gain = values[team][item] - price
            utility += gain
            spent += price
            if best_item is None or gain > best_item:
                best_item = gain
        results[team] = (utility, spent, [item for item, _ in bought[team]], 0.0 if best_item is None else best_item)
    return sales, results


lattice = st.integers(0, 100).map(lambda n: n / 4)
unruly = st.floats(0, 1e4, allow_nan=False)


@st.composite
def games(draw: st.DrawFn, amounts: st.SearchStrategy[float]) -> tuple[list[str], dict[str, Any], dict[str, Any]]:
    """Items in the order of sale, values and bids of one to six teams."""
    teams = [f"team_{i}" for i in range(draw(st.integers(1, 6)))]
    items = draw(st.permutations([f"item_{i}" for i in range(draw(st.integers(1, 8)))]))
    table = st.fixed_dictionaries({team: st.fixed_dictionaries(dict.fromkeys(items, amounts)) for team in teams})
    return items, draw(table), draw(table)


@given(games(lattice), st.integers(0, 5))
@settings(max_examples=200)
def test_every_game_is_as_the_referee_says(game: tuple[list[str], Any, Any], seed: int) -> None:
    items, values, asked = game
    agents = {team: ScriptedBidder(asked[team]) for team in values}
    result = play(agents, seeds=GameSeeds(seed, 1, 1, 1), valuations=values, items=items)
    winners = {entry.item_id: entry.winner for entry in result.auction_log}
    sales, results = referee(items, values, asked, winners)
    assert [(entry.winner, entry.price) for entry in result.auction_log] == sales
    for team, got in result.team_results.items():
        assert (got.utility, got.budget_spent, got.items_won, got.max_single_item_utility) == results[team]


@given(games(unruly), st.sampled_from([None, 0, 2]))
@settings(max_examples=200)
def test_money_and_items_are_neither_made_nor_lost(game: tuple[list[str], Any, Any], decimals: int | None) -> None:
    items, values, asked = game
    agents = {team: ScriptedBidder(asked[team]) for team in values}
    result = play(agents, rules(bid_decimals=decimals), valuations=values, items=items)
    log, teams = result.auction_log, list(values)
    sold = [entry.item_id for entry in log]
    assert sold == items
    for before, after in itertools.pairwise(log):
        for team in teams:
            paid = before.price if before.winner == team else 0.0
            assert 0 <= after.caps[team] <= before.caps[team]
            assert math.isclose(after.caps[team], before.caps[team] - paid, abs_tol=1e-9)
            if decimals is not None:
                assert after.caps[team] == round(after.caps[team], decimals)
    for entry in log:
        bids = sorted(entry.all_bids.values(), reverse=True)
        if entry.winner == NOBODY:
            assert bids[0] == entry.price == 0
        else:
            assert entry.price == (bids[1] if len(bids) > 1 else 0)
            won = entry.all_bids[entry.winner]
            assert entry.price <= won == bids[0] <= entry.caps[entry.winner]
    last = log[-1]
    for team, got in result.team_results.items():
        left = last.caps[team] - (last.price if last.winner == team else 0.0)
        spent = sum(entry.price for entry in log if entry.winner == team)
        assert math.isclose(60 - spent, left, abs_tol=1e-9)
        assert math.isclose(got.budget_spent, spent, abs_tol=1e-9)
        assert got.items_won == [entry.item_id for entry in log if entry.winner == team]
        worth = sum(values[team][item] for item in got.items_won)
        assert math.isclose(got.utility + got.budget_spent, worth, rel_tol=1e-12, abs_tol=1e-9)


@given(games(lattice), st.data())
@settings(max_examples=100)
def test_a_failed_bid_counts_as_zero(game: tuple[list[str], Any, Any], data: st.DataObject) -> None:
    items, values, asked = game
    team, item = data.draw(st.sampled_from(list(values))), data.draw(st.sampled_from(items))
    failed = {**asked, team: {**asked[team], item: Answer(0.0, 0.1, "crash", valid=False)}}
    silent = {**asked, team: {**asked[team], item: 0.0}}
    one, two = (
        play({name: ScriptedBidder(bids[name]) for name in values}, valuations=values, items=items)
        for bids in (failed, silent)
    )
    assert one.team_results == two.team_results
    assert [entry.all_bids for entry in one.auction_log] == [entry.all_bids for entry in two.auction_log]
    assert len(one.failures) == 1


def test_the_ties_of_a_game_fall_one_by_one() -> None:
    """Not all to the same seat: within games each of the equal wins as often, whoever won the tie before."""
    pairs = Counter(
        (before.winner, after.winner)
        for game in range(1, 301)
        for log in [
            play(
                {team: ScriptedBidder(lambda _: 0.5) for team in ("ana", "ben")}, seeds=GameSeeds(4, 1, 1, game)
            ).auction_log
        ]
        for before, after in itertools.pairwise(log)
    )
    assert len(pairs) == 4
    assert stats.chisquare(list(pairs.values())).pvalue > 1e-3


def test_the_games_own_draw_sells_only_what_there_is() -> None:
    for game in range(1, 60):
        result = play({"ana": ScriptedBidder(lambda _: 1.0)}, seeds=GameSeeds(2, 1, 1, game))
        sold = [entry.item_id for entry in result.auction_log]
        assert len(sold) == len(set(sold)) == 15
        assert set(sold) <= set(result.team_results["ana"].valuation_vector)
        assert result.team_results["ana"].items_won == sold


@pytest.mark.parametrize("team", ["ana", "ben"])
def test_the_seat_changes_neither_values_nor_sale(team: str) -> None:
    def game(teams: list[str]) -> GameResult:
        return play({name: ScriptedBidder(lambda item: float(item[5:])) for name in teams})

    one, two = game(["ana", "ben", "cai"]), game(["cai", "ben", "ana"])
    assert one.team_results[team].valuation_vector == two.team_results[team].valuation_vector
    assert [entry.item_id for entry in one.auction_log] == [entry.item_id for entry in two.auction_log]
