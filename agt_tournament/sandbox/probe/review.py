"""Compare what is open with the reviewed list, ``reviewed.yaml``, which says of each thing why it is harmless."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from agt_tournament.sandbox.probe.walk import Opening, Walked

_LIST = Path(__file__).with_name("reviewed.yaml")
_MOST_NAMED = 40


@dataclass(frozen=True)
class Reviewed:
    """One line of the list: an opening that somebody has thought about."""

    kind: str
    name: str
    """The name of the opening; ``*`` stands for any characters."""
    why: str
    """Why it is harmless, or what it costs."""
    tiers: tuple[str, ...] = ("bubblewrap", "landlock")
    sometimes: bool = False
    """Whether it is open only on some machines, for some users or at some times."""

    def covers(self, opening: Opening, tier: str) -> bool:
        """Return whether this line is about `opening`."""
        return tier in self.tiers and opening.kind == self.kind and fnmatchcase(opening.name, self.name)


@cache
def reviewed_list(path: Path = _LIST) -> tuple[Reviewed, ...]:
    """Read the list; names that share an explanation share an entry in the file.

    Raises:
        ValueError: an entry has an unknown key or no explanation.
    """
    lines = []
    for kind, entries in yaml.safe_load(path.read_text()).items():
        for entry in entries:
            lines += _lines(kind, entry)
    return tuple(lines)


def _lines(kind: str, entry: dict[str, Any]) -> list[Reviewed]:
    unknown = entry.keys() - {"open", "why", "tiers", "sometimes"}
    if unknown or not entry.get("why"):
        raise ValueError(f"{kind}: expected open, why, and maybe tiers and sometimes, got {entry}")
    tiers, sometimes = tuple(entry.get("tiers", Reviewed.tiers)), entry.get("sometimes", Reviewed.sometimes)
    return [Reviewed(kind, str(name), entry["why"], tiers, sometimes) for name in entry["open"]]


def unreviewed(walked: Walked, lines: Iterable[Reviewed] | None = None) -> list[Opening]:
    """Return what is open and not listed: new with this kernel, this bubblewrap, or a change of the walls."""
    lines = reviewed_list() if lines is None else tuple(lines)
    return [opening for opening in walked.openings if not any(line.covers(opening, walked.tier) for line in lines)]


def stale(walks: Iterable[Walked], lines: Iterable[Reviewed] | None = None) -> list[Reviewed]:
    """Return lines of which nothing is open in any of `walks`, except those that are open sometimes."""
    lines = reviewed_list() if lines is None else tuple(lines)
    walks = list(walks)
    return [
        line
        for line in lines
        if not line.sometimes
        and not any(line.covers(opening, walked.tier) for walked in walks for opening in walked.openings)
    ]


# --- as text ---------------------------------------------------------------------------------------------


def described(walked: Walked, user: str = "") -> str:
    """Describe what a walk tried and found, for a terminal of 80 columns."""
    behind = f"{walked.tier}, started by {user}" if user else walked.tier
    lines = [f"{behind}: {walked.described_effort()}"]
    counts = Counter(opening.kind for opening in walked.openings)
    lines += [f"  {kind:<20}{count:>5} open" for kind, count in sorted(counts.items())]
    new = unreviewed(walked)
    if not new:
        return "\n".join((*lines, "  All of it is on the reviewed list."))
    lines.append(f"  NOT REVIEWED: {len(new)}, new with this kernel, this bubblewrap or a change of the walls")
    return "\n".join((*lines, *named_openings(new)))


def named_openings(openings: list[Opening]) -> list[str]:
    """Return a line for each opening, the last one for those that are too many."""
    lines = [f"    {each.kind}: {each.name}{f' ({each.detail})' if each.detail else ''}" for each in openings]
    more = len(lines) - _MOST_NAMED
    return lines if more <= 0 else [*lines[:_MOST_NAMED], f"    and {more} more"]


def described_stale(lines: Iterable[Reviewed]) -> str:
    """Describe lines that may be taken from the list; empty if there are none."""
    names = [f"  {line.kind}: {line.name}" for line in lines]
    return "\n".join(("Reviewed, but not open here any more:", *names)) if names else ""
