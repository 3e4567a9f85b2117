"""logs/: what the organiser did and decided, line by line and when, for course staff (design document, decision 4).

Lines are appended as things happen, so that a log tells of interrupted runs too. One process writes to a file at a
time: the run that holds the directory to ``competition.log``, the worker of a block of games to that block's log.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from agt_tournament.game.auction_engine import NOBODY
from agt_tournament.game.record import GameResult
from generative_auctions.files import naming

LOGS = Path("logs")
COMPETITION_LOG = LOGS / "competition.log"


def block_log(stage: int, arena_id: str, first: int, last: int) -> Path:
    """Return the log of a block of games, below the run directory."""
    return LOGS / f"stage{stage}" / f"{arena_id}_games_{first}_to_{last}.log"


def log(file: Path, *lines: str) -> None:
    """Append `lines` to `file`, each behind the time in UTC; what an agent wrote into one cannot begin another.

    Raises `OSError` that names the file where the disk is full or read-only.
    """
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    with naming(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8", errors="replace") as opened:
            opened.write("".join(f"{now} {' '.join(line.split())}\n" for line in lines))


@contextmanager
def logged(file: Path, what: str) -> Iterator[None]:
    """Log that `what` begins, and how it ends."""
    log(file, f"{what} begins")
    try:
        yield
    except BaseException as error:
        log(file, f"{what} ends before its time: {type(error).__name__} {error}")
        raise
    log(file, f"{what} ends")


def told(number: int, game: GameResult) -> Iterator[str]:
    """Tell the game `number` of an arena: every round, cut bid and error, and what each team has at its end."""
    for entry in game.auction_log:
        place = f"game {number}, round {entry.round}"
        bids = ", ".join(f"{team} {bid:.6g}" for team, bid in entry.all_bids.items())
        outcome = f"{entry.winner} pays {entry.price:.6g}" if entry.winner != NOBODY else "nobody"
        yield f"{place}: {entry.item_id}: {outcome}; bids: {bids}"
        yield from (f"{place}: {team}: {note}" for team, note in entry.notes.items())
    for failure in game.failures:
        lines = failure.text.strip().splitlines() or [""]
        when = "at its end" if failure.round is None else f"round {failure.round}"
        where = failure.where or "bidding_function"
        yield f"game {number}, {when}: {failure.team_id}: {failure.error} in {where}: {lines[-1]}"
    for team, result in game.team_results.items():
        items = f"{len(result.items_won)} items, worth {result.valuation_sum:.6g}"
        yield f"game {number}: {team}: utility {result.utility:.6g}; {items}, for {result.budget_spent:.6g}"
