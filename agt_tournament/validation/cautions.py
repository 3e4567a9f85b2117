"""Warnings: what did no harm in a trial, and may do harm in the competition."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from operator import attrgetter
from statistics import fmean

from agt_tournament.tournament.registration.submissions import AGENT_FILE
from agt_tournament.validation import hints
from agt_tournament.validation.problems import Finding, printable
from agt_tournament.validation.trial import Trial

_SLOW_BID, _SLOW_START, _SLOW_GAME = 1 / 4, 1 / 2, 1 / 2
"""Shares of a CPU time limit above which a warning is given, because another machine may be slower."""
_UPDATE = "update_after_each_round"
_MACHINE = 1 / 2
"""The share of a trial's wall time below which the agent is not to blame for a long trial."""
_MUCH_OUTPUT = 1 / 4
"""The share of the output limit above which a warning is given."""
_MOST_IGNORED = 20  # files that are warned of one by one
_OFTEN_CUT = 1 / 10
"""The share of cut bids above which a warning is given; even a truthful bidder's bids are cut now and then."""
_DROPPED = re.compile(r"\[([\d,]+) further bytes were dropped\]\Z")


def find_cautions(trial: Trial) -> list[Finding]:
    """Return every warning."""
    looks = (
        *(_out_of_time, _slow_start, _slow_bids, _slow_game, _cut_down),
        *(_no_bid, _no_win, _prints, _misspelt, _differs),
    )
    return [*_ignored(trial), *(finding for look in looks if (finding := look(trial)))]


def _ignored(trial: Trial) -> Iterator[Finding]:
    """Warn of each file that does not play, up to a number."""
    for file in trial.ignored[:_MOST_IGNORED]:
        yield Finding(f"ignored: {printable(file.name)}", "in the folder", "ignored", hints.ignored(file))
    if len(trial.ignored) > _MOST_IGNORED:
        rest = trial.ignored[_MOST_IGNORED:]
        what = f"ignored: {printable(rest[0].name)} and others"
        yield Finding(what, "in the folder", "ignored", hints.ignored(rest[0]), count=len(rest))


def _out_of_time(trial: Trial) -> Finding | None:
    """Warn that an agent without errors was not tried in all games, as it or the machine is too slow."""
    if not trial.out_of_time or trial.failed:
        return None
    waits: dict[str, list[float]] = defaultdict(list)
    for asked in trial.asked:
        waits[asked.method].append((asked.answer.seconds or 0.0) - (asked.answer.waited_seconds or 0.0))
    tried = f"{len(trial.games)} of {trial.planned} games tried"
    if sum(map(sum, waits.values())) < _MACHINE * trial.seconds:
        return Finding(f"{tried}: this machine is slow, or busy", "all games", "slow", hints.BUSY)
    method, longest = max(waits.items(), key=lambda item: sum(item[1]))
    name = "a bid" if method == "bidding_function" else "the import" if method == "import" else method
    what = f"slow: {tried}; {name} takes {fmean(longest):.2g} s on average"
    return Finding(what, "all games", "slow", hints.OUT_OF_TIME)


def _slow_start(trial: Trial) -> Finding | None:
    """Warn of an import or a constructor that took much of its limit."""
    limit = trial.rules.load_timeout_seconds
    starts = [asked for asked in trial.asked if asked.round == 0 and not asked.answer.error]
    slowest = max(starts, key=attrgetter("seconds"), default=None)
    if slowest is None or slowest.seconds <= _SLOW_START * limit:
        return None
    what, where = (slowest.method, f"before {slowest.game}") if slowest.game else ("the import", "before any game")
    return Finding(f"slow: {what} took {slowest.seconds:.1f} s of {limit:g} s", where, "slow", hints.SLOW_START)


def _slow_bids(trial: Trial) -> Finding | None:
    """Warn of bids that took much of their limit."""
    limit = trial.rules.bid_timeout_seconds
    bids = (asked for asked in trial.asked if asked.round and not asked.answer.error)
    slow = [asked for asked in bids if asked.seconds > _SLOW_BID * limit]
    if not slow:
        return None
    what = f"slow bids: the slowest took {max(asked.seconds for asked in slow):.2f} s of {limit:g} s"
    return Finding(what, f"{slow[0].game}, round {slow[0].round}", "slow", hints.SLOW_BID, count=len(slow))


