"""Sell one image to two agents: generate candidates, measure alignments, choose the winner, charge payments.

Runs on the embedded model, on a CPU, in a few seconds. The image sold is stored as ``sold.png``.
"""

from __future__ import annotations

import numpy as np
import torch

from diffusion_auction import CandidatePool, FluxPipelineAuction
from diffusion_auction.mechanisms import VCG
from diffusion_auction.scoring.alignment import ClipAlignment

SCENE = "A hiker resting on a mountain trail"
AGENTS = ("North Face backpack", "Gatorade bottle")
BIDS = (0.6, 0.4)
SAMPLES = 8
"""k, the number of candidates of each pool."""


def main() -> None:
    """Hold one VCG auction and print its outcome."""
    pipe = FluxPipelineAuction.from_pretrained("tiny_flux")
    pipe.set_progress_bar_config(disable=True)
    clip = ClipAlignment("tiny_clip")

    # The mechanism names the pools that it needs: P(b) to sell from, and P(b_−i) to price agent i.
    mechanism = VCG()
    candidates = {bids: generate(pipe, bids) for bids in mechanism.required_bids(BIDS)}
    alignments = {bids: clip.similarities(clip.embed(images), AGENTS) for bids, images in candidates.items()}

    outcome = mechanism.run(np.array([BIDS]), CandidatePool.of(alignments.items()))
    sample = outcome.sold.place[0, 0]
    candidates[BIDS][sample].save("sold.png")
    print(f"sold: sample {sample} of {SAMPLES}, welfare {outcome.sold.welfare[0, 0]:.3f}, stored as sold.png")
    for i, agent in enumerate(AGENTS):
        print(
            f"{agent:20} bids {BIDS[i]:.2f}, alignment {outcome.sold.alignments[0, 0, i]:.3f},"
            f" pays {outcome.payments[0, 0, i]:+.3f}, utility {outcome.utilities[0, 0, i]:+.3f}"
        )


def generate(pipe: FluxPipelineAuction, bids: tuple[float, ...]) -> list:
    """Generate the candidates P(b); sample s begins from the same noise at all bids."""
    generator = torch.Generator().manual_seed(0)
    return pipe(SCENE, AGENTS, bids, num_images_per_prompt=SAMPLES, generator=generator).images


if __name__ == "__main__":
    main()
