"""Alignment and quality by the command line: what each option stores, and what is refused before an image is made."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from diffusion_auction import __main__ as command_line
from diffusion_auction.actions.experiment import prepare
from diffusion_auction.actions.run import run
from diffusion_auction.generation.generator import GENERATE, generation_shards
from diffusion_auction.scoring.scorer import scoring_shards
from tests.small_models import linear_state, mlp_state, write_pickscore
from tests.support import WEIGHTS, auction, configured

PICKSCORE = "weights", "processor"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small PickScore, two heads, and a file that is neither."""
    folder = tmp_path_factory.mktemp("weights")
    write_pickscore(folder / "pickscore")
    torch.save(mlp_state(), folder / "head.pth")
    torch.save(mlp_state(768), folder / "large.pth")
    torch.save(linear_state(), folder / "linear.pth")
    (folder / "text.pth").write_text("not found")
    return folder


def scores_of(run_dir: Path) -> pd.DataFrame:
    return pd.read_parquet(run_dir / "scores.parquet")


def test_the_papers_quality_end_to_end(tmp_path: Path) -> None:
    done = auction("samples=2", "run_dir=run", "quality=paper", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert scores_of(tmp_path / "run")["quality"].between(0.48, 0.58).all()


def test_the_aesthetic_predictor_end_to_end(tmp_path: Path, weights: Path) -> None:
    request = ("samples=2", "run_dir=run", "quality=aesthetic", f"quality.head={weights / 'head.pth'}")
    done = auction(*request, f"quality.model=local-dir:{WEIGHTS / 'clip'}", "quality.pretrained=null", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert scores_of(tmp_path / "run")["quality"].nunique() == 6
    again = auction(*request, "quality.model=tiny_clip", "quality.pretrained=null", cwd=tmp_path)
    assert again.returncode == 2
    assert "quality.model was" in again.stderr


def test_pickscore_for_both(tmp_path: Path, weights: Path) -> None:
    own = [f"{group}.{key}={weights / 'pickscore'}" for group in ("alignment", "quality") for key in PICKSCORE]
    config = configured("alignment=pickscore", "quality=pickscore", *own, "samples=2", f"run_dir={tmp_path / 'run'}")
    run(prepare(config))
    scores = scores_of(tmp_path / "run")
    assert scores.filter(like="alignment").abs().le(1).all(axis=None)
    scale = np.exp(2.6592)  # CLIPConfig's logit_scale_init_value
    np.testing.assert_allclose(scores["quality"], scale * scores["alignment_base"], rtol=1e-4)


def test_the_measure_of_alignment_changes_the_agents_columns_only(tmp_path: Path) -> None:
    for measure in ("cosine", "probability"):
        run(prepare(configured(f"alignment.measure={measure}", "samples=2", f"run_dir={tmp_path / measure}")))
    cosine, probability = (scores_of(tmp_path / measure) for measure in ("cosine", "probability"))
    own = ["alignment_1", "alignment_2"]
    pd.testing.assert_frame_equal(cosine.drop(columns=own), probability.drop(columns=own))
    odds = np.log(probability[own] / (1 - probability[own]))
    margin = cosine[own].sub(cosine["alignment_base"], axis=0)
    np.testing.assert_allclose(odds / margin, (odds / margin).iloc[0, 0], rtol=1e-6)


# --- what is stored depends on the measure ---------------------------------------------------------


def shard_keys(run_dir: Path, *overrides: str) -> tuple[list[str], list[str]]:
    """The keys of the generation and of the scoring shards of `overrides`, as if all images were black squares."""
    experiment = prepare(configured("samples=1", *overrides))
    config, images, scenarios = experiment.config, experiment.plan.images, experiment.scenarios
    made = generation_shards(images, scenarios, config.composition.name, config.model)
    for shard in made:
        shard.complete(run_dir / GENERATE, {"sha256": ["0" * 64] * shard.size, "seconds": 0.0})
    scored = scoring_shards(images, scenarios, config.alignment, config.quality, run_dir, made)
    return [shard.key for shard in made], [shard.key for shard in scored]


@pytest.mark.parametrize(
    "change", ["quality=paper", "quality.bad_prompt=Low", "alignment.measure=probability", "alignment.device=cpu"]
)
def test_scores_by_another_measure_are_other_scores_of_the_same_images(change: str, tmp_path: Path) -> None:
    (made, scored), (made_too, scored_too) = shard_keys(tmp_path), shard_keys(tmp_path, change)
    assert made == made_too
    assert (scored == scored_too) == change.startswith("alignment.device")


# --- what is refused -------------------------------------------------------------------------------

AESTHETIC = "quality=aesthetic quality.model=tiny_clip quality.pretrained=null"
BAD = {
    "quality=nothing": "aesthetic",
    "quality.name=nothing": "quality",
    "quality.good_prompt=splendid": "quality.good_prompt",
    "quality.head=x": "quality.head",
    "alignment.measure=dot": "alignment.measure = dot",
    "alignment.good_prompt=x": "alignment.good_prompt",
    "quality=aesthetic": "quality.head = camenduru/",  # offline
    f"{AESTHETIC} quality.head=nowhere.pth": "quality.head = nowhere.pth",
    f"{AESTHETIC} quality.head=/nowhere/head.pth": "quality.head = /nowhere/head.pth",
    f"{AESTHETIC} quality.head=W/text.pth": "text.pth",
    f"{AESTHETIC} quality.head=W/large.pth": "64 features of tiny_clip, not 768",
    "quality=aesthetic quality.head=W/large.pth": "quality.pretrained = timm/",  # offline
    "quality=aesthetic quality.head=W/large.pth quality.model=ViT-L-14": "expected ViT-L-14-quickgelu",
    "quality=aesthetic quality.head=W/large.pth quality.model=local-dir:W": "quality.model = local-dir:",
    "quality=pickscore": "quality.weights = yuvalkirstain/",  # offline
    "quality=pickscore quality.weights=W/pickscore": "quality.processor = laion/",  # offline
    "quality=pickscore quality.processor=W/pickscore quality.weights=W": "quality.weights = ",
    "alignment=pickscore": "alignment.weights = yuvalkirstain/",  # offline
    "alignment=pickscore alignment.processor=W/pickscore alignment.weights=/nowhere": "alignment.weights = /nowhere",
    "alignment=clip": "alignment.pretrained = timm/",  # offline
    "alignment=clip alignment.model=ViT-L-14-336": "expected ViT-L-14-336-quickgelu",
    "alignment.model=nothing": "alignment.model = nothing",
}
"""Requests, W for the folder of weights, and what the one line about them names."""


@pytest.mark.parametrize("request_", BAD)
def test_a_wrong_measure_is_one_line_and_nothing_is_made(
    request_: str,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "empty"))
    words = request_.replace("=W", f"={weights}").replace(":W", f":{weights}").split()
    monkeypatch.setattr(sys, "argv", ["diffusion_auction", *words, f"run_dir={tmp_path / 'run'}"])
    assert command_line.main() == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1, err
    assert BAD[request_] in err
    assert not (tmp_path / "run").exists()
