"""Measures of image quality, each against numbers worked out by hand."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from diffusion_auction.config import QualityConfig
from diffusion_auction.scoring.alignment import Alignment, load_alignment, load_pickscore
from diffusion_auction.scoring.quality import aesthetic_head, load_quality
from generative_auctions.errors import RequestError
from tests.small_models import linear_state, mlp_state, write_pickscore
from tests.support import configured

TINY = ("quality=aesthetic", "quality.model=tiny_clip", "quality.pretrained=null")


def quality(*overrides: str) -> QualityConfig:
    return configured(*overrides).quality


@pytest.fixture(scope="module")
def tiny_clip() -> Alignment:
    return load_alignment(configured().alignment, "cpu")


@pytest.fixture(scope="module")
def images() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)) for _ in range(4)]


@pytest.fixture(scope="module")
def embeddings(tiny_clip: Alignment, images: list[Image.Image]) -> torch.Tensor:
    return tiny_clip.embed(images)


def judge(config: QualityConfig, clip: Alignment, images: list[Image.Image], embeddings: torch.Tensor) -> np.ndarray:
    values = load_quality(config, clip, "cpu")(images, embeddings, ["a", "b", "c", "d"])
    assert values.shape == (4,)
    assert values.dtype == np.float64
    return values


def test_two_prompts(tiny_clip: Alignment, images: list[Image.Image], embeddings: torch.Tensor) -> None:
    bad = "quality.bad_prompt=photo of a pool"
    cosines = tiny_clip.similarities(embeddings, ["High quality photo", "photo of a pool"])
    log_odds = tiny_clip.logit_scale * (cosines[:, 0] - cosines[:, 1])
    np.testing.assert_allclose(judge(quality(bad), tiny_clip, images, embeddings), log_odds)
    of_cosines = np.exp(cosines[:, 0]) / np.exp(cosines).sum(axis=1)
    np.testing.assert_allclose(judge(quality("quality=paper", bad), tiny_clip, images, embeddings), of_cosines)


def test_the_papers_quality_hardly_leaves_a_half(tiny_clip: Alignment) -> None:
    """As far as a softmax of cosines ever can: σ(±2); while CLIP's own scale tells the two prompts' images apart."""
    good, bad = tiny_clip.similarities(torch.eye(64), ["High quality photo", "Low quality photo"]).T
    toward = torch.nn.functional.normalize(torch.tensor(np.stack([good - bad, bad - good])).float())
    paper = load_quality(quality("quality=paper"), tiny_clip, "cpu")([], toward, [])
    clip = load_quality(quality(), tiny_clip, "cpu")([], toward, [])
    assert (np.abs(paper - 0.5) < 0.5 - 1 / (1 + np.e**2)).all()
    assert clip[0] > 7
    assert clip[1] < -7


def test_the_mlp_is_five_linear_maps_of_the_unit_embedding(
    tmp_path: Path, tiny_clip: Alignment, images: list[Image.Image], embeddings: torch.Tensor
) -> None:
    state = mlp_state()
    torch.save(state, tmp_path / "head.pth")
    values = judge(quality(*TINY, f"quality.head={tmp_path / 'head.pth'}"), tiny_clip, images, embeddings)
    expected = embeddings.double().numpy()
    for i in (0, 2, 4, 6, 7):
        expected = expected @ state[f"layers.{i}.weight"].double().numpy().T + state[f"layers.{i}.bias"].numpy()
    np.testing.assert_allclose(values, expected[:, 0], rtol=1e-4)


@pytest.mark.parametrize("name", ["head.pth", "head.safetensors"])
def test_the_linear_head(
    name: str, tmp_path: Path, tiny_clip: Alignment, images: list[Image.Image], embeddings: torch.Tensor
) -> None:
    state = linear_state()
    (save_file if name.endswith(".safetensors") else torch.save)(state, tmp_path / name)
    values = judge(quality(*TINY, f"quality.head={tmp_path / name}"), tiny_clip, images, embeddings)
    expected = embeddings.double().numpy() @ state["weight"][0].double().numpy() + state["bias"].item()
    np.testing.assert_allclose(values, expected, rtol=1e-4)


def test_heads_of_the_published_shapes() -> None:
    for state, kinds in ((mlp_state(768), 8), (linear_state(768), 0)):
        head, size = aesthetic_head(state)
        assert size == 768
        assert not head.training  # dropout is off
        assert len(getattr(head, "layers", ())) == kinds


def test_pickscore_is_of_image_and_its_own_base_prompt(tmp_path: Path, images: list[Image.Image]) -> None:
    folder = write_pickscore(tmp_path)
    config = quality("quality=pickscore", f"quality.weights={folder}", f"quality.processor={folder}")
    model = load_pickscore("quality", folder, folder, "cpu")
    prompts = ["a pool", "a trail", "a pool", "a desk"]
    values = load_quality(config, model, "cpu")(images, torch.zeros(4, 0), prompts)
    all_pairs = model.similarities(model.embed(images), prompts)
    np.testing.assert_allclose(values, model.logit_scale * np.diag(all_pairs), rtol=1e-5)
    assert values.dtype == np.float64


def test_a_head_of_the_hub_is_fetched_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_clip: Alignment
) -> None:
    torch.save(linear_state(), tmp_path / "head.pth")
    asked = []

    def download(repo_id: str, filename: str) -> str:
        asked.append((repo_id, filename))
        return str(tmp_path / "head.pth")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    load_quality(quality(*TINY, "quality.head=owner/repository/folder/head.pth"), tiny_clip, "cpu")
    load_quality(quality(*TINY), tiny_clip, "cpu")
    assert asked == [
        ("owner/repository", "folder/head.pth"),
        ("camenduru/improved-aesthetic-predictor", "sac+logos+ava1-l14-linearMSE.pth"),
    ]


# --- what is refused -------------------------------------------------------------------------------


class Touching:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


HEADS = {
    "other keys": {"layers.0.bias": torch.zeros(3)},
    "too many": {**linear_state(), "more": torch.zeros(1)},
    "too few": {key: value for key, value in mlp_state().items() if key != "layers.7.bias"},
    "of another shape": {**mlp_state(), "layers.2.weight": torch.zeros(128, 512)},
    "two outputs": {"weight": torch.zeros(2, 64), "bias": torch.zeros(2)},
    "a list": [torch.zeros(3)],
    "of numbers": {"weight": 1.0, "bias": 2.0},
}


@pytest.mark.parametrize("what", HEADS)
def test_a_file_that_is_no_head_is_refused(what: str, tmp_path: Path, tiny_clip: Alignment) -> None:
    torch.save(HEADS[what], tmp_path / "head.pth")
    with pytest.raises(RequestError, match="LAION") as refused:
        load_quality(quality(*TINY, f"quality.head={tmp_path / 'head.pth'}"), tiny_clip, "cpu")
    assert refused.value.key == "quality.head"
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("write", [torch.save, lambda value, file: file.write_bytes(pickle.dumps(value))])
def test_nothing_in_a_head_is_executed(write: Any, tmp_path: Path, tiny_clip: Alignment) -> None:
    write({"weight": Touching(tmp_path / "executed"), "bias": torch.zeros(1)}, tmp_path / "head.pth")
    with pytest.raises(RequestError, match="UnpicklingError"):
        load_quality(quality(*TINY, f"quality.head={tmp_path / 'head.pth'}"), tiny_clip, "cpu")
    assert not (tmp_path / "executed").exists()


def test_a_head_for_another_clip_is_refused(tmp_path: Path, tiny_clip: Alignment) -> None:
    torch.save(mlp_state(768), tmp_path / "head.pth")
    with pytest.raises(RequestError, match="64 features of tiny_clip, not 768") as refused:
        load_quality(quality(*TINY, f"quality.head={tmp_path / 'head.pth'}"), tiny_clip, "cpu")
    assert refused.value.key == "quality.head"
