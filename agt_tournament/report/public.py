"""public/standings.html: the page to show to a class, with places and, where the rules say so, points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from agt_tournament.report.measures import records, stage_title
from agt_tournament.report.results import Results
from agt_tournament.tournament.standings import StageData
from generative_auctions.files import write_atomic
from generative_auctions.page import render
from generative_auctions.text import count, sizes, words

PAGE = Path("public") / "standings.html"

SHOWN = "places"
"""What the page shows unless `tournament.public` says otherwise."""


def write_standings(results: Results) -> None:
    """Write ``public/standings.html``, or remove it where the rules say ``public: none``.

    It has no bids, no valuations and no errors. Points are whole numbers: with the public prices a team's exact total
    tells what the items that it won are worth to it.
    """
    shown = results.rules.get("public") or SHOWN
    if shown == "none":
        (results.run_dir / PAGE).unlink(missing_ok=True)
        return
    html = render(
        "agt_tournament.report",
        "standings.html.j2",
        name=results.title,
        stages=[_stage(stage, results.boards[stage.number]) for stage in reversed(results.stages)],
        set_aside=[aside.team for aside in results.set_aside],
        points=shown == "points",
        score=results.score,
    )
    write_atomic(results.run_dir / PAGE, html)


def standings_page(run_dir: Path) -> Path | None:
    """Return the path of the page under `run_dir`; None if there is no page."""
    return run_dir / PAGE if (run_dir / PAGE).exists() else None


def _stage(stage: StageData, board: pd.DataFrame) -> dict[str, Any]:
    """Return what the page shows of a stage: name, place and points of each team, and whether it advances."""
    columns = ["rank", "team_id", "team_name", "filler", "advances", "total_score"]
    arenas = [
        {"label": words(arena_id), "rows": records(rows[columns])}
        for arena_id, rows in board.groupby("arena_id", sort=False)
    ]
    games = sizes([len(games) for games in stage.games.values()], "game")
    return {
        "number": stage.number,
        "title": stage_title(stage.number),
        "arenas": arenas,
        "extent": f"{count(len(arenas), 'arena')}, {games} in each" if len(arenas) > 1 else games,
    }
