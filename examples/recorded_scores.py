"""Compare mechanisms on a table of recorded scores: no image, no model, no torch.

The table here is synthetic. Put your own in its place: one row per image, with the columns scenario, sample,
bid_1 … bid_n and alignment_1 … alignment_n; `read_scores` reads one from a CSV or Parquet file.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from diffusion_auction import check_scores, evaluate, run_auctions
from diffusion_auction.mechanisms import VCG, SingleWinner, VCGPool

SAMPLES = 20


def main() -> None:
    """Hold every auction of the table, and print money and metrics of each mechanism."""
    scores = check_scores(recorded_scores())
    mechanisms = [VCG(), VCGPool(), SingleWinner()]

    auctions = run_auctions(scores, mechanisms)
    print(auctions.groupby("mechanism", sort=False)[["welfare", "revenue"]].mean().round(3), end="\n\n")

    metrics = evaluate(scores, mechanisms)
    for agent, part in metrics["monotonicity"].items():
        print(f"{agent}: Spearman correlation of bid and alignment {part['spearman']:.2f}")
    for mechanism in ("vcg", "vcg_pool"):
        gain = metrics["welfare"][mechanism]
        regret = metrics["truthfulness"][mechanism]["absolute_regret_max"]
        print(
            f"{mechanism}: welfare {100 * gain['relative_gain_mean']:+.1f} % over the single winner"
            f" (95 % interval {100 * gain['ci_low']:+.1f} to {100 * gain['ci_high']:+.1f}), highest regret {regret:.3f}"
        )


def recorded_scores(seed: int = 0) -> pd.DataFrame:
    """Make a table in which an agent's alignment rises with its share of the bids, with decreasing returns."""
    random = np.random.default_rng(seed)
    luck = random.normal(0, 0.05, (SAMPLES, 2))  # of a sample, whatever the bids are: common random numbers
    rows = []
    for bid_1 in np.linspace(0, 1, 6):
        for bid_2 in np.linspace(0, 1, 3):
            shares = np.array([bid_1, bid_2]) / (bid_1 + bid_2 or 1)
            alignments = 0.1 + 0.3 * np.sqrt(shares) + luck + random.normal(0, 0.02, luck.shape)
            rows += [(0, sample, bid_1, bid_2, *pair) for sample, pair in enumerate(alignments)]
    return pd.DataFrame(rows, columns=["scenario", "sample", "bid_1", "bid_2", "alignment_1", "alignment_2"])


if __name__ == "__main__":
    main()
