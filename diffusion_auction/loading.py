"""The pipeline that a configuration names: found, staged on the node if so asked, loaded, put on its device."""

from __future__ import annotations

from pathlib import Path

import diffusers
import torch
import transformers
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from diffusion_auction.config import ModelConfig
from diffusion_auction.hub import adopt_token
from diffusion_auction.pipelines import FluxPipelineAuction
from diffusion_auction.tiny_flux import WEIGHTS
from diffusion_auction.weights import Source, cached, pipeline_files
from experiments.errors import RequestError
from launchers.staging import staged


def load_pipeline(config: ModelConfig, stage_dir: str | None = None) -> FluxPipelineAuction:
    """The configured Flux on its device, silent. Raises `RequestError` if its weights cannot be had.

    With `stage_dir` it is loaded from a copy of the weights on this node's disk; for the embedded ones that is no gain.
    """
    device = device_of("model.device", config.device)
    _silence()
    try:
        folder = _pipeline_folder(config.weights)
        if stage_dir is not None and config.weights != "tiny_flux":
            folder = _staged(config.weights, folder, stage_dir)
        pipe = FluxPipelineAuction.from_pretrained(folder, dtype=getattr(torch, config.dtype))
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        reason = " ".join(str(error).split())
        expected = f"a diffusers folder, or a hub name in the cache (action=fetch) or within reach ({reason})"
        raise RequestError("model.weights", config.weights, expected) from error
    pipe.set_progress_bar_config(disable=True)
    if config.offload:
        pipe.enable_model_cpu_offload(device=device)
    else:
        pipe.to(device)
    return pipe


def _pipeline_folder(weights: str) -> Path:
    """Where the pipeline lies: embedded, in a folder, in the cache, or in the cache once it is downloaded.

    What is in the cache is used as it is, without a word to the hub: nodes may have no network, and the workers of one
    run must not get different commits.
    """
    if weights == "tiny_flux":
        return WEIGHTS / "flux"
    if Path(weights).is_dir():
        return Path(weights)
    folder = cached(Source("model.weights", weights, pipeline_files))
    if folder is None:
        adopt_token()
        folder = Path(FluxPipelineAuction.download(weights))
    return folder


def _staged(weights: str, folder: Path, stage_dir: str) -> Path:
    names = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
    try:
        chosen = pipeline_files(names)
    except ValueError as error:
        raise RequestError("model.weights", weights, f"a diffusers folder ({error})") from None
    return staged(folder, stage_dir, chosen)


def _silence() -> None:
    """One progress bar is enough: those of loading are turned off."""
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()


def device_of(key: str, name: str) -> str:
    """The device that `name`, the value of `key`, means; `auto` is the GPU where there is one.

    Raises `RequestError` for a GPU that is not there.
    """
    count = torch.cuda.device_count()
    if name == "auto":
        return "cuda" if count else "cpu"
    if name.startswith("cuda") and int(name.partition(":")[2] or 0) >= count:
        raise RequestError(key, name, f"auto, cpu or one of the {count} GPUs that this process sees")
    return name
