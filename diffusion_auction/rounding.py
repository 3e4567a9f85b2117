"""Reproducible rounding on a CPU: have MKL, with which torch multiplies matrices, use one instruction set."""

from __future__ import annotations

import os
import platform
from collections.abc import MutableMapping
from pathlib import Path


def hold_rounding(environment: MutableMapping[str, str] = os.environ) -> None:
    """Have MKL round alike wherever in memory its operands lie; a mode that the user has chosen is kept.

    MKL reads the variable when it is first used: it is too late for a process that has multiplied matrices by then,
    not for one that has loaded torch. Processes that this one starts inherit it.
    """
    mode = mkl_mode(platform.machine(), _flags())
    if mode is not None:
        environment.setdefault("MKL_CBWR", mode)


def mkl_mode(machine: str, flags: frozenset[str]) -> str | None:
    """Return MKL_CBWR for a processor with these `flags`, as /proc/cpuinfo names them; None where MKL is not.

    Unless it is told so, two processes get other sums from the same operands at other addresses, and so do one thread
    and several. The widest instructions are named, lest it takes narrower ones. Where MKL knows a processor not to
    have what is named, and on those that are not Intel's, it chooses by itself and still rounds alike ("AUTO,STRICT").
    """
    if machine not in ("x86_64", "AMD64"):
        return None
    wide = {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"} <= flags
    return "AVX512,STRICT" if wide else "AVX2,STRICT"


def _flags() -> frozenset[str]:
    """Return what this processor can do, where Linux says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line for line in lines if line.startswith("flags")), "").split())
