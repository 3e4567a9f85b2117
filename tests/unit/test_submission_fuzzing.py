"""Whatever lies in the folder of a submission: it is read or refused, and what is read is what is imported."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from agt_tournament.sandbox.inside.imports import OwnModules
from agt_tournament.sandbox.inside.protocol import SUBMISSION
from agt_tournament.tournament.registration.submissions import (
    AGENT_FILE,
    Submission,
    read_submission,
    store_submission,
    stored_files,
)
from generative_auctions.errors import RequestError
from tests.fuzzing import fuzzed

WORDS = ("bidding_agent", "helpers", "pkg", "Pkg", "random", "numpy", "base_agent", "__init__", "__pycache__", "class")
ODD_WORDS = (".hidden", "ﬁt", "é", "e\u0301", "a b", "a.b", "-", "con", "\u202eyp", "\U0001d4ea", "x" * 60)
ENDINGS = (".py", ".PY", ".pyc", ".cpython-311.pyc", ".so", ".txt", ".py.py", ".", "")
TEXTS = (
    b"x = 1\n",
    b"",
    b"\xef\xbb\xbfx = 1\n",
    b"# coding: latin-1\nx = '\xe9'\n",
    b"# coding: utf-7\n",
    b"\0",
    b"\xff",
)
SIGNS = "ab_.\n\u2028é\x7f/"

words = st.one_of(st.sampled_from(WORDS), st.sampled_from(ODD_WORDS), st.text(SIGNS, min_size=1, max_size=4))
names = st.builds(str.__add__, words, st.sampled_from(ENDINGS))
places = st.builds(lambda folders, name: "/".join((*folders, name)), st.lists(words, max_size=3), names)
contents = st.one_of(st.sampled_from(TEXTS), st.binary(max_size=30), st.sampled_from(("folder", "link", "pipe")))
trees = st.dictionaries(places, contents, max_size=8)


def plant(folder: Path, tree: dict[str, bytes | str]) -> None:
    """Make what can be made of `tree` in `folder`: some names are none, or are taken by a file already."""
    folder.mkdir()
    for name, content in {**tree, AGENT_FILE: b"class BiddingAgent: pass\n"}.items():
        path = folder / name.strip("/")
        if ".." in path.parts or os.path.lexists(path):
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if content == "folder":
                path.mkdir()
            elif content == "link":
                path.symlink_to("/etc/passwd")
            elif content == "pipe":
                os.mkfifo(path)
            else:
                assert isinstance(content, bytes)
                path.write_bytes(content)
        except OSError:
            continue


@contextmanager
def read(tree: dict[str, bytes | str]) -> Iterator[tuple[Path, Submission | None]]:
    """The folder of `tree`, and what is read of it; None if it is refused."""
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base) / "team"
        plant(folder, tree)
        try:
            found, complaint = read_submission(folder, "teams.team"), ""
        except RequestError as refused:
            found, complaint = None, str(refused)
        assert complaint.isprintable()
        yield folder, found


@fuzzed(300)
@given(trees)
def test_every_file_plays_or_is_said_not_to(tree: dict[str, bytes | str]) -> None:
    with read(tree) as (folder, found):
        if found is None:
            return
        there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
        seen = {name for name in there if "__pycache__" not in name.split("/")}
        hidden = {each.name for each in found.ignored if Path(each.name).name.startswith(".")}
        assert found.files.keys() | {each.name for each in found.ignored} >= {
            name for name in seen if not any(name.startswith(f"{place}/") for place in hidden)
        }
        assert not found.files.keys() & {each.name for each in found.ignored}
        assert found.files == {name: (folder / name).read_bytes() for name in found.files}


@fuzzed(300)
@given(trees)
def test_what_is_stored_is_what_was_read(tree: dict[str, bytes | str]) -> None:
    with read(tree) as (folder, found):
        if found is None:
            return
        copy = folder.with_name("copy")
        for _ in range(2):
            store_submission(found.files, copy)
            assert stored_files(copy) == found.files
        assert read_submission(copy, "teams.team") == Submission(found.files, [])


@fuzzed(300)
@given(trees)
def test_what_is_read_is_what_is_imported(tree: dict[str, bytes | str]) -> None:
    with read(tree) as (folder, found):
        if found is None:
            return
        copy = folder.with_name("copy")
        store_submission(found.files, copy)
        shutil.rmtree(folder)
        finder = OwnModules(str(copy))
        for name in found.files:
            module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            spec = finder.find_spec(module)
            assert spec
            assert spec.origin == str(copy / name)
        for ignored in found.ignored:
            spec = finder.find_spec(ignored.module) if ignored.module.partition(".")[0] != SUBMISSION else None
            assert spec is None or spec.origin is None or spec.origin != str(copy / ignored.name)
