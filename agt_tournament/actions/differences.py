"""Differences between two stored values, or two files of tables, text or figures."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pandas as pd

_MOST_OF_A_FILE = 5
_LETTERS = 100  # of a value
_LETTERS_BEFORE = 20  # the first that differs, where the beginnings are the same
_NOTHING = object()
_SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


class Difference(NamedTuple):
    """A stored value that is not the expected one."""

    file: str
    where: str
    """The place in the file, such as ``auction_log[3].winner``."""
    stored: Any
    expected: Any

    def __str__(self) -> str:
        stored, expected = _excerpts(self.stored, self.expected)
        return f"{self.file}: {self.where} is {stored}, expected {expected}"


class Remark(NamedTuple):
    """Something that is wrong with a file as a whole."""

    file: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}: {self.text}"


def compare(file: str, stored: Any, expected: Any, where: str = "") -> Iterator[Difference]:
    """Yield the places in which two JSON values differ; numbers must be equal to the last bit."""
    if isinstance(stored, dict) and isinstance(expected, dict):
        for key in [*expected, *(key for key in stored if key not in expected)]:
            path = f"{where}.{key}" if where else str(key)
            yield from compare(file, stored.get(key, _NOTHING), expected.get(key, _NOTHING), path)
    elif isinstance(stored, list) and isinstance(expected, list):
        for place, (one, other) in enumerate(zip(stored, expected, strict=False)):
            yield from compare(file, one, other, f"{where}[{place}]")
        if len(stored) != len(expected):
            yield Difference(file, f"length of {where}" if where else "length", len(stored), len(expected))
    elif type(stored) is not type(expected) or stored != expected:
        yield Difference(file, where, stored, expected)


def compare_files(file: str, stored: Path, expected: Path) -> Iterator[Difference]:
    """Yield the first places in which the file `stored`, called `file`, differs from the file `expected`."""
    if stored.read_bytes() == expected.read_bytes():
        return
    read = _READERS.get(stored.suffix, _lines)
    try:
        content = read(stored)
    except Exception as error:  # whatever a reader of tables raises of a damaged one
        yield Difference(file, "content", f"unreadable, {type(error).__name__}", "what the games give")
        return
    found = list(islice(compare(file, content, read(expected)), _MOST_OF_A_FILE))
    yield from found or [Difference(file, "bytes", "others", "what the games give")]


def _csv(path: Path) -> dict[str, Any]:
    """Return the rows and the columns of a CSV file, every cell as text."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        return {"rows": list(rows), "columns": rows.fieldnames}


def _parquet(path: Path) -> dict[str, Any]:
    """Return the rows, the columns and their types of a Parquet file, None for what is missing."""
    table = pd.read_parquet(path)
    cells = table.astype(object).where(table.notna(), None)
    return {"rows": cells.to_dict("records"), "columns": list(table), "types": [str(kind) for kind in table.dtypes]}


def _workbook(path: Path) -> dict[str, Any]:
    """Return the text, number or formula of every cell, by sheet and place."""
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as parts:
        shared = "xl/sharedStrings.xml"
        strings = [_text(item) for item in _tree(parts, shared)] if shared in parts.namelist() else []
        titles = [sheet.get("name") for sheet in _tree(parts, "xl/workbook.xml").iter(f"{_SHEET}sheet")]
        return {
            str(title): _cells(_tree(parts, f"xl/worksheets/sheet{number}.xml"), strings)
            for number, title in enumerate(titles, start=1)
        }


def _cells(sheet: ElementTree.Element, strings: list[str]) -> dict[str, str]:
    """Return the cells of a sheet by place; a cell of type s is the place of its text among `strings`."""
    return {
        str(cell.get("r")): strings[int(_text(cell))] if cell.get("t") == "s" else _text(cell)
        for cell in sheet.iter(f"{_SHEET}c")
    }


def _tree(parts: zipfile.ZipFile, name: str) -> ElementTree.Element:
    """Parse a part of a workbook."""
    return ElementTree.fromstring(parts.read(name))


def _text(element: ElementTree.Element) -> str:
    """Return all text in an element."""
    return "".join(element.itertext())


def _lines(path: Path) -> dict[str, str]:
    """Return the lines of a text file by number."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return {f"line {number}": line for number, line in enumerate(lines, start=1)}


_READERS: dict[str, Callable[[Path], Any]] = {
    ".csv": _csv,
    ".json": lambda path: json.loads(path.read_bytes()),
    ".parquet": _parquet,
    ".xlsx": _workbook,
    ".png": lambda _: None,  # an image has no place to name
}


def _excerpts(stored: Any, expected: Any) -> tuple[str, str]:
    """Shorten two values to a few letters, from about the first that differs."""
    one, other = ("missing" if value is _NOTHING else repr(value) for value in (stored, expected))
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
    start = same - _LETTERS_BEFORE if same >= _LETTERS - _LETTERS_BEFORE else 0
    return _excerpt(one, start), _excerpt(other, start)


def _excerpt(text: str, start: int) -> str:
    """Return a few letters of a text from `start` on."""
    text = text if not start else f"...{text[start:]}"
    return text if len(text) <= _LETTERS else text[: _LETTERS - 3] + "..."
