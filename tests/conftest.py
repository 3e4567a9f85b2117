"""Fixtures of every folder of tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: each worker has one core

import diffusion_auction  # noqa: F401  (before torch: it has MKL repeat its results to the bit)
from launchers.backends.slurm import SlurmWorkers
from tests.launching import REPO, Bench
from tests.slurm_lab import SlurmLab, missing_programs


def pytest_configure() -> None:
    """Let what tests start be interrupted: a job in the background of a shell ignores it, and hands that on."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def slurm_programs() -> None:
    """What a test that starts a cluster of its own asks for: SLURM is installed, or the test is not run."""
    if missing := missing_programs():
        reason = f"no SLURM here: {', '.join(missing)} not found (packages slurm-wlm and munge)"
        if os.environ.get("CI_REQUIRES_SLURM") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def slurm_lab(slurm_programs: None) -> Iterator[SlurmLab]:
    """One cluster for all tests, started for the first that asks; whoever leaves jobs says `slurm_lab.clear()`."""
    with TemporaryDirectory(prefix="lab") as folder, SlurmLab(Path(folder)) as lab:
        yield lab


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder for a cluster of the test's own: the sockets in it may not have long names."""
    with TemporaryDirectory(prefix="lab") as folder:
        yield Path(folder)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Work for launchers, whose workers find the tests and no GPU."""
    monkeypatch.setenv("PYTHONPATH", str(REPO))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    return Bench(tmp_path / "run", tmp_path / "notes")


@pytest.fixture
def cluster(slurm_lab: SlurmLab, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlurmLab]:
    """The laboratory cluster as this process's own; a launching process that asks it often."""
    monkeypatch.setenv("SLURM_CONF", slurm_lab.environment["SLURM_CONF"])
    monkeypatch.setattr(SlurmWorkers, "poll_seconds", 0.2)
    yield slurm_lab
    slurm_lab.clear()
