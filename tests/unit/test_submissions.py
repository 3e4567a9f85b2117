"""What is read of a submission, what of it does not play and why, and how it is stored."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agt_tournament.tournament.registration import submissions
from agt_tournament.tournament.registration.submissions import digest, read_submission, store_submission
from generative_auctions.errors import RequestError
from tests.support import REPO
from tests.tournament import submission

AGENT = "class BiddingAgent: pass\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the submissions ana/ and ben.py."""
    submission(tmp_path / "ana", AGENT)
    (tmp_path / "ben.py").write_text(AGENT)
    return tmp_path


def test_a_submission_is_its_file_or_the_modules_of_its_folder(folder: Path) -> None:
    assert read_submission(folder / "ben.py", "k") == ({"bidding_agent.py": AGENT.encode()}, [])
    modules = {"helpers.py": b"x = 1", "pkg/__init__.py": b"", "pkg/sub/deep.py": b"y = 2", "bare/random.py": b""}
    for name, content in modules.items():
        (folder / "ana" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "ana" / name).write_bytes(content)
    (folder / "ana" / "__pycache__").mkdir()
    (folder / "ana" / "__pycache__" / "helpers.cpython-311.pyc").write_text("1")
    assert read_submission(folder / "ana", "k") == ({"bidding_agent.py": AGENT.encode(), **modules}, [])


IGNORED = {
    "random.py": "rename",
    "numpy/__init__.py": "rename",
    "scipy.py": "rename",
    "base_agent.py": "rename",
    "agt_tournament/base_agent.py": "rename",
    "__main__.py": "rename",
    "test/test_mine.py": "rename",
    "bidding_agent/__init__.py": "rename the folder",
    "helpers/deep/x.py": "rename the folder",
    "Bidding_Agent.py": "rename",
    "other.PY": "rename",
    "my-helper.py": "letters, digits and _",
    "version.2.py": "letters, digits and _",
    "class.py": "letters, digits and _",
    "ﬁt.py": "letters, digits and _",
    "compiled.pyc": "source",
    "fast.cpython-311-x86_64-linux-gnu.so": "source",
    "data/table.csv": "into a .py module",
    "notes": "into a .py module",
    ".hidden.py": "remove",
    "pkg/.hidden": "remove",
}


@pytest.mark.parametrize("name", IGNORED)
def test_what_does_not_play_is_named_with_a_reason_and_what_to_do(folder: Path, name: str) -> None:
    path = folder / "ana" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x = 1\n")
    (folder / "ana" / "helpers.py").write_text("")
    files, [ignored] = read_submission(folder / "ana", "k")
    assert list(files) == ["bidding_agent.py", "helpers.py"]
    assert ignored.name == name
    assert IGNORED[name] in ignored.remedy
    assert ignored.reason


def test_of_a_hidden_folder_only_the_name_is_read(folder: Path) -> None:
    (folder / "ana" / ".git").mkdir()
    for number in range(1100):
        (folder / "ana" / ".git" / str(number)).touch()
    (folder / "ana" / ".link").symlink_to("/etc")
    assert [ignored.name for ignored in read_submission(folder / "ana", "k").ignored] == [".git", ".link"]


TEXTS = {
    b"x = '\xff'\n": False,
    b"x = '\0'\n": False,
    b"# coding: nonsense\n": False,
    b"# coding: rot13\n": False,
    b"# coding: punycode\n": False,
    b"# coding: utf-7\nx = 1 #+AAo-x = 2\n": False,
    b"# coding: unicode_escape\nx = 1 #\\nx = 2\n": False,
    b"x = 1 #\rx = 2\n": False,
    b"x = 1\r\ny = 2\r\n": True,
    "x = 1 # \u202e\u2066;x = 2\n".encode(): False,
    b"\xef\xbb\xbf# coding: latin-1\n": False,
    b"\xef\xbb\xbfx = 1\n": True,
    b"# coding: latin-1\nx = '\xff'\n": True,
    b"# coding: utf8\nx = 'n\xc3\xa9e'\n": True,
}


