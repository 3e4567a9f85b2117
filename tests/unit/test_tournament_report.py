"""Pages of a competition: whole, escaped, the same twice; and a team's folder tells nothing of its rivals."""

from __future__ import annotations

import copy
import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agt_tournament import report
from agt_tournament.game.auction_engine import NOBODY, Answer
from agt_tournament.game.game_files import game_files, place_of_game
from agt_tournament.game.game_manager import Game
from agt_tournament.game.record import Failure, GameResult, RoundRecord, TeamGameResult, when
from agt_tournament.game.seeding import GameSeeds
from agt_tournament.report import Load, Results, generate_analytics_report, staff, write_team_folders
from agt_tournament.report.measures import (
    allocative_efficiency,
    budgets_left,
    conduct,
    economy_of,
    known,
    mean_estimate,
    mean_estimates,
    no_formula,
)
from agt_tournament.report.team_folders import COLUMNS, SHOWN_GAMES, own_parts, steps
from agt_tournament.tournament.registration.teams import Team
from agt_tournament.tournament.standings.leaderboard import generate_stage_leaderboard
from agt_tournament.tournament.standings.stage_data import StageData
from generative_auctions.files import write_json
from tests.tournament import ScriptedBidder, rules

EVIL = "<script>alert(1)</script>"
EVIL_TEXT = 'Traceback (most recent call last):\nValueError: <img src=x onerror="alert(2)"> & more'
EVIL_ITEM = "<b>item_0</b>"
PRINTED = {"dan": f"{EVIL}\n", "ann": "secret of ann"}
ROUNDS = 6
BUDGET = 1_500_000.0
SETTINGS = {
    "tournament": rules(auction_rounds=ROUNDS, initial_budget=BUDGET, name="spring").model_dump(),
    "sandbox": {"name": "none"},
}


def team(team_id: str, **changes: Any) -> Team:
    return Team(team_id, f"Team {team_id}", "", filler=team_id.startswith("filler"), **changes)


