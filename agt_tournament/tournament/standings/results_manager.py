"""The results of a competition as files (design document, section 6).

Game files are the record; everything else is made of them, and can be made again.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from agt_tournament.game.game_files import log_game_result
from agt_tournament.tournament.standings.leaderboard import generate_stage_leaderboard, pairwise_table
from agt_tournament.tournament.standings.stage_data import StageData, log_auction_result
from generative_auctions.files import write_atomic, write_json, write_table

__all__ = [
    "FORMATS",
    "export_results",
    "generate_stage_leaderboard",
    "log_auction_result",
    "log_game_result",
    "public_feed",
    "write_csv",
]

FORMATS = ("csv", "json", "parquet", "xlsx")


def public_feed(stages: Iterable[StageData]) -> pd.DataFrame:
    """Return what everyone may know: stage, arena_id, game, round, item_id, winner and price, and nothing else."""
    rounds = pd.concat([stage.rounds for stage in stages], ignore_index=True)
    columns = ["stage", "arena_id", "game", "round", "item_id", "winner", "price"]
    return rounds[columns].drop_duplicates(["stage", "arena_id", "game", "round"], ignore_index=True)


def export_results(run_dir: Path, stages: Sequence[StageData], boards: Mapping[int, pd.DataFrame], format: str) -> None:
    """Write the tables of `stages` and their leaderboards `boards` in one of `FORMATS`.

    csv: leaderboards/stageN_final.csv and stageN_pairwise.csv, public/rounds.csv. parquet: rounds.parquet. xlsx:
    results.xlsx. json: leaderboards/stageN_final.json.
    """
    if format == "parquet":
        write_table(pd.concat([stage.rounds for stage in stages], ignore_index=True), run_dir / "rounds.parquet")
    elif format == "xlsx":
        _write_workbook(run_dir / "results.xlsx", stages, boards)
    elif format == "csv":
        write_csv(public_feed(stages), run_dir / "public" / "rounds.csv")
        for stage in stages:
            write_csv(boards[stage.number], run_dir / "leaderboards" / f"stage{stage.number}_final.csv")
            write_csv(pairwise_table(stage), run_dir / "leaderboards" / f"stage{stage.number}_pairwise.csv")
    elif format == "json":
        for number, board in boards.items():
            records = json.loads(board.to_json(orient="records", double_precision=15))
            write_json(records, run_dir / "leaderboards" / f"stage{number}_final.json")
    else:
        raise ValueError(f"format = {format!r}: expected one of {', '.join(FORMATS)}")


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a CSV file at once or not at all."""
    write_atomic(path, table.to_csv(index=False, lineterminator="\n").encode())


_WRITTEN = datetime(1980, 1, 1, tzinfo=UTC)  # says the workbook, so that the same results are the same bytes
_SHEET_ROWS = 50_000  # ten seconds; the rounds of more games are in rounds.parquet alone


def _write_workbook(path: Path, stages: Sequence[StageData], boards: Mapping[int, pd.DataFrame]) -> None:
    """Write leaderboards, rounds and errors as sheets; text is never taken for a formula or a link.

    A table that is too long for a spreadsheet is left out.
    """
    content = io.BytesIO()
    options = {"strings_to_formulas": False, "strings_to_urls": False, "in_memory": True}
    with pd.ExcelWriter(content, engine="xlsxwriter", engine_kwargs={"options": options}) as workbook:
        workbook.book.set_properties({"created": _WRITTEN})
        for stage in stages:
            sheets = {
                "leaderboard": boards[stage.number],
                "pairwise": pairwise_table(stage),
                "rounds": stage.rounds.drop(columns="error_text"),
                "errors": stage.failures,
            }
            for name, table in sheets.items():
                if len(table) <= _SHEET_ROWS:
                    table.to_excel(workbook, sheet_name=f"stage {stage.number} {name}", index=False)
    write_atomic(path, content.getvalue())
