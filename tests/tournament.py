"""What tests of the competition share: composed rules, a bidder in this process, submissions, what is left behind."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from agt_tournament.config import TournamentConfig
from agt_tournament.game.auction_engine import Answer, Bidder
from agt_tournament.game.game_manager import Game
from agt_tournament.game.record import GameResult
from agt_tournament.game.seeding import GameSeeds
from agt_tournament.tournament.composed_config import compose as competition
from agt_tournament.tournament.composed_config import composed_tree as competition_tree  # noqa: F401  (for the tests)

Script = Mapping[str, float | Answer] | Callable[[str], float | Answer]


@cache
def _standard() -> TournamentConfig:
    return competition().tournament


def rules(**changes: Any) -> TournamentConfig:
    """The standard rules but for `changes`, which are not checked against each other."""
    return TournamentConfig.model_validate({**_standard().model_dump(), **changes})


class ScriptedBidder:
    """Bids in this process what `script` says of the item, and keeps what it is told."""

    def __init__(self, script: Script | None = None) -> None:
        self._script = script if callable(script) else (script or {}).get
        self.heard: list[tuple[str, str, float]] = []
        self.asked: list[str] = []
        self.briefing: dict[str, Any] = {}
        self.loading_seed: int | None = None
        self.ended = False

    def prepare(self, seed: Callable[[], int]) -> None:
        self.loading_seed = seed()

    def start_game(self, briefing: Mapping[str, Any]) -> Answer:
        self.briefing = dict(briefing)
        return Answer(0.0, 0.0)

    def notify(self, item_id: str, winning_team: str, price_paid: float) -> None:
        self.heard.append((item_id, winning_team, price_paid))

    def bid(self, item_id: str) -> Answer:
        self.asked.append(item_id)
        said = self._script(item_id)
        return said if isinstance(said, Answer) else Answer(said or 0.0, 0.0)

    def end_game(self) -> Answer:
        self.ended = True
        return Answer(0.0, 0.0)


def play(
    agents: Mapping[str, Bidder],
    rules_: TournamentConfig | None = None,
    seeds: GameSeeds | None = None,
    **fixed: Any,
) -> GameResult:
    """A game of `agents` in the arena of `seeds`; `fixed` are its valuations and items."""
    seeds = seeds or GameSeeds(1, 1, 1, 1)
    return Game("game", f"arena_{seeds.arena}", seeds.stage, agents, rules_ or rules(), seeds, **fixed).play()


def repeatable(result: GameResult) -> str:
    """The game's JSON without what no rerun repeats: the time of day and the seconds."""
    content = result.as_json()
    del content["timestamp"]
    for entry in content["auction_log"]:
        del entry["seconds"], entry["cpu_seconds"], entry["waited_seconds"]
    return json.dumps(content, allow_nan=False)


def submission(folder: Path, source: str, **modules: str) -> Path:
    """A submission in `folder`: bidding_agent.py with `source`, beside it `modules` by name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {"bidding_agent": source, **modules}.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(text))
    return folder


def children() -> set[int]:
    """The living and the unburied children of this process."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid():
            found.add(int(stat.parent.name))
    return found


def inhabitants(folder: Path) -> list[int]:
    """The processes whose working directory lies in `folder`, whosever children they are."""
    found = []
    for cwd in Path("/proc").glob("[0-9]*/cwd"):
        try:
            where = os.readlink(cwd)
        except OSError:
            continue
        if where.startswith(str(folder)):
            found.append(int(cwd.parent.name))
    return found


def descriptors() -> int:
    """How many files this process has open."""
    return len(os.listdir("/proc/self/fd"))