@pytest.mark.parametrize("content", TEXTS)
def test_a_module_is_text_in_the_encoding_that_it_names(folder: Path, content: bytes) -> None:
    (folder / "ana" / "helpers.py").write_bytes(content)
    files, ignored = read_submission(folder / "ana", "k")
    assert ("helpers.py" in files) == TEXTS[content]
    assert [each.remedy for each in ignored] == ([] if TEXTS[content] else ["save it as plain UTF-8"])


def test_the_agent_itself_is_read_whatever_it_holds(folder: Path) -> None:
    """What is wrong with it is an error of its import, with a line and a hint."""
    (folder / "ana" / "bidding_agent.py").write_bytes(b"\xff\0")
    assert read_submission(folder / "ana", "k") == ({"bidding_agent.py": b"\xff\0"}, [])


@pytest.mark.parametrize("target", ["/etc/hostname", "bidding_agent.py", "/nowhere", ".", "/etc"])
def test_a_link_in_a_submission_is_refused(folder: Path, target: str) -> None:
    (folder / "ana" / "link").symlink_to(target)
    with pytest.raises(RequestError) as refused:
        read_submission(folder / "ana", "team ana")
    assert (refused.value.key, refused.value.value) == ("team ana", folder / "ana" / "link")


def test_an_agent_that_is_a_link_is_refused(folder: Path) -> None:
    (folder / "ana" / "bidding_agent.py").unlink()
    (folder / "ana" / "bidding_agent.py").symlink_to(folder / "ben.py")
    (folder / "link.py").symlink_to(folder / "ben.py")
    for path in (folder / "ana", folder / "link.py"):
        with pytest.raises(RequestError, match="team ana"):
            read_submission(path, "team ana")


def test_a_device_or_pipe_in_a_submission_is_refused_and_not_read(folder: Path) -> None:
    os.mkfifo(folder / "ana" / "pipe")
    with pytest.raises(RequestError, match="regular files"):
        read_submission(folder / "ana", "team ana")


def test_a_submission_of_too_many_files_or_bytes_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submissions, "_MOST_FILES", 3)
    monkeypatch.setattr(submissions, "_MOST_BYTES", len(AGENT) + 10)
    for name in ("a.py", "b.py"):
        (folder / "ana" / name).write_bytes(b"12345")
    assert len(read_submission(folder / "ana", "k").files) == 3
    (folder / "ana" / "c").write_bytes(b"")
    with pytest.raises(RequestError, match="at most 3 files"):
        read_submission(folder / "ana", "k")
    (folder / "ana" / "c").unlink()
    (folder / "ana" / "b.py").write_bytes(b"123456")
    with pytest.raises(RequestError, match="k = "):
        read_submission(folder / "ana", "k")


def test_a_huge_file_is_refused_without_being_read(folder: Path) -> None:
    with (folder / "ana" / "huge.py").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(RequestError, match="20 MiB"):
        read_submission(folder / "ana", "k")


def test_a_single_huge_file_is_refused_without_being_read(folder: Path) -> None:
    """A submission that is one file is bounded like a folder; sparse, so that a failure costs no disk."""
    with (folder / "huge.py").open("wb") as file:
        file.truncate(21 << 20)
    with pytest.raises(RequestError, match="20 MiB"):
        read_submission(folder / "huge.py", "k")


def test_a_file_name_that_is_no_unicode_is_refused(folder: Path) -> None:
    path = os.fsencode(folder / "ana") + b"/\xff.py"
    try:
        Path(os.fsdecode(path)).write_text("x")
    except OSError:
        pytest.skip("this file system takes only Unicode")
    with pytest.raises(RequestError):
        digest(read_submission(folder / "ana", "k").files)


