"""The page of a run."""

from generative_auctions.lazy import lazily

__all__, __getattr__ = lazily(
    __name__,
    {
        "page": ("write_report",),
    },
)
