"""The embedded model: a tiny, really trained Flux and CLIP, and the renderer of the pictures they learned."""

from pathlib import Path

WEIGHTS = Path(__file__).parent / "weights"
"""`WEIGHTS / "flux"` loads with `FluxPipeline.from_pretrained`, `WEIGHTS / "clip"` with open_clip's `local-dir:`."""
