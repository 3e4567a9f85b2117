"""Whether what is stored follows from the stored bids and, on request, whether the agents would bid the same again."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from agt_tournament.actions.differences import Difference, Remark, compare, compare_files
from agt_tournament.actions.game import GAME_FILE
from agt_tournament.actions.rerun import Deviation, blocks_of, rerun, stored_answer
from agt_tournament.actions.results import write_files
from agt_tournament.config import CompetitionConfig, TournamentConfig
from agt_tournament.game.auction_engine import AuctionRound
from agt_tournament.game.game_files import game_digests, game_files, place_of_game, read_game, read_output
from agt_tournament.game.game_manager import GameResult, Ledger, tie_stream
from agt_tournament.game.seeding import GameSeeds
from agt_tournament.game.valuation_generator import draw_items, generate_arena_valuations
from agt_tournament.tournament import messages
from agt_tournament.tournament.competition_directory import SUBMISSIONS, read_competition, rules_of, stored_teams
from agt_tournament.tournament.preflight import walls
from agt_tournament.tournament.registration import Team, examples
from agt_tournament.tournament.results_manager import StageData, arena_folders, leaderboards, read_stage
from agt_tournament.tournament.stages import final_of, marks_folder, stage_one
from agt_tournament.tournament.submissions import digest, read_submission
from agt_tournament.tournament.tournament_manager import TournamentStage
from generative_auctions.errors import RequestError
from generative_auctions.files import DamagedFileError
from generative_auctions.run_directory import check_ended, read_provenance
from generative_auctions.text import count
from launchers import completion_of, completion_path

_MOST_SHOWN = 40
_NOT_COMPARED = ("config.yaml", "provenance.json", "shards", "logs", ".lock")
"""Of a run directory: what the run was made with, and what launchers keep of their work."""


def replay(config: CompetitionConfig) -> int:
    """Recompute every file in `config.run_dir` from the stored bids; print what differs; 1 if anything does.

    With `config.rerun` each agent plays again, alone, behind the walls of `config`, and its bids are compared as well.
    """
    run_dir = Path(config.run_dir)
    check_ended(run_dir)
    stored = read_competition(run_dir)
    stages = [] if stored["action"] == "game" else _stages(run_dir, stored)
    games = list(stored_games(run_dir, stored, stages))
    if not games:
        raise RequestError("run_dir", run_dir, "the directory of a competition with games in it")
    rules = rules_of(stored)
    drawn = [] if stored["action"] == "game" else _drawn(run_dir, stored, stages, games)
    missing = [remark for stage in drawn for remark in _of_missing(run_dir, stage)]
    outcomes = [
        *_of_submissions(run_dir, stored),
        *(found for game in games for found in _of_game(run_dir, game, rules)),
    ]
    again = [*_of_rerun(run_dir, stored, games, config)] if config.rerun else []
    agents: list[Remark | Deviation] = [*again, *_of_changed_records({found.file for found in outcomes}, again)]
    seating = [found for stage in drawn for found in _of_draw(stage, games)]
    sources = [*seating, *_of_digests(run_dir, games, rules), *_of_strangers(run_dir, games, drawn, stored)]
    whole = bool(drawn) and not missing and not seating  # tables and pages are of whole stages
    derived = [*_of_results(run_dir, stages, stored)] if whole else []
    for found in (missing, outcomes, agents, sources, derived):
        _show(found)
    others = len(missing) + len(outcomes) + len(agents) + len(sources)
    alone = ", and the agents bid the same again" if config.rerun else ""
    verdict = f"all outcomes follow from the stored bids{alone}"
    if others or derived:
        verdict = count(others + len(derived), "difference")
    print(f"{count(len(games), 'game')} replayed: {verdict}")
    print(f"not compared: {', '.join(name for name in _NOT_COMPARED if (run_dir / name).exists())}")
    if not others and any(found.stored != "there" for found in derived):
        print("action=report writes the tables and pages of the stored games again")
    return 1 if others or derived else 0


def _show(found: Sequence[Difference | Remark | Deviation]) -> None:
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


def stored_games(run_dir: Path, stored: Mapping[str, Any], stages: Iterable[StageData]) -> Iterator[StoredGame]:
    """The games under `run_dir`, those of an arena after a missing one too, which are not in `stages`."""
    rules = rules_of(stored)
    per = rules.valuations_per
    if stored["action"] == "game":
        if (run_dir / GAME_FILE).exists():
            content = read_game(run_dir / GAME_FILE)
            yield StoredGame(GAME_FILE, content, "game", "game", GameSeeds(stored["seed"], 0, 1, 1, per))
        return
    read = {(stage.number, arena_id): games for stage in stages for arena_id, games in stage.games.items()}
    for stage in (1, 2):
        for arena_id in (folder.name for folder in arena_folders(run_dir, stage)):
            first = read.get((stage, arena_id), ())
            for number in range(1, max(rules.stage_games(stage), len(first)) + 1):
                file = place_of_game(stage, arena_id, number)
                if number > len(first) and not (run_dir / file).exists():
                    continue
                content = dict(first[number - 1]) if number <= len(first) else read_game(run_dir / file)
                seeds = GameSeeds(stored["seed"], stage, int(arena_id.removeprefix("arena_")), number, per)
                yield StoredGame(file, content, f"stage{stage}_{arena_id}_game_{number}", arena_id, seeds)


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
    """Round, team and error of bids that failed: as the list of failures says, and as the rounds do.

    Where an update and the bid after it failed, the list has both in this order, and the round has the bid's.
    """
    listed = {(failure["round"], failure["team_id"]): failure["error"] for failure in game["failures"]}
    return [[*place, error] for place, error in listed.items() if place[0]], [
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


def _drawn(
    run_dir: Path, stored: Mapping[str, Any], stages: Sequence[StageData], games: Sequence[StoredGame]
) -> list[TournamentStage]:
    """The stages as they should have been played.

    Who should be in the final is known only if all games of stage 1 are there: otherwise it is as it is stored.
    """
    rules, seed = rules_of(stored), stored["seed"]
    if not any(game.seeds.stage == 1 for game in games):
        raise RequestError(
            "run_dir", run_dir, "the games of stage 1, from which stage 2 follows; action=run plays them"
        )
    first = stage_one(stored_teams(stored), rules, seed)
    final = [stage for stage in _played_stages(games, rules) if stage.number == 2]
    if not final and not any(marks_folder(run_dir, 2).glob("*.json")):
        return [first]
    if any(_of_missing(run_dir, first)):
        return [first, *final]
    return [first, final_of(leaderboards(stages, seed)[1], rules)]


def _of_missing(run_dir: Path, stage: TournamentStage) -> Iterator[Remark]:
    """Game files that are not there, those of consecutive games together."""
    for arena in stage.arenas:
        places = [place_of_game(stage.number, arena.arena_id, number) for number in range(1, stage.games + 1)]
        for there, group in groupby(places, key=lambda place: (run_dir / place).exists()):
            absent = [] if there else list(group)
            if absent:
                what = "it" if len(absent) == 1 else "them"
                yield Remark(_span(absent), f"missing; the command that ran the competition plays {what} again")


def _span(places: Sequence[str]) -> str:
    """``stage1/arena_2/game_1.json to game_5.json``."""
    return places[0] if len(places) == 1 else f"{places[0]} to {Path(places[-1]).name}"


def _of_draw(drawn: TournamentStage, games: Iterable[StoredGame]) -> Iterator[Difference]:
    """Games of other teams, or of another number, than were drawn."""
    seats = {arena.arena_id: list(arena.team_ids) for arena in drawn.arenas}
    strangers = set()
    for game in games:
        if game.seeds.stage != drawn.number:
            continue
        teams = list(game.content["team_results"])
        if game.arena_id not in seats:
            strangers.add(game.seeds.arena)
        elif game.seeds.game > drawn.games:
            yield Difference(game.file, "game", game.seeds.game, f"at most {drawn.games}")
        elif teams != seats[game.arena_id]:
            yield Difference(game.file, "teams", teams, seats[game.arena_id])
    for arena in sorted(strangers):
        yield Difference(f"stage{drawn.number}/arena_{arena}", "arena", "there", "none of that number")


def _of_digests(run_dir: Path, games: Sequence[StoredGame], rules: TournamentConfig) -> Iterator[Remark]:
    """Game files that are not those of which the digests were kept: times, errors and output follow from no bid."""
    for stage in _played_stages(games, rules):
        if not stage.number:  # of a single game there are none
            continue
        marks = marks_folder(run_dir, stage.number)
        for block in stage.blocks(rules.block_games):
            first, last = block.payload["games"]
            arena_id = f"arena_{block.payload['arena']}"
            places = [place_of_game(stage.number, arena_id, number) for number in range(first, last + 1)]
            there = [place for place in places if (run_dir / place).exists()]
            shard = completion_path(marks, block.key).relative_to(run_dir)
            digests = (completion_of(marks, block.key) or {}).get("files")
            if there and (not isinstance(digests, list) or len(digests) != len(places)):
                yield Remark(_span(there), f"no digest in {shard}: times, errors and output cannot be checked")
                continue
            for place, digest_then in zip(places, digests or [], strict=False):
                if place in there and game_digests(run_dir / place) != digest_then:
                    yield Remark(place, f"changed since it was played: other digests than in {shard}")


def _of_results(run_dir: Path, stages: Sequence[StageData], stored: Mapping[str, Any]) -> Iterator[Difference]:
    """Every table and page."""
    with tempfile.TemporaryDirectory() as folder:
        again = Path(folder)
        for stage in stages:
            (again / f"stage{stage.number}").symlink_to((run_dir / f"stage{stage.number}").resolve())
        write_files(again, stages, leaderboards(stages, stored["seed"]), stored)
        for file in _derived_files(again):
            if (run_dir / file).is_symlink():
                continue  # it is said below, and is not read: it leads anywhere
            if (run_dir / file).is_file():
                yield from compare_files(file, run_dir / file, again / file)
            else:
                yield Difference(file, "file", "missing", "what the games give")
        for file in _derived_files(run_dir):
            if not (again / file).exists():
                yield Difference(file, "file", "there", "nothing that the games give")


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


def _of_strangers(
    run_dir: Path, games: Iterable[StoredGame], drawn: Iterable[TournamentStage], stored: Mapping[str, Any]
) -> Iterator[Difference | Remark]:
    """Files among the games and submissions that are neither, and what there should be beside them."""
    if not (run_dir / "provenance.json").exists():
        yield Remark("provenance.json", "missing: nothing says which versions the games were played with")
    else:
        try:
            read_provenance(run_dir)
        except DamagedFileError as error:
            yield Remark("provenance.json", f"{error.problem}: nothing says which versions the games were played with")
    places = {game.file for game in games} | {
        place_of_game(stage.number, arena.arena_id, number)
        for stage in drawn
        for arena in stage.arenas
        for number in range(1, stage.games + 1)
    }
    known = {path.relative_to(run_dir).as_posix() for place in places for path in game_files(run_dir / place)}
    for key in stored["identity"]:
        if key.startswith("teams."):
            folder = f"{SUBMISSIONS}/{key.removeprefix('teams.')}"
            known |= {f"{folder}/{name}" for name in read_submission(run_dir / folder, "run_dir").files}
    derived = set() if stored["action"] == "game" else set(_derived_files(run_dir))
    for file in _files(run_dir):
        if file.partition("/")[0] in _NOT_COMPARED:
            continue
        if file not in known and file not in derived:
            yield Difference(file, "file", "there", "no such file")
        elif (run_dir / file).is_symlink():
            yield Difference(file, "file", "a link", "a file")


# --- the agents again ------------------------------------------------------------------------------------


def _of_rerun(
    run_dir: Path, stored: Mapping[str, Any], played: Iterable[StoredGame], config: CompetitionConfig
) -> Iterator[Deviation]:
    sandbox = walls(config, _handed_in(stored_teams(stored), run_dir))
    messages.sandbox(sandbox.name)
    rules = rules_of(stored)
    games = {(game.seeds.stage, game.seeds.arena, game.seeds.game): game for game in played}

    def read(stage: int, arena: int, number: int) -> tuple[str, Mapping[str, Any]] | None:
        game = games.get((stage, arena, number))
        return game and (game.file, {**game.content, "team_results": recompute(game, rules)["team_results"]})

    for stage in _played_stages(games.values(), rules):
        what = f"stage {stage.number} again, each agent alone" if stage.number else "the game again, each agent alone"
        blocks = blocks_of(stage, rules.block_games)
        yield from rerun(blocks, read, run_dir / SUBMISSIONS, rules, stored["seed"], sandbox, what)


def _of_changed_records(changed: Iterable[str], found: Sequence[Deviation]) -> list[Remark]:
    """Agents hear prices and winners of the record: where one of an arena was edited, answers may differ for that."""
    arenas = {Path(deviation.file).parent for deviation in found}
    text = "changed, and heard by the agents so: answers that differ in its arena may follow from that"
    return [Remark(file, text) for file in sorted(changed) if Path(file).parent in arenas]


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
    weights = rules_of(stored).scoring_weights
    return [stage for number in (1, 2) if (stage := read_stage(run_dir, number, teams, weights))]
