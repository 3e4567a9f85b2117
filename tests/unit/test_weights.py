"""Which files of a repository are loaded, of which repositories, and what a token is read from."""

from __future__ import annotations

from pathlib import Path

import pytest

from diffusion_auction.weights.hub import adopt_token
from diffusion_auction.weights.sources import head_address, hub_sources, model_files, pipeline_files
from generative_auctions.errors import RequestError
from tests.support import configured

SHARDS = [f"transformer/diffusion_pytorch_model-0000{i}-of-00003.safetensors" for i in (1, 2, 3)]
LOADED = [
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "text_encoder_2/config.json",
    "text_encoder_2/model-00001-of-00002.safetensors",
    "text_encoder_2/model-00002-of-00002.safetensors",
    "text_encoder_2/model.safetensors.index.json",
    "tokenizer/merges.txt",
    "tokenizer/special_tokens_map.json",
    "tokenizer/tokenizer_config.json",
    "tokenizer/vocab.json",
    "tokenizer_2/special_tokens_map.json",
    "tokenizer_2/spiece.model",
    "tokenizer_2/tokenizer.json",
    "tokenizer_2/tokenizer_config.json",
    "transformer/config.json",
    *SHARDS,
    "transformer/diffusion_pytorch_model.safetensors.index.json",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
]
BESIDE = [".gitattributes", "LICENSE.md", "README.md", "ae.safetensors", "flux1-schnell.safetensors", "grid.jpeg"]
"""The files of black-forest-labs/FLUX.1-schnell: of its 58 GB, the pipeline's 34 are loaded."""


def test_a_pipeline_without_the_checkpoints_beside_it() -> None:
    assert sorted(pipeline_files([*BESIDE, *LOADED])) == sorted(LOADED)


def test_one_format_of_weights() -> None:
    assert model_files(["config.json", "model.safetensors", "pytorch_model.bin"]) == [
        "model.safetensors",
        "config.json",
    ]
    assert model_files(["pytorch_model.bin", "tf_model.h5"]) == ["pytorch_model.bin"]


@pytest.mark.parametrize(
    ("missing", "expected"), [("model_index.json", "no pipeline"), ("vae/diffusion_pytorch_model.safetensors", "vae/")]
)
def test_what_is_no_pipeline(missing: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        pipeline_files([name for name in LOADED if name != missing])


REPOSITORIES = {
    "model=flux_schnell": {
        "model.weights": "black-forest-labs/FLUX.1-schnell",
        "alignment.pretrained": "timm/vit_large_patch14_clip_336.openai",
    },
    "alignment=pickscore quality=aesthetic": {
        "alignment.weights": "yuvalkirstain/PickScore_v1",
        "alignment.processor": "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
        "quality.head": "camenduru/improved-aesthetic-predictor",
        "quality.pretrained": "timm/vit_large_patch14_clip_224.openai",
    },
    "alignment=clip alignment.model=ViT-B-16-SigLIP alignment.pretrained=webli": {
        "alignment.pretrained": "timm/ViT-B-16-SigLIP",
        "alignment.model": "timm/ViT-B-16-SigLIP",
    },
    "alignment=clip alignment.model=hf-hub:maker/clip": {"alignment.model": "maker/clip"},
    "": {},
}


@pytest.mark.parametrize("request_", REPOSITORIES)
def test_the_repositories_of_a_configuration(request_: str) -> None:
    found = {source.key: source.repository for source in hub_sources(configured(*request_.split()))}
    assert found == REPOSITORIES[request_]


def test_open_clip_prefers_safetensors() -> None:
    *_, clip = hub_sources(configured("model=flux_schnell"))
    both = ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"]
    assert clip.choose(both) == both[:1]
    assert clip.choose(both[1:]) == both[1:]


def test_a_head_is_an_owner_a_repository_and_a_file() -> None:
    assert head_address("maker/heads/2022/head.pth") == ("maker/heads", "2022/head.pth")
    for head in ("head.pth", "maker/head.pth", "/maker/heads/head.pth"):
        with pytest.raises(FileNotFoundError):
            head_address(head)


# --- the token -------------------------------------------------------------------------------------


@pytest.fixture
def no_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", "")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))


@pytest.mark.usefixtures("no_login")
@pytest.mark.parametrize(
    "text",
    ["HF_TOKEN=hf_x\n", "# a comment\nOTHER=1\n export HF_TOKEN = 'hf_x' \n", 'HF_TOKEN="hf_x"', "A\nHF_TOKEN=hf_x"],
)
def test_a_token_of_a_file(text: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(text)
    assert adopt_token(tmp_path) == "HF_TOKEN of .env"
    assert adopt_token(tmp_path) == "HF_TOKEN of the environment"  # where every library finds it


@pytest.mark.usefixtures("no_login")
def test_no_token(tmp_path: Path) -> None:
    assert adopt_token(tmp_path) is None
    (tmp_path / ".env").write_text("MY_HF_TOKEN=hf_x\n# HF_TOKEN=hf_x\nHF_TOKEN=\n")
    assert adopt_token(tmp_path) is None
    (tmp_path / "token").write_text("hf_saved\n")
    assert adopt_token(tmp_path) == "the login saved by huggingface_hub"


@pytest.mark.usefixtures("no_login")
def test_a_token_that_is_none_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HF_TOKEN=hf_secret and more\n")
    with pytest.raises(RequestError, match=r"HF_TOKEN of \.env = \(hidden\): expected one word") as refused:
        adopt_token(tmp_path)
    assert "secret" not in str(refused.value)
