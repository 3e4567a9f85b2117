"""Wherever the work runs, the applications' results are the same, and each worker has one device of its own."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pandas as pd
import pytest

from tests.slurm_lab import SlurmLab
from tests.support import auction

pytestmark = pytest.mark.slow

IMAGES = ("+sweep=two_agent_simplex", "samples=1", "scenarios=[0]", "model.batch=2", "alignment.batch=3")
GAMES = ("stage=1", "tournament.games=8", "tournament.block_games=2", "seed=3")


@pytest.fixture(scope="module")
def inline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of each application in the launching process."""
    home = tmp_path_factory.mktemp("inline")
    run("diffusion_auction", home, "inline", *IMAGES)
    run("agt_tournament", home, "inline", *GAMES)
    return home


@pytest.fixture(params=["local", "slurm"])
def launcher(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Four pretended devices, of which images use two."""
    if request.param == "slurm":
        lab: SlurmLab = request.getfixturevalue("slurm_lab")
        monkeypatch.setenv("SLURM_CONF", lab.environment["SLURM_CONF"])
        return "launcher=slurm", "launcher.max_concurrent={}"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    return "launcher=local", "launcher.slots={}"


def run(module: str, home: Path, *request: str) -> Path:
    name, *options = request
    run_dir = home / f"{module} {name}"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    done = auction(*options, f"run_dir='{run_dir}'", cwd=home, module=module, CUDA_VISIBLE_DEVICES=visible)
    assert done.returncode == 0, done.stderr
    return run_dir


def devices(run_dir: Path) -> list[list[str]]:
    """What the workers that made something saw, by stage."""
    stages = sorted((run_dir / "shards").iterdir())
    records = [[json.loads(path.read_text()) for path in stage.glob("workers/*.json")] for stage in stages]
    return [[record["gpu"] for record in stage if record["done"]] for stage in records]


def test_images_scores_and_auctions(inline: Path, launcher: tuple[str, ...], tmp_path: Path) -> None:
    there = run("diffusion_auction", tmp_path, "there", *IMAGES, launcher[0], launcher[1].format(2))
    here = inline / "diffusion_auction inline"
    for name in ("plan", "samples", "scores", "auctions"):
        expected, found = (pd.read_parquet(folder / f"{name}.parquet") for folder in (here, there))
        timings = [column for column in expected if column == "seconds"]
        pd.testing.assert_frame_equal(found.drop(columns=timings), expected.drop(columns=timings))
    assert (there / "metrics.json").read_bytes() == (here / "metrics.json").read_bytes()
    for seen in devices(there):
        assert 1 <= len(seen) == len(set(seen)) <= 2
        assert set(seen) <= set("0123")


def test_games_and_standings(inline: Path, launcher: tuple[str, ...], tmp_path: Path) -> None:
    there = run("agt_tournament", tmp_path, "there", *GAMES, launcher[0], launcher[1].format(4))
    here = inline / "agt_tournament inline"
    for folder in ("leaderboards", "public"):
        files = sorted(path.relative_to(here) for path in (here / folder).rglob("*") if path.is_file())
        assert files
        for file in files:
            assert (there / file).read_bytes() == (here / file).read_bytes(), file
    (seen,) = devices(there)
    assert 1 <= len(seen) == len(set(seen)) <= 4
