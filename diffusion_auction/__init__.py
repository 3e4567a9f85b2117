"""Auctions for influence over a generated image."""

import os
from pathlib import Path


def _vector_instructions() -> str:
    """The widest that Intel's MKL can be held to on this processor."""
    processor = Path("/proc/cpuinfo")
    with processor.open() if processor.exists() else open(os.devnull) as lines:
        flags = next((line for line in lines if line.startswith("flags")), "")
    return "AVX512" if " avx512f" in flags else "AVX2"


# MKL's results depend on where in memory its operands lie, unless it is told before torch loads that they must not:
# two processes would then make images that differ by a grey level.
os.environ.setdefault("MKL_CBWR", f"{_vector_instructions()},STRICT")
