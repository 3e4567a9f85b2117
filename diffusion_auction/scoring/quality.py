"""How good an image is, whatever it shows: a number per image by one of four measures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import huggingface_hub
import numpy as np
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor, nn

from diffusion_auction.config import AestheticQuality, QualityConfig, TwoPromptQuality
from diffusion_auction.scoring.alignment import Alignment, load_clip, load_pickscore, two_way_softmax
from diffusion_auction.weights.sources import head_address
from generative_auctions.errors import RequestError, refusing


class Quality(Protocol):
    """A measure of image quality; more is better."""

    def __call__(self, images: Sequence[Image.Image], embeddings: Tensor, base_prompts: Sequence[str]) -> np.ndarray:
        """Measure the quality float64 (N,) of RGB `images`.

        `embeddings` (N, D) are theirs by the alignment model, `base_prompts` those of their scenarios: a measure uses
        of the three what it needs.
        """


class TwoPrompts:
    """Log-odds of a good against a bad prompt in CLIP's softmax: logit scale times the difference of their cosines.

    Unbounded, 0 for images that are neither. In log-odds means still tell images apart where nearly every one has a
    probability close to one.
    """

    def __init__(self, alignment: Alignment, good: str, bad: str) -> None:
        self._alignment, self._prompts = alignment, (good, bad)

    def __call__(self, images: Sequence[Image.Image], embeddings: Tensor, base_prompts: Sequence[str]) -> np.ndarray:
        """Return the log-odds of the good prompt, float64 (N,)."""
        good, bad = self._alignment.similarities(embeddings, self._prompts).T
        return np.asarray(self._alignment.logit_scale * (good - bad))


class PaperScore(TwoPrompts):
    """The paper's (section 3.5): P(good | image) of a softmax of the raw cosines, without logit scale; about a half."""

    def __call__(self, images: Sequence[Image.Image], embeddings: Tensor, base_prompts: Sequence[str]) -> np.ndarray:
        """Return the probability of the good prompt, float64 (N,), 0 to 1."""
        good, bad = self._alignment.similarities(embeddings, self._prompts).T
        return two_way_softmax(good, bad, scale=1)


class Aesthetic:
    """A rating that people would give, trained on a scale from 1 to 10: `head` on unit embeddings by `clip`."""

    def __init__(self, clip: Alignment, head: nn.Module) -> None:
        self._clip, self._head = clip, head

    @torch.no_grad()
    def __call__(self, images: Sequence[Image.Image], embeddings: Tensor, base_prompts: Sequence[str]) -> np.ndarray:
        """Return the predicted rating of each image, float64 (N,), about 1 to 10."""
        return np.asarray(self._head(self._clip.embed(images))[:, 0].cpu().double())


class Preference:
    """Logit scale times cosine of image and base prompt: the logit by which people choose one image over another."""

    def __init__(self, model: Alignment) -> None:
        self._model = model

    def __call__(self, images: Sequence[Image.Image], embeddings: Tensor, base_prompts: Sequence[str]) -> np.ndarray:
        """Return the preference logit of each image for its base prompt, float64 (N,)."""
        own = self._model.embed(images)
        cosines = [
            self._model.similarities(row[None], [text])[0, 0] for row, text in zip(own, base_prompts, strict=True)
        ]
        return self._model.logit_scale * np.array(cosines)


class AestheticMLP(nn.Module):
    """LAION's improved aesthetic predictor (github.com/christophschuhmann/improved-aesthetic-predictor).

    Linear layers with dropout and no activation in between, as trained: (N, `size`) → (N, 1).
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(size, 1024),
            nn.Dropout(0.2),
            nn.Linear(1024, 128),
            nn.Dropout(0.2),
            nn.Linear(128, 64),
            nn.Dropout(0.1),
            nn.Linear(64, 16),
            nn.Linear(16, 1),
        )

    def forward(self, embeddings: Tensor) -> Tensor:
        """Predict a rating (N, 1) from unit embeddings (N, `size`)."""
        ratings: Tensor = self.layers(embeddings)
        return ratings


def aesthetic_head(state: dict[str, Tensor]) -> tuple[nn.Module, int]:
    """Return the head that `state` holds the weights of, and the size of the embeddings that it reads.

    `layers.0.weight` … is an `AestheticMLP`; `weight` and `bias` are the older linear head
    (github.com/LAION-AI/aesthetic-predictor). Raises an error if it is neither.
    """
    first = next((name for name in ("layers.0.weight", "weight") if name in state), None)
    if first is None:
        raise ValueError("it has neither layers.0.weight nor weight")
    size = state[first].shape[1]
    head = nn.Linear(size, 1) if first == "weight" else AestheticMLP(size)
    head.load_state_dict(state)
    return head.eval(), size


def load_quality(config: QualityConfig, alignment: Alignment, device: str) -> Quality:
    """Load the configured measure on `device`, beside the model that measures alignment.

    Raises `RequestError` if its weights cannot be had.
    """
    if isinstance(config, TwoPromptQuality):
        measure = PaperScore if config.name == "paper" else TwoPrompts
        return measure(alignment, config.good_prompt, config.bad_prompt)
    if isinstance(config, AestheticQuality):
        return _load_aesthetic(config, device)
    return Preference(load_pickscore("quality", config.weights, config.processor, device))


def _load_aesthetic(config: AestheticQuality, device: str) -> Aesthetic:
    with refusing("quality.head", config.head, "a file, or repo_id/filename of a reachable hub, of a LAION head"):
        head, size = aesthetic_head(_state_dict(_head_file(config.head)))
    clip = load_clip("quality", config.model, config.pretrained, device)
    found = clip.embed([Image.new("RGB", (64, 64))]).shape[1]
    if found != size:
        raise RequestError(
            "quality.head", config.head, f"a head for the {found} features of {config.model}, not {size}"
        )
    return Aesthetic(clip, head.to(device))


def _head_file(head: str) -> Path:
    """Return `head` if it is a file; else what the hub, or its cache, has under `owner/repository/filename`."""
    if Path(head).is_file():
        return Path(head)
    return Path(huggingface_hub.hf_hub_download(*head_address(head)))


def _state_dict(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a `.safetensors` or a torch file; nothing else in it is unpickled."""
    if path.suffix == ".safetensors":
        return safetensors.torch.load_file(path)
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state
