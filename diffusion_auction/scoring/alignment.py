"""Alignment α: how similar images and prompts are, by a model that embeds both on one unit sphere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
import transformers
from PIL import Image
from scipy.special import expit
from torch import Tensor

from diffusion_auction.config import AlignmentConfig, PickscoreAlignmentConfig
from diffusion_auction.tiny_flux import WEIGHTS
from diffusion_auction.weights.sources import check_names
from generative_auctions.errors import RequestError, refusing


class Alignment(ABC):
    """A contrastive model: images and texts as unit vectors of one space."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._texts: dict[str, Tensor] = {}

    @property
    def logit_scale(self) -> float:
        """The factor of cosines before the softmax that the model was trained with; 100 in OpenAI's CLIP."""
        return float(self._model.logit_scale.detach().exp())

    @abstractmethod
    def embed(self, images: Sequence[Image.Image]) -> Tensor:
        """Embed RGB `images` as unit vectors float32 (N, D)."""

    @abstractmethod
    def _embed_text(self, text: str) -> Tensor:
        """Embed `text` as a unit vector float32 (D,)."""

    @torch.no_grad()
    def similarities(self, embeddings: Tensor, texts: Sequence[str]) -> np.ndarray:
        """Return cosines float64 (N, T) of image `embeddings` (N, D) and `texts`, each of which is encoded once."""
        for text in texts:
            if text not in self._texts:
                self._texts[text] = self._embed_text(text)
        basis = torch.stack([self._texts[text] for text in texts])
        return (embeddings @ basis.T).cpu().double().numpy()


class ClipAlignment(Alignment):
    """An open_clip model.

    `model` is open_clip's name, `pretrained` its tag or a file; the name `tiny_clip` is the embedded model.
    """

    def __init__(self, model: str, pretrained: str | None = None, device: str = "cpu") -> None:
        name = f"local-dir:{WEIGHTS / 'clip'}" if model == "tiny_clip" else model
        loaded, self._preprocess = open_clip.create_model_from_pretrained(name, pretrained=pretrained, device=device)
        super().__init__(loaded.eval())
        self._tokenize = open_clip.get_tokenizer(name)
        self._device = device

    @torch.no_grad()
    def embed(self, images: Sequence[Image.Image]) -> Tensor:
        """Return unit embeddings of RGB `images`, float32 (N, D)."""
        batch = torch.stack([self._preprocess(image) for image in images]).to(self._device)
        embeddings: Tensor = self._model.encode_image(batch, normalize=True).float()
        return embeddings

    @torch.no_grad()
    def _embed_text(self, text: str) -> Tensor:
        tokens = self._tokenize([text]).to(self._device)
        embeddings: Tensor = self._model.encode_text(tokens, normalize=True).float()
        return embeddings[0]


class PickScore(Alignment):
    """PickScore v1 (Kirstain et al. 2023, arXiv:2305.01569), or another CLIP of transformers.

    CLIP ViT-H/14 fine-tuned on people's choices between two images that were made for one prompt.
    """

    def __init__(self, model: transformers.CLIPModel, processor: transformers.CLIPProcessor) -> None:
        super().__init__(model)
        self._processor = processor

    @torch.no_grad()
    def embed(self, images: Sequence[Image.Image]) -> Tensor:
        """Return unit embeddings of RGB `images`, float32 (N, D)."""
        inputs = self._processor(images=list(images), return_tensors="pt").to(self._model.device)
        return F.normalize(self._model.get_image_features(**inputs).pooler_output.float(), dim=-1)

    @torch.no_grad()
    def _embed_text(self, text: str) -> Tensor:
        longest = self._model.config.text_config.max_position_embeddings
        inputs = self._processor(text=[text], truncation=True, max_length=longest, return_tensors="pt")
        features = self._model.get_text_features(**inputs.to(self._model.device)).pooler_output
        return F.normalize(features.float(), dim=-1)[0]


def load_alignment(config: AlignmentConfig, device: str) -> Alignment:
    """Load the configured alignment model on `device`.

    Raises:
        RequestError: its weights cannot be loaded.
    """
    if isinstance(config, PickscoreAlignmentConfig):
        return load_pickscore("alignment", config.weights, config.processor, device)
    return load_clip("alignment", config.model, config.pretrained, device)


def load_clip(group: str, model: str, pretrained: str | None, device: str) -> ClipAlignment:
    """Load the open_clip model of the keys `group`.model and `group`.pretrained. Raises `RequestError` naming one."""
    by_scheme = ":" in model  # hf-hub: or local-dir: says where everything is
    if model == "tiny_clip":
        if pretrained is not None:
            raise RequestError(f"{group}.pretrained", pretrained, "null, tiny_clip has its own weights")
    elif not by_scheme:
        check_names(group, model, pretrained)
    key, value = ("model", model) if by_scheme or pretrained is None else ("pretrained", pretrained)
    with refusing(f"{group}.{key}", value, f"weights of {model} that are here or can be fetched"):
        return ClipAlignment(model, pretrained, device)


def load_pickscore(group: str, weights: str, processor: str, device: str) -> PickScore:
    """Load the transformers CLIP of `group`.weights and `group`.processor. Raises `RequestError` naming one."""
    transformers.utils.logging.disable_progress_bar()
    with refusing(f"{group}.processor", processor, "a CLIP processor's folder or a reachable hub name"):
        reader = transformers.CLIPProcessor.from_pretrained(processor)
    with refusing(f"{group}.weights", weights, "a CLIPModel's folder or a reachable hub name"):
        model, report = transformers.CLIPModel.from_pretrained(weights, output_loading_info=True)
        if report["missing_keys"]:  # which transformers would fill at random
            raise ValueError(f"no weights for {min(report['missing_keys'])}")
    words, known = len(reader.tokenizer), model.config.text_config.vocab_size
    if words != known:  # where a folder has no tokenizer, transformers makes one up
        raise RequestError(f"{group}.processor", processor, f"a tokenizer of {known} tokens, as {weights}, not {words}")
    return PickScore(model.eval().to(device), reader)


def two_way_softmax(cosines: np.ndarray, others: np.ndarray, scale: float) -> np.ndarray:
    """Return P(first | image) float64 in [0, 1] of two texts from their cosines with the image, each times `scale`."""
    return np.asarray(expit(scale * (cosines - others)))


def alignments(cosines: np.ndarray, measure: str, scale: float) -> np.ndarray:
    """Return alignments float64 (N, n + 1) from `cosines` (N, n + 1) with n agents' prompts and, last, the base prompt.

    `cosine` takes them as they are. `probability` is P(c_i | image) between an agent's prompt c_i and the base prompt
    c, in [0, 1]: whether the image shows more of the agent than of the bare scene. The last column is the cosine with
    the base prompt either way.
    """
    if measure == "cosine":
        return cosines
    own, base = cosines[:, :-1], cosines[:, -1:]
    return np.concatenate([two_way_softmax(own, base, scale), base], axis=1)
