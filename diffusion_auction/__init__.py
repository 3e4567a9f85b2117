"""Auctions for influence over a generated image.

The names of `__all__` are what a notebook needs: score tables, mechanisms, regret, figures and the pipeline. Importing
the package loads neither torch nor pandas.
"""

from diffusion_auction.rounding import hold_rounding
from generative_auctions.lazy import lazily

hold_rounding()  # here, before any module of the package loads torch

__all__, __getattr__ = lazily(
    __name__,
    {
        "market": ("COMPOSITIONS", "Scenario", "load_scenarios"),
        "mechanisms": ("MECHANISMS", "CandidatePool", "Mechanism", "Outcomes"),
        "pipelines": ("Branches", "FluxPipelineAuction"),
        "evaluation.evaluate": ("evaluate", "run_auctions"),
        "evaluation": ("Regrets", "Scores", "check_scores", "read_metrics", "read_scores", "regrets", "relative_gain"),
        "figures": ("write_figures",),
    },
)


def __dir__() -> list[str]:
    return __all__
