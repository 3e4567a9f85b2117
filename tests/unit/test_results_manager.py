"""What a competition leaves on disk: standings by every tie-break, tables, a workbook that runs nothing."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from agt_tournament.config import ScoringWeights
from agt_tournament.game.auction_engine import Answer
from agt_tournament.game.game_files import game_files, log_game_result, place_of_game, read_game
from agt_tournament.game.record import GameResult, RoundRecord, TeamGameResult
from agt_tournament.game.seeding import GameSeeds
from agt_tournament.tournament.registration.teams import Team
from agt_tournament.tournament.standings.leaderboard import decisions, generate_stage_leaderboard, pairwise_table
from agt_tournament.tournament.standings.results_manager import export_results, public_feed
from agt_tournament.tournament.standings.stage_data import StageData, read_stage
from tests.tournament import ScriptedBidder, play, rules

EARLY, LATE = datetime(2026, 10, 5, 9, tzinfo=UTC), datetime(2026, 10, 5, 10, tzinfo=UTC)


def game(**results: tuple[float, float, int]) -> GameResult:
    """A game file with utility, best item and number of items of each team, and no rounds."""
    team_results = {}
    for team, (utility, best, items) in results.items():
        values = {f"item_{i}": 3.0 for i in range(items)}
        team_results[team] = TeamGameResult(utility, 1.0, list(values), values, best)
    return GameResult("game", "arena_1", 1, "", team_results, [], [])


def standings(
    games: Sequence[GameResult],
    stamps: Mapping[str, datetime | None] | None = None,
    fillers: Sequence[str] = (),
    number: int = 1,
) -> pd.DataFrame:
    ids = list(games[0].team_results)
    teams = {i: Team(i, f"the {i}", "", (stamps or {}).get(i), filler=i in fillers) for i in ids}
    return generate_stage_leaderboard(StageData(number, teams, {"arena_1": games}))


def order(*args: Any, **kwargs: Any) -> list[str]:
    return standings(*args, **kwargs)["team_id"].tolist()


# Every case is told for seats in both orders: a sort that forgets a criterion keeps one of them by accident.
def test_the_highest_total_is_first_whatever_else() -> None:
    better, worse = (5.0, 0.5, 1), (4.0, 4.0, 9)
    assert order([game(z=better, a=worse)], {"a": EARLY, "z": LATE}) == ["z", "a"]
    assert order([game(a=worse, z=better)], {"a": EARLY, "z": LATE}) == ["z", "a"]


def test_scoring_weights_rank_by_more_than_utility() -> None:
    games = [game(a=(9, 9, 1), z=(5, 5, 7))]
    teams = {team_id: Team(team_id, team_id, "") for team_id in "az"}
    budgets, none = {"a": 60.0, "z": 60.0}, {"a": 0.0, "z": 0.0}  # each has spent 1
    games[0].auction_log.append(RoundRecord(1, "item_0", "", 0.0, none, none, budgets, none, none, {}, {}))
    for weights, score in (((1, 0, 0), (9, 5)), ((1, 1, 0), (10, 12)), ((0, 0, 2), (118, 118)), ((-1, 0, 0), (-9, -5))):
        weighed = ScoringWeights(**dict(zip(ScoringWeights.model_fields, map(float, weights), strict=True)))
        board = generate_stage_leaderboard(StageData(1, teams, {"arena_1": games}, weighed)).set_index("team_id")
        assert board["total_score"].to_dict() == dict(zip("az", score, strict=True))
        assert board["mean_score"].to_dict() == board["total_score"].to_dict()
        assert board["total_utility"].to_dict() == {"a": 9, "z": 5}
        assert board.loc[board["rank"] == 1].index == ["a" if score[0] >= score[1] else "z"]


def test_a_sum_of_valuations_is_of_the_items_won() -> None:
    board = standings([game(a=(9, 9, 2), z=(5, 5, 0)), game(a=(0, 0, 1), z=(0, 0, 1))]).set_index("team_id")
    assert board["valuation_sum"].to_dict() == {"a": 9.0, "z": 3.0}


@pytest.mark.parametrize(
    ("better", "worse", "criterion"),
    [
        ((5, 1, 1), (4, 4, 9), "total score"),
        ((5, 2, 1), (5, 1, 9), "highest utility of a single item"),
        ((5, 2, 3), (5, 2, 1), "items won"),
        ((5, 2, 1), (5, 2, 1), "registration"),
    ],
)
def test_a_decision_names_its_criterion(better: Any, worse: Any, criterion: str) -> None:
    board = standings([game(a=worse, z=better)], {"a": LATE, "z": EARLY})
    assert list(decisions(board, 1)) == [
        f"stage 1, arena_1: z advances with {better[0]}, before a with {worse[0]}: {criterion} decides"
    ]


def test_totals_are_summed_over_games() -> None:
    games = [game(a=(9, 9, 1), z=(5, 5, 1)), game(a=(-6, 0, 1), z=(-1, 0, 1))]
    board = standings(games).set_index("team_id")
    assert board["total_utility"].to_dict() == {"z": 4, "a": 3}
    assert board["max_single_item_utility"].to_dict() == {"z": 5, "a": 9}
    assert board["items_won"].to_dict() == {"z": 2, "a": 2}
    assert board["budget_spent"].to_dict() == {"z": 2, "a": 2}
    assert board["games"].tolist() == [2, 2]


def test_equal_totals_are_decided_by_the_best_single_item_of_any_game() -> None:
    games = [game(a=(3, 1, 9), z=(1, 2.5, 1)), game(a=(1, 2, 9), z=(3, 1, 1))]
    assert order(games, {"a": EARLY, "z": LATE}) == ["z", "a"]
    assert order([replace(g, team_results=dict(reversed(g.team_results.items()))) for g in games]) == ["z", "a"]


def test_then_by_the_number_of_items() -> None:
    for teams in ({"a": (4, 2, 3), "z": (4, 2, 4)}, {"z": (4, 2, 4), "a": (4, 2, 3)}):
        assert order([game(**teams)], {"a": EARLY, "z": LATE}) == ["z", "a"]


def test_then_by_registration_in_real_time() -> None:
    abroad = datetime(2026, 10, 5, 10, 30, tzinfo=timezone(timedelta(hours=2)))  # 8.30 in universal time
    for teams in ("az", "za"):
        even = [game(**dict.fromkeys(teams, (4, 2, 3)))]
        assert order(even, {"a": LATE, "z": EARLY}) == ["z", "a"]
        assert order(even, {"a": EARLY, "z": abroad}) == ["z", "a"]


def test_who_registered_at_an_unknown_time_comes_last() -> None:
    for teams in ("az", "za"):
        even = [game(**dict.fromkeys(teams, (4, 2, 3)))]
        assert order(even, {"a": None, "z": LATE}) == ["z", "a"]
        assert order(even, {"a": None, "z": None}) == ["a", "z"]


def test_fillers_are_last_without_a_rank_and_never_advance() -> None:
    board = standings([game(f=(9, 9, 9), a=(1, 1, 1), b=(2, 1, 1), g=(-9, 0, 0))], fillers=["f", "g"])
    assert board["team_id"].tolist() == ["b", "a", "f", "g"]
    assert board["rank"].tolist()[:2] == [1, 2]
    assert board["rank"].isna().tolist() == [False, False, True, True]
    assert board["advances"].tolist() == [True, False, False, False]


def test_one_team_of_every_arena_advances_from_stage_one_and_none_from_the_final() -> None:
    arenas = {"arena_1": [game(a=(1, 1, 1), b=(2, 1, 1))], "arena_2": [game(c=(0, 0, 0), d=(0, 0, 0))]}
    teams = {team: Team(team, team, "") for team in "abcd"}
    board = generate_stage_leaderboard(StageData(1, teams, arenas))
    assert board[board["advances"]]["team_id"].tolist() == ["b", "c"]
    assert board.groupby("arena_id")["rank"].apply(list).to_dict() == {"arena_1": [1, 2], "arena_2": [1, 2]}
    assert not generate_stage_leaderboard(StageData(2, teams, arenas))["advances"].any()


def test_a_team_alone_is_ranked() -> None:
    board = standings([game(a=(1, 1, 1))] * 2)
    assert board[["rank", "win_rate", "first_chance"]].to_numpy().tolist() == [[1, 1, 1]]


def test_chances_and_win_rates_sum_to_one_within_an_arena() -> None:
    board = standings([game(a=(1, 1, 1), b=(2, 1, 1), c=(2, 1, 1)), game(a=(5, 1, 1), b=(2, 1, 1), c=(0, 0, 0))])
    assert board["first_chance"].sum() == pytest.approx(1)
    assert board["win_rate"].sum() == pytest.approx(1)


# --- a played stage on disk ------------------------------------------------------------------------------

TEXT = "=1+1 <b>&\N{PILE OF POO}"


def failing(item: str) -> float | Answer:
    return Answer(0.0, 0.25, "crash", TEXT, "bidding_function", False) if item == "item_3" else 2.0


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven games of arena_1 and two of arena_10, with an error wherever item_3 is sold, and printed text."""
    folder = tmp_path_factory.mktemp("run")
    for arena, games in ((1, 11), (10, 2)):
        for number in range(1, games + 1):
            agents = {"ana": ScriptedBidder(lambda _: 1.5), "ben": ScriptedBidder(failing), "cai": ScriptedBidder()}
            result = play(agents, rules(auction_rounds=5), GameSeeds(1, 1, arena, number))
            path = folder / place_of_game(1, f"arena_{arena}", number)
            log_game_result(path, result, {"ana": "printed", "ben": ""})
    return folder


