"""Metrics of recorded scores: monotonicity, welfare, truthfulness, revenue, quality. Never imports torch."""

from generative_auctions.lazy import lazily

__all__, __getattr__ = lazily(
    __name__,
    {
        "evaluate": ("BASELINE", "run_auctions"),
        "metrics": ("Metrics", "check_metrics", "own_mechanism", "read_metrics"),
        "money": ("revenue", "share_of_welfare"),
        "scores": ("LeftOut", "Scores", "check_scores", "distinct_images", "read_scores"),
        "truthfulness": ("Regrets", "regrets"),
        "welfare": ("relative_gain",),
    },
)
