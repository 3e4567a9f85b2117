"""Whether stored results follow from the stored bids and, on request, whether the agents would bid the same again."""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from agt_tournament import show
from agt_tournament.agents.sandbox import Sandbox
from agt_tournament.auction_engine import Answer, AuctionRound
from agt_tournament.competition import final_of, leaderboards, stage_one
from agt_tournament.competition_directory import SUBMISSIONS, rules_of, stored_teams
from agt_tournament.config import CompetitionConfig, TournamentConfig
from agt_tournament.game_files import place_of_game, read_game
from agt_tournament.game_manager import Ledger, TeamGameResult, tie_stream
from agt_tournament.preflight import walls
from agt_tournament.registration import Team, examples
from agt_tournament.results_manager import StageData, public_feed, read_stage
from agt_tournament.seeding import GameSeeds
from agt_tournament.single_game import GAME_FILE, play_single
from agt_tournament.submissions import digest, read_submission
from agt_tournament.tournament_manager import TournamentStage, block_player
from agt_tournament.valuation_generator import draw_items, generate_arena_valuations
from experiments.errors import RequestError
from experiments.run_directory import read_run
from launchers import fan_out

_MOST_SHOWN = 40


class Difference(NamedTuple):
    """Something that is stored and should be otherwise."""

    file: str
    where: str
    """Place in the file, as ``auction_log[3].winner``."""
    stored: Any
    expected: Any

    def __str__(self) -> str:
        return f"{self.file}: {self.where} is {_short(self.stored)}, expected {_short(self.expected)}"


def replay(config: CompetitionConfig) -> int:
    """Recompute every outcome in `config.run_dir` from the stored bids; print what differs; 1 if anything does.

    With `config.rerun` the agents play again, behind the walls of `config`, and their bids are compared as well.
    """
    run_dir, rerun = Path(config.run_dir), config.rerun
    stored = read_run(run_dir)
    differences = list(_of_submissions(run_dir, stored))
    games = 0
    for name, game, seeds in stored_games(run_dir, stored):
        games += 1
        differences += compare(name, game, recompute(game, rules_of(stored), seeds))
    if not games:
        raise RequestError("run_dir", run_dir, "the directory of a competition with games in it")
    if stored["action"] != "game":
        differences += _of_standings(run_dir, stored)
    if rerun:
        differences += _of_rerun(run_dir, stored, config)
    for difference in differences[:_MOST_SHOWN]:
        print(difference, file=sys.stderr)
    if len(differences) > _MOST_SHOWN:
        print(f"… and {len(differences) - _MOST_SHOWN} more", file=sys.stderr)
    again = ", and the agents bid the same again" if rerun else ""
    verdict = f"{len(differences)} differences" if differences else f"all outcomes follow from the stored bids{again}"
    print(f"{games} games replayed: {verdict}")
    return 1 if differences else 0


def stored_games(run_dir: Path, stored: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any], GameSeeds]]:
    """Name, content and seeds of each game file under `run_dir`."""
    per = rules_of(stored).valuations_per
    if stored["action"] == "game":
        if (run_dir / GAME_FILE).exists():
            yield GAME_FILE, read_game(run_dir / GAME_FILE), GameSeeds(stored["seed"], 0, 1, 1, per)
        return
    for stage in _stages(run_dir, stored):
        for arena_id, games in stage.games.items():
            arena = int(arena_id.removeprefix("arena_"))
            for number, game in enumerate(games, start=1):
                seeds = GameSeeds(stored["seed"], stage.number, arena, number, per)
                yield place_of_game(stage.number, arena_id, number), dict(game), seeds


def recompute(game: Mapping[str, Any], rules: TournamentConfig, seeds: GameSeeds) -> dict[str, Any]:
    """The game file that the bids stored in `game` should have led to, with the valuations and items of `seeds`."""
    valuations = generate_arena_valuations(game["team_results"], rules, seeds)
    ledger, log, ties = Ledger(valuations, rules), [], tie_stream(seeds)
    for number, (item_id, entry) in enumerate(
        zip(draw_items(rules, seeds), game["auction_log"], strict=False), start=1
    ):
        round_ = AuctionRound(item_id, ledger.budgets, ties, rules.bid_decimals)
        round_.answers = {team: _answer(entry, team) for team in valuations}
        round_.settle({team: answer.bid for team, answer in round_.answers.items()})
        ledger.book(round_)
        log.append({"round": number, **round_.log_entry()})
    return {**game, "team_results": _results(ledger.results()), "auction_log": log}


def _answer(entry: Mapping[str, Any], team: str) -> Answer:
    asked, error = entry["asked"].get(team), entry["errors"].get(team)
    times = {name: entry.get(name, {}).get(team) for name in ("seconds", "cpu_seconds", "waited_seconds")}
    return Answer(asked or 0.0, error=error, valid=asked is not None, **times)


def _results(results: Mapping[str, TeamGameResult]) -> dict[str, Any]:
    return {team: result.as_json() for team, result in results.items()}