@pytest.fixture(scope="module")
def stage(run_dir: Path) -> StageData:
    names = {"ana": "Anas", "ben": "{=1+1}", "cai": "\N{FULLWIDTH EQUALS SIGN}1"}
    found = read_stage(run_dir, 1, {team: Team(team, name, "", EARLY) for team, name in names.items()})
    assert found is not None
    return found


def test_a_stage_is_read_as_it_was_played_in_the_order_of_numbers(run_dir: Path, stage: StageData) -> None:
    assert {arena: len(games) for arena, games in stage.games.items()} == {"arena_1": 11, "arena_10": 2}
    for number in (1, 2, 10, 11):
        assert stage.games["arena_1"][number - 1] == read_game(run_dir / f"stage1/arena_1/game_{number}.json")
    assert read_stage(run_dir, 2, stage.teams) is None
    utilities = stage.results("arena_1", lambda result: result.utility)
    assert utilities.shape == (11, 3)
    assert utilities[4][0] == stage.games["arena_1"][4].team_results["ana"].utility


def test_printed_text_lies_beside_the_game_and_only_if_there_is_any(run_dir: Path, tmp_path: Path) -> None:
    _, printed = game_files(run_dir / "stage1/arena_1/game_1.json")
    assert json.loads(printed.read_text()) == {"ana": "printed"}
    result = play({"ana": ScriptedBidder()}, rules(auction_rounds=1))
    path = tmp_path / "game_1.json"
    for text, there in (("x", True), ("", False)):
        log_game_result(path, result, {"ana": text})
        assert game_files(path)[1].exists() is there


