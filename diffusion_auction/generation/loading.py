"""Find the pipeline that a configuration names, stage it on the node if asked, load it and put it on its device."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import diffusers
import torch
import transformers
from huggingface_hub.errors import HfHubHTTPError

from diffusion_auction.config import ModelConfig
from diffusion_auction.pipelines import FluxPipelineAuction
from diffusion_auction.pipelines.prompt_length import PromptTooLong, check_length
from diffusion_auction.tiny_flux import WEIGHTS
from diffusion_auction.weights.hub import adopt_token
from diffusion_auction.weights.sources import Source, cached, pipeline_files
from generative_auctions.errors import RequestError
from launchers import staged


def load_pipeline(config: ModelConfig, stage_dir: str | None = None) -> FluxPipelineAuction:
    """Load the configured Flux pipeline on its device, without progress bars.

    Args:
        config: the section `model` of the configuration.
        stage_dir: a folder on this node's disk; the weights are copied there and loaded from the copy. The embedded
            model is not copied.

    Returns:
        The pipeline, on its device.

    Raises:
        RequestError: the weights cannot be loaded, or the device does not exist.
    """
    device = device_of("model.device", config.device)
    _silence()
    with _loading(config.weights):
        folder = _pipeline_folder(config.weights)
        if stage_dir is not None and config.weights != "tiny_flux":
            folder = staged(folder, stage_dir, _files(config.weights, folder))
        pipe: FluxPipelineAuction = FluxPipelineAuction.from_pretrained(folder, dtype=getattr(torch, config.dtype))
    pipe.set_progress_bar_config(disable=True)
    if config.offload:
        pipe.enable_model_cpu_offload(device=device)
    else:
        pipe.to(device)
    return pipe


def check_prompts(config: ModelConfig, prompts: Iterable[str]) -> None:
    """Check, before any model is loaded, that T5 reads every prompt to its end.

    Only the tokenizer of the configured Flux is loaded, from the hub if it is not on this disk.

    Args:
        config: the section `model` of the configuration.
        prompts: the conditioning texts.

    Raises:
        RequestError: words would be cut from a prompt, or the tokenizer cannot be loaded.
    """
    _silence()
    with _loading(config.weights):
        folder = _local_folder(config.weights)
        if folder is None:
            adopt_token()
        elif config.weights != "tiny_flux":
            _files(config.weights, folder)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder or config.weights, subfolder="tokenizer_2")
    try:
        check_length(tokenizer, prompts, config.max_sequence_length)
    except PromptTooLong as error:
        expected = f"at least {error.needed}, or shorter prompts: {error.lost!r} would be cut from {error.prompt!r}"
        raise RequestError("model.max_sequence_length", config.max_sequence_length, expected) from None


@contextmanager
def _loading(weights: str) -> Iterator[None]:
    """Raise `RequestError` if what is loaded within cannot be had, or is not what it should be."""
    try:
        yield
    except RequestError:
        raise
    except (OSError, ValueError, HfHubHTTPError) as error:
        reason = textwrap.shorten(str(error), 300)
        expected = f"a diffusers folder, or a hub name in the cache (action=fetch) or within reach ({reason})"
        raise RequestError("model.weights", weights, expected) from error


def _pipeline_folder(weights: str) -> Path:
    """Return where the pipeline lies, if need be after it is downloaded to the cache."""
    folder = _local_folder(weights)
    if folder is None:
        adopt_token()
        folder = Path(FluxPipelineAuction.download(weights))
    return folder


def _local_folder(weights: str) -> Path | None:
    """Return where the pipeline lies on this disk: embedded, in a folder, or in the cache; None if it does not.

    What is in the cache is used as it is, without a word to the hub: nodes may have no network, and the workers of one
    run must not get different commits.
    """
    if weights == "tiny_flux":
        return WEIGHTS / "flux"
    return Path(weights) if Path(weights).is_dir() else cached(Source("model.weights", weights, pipeline_files))


def _files(weights: str, folder: Path) -> list[str]:
    """Return which files of `folder` are loaded. Raises `RequestError` if it is no pipeline, or not a whole one."""
    names = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
    try:
        return pipeline_files(names)
    except ValueError as error:
        raise RequestError("model.weights", weights, f"a diffusers folder ({error})") from None


def _silence() -> None:
    """Turn off the progress bars of loading: one bar is enough."""
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()


def device_of(key: str, name: str) -> str:
    """Return the device that `name`, the value of `key`, means; `auto` is the GPU where there is one.

    Raises `RequestError` for a GPU that is not there.
    """
    count = torch.cuda.device_count()
    if name == "auto":
        return "cuda" if count else "cpu"
    if name.startswith("cuda") and int(name.partition(":")[2] or 0) >= count:
        raise RequestError(key, name, f"auto, cpu or one of the {count} GPUs that this process sees")
    return name
