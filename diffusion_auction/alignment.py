"""Alignment α: the similarity of images and prompts by a CLIP model; and image quality by the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import open_clip
import torch
from PIL import Image

from diffusion_auction.tiny_flux import WEIGHTS


class ClipAlignment:
    """An open_clip model that scores images against texts.

    `model` is open_clip's name, `pretrained` its tag or a file; the name `tiny_clip` is the embedded model.
    """

    def __init__(self, model: str, pretrained: str | None = None, device: str = "cpu") -> None:
        name = f"local-dir:{WEIGHTS / 'clip'}" if model == "tiny_clip" else model
        loaded = open_clip.create_model_from_pretrained(name, pretrained=pretrained, device=device)
        self._model, self._preprocess = loaded
        self._model.eval()
        self._tokenize = open_clip.get_tokenizer(name)
        self._device = device
        self._texts: dict[str, torch.Tensor] = {}

    @torch.no_grad()
    def embed(self, images: Sequence[Image.Image]) -> torch.Tensor:
        """Unit embeddings float32 (N, D) of RGB `images`."""
        batch = torch.stack([self._preprocess(image) for image in images]).to(self._device)
        return self._model.encode_image(batch, normalize=True).float()

    @torch.no_grad()
    def similarities(self, embeddings: torch.Tensor, texts: Sequence[str]) -> np.ndarray:
        """Cosines float64 (N, T) in [-1, 1] of image `embeddings` (N, D) and `texts`; each text is encoded once."""
        for text in texts:
            if text not in self._texts:
                tokens = self._tokenize([text]).to(self._device)
                self._texts[text] = self._model.encode_text(tokens, normalize=True).float()[0]
        basis = torch.stack([self._texts[text] for text in texts])
        return (embeddings @ basis.T).cpu().double().numpy()

    def quality(self, embeddings: torch.Tensor, good: str, bad: str) -> np.ndarray:
        """P(`good` | image) float64 (N,) in [0, 1]: the two-prompt softmax of cosines times CLIP's logit scale."""
        cosines = self.similarities(embeddings, [good, bad])
        scale = self._model.logit_scale.detach().exp().item()
        return 1 / (1 + np.exp(-scale * (cosines[:, 0] - cosines[:, 1])))
