"""Where a pipeline is loaded from: its folder, the cache, or a copy on the node's disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from diffusion_auction.generation.loading import check_prompts, load_pipeline
from generative_auctions.errors import RequestError
from tests.support import WEIGHTS, configured


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A pipeline with a checkpoint beside it that is not loaded."""
    folder = shutil.copytree(WEIGHTS / "flux", tmp_path / "flux")
    (folder / "flux.safetensors").write_text("all of it in one file")
    return folder


def loaded_from(weights: str | Path, stage_dir: Path | None = None) -> Path:
    config = configured(f"model.weights={weights}").model
    return Path(load_pipeline(config, stage_dir and str(stage_dir)).config._name_or_path)


def test_a_folder_is_loaded_from_its_copy(folder: Path, tmp_path: Path) -> None:
    copy = loaded_from(folder, stage_dir=tmp_path / "node")
    assert copy.parent == tmp_path / "node"
    assert not (copy / "flux.safetensors").exists()


def test_a_hub_name_is_loaded_from_the_cache_without_a_word_to_the_hub(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    repository = tmp_path / "hub" / "models--maker--flux"
    snapshot = repository / "snapshots" / ("0" * 40)
    shutil.copytree(folder, snapshot)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(snapshot.name)
    assert loaded_from("maker/flux") == snapshot
    assert loaded_from("maker/flux", stage_dir=tmp_path / "node").parent == tmp_path / "node"


def test_embedded_weights_stay_where_they_are(tmp_path: Path) -> None:
    assert loaded_from("tiny_flux", stage_dir=tmp_path / "node") == WEIGHTS / "flux"


@pytest.mark.parametrize("stage_dir", [None, "node"])
def test_a_folder_that_is_no_pipeline(folder: Path, tmp_path: Path, stage_dir: str | None) -> None:
    (folder / "model_index.json").unlink()
    with pytest.raises(RequestError, match=r"model\.weights = .*model_index\.json"):
        loaded_from(folder, stage_dir and tmp_path / stage_dir)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "model_index.json").unlink(), "model_index.json"),
        (lambda folder: shutil.rmtree(folder / "transformer"), "no weights in transformer/"),
        (lambda folder: shutil.rmtree(folder / "tokenizer_2"), "a diffusers folder"),
        (lambda folder: (folder / "tokenizer_2" / "tokenizer.json").write_text("{"), "a diffusers folder"),
    ],
    ids=["no index", "no transformer", "no tokenizer", "a damaged tokenizer"],
)
def test_a_folder_that_is_no_pipeline_is_refused_before_any_model_is_loaded(
    damage: Callable[[Path], None], said: str, folder: Path
) -> None:
    damage(folder)
    with pytest.raises(RequestError, match=rf"model\.weights = .*{said}"):
        check_prompts(configured(f"model.weights={folder}").model, ["A swimming pool outdoors"])