def test_the_public_feed_has_seven_columns_and_one_row_a_round(stage: StageData) -> None:
    feed = public_feed([stage])
    assert list(feed.columns) == ["stage", "arena_id", "game", "round", "item_id", "winner", "price"]
    assert len(feed) == 13 * 5
    entry = stage.games["arena_10"][1].auction_log[3]
    row = feed[(feed["arena_id"] == "arena_10") & (feed["game"] == 2) & (feed["round"] == 4)].iloc[0]
    assert (row["item_id"], row["winner"], row["price"]) == (entry.item_id, entry.winner, entry.price)


def test_the_staffs_table_has_every_bid(run_dir: Path, stage: StageData, tmp_path: Path) -> None:
    export_results(tmp_path, [stage], {1: generate_stage_leaderboard(stage)}, "parquet")
    table = pd.read_parquet(tmp_path / "rounds.parquet")
    assert list(table.columns) == [
        "stage",
        "arena_id",
        "game",
        "round",
        "item_id",
        "team_id",
        "valuation",
        "asked",
        "cap",
        "bid",
        "winner",
        "price",
        "seconds",
        "cpu_seconds",
        "waited_seconds",
        "error",
        "error_text",
        "note",
    ]
    assert len(table) == 13 * 5 * 3
    failed = table[table["error"].notna()]
    assert set(failed["team_id"]) == {"ben"}
    assert set(failed["item_id"]) == {"item_3"}
    assert set(failed["error_text"]) == {TEXT}
    assert failed["asked"].isna().all()
    assert (failed["bid"] == 0).all()
    assert len(stage.failures) == len(failed) > 0


def test_the_files_of_each_format(stage: StageData, tmp_path: Path) -> None:
    boards = {1: generate_stage_leaderboard(stage)}
    for format in ("csv", "json"):
        export_results(tmp_path, [stage], boards, format)
    written = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert written == [
        "leaderboards/stage1_final.csv",
        "leaderboards/stage1_final.json",
        "leaderboards/stage1_pairwise.csv",
        "public/rounds.csv",
    ]
    back = pd.read_csv(tmp_path / "leaderboards/stage1_final.csv")
    assert back["team_id"].tolist() == boards[1]["team_id"].tolist()
    assert back["total_utility"].tolist() == boards[1]["total_utility"].tolist()
    assert (tmp_path / "public/rounds.csv").read_text().splitlines()[
        0
    ] == "stage,arena_id,game,round,item_id,winner,price"
    pairs = pd.read_csv(tmp_path / "leaderboards/stage1_pairwise.csv")
    assert len(pairs) == len(pairwise_table(stage)) == 2 * 6
    with pytest.raises(ValueError, match="format = 'html'"):
        export_results(tmp_path, [stage], boards, "html")


def test_nothing_in_the_workbook_is_a_formula_or_a_link(stage: StageData, tmp_path: Path) -> None:
    teams = {
        team_id: Team(team_id, name, "")
        for team_id, name in {"ana": "=1+1", "ben": "{=1+1}", "cai": "http://x"}.items()
    }
    hostile = StageData(1, teams, stage.games)
    export_results(tmp_path, [hostile], {1: generate_stage_leaderboard(hostile)}, "xlsx")
    with zipfile.ZipFile(tmp_path / "results.xlsx") as workbook:
        sheets = {name: workbook.read(name).decode() for name in workbook.namelist() if "worksheets/" in name}
        texts = workbook.read("xl/sharedStrings.xml").decode()
    assert len(sheets) == 4
    leaderboard = sheets["xl/worksheets/sheet1.xml"]
    assert leaderboard.count("<row ") == 1 + len(generate_stage_leaderboard(hostile))
    for sheet in sheets.values():
        assert "<f>" not in sheet
        assert "<f " not in sheet
        assert "hyperlink" not in sheet
    for name in ("=1+1", "{=1+1}", "http://x", "=1+1 &lt;b&gt;&amp;\N{PILE OF POO}"):
        assert f">{name}<" in texts