class Numbers:
    """Numbers of which no two are alike, however many digits of them are shown."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(5)
        self._milliseconds: dict[str, Iterator[int]] = {}

    def money(self) -> float:
        return float(self._rng.uniform(100_000, 999_999))

    def seconds(self, team_id: str) -> float:
        """Each team has a range of its own, in which its median lies too."""
        first = 100 + 100 * len(self._milliseconds)
        return next(self._milliseconds.setdefault(team_id, iter(range(first, first + 100)))) / 1000


def bidder(team_id: str, numbers: Numbers, values: Mapping[str, float], fails: Callable[[str], bool]) -> ScriptedBidder:
    """Bids some part or multiple of its value; fails at the items of which `fails` says so."""

    def script(item: str) -> Answer:
        if fails(item):
            return Answer(0.0, numbers.seconds(team_id), "crash", EVIL_TEXT, "bidding_function", valid=False)
        return Answer(values[item] * numbers.money() / 500_000, numbers.seconds(team_id))

    return ScriptedBidder(script)


def stage_of(
    number: int,
    arenas: Mapping[str, Sequence[str]],
    games: int = 2,
    teams: Mapping[str, Team] | None = None,
    numbers: Numbers | None = None,
) -> StageData:
    """A stage played by bidders in this process; the last team of an arena fails at the first two items of a game."""
    numbers, played = numbers or Numbers(), {}
    items = [EVIL_ITEM, *(f"item_{i}" for i in range(1, ROUNDS))]
    for place, (arena_id, seats) in enumerate(arenas.items(), start=1):
        results = []
        for game in range(1, games + 1):
            values = {seat: {item: numbers.money() for item in items} for seat in seats}
            agents = {seat: bidder(seat, numbers, values[seat], _failing(seat == seats[-1], items)) for seat in seats}
            played_game = Game(
                f"stage{number}_{arena_id}_game_{game}",
                arena_id,
                number,
                agents,
                rules(auction_rounds=ROUNDS, initial_budget=BUDGET),
                GameSeeds(1, number, place, game),
                valuations=values,
                items=items,
            ).play()
            results.append(played_game)
        played[arena_id] = results
    return StageData(number, teams or {seat: team(seat) for seats in arenas.values() for seat in seats}, played)


def _failing(fails: bool, items: Sequence[str]) -> Callable[[str], bool]:
    return lambda item: fails and item in items[:2]


def boards_of(stages: Iterable[StageData]) -> dict[int, pd.DataFrame]:
    return {stage.number: generate_stage_leaderboard(stage) for stage in stages}


def competition() -> list[StageData]:
    """Two arenas, then a final; one team with a name that is a script, and one filler."""
    teams = {team_id: team(team_id) for team_id in ("ann", "bob", "cyd", "dan", "eve", "filler_1")}
    teams["dan"] = Team("dan", EVIL, "")
    arenas, numbers = {"arena_1": ("ann", "filler_1", "dan"), "arena_2": ("cyd", "bob", "eve")}, Numbers()
    first = stage_of(1, arenas, teams=teams, numbers=numbers)
    return [first, stage_of(2, {"arena_1": ("ann", "cyd")}, teams=teams, numbers=numbers)]


class Page(HTMLParser):
    """Tags in a page, and the text that a reader sees."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open, self.tags, self.text = list[str](), set[str](), ""
        self.feed(html)
        self.text = " ".join(self.text.split("@media", 1)[-1].split())
        assert not self.open
        assert not re.search(r"\bNone\b|\bnan\b|<NA>|Undefined", self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without figures, for tests of what stands beside them."""
    monkeypatch.setattr(staff, "_write_figures", lambda folder, arenas: {})


@pytest.fixture(scope="module")
def stages() -> list[StageData]:
    return competition()


@pytest.fixture(scope="module")
def folder(stages: list[StageData], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of all teams; two agents have printed."""
    run_dir = tmp_path_factory.mktemp("run")
    _print(run_dir, PRINTED)
    write_team_folders(Results(run_dir, stages, boards_of(stages), SETTINGS))
    return run_dir / "teams"


def _print(run_dir: Path, texts: Mapping[str, str]) -> None:
    write_json(texts, game_files(run_dir / place_of_game(1, "arena_1", 2))[1])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- privacy -----------------------------------------------------------------------------------------------


def private_numbers(stages: Iterable[StageData], boards: Mapping[int, pd.DataFrame], team_id: str) -> set[float]:
    """Numbers of every team but `team_id`, and none that is public: valuations, bids, utilities, caps, times."""
    found: set[float] = set()
    for stage in stages:
        for game in (game for games in stage.games.values() for game in games):
            for rival, result in game.team_results.items():
                if rival != team_id:
                    found |= {result.utility, result.max_single_item_utility, result.budget_spent}
                    found |= set(result.valuation_vector.values())
            for entry in game.auction_log:
                for kind in ("all_bids", "asked", "caps", "seconds", "cpu_seconds"):
                    found |= {number for rival, number in getattr(entry, kind).items() if rival != team_id and number}
        board = boards[stage.number]
        rivals = board.loc[board["team_id"] != team_id, ["total_score", "mean_score", "ci_low", "ci_high"]]
        found |= set(rivals.to_numpy().ravel())
    return found - public_numbers(stages) - {BUDGET, 0.0}


def public_numbers(stages: Iterable[StageData]) -> set[float]:
    """The prices; what a team paid in a game may be one of them."""
    return {price for stage in stages for price in stage.rounds["price"]}


def written(number: float) -> set[str]:
    """`number` as it might be written."""
    forms = {repr(number), str(round(number, 7)), *(f"{number:.{digits}f}" for digits in range(1, 5))}
    if abs(number) < 1:
        return {repr(number), f"{1000 * number:.0f}\N{NO-BREAK SPACE}ms", f"{1000 * number:.2f}"}  # a time
    return forms | {f"{number:,.{digits}f}" for digits in range(5)}


@pytest.mark.parametrize("team_id", ["ann", "bob", "cyd", "dan", "eve"])
def test_no_number_of_a_rival_is_in_a_folder(stages: list[StageData], folder: Path, team_id: str) -> None:
    text = "\n".join(content.decode() for content in contents(folder / team_id).values())
    tokens = set(re.findall(r"\d[\d,]*(?:\.\d+)?(?:e-?\d+)?(?:\N{NO-BREAK SPACE}[a-zµ]+)?", text))
    tokens |= set(re.findall(r"\d[\d,]*(?:\.\d+)?", text))
    private = private_numbers(stages, boards_of(stages), team_id)
    own = stages[0].rounds[stages[0].rounds["team_id"] == team_id]
    assert len(private) > 150
    assert {form for number in private for form in written(number)} & tokens == set()
    for number in (own["valuation"].iloc[3], own["bid"].iloc[3], own["seconds"].iloc[3]):
        assert written(number) & tokens  # the same search finds its own numbers


@pytest.mark.parametrize("team_id", ["ann", "bob", "dan"])
def test_a_folder_does_not_depend_on_what_is_private_of_rivals(
    stages: list[StageData], folder: Path, team_id: str, tmp_path: Path
) -> None:
    """Winners, prices and the team's own numbers given, whatever rivals valued, bid, gained, took or failed at."""
    others = [scrambled(stage, team_id) for stage in stages]
    boards = boards_of(stages)
    for board in boards.values():
        rivals = board["team_id"] != team_id
        for column in board.select_dtypes("float").columns:
            board.loc[rivals, column] = board.loc[rivals, column] * 3 + 1
        board.loc[rivals, "errors"] += 5
        board.loc[rivals, "team_name"] = "somebody else"
    _print(tmp_path, {own: text if own == team_id else "?" for own, text in PRINTED.items()} | {"cyd": "?"})
    write_team_folders(Results(tmp_path, others, boards, SETTINGS))
    assert contents(tmp_path / "teams" / team_id) == contents(folder / team_id)
    assert contents(tmp_path / "teams") != contents(folder)


def scrambled(stage: StageData, team_id: str) -> StageData:
    """`stage` with other private numbers of every team but `team_id`; winners and prices are the same."""
    rng, games = np.random.default_rng(1), copy.deepcopy(stage.games)
    for game in (game for games_ in games.values() for game in games_):
        for rival in game.team_results.keys() - {team_id}:
            utility, spent, best = rng.uniform(1, 9, 3).tolist()
            values = {item: float(rng.uniform(1, 9)) for item in game.team_results[rival].valuation_vector}
            game.team_results[rival] = TeamGameResult(utility, spent, [], values, best)
            for entry in game.auction_log:
                for kind in ("all_bids", "asked", "caps", "seconds", "cpu_seconds"):
                    getattr(entry, kind)[rival] = float(rng.uniform(1, 9))
                entry.errors[rival] = "timeout"
                entry.notes[rival] = "bid 5 cut down to the budget, 3"
            game.failures.append(Failure(rival, 3, "exit", "", "gone"))
    return StageData(stage.number, stage.teams, games)


def test_what_others_printed_and_failed_at_is_not_in_a_folder(folder: Path) -> None:
    ann = b"".join(contents(folder / "ann").values()).decode()
    assert "secret of ann" in ann
    assert "ValueError" not in ann  # dan's, in the same arena
    assert not any(
        b"secret of ann" in b"".join(contents(folder / own).values()) for own in ("bob", "cyd", "dan", "eve")
    )


def test_only_teams_have_folders(folder: Path, stages: list[StageData]) -> None:
    assert {path.name for path in folder.iterdir()} == {"ann", "bob", "cyd", "dan", "eve"}
    own = dict(own_parts(stages[0], boards_of(stages)[1]))
    assert own["ann"].standing["ranked"] == 2  # a filler is no rival for a rank
    assert own["ann"].seats == ("ann", "filler_1", "dan")


# --- a team's files ----------------------------------------------------------------------------------------


def test_rounds_are_all_the_teams_own(folder: Path, stages: list[StageData]) -> None:
    rows = list(csv.DictReader(io.StringIO((folder / "ann" / "rounds.csv").read_text())))
    assert tuple(rows[0]) == COLUMNS
    kept = pd.concat([stage.rounds for stage in stages])
    kept = kept[kept["team_id"] == "ann"]
    assert len(rows) == len(kept) == 2 * 2 * ROUNDS
    for name in ("valuation", "bid", "price", "seconds"):
        assert [float(row[name]) for row in rows] == kept[name].tolist()
    assert [row["winner"] for row in rows] == kept["winner"].tolist()


def test_errors_are_told_to_who_made_them(folder: Path) -> None:
    text = (folder / "dan" / "errors.txt").read_text()
    assert text.count("crash in bidding_function, 4 times:") == 1
    assert "  stage 1, arena_1, game 2: rounds 1 to 2\n" in text
    assert text.endswith(f"{EVIL_TEXT}\n")
    assert (folder / "eve" / "errors.txt").exists()
    assert not (folder / "ann" / "errors.txt").exists()
    rows = list(csv.DictReader(io.StringIO((folder / "dan" / "rounds.csv").read_text())))
    assert [row["error"] for row in rows[:3]] == ["crash", "crash", ""]
    assert rows[0]["error_text"] == EVIL_TEXT
    assert rows[0]["asked"] == ""


def test_what_an_agent_printed_is_told(folder: Path) -> None:
    assert (folder / "dan" / "output.txt").read_text() == f"--- stage 1, arena_1, game 2 ---\n{EVIL}\n"
    assert not (folder / "bob" / "output.txt").exists()


def test_stale_files_go(stages: list[StageData], tmp_path: Path) -> None:
    for name in ("errors.txt", "output.txt"):
        (tmp_path / "teams" / "ann").mkdir(parents=True, exist_ok=True)
        (tmp_path / "teams" / "ann" / name).write_text("old")
    write_team_folders(Results(tmp_path, stages, boards_of(stages), SETTINGS))
    assert {path.name for path in (tmp_path / "teams" / "ann").iterdir()} == {"report.html", "rounds.csv"}


def test_a_lot_of_print_is_cut(stages: list[StageData], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report.team_folders, "_MOST_OUTPUT", 50)
    _print(tmp_path, {"dan": "x" * 1000})
    write_team_folders(Results(tmp_path, stages, boards_of(stages)))
    text = (tmp_path / "teams" / "dan" / "output.txt").read_text()
    assert text.count("x") == 50
    assert text.endswith("[what was printed after this in stage 1 is left out]\n")


def test_a_team_page_is_whole_and_escaped(folder: Path, stages: list[StageData]) -> None:
    page = Page((folder / "dan" / "report.html").read_text())
    assert page.tags.isdisjoint({"script", "img"})
    for shown in (EVIL, '<img src=x onerror="alert(2)">', EVIL_ITEM):
        assert shown in page.text  # shown, not run
    rank = boards_of(stages)[1].set_index("team_id").at["dan", "rank"]
    assert f"{rank} of 2" in page.text
    assert ("did not advance" in page.text) == (rank == 2)
    assert "crash in bidding_function, 4 times" in page.text
    assert "The limit is 2.00 s" in page.text
    finalist = Page((folder / "ann" / "report.html").read_text())
    assert "Championship" in finalist.text
    assert "of 2" in finalist.text
    assert "No errors: your agent answered every question in time." in finalist.text


def test_a_team_page_adds_up(folder: Path, stages: list[StageData]) -> None:
    text = Page((folder / "bob" / "report.html").read_text()).text
    for game in stages[0].games["arena_2"]:
        own = game.team_results["bob"]
        assert f"utility {own.utility:,.2f}".replace("-", "−") in text
        for entry in game.auction_log:
            if entry.winner == "bob":
                value = own.valuation_vector[entry.item_id]
                assert f"{value:,.2f}{entry.price:,.2f}{value - entry.price:,.2f}" in re.sub(
                    r"(?<=\d) (?=[\d−])", "", text
                ).replace("−", "-")
    assert "In the arena with you: cyd, eve." in text


def test_many_games_are_a_small_page_and_a_whole_table(stages: list[StageData], tmp_path: Path) -> None:
    games = 150
    many = StageData(1, stages[0].teams, {"arena_1": ([*stages[0].games["arena_1"]] * games)[:games]})
    write_team_folders(Results(tmp_path, [many], boards_of([many]), SETTINGS))
    html = (tmp_path / "teams" / "ann" / "report.html").read_text()
    assert html.count('<details class="game"') == SHOWN_GAMES
    assert f"The other {games - SHOWN_GAMES} games" in Page(html).text
    assert html.count("<rect") == 50  # three games a bar
    assert len(html) < 200_000
    assert (tmp_path / "teams" / "ann" / "rounds.csv").read_text().count("\n") == 1 + games * ROUNDS


def test_an_error_text_is_no_formula() -> None:
    assert no_formula("=1+1") == "'=1+1"
    assert no_formula("fine") == "fine"
    assert no_formula(None) is None


def test_a_budget_is_a_staircase() -> None:
    assert steps([10, 10, 5]) == "0.0,0.0 150.0,0.0 150.0,0.0 300.0,0.0 300.0,45.0"


# --- the staff's page --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(stages: list[StageData], tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("whole")
    assert generate_analytics_report(Results(run_dir, stages, boards_of(stages), SETTINGS)) == run_dir / staff.PAGE
    return run_dir


def test_the_page_is_whole_and_escaped(whole: Path) -> None:
    html = (whole / "analytics" / "competition_report.html").read_text()
    page = Page(html)
    assert "script" not in page.tags
    for shown in (EVIL, '<img src=x onerror="alert(2)">', "spring", "none, agents ran as ordinary processes"):
        assert shown in page.text
    addresses = re.findall(r"""url\(([^)]{0,12})|(?:src|href|action)\s*=\s*["']([^"'>]{0,12})""", html)
    assert addresses
    assert all((css or attribute).startswith(("data:image/", "#")) for css, attribute in addresses)
    assert len(re.findall(r"#[a-z0-9-]+(?=\">)", html.split("</nav>")[0].split("<nav")[1])) == 5


def test_the_page_has_the_standings(whole: Path, stages: list[StageData]) -> None:
    text = Page((whole / staff.PAGE).read_text()).text
    for board in boards_of(stages).values():
        for row in board.to_dict("records"):
            assert f"{row['total_score']:,.2f}".replace("-", "−") in text
            assert f"{row['rating_mu']:.1f} ± {row['rating_sigma']:.1f}" in text
    assert "filler_1 · filler" in text
    assert "First of the championship" in text
    assert "5 and 1 filler" in text


def test_figures_are_files_too(whole: Path) -> None:
    arenas = ("stage1_arena_1", "stage1_arena_2", "stage2_arena_1")
    names = {f"{kind}_{arena}" for kind in ("utilities", "prices", "budgets") for arena in arenas}
    names.add("efficiency_and_revenue")
    written_ = {path.name for path in (whole / "analytics" / "figures").iterdir()}
    assert written_ == {f"{name}.{suffix}" for name in names for suffix in ("png", "svg")}
    assert (whole / staff.PAGE).read_text().count('<img src="data:image/svg+xml') == len(names)


def test_same_input_same_bytes(whole: Path, folder: Path, stages: list[StageData], tmp_path: Path) -> None:
    generate_analytics_report(Results(tmp_path, competition(), boards_of(stages), SETTINGS))
    assert contents(tmp_path) == contents(whole)
    _print(tmp_path, PRINTED)
    write_team_folders(Results(tmp_path, stages, boards_of(stages), SETTINGS))
    assert contents(tmp_path / "teams") == contents(folder)
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.usefixtures("no_figures")
def test_many_arenas_stay_a_small_page(stages: list[StageData], tmp_path: Path) -> None:
    games = stages[0].games["arena_1"]
    many = StageData(1, stages[0].teams, {f"arena_{i}": games for i in range(1, 61)})
    html = generate_analytics_report(Results(tmp_path, [many], boards_of([many]), SETTINGS)).read_text()
    page = Page(html)
    assert len(html) < 1_000_000
    assert html.count('<details class="arena">') == 60  # folded
    assert "All 60 arenas, one by one" in page.text
    assert "First of the championship" not in page.text


@pytest.mark.usefixtures("no_figures")
def test_one_game_has_no_intervals(tmp_path: Path) -> None:
    alone = [stage_of(1, {"arena_1": ("ann", "bob")}, games=1)]
    page = Page(generate_analytics_report(Results(tmp_path, alone, boards_of(alone))).read_text())
    assert not re.search(r"\.\d\d to \d", page.text)
    assert "Bidding competition" in page.text  # nothing is known of the settings
    write_team_folders(Results(tmp_path, alone, boards_of(alone)))
    Page((tmp_path / "teams" / "ann" / "report.html").read_text())


@pytest.mark.usefixtures("no_figures")
def test_a_big_arena_shows_its_first_pairs(tmp_path: Path) -> None:
    seats = [f"team_{i}" for i in range(25)]
    big = StageData(1, {seat: team(seat) for seat in seats}, {"arena_1": [_dull(seats)] * 2})
    html = generate_analytics_report(Results(tmp_path, [big], boards_of([big]), SETTINGS)).read_text()
    assert html.count("<td>50 %") == 20 * 19  # all are equal
    assert "5 further teams in leaderboards/stage1_pairwise.csv" in Page(html).text


def _entry(number: int, item: str, winner: str, price: float, caps: Mapping[str, float], **changes: Any) -> RoundRecord:
    """A round in which every bid is 0, whoever won."""
    zero, unknown = dict.fromkeys(caps, 0.0), dict.fromkeys(caps)
    times = {"seconds": dict.fromkeys(caps, 0.001), "cpu_seconds": unknown, "waited_seconds": unknown}
    return RoundRecord(number, item, winner, price, zero, zero, dict(caps), **{**times, **changes}, errors={}, notes={})


def _game(values: Mapping[str, Mapping[str, float]], log: Sequence[RoundRecord]) -> GameResult:
    """A game in which nobody gains anything."""
    results = {team: TeamGameResult(0.0, 0.0, [], dict(own), 0.0) for team, own in values.items()}
    return GameResult("game", "arena_1", 1, "", results, list(log), [])


def _dull(seats: Sequence[str], **times: Any) -> GameResult:
    """A game in which nothing is sold."""
    entry = _entry(1, "item_0", NOBODY, 0.0, dict.fromkeys(seats, 60.0), **times)
    return _game({seat: {"item_0": 5.0} for seat in seats}, [entry])


@pytest.mark.parametrize(
    ("waited", "failures", "harmful", "says"),
    [
        (0.0042, [], False, "no bid waited longer than 4.2 ms for a CPU"),
        (3.34, [], False, "no bid waited longer than 3.34 s for a CPU"),  # and was not late
        (0.1, [{}], False, "no bid waited longer than 100 ms for a CPU"),  # late by its own fault
        (0.3, [], False, "no bid waited longer than 300 ms for a CPU; those that took work waited 75% of their time"),
        (1.5, [{"waited_seconds": 1.5}], True, "too busy: 1 of 1 late answer waited 1.50 s for a CPU"),
        (
            1.5,
            [{"waited_seconds": 1.5}, {"waited_seconds": 0.6}, {}],
            True,
            "too busy: 2 of 3 late answers waited 0.60 to 1.50 s for a CPU",
        ),
        (None, [], False, None),
    ],
)
@pytest.mark.usefixtures("no_figures")
def test_a_busy_machine_is_said(
    waited: float | None, failures: list[dict[str, float]], harmful: bool, says: str | None, tmp_path: Path
) -> None:
    used = {"seconds": 0.4, "cpu_seconds": 0.1 if waited == 0.3 else 0.0, "waited_seconds": waited}
    game = _dull(["ann", "bob"], **{name: {"ann": time, "bob": None} for name, time in used.items()})
    late = Failure("ann", 1, "timeout", "", "late")
    crashed = replace(game, failures=[replace(late, error="crash")])
    game.failures.extend(replace(late, **failure) for failure in failures)
    stages = [StageData(1, {"ann": team("ann"), "bob": team("bob")}, {"arena_1": [crashed, game]})]
    load = Load.of(stages)
    assert load.harmful == harmful
    page = Page(generate_analytics_report(Results(tmp_path, stages, boards_of(stages), SETTINGS)).read_text())
    assert (says in page.text) if says else ("for a CPU" not in page.text)


def test_the_gist_of_an_error_is_its_last_line() -> None:
    assert staff.gist("Traceback:\n  File\nValueError: no\n") == "ValueError: no"
    assert staff.gist("") == ""
    assert len(staff.gist("x" * 5000)) == 160
    assert [when(known(round_)) for round_ in (0, 3, None, pd.NA)] == [
        "before the first round",
        "round 3",
        "after the last round",
        "after the last round",
    ]


# --- the numbers -------------------------------------------------------------------------------------------


def by_hand() -> GameResult:
    """Two items of value (4, 6) and (5, 1) to ann and bob: ann wins the first for 3, nobody the second."""
    first = _entry(1, "x", "ann", 3.0, {"ann": 10.0, "bob": 10.0})
    second = _entry(2, "y", NOBODY, 0.0, {"ann": 7.0, "bob": 10.0})
    return _game({"ann": {"x": 4.0, "y": 5.0}, "bob": {"x": 6.0, "y": 1.0}}, [first, second])


def test_an_arenas_numbers_by_hand() -> None:
    game = by_hand()
    assert allocative_efficiency(game) == 4 / (6 + 5)
    assert budgets_left(game.auction_log, ["ann", "bob"]) == [[10, 10], [7, 10], [7, 10]]
    game.auction_log[1] = replace(game.auction_log[1], winner="bob", price=1.0)
    economy = economy_of([game, by_hand()])
    assert economy.seats == ("ann", "bob")
    assert economy.budgets[:, -1].tolist() == [[7, 9], [7, 10]]
    assert economy.revenue.tolist() == [4, 3]
    assert economy.efficiency.tolist() == [5 / 11, 4 / 11]


def test_efficiency_of_worthless_items_is_not_known() -> None:
    game = by_hand()
    for result in game.team_results.values():
        result.valuation_vector.update({"x": 0.0, "y": 0.0})
    assert np.isnan(allocative_efficiency(game))
    assert not mean_estimate(np.array([np.nan])).known
    assert mean_estimate(np.array([np.nan, 2.0, 2.0])) == (2, 2, 2)


def test_played_games_agree_with_their_logs(stages: list[StageData]) -> None:
    for stage in stages:
        for arena_id, games in stage.games.items():
            economy = economy_of(games)
            assert ((economy.efficiency > 0) & (economy.efficiency <= 1)).all()
            spent = [[game.team_results[seat].budget_spent for seat in economy.seats] for game in games]
            np.testing.assert_allclose(economy.budgets[:, 0] - economy.budgets[:, -1], spent, atol=1e-6)
            np.testing.assert_allclose(economy.revenue, np.sum(spent, axis=1))
            assert list(economy.seats) == stage.seats(arena_id)


def test_intervals_are_those_of_the_bootstrap() -> None:
    values = np.random.default_rng(0).normal([10, -5], [1, 3], size=(400, 2))
    for column, estimate in enumerate(mean_estimates(values)):
        error = values[:, column].std() / 20
        assert estimate.mean == pytest.approx(values[:, column].mean())
        assert estimate.low == pytest.approx(estimate.mean - 1.96 * error, abs=0.15 * error)
        assert estimate.high == pytest.approx(estimate.mean + 1.96 * error, abs=0.15 * error)
    assert mean_estimates(values) == mean_estimates(values)
    mean, low, high = mean_estimates(values[:1])[0]
    assert mean == values[0, 0]
    assert np.isnan([low, high]).all()


def test_many_games_are_drawn_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(50, 3))
    at_once = mean_estimates(values)
    monkeypatch.setattr(report.measures, "_MOST_CELLS", 50 * 300)
    np.testing.assert_allclose(mean_estimates(values), at_once)


def test_conduct_counts_what_was_asked(stages: list[StageData]) -> None:
    rounds = stages[0].rounds
    table = conduct(rounds)
    assert table.at["dan", "lost"] == 4
    assert table.at["ann", "lost"] == 0
    own = rounds[rounds["team_id"] == "ann"]
    assert table.at["ann", "capped"] == (own["asked"] > own["cap"]).sum()
    assert table["capped"].sum() > 0
    assert table.at["ann", "max_seconds"] == own["seconds"].max()
    assert table.at["ann", "median_seconds"] == own["seconds"].median()
    used = conduct(rounds.assign(cpu_seconds=rounds["seconds"].where(rounds["round"] > 1) / 10))
    assert used.at["ann", "max_seconds"] == own.loc[own["round"] == 1, "seconds"].max(), (
        "wall time if it alone is known"
    )
    used = conduct(rounds.assign(cpu_seconds=rounds["seconds"] / 10))
    assert used.at["ann", "max_seconds"] == own["seconds"].max() / 10
    never = conduct(rounds.assign(seconds=None, asked=None, note=None))
    assert never["max_seconds"].isna().all()
    assert never["lost"].sum() == len(rounds)
