"""A run that is killed three times ends as one that never was."""

from __future__ import annotations

import itertools
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.support import application_command, auction, environment

pytestmark = pytest.mark.slow

REQUEST = ("+sweep=two_agent_simplex", "scenarios=[0,1]", "samples=8", "model.batch=4", "alignment.batch=4")
IMAGES = 7 * 2 * 8
"""Compositions, scenarios, samples."""


Stamps = dict[str, tuple[int, int]]


def images(run_dir: Path) -> Stamps:
    """Which file each image is, and when it was written."""
    found = {}
    for path in run_dir.glob("images/*/*.png"):
        stat = path.stat()
        found[path.name] = (stat.st_ino, stat.st_mtime_ns)
    return found


def marks(run_dir: Path, stage: str) -> int:
    return len(list(run_dir.glob(f"shards/{stage}/*.json")))


def start(run_dir: Path, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        command = application_command("diffusion_auction", *REQUEST, f"run_dir={run_dir}")
        return subprocess.Popen(command, cwd=run_dir.parent, env=environment(), stdout=file, stderr=file)


def wait_until(moment: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Poll for `moment`, as long as `process` runs."""
    deadline = time.monotonic() + 240
    while not moment():
        assert process.poll() is None, f"ended before its moment came\n{log.read_text()}"
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.002)


def kill_at(moment: Callable[[], bool], run_dir: Path) -> None:
    """Start the run and `kill -9` it when `moment` has come."""
    log = run_dir.parent / "log.txt"
    process = start(run_dir, log)
    try:
        wait_until(moment, process, log)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run; a second one on its directory, started meanwhile, was refused."""
    run_dir = tmp_path_factory.mktemp("unbroken") / "run"
    log = run_dir.parent / "log.txt"
    process = start(run_dir, log)
    try:
        wait_until((run_dir / "plan.parquet").exists, process, log)
        process.send_signal(signal.SIGSTOP)  # it holds the directory until the second one has been refused
        second = auction(*REQUEST, f"run_dir={run_dir}", cwd=run_dir.parent)
        process.send_signal(signal.SIGCONT)
        assert second.returncode == 2
        assert "no other run" in second.stderr
        assert len(second.stderr.splitlines()) == 1
        assert process.wait(timeout=240) == 0, log.read_text()
    finally:
        process.kill()
    return run_dir


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Stamps]]:
    """A run killed at its start, between two images and between two scores, then ended; its images at each kill."""
    run_dir = tmp_path_factory.mktemp("killed") / "run"
    seen = []

    kill_at((run_dir / "plan.parquet").exists, run_dir)
    seen.append(images(run_dir))
    assert not seen[-1]

    kill_at(lambda: len(images(run_dir)) > 0, run_dir)
    seen.append(images(run_dir))
    assert 0 < len(seen[-1]) < IMAGES

    kill_at(lambda: marks(run_dir, "score") > 0, run_dir)
    seen.append(images(run_dir))
    assert len(seen[-1]) == IMAGES
    assert 0 < marks(run_dir, "score") < IMAGES / 4
    assert not (run_dir / "scores.parquet").exists()

    last = auction(*REQUEST, f"run_dir={run_dir}", cwd=run_dir.parent)
    assert last.returncode == 0, last.stderr
    return run_dir, [*seen, images(run_dir)]


def test_no_image_is_made_twice(killed: tuple[Path, list[Stamps]]) -> None:
    _, seen = killed
    for earlier, later in itertools.pairwise(seen):
        assert earlier.items() <= later.items()
    assert len(seen[-1]) == IMAGES


@pytest.mark.parametrize("table", ["plan", "samples", "scores", "auctions"])
def test_its_tables_are_those_of_an_unbroken_run(table: str, killed: tuple[Path, list[Stamps]], unbroken: Path) -> None:
    found, expected = (
        pd.read_parquet(run_dir / f"{table}.parquet").drop(columns="seconds", errors="ignore")
        for run_dir in (killed[0], unbroken)
    )
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


def test_its_metrics_are_those_of_an_unbroken_run(killed: tuple[Path, list[Stamps]], unbroken: Path) -> None:
    assert (killed[0] / "metrics.json").read_text() == (unbroken / "metrics.json").read_text()
