"""The extra `images`: libraries that generate and score images. Evaluating recorded scores needs none of them."""

from __future__ import annotations

from importlib.util import find_spec

from generative_auctions.errors import RequestError

MODULES = (
    *("torch", "torchvision", "diffusers", "transformers", "accelerate"),
    *("open_clip", "safetensors", "huggingface_hub", "dotenv"),
)
"""The modules that the extra installs, by the names under which they are imported."""

INSTALL = 'pip install "generative-auctions[images]", or make setup in a checkout'


def require_images(action: str) -> None:
    """Check that the image models are installed, before anything is written.

    Raises:
        RequestError: one is not; the line says how to install them.
    """
    missing = [name for name in MODULES if find_spec(name) is None]
    if missing:
        raise RequestError("action", action, f"the image models ({', '.join(missing)} not found): {INSTALL}")
