"""Score images: alignment with prompts, and quality."""

from generative_auctions.lazy import lazily

__all__, __getattr__ = lazily(
    __name__,
    {
        "alignment": ("Alignment", "ClipAlignment", "PickScore", "load_alignment"),
        "quality": ("Quality", "load_quality"),
        "scorer": ("Scorer", "scoring_shards"),
    },
)
