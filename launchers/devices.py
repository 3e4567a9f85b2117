"""The GPUs and CPUs of this host, and how workers divide them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from generative_auctions.provenance import output_of

_DEVICE = re.compile(r"^GPU \d+:.*\(UUID: (GPU-[^)]+)\)|^\s+MIG .*\(UUID: (MIG-[^)]+)\)", re.MULTILINE)
"""A line of `nvidia-smi -L`: a GPU, or a MIG part of the GPU above."""


@dataclass(frozen=True)
class Slot:
    """The share of one worker: the GPU that it sees ("" for none) and the CPUs that it may use."""

    number: int
    gpu: str
    cpus: tuple[int, ...]

    def environment(self) -> dict[str, str]:
        """Return the variables that pin a worker to its GPU and CPUs before it imports anything.

        OMP_NUM_THREADS is set unless the user has set it. MKL, OpenBLAS and torch follow it where the user has not set
        their own variables.
        """
        threads = os.environ.get("OMP_NUM_THREADS", str(len(self.cpus)))
        return {"CUDA_VISIBLE_DEVICES": self.gpu, "OMP_NUM_THREADS": threads}


def visible_gpus(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them: numbers, UUIDs or MIG names.

    An empty variable means no GPU, and names after -1 are ignored, as CUDA does. Without the variable these are all
    GPUs of the host, and all parts of a GPU that MIG divides.
    """
    listed = environment.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return parse_gpu_list((output_of("nvidia-smi", "-L") or b"").decode(errors="replace"))
    return list(takewhile(lambda name: name not in ("", "-1"), map(str.strip, listed.split(","))))


def parse_gpu_list(text: str) -> list[str]:
    """Return the devices of `nvidia-smi -L`: the UUID of each GPU, of a divided one those of its MIG parts."""
    found: list[list[str]] = []
    for gpu, part in _DEVICE.findall(text):
        if gpu:
            found.append([gpu])
        elif found:
            found[-1].append(part)
    return [name for gpu in found for name in (gpu[1:] or gpu)]


def slots_of(
    gpus: Sequence[str], cpus: Sequence[int], *, workers_per_gpu: int = 1, most: int | None = None
) -> list[Slot]:
    """Return the slots of this host: `workers_per_gpu` on each GPU; without GPUs `most`, or one per two CPUs.

    Consecutive slots are on different GPUs, so that a few workers use all of them. The CPUs are divided evenly.
    """
    names = list(gpus) * workers_per_gpu if gpus else [""] * (most or max(1, len(cpus) // 2))
    names = names[:most]
    return [Slot(number, gpu, _share(cpus, number, len(names))) for number, gpu in enumerate(names)]


def _share(cpus: Sequence[int], number: int, parts: int) -> tuple[int, ...]:
    """Return the `number`-th of `parts` runs of CPUs, at least one CPU each."""
    if parts >= len(cpus):
        return (cpus[number % len(cpus)],)
    return tuple(cpus[number * len(cpus) // parts : (number + 1) * len(cpus) // parts])


def usable_cpus() -> list[int]:
    """Return the CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