def _slow_game(trial: Trial) -> Finding | None:
    """Warn of a game whose answers together took much of their limit."""
    limit = trial.rules.game_timeout_seconds
    games = [
        (sum(entry.cpu_seconds[team] or 0.0 for entry in game.result.auction_log), game.label)
        for game in trial.games
        for team in game.copies
    ]
    slowest, where = max(games, default=(0.0, ""))
    if slowest <= _SLOW_GAME * limit:
        return None
    return Finding(f"slow: a game took {slowest:.1f} s of {limit:g} s", where, "slow", hints.SLOW_GAME)


def _bids(trial: Trial) -> Iterator[tuple[str, float, float]]:
    """Yield the valid bids of all whole games: game and round, what was asked, what was left to spend."""
    for game in trial.games:
        for entry in game.result.auction_log:
            for team in game.copies:
                if (asked := entry.asked[team]) is not None:
                    yield f"{game.label}, round {entry.round}", asked, entry.caps[team]


def _cut_down(trial: Trial) -> Finding | None:
    """Warn of an agent that often bids more than it has left."""
    bids = list(_bids(trial))
    cut = [bid for bid in bids if bid[1] > bid[2] * (1 + 1e-9) + 1e-9]
    if len(cut) <= _OFTEN_CUT * len(bids):
        return None
    where, asked, left = cut[0]
    what = "it bids more than it has left, and is cut down to that"
    return Finding(what, f"{where}: {asked:.4g} with {left:.4g} left", "over_budget", hints.CUT_DOWN, count=len(cut))


def _no_bid(trial: Trial) -> Finding | None:
    """Warn of an agent that bids nothing but 0."""
    bids = [asked for _, asked, _ in _bids(trial)]
    if not bids or max(bids) > 0:
        return None
    return Finding("it never bids more than 0", "all games", "no_bid", hints.NO_BID)


def _no_win(trial: Trial) -> Finding | None:
    """Warn of an agent that bids without an error and wins nothing."""
    games = [game for game in trial.games if len(game.copies) < len(game.result.team_results)]
    bids = any(asked > 0 for _, asked, _ in _bids(trial))
    if trial.stopped or trial.failed or not games or not bids or any(game.own.items_won for game in games):
        return None
    return Finding("it wins nothing from any of the examples", "all games against examples", "no_win", hints.NO_WIN)


def _prints(trial: Trial) -> Finding | None:
    """Warn of much output, by the copy that printed most."""
    printed = [(*_printed(text), game.label) for game in trial.games for text in game.outputs.values()]
    size, dropped, where = max(printed, key=lambda one: one[0], default=(*_printed(trial.output), "before any game"))
    limit = trial.rules.output_limit_kb
    if dropped:
        what = f"prints too much: {size / 1024:,.0f} kB in a game, {limit} kB are kept"
        return Finding(what, where, "output", hints.OUTPUT_DROPPED)
    if size > _MUCH_OUTPUT * 1024 * limit:
        return Finding(f"prints much: {size / 1024:,.0f} kB in a game", where, "output", hints.OUTPUT)
    return None


def _printed(text: str) -> tuple[int, int]:
    """Return the number of bytes printed, and how many of them were dropped."""
    dropped = _DROPPED.search(text)
    kept = text[: dropped.start()] if dropped else text
    lost = int(dropped[1].replace(",", "")) if dropped else 0
    return len(kept.encode(errors="replace")) + lost, lost


def _misspelt(trial: Trial) -> Finding | None:
    """Warn of a method whose name is almost that of one of the base class."""
    text = trial.files[AGENT_FILE].decode(errors="replace")
    name = hints.misspelt(_UPDATE, text)
    if not name:
        return None
    return Finding(f"{printable(name)} is never called", "in the class", "misspelt", hints.never_called(_UPDATE))


def _differs(trial: Trial) -> Finding | None:
    """Warn of the first bid that differed when the first game was played again."""
    if trial.again is None:
        return None
    game = trial.games[0]
    for once, twice in zip(game.result.auction_log, trial.again.auction_log, strict=True):
        for team in game.copies:
            first, second = once.asked[team], twice.asked[team]
            if first is not None and second is not None and first != second:
                what = "not reproducible: the same game played again has other bids"
                where = f"{game.label}, round {once.round}: {first:.6g}, then {second:.6g}"
                return Finding(what, where, "not_reproducible", hints.UNSEEDED)
    return None
