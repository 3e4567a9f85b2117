"""Stages and arenas: who meets whom, which games are a block of work, who advances (design document, section 4)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from agt_tournament.config import TournamentConfig
from agt_tournament.game import Game, GameSeeds
from agt_tournament.game.execution_log import block_log, log, logged, told
from agt_tournament.game.game_files import (
    Digests,
    check_as_played,
    game_digests,
    id_of_game,
    log_game_result,
    place_of_game,
)
from agt_tournament.game.seeding import Purpose, stream
from agt_tournament.sandbox.agent_process import AgentProcess
from agt_tournament.sandbox.budget import Limits
from agt_tournament.sandbox.one_cpu import one_cpu
from agt_tournament.sandbox.walls.sandbox import NONE, Sandbox
from generative_auctions.files import DamagedFileError
from launchers import Shard, completion_of, open_shards


@dataclass(frozen=True)
class Arena:
    """Teams that play all games of a stage against each other, in the order of their seats."""

    stage: int
    number: int
    team_ids: tuple[str, ...]

    @property
    def arena_id(self) -> str:
        """The name of the arena's folder, as ``arena_1``."""
        return f"arena_{self.number}"


@dataclass(frozen=True)
class TournamentStage:
    """One stage: arenas and how many games each plays."""

    number: int
    arenas: tuple[Arena, ...]
    games: int

    @classmethod
    def of_seats(cls, number: int, seats: Mapping[str, Sequence[str]], rules: TournamentConfig) -> TournamentStage:
        """Return the stage of stored games: `seats` are the teams of each arena by its id."""
        arenas = (
            Arena(number, int(arena_id.removeprefix("arena_")), tuple(teams)) for arena_id, teams in seats.items()
        )
        return cls(number, tuple(arenas), rules.stage_games(number))

    def blocks(self, block_games: int) -> list[Shard]:
        """Return the shards of the stage, one for each `Block` of at most `block_games`."""
        blocks = [
            Block(self.number, arena.number, list(arena.team_ids), [first, min(first + block_games - 1, self.games)])
            for arena in self.arenas
            for first in range(1, self.games + 1, block_games)
        ]
        return [Shard.of(asdict(block), size=len(block.numbers)) for block in blocks]


@dataclass(frozen=True)
class Block:
    """The payload of a shard: games of one arena over which a team's process lives."""

    stage: int
    arena: int
    teams: list[str]
    games: list[int]
    """The numbers of the first and the last game."""

    @classmethod
    def of(cls, shard: Shard) -> Block:
        """Read the payload of `shard`, which may hold more."""
        return cls(*(shard.payload[each.name] for each in fields(cls)))

    @property
    def arena_id(self) -> str:
        """The name of the arena's folder."""
        return f"arena_{self.arena}"

    @property
    def numbers(self) -> range:
        """The numbers of the games."""
        return range(self.games[0], self.games[1] + 1)

    @property
    def places(self) -> list[str]:
        """The game files, below the run directory."""
        return [place_of_game(self.stage, self.arena_id, number) for number in self.numbers]

    def seeds(self, seed: int, number: int, rules: TournamentConfig) -> GameSeeds:
        """Return the random streams of the game `number`."""
        return GameSeeds(seed, self.stage, self.arena, number, rules.valuations_per)


