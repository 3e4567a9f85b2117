"""`make bench`: what is worth timing, as ratios within one run; each line says what it is held against."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from diffusion_auction.pipelines import FluxPipelineAuction
from diffusion_auction.tiny_flux import WEIGHTS

BASE, AGENTS = "A hiker resting on a mountain trail", ["North Face backpack", "Gatorade bottle"]
COUNT, STEPS = 64, 5
DEMO_SECONDS, DEMO_BYTES = 360, 4e9


def main() -> int:
    """Print every benchmark; exit status 1 if the demo breaks its bounds."""
    pipe = FluxPipelineAuction.from_pretrained(WEIGHTS / "flux", dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    plain = _seconds(lambda: _generate(pipe, [1.0, 0.0]))
    composed = _seconds(lambda: _generate(pipe, [0.7, 0.3]))
    halved = _seconds(lambda: _generate(pipe, [0.7, 0.3], max_branches=COUNT))
    naive = _seconds(lambda: _generate(pipe, [0.7, 0.3], composition=_all_three))
    print(f"composing two prompts costs {composed / plain:.2f} × one prompt ({COUNT} images, {STEPS} steps)")
    print(f"all {2 * COUNT} branches in one call take {composed / halved:.2f} × the time of two calls")
    print(f"skipping branches of weight zero takes {composed / naive:.2f} × the time of running all three")
    return _demo()


def _all_three(bids: tuple[float, ...]) -> dict[tuple[int, ...], float]:
    """The two-agent composition with a weight for every coalition, as if none could be skipped."""
    return {(0, 1): 0.6, (0,): 0.4 - 1e-6, (1,): 1e-6}


def _generate(pipe: FluxPipelineAuction, bids: list[float], **options: object) -> None:
    generators = [torch.Generator().manual_seed(i) for i in range(COUNT)]
    pipe(
        base_prompt=BASE,
        agent_prompts=AGENTS,
        bids=bids,
        num_images_per_prompt=COUNT,
        num_inference_steps=STEPS,
        generator=generators,
        output_type="latent",
        **options,
    )


def _seconds(work: Callable[[], None], times: int = 3) -> float:
    """The fastest of `times` runs, after one to warm up."""
    work()
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return min(taken)


def _demo() -> int:
    """The demo's command in a new folder: seconds and peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "diffusion_auction",
            "+sweep=two_agent_grid",
            f"run_dir={Path(folder) / 'run'}",
        ]
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(f"the demo takes {seconds:.0f} s (at most {DEMO_SECONDS} on two cores), {peak / 1e9:.2f} GB (at most 4)")
    return int(seconds > DEMO_SECONDS or peak > DEMO_BYTES)


if __name__ == "__main__":
    sys.exit(main())
