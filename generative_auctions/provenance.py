"""Where a result comes from: versions, commit and changes, host, GPUs, SLURM's numbers, command line.

It holds no secrets: only the variables named here are read from the environment, and what looks like a token or a
password in an argument, an address or a change is masked.
"""

from __future__ import annotations

import csv
import hashlib
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from generative_auctions.secrets import masked, masked_arguments

LONGEST_DIFF = 200_000
"""The most bytes of uncommitted changes that are kept as text; of longer changes only a digest is kept."""

_DISTRIBUTION = "generative-auctions"
_SLURM = {
    "job_id": "SLURM_JOB_ID",
    "array_job_id": "SLURM_ARRAY_JOB_ID",
    "array_task_id": "SLURM_ARRAY_TASK_ID",
    "restart_count": "SLURM_RESTART_COUNT",
    "node": "SLURMD_NODENAME",
    "node_list": "SLURM_JOB_NODELIST",
    "partition": "SLURM_JOB_PARTITION",
    "cluster": "SLURM_CLUSTER_NAME",
}
_ROUNDING = ("MKL_CBWR", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Environment variables that decide how a CPU rounds sums."""

_GPU_COLUMNS = ("index", "name", "uuid", "driver_version", "memory.total")

_OVERRIDES: ContextVar[list[str] | None] = ContextVar("overrides", default=None)


@contextmanager
def overridden(overrides: Sequence[str]) -> Iterator[None]:
    """Record `overrides` in the provenance of runs made inside, because each job of a multirun has its own."""
    before = _OVERRIDES.set(masked_arguments(overrides))
    try:
        yield
    finally:
        _OVERRIDES.reset(before)


def provenance(seed: int) -> dict[str, Any]:
    """Return the content of `provenance.json` for a run of this process with `seed`."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join([*_program(Path(sys.argv[0])), *masked_arguments(sys.argv[1:])]),
        "overrides": _OVERRIDES.get(),
        "seed": seed,
        "git": _own_git(),
        **_machine(),
    }


def worker_provenance() -> dict[str, Any]:
    """Return the provenance of a worker process: as `provenance`, with the changes by their digest alone."""
    git = _own_git()
    if git is not None:
        git = {"commit": git["commit"], "diff": {"sha256": git["diff"]["sha256"], "bytes": git["diff"]["bytes"]}}
    return {"git": git, **_machine()}


def _machine() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "packages": _packages(),
        "host": {"name": platform.node(), "system": platform.platform(), "machine": platform.machine()},
        "devices": _devices(),
        "gpus": _gpus(),
        "cuda_visible_devices": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "rounding": {name: os.environ.get(name) for name in _ROUNDING},
        "slurm": {key: os.environ[name] for key, name in _SLURM.items() if name in os.environ} or None,
    }


def _program(path: Path) -> list[str]:
    return ["python", "-m", path.parent.name] if path.name == "__main__.py" else [path.name]


@cache
def _packages() -> dict[str, str | None]:
    """Return the version of this distribution and of each that it requires, development aside; None if absent."""
    found: dict[str, str | None] = {}
    todo = [_DISTRIBUTION, "omegaconf"]  # the latter comes with hydra-core
    for name in todo:
        try:
            package = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            found[name] = None
            continue
        found[package.name] = package.version
        if name == _DISTRIBUTION:
            needed = [each for each in package.requires or [] if not re.search("extra == '(dev|editable)'", each)]
            todo += [re.split(r"[^\w.-]", each, maxsplit=1)[0] for each in needed]
    return found


@cache
def _own_git() -> dict[str, Any] | None:
    return _git(Path(__file__).resolve())


def _git(source: Path) -> dict[str, Any] | None:
    """Return commit and changes of the checkout that `source` is tracked in; None without one."""
    if output_of("git", "-C", source.parent, "ls-files", "--error-unmatch", source.name) is None:
        return None  # also a package that is installed inside of another project's checkout
    commit = output_of("git", "-C", source.parent, "rev-parse", "HEAD")
    diff = output_of("git", "-C", source.parent, "diff", "--no-ext-diff", "--no-textconv", "--no-color", "HEAD")
    if commit is None or diff is None:
        return None
    changed = output_of("git", "-C", source.parent, "diff", "--name-only", "-z", "HEAD") or b""
    remote = output_of("git", "-C", source.parent, "config", "--get", "remote.origin.url")
    return {
        "commit": commit.decode().strip(),
        "remote": remote and masked(remote.decode(errors="replace").strip()),
        "changed_files": changed.decode(errors="replace").split("\0")[:-1],
        "diff": _summary(diff),
    }


def _summary(diff: bytes) -> dict[str, Any]:
    """Return size and digest of `diff` and, unless it is too long, its text and whether secrets were `masked` in it."""
    summary: dict[str, Any] = {"bytes": len(diff), "sha256": hashlib.sha256(diff).hexdigest()}
    if len(diff) > LONGEST_DIFF:
        return summary
    text = diff.decode(errors="replace")
    return {**summary, "masked": masked(text) != text, "text": masked(text)}


@cache
def _gpus() -> list[dict[str, str]]:
    """Return the host's GPUs as `nvidia-smi` lists them; in a worker that is pinned to some, only those."""
    table = output_of("nvidia-smi", f"--query-gpu={','.join(_GPU_COLUMNS)}", "--format=csv,noheader")
    if table is None:
        return []
    keys = [column.removesuffix(".total").removesuffix("_version") for column in _GPU_COLUMNS]
    rows = csv.reader(table.decode(errors="replace").splitlines(), skipinitialspace=True)
    gpus = [dict(zip(keys, row, strict=True)) for row in rows if len(row) == len(keys)]
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    pinned = [gpu for gpu in gpus if any(gpu["index"] == name or gpu["uuid"].startswith(name) for name in visible)]
    return pinned or gpus


def _devices() -> list[str]:
    torch = sys.modules.get("torch")  # torch is not loaded for this alone
    if torch is None or not torch.cuda.is_available():
        return ["cpu"]
    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


def output_of(*command: object) -> bytes | None:
    """Return what `command` prints; None if it fails."""
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