def draw_arenas(team_ids: Sequence[str], size: int, seed: int, stage: int = 1) -> tuple[Arena, ...]:
    """Draw teams into as few arenas of at most `size` as hold them all; sizes differ by one at most."""
    drawn = stream(seed, stage, 0, 0, Purpose.ARENAS).permutation(np.array(team_ids, dtype=object))
    parts = np.array_split(drawn, -(-len(team_ids) // size))
    return tuple(Arena(stage, number, tuple(part)) for number, part in enumerate(parts, start=1))


def fill_arenas(arenas: Sequence[Arena], size: int, fillers: Sequence[str]) -> tuple[Arena, ...]:
    """Return the arenas with `fillers`, each taken once, in the seats that are left."""
    left = iter(fillers)
    return tuple(
        Arena(arena.stage, arena.number, (*arena.team_ids, *(next(left) for _ in range(size - len(arena.team_ids)))))
        for arena in arenas
    )


def limits_of(rules: TournamentConfig) -> Limits:
    """Return what the rules allow an agent's process."""
    return Limits(
        rules.bid_timeout_seconds,
        rules.load_timeout_seconds,
        rules.game_timeout_seconds,
        rules.memory_limit_mb,
        rules.output_limit_kb,
    )


def block_player(
    run_dir: Path, submissions: Path, rules: TournamentConfig, seed: int, folder: Path, sandbox: Sandbox = NONE
) -> Callable[[Shard], None]:
    """Return the worker of `fan_out`: it plays a block, stores its games below `run_dir` and records it in `folder`.

    `submissions` holds a folder for each team.
    """

    def play(shard: Shard) -> None:
        block = Block.of(shard)
        log_file = run_dir / block_log(block.stage, block.arena_id, *block.games)
        sandbox.prepare()
        with logged(log_file, f"the block of {', '.join(block.teams)}"), one_cpu(), ExitStack() as processes:
            agents = open_agents(submissions, block.teams, rules, processes, sandbox=sandbox)
            for number, place in zip(block.numbers, block.places, strict=True):
                game_id = id_of_game(block.stage, block.arena_id, number)
                seeds = block.seeds(seed, number, rules)
                result = Game(game_id, block.arena_id, block.stage, agents, rules, seeds).play()
                log_game_result(run_dir / place, result, {team: agent.take_output() for team, agent in agents.items()})
                log(log_file, *told(number, result))
        shard.complete(folder, {"files": block_digests(run_dir, shard), "sandbox": sandbox.name})

    return play


def open_agents(
    submissions: Path,
    team_ids: Iterable[str],
    rules: TournamentConfig,
    processes: ExitStack,
    *,
    sandbox: Sandbox = NONE,
    raised_limit_kb: int | None = None,
) -> dict[str, AgentProcess]:
    """Open an agent for each team with a folder in `submissions`; the processes end with the context `processes`.

    `raised_limit_kb` stands in for the limit of the texts of an agent's errors, where results are not stored.
    """
    limits = limits_of(rules)
    if raised_limit_kb is not None:
        limits = limits._replace(raised_limit_kb=raised_limit_kb)
    return {
        team: processes.enter_context(AgentProcess(submissions / team, team, limits, sandbox=sandbox))
        for team in team_ids
    }


def is_played(run_dir: Path, folder: Path, shard: Shard) -> bool:
    """Return whether the block has a completion record and its files are as the record says."""
    return recorded_digests(folder, shard) == block_digests(run_dir, shard)


def damaged_games(run_dir: Path, folder: Path, shard: Shard) -> list[DamagedFileError]:
    """Return the damage of a completed block's files; raises the error of a file that was replaced."""
    then, places = recorded_digests(folder, shard), Block.of(shard).places
    found = (check_as_played(run_dir / place, digests) for place, digests in zip(places, then or (), strict=False))
    return [error for error in found if error]


def unplayed(run_dir: Path, folder: Path, shards: Sequence[Shard]) -> list[Shard]:
    """Return the blocks to play; print each damaged file, and remove the completion record of its block.

    Raises:
        RequestError: A game file is whole, but is not the one that was played; it is not played over.
    """

    def is_done(shard: Shard) -> bool:
        if is_played(run_dir, folder, shard):
            return True
        first, last = Block.of(shard).games
        for error in damaged_games(run_dir, folder, shard):
            print(f"{error.value}: {error.problem}; games {first} to {last} are played again", file=sys.stderr)
        return False

    return open_shards(shards, folder, is_done)


def block_digests(run_dir: Path, shard: Shard) -> list[Digests]:
    """Return the digests of a block's games as they are now."""
    return [game_digests(run_dir / place) for place in Block.of(shard).places]


_DIGESTS = TypeAdapter(list[Digests])


def recorded_digests(folder: Path, shard: Shard) -> list[Digests] | None:
    """Return the digests in a block's completion record; None if there is none or it is damaged."""
    try:
        digests = _DIGESTS.validate_python((completion_of(folder, shard.key) or {}).get("files"))
    except ValidationError:
        return None
    return digests if len(digests) == shard.size else None
