"""Plan the images of a run and make them."""

from generative_auctions.lazy import lazily

__all__, __getattr__ = lazily(
    __name__,
    {
        "batching": ("Batching",),
        "generator": ("Generator", "generation_shards"),
        "loading": ("check_prompts", "load_pipeline"),
        "plan": ("Plan", "PlannedImage", "make_plan", "planned_images"),
        "store": ("Images",),
    },
)
