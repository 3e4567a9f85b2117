"""The options for the large models, run for real on small weights of the same classes from a local path."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from diffusion_auction.actions.experiment import prepare
from diffusion_auction.actions.run import run
from diffusion_auction.mechanisms import MECHANISMS
from generative_auctions.errors import RequestError
from tests.support import WEIGHTS, configured

SMALL = (
    "model.height=64",
    "model.width=64",
    "model.steps=2",
    "model.device=cpu",
    "model.dtype=float32",
    "model.max_sequence_length=32",
    "alignment=tiny_clip",
    "samples=2",
)


@pytest.mark.parametrize("model", ["flux_schnell", "flux_dev"])
def test_a_large_model_loads_from_a_local_path(model: str, tmp_path: Path) -> None:
    config = configured(f"model={model}", f"model.weights={WEIGHTS / 'flux'}", *SMALL, f"run_dir={tmp_path / 'run'}")
    run(prepare(config))
    samples = pd.read_parquet(tmp_path / "run" / "samples.parquet")
    assert len(samples) == 6
    assert all((tmp_path / "run" / path).exists() for path in samples["path"])


@pytest.mark.parametrize("weights", ["tiny_flux", WEIGHTS / "flux"], ids=["embedded", "a folder"])
def test_prompts_that_t5_would_not_read_are_refused_before_anything_is_loaded_or_written(
    weights: Path | str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("diffusion_auction.generation.loading.FluxPipelineAuction")
    request = (f"model.weights={weights}", "model.max_sequence_length=8", f"run_dir={tmp_path / 'run'}")
    with pytest.raises(RequestError) as refused:
        run(prepare(configured(*request)))
    said = str(refused.value)
    assert said.startswith("model.max_sequence_length = 8: expected at least 16, or shorter prompts: ")
    assert "'trail featuring north face backpack and gatorade bottle' would be cut from 'A hiker" in said
    assert not (tmp_path / "run").exists()


def test_the_alignment_follows_the_model_unless_it_is_chosen() -> None:
    assert configured().alignment.name == "tiny_clip"
    assert configured("model=flux_schnell").alignment.name == "clip"
    assert configured("model=flux_dev", "alignment=tiny_clip").alignment.name == "tiny_clip"


def test_three_agents_in_the_cafe(tmp_path: Path) -> None:
    config = configured("+sweep=three_agent", "samples=2", f"run_dir={tmp_path / 'run'}")
    run(prepare(config))
    auctions = pd.read_parquet(tmp_path / "run" / "auctions.parquet")
    assert auctions["mechanism"].value_counts().to_dict() == dict.fromkeys(MECHANISMS, 8)
    assert (tmp_path / "run" / "report.html").exists()
