"""Check that a stored competition follows from its bids and, on request, that the agents bid the same again."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from agt_tournament.actions.checks import (
    NOT_COMPARED,
    check_digests,
    check_draw,
    check_game,
    check_missing,
    check_results,
    check_strangers,
    check_submissions,
)
from agt_tournament.actions.differences import Difference, Remark
from agt_tournament.actions.rerun import Deviation, blocks_of, rerun
from agt_tournament.actions.stored_run import StoredRun
from agt_tournament.config import CompetitionConfig
from agt_tournament.game import GameResult
from agt_tournament.tournament import messages
from agt_tournament.tournament.competition_directory import SUBMISSIONS
from agt_tournament.tournament.preflight import walls
from agt_tournament.tournament.registration import Team, digest, examples, read_submission
from generative_auctions.run_directory import check_ended
from generative_auctions.text import count

_MOST_SHOWN = 40


def replay(config: CompetitionConfig) -> int:
    """Recompute every file in `config.run_dir` from the stored bids and print what differs.

    With `config.rerun` each agent plays again, alone, behind the walls of `config`, and its bids are compared as well.

    Returns:
        The exit status: 1 if anything differs.
    """
    check_ended(Path(config.run_dir))
    run = StoredRun.read(Path(config.run_dir))
    drawn = run.drawn_stages()
    missing = [remark for stage in drawn for remark in check_missing(run.run_dir, stage)]
    games = (found for game in run.games for found in check_game(run.run_dir, game, run.rules))
    outcomes = [*check_submissions(run), *games]
    again = [*_play_again(run, config)] if config.rerun else []
    agents: list[Remark | Deviation] = [*again, *_changed_records({found.file for found in outcomes}, again)]
    seating = [found for stage in drawn for found in check_draw(stage, run.games)]
    sources = [*seating, *check_digests(run), *check_strangers(run, drawn)]
    whole = bool(drawn) and not missing and not seating  # tables and pages are of whole stages
    derived = [*check_results(run)] if whole else []
    for found in (missing, outcomes, agents, sources, derived):
        _show(found)
    others = len(missing) + len(outcomes) + len(agents) + len(sources)
    alone = ", and the agents bid the same again" if config.rerun else ""
    verdict = f"all outcomes follow from the stored bids{alone}"
    if others or derived:
        verdict = count(others + len(derived), "difference")
    print(f"{count(len(run.games), 'game')} replayed: {verdict}")
    print(f"not compared: {', '.join(name for name in NOT_COMPARED if (run.run_dir / name).exists())}")
    if not others and any(found.stored != "there" for found in derived):
        print("action=report writes the tables and pages of the stored games again")
    return 1 if others or derived else 0


def _show(found: Sequence[Difference | Remark | Deviation]) -> None:
    """Print the first of what was found, and how many more there are."""
    for difference in found[:_MOST_SHOWN]:
        print(difference, file=sys.stderr)
    if len(found) > _MOST_SHOWN:
        print(f"… and {len(found) - _MOST_SHOWN} more", file=sys.stderr)


def _play_again(run: StoredRun, config: CompetitionConfig) -> Iterator[Deviation]:
    """Let each agent play the stored games again, alone, and yield its first deviation in each."""
    sandbox = walls(config, _handed_in(run))
    messages.sandbox(sandbox.name)
    games = {(game.seeds.stage, game.seeds.arena, game.seeds.game): game for game in run.games}

    def read(stage: int, arena: int, number: int) -> tuple[str, GameResult] | None:
        game = games.get((stage, arena, number))
        return game and (game.file, replace(game.record, team_results=game.recompute(run.rules).team_results))

    for stage in run.played_stages():
        what = f"stage {stage.number} again, each agent alone" if stage.number else "the game again, each agent alone"
        blocks = blocks_of(stage, run.rules.block_games)
        yield from rerun(blocks, read, run.run_dir / SUBMISSIONS, run.rules, run.settings["seed"], sandbox, what)


def _handed_in(run: StoredRun) -> list[Team]:
    """Return the stored teams with their agents' paths; the project's own agents are recognized by their content."""
    bundled = {digest(read_submission(path, "run_dir").files): str(path) for path in examples().values()}
    found = []
    for team in run.teams:
        stored = run.submission(team.team_id)
        content = digest(read_submission(stored, "run_dir").files)
        found.append(replace(team, agent_file_path=bundled.get(content, str(stored))))
    return found


def _changed_records(changed: Iterable[str], found: Sequence[Deviation]) -> list[Remark]:
    """Remark on edited game files in arenas with deviations: agents hear prices and winners of the record."""
    arenas = {Path(deviation.file).parent for deviation in found}
    text = "changed, and heard by the agents so: answers that differ in its arena may follow from that"
    return [Remark(file, text) for file in sorted(changed) if Path(file).parent in arenas]
