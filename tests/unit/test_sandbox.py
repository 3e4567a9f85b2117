"""User ids of agents, and what they may read."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from agt_tournament.sandbox.walls import readable, sandbox
from agt_tournament.sandbox.walls.sandbox import own_user_id


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def test_each_process_of_roots_has_an_id_that_nobody_uses(root: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_mapped_ids", lambda: (0, 2**32 - 1))
    found = {own_user_id(pid) for pid in range(1, 4_194_305, 997)}
    assert len(found) == len(range(1, 4_194_305, 997))
    assert all(found_id is not None and 0x70000000 < found_id < 2**31 for found_id in found)


def test_in_a_user_namespace_the_ids_are_mapped_ones(root: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_mapped_ids", lambda: (0, 65536))
    found = {own_user_id(pid) for pid in range(1, 30_000)}
    assert len(found) == 29_999
    assert all(found_id is not None and 32_768 <= found_id < 65_536 for found_id in found)
    monkeypatch.setattr(sandbox, "_mapped_ids", lambda: (0, 1))
    assert own_user_id(5) is None


def test_only_root_gives_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert own_user_id(5) is None


@pytest.mark.skipif(sys.platform != "linux", reason="the dynamic linker of Linux is asked")
def test_of_the_system_only_what_the_dynamic_linker_needs_is_readable() -> None:
    files = readable.shared_libraries()
    names = {Path(file).name for file in files}
    assert {"libc.so.6", "libm.so.6", "libstdc++.so.6"} <= names
    assert len(files) < 100
    assert all(Path(file).is_file() for file in files)


def test_whether_others_may_read_is_seen_in_the_folders_above_too(root: None, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    submission = closed / "submission"
    submission.mkdir(parents=True)
    closed.chmod(0o700)
    assert not sandbox._open_to_all(submission, in_namespaces=False)
    submission.chmod(0o700)
    assert not sandbox._open_to_all(submission, in_namespaces=True)
