"""Whether what is stored follows from the stored bids and, on request, whether the agents would bid the same again."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from agt_tournament import show
from agt_tournament.auction_engine import AuctionRound
from agt_tournament.competition import final_of, leaderboards, marks_folder, stage_one, write_files
from agt_tournament.competition_directory import SUBMISSIONS, rules_of, stored_teams
from agt_tournament.config import CompetitionConfig, TournamentConfig
from agt_tournament.differences import Difference, compare, compare_files
from agt_tournament.game_files import game_files, place_of_game, read_game, read_output
from agt_tournament.game_manager import GameResult, Ledger, tie_stream
from agt_tournament.preflight import walls
from agt_tournament.registration import Team, examples
from agt_tournament.rerun import Deviation, blocks_of, rerun, stored_answer
from agt_tournament.results_manager import StageData, read_stage
from agt_tournament.seeding import GameSeeds
from agt_tournament.single_game import GAME_FILE
from agt_tournament.submissions import digest, read_submission
from agt_tournament.tournament_manager import TournamentStage, is_played
from agt_tournament.valuation_generator import draw_items, generate_arena_valuations
from experiments.errors import RequestError
from experiments.run_directory import read_run
from launchers import mark_of

_MOST_SHOWN = 40
_NOT_COMPARED = ("config.yaml", "provenance.json", "shards", ".lock")
"""Of a run directory: what the run was made with, and what launchers keep of their work."""


def replay(config: CompetitionConfig) -> int:
    """Recompute every file in `config.run_dir` from the stored bids; print what differs; 1 if anything does.

    With `config.rerun` each agent plays again, alone, behind the walls of `config`, and its bids are compared as well.
    """
    run_dir = Path(config.run_dir)
    stored = read_run(run_dir)
    games = list(stored_games(run_dir, stored))
    if not games:
        raise RequestError("run_dir", run_dir, "the directory of a competition with games in it")
    rules = rules_of(stored)
    outcomes = [
        *_of_submissions(run_dir, stored),
        *(found for game in games for found in _of_game(run_dir, game, rules)),
    ]
    agents = [*_of_rerun(run_dir, stored, config)] if config.rerun else []
    files = [] if stored["action"] == "game" else [*_of_competition(run_dir, stored)]
    files += _of_strangers(run_dir, games, stored)
    for found in (outcomes, agents, files):
        _show(found)
    again = ", and the agents bid the same again" if config.rerun else ""
    count = len(outcomes) + len(agents) + len(files)
    verdict = f"{count} differences" if count else f"all outcomes follow from the stored bids{again}"
    print(f"{len(games)} games replayed: {verdict}")
    print(f"not compared: {', '.join(name for name in _NOT_COMPARED if (run_dir / name).exists())}")
    if files and stored["action"] != "game":
        print("action=report writes the tables and pages of the stored games again")
    return 1 if count else 0


def _show(found: Sequence[Difference | Deviation]) -> None:
    for difference in found[:_MOST_SHOWN]:
        print(difference, file=sys.stderr)
    if len(found) > _MOST_SHOWN:
        print(f"… and {len(found) - _MOST_SHOWN} more", file=sys.stderr)


class StoredGame(NamedTuple):
    """A game file and where it belongs."""

    file: str
    """Its place below the run directory."""
    content: dict[str, Any]
    game_id: str
    arena_id: str
    seeds: GameSeeds


def stored_games(run_dir: Path, stored: Mapping[str, Any]) -> Iterator[StoredGame]:
    """The games under `run_dir`."""
    per = rules_of(stored).valuations_per
    if stored["action"] == "game":
        if (run_dir / GAME_FILE).exists():
            content = read_game(run_dir / GAME_FILE)
            yield StoredGame(GAME_FILE, content, "game", "game", GameSeeds(stored["seed"], 0, 1, 1, per))
        return
    for stage in _stages(run_dir, stored):
        for arena_id, games in stage.games.items():
            arena = int(arena_id.removeprefix("arena_"))
            for number, game in enumerate(games, start=1):
                file, game_id = (
                    place_of_game(stage.number, arena_id, number),
                    f"stage{stage.number}_{arena_id}_game_{number}",
                )
                seeds = GameSeeds(stored["seed"], stage.number, arena, number, per)
                yield StoredGame(file, dict(game), game_id, arena_id, seeds)


# --- games -----------------------------------------------------------------------------------------------


def recompute(game: StoredGame, rules: TournamentConfig) -> dict[str, Any]:
    """The game file that the stored bids should have led to; what does not follow from bids is as it is stored."""
    content, seeds = game.content, game.seeds
    valuations = generate_arena_valuations(content["team_results"], rules, seeds)
    ledger, log, ties = Ledger(valuations, rules), [], tie_stream(seeds)
    for number, (item_id, entry) in enumerate(
        zip(draw_items(rules, seeds), content["auction_log"], strict=False), start=1
    ):
        round_ = AuctionRound(item_id, ledger.budgets, ties, rules.bid_decimals)
        round_.answers = {team: stored_answer(entry, team) for team in valuations}
        round_.settle({team: answer.bid for team, answer in round_.answers.items()})
        ledger.book(round_)
        log.append({"round": number, **round_.log_entry()})
    return {
        **{field.name: content[field.name] for field in fields(GameResult)},
        "game_id": game.game_id,
        "arena_id": game.arena_id,
        "stage": seeds.stage,
        "team_results": {team: result.as_json() for team, result in ledger.results().items()},
        "auction_log": log,
    }


def _of_game(run_dir: Path, game: StoredGame, rules: TournamentConfig) -> Iterator[Difference]:
    yield from compare(game.file, game.content, recompute(game, rules))
    if (rounds := len(game.content["auction_log"])) != rules.auction_rounds:
        yield Difference(game.file, "rounds", rounds, rules.auction_rounds)
    yield from compare(game.file, *_bid_failures(game.content), "failures of bids")
    output = game_files(run_dir / game.file)[1]
    for team in read_output(output).keys() - game.content["team_results"].keys():
        yield Difference(output.relative_to(run_dir).as_posix(), "team", team, "one that played")


def _bid_failures(game: Mapping[str, Any]) -> tuple[list[list[Any]], list[list[Any]]]:
    """Round, team and error of bids that failed: as the list of failures says, and as the rounds do."""
    listed = [[failure["round"], failure["team_id"], failure["error"]] for failure in game["failures"]]
    return [failure for failure in listed if failure[0]], [
        [entry["round"], team, entry["errors"][team]]
        for entry in game["auction_log"]
        for team in game["team_results"]
        if team in entry["errors"] and entry["seconds"][team] is not None  # who is out is not asked again
    ]


# --- the competition -------------------------------------------------------------------------------------


def _of_submissions(run_dir: Path, stored: Mapping[str, Any]) -> Iterator[Difference]:
    for key, text in stored["identity"].items():
        if key.startswith("teams."):
            team_id, then = key.removeprefix("teams."), text.partition(",")[0]
            now = digest(read_submission(run_dir / SUBMISSIONS / team_id, "run_dir").files)
            if now != then:
                yield Difference(f"{SUBMISSIONS}/{team_id}", "digest", now, then)


def _of_competition(run_dir: Path, stored: Mapping[str, Any]) -> Iterator[Difference]:
    """Who met whom, how many games there are, and every table and page."""
    rules, seed = rules_of(stored), stored["seed"]
    stages = _stages(run_dir, stored)
    boards = leaderboards(stages, seed)
    if 1 not in boards:
        raise RequestError(
            "run_dir", run_dir, "the games of stage 1, from which stage 2 follows; action=run plays them"
        )
    drawn = []
    for stage in stages:
        expected = stage_one(stored_teams(stored), rules, seed) if stage.number == 1 else final_of(boards[1], rules)
        drawn += list(_of_draw(stage, expected))
        yield from _of_marks(run_dir, expected, rules)
    yield from drawn
    if drawn:  # tables and pages are of whole stages
        return
    with tempfile.TemporaryDirectory() as folder:
        again = Path(folder)
        for stage in stages:
            (again / f"stage{stage.number}").symlink_to((run_dir / f"stage{stage.number}").resolve())
        write_files(again, stages, boards, stored)
        for file in _derived_files(again):
            if (run_dir / file).is_file():
                yield from compare_files(file, run_dir / file, again / file)
            else:
                yield Difference(file, "file", "missing", "what the games give")
        for file in _derived_files(run_dir):
            if not (again / file).exists():
                yield Difference(file, "file", "there", "nothing that the games give")


def _of_draw(stage: StageData, drawn: TournamentStage) -> Iterator[Difference]:
    for arena in drawn.arenas:
        folder = f"stage{stage.number}/{arena.arena_id}"
        games = stage.games.get(arena.arena_id, ())
        if len(games) != drawn.games:
            yield Difference(folder, "games", len(games), drawn.games)
        for number, game in enumerate(games, start=1):
            teams = list(game["team_results"])
            if teams != list(arena.team_ids):
                yield Difference(f"{folder}/game_{number}.json", "teams", teams, list(arena.team_ids))
    for arena_id in stage.games.keys() - {arena.arena_id for arena in drawn.arenas}:
        yield Difference(f"stage{stage.number}/{arena_id}", "arena", "there", "none of that number")


def _of_marks(run_dir: Path, stage: TournamentStage, rules: TournamentConfig) -> Iterator[Difference]:
    """Blocks whose files are not those that were marked as played: times and output follow from no bid."""
    marks = marks_folder(run_dir, stage.number)
    for block in stage.blocks(rules.block_games):
        if mark_of(marks, block.key) is not None and not is_played(run_dir, marks, block):
            first, last = block.payload["games"]
            files = f"stage{stage.number}/arena_{block.payload['arena']}/game_{first}.json to game_{last}.json"
            yield Difference(files, "content", "changed since it was played", f"as in {marks.relative_to(run_dir)}")


# --- files -----------------------------------------------------------------------------------------------


def _files(folder: Path) -> Iterator[str]:
    """Places of all files below `folder`, but for those that a killed run left half written."""
    for path in sorted(folder.rglob("*")):
        if (path.is_symlink() or not path.is_dir()) and not (path.name.startswith(".") and path.suffix == ".part"):
            yield path.relative_to(folder).as_posix()


def _derived_files(folder: Path) -> list[str]:
    """Tables and pages in a run directory: all but games, submissions and what is not compared."""
    sources = (*_NOT_COMPARED, SUBMISSIONS, "stage1", "stage2")
    return [file for file in _files(folder) if file.partition("/")[0] not in sources]


def _of_strangers(run_dir: Path, games: Iterable[StoredGame], stored: Mapping[str, Any]) -> Iterator[Difference]:
    """Files among the games and submissions that are neither."""
    known = {path.relative_to(run_dir).as_posix() for game in games for path in game_files(run_dir / game.file)}
    for key in stored["identity"]:
        if key.startswith("teams."):
            folder = f"{SUBMISSIONS}/{key.removeprefix('teams.')}"
            known |= {f"{folder}/{name}" for name in read_submission(run_dir / folder, "run_dir").files}
    derived = set() if stored["action"] == "game" else set(_derived_files(run_dir))
    for file in _files(run_dir):
        if file not in known and file not in derived and file.partition("/")[0] not in _NOT_COMPARED:
            yield Difference(file, "file", "there", "no such file")


# --- the agents again ------------------------------------------------------------------------------------


def _of_rerun(run_dir: Path, stored: Mapping[str, Any], config: CompetitionConfig) -> Iterator[Deviation]:
    sandbox = walls(config, _handed_in(stored_teams(stored), run_dir))
    show.sandbox(sandbox.name)
    rules = rules_of(stored)
    games = {(game.seeds.stage, game.seeds.arena, game.seeds.game): game for game in stored_games(run_dir, stored)}

    def read(stage: int, arena: int, number: int) -> tuple[str, Mapping[str, Any]] | None:
        game = games.get((stage, arena, number))
        return game and (game.file, game.content)

    for stage in _played_stages(games.values(), rules):
        what = f"stage {stage.number} again, each agent alone" if stage.number else "the game again, each agent alone"
        blocks = blocks_of(stage, rules.block_games)
        yield from rerun(blocks, read, run_dir / SUBMISSIONS, rules, stored["seed"], sandbox, what)


def _played_stages(games: Iterable[StoredGame], rules: TournamentConfig) -> Iterator[TournamentStage]:
    """The stages of stored games; stage 0 is a single game."""
    seats: dict[int, dict[str, list[str]]] = {}
    for game in games:
        arena_id = f"arena_{game.seeds.arena}"
        seats.setdefault(game.seeds.stage, {}).setdefault(arena_id, list(game.content["team_results"]))
    for number, arenas in seats.items():
        yield TournamentStage.of_seats(number, arenas, rules)


def _handed_in(teams: Iterable[Team], run_dir: Path) -> list[Team]:
    """The stored teams with where their agents are: those of the project are told from others by their content."""
    bundled = {digest(read_submission(path, "run_dir").files): str(path) for path in examples().values()}
    found = []
    for team in teams:
        stored = run_dir / SUBMISSIONS / team.team_id
        content = digest(read_submission(stored, "run_dir").files)
        found.append(replace(team, agent_file_path=bundled.get(content, str(stored))))
    return found


def _stages(run_dir: Path, stored: Mapping[str, Any]) -> list[StageData]:
    teams: Mapping[str, Team] = {team.team_id: team for team in stored_teams(stored)}
    return [stage for number in (1, 2) if (stage := read_stage(run_dir, number, teams))]