def test_folders_within_folders_without_end_are_refused(folder: Path) -> None:
    here = os.open(folder / "ana", os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("a", dir_fd=here)
        below = os.open("a", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    try:
        with pytest.raises(RequestError):
            read_submission(folder / "ana", "k")
    finally:
        subprocess.run(["rm", "-rf", folder / "ana"], check=True)  # deeper than shutil can remove


def test_the_digest_tells_every_change_and_no_order() -> None:
    files = {"bidding_agent.py": b"x", "a/b.py": b"y", "a/c.py": b""}
    assert digest(files) == digest(dict(reversed(files.items())))
    changed = [
        {**files, "a/b.py": b"z"},
        {**files, "d": b""},
        {"bidding_agent.py": b"x", "a/b.py": b"y"},
        {"bidding_agent.py": b"x", "a/b.py": b"", "a/c.py": b"y"},
        {"bidding_agent.py": b"x", "a/b.p": b"yy", "a/c.py": b""},
    ]
    assert len({digest(each) for each in [files, *changed]}) == 6


def stored(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_submission_is_stored_once_and_replaced_if_it_changed(tmp_path: Path) -> None:
    files = {"bidding_agent.py": b"x", "a/b/c.py": b"y"}
    target = tmp_path / "submissions" / "ana"
    store_submission(files, target)
    assert stored(target) == files
    inode = (target / "bidding_agent.py").stat().st_ino
    store_submission(files, target)
    assert (target / "bidding_agent.py").stat().st_ino == inode
    store_submission({"bidding_agent.py": b"z"}, target)
    assert stored(target) == {"bidding_agent.py": b"z"}
    assert [path.name for path in target.parent.iterdir()] == ["ana"]


@pytest.mark.parametrize("name", [".hidden", "__pycache__/x.pyc", "random.so", "a/link"])
def test_whatever_else_lies_in_a_stored_submission_goes(tmp_path: Path, name: str) -> None:
    files = {"bidding_agent.py": b"x", "a/b.py": b"y"}
    store_submission(files, tmp_path / "ana")
    stranger = tmp_path / "ana" / name
    stranger.parent.mkdir(exist_ok=True)
    stranger.symlink_to("b.py") if name.endswith("link") else stranger.write_bytes(b"z")
    store_submission(files, tmp_path / "ana")
    assert stored(tmp_path / "ana") == files


def test_a_submission_that_is_not_wholly_written_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "ana"
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.name == "c.py":
            raise OSError("disk full")
        return write(path, content)

    files = {"bidding_agent.py": b"x", "c.py": b"y"}
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="disk full"):
            store_submission(files, target)
    assert not target.exists()
    store_submission(files, target)
    assert stored(target) == files


_ALL_OF_THE_LIBRARIES = """
import importlib, pkgutil, sys, warnings
from agt_tournament.sandbox.inside import imports, libraries
from agt_tournament.sandbox.walls import readable
warnings.simplefilter("ignore")
sys.meta_path.insert(0, libraries.Libraries(readable.library_folders()))
sys.path = [path for path in sys.path if "site-packages" not in path]
before = set(sys.modules)
import numpy, scipy
for library in (numpy, scipy):
    for found in pkgutil.walk_packages(library.__path__, library.__name__ + ".", onerror=lambda name: None):
        if ".tests" not in found.name and "__main__" not in found.name:
            try:
                importlib.import_module(found.name)
            except (Exception, SystemExit):
                pass
names = {name.partition(".")[0] for name in set(sys.modules) - before}
print(len(names), *sorted(name for name in names if name.isidentifier() and imports.is_own(name)))
"""


@pytest.mark.slow
def test_no_module_of_a_team_has_the_name_of_one_that_numpy_or_scipy_brings() -> None:
    """It would be imported or not by what was imported before."""
    command = [sys.executable, "-c", _ALL_OF_THE_LIBRARIES]
    said = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True).stdout
    count, *own = said.splitlines()[-1].split()
    assert int(count) > 50
    assert own == []
