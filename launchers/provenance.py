"""Where a result comes from: versions, commit, host, devices, command line."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = (
    "generative-auctions",
    "torch",
    "diffusers",
    "transformers",
    "open_clip_torch",
    "hydra-core",
    "numpy",
    "scipy",
    "pandas",
    "openskill",
)


def provenance(seed: int) -> dict[str, Any]:
    """What `provenance.json` says of this process; secrets have no part in it: no environment is recorded."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "seed": seed,
        "git": _git(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "host": {"name": platform.node(), "system": platform.platform(), "machine": platform.machine()},
        "devices": _devices(),
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _git() -> dict[str, Any] | None:
    """Commit of the source tree and whether it was changed; None where the package is not in a checkout."""
    here = Path(__file__).resolve().parent
    try:
        commit = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        status = subprocess.run(
            ["git", "-C", str(here), "status", "--porcelain", "-uno"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return {"commit": commit, "changed_files": [line[3:] for line in status.splitlines()]}


def _devices() -> list[str]:
    torch = sys.modules.get("torch")  # a command that needs no torch does not load it for this
    if torch is None or not torch.cuda.is_available():
        return ["cpu"]
    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
