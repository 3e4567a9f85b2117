"""The page of a run."""

from diffusion_auction.lazy import lazily

__all__, __getattr__ = lazily(
    __name__,
    {
        "page": ("write_report",),
    },
)
