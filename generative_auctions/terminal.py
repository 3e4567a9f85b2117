"""Print to the terminal literally, without markup."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

_UNFOLDED = 10_000  # columns


def plain_console(*, soft_wrap: bool = False, **settings: Any) -> Console:
    """Make a console to which ``[b]`` and ``:x:`` in a path or a prompt are text; a style is given by its argument.

    Args:
        soft_wrap: no line is folded, nor is a cell of a table if the output is no terminal.
        settings: others of `rich.console.Console`.
    """
    console = Console(markup=False, emoji=False, soft_wrap=soft_wrap, **settings)
    if soft_wrap and not console.is_terminal:
        console.width = _UNFOLDED
    return console


def plain_table(title: str, *columns: str) -> Table:
    """Make a table without frame; columns of names and items are text, all others numbers."""
    table = Table(
        title=title, title_justify="left", title_style="bold", header_style="dim", box=box.SIMPLE, pad_edge=False
    )
    for column in columns:
        text = column in {"team", "item", "winner"}
        table.add_column(column, justify="left" if text else "right", no_wrap=column != "team")
    return table
