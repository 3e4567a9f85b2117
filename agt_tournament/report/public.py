"""public/standings.html: the page to show to a class, with places and, where the rules say so, points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from agt_tournament.report.measures import headline, records, score_word, stage_title
from agt_tournament.tournament.registration import SetAside
from agt_tournament.tournament.results_manager import StageData
from generative_auctions.files import write_atomic
from generative_auctions.page import render
from generative_auctions.text import count, sizes

PAGE = Path("public") / "standings.html"

SHOWN = "places"
"""What the page shows unless `tournament.public` says otherwise."""


def write_standings(
    run_dir: Path,
    stages: Sequence[StageData],
    boards: Mapping[int, pd.DataFrame],
    settings: Mapping[str, Any] | None = None,
    set_aside: Sequence[SetAside] = (),
) -> None:
    """Write ``public/standings.html`` under `run_dir`, or remove it where `settings` say ``public: none``.

    The arguments are as for the staff's page. It has no bids, no valuations and no errors. Points are whole numbers:
    with the public prices a team's exact total tells what the items that it won are worth to it.
    """
    rules = (settings or {}).get("tournament", {})
    shown = rules.get("public") or SHOWN
    if shown == "none":
        (run_dir / PAGE).unlink(missing_ok=True)
        return
    html = render(
        "agt_tournament.report",
        "standings.html.j2",
        name=headline(rules),
        stages=[_stage(stage, boards[stage.number]) for stage in reversed(stages)],
        set_aside=[aside.team for aside in set_aside],
        points=shown == "points",
        score=score_word(stages[-1].weights),
    )
    write_atomic(run_dir / PAGE, html)


def standings_page(run_dir: Path) -> Path | None:
    """The page under `run_dir`; None where there shall be none."""
    return run_dir / PAGE if (run_dir / PAGE).exists() else None


def _stage(stage: StageData, board: pd.DataFrame) -> dict[str, Any]:
    """What the page shows of a stage: of each team its name, place and points, and whether it goes on."""
    columns = ["rank", "team_id", "team_name", "filler", "advances", "total_score"]
    arenas = [
        {"label": str(arena_id).replace("_", " "), "rows": records(rows[columns])}
        for arena_id, rows in board.groupby("arena_id", sort=False)
    ]
    games = sizes([len(games) for games in stage.games.values()], "game")
    several = len(arenas) > 1
    return {
        "number": stage.number,
        "title": stage_title(stage.number),
        "arenas": arenas,
        "extent": f"{count(len(arenas), 'arena')}, {games} in each" if several else games,
    }
