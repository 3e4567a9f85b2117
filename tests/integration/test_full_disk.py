"""A disk without room: one line that names the file, nothing half written, and the same command goes on with room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import auction

RUNS = {
    "diffusion_auction": ("samples=8", "bids.vectors=[[0.7,0.3],[0.2,0.8]]"),
    "agt_tournament": ("tournament.games=20", "tournament.block_games=5"),
}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of its own with little room."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", folder]).returncode:
        pytest.skip("only who may mount a file system can fill one")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("module", RUNS)
def test_a_run_goes_on_once_there_is_room(module: str, small_disk: Path, tmp_path: Path) -> None:
    run_dir = small_disk / "run"
    request = (*RUNS[module], f"run_dir={run_dir}")
    full = auction(*request, cwd=tmp_path, module=module)
    assert full.returncode == 1, full.stderr
    assert "Traceback" not in full.stderr
    last = full.stderr.strip().splitlines()[-1]
    assert str(run_dir) in last
    assert "No space left on device" in last
    assert not list(run_dir.rglob("*.part"))

    remount(small_disk, "size=50m")
    before = {path: path.stat().st_mtime_ns for path in run_dir.rglob("*") if path.suffix == ".png" and path.is_file()}
    done = auction(*request, cwd=tmp_path, module=module)
    assert done.returncode == 0, done.stderr
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in before.items())


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [8, 24, 64])
@pytest.mark.parametrize("module", RUNS)
def test_the_file_that_has_no_room_is_named(module: str, kilobytes: int, small_disk: Path, tmp_path: Path) -> None:
    """With so little room another file each time: configuration, submissions, plan, logs, images."""
    remount(small_disk, f"size={kilobytes}k")
    full = auction(*RUNS[module], f"run_dir={small_disk / 'run'}", cwd=tmp_path, module=module)
    assert full.returncode == 1, full.stderr
    last = full.stderr.strip().splitlines()[-1]
    assert last.startswith(str(small_disk / "run"))
    assert "No space left on device" in last


@pytest.mark.parametrize("module", RUNS)
def test_a_read_only_disk_is_refused(module: str, small_disk: Path, tmp_path: Path) -> None:
    remount(small_disk, "ro")
    refused = auction(*RUNS[module], f"run_dir={small_disk / 'run'}", cwd=tmp_path, module=module)
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1, refused.stderr
    assert f"run_dir = {small_disk / 'run'}: expected a directory that can be written" in refused.stderr
