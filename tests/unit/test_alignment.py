"""Models that embed images and prompts, and what is made of their cosines."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file, save_file

from diffusion_auction.scoring.alignment import ClipAlignment, alignments, load_clip, load_pickscore
from generative_auctions.errors import RequestError, refusing
from tests.small_models import write_pickscore
from tests.support import TABLE_1, WEIGHTS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small PickScore."""
    return Path(write_pickscore(tmp_path_factory.mktemp("pickscore")))


@pytest.fixture(scope="module")
def images() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (48, 40, 3), dtype=np.uint8)) for _ in range(3)]


# --- measures --------------------------------------------------------------------------------------

COSINES = np.array([[0.30, 0.10, 0.20], [0.25, 0.25, 0.25], [-1.0, 1.0, 0.0]])
"""Two agents' prompts and the base prompt."""


def test_cosine_is_left_alone() -> None:
    np.testing.assert_array_equal(alignments(COSINES, "cosine", 100), COSINES)


def test_probability_is_a_softmax_against_the_base_prompt() -> None:
    found = alignments(COSINES, "probability", 10)
    expected = [[1 / (1 + math.exp(-10 * (own - base))) for own in agents] for *agents, base in COSINES.tolist()]
    np.testing.assert_allclose(found[:, :2], expected)
    np.testing.assert_allclose(found[0, :2], [0.7310585786, 0.2689414214])
    assert found[1, 0] == found[1, 1] == 0.5
    np.testing.assert_array_equal(found[:, 2], COSINES[:, 2])


@given(cosines=st.lists(st.floats(-1, 1), min_size=2, max_size=5), scale=st.floats(1, 1e6))
def test_probabilities_lie_between_0_and_1_and_keep_the_order(cosines: list[float], scale: float) -> None:
    *own, base = cosines
    *found, last = alignments(np.array([cosines]), "probability", scale)[0]
    assert last == base
    assert all(0 <= p <= 1 for p in found)
    assert [p for _, p in sorted(zip(own, found, strict=True))] == sorted(found)


# --- models ----------------------------------------------------------------------------------------


def test_clip_embeds_on_the_unit_sphere(images: list[Image.Image]) -> None:
    clip = ClipAlignment("tiny_clip")
    embeddings = clip.embed(images)
    assert embeddings.shape == (3, 64)
    assert embeddings.dtype == torch.float32
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(3))
    cosines = clip.similarities(embeddings, TABLE_1[0])
    assert cosines.shape == (3, 3)
    assert cosines.dtype == np.float64
    np.testing.assert_array_equal(clip.similarities(embeddings, TABLE_1[0][::-1]), cosines[:, ::-1])


def test_the_logit_scale_is_the_exponential_of_the_stored_one() -> None:
    stored = load_file(WEIGHTS / "clip" / "open_clip_model.safetensors")["logit_scale"]
    assert ClipAlignment("tiny_clip").logit_scale == pytest.approx(math.exp(stored))


def test_pickscore_is_the_logit_that_transformers_gives(folder: Path, images: list[Image.Image]) -> None:
    score = load_pickscore("alignment", str(folder), str(folder), "cpu")
    texts = ["bottle", "a hiker"]
    found = score.logit_scale * score.similarities(score.embed(images), texts)

    model = transformers.CLIPModel.from_pretrained(folder).eval()
    inputs = transformers.CLIPProcessor.from_pretrained(folder)(
        images=images, text=texts, return_tensors="pt", padding=True
    )
    with torch.no_grad():
        expected = model(**inputs).logits_per_image
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5)


def test_pickscore_reads_the_beginning_of_a_long_prompt(folder: Path, images: list[Image.Image]) -> None:
    score = load_pickscore("alignment", str(folder), str(folder), "cpu")
    embeddings = score.embed(images)
    long = "a hiker resting on a mountain trail " * 20
    np.testing.assert_array_equal(
        score.similarities(embeddings, [long]), score.similarities(embeddings, [f"{long} bottle"])
    )


# --- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "pretrained", "key", "said"),
    [
        ("nothing", None, "quality.model", "open_clip.list_models"),
        ("ViT-L-14-quickgelu", "nothing", "quality.pretrained", "openai"),
        ("ViT-L-14-quickgelu", None, "quality.pretrained", "openai"),
        ("ViT-L-14", "openai", "quality.model", "expected ViT-L-14-quickgelu"),
        ("tiny_clip", "openai", "quality.pretrained", "null"),
        ("local-dir:/nowhere", None, "quality.model", "/nowhere"),
        ("no-such-scheme:x", None, "quality.model", "that are here or can be fetched"),
    ],
)
def test_a_clip_that_cannot_be_had_is_named(model: str, pretrained: str | None, key: str, said: str) -> None:
    with pytest.raises(RequestError, match=said) as refused:
        load_clip("quality", model, pretrained, "cpu")
    assert refused.value.key == key
    assert "\n" not in str(refused.value)


def test_clip_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    torch.save({"logit_scale": torch.zeros(())}, file)
    with pytest.raises(RequestError, match="RuntimeError") as refused:
        load_clip("alignment", "ViT-S-32", str(file), "cpu")
    assert refused.value.key == "alignment.pretrained"
    assert len(str(refused.value)) < 600


def without_a_key(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["visual_projection.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def of_another_shape(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["visual_projection.weight"] = torch.zeros(7, 32)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def cut_short(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])


def absent(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def without_tokenizer(folder: Path) -> None:
    for file in folder.glob("token*"):
        file.unlink()


@pytest.mark.parametrize(
    ("damage", "key"),
    [
        (without_a_key, "alignment.weights"),
        (of_another_shape, "alignment.weights"),
        (cut_short, "alignment.weights"),
        (absent, "alignment.weights"),
        (without_tokenizer, "alignment.processor"),
    ],
)
def test_damaged_pickscore_weights_are_refused(tmp_path: Path, damage: Callable[[Path], None], key: str) -> None:
    folder = write_pickscore(tmp_path)
    damage(tmp_path)
    with pytest.raises(RequestError) as refused:
        load_pickscore("alignment", folder, folder, "cpu")
    assert (refused.value.key, refused.value.value) == (key, folder)
    assert "\n" not in str(refused.value)


def test_refusing_is_quiet_only_inside(caplog: pytest.LogCaptureFixture) -> None:
    def load() -> None:
        logging.error("inside")
        raise KeyError("z")

    with (
        pytest.raises(RequestError, match=r"model.x = 3: expected a y \(KeyError: 'z'\)"),
        refusing("model.x", 3, "a y"),
    ):
        load()
    logging.error("outside")
    assert caplog.messages == ["outside"]
