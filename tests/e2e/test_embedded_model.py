"""What the embedded model must show, on the paper's experiment at k = 25."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from diffusers import FluxPipeline

from diffusion_auction.actions.experiment import prepare
from diffusion_auction.actions.run import run
from diffusion_auction.pipelines import FluxPipelineAuction
from diffusion_auction.scoring.alignment import ClipAlignment
from diffusion_auction.tiny_flux import WEIGHTS, measure
from tests.support import configured

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory of the demo's experiment."""
    folder = tmp_path_factory.mktemp("demo") / "run"
    run(prepare(configured("+sweep=two_agent_grid", f"run_dir={folder}")))
    return folder


@pytest.fixture(scope="module")
def clip() -> ClipAlignment:
    return ClipAlignment("tiny_clip")


@pytest.fixture(scope="module")
def levels(clip: ClipAlignment) -> dict[str, float]:
    """The alignment above which each prompt's object counts as recognised."""
    return {prompt: level for prompt, (level, _) in measure.thresholds(clip).items()}


@pytest.fixture(scope="module")
def scores(grid: Path) -> pd.DataFrame:
    return pd.read_parquet(grid / "scores.parquet")


@pytest.fixture(scope="module")
def prompts(grid: Path) -> dict[int, tuple[str, ...]]:
    texts = json.loads((grid / "generation_log.json").read_text())["scenarios"]
    return {
        int(name.removeprefix("prompt_")): tuple(text for key, text in entry.items() if key != "base_prompt")
        for name, entry in texts.items()
    }


def test_alignment_rises_with_the_normalized_bid(grid: Path) -> None:
    metrics = json.loads((grid / "metrics.json").read_text())["monotonicity"]
    assert sorted(metrics) == ["agent_1", "agent_2"]
    for agent in metrics.values():
        assert len(agent["curve"]) == 29
        assert all(point["n"] == 125 for point in agent["curve"])
        assert agent["spearman"] >= 0.95


def test_images_and_passes_are_those_of_the_plan(grid: Path) -> None:
    plan, samples = pd.read_parquet(grid / "plan.parquet"), pd.read_parquet(grid / "samples.parquet")
    marks = [json.loads(path.read_text()) for path in grid.glob("shards/generate/*.json")]
    assert len(samples) == len(plan) == 5 * 30 * 25
    assert sum(mark["sample_passes"] for mark in marks) == plan["sample_passes"].sum() == 5 * 25 * 5 * 56


def test_a_fixed_pool_reaches_the_welfare_of_vcg_at_equal_passes_without_regret(grid: Path) -> None:
    metrics = json.loads((grid / "metrics.json").read_text())
    rows = [row for row in metrics["equal_cost"] if row["mechanism"] == "vcg_pool (one-hot, joint)"]
    assert {row["equal"] for row in rows} == {"images", "sample_passes"}
    for row in rows:
        assert row["cost"] <= row["reference_cost"]
        assert row["relative_welfare"]["mean"] >= 0
        assert row["relative_regret"]["mean"] <= 1e-12
    assert metrics["truthfulness"]["vcg_pool"]["absolute_regret_max"] <= 1e-12
    assert metrics["welfare"]["vcg"]["ci_low"] > 0


def test_single_objects_are_recognised_zero_shot(clip: ClipAlignment) -> None:
    assert measure.zero_shot_on_renderings(clip) >= 0.97
    pipe = FluxPipelineAuction.from_pretrained(WEIGHTS / "flux", dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    right = measure.zero_shot_on_generated(clip, pipe, steps=5)
    assert sum(right.values()) / len(right) >= 0.9


def test_single_winner_images_show_their_object(
    scores: pd.DataFrame, prompts: dict[int, tuple[str, ...]], levels: dict[str, float]
) -> None:
    assert measure.winners_shown(scores, prompts, levels) >= 0.9


def test_equal_bids_show_both_objects(
    scores: pd.DataFrame, prompts: dict[int, tuple[str, ...]], levels: dict[str, float]
) -> None:
    assert measure.both_recognised(scores, prompts, levels) >= 0.7


def test_plain_flux_pipeline_loads_and_draws() -> None:
    pipe = FluxPipeline.from_pretrained(WEIGHTS / "flux")
    pipe.set_progress_bar_config(disable=True)
    image = pipe("A swimming pool outdoors", height=64, width=64, num_inference_steps=5, max_sequence_length=32).images[
        0
    ]
    assert image.size == (64, 64)


def test_shipped_weights_stay_under_twelve_megabytes() -> None:
    assert sum(path.stat().st_size for path in WEIGHTS.rglob("*") if path.is_file()) < 12e6
