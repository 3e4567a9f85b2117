"""The verdict on a submission, as JSON and on the terminal."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

from rich import box
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from agt_tournament.config import TournamentConfig
from agt_tournament.tournament.registration.submissions import AGENT_FILE, SubmissionError
from agt_tournament.validation import hints
from agt_tournament.validation.cautions import find_cautions
from agt_tournament.validation.problems import Finding, find_problems, printable
from agt_tournament.validation.trial import PlayedGame, Trial
from generative_auctions.errors import RequestError
from generative_auctions.files import write_json
from generative_auctions.terminal import plain_console
from generative_auctions.text import count, shortened

_EVERY = 5.0
"""Seconds between two lines of progress if there is no terminal."""
_KEPT_OUTPUT = 2048
_SHOWN_OUTPUT = 5
"""The number of lines of output that are shown."""
_SHOWN_SOURCE = 120
"""The number of characters of a source line that are shown."""
_LIMITS = ("bid_timeout_seconds", "load_timeout_seconds", "memory_limit_mb", "output_limit_kb")
_RULES = ("name", "arena_size", "auction_rounds", "total_items", "initial_budget", "reveal_order", *_LIMITS)


@dataclass(frozen=True)
class Verdict:
    """What came of a trial."""

    agent: str
    problems: Sequence[Finding]
    warnings: Sequence[Finding]
    games: Sequence[dict[str, Any]]
    """opponents, utility, items_won, budget_spent, valid_bids and slowest_bid_seconds of each whole game."""
    stopped: str
    """Why the trial ended early; empty if it did not."""
    output: str
    """The beginning of what the submission printed."""
    rules: TournamentConfig

    @property
    def valid(self) -> bool:
        """Whether the competition would take it as it is."""
        return not self.problems

    @classmethod
    def of(cls, trial: Trial) -> Verdict:
        """Return the verdict on `trial`."""
        output = trial.output.encode(errors="replace")[:_KEPT_OUTPUT].decode(errors="ignore")
        games = [_game(game) for game in trial.games]
        path, problems, cautions = printable(str(trial.path)), find_problems(trial), find_cautions(trial)
        return cls(path, problems, cautions, games, trial.stopped, output, trial.rules)

    @classmethod
    def refusing(cls, path: Path, error: SubmissionError, rules: TournamentConfig) -> Verdict:
        """Return the verdict on a submission that cannot be tried, as `error` says."""
        where = "in the folder" if path.is_dir() else "the file"
        missing = path.is_dir() and not (path / AGENT_FILE).is_file()
        what = f"there is no {AGENT_FILE}" if missing else f"{error.value}: expected {error.expected}"
        problem = Finding(printable(what), where, "refused", printable(hints.refused(path)))
        return cls(printable(str(path)), [problem], [], [], "no game was played", "", rules)

    def as_json(self) -> dict[str, Any]:
        """Return the content of the JSON file."""
        content = asdict(self) | {"rules": {name: getattr(self.rules, name) for name in _RULES}}
        return {"agent": content.pop("agent"), "valid": self.valid, **content, "stopped": self.stopped or None}


def _game(game: PlayedGame) -> dict[str, Any]:
    """Return the first copy's result, and the slowest bid of all copies, by CPU time where that is known."""
    log = game.result.auction_log
    used = [(entry.cpu_seconds[team], entry.seconds[team]) for entry in log for team in game.copies]
    seconds = [wall if cpu is None else cpu for cpu, wall in used]
    return {
        "opponents": game.opponents,
        "utility": game.own.utility,
        "items_won": len(game.own.items_won),
        "budget_spent": game.own.budget_spent,
        "slowest_bid_seconds": max((s for s in seconds if s is not None), default=None),
        "valid_bids": sum(entry.asked[game.copies[0]] is not None for entry in log),
    }


def write(verdict: Verdict, target: str) -> None:
    """Write `verdict` as JSON to the file `target`, at once or not at all; - is the standard output."""
    if target == "-":
        print(json.dumps(verdict.as_json(), indent=2, allow_nan=False))
        return
    try:
        write_json(verdict.as_json(), Path(target))
    except OSError as error:
        raise RequestError("json", target, f"a file that can be written ({error.strerror})") from None


