"""What a team handed in: the ``.py`` text that plays, and what lies beside it and does not."""

from __future__ import annotations

import hashlib
import shutil
import unicodedata
from collections.abc import Iterator
from keyword import iskeyword
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from agt_tournament.sandbox.inside.imports import is_own, misleading
from agt_tournament.sandbox.inside.protocol import SUBMISSION
from generative_auctions.errors import RequestError
from generative_auctions.files import naming

AGENT_FILE = f"{SUBMISSION}.py"
_MOST_FILES, _MOST_BYTES, _MOST_DEPTH = 1000, 20 << 20, 20
_COMPILED = (".pyc", ".pyo", ".pyd", ".so", ".dll", ".dylib")


class SubmissionError(RequestError):
    """A submission exists at a path, but cannot play as it is."""


class Ignored(NamedTuple):
    """A file of a submission, or a folder, that does not play."""

    name: str
    """The path of the file in the submission."""
    reason: str
    remedy: str

    @property
    def module(self) -> str:
        """The name under which an agent would import it."""
        path = PurePosixPath(self.name)
        return ".".join((*path.parts[:-1], path.name.partition(".")[0]))


class Submission(NamedTuple):
    """What was read of a submission."""

    files: dict[str, bytes]
    """The modules by their path in the submission; one is `AGENT_FILE`."""
    ignored: list[Ignored]


def read_submission(path: Path, key: str) -> Submission:
    """Read the file or folder `path`; raises `RequestError` naming `key`, `SubmissionError` for its content.

    A link is refused, not followed: it could lead anywhere on the organiser's machine.
    """
    if path.is_file() and not path.is_symlink():
        if path.stat().st_size > _MOST_BYTES:
            raise SubmissionError(key, path, f"a file of at most {_MOST_BYTES >> 20} MiB")
        return Submission({AGENT_FILE: path.read_bytes()}, [])
    if not path.is_dir() or not (path / AGENT_FILE).is_file():
        refusal = SubmissionError if path.is_dir() else RequestError
        raise refusal(key, path, f"a Python file, or a folder with {AGENT_FILE}")
    found = Submission({}, [])
    left = _MOST_BYTES
    for number, entry in enumerate(_entries(path), start=1):
        name = _checked_name(entry, path, key)
        if number > _MOST_FILES:
            raise _too_much(path, key)
        if ignored := _by_name(name, path):
            found.ignored.append(ignored)
            continue
        left -= entry.stat().st_size
        if left < 0:
            raise _too_much(path, key)
        content = entry.read_bytes()
        problem = misleading(content) if name != AGENT_FILE else ""  # of the agent itself its import says it
        if problem:
            found.ignored.append(Ignored(name, problem, "save it as plain UTF-8"))
        else:
            found.files[name] = content
    return found


def _entries(folder: Path, depth: int = 0) -> Iterator[Path]:
    """Yield the files in and below `folder`, down to a limit; hidden folders are not entered."""
    for entry in sorted(folder.iterdir()):
        if entry.name == "__pycache__":
            continue
        if entry.is_dir() and not entry.is_symlink() and not _is_hidden(entry.name) and depth <= _MOST_DEPTH:
            yield from _entries(entry, depth + 1)
        else:
            yield entry


def _checked_name(entry: Path, path: Path, key: str) -> str:
    name = entry.relative_to(path).as_posix()
    if not name.isprintable() or name.count("/") > _MOST_DEPTH:
        raise SubmissionError(key, ascii(name), f"names that can be printed, at most {_MOST_DEPTH} folders deep")
    if (entry.is_symlink() or not entry.is_file()) and not _is_hidden(entry.name):
        raise SubmissionError(key, entry, "regular files only, no links or devices, in a submission")
    return name


def _too_much(path: Path, key: str) -> SubmissionError:
    return SubmissionError(key, path, f"at most {_MOST_FILES:,} files, modules of together {_MOST_BYTES >> 20} MiB")


def _is_hidden(name: str) -> bool:
    return name.startswith(".")


# --- what does not play ----------------------------------------------------------------------------------


def _by_name(name: str, folder: Path) -> Ignored | None:
    """Say why the file `name` of the submission in `folder` cannot play, as far as its name tells."""
    place = PurePosixPath(name)
    parts = (*place.parts[:-1], place.stem)
    if _is_hidden(place.name):
        return Ignored(name, "hidden files are not read", "remove it, or rename it if it is a module")
    if place.suffix in _COMPILED:
        return Ignored(name, "compiled code is not read", "hand in its source as a .py file")
    if place.suffix != ".py" and place.suffix.lower() == ".py":
        return Ignored(name, "a module's name ends in .py, in small letters", "rename it")
    if place.suffix != ".py":
        return Ignored(name, "only .py files are read", "put data into a .py module")
    if name != AGENT_FILE and name.lower() == AGENT_FILE:
        return Ignored(name, f"{AGENT_FILE} plays, spelt so", "remove it, or rename it")
    if not all(_can_be_imported(part) for part in parts):
        return Ignored(name, "no import statement can name it", "rename it with letters, digits and _ only")
    if not is_own(parts[0]):
        return Ignored(name, f"{parts[0]} is the name of a module that Python or the game brings", "rename it")
    for depth in range(1, len(parts)):
        module = PurePosixPath(*parts[:depth]).with_suffix(".py")
        if (folder / module).is_file():
            return Ignored(name, f"{module} lies beside the folder {module.stem}/ and is imported", "rename the folder")
    return None


def _can_be_imported(part: str) -> bool:
    return part.isidentifier() and not iskeyword(part) and unicodedata.normalize("NFKC", part) == part


# --- what plays ------------------------------------------------------------------------------------------


def digest(files: dict[str, bytes]) -> str:
    """Return a digest that equal submissions share."""
    total = hashlib.sha256()
    for name, content in sorted(files.items()):
        total.update(f"{name}\0{len(content)}\0".encode() + content)
    return total.hexdigest()[:16]


def store_submission(files: dict[str, bytes], folder: Path) -> None:
    """Write the modules `files` to `folder`, at once or not at all; equal content stays untouched."""
    if folder.is_dir():
        if stored_files(folder) == files:
            return
        shutil.rmtree(folder)
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    for name, content in files.items():
        path = part / name
        with naming(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    part.replace(folder)


def stored_files(folder: Path) -> dict[str, bytes]:
    """Read every file below `folder`, whether it plays or not, by its place in it."""
    paths = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return {path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else b"" for path in paths}
