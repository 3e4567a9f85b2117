"""Which repositories of the hub a configuration loads from, which of their files, and which are in the cache."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import open_clip
from huggingface_hub import constants, get_cached_repo_tree, snapshot_download
from huggingface_hub.errors import CachedRepoTreeNotFoundError, HFValidationError, LocalEntryNotFoundError
from huggingface_hub.utils import validate_repo_id

from diffusion_auction.config import (
    AestheticQuality,
    AlignmentConfig,
    ClipAlignmentConfig,
    ExperimentConfig,
    PickscoreAlignmentConfig,
    PickscoreQuality,
    QualityConfig,
)
from generative_auctions.errors import RequestError

Choose = Callable[[Collection[str]], list[str]]
"""Selects the files to load from the names in a repository; raises `ValueError` with what is missing."""

HUB_PREFIX = "hf-hub:"


@dataclass(frozen=True)
class Source:
    """A `repository` of the hub that the configuration names under `key`."""

    key: str
    repository: str
    choose: Choose


def hub_sources(config: ExperimentConfig) -> list[Source]:
    """Return every hub repository that a run of `config` loads from.

    Folders, files and embedded models are not among them.

    Raises:
        RequestError: a value is neither on this disk nor a valid name of a repository.
    """
    sources = []
    weights = config.model.weights
    if weights != "tiny_flux" and not Path(weights).is_dir():
        sources.append(_source("model.weights", weights, pipeline_files))
    return sources + _measure("alignment", config.alignment) + _measure("quality", config.quality)


def check_pipeline(weights: str) -> None:
    """Check that `weights`, if it is a folder, holds a Flux pipeline of diffusers.

    Raises:
        RequestError: it does not.
    """
    folder = Path(weights)
    if weights == "tiny_flux" or not folder.is_dir():
        return
    try:
        pipeline_files([str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()])
        kind = json.loads((folder / "model_index.json").read_text())["_class_name"]
        if not str(kind).startswith("Flux"):
            raise ValueError(f"it is a {kind}")
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RequestError("model.weights", weights, f"a diffusers folder of a Flux pipeline ({error})") from None


def _measure(group: str, section: AlignmentConfig | QualityConfig) -> list[Source]:
    if isinstance(section, PickscoreAlignmentConfig | PickscoreQuality):
        named = (("weights", section.weights, model_files), ("processor", section.processor, small_files))
        return [_source(f"{group}.{key}", value, choose) for key, value, choose in named if not Path(value).is_dir()]
    if isinstance(section, ClipAlignmentConfig):
        return _clip(group, section.model, section.pretrained)
    if isinstance(section, AestheticQuality):
        return _head(f"{group}.head", section.head) + _clip(group, section.model, section.pretrained)
    return []


def _head(key: str, head: str) -> list[Source]:
    if Path(head).is_file():
        return []
    try:
        repository, filename = head_address(head)
    except FileNotFoundError as error:
        raise RequestError(key, head, f"a file, or owner/repository/filename of a hub ({error})") from None
    return [_source(key, repository, _one_of(filename))]


def _clip(group: str, model: str, pretrained: str | None) -> list[Source]:
    """Return weights of an open_clip model, and the tokenizer where it is not open_clip's own."""
    if model == "tiny_clip" or model.startswith("local-dir:"):
        return []
    if model.startswith(HUB_PREFIX):
        return [_source(f"{group}.model", model.removeprefix(HUB_PREFIX), _clip_repository)]

    check_names(group, model, pretrained)
    sources = []
    if published := open_clip.get_pretrained_cfg(model, pretrained or ""):
        repository, _, filename = published["hf_hub"].rpartition("/")
        sources.append(_source(f"{group}.pretrained", repository, _clip_file(filename or _CLIP_WEIGHTS)))
    text = open_clip.get_model_config(model)["text_cfg"]
    tokenizers = {text[key] for key in ("hf_tokenizer_name", "hf_model_name") if text.get(key)}
    return sources + [_source(f"{group}.model", name, small_files) for name in sorted(tokenizers)]


def check_names(group: str, model: str, pretrained: str | None) -> None:
    """Check the names of an open_clip model and of its weights.

    Raises:
        RequestError: open_clip does not know one of them, or would run the weights with another activation than they
            were trained with. The line names `group`.model or `group`.pretrained.
    """
    if model not in open_clip.list_models():
        raise RequestError(f"{group}.model", model, "tiny_clip or a name of open_clip.list_models()")
    tags = open_clip.list_pretrained_tags_by_model(model)
    if pretrained not in tags:
        if not Path(str(pretrained)).is_file():
            raise RequestError(f"{group}.pretrained", pretrained, f"a file or one of {', '.join(tags)}")
        return
    needed = open_clip.get_pretrained_cfg(model, pretrained).get("quick_gelu", False)
    if needed and not open_clip.get_model_config(model).get("quick_gelu", False):  # of which open_clip only warns
        right = f"{model}-quickgelu, which has the activation that {pretrained} was trained with"
        raise RequestError(f"{group}.model", model, right)