# --- what differs ----------------------------------------------------------------------------------------


def compare(file: str, stored: Any, expected: Any, where: str = "") -> Iterator[Difference]:
    """The places in which two JSON values differ; numbers must be equal to the last bit."""
    if isinstance(stored, dict) and isinstance(expected, dict):
        for key in [*expected, *(key for key in stored if key not in expected)]:
            path = f"{where}.{key}" if where else str(key)
            yield from compare(file, stored.get(key), expected.get(key), path)
    elif isinstance(stored, list) and isinstance(expected, list) and len(stored) == len(expected):
        for place, (one, other) in enumerate(zip(stored, expected, strict=True)):
            yield from compare(file, one, other, f"{where}[{place}]")
    elif stored != expected:
        yield Difference(file, where, stored, expected)


def _of_submissions(run_dir: Path, stored: Mapping[str, Any]) -> Iterator[Difference]:
    for key, text in stored["identity"].items():
        if key.startswith("teams."):
            team_id, then = key.removeprefix("teams."), text.partition(",")[0]
            now = digest(read_submission(run_dir / SUBMISSIONS / team_id, "run_dir").files)
            if now != then:
                yield Difference(f"{SUBMISSIONS}/{team_id}", "digest", now, then)


def _of_standings(run_dir: Path, stored: Mapping[str, Any]) -> Iterator[Difference]:
    """Who met whom, how many games there are, the leaderboards and the public feed."""
    rules, seed = rules_of(stored), stored["seed"]
    stages = _stages(run_dir, stored)
    boards = leaderboards(stages, seed)
    for stage in stages:
        drawn = stage_one(stored_teams(stored), rules, seed) if stage.number == 1 else final_of(boards[1], rules)
        yield from _of_draw(stage, drawn)
        file = f"leaderboards/stage{stage.number}_final.csv"
        yield from _of_table(run_dir, file, boards[stage.number])
    yield from _of_table(run_dir, "public/rounds.csv", public_feed(stages))


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


def _of_table(run_dir: Path, file: str, expected: pd.DataFrame) -> Iterator[Difference]:
    path = run_dir / file
    if not path.exists():
        yield Difference(file, "file", "missing", f"a table of {len(expected)} rows")
        return
    text = io.StringIO(expected.to_csv(index=False))
    rows = [table.to_dict("records") for table in (pd.read_csv(path, dtype=str), pd.read_csv(text, dtype=str))]
    for table in rows:
        for row in table:
            row |= {key: None for key, cell in row.items() if pd.isna(cell)}
    yield from compare(file, rows[0], rows[1], "rows")


def _of_rerun(run_dir: Path, stored: Mapping[str, Any], config: CompetitionConfig) -> Iterator[Difference]:
    """The agents' bids and errors in the same games, played again elsewhere."""
    sandbox = walls(config, _handed_in(stored_teams(stored), run_dir))
    show.sandbox(sandbox.name)
    with tempfile.TemporaryDirectory() as folder:
        again = Path(folder)
        if stored["action"] == "game":
            teams = [entry["team_id"] for entry in stored["roster"]]
            play_single(again, run_dir / SUBMISSIONS, teams, rules_of(stored), stored["seed"], sandbox)
        else:
            for stage in _stages(run_dir, stored):
                _rerun_stage(stage, run_dir, again, stored, sandbox)
        for name, game, _ in stored_games(run_dir, stored):
            yield from compare(name, _repeatable(game), _repeatable(read_game(again / name)), "rerun")


def _rerun_stage(stage: StageData, run_dir: Path, again: Path, stored: Mapping[str, Any], sandbox: Sandbox) -> None:
    rules, marks = rules_of(stored), again / "shards"
    played = TournamentStage.of_seats(stage.number, {arena: stage.seats(arena) for arena in stage.games}, rules)
    shards = played.blocks(rules.block_games)
    play = block_player(again, run_dir / SUBMISSIONS, rules, stored["seed"], marks, sandbox)
    fan_out(lambda: play, shards, marks, what=f"stage {stage.number} again", unit="games")


def _handed_in(teams: Iterable[Team], run_dir: Path) -> list[Team]:
    """The stored teams with where their agents are: those of the project are told from others by their content."""
    bundled = {digest(read_submission(path, "run_dir").files): str(path) for path in examples().values()}
    found = []
    for team in teams:
        stored = run_dir / SUBMISSIONS / team.team_id
        content = digest(read_submission(stored, "run_dir").files)
        found.append(replace(team, agent_file_path=bundled.get(content, str(stored))))
    return found


def _repeatable(game: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What of each round is the agents' own doing and does not depend on the clock."""
    return [{"asked": entry["asked"], "errors": entry["errors"]} for entry in game["auction_log"]]


def _stages(run_dir: Path, stored: Mapping[str, Any]) -> list[StageData]:
    teams: Mapping[str, Team] = {team.team_id: team for team in stored_teams(stored)}
    return [stage for number in (1, 2) if (stage := read_stage(run_dir, number, teams))]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else text[:97] + "..."
