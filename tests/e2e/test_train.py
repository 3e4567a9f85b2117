"""`python -m diffusion_auction.tiny_flux.train`: every stage for a few steps, to weights that load and draw."""

from __future__ import annotations

from pathlib import Path

import open_clip
import pytest
from diffusers import FluxPipeline

from diffusion_auction.tiny_flux.train import main

pytestmark = pytest.mark.slow


def test_all_stages_end_in_weights_that_load(tmp_path: Path) -> None:
    work, out = tmp_path / "work", tmp_path / "weights"
    few = ["--pictures=64", "--flow-pictures=64", "--vae-steps=2", "--clip-steps=2", "--flow-steps=2", "--no-compile"]
    main([f"--work={work}", f"--out={out}", "--device=cpu", *few])
    assert {path.name for path in work.glob("*.pt")} == {"vae.pt", "clip.pt", "flow.pt", "latents.pt"}
    pipe = FluxPipeline.from_pretrained(out / "flux")
    pipe.set_progress_bar_config(disable=True)
    image = pipe("A swimming pool outdoors", height=64, width=64, num_inference_steps=2, max_sequence_length=32).images[
        0
    ]
    assert image.size == (64, 64)
    model, _ = open_clip.create_model_from_pretrained(f"local-dir:{out / 'clip'}")
    assert model.visual.image_size == (64, 64)


def test_an_unknown_stage_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["fly"])
    assert left.value.code == 2
    assert "stage = fly: expected one of vae, clip, flow, export" in capsys.readouterr().err
