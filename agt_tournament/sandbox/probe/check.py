"""What `action=sandbox_check` shows: each promise by tier, the layers that are on, and a shortened walk."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text

from agt_tournament.sandbox.probe.names import sample_of_paths
from agt_tournament.sandbox.probe.promises import Result, broken_promises, try_promises
from agt_tournament.sandbox.probe.review import named_openings, unreviewed
from agt_tournament.sandbox.probe.steps import all_steps
from agt_tournament.sandbox.probe.submission import ProbeError
from agt_tournament.sandbox.probe.walk import Walked, walk
from agt_tournament.sandbox.walls.sandbox import Sandbox

_SHARE = 6
"""One path in this many is tried, beside those that matter most; `make walls` tries all."""
_WIDTH = 80
_NO = Text("no", style="red")


@dataclass
class Checked:
    """What was found out about a tier."""

    sandbox: Sandbox
    promises: Result
    walked: Walked | None = None
    """The walk; None for a tier without walls, and if the walk failed."""
    problem: str | None = None
    """Why the tier could not be walked."""

    @property
    def why_not(self) -> str | None:
        """The reason why the tier does not hold, as before a run; None if it holds."""
        return broken_promises(self.promises)

    @property
    def warning(self) -> str | None:
        """The openings that the walk found and nobody has reviewed; None if there are none."""
        if self.walked is None or not unreviewed(self.walked):
            return self.problem
        return "something is open that nobody has reviewed"


def check(sandbox: Sandbox) -> Checked:
    """Try the promises of `sandbox` and walk it, for at most a few seconds."""
    checked = Checked(sandbox, try_promises(sandbox, thorough=True))
    if sandbox.walled and not checked.promises["error"]:
        try:
            checked.walked = walk(sandbox, sample_of_paths(_SHARE), all_steps())
        except (ProbeError, ImportError) as error:
            checked.problem = f"it cannot be walked: {error}"
    return checked


def promises_table(checked: list[Checked]) -> Table:
    """Make a table with a row for each promise and a column for each tier."""
    table = Table(
        title="Walls on this machine", title_justify="left", title_style="bold", box=box.SIMPLE, pad_edge=False
    )
    table.add_column("prevented")
    for result in checked:
        table.add_column(result.sandbox.name)
    for promise in dict.fromkeys(promise for result in checked for promise in result.promises["held"]):
        table.add_row(promise, *(_cell(result.promises, promise) for result in checked))
    table.add_row("writing, path by path", *(_by_walking(result, "writable", "paths") for result in checked))
    table.add_row("other system calls", *(_by_walking(result, "system call", "calls") for result in checked))
    table.add_row("agents can compute", *("yes" if result.promises["works"] else _NO for result in checked))
    return table


def _cell(promises: Result, promise: str) -> str | Text:
    if promise not in promises["held"]:
        return "–"
    return _NO if promises["held"][promise] else "yes"


def _by_walking(result: Checked, kind: str, tried: str) -> str | Text:
    """Say whether all of `kind` that is open has been reviewed, and how much was `tried`, a field of `Walked`."""
    if result.walked is None:
        return "–"
    if any(opening.kind == kind for opening in unreviewed(result.walked)):
        return _NO
    return f"yes, {getattr(result.walked, tried):,} {tried}"


def layers_and_openings(result: Checked) -> list[str]:
    """Say whether the tier holds, its layers, and what is open and not reviewed, for 80 columns."""
    name, layers = result.sandbox.name, result.sandbox.layers()
    lines = _wrapped(f"{name} does not hold: {result.why_not}" if result.why_not else f"{name} holds", indent="")
    if result.warning:
        lines += _wrapped(f"warning: {result.warning}")
    on = {layer: state.removeprefix("on").removeprefix(", ") for layer, state in layers.items() if _is_on(state)}
    lines += _wrapped("on: " + "; ".join(f"{layer} ({more})" if more else layer for layer, more in on.items()))
    for layer, state in layers.items():
        if not _is_on(state):
            lines += _wrapped(f"not on: {layer} ({state})")
    if result.walked is None:
        return lines
    lines += _wrapped(f"tried: {result.walked.described_effort()}")
    new = unreviewed(result.walked)
    if new:
        return [*lines, "  open and not reviewed:", *named_openings(new)]
    return [*lines, "  open: only what has been reviewed (agt_tournament/sandbox/probe/reviewed.yaml)"]


def _is_on(state: str) -> bool:
    return state.partition(",")[0] == "on"


def _wrapped(text: str, indent: str = "  ") -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ")
