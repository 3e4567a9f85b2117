"""Write files at once or not at all, and read them back: a damaged file is a one-line error."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from generative_auctions.errors import RequestError
from generative_auctions.text import cut

if TYPE_CHECKING:
    import pandas as pd

_MOST_LETTERS = 200
"""The number of characters kept of a library's error about a damaged file; some errors quote the whole file."""

_T = TypeVar("_T")


class DamagedFileError(RequestError):
    """A file of a run directory is missing, or not as the run wrote it."""

    def __init__(self, path: Path, problem: object, remedy: str | None = None, key: str = "run_dir") -> None:
        """Name the damaged `path`, its `problem` and a `remedy`; by default, that the command of the run remakes it."""
        self.problem = cut(str(problem), _MOST_LETTERS)
        remedy = remedy or "the command that made the run makes it again"
        super().__init__(key, path, f"the file as the run wrote it ({self.problem}); {remedy}")


def read_json(path: Path, shape: TypeAdapter[Any], remedy: str | None = None, key: str = "run_dir") -> Any:
    """Return the JSON value in `path`. Raises `DamagedFileError` unless it has at least what `shape` requires."""

    def parse(content: bytes) -> Any:
        shape.validate_json(content, strict=True)
        return json.loads(content)

    return _read(path, parse, remedy, key)


def read_yaml(path: Path, shape: TypeAdapter[Any], remedy: str | None = None, key: str = "run_dir") -> Any:
    """Return the YAML value in `path`, as `read_json` reads JSON."""

    def parse(content: bytes) -> Any:
        value = yaml.safe_load(content)
        shape.validate_python(value)
        return value

    return _read(path, parse, remedy, key)


def read_table(path: Path, columns: Iterable[str] = (), key: str = "run_dir") -> pd.DataFrame:
    """Return the Parquet table in `path`. Raises `DamagedFileError` if it is none, or lacks one of `columns`."""

    def parse(content: bytes) -> pd.DataFrame:
        import pandas as pd

        try:
            table = pd.read_parquet(io.BytesIO(content))
        except Exception as error:  # of a damaged one pyarrow raises errors of many classes
            raise ValueError(f"{type(error).__name__}: {error}") from None
        if absent := [column for column in columns if column not in table]:
            raise ValueError(f"it has no column {absent[0]}")
        return table

    return _read(path, parse, None, key)


def _read(path: Path, parse: Callable[[bytes], _T], remedy: str | None, key: str) -> _T:
    try:
        if path.exists() and not path.is_file():  # opening a pipe would block
            raise ValueError("no regular file")
        return parse(path.read_bytes())
    except ValidationError as error:
        problem: object = in_words(error)
    except OSError as error:
        problem = error.strerror or error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        problem = error
    raise DamagedFileError(path, problem, remedy, key)


def in_words(error: ValidationError) -> str:
    """Describe the first thing that is wrong, and where."""
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"]))
    if first["type"] == "missing":
        return f"{place} is absent"
    if "class_name" in first.get("ctx", {}):  # the name of a class, which means nothing to a user
        return f"{place}: expected keys with values".removeprefix(": ")
    expected = first["msg"].replace("Input should be", "expected")
    return f"{place}: {expected}" if place else expected


def write_atomic(path: Path, content: bytes) -> None:
    """Write `path` so that a reader, or a kill at any instant, sees all of it or nothing.

    Raises `OSError` that names the path where the disk is full or read-only; nothing is left beside it then.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(content)
            part.replace(path)
        except BaseException:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name `path` in every `OSError` raised inside: the error of a full disk names no file."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            error.filename = str(path)
            del error.filename2  # set to None it would be shown
        raise


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a Parquet file at once or not at all."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    write_atomic(path, buffer.getvalue())


def write_json(value: Any, path: Path) -> None:
    """Write strict JSON (no NaN) at once or not at all."""
    write_atomic(path, (json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode())