def _source(key: str, value: str, choose: Choose) -> Source:
    try:
        validate_repo_id(value)
    except HFValidationError:
        raise RequestError(key, value, "something that is on this disk or a name of the hub, owner/name") from None
    return Source(key, value, choose)


def head_address(head: str) -> tuple[str, str]:
    """Split `owner/repository/filename` into repository and file. Raises `FileNotFoundError` for anything else."""
    owner, _, rest = head.partition("/")
    repository, _, filename = rest.partition("/")
    if not (owner and repository and filename):
        raise FileNotFoundError("no such file")
    return f"{owner}/{repository}", filename


# --- which files of a repository -------------------------------------------------------------------

_PARTS = ("transformer", "vae", "text_encoder", "text_encoder_2")
_FOLDERS = (*_PARTS, "tokenizer", "tokenizer_2", "scheduler", "image_encoder", "feature_extractor")
_WEIGHTS = re.compile(r"(?:diffusion_pytorch_|pytorch_)?model(?:-\d+-of-\d+)?\.(safetensors|bin)")
_LARGE = {".safetensors", ".bin", ".msgpack", ".h5", ".onnx", ".onnx_data", ".pt", ".pth", ".ckpt", ".gguf", ".npz"}
_SMALL = {".json", ".txt", ".model", ".jinja"}
_CLIP_WEIGHTS = "open_clip_pytorch_model.bin"


def pipeline_files(names: Collection[str]) -> list[str]:
    """Choose what `FluxPipeline.from_pretrained` loads: no checkpoint in one file beside folders, no second format."""
    if "model_index.json" not in names:
        raise ValueError("it has no model_index.json, so it is no pipeline of diffusers")
    chosen = small_files(names)
    for folder in _FOLDERS:
        within = [name for name in names if name.rpartition("/")[0] == folder]
        weights = _one_format(within)
        if folder in _PARTS and not weights:
            raise ValueError(f"it has no weights in {folder}/")
        chosen += weights + [name for name in within if Path(name).suffix not in _LARGE]
    return chosen


def model_files(names: Collection[str]) -> list[str]:
    """Return what a model of transformers loads."""
    weights = _one_format([name for name in names if "/" not in name])
    if not weights:
        raise ValueError("it has neither model.safetensors nor pytorch_model.bin")
    return weights + small_files(names)


def small_files(names: Collection[str]) -> list[str]:
    """Return configurations and tokenizers at the top of a repository."""
    return [name for name in names if "/" not in name and Path(name).suffix in _SMALL]


def _one_format(names: Collection[str]) -> list[str]:
    """Return weights of one folder, whole or in shards: safetensors where there are any."""
    found = {name: match[1] for name in names if (match := _WEIGHTS.fullmatch(name.rpartition("/")[2]))}
    best = "safetensors" if "safetensors" in found.values() else "bin"
    return [name for name, kind in found.items() if kind == best]


def _one_of(*filenames: str) -> Choose:
    """Return the first of `filenames` that there is."""

    def choose(names: Collection[str]) -> list[str]:
        for name in filenames:
            if name in names:
                return [name]
        raise ValueError(f"it has no file {filenames[-1]}")

    return choose


def _clip_file(filename: str) -> Choose:
    """Return the checkpoint `filename`, in safetensors where there is such a one: open_clip prefers it."""
    safe = "open_clip_model.safetensors" if filename == _CLIP_WEIGHTS else f"{Path(filename).stem}.safetensors"
    return _one_of(safe, filename)


def _clip_repository(names: Collection[str]) -> list[str]:
    return _clip_file(_CLIP_WEIGHTS)(names) + small_files(names)


# --- what is in the cache --------------------------------------------------------------------------


def cached(source: Source) -> Path | None:
    """Return the folder of the snapshot in the cache; None unless it holds every file of `source`."""
    try:
        folder = Path(snapshot_download(source.repository, local_files_only=True, allow_patterns=[]))
    except LocalEntryNotFoundError:
        return None
    try:
        names = [file.path for file in get_cached_repo_tree(source.repository)]
    except CachedRepoTreeNotFoundError:  # other programs fetched it file by file: what is there must do
        names = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
    try:
        chosen = source.choose(names)
    except ValueError:
        return None
    return folder if all((folder / name).is_file() for name in chosen) else None


def cache_setting() -> tuple[str, Path]:
    """Return the environment variable that sets the place of the cache, `HF_HOME` or `HF_HUB_CACHE`, and its value."""
    home, cache = Path(constants.HF_HOME), Path(constants.HF_HUB_CACHE)
    return ("HF_HOME", home) if cache == home / "hub" else ("HF_HUB_CACHE", cache)
