"""The games of a run directory as they are stored, and as they should have been."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from agt_tournament.actions.game import GAME_FILE
from agt_tournament.actions.rerun import stored_answer
from agt_tournament.config import TournamentConfig
from agt_tournament.game import GameResult, GameSeeds
from agt_tournament.game.auction_engine import AuctionRound
from agt_tournament.game.game_files import id_of_game, place_of_game, read_content
from agt_tournament.game.game_manager import Ledger, tie_stream
from agt_tournament.game.valuation_generator import draw_items, generate_arena_valuations
from agt_tournament.tournament.competition_directory import SUBMISSIONS, read_competition, rules_of, stored_teams
from agt_tournament.tournament.registration import Team
from agt_tournament.tournament.stages import final_of, marks_folder, stage_one
from agt_tournament.tournament.standings import StageData, leaderboards
from agt_tournament.tournament.standings.stage_data import arena_folders, game_paths, read_stages
from agt_tournament.tournament.tournament_manager import TournamentStage
from generative_auctions.errors import RequestError


class StoredGame(NamedTuple):
    """A game file and where it belongs."""

    file: str
    """The path of the game file below the run directory."""
    content: dict[str, Any]
    """The JSON of the game file, with keys that no record has."""
    game_id: str
    arena_id: str
    seeds: GameSeeds

    @property
    def record(self) -> GameResult:
        """The typed record of the file."""
        return GameResult.from_json(self.content)

    @property
    def team_ids(self) -> list[str]:
        """The teams in the order of their seats."""
        return list(self.content["team_results"])

    def recompute(self, rules: TournamentConfig) -> GameResult:
        """Recompute the game from the stored bids; keep what does not follow from bids as it is stored."""
        record, seeds = self.record, self.seeds
        valuations = generate_arena_valuations(record.team_results, rules, seeds)
        ledger, log, ties = Ledger(valuations, rules), [], tie_stream(seeds)
        for number, (item_id, entry) in enumerate(zip(draw_items(rules, seeds), record.auction_log, strict=False), 1):
            round_ = AuctionRound(item_id, ledger.budgets, ties, rules.bid_decimals)
            round_.answers = {team: stored_answer(entry, team) for team in valuations}
            round_.settle({team: answer.bid for team, answer in round_.answers.items()})
            ledger.book(round_)
            log.append(round_.record(number))
        return replace(
            record,
            game_id=self.game_id,
            arena_id=self.arena_id,
            stage=seeds.stage,
            team_results=ledger.results(),
            auction_log=log,
        )


@dataclass(frozen=True)
class StoredRun:
    """A run directory: its configuration, and those of its games that are stored."""

    run_dir: Path
    settings: Mapping[str, Any]
    """The stored configuration."""
    rules: TournamentConfig
    teams: Sequence[Team]
    stages: Sequence[StageData]
    """The stages played; empty for a single game."""
    games: Sequence[StoredGame]
    """All game files, those after a missing one too, which `stages` lacks."""

    @classmethod
    def read(cls, run_dir: Path) -> StoredRun:
        """Read the run in `run_dir`.

        Raises:
            RequestError: a file is damaged, or there are no games.
        """
        settings = read_competition(run_dir)
        rules, teams = rules_of(settings), stored_teams(settings)
        single = settings["action"] == "game"
        stages = [] if single else read_stages(run_dir, {team.team_id: team for team in teams}, rules.scoring_weights)
        games = [*(_single_game if single else _arena_games)(run_dir, settings["seed"], rules)]
        if not games:
            raise RequestError("run_dir", run_dir, "the directory of a competition with games in it")
        return cls(run_dir, settings, rules, teams, stages, games)

    @property
    def is_single_game(self) -> bool:
        """Whether this is a game outside any stage."""
        return bool(self.settings["action"] == "game")

    def identities(self) -> dict[str, str]:
        """Return what the configuration says of each team that played, by team id."""
        keys = self.settings["identity"].items()
        return {key.removeprefix("teams."): text for key, text in keys if key.startswith("teams.")}

    def submission(self, team_id: str) -> Path:
        """Return the folder of a team's stored submission."""
        return self.run_dir / SUBMISSIONS / team_id

    def played_stages(self) -> Iterator[TournamentStage]:
        """Yield the stages of the stored games; stage 0 is a single game."""
        seats: dict[int, dict[str, list[str]]] = {}
        for game in self.games:
            seats.setdefault(game.seeds.stage, {}).setdefault(f"arena_{game.seeds.arena}", game.team_ids)
        for number, arenas in seats.items():
            yield TournamentStage.of_seats(number, arenas, self.rules)

    def drawn_stages(self) -> list[TournamentStage]:
        """Return the stages as they should have been played.

        The finalists are known only if all games of stage 1 are there: otherwise they are as stored.
        """
        if self.is_single_game:
            return []
        if not any(game.seeds.stage == 1 for game in self.games):
            expected = "the games of stage 1, from which stage 2 follows; action=run plays them"
            raise RequestError("run_dir", self.run_dir, expected)
        first = stage_one(self.teams, self.rules, self.settings["seed"])
        final = [stage for stage in self.played_stages() if stage.number == 2]
        if not final and not any(marks_folder(self.run_dir, 2).glob("*.json")):
            return [first]
        if not all((self.run_dir / place).exists() for place in places_of(first)):
            return [first, *final]
        return [first, final_of(leaderboards(self.stages, self.settings["seed"])[1], self.rules)]


def places_of(stage: TournamentStage) -> Iterator[str]:
    """Yield the game files that a stage should have, arena by arena."""
    for arena in stage.arenas:
        yield from (place_of_game(stage.number, arena.arena_id, number) for number in range(1, stage.games + 1))


def _single_game(run_dir: Path, seed: int, rules: TournamentConfig) -> Iterator[StoredGame]:
    """Yield the game of `action=game`, if it was played."""
    if (run_dir / GAME_FILE).exists():
        seeds = GameSeeds(seed, 0, 1, 1, rules.valuations_per)
        yield StoredGame(GAME_FILE, read_content(run_dir / GAME_FILE), "game", "game", seeds)


def _arena_games(run_dir: Path, seed: int, rules: TournamentConfig) -> Iterator[StoredGame]:
    """Yield the games of both stages that are there, arena by arena."""
    for stage in (1, 2):
        for folder in arena_folders(run_dir, stage):
            arena_id, arena = folder.name, int(folder.name.removeprefix("arena_"))
            for number in range(1, max(rules.stage_games(stage), len(game_paths(folder))) + 1):
                file = place_of_game(stage, arena_id, number)
                if (run_dir / file).exists():
                    seeds = GameSeeds(seed, stage, arena, number, rules.valuations_per)
                    game_id = id_of_game(stage, arena_id, number)
                    yield StoredGame(file, read_content(run_dir / file), game_id, arena_id, seeds)
