"""The checks of a replay: each yields what is stored but does not follow from the stored bids."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from agt_tournament.actions.differences import Difference, Remark, compare, compare_files
from agt_tournament.actions.results import write_files
from agt_tournament.actions.stored_run import StoredGame, StoredRun, places_of
from agt_tournament.config import TournamentConfig
from agt_tournament.game import GameResult
from agt_tournament.game.game_files import game_digests, game_files, read_output
from agt_tournament.report import Results
from agt_tournament.tournament.competition_directory import SUBMISSIONS, set_aside_teams
from agt_tournament.tournament.registration import digest, read_submission
from agt_tournament.tournament.stages import marks_folder
from agt_tournament.tournament.standings import leaderboards
from agt_tournament.tournament.tournament_manager import Block, TournamentStage, recorded_digests
from generative_auctions.files import DamagedFileError
from generative_auctions.run_directory import read_provenance
from launchers import completion_path

NOT_COMPARED = ("config.yaml", "provenance.json", "shards", "logs", ".lock")
"""Files of a run directory that describe how the run was made, and the folders of the launchers."""


# --- games -----------------------------------------------------------------------------------------------


def check_game(run_dir: Path, game: StoredGame, rules: TournamentConfig) -> Iterator[Difference]:
    """Compare a game file with the game to which its bids lead."""
    expected = {**game.recompute(rules).as_json(), "failures": game.content["failures"]}
    yield from compare(game.file, game.content, expected)
    if (rounds := len(game.content["auction_log"])) != rules.auction_rounds:
        yield Difference(game.file, "rounds", rounds, rules.auction_rounds)
    yield from compare(game.file, *bid_failures(game.record), "failures of bids")
    output = game_files(run_dir / game.file)[1]
    for team in read_output(output).keys() - set(game.team_ids):
        yield Difference(output.relative_to(run_dir).as_posix(), "team", team, "one that played")


def bid_failures(game: GameResult) -> tuple[list[list[object]], list[list[object]]]:
    """Return round, team and error of failed bids: as the list of failures says, and as the rounds do.

    Where an update and the bid after it failed, the list has both in this order, and the round has the bid's.
    """
    listed = {(failure.round, failure.team_id): failure.error for failure in game.failures}
    return [[*place, error] for place, error in listed.items() if place[0]], [
        [entry.round, team, entry.errors[team]]
        for entry in game.auction_log
        for team in game.team_results
        if team in entry.errors and entry.seconds[team] is not None  # who is out is not asked again
    ]


def check_submissions(run: StoredRun) -> Iterator[Difference]:
    """Compare the stored submissions with the digests in the configuration."""
    for team_id, text in run.identities().items():
        then, now = text.partition(",")[0], digest(read_submission(run.submission(team_id), "run_dir").files)
        if now != then:
            yield Difference(f"{SUBMISSIONS}/{team_id}", "digest", now, then)


# --- the competition -------------------------------------------------------------------------------------


def check_missing(run_dir: Path, stage: TournamentStage) -> Iterator[Remark]:
    """Name the game files that are not there, those of consecutive games together."""
    for _, arena in groupby(places_of(stage), key=lambda place: Path(place).parent):
        for there, group in groupby(arena, key=lambda place: (run_dir / place).exists()):
            if not there:
                absent = list(group)
                what = "it" if len(absent) == 1 else "them"
                yield Remark(_span(absent), f"missing; the command that ran the competition plays {what} again")


def check_draw(drawn: TournamentStage, games: Iterable[StoredGame]) -> Iterator[Difference]:
    """Name games of other teams, or of another number, than were drawn."""
    seats = {arena.arena_id: list(arena.team_ids) for arena in drawn.arenas}
    strangers = set()
    for game in games:
        if game.seeds.stage != drawn.number:
            continue
        if game.arena_id not in seats:
            strangers.add(game.seeds.arena)
        elif game.seeds.game > drawn.games:
            yield Difference(game.file, "game", game.seeds.game, f"at most {drawn.games}")
        elif game.team_ids != seats[game.arena_id]:
            yield Difference(game.file, "teams", game.team_ids, seats[game.arena_id])
    for arena in sorted(strangers):
        yield Difference(f"stage{drawn.number}/arena_{arena}", "arena", "there", "none of that number")


def check_digests(run: StoredRun) -> Iterator[Remark]:
    """Name game files that do not have the digests kept when they were played: times, errors and output."""
    for stage in run.played_stages():
        if not stage.number:  # of a single game there are none
            continue
        marks = marks_folder(run.run_dir, stage.number)
        for shard in stage.blocks(run.rules.block_games):
            places = Block.of(shard).places
            there = [place for place in places if (run.run_dir / place).exists()]
            file = completion_path(marks, shard.key).relative_to(run.run_dir)
            digests = recorded_digests(marks, shard)
            if there and digests is None:
                yield Remark(_span(there), f"no digest in {file}: times, errors and output cannot be checked")
                continue
            for place, digest_then in zip(places, digests or [], strict=False):
                if place in there and game_digests(run.run_dir / place) != digest_then:
                    yield Remark(place, f"changed since it was played: other digests than in {file}")


def _span(places: Sequence[str]) -> str:
    """Name consecutive game files: ``stage1/arena_2/game_1.json to game_5.json``."""
    return places[0] if len(places) == 1 else f"{places[0]} to {Path(places[-1]).name}"


# --- files -----------------------------------------------------------------------------------------------


def check_results(run: StoredRun) -> Iterator[Difference]:
    """Compare every table and page with one written anew."""
    with tempfile.TemporaryDirectory() as folder:
        again = Path(folder)
        for stage in run.stages:
            (again / f"stage{stage.number}").symlink_to((run.run_dir / f"stage{stage.number}").resolve())
        boards = leaderboards(run.stages, run.settings["seed"])
        write_files(Results(again, run.stages, boards, run.settings, set_aside_teams(run.settings)))
        for file in _derived_files(again):
            if (run.run_dir / file).is_symlink():
                continue  # `check_strangers` names it; it is not read, as it leads anywhere
            if (run.run_dir / file).is_file():
                yield from compare_files(file, run.run_dir / file, again / file)
            else:
                yield Difference(file, "file", "missing", "what the games give")
        for file in _derived_files(run.run_dir):
            if not (again / file).exists():
                yield Difference(file, "file", "there", "nothing that the games give")


def check_strangers(run: StoredRun, drawn: Iterable[TournamentStage]) -> Iterator[Difference | Remark]:
    """Name files among the games and submissions that are neither, and what should lie beside them."""
    if problem := _provenance_problem(run.run_dir):
        yield Remark("provenance.json", f"{problem}: nothing says which versions the games were played with")
    places = {game.file for game in run.games} | {place for stage in drawn for place in places_of(stage)}
    known = {path.relative_to(run.run_dir).as_posix() for place in places for path in game_files(run.run_dir / place)}
    for team_id in run.identities():
        files = read_submission(run.submission(team_id), "run_dir").files
        known |= {f"{SUBMISSIONS}/{team_id}/{name}" for name in files}
    if not run.is_single_game:
        known |= set(_derived_files(run.run_dir))  # `check_results` names those that should not be there
    for file in _files(run.run_dir):
        if file.partition("/")[0] in NOT_COMPARED:
            continue
        if file not in known:
            yield Difference(file, "file", "there", "no such file")
        elif (run.run_dir / file).is_symlink():
            yield Difference(file, "file", "a link", "a file")


def _provenance_problem(run_dir: Path) -> str:
    """Say what is wrong with provenance.json; empty if nothing is."""
    if not (run_dir / "provenance.json").exists():
        return "missing"
    try:
        read_provenance(run_dir)
    except DamagedFileError as error:
        return error.problem
    return ""


def _files(folder: Path) -> Iterator[str]:
    """Yield the places of all files below `folder`, except those that a killed run left half written."""
    for path in sorted(folder.rglob("*")):
        if (path.is_symlink() or not path.is_dir()) and not (path.name.startswith(".") and path.suffix == ".part"):
            yield path.relative_to(folder).as_posix()


def _derived_files(folder: Path) -> list[str]:
    """Return tables and pages in a run directory: all but games, submissions and what is not compared."""
    sources = (*NOT_COMPARED, SUBMISSIONS, "stage1", "stage2")
    return [file for file in _files(folder) if file.partition("/")[0] not in sources]
