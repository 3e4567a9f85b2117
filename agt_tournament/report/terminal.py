"""What a competition prints at its end: standings, who failed, where the results are."""

from __future__ import annotations

import sys
from collections import Counter
from math import isnan
from pathlib import Path

import pandas as pd
from rich.text import Text

from agt_tournament.game import in_words
from agt_tournament.report.measures import Load, stage_title
from generative_auctions.terminal import plain_console, plain_table

_OUT = plain_console(highlight=False)


def leaderboard(stage: int, board: pd.DataFrame) -> None:
    """Print the standings of a stage, arena by arena."""
    title = f"Stage {stage}: {stage_title(stage).lower()}"
    columns = ("", "team", "total", "mean", "95 %", "first", "rating", "errors")
    for arena_id, rows in board.groupby("arena_id", sort=False):
        table = plain_table(f"{title}, {arena_id}" if stage == 1 else title, *columns)
        for row in rows.to_dict("records"):
            table.add_row(
                "–" if row["filler"] else str(row["rank"]),
                Text.assemble(row["team_name"], (" (filler)" if row["filler"] else "", "dim")),
                f"{row['total_score']:.2f}",
                f"{row['mean_score']:.2f}",
                "–" if isnan(row["ci_low"]) else f"{row['ci_low']:.1f} to {row['ci_high']:.1f}",
                _percent(row["first_chance"]),
                f"{row['rating_mu']:.1f}±{row['rating_sigma']:.1f}",
                str(row["errors"] or "–"),
                style="bold" if row["rank"] == 1 else "",
            )
        _OUT.print(table)
    _OUT.print("mean: of a game, with its bootstrap interval; first: how often it has the", style="dim")
    _OUT.print("highest total if games are drawn again with replacement; rating: OpenSkill\n", style="dim")


def failures(table: pd.DataFrame, folder: Path) -> None:
    """Print one line for each team that failed, with the file that tells more."""
    if table.empty:
        return
    teams = table.groupby("team_id", sort=True)
    print(f"{len(teams)} of the agents failed; each failed bid counted 0:", file=sys.stderr)
    for team, errors in teams:
        kinds = [in_words(*kind) for kind in zip(errors["error"], errors["text"], strict=True)]
        counts = ", ".join(f"{count} × {kind}" for kind, count in Counter(kinds).most_common())
        path = folder / str(team) / "errors.txt"
        print(f"  {team}: {counts} ({path if path.exists() else 'a filler'})", file=sys.stderr)


def busy(load: Load) -> None:
    """Warn that agents were late because others had the CPU."""
    print(f"the machine was {load}; docs/staff.md says what to do", file=sys.stderr)


def where(page: Path, run_dir: Path, standings: Path | None) -> None:
    """Print where the results are; `standings` is the page for the class, if there is one."""
    public = f"\npublic   {standings}" if standings else ""
    _OUT.print(f"report   {page}{public}\ntables   {run_dir / 'results.xlsx'}", soft_wrap=True)


def _percent(share: float) -> str:
    """Return a share in whole percent, – where it is unknown."""
    return "–" if isnan(share) else f"{100 * share:.0f} %"
