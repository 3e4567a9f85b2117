"""A submission on trial: loaded and played as the competition would, and all that it answers kept.

It plays a game against copies of each bundled example, one against copies of itself, and the first game again in new
processes. Whoever is slow plays the first of them at least: its copies, which are as slow, come last. Nothing of it is
imported, compiled or unpickled here, and nothing of the trial is left behind.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from agt_tournament.config import TournamentConfig
from agt_tournament.game import Answer, Game, GameResult, GameSeeds, TeamGameResult
from agt_tournament.sandbox.agent_process import AgentProcess
from agt_tournament.sandbox.walls.sandbox import NONE, Sandbox
from agt_tournament.tournament.registration import Submission, examples, read_submission, store_submission
from agt_tournament.tournament.tournament_manager import open_agents

_ME = "you"
"""The team id of the submission; its copies are copy_1, copy_2 …"""

_ITSELF = "itself"

_PATIENCE = 3
"""The number of late answers after which the trial ends."""

SECONDS = 20.0
"""The wall time after which the trial ends; with the answer under way, a verdict takes 30 s at most."""

_RAISED_KB = 1024
"""The limit of error texts in a game of the trial: high enough to tell them in full."""


class Asked(NamedTuple):
    """One answer of the submission or of a copy of it."""

    game: str
    """The game in words; empty for the import before the first game."""
    round: int | None
    """The round, from 1; 0 before the first, None after the last."""
    answer: Answer

    @property
    def method(self) -> str:
        """The method that was called, or ``import``."""
        return self.answer.where or "bidding_function"

    @property
    def seconds(self) -> float:
        """The CPU time of the answer, which is limited; its wall time if the CPU time is unknown."""
        answer = self.answer
        return (answer.seconds if answer.cpu_seconds is None else answer.cpu_seconds) or 0.0


class PlayedGame(NamedTuple):
    """A whole game of the submission."""

    label: str
    opponents: str
    copies: tuple[str, ...]
    """The team ids under which the submission played."""
    result: GameResult
    outputs: dict[str, str]
    """The output of each of `copies`."""

    @property
    def own(self) -> TeamGameResult:
        """The result of the first copy."""
        return self.result.team_results[self.copies[0]]


class _EnoughError(Exception):
    """Raised to end a trial early; the message says what was not played."""


class Trial:
    """All that was seen of the submission at `path`: its modules `files`, and what of it is `ignored`."""

    def __init__(
        self,
        path: Path,
        submission: Submission,
        rules: TournamentConfig,
        seed: int,
        sandbox: Sandbox = NONE,
        seconds: float = SECONDS,
    ) -> None:
        """Make a trial by `rules` from `seed`; no game but the first goes on after `seconds` of wall time."""
        self.path, self.rules = path, rules
        self.files, self.ignored = submission
        self.asked: list[Asked] = []
        self.games: list[PlayedGame] = []
        self.again: GameResult | None = None
        """The first game, played again in new processes; None if it was not."""
        self.output = ""
        """The output of the first copy."""
        self.stopped = ""
        """Why the trial ended early; empty if it did not."""
        self.planned = 0
        """The number of games to play, without the repetition of the first."""
        self.out_of_time = False
        """Whether the trial ended early because it would have taken too long."""
        self.seconds = seconds
        self._seed, self._sandbox = seed, sandbox
        self._tell: Callable[[str], None] = lambda _: None

    @property
    def failed(self) -> bool:
        """Tell whether any answer was an error."""
        return any(asked.answer.error for asked in self.asked)

    def run(self, progress: Callable[[str], None] = lambda _: None) -> Trial:
        """Load the submission and play; `progress` is told what the trial is waiting for."""
        self._tell, self._deadline = progress, time.perf_counter() + self.seconds
        with tempfile.TemporaryDirectory(prefix="agt_validate_", ignore_cleanup_errors=True) as folder:
            self._submissions = Path(folder).resolve()
            try:
                lineups = self._lineups()
                self.planned = len(lineups)
                self._play(lineups)
                if not self.failed:
                    name, files = next(iter(lineups.items()))
                    with ExitStack() as processes:
                        me = self._open(_ME, self.files, processes)
                        self.again = self._game(1, name, files, me, "game 1, played again,").result
            except _EnoughError as reason:
                self.stopped = str(reason)
            place = self._sandbox.place(self._submissions / _ME)
            self.output = self.output.replace(f"{place}/", "")
        return self

    def _lineups(self) -> dict[str, Mapping[str, bytes]]:
        """Return the opponents game by game: name and modules."""
        rivals = examples() if self.rules.arena_size > 1 else {}
        return {**{name: read_submission(path, "agent").files for name, path in rivals.items()}, _ITSELF: self.files}

    def _play(self, lineups: Mapping[str, Mapping[str, bytes]]) -> None:
        """Load the submission, and play the games in its process, which lives on from game to game."""
        with ExitStack() as processes:
            me = self._open(_ME, self.files, processes)
            try:
                self._tell("its import")
                me.prepare(lambda: self._seeds(1).loading(_ME))
                self.keep(Asked("", 0, me.load()))
                for number, (name, files) in enumerate(lineups.items(), start=1):
                    self.games.append(self._game(number, name, files, me, f"game {number}"))
                    self.output += self.games[-1].outputs[_ME]
            except _EnoughError:
                self.output += me.take_output()
                raise

    def _game(self, number: int, name: str, files: Mapping[str, bytes], me: AgentProcess, label: str) -> PlayedGame:
        """Play the game `number` of the submission against an arena full of `files`."""
        rivals = [f"{'copy' if name == _ITSELF else name}_{i}" for i in range(1, self.rules.arena_size)]
        copies = (_ME, *rivals) if name == _ITSELF else (_ME,)
        opponents = f"{len(rivals)} × {name}" if rivals else "nobody"
        label += f" against {opponents}"
        with ExitStack() as processes:
            agents = {_ME: me, **{team: self._open(team, files, processes) for team in rivals}}
            seats = {team: _Watched(agent, self, label) if team in copies else agent for team, agent in agents.items()}
            result = Game("validate", "validate", 0, seats, self.rules, self._seeds(number)).play()
            outputs = {team: agents[team].take_output() for team in copies}
        return PlayedGame(label, opponents, copies, result, outputs)

    def _open(self, team: str, files: Mapping[str, bytes], processes: ExitStack) -> AgentProcess:
        """Store `files` as the submission of `team`, and open its process for as long as `processes` are."""
        store_submission(dict(files), self._submissions / team)
        agents = open_agents(
            self._submissions, [team], self.rules, processes, sandbox=self._sandbox, raised_limit_kb=_RAISED_KB
        )
        return agents[team]

    def wait_for(self, game: str, round_: int) -> None:
        """Show what the trial is waiting for; round 0 is the constructor, or the import in a new process."""
        what = f"round {round_} of {self.rules.auction_rounds}" if round_ else "__init__"
        self._tell(f"{game}, {what} ({self.planned} games in all)")

    def _seeds(self, number: int) -> GameSeeds:
        """Return the random streams of game `number`."""
        return GameSeeds(self._seed, 0, 1, number, self.rules.valuations_per)

    def keep(self, asked: Asked) -> None:
        """Record an answer; raise `_EnoughError` where further games would show no more, or would take too long."""
        if asked.answer.seconds is None:
            return  # it was not asked: it is out of this game
        if asked.answer.update_failed:
            update = Answer(0.0, 0.0, *asked.answer.update_failed, where="update_after_each_round")
            self.asked.append(asked._replace(answer=update))
        self.asked.append(asked)
        error = asked.answer.error
        if error and asked.round == 0 and not self.games:
            raise _EnoughError("no game was played, as it would fail in each")
        late = sum(earlier.answer.error == "timeout" for earlier in self.asked)
        if error == "timeout" and late >= _PATIENCE:
            raise _EnoughError(f"after {late} late answers the rest was not played")
        if self.games and time.perf_counter() > self._deadline:
            self.out_of_time = True
            played = f"{len(self.games)} of {self.planned} games were played"
            left = "no game was played again" if len(self.games) == self.planned else played
            raise _EnoughError(f"{left}, as more would take too long")


class _Watched:
    """A copy of the submission in a game: the trial is told each of its answers."""

    def __init__(self, agent: AgentProcess, trial: Trial, game: str) -> None:
        self._agent, self._trial, self._game = agent, trial, game
        self._round = 0
        self.prepare, self.notify = agent.prepare, agent.notify

    def start_game(self, briefing: Mapping[str, Any]) -> Answer:
        self._trial.wait_for(self._game, 0)
        return self._kept(0, self._agent.start_game(briefing))

    def bid(self, item_id: str) -> Answer:
        self._round += 1
        self._trial.wait_for(self._game, self._round)
        return self._kept(self._round, self._agent.bid(item_id))

    def end_game(self) -> Answer:
        return self._kept(None, self._agent.end_game())

    def _kept(self, round_: int | None, answer: Answer) -> Answer:
        self._trial.keep(Asked(self._game, round_, answer))
        return answer