# --- the terminal ----------------------------------------------------------------------------------------


@contextmanager
def progress(every: float = _EVERY) -> Iterator[Callable[[str], None]]:
    """Show on standard error what is waited for: in one line of a terminal, else by a line `every` few seconds."""
    console = plain_console(stderr=True)
    if console.is_terminal and not console.is_dumb_terminal:
        columns = (SpinnerColumn(), TimeElapsedColumn(), TextColumn("{task.description}", style="dim", markup=False))
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("")
            yield lambda what: bar.update(task, description=what)
        return
    began, ended, waits_for = time.perf_counter(), Event(), [""]

    def tell() -> None:
        while not ended.wait(every):
            print(f"{time.perf_counter() - began:.0f} s: {waits_for[0]}", file=sys.stderr, flush=True)

    telling = Thread(target=tell, daemon=True)
    telling.start()
    try:
        yield lambda what: waits_for.__setitem__(0, what)
    finally:
        ended.set()
        telling.join()


def show(verdict: Verdict) -> None:
    """Print `verdict`: problems, warnings, what it printed, the games, and the verdict in one line."""
    out = plain_console(highlight=False)
    for kind, colour, findings in (("problem", "red", verdict.problems), ("warning", "yellow", verdict.warnings)):
        for number, finding in enumerate(findings, start=1):
            out.print(_block(f"{kind} {number}", colour, finding))
            out.print()
    if verdict.output:
        out.print(*_printed(verdict.output), sep="\n", style="dim", no_wrap=True)
        out.print()
    if any(game["valid_bids"] for game in verdict.games):
        out.print(_table(verdict.games))
        out.print()
    if verdict.stopped:
        out.print(verdict.stopped, style="yellow")
    out.print(_line(verdict), soft_wrap=True)


def _block(title: str, colour: str, finding: Finding) -> Table:
    """Make the table of a finding: what, how often, where, which line, and what to do."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    times = f" ({finding.count} times)" if finding.count > 1 else ""
    grid.add_row(Text(title, style=colour), Text.assemble((finding.what, "bold"), (times, "dim")))
    grid.add_row(Text("first" if finding.count > 1 else "where", style="dim"), finding.where)
    if finding.file is not None:
        source = f"  {shortened(finding.source, _SHOWN_SOURCE)}" if finding.source else ""
        grid.add_row(Text("line", style="dim"), Text.assemble((f"{finding.file}:{finding.line}", "cyan"), source))
    grid.add_row(Text("hint", style="dim"), finding.hint)
    return grid


def _printed(output: str) -> list[str]:
    """Return the first lines of the output."""
    lines = output.splitlines()
    more = len(lines) > _SHOWN_OUTPUT or len(output.encode()) > _KEPT_OUTPUT - 4
    shown = [f"  {printable(line.expandtabs(4))}" for line in lines[:_SHOWN_OUTPUT]]
    return ["it printed", *shown, *["  …"] * more]


def _table(games: Sequence[dict[str, Any]]) -> Table:
    """Make the table of the games, one line each."""
    table = Table(box=box.SIMPLE, header_style="dim", pad_edge=False, show_edge=False)
    for column in ("game", "opponents", "utility", "items won", "spent", "slowest bid"):
        table.add_column(column, justify="left" if column == "opponents" else "right")
    for number, game in enumerate(games, start=1):
        seconds = game["slowest_bid_seconds"]
        table.add_row(
            str(number),
            game["opponents"],
            f"{game['utility']:.2f}",
            str(game["items_won"]),
            f"{game['budget_spent']:.2f}",
            "–" if seconds is None else f"{1000 * seconds:,.1f} ms",
        )
    return table


def _line(verdict: Verdict) -> Text:
    """Return the last line: valid or not, with the number of games, problems and warnings."""
    warned = [count(len(verdict.warnings), "warning")] if verdict.warnings else []
    if verdict.valid:
        played = ", ".join([f"played {count(len(verdict.games), 'game')} without an error", *warned])
        return Text.assemble(("valid", "bold green"), f": {verdict.agent} {played}")
    found = " and ".join([count(len(verdict.problems), "problem"), *warned])
    return Text.assemble(("not valid", "bold red"), f": {verdict.agent} has {found}")
