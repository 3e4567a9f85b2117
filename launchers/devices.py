"""The GPUs and CPUs of this host, and how workers divide them."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_MIG = re.compile(r"^\s+MIG .*\(UUID: (MIG-[^)]+)\)")
_GPU = re.compile(r"^GPU (\d+):.*\(UUID: (GPU-[^)]+)\)")


@dataclass(frozen=True)
class Slot:
    """The place of one worker: the GPU that it sees ("" for none) and the CPUs that it may use."""

    number: int
    gpu: str
    cpus: tuple[int, ...]

    def environment(self) -> dict[str, str]:
        """The variables that pin a worker to its place before anything is imported.

        Of those that count threads OMP_NUM_THREADS alone is set, unless the user has: MKL, OpenBLAS and torch follow
        it, but for a variable of their own, which is left as the user has it. So a worker computes with the threads
        that the launching process itself would.
        """
        threads = os.environ.get("OMP_NUM_THREADS", str(len(self.cpus)))
        return {"CUDA_VISIBLE_DEVICES": self.gpu, "OMP_NUM_THREADS": threads}


def visible_gpus(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them: numbers, UUIDs or MIG names.

    What the variable says is respected, an empty one too; as CUDA does, names after -1 are ignored. Without it every
    GPU of the host counts, one divided by MIG by its parts.
    """
    listed = environment.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return _all_gpus()
    gpus = []
    for name in (part.strip() for part in listed.split(",")):
        if not name or name == "-1":
            break
        gpus.append(name)
    return gpus


def _all_gpus() -> list[str]:
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return parse_gpu_list(listed.stdout) if listed.returncode == 0 else []


def parse_gpu_list(text: str) -> list[str]:
    """The devices of `nvidia-smi -L`: the UUID of each GPU, of a divided one those of its MIG parts."""
    found: list[list[str]] = []
    for line in text.splitlines():
        if gpu := _GPU.match(line):
            found.append([gpu[2]])
        elif (part := _MIG.match(line)) and found:
            found[-1].append(part[1])
    return [name for gpu in found for name in (gpu[1:] or gpu)]


def slots_of(
    gpus: Sequence[str], cpus: Sequence[int], *, workers_per_gpu: int = 1, most: int | None = None
) -> list[Slot]:
    """The places of workers: `workers_per_gpu` on each of `gpus`, without any one per two CPUs or `most` of them.

    Neighbours are on different GPUs, so that a few workers spread over all; the CPUs are divided evenly.
    """
    names = list(gpus) * workers_per_gpu if gpus else [""] * (most or max(1, len(cpus) // 2))
    names = names[:most]
    return [Slot(number, gpu, _share(cpus, number, len(names))) for number, gpu in enumerate(names)]


def _share(cpus: Sequence[int], number: int, parts: int) -> tuple[int, ...]:
    """The `number`-th of `parts` runs of CPUs, at least one CPU each."""
    if parts >= len(cpus):
        return (cpus[number % len(cpus)],)
    return tuple(cpus[number * len(cpus) // parts : (number + 1) * len(cpus) // parts])


def usable_cpus() -> list[int]:
    """The CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
