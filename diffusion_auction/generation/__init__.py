"""Plan the images of a run and make them."""

from diffusion_auction.lazy import lazily

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
