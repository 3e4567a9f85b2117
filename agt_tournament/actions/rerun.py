"""Rerun each agent alone: it hears what it heard in the stored games, and its bids are compared with the stored ones.

Its rivals do not run: their bids are those of the record, so that no agent is blamed for what another did.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from agt_tournament.config import TournamentConfig
from agt_tournament.game import Answer, Bidder, Game, GameResult, GameSeeds, RoundRecord, when
from agt_tournament.sandbox.walls.sandbox import Sandbox
from agt_tournament.tournament.registration import read_submission, store_submission
from agt_tournament.tournament.tournament_manager import Block, TournamentStage, open_agents
from launchers import Shard, completion_of, fan_out

ReadGame = Callable[[int, int, int], tuple[str, GameResult] | None]
"""A function of stage, arena and game: the name and content of the game file; None if there is none."""


class Deviation(NamedTuple):
    """The first answer of an agent in a game that is not the stored one."""

    file: str
    team_id: str
    round: int | None
    """The round, from 1; 0 before the first, None after the last."""
    stored: str
    now: str
    further: int
    """The number of later rounds of the game with other answers, which may follow from the first."""

    def __str__(self) -> str:
        further = f", and {self.further} more answers differ" if self.further else ""
        late = "timeout" in self.stored or "timeout" in self.now
        clock = " (a timeout depends on the clock, too)" if late else ""
        said = f"answered {self.stored}, alone again {self.now}"
        return f"{self.file}: {self.team_id}, {when(self.round)}: {said}{further}{clock}"


def blocks_of(stage: TournamentStage, block_games: int) -> list[Shard]:
    """Return one shard for each block of games and each of its teams."""
    return [
        Shard.of({**block.payload, "team": team}, size=block.size)
        for block in stage.blocks(block_games)
        for team in block.payload["teams"]
    ]


def rerun(
    blocks: Sequence[Shard],
    read: ReadGame,
    submissions: Path,
    rules: TournamentConfig,
    seed: int,
    sandbox: Sandbox,
    what: str,
) -> Iterator[Deviation]:
    """Run `blocks` behind the walls of `sandbox` and yield the first deviation of each team and game.

    `submissions` holds a folder for each team, `seed` is that of the stored games. The agents run from a new copy, so
    that one whose bids depend on where or when its files were written does not bid the same again.
    """

    def play(shard: Shard) -> None:
        block, team, found = Block.of(shard), shard.payload["team"], []
        sandbox.prepare()
        with ExitStack() as processes:
            agent = open_agents(copies, [team], rules, processes, sandbox=sandbox)[team]
            for number in block.numbers:
                if (stored := read(block.stage, block.arena, number)) is None:
                    break  # what the agent learned in it is not known
                file, game = stored
                seat = play_again(game, team, agent, rules, block.seeds(seed, number, rules))
                agent.take_output()
                if seat.deviations:
                    found.append([file, team, *seat.deviations[0], len(seat.deviations) - 1])
        shard.complete(marks, {"deviations": found})

    with tempfile.TemporaryDirectory() as folder:
        marks, copies = Path(folder) / "shards" / "rerun", Path(folder).resolve() / "submissions"
        for team in {shard.payload["team"] for shard in blocks}:
            store_submission(read_submission(submissions / team, "run_dir").files, copies / team)
        fan_out(lambda: play, blocks, marks, what=what, unit="games")
        for shard in blocks:
            record = completion_of(marks, shard.key)
            assert record is not None, "`fan_out` raises unless every block is done"
            yield from (Deviation(*deviation) for deviation in record["deviations"])


def play_again(game: GameResult, team: str, agent: Bidder, rules: TournamentConfig, seeds: GameSeeds) -> ComparedSeat:
    """Play the stored `game` with `agent` in the seat of `team`; the agent is told what was told then."""
    seat = ComparedSeat(game, team, agent)
    seats = {other: seat if other == team else StoredSeat(game, other) for other in game.team_results}
    valuations = {other: result.valuation_vector for other, result in game.team_results.items()}
    items = [entry.item_id for entry in game.auction_log]
    Game(game.game_id, game.arena_id, game.stage, seats, rules, seeds, valuations=valuations, items=items).play()
    return seat


def stored_answer(entry: RoundRecord, team: str) -> Answer:
    """Return the answer of `team` in the round `entry`."""
    asked = entry.asked[team]
    return Answer(
        asked or 0.0,
        entry.seconds[team],
        entry.errors.get(team),
        valid=asked is not None,
        cpu_seconds=entry.cpu_seconds[team],
        waited_seconds=entry.waited_seconds.get(team),
    )


class StoredSeat:
    """Answers as a team did in the stored game."""

    def __init__(self, game: GameResult, team: str) -> None:
        self._team, self._entries = team, iter(game.auction_log)
        self._failed = {failure.round: failure.error for failure in game.failures if failure.team_id == team}

    def prepare(self, seed: Callable[[], int]) -> None:
        """Do nothing: there is no process."""

    def start_game(self, briefing: Mapping[str, Any]) -> Answer:
        """Return the stored answer before the first round."""
        return Answer(0.0, 0.0, self._failed.get(0))

    def notify(self, item_id: str, winning_team: str, price_paid: float) -> None:
        """Do nothing: the outcome is in the record."""

    def bid(self, item_id: str) -> Answer:
        """Return the stored answer of the next round."""
        self._entry = next(self._entries)
        return stored_answer(self._entry, self._team)

    def end_game(self) -> Answer:
        """Return the stored answer after the last round."""
        return Answer(0.0, 0.0, self._failed.get(None))


class ComparedSeat(StoredSeat):
    """Asks an agent as well and notes where it does not answer as the team did."""

    def __init__(self, game: GameResult, team: str, agent: Bidder) -> None:
        super().__init__(game, team)
        self._agent, self._round = agent, 0
        self.deviations: list[tuple[int | None, str, str]] = []
        """Round, stored answer and new answer of each deviation."""

    def prepare(self, seed: Callable[[], int]) -> None:
        """Start the agent's process if there is none."""
        self._agent.prepare(seed)

    def notify(self, item_id: str, winning_team: str, price_paid: float) -> None:
        """Tell the agent what it was told then, even if that does not follow from the stored bids."""
        self._agent.notify(item_id, self._entry.winner, self._entry.price)

    def start_game(self, briefing: Mapping[str, Any]) -> Answer:
        """Make the agent of the game."""
        return self._compared(0, super().start_game(briefing), self._agent.start_game(briefing))

    def bid(self, item_id: str) -> Answer:
        """Ask the agent."""
        self._round += 1
        return self._compared(self._round, super().bid(item_id), self._agent.bid(item_id))

    def end_game(self) -> Answer:
        """Tell the agent the last outcome."""
        stored, now = super().end_game(), self._agent.end_game()
        return stored if now.seconds is None else self._compared(None, stored, now)  # it is out, and was not asked

    def _compared(self, round_: int | None, stored: Answer, now: Answer) -> Answer:
        then, again = (_said(answer, is_bid=bool(round_)) for answer in (stored, now))
        if then != again:
            self.deviations.append((round_, then, again))
        return stored


def _said(answer: Answer, *, is_bid: bool) -> str:
    """Describe an answer apart from its times."""
    bid = repr(answer.bid) if is_bid and answer.valid else ""
    return " with ".join(part for part in (bid, answer.error) if part) or "without an error"
