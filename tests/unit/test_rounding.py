"""That MKL rounds alike in every process, and that the user has the last word."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys

import pytest

from diffusion_auction.rounding import hold_rounding, mkl_mode

SKYLAKE = frozenset({"avx2", "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"})


@pytest.mark.parametrize(
    ("machine", "flags", "mode"),
    [
        ("x86_64", SKYLAKE | {"amx_tile"}, "AVX512,STRICT"),
        ("x86_64", SKYLAKE, "AVX512,STRICT"),
        ("x86_64", SKYLAKE - {"avx512bw"}, "AVX2,STRICT"),  # Knights Landing has some of them
        ("x86_64", frozenset({"avx2"}), "AVX2,STRICT"),
        ("AMD64", frozenset(), "AVX2,STRICT"),  # Windows does not say
        ("aarch64", frozenset({"sve"}), None),
        ("arm64", frozenset(), None),
    ],
)
def test_every_processor_has_its_mode(machine: str, flags: frozenset[str], mode: str | None) -> None:
    assert mkl_mode(machine, flags) == mode


def test_a_mode_of_the_users_is_kept() -> None:
    environment = {"MKL_CBWR": "COMPATIBLE"}
    hold_rounding(environment)
    assert environment == {"MKL_CBWR": "COMPATIBLE"}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="MKL is for x86")
@pytest.mark.parametrize(("chosen", "held"), [(None, "[A-Z0-9]+,STRICT"), ("COMPATIBLE", "COMPATIBLE")])
def test_mkl_says_that_it_is_held(chosen: str | None, held: str) -> None:
    """Also if torch is loaded first, as in the README."""
    code = "import torch, diffusion_auction; torch.ones(32, 32) @ torch.ones(32, 32)"
    environment = {name: value for name, value in os.environ.items() if name != "MKL_CBWR"} | {"MKL_VERBOSE": "1"}
    if chosen:
        environment["MKL_CBWR"] = chosen
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120).stdout
    assert re.search(rf"GEMM.* CNR:{held} ", said), said
