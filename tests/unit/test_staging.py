"""Copies on the node's disk: one per node and content, whole or not there."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from generative_auctions.errors import RequestError
from launchers.staging import staged

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A snapshot as huggingface_hub lays it out: links to blobs."""
    blobs, folder = tmp_path / "blobs", tmp_path / "snapshot"
    blobs.mkdir()
    (folder / "vae").mkdir(parents=True)
    for digest, name in (("aa", "model_index.json"), ("bb", "vae/model.safetensors")):
        (blobs / digest).write_text(f"content of {name}")
        (folder / name).symlink_to(blobs / digest)
    return folder


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_copy_has_contents_and_not_links(source: Path, tmp_path: Path) -> None:
    copy = staged(source, tmp_path / "node")
    assert files(copy) == files(source)
    assert not any(path.is_symlink() for path in copy.rglob("*"))
    assert copy.parent == tmp_path / "node"


def test_a_copy_is_made_once_until_the_weights_change(source: Path, tmp_path: Path) -> None:
    copy = staged(source, tmp_path / "node")
    (copy / "stamp").touch()
    assert staged(source, tmp_path / "node") == copy
    assert (copy / "stamp").exists()
    (source / "model_index.json").write_text("content of model_index_JSON")
    changed = staged(source, tmp_path / "node")
    assert changed != copy
    assert files(changed) == files(source)


def test_only_the_names_given(source: Path, tmp_path: Path) -> None:
    assert files(staged(source, tmp_path / "node", ["model_index.json"])).keys() == {"model_index.json"}


def test_variables_are_the_nodes(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_DISK", str(tmp_path / "nvme"))
    assert staged(source, "${NODE_DISK}/weights").parent == tmp_path / "nvme" / "weights"
    monkeypatch.delenv("NODE_DISK")
    with pytest.raises(RequestError, match=r"launcher\.stage_dir = \$NODE_DISK/weights: .*NODE_DISK is not set"):
        staged(source, "$NODE_DISK/weights")


def test_a_folder_that_cannot_be_written(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match=r"launcher\.stage_dir = .*file/below: .*can be written"):
        staged(source, tmp_path / "file" / "below")


def test_without_room_the_source_is_used(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: shutil._ntuple_diskusage(2, 1, 1))
    with caplog.at_level(logging.WARNING):
        assert staged(source, tmp_path / "node") == source
    assert "it has 0.0 GB and 0.0 GB are free there" in caplog.text


def test_room_that_goes_during_the_copy(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*paths: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    assert staged(source, tmp_path / "node") == source
    assert "No space left on device" in caplog.text
    assert not [path for path in (tmp_path / "node").iterdir() if path.is_dir()]


# --- several workers, and one that dies ------------------------------------------------------------


def slowly(source: Path, node: Path, seconds: float) -> tuple[str, int]:
    """Stage with a slow disk; the copy and how many files this process copied."""
    copied, copyfile = 0, shutil.copyfile

    def slow(*paths: Path) -> None:
        nonlocal copied
        copied += 1
        copyfile(*paths)
        time.sleep(seconds)

    shutil.copyfile = slow  # type: ignore[assignment]
    return str(staged(source, node)), copied


def test_workers_of_a_node_copy_once(source: Path, tmp_path: Path) -> None:
    with ProcessPoolExecutor(3, mp_context=SPAWN) as pool:
        done = list(pool.map(slowly, [source] * 3, [tmp_path / "node"] * 3, [0.2] * 3))
    assert len({copy for copy, _ in done}) == 1
    assert sorted(copied for _, copied in done) == [0, 0, 2]


def test_a_worker_killed_while_it_copies_leaves_nothing_that_is_taken(source: Path, tmp_path: Path) -> None:
    worker = SPAWN.Process(target=slowly, args=(source, tmp_path / "node", 60))
    worker.start()
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("node/.*.part/model_index.json")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    assert not [path for path in (tmp_path / "node").iterdir() if not path.name.startswith(".")]
    copy = staged(source, tmp_path / "node")
    assert files(copy) == files(source)
    assert not list(tmp_path.glob("node/.*.part"))


def test_a_copy_that_a_crash_has_cut_is_made_anew(source: Path, tmp_path: Path) -> None:
    copy = staged(source, tmp_path / "node")
    (copy / "vae" / "model.safetensors").write_text("")
    assert files(staged(source, tmp_path / "node")) == files(source)
    assert copy == staged(source, tmp_path / "node")
