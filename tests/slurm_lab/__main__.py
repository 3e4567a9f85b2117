"""`make slurm-lab` and `make slurm-lab-stop`."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from tests.slurm_lab import SlurmLab, SlurmLabError


def main() -> int:
    """Start or stop the cluster of a folder; exit status 1, with the reason in one line, where that fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.slurm_lab", description=__doc__)
    parser.add_argument("action", choices=["start", "stop"])
    parser.add_argument("folder", type=Path)
    request = parser.parse_args()
    lab = SlurmLab(request.folder)
    try:
        {"start": start, "stop": stop}[request.action](lab)
    except (SlurmLabError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def start(lab: SlurmLab) -> None:
    """Start it unless it runs, and say how it is used."""
    runs = lab.running()
    if not runs:
        lab.stop()  # what a killed one left
        lab.start()
    print("it runs already; to use it:" if runs else f"a SLURM node with {lab.gpus} pretended GPUs; to use it:")
    print(f"  export SLURM_CONF={shlex.quote(str(lab.conf))}")
    print("and to end it, jobs included:")
    print(f"  make slurm-lab-stop LAB={shlex.quote(str(lab.folder))}")


def stop(lab: SlurmLab) -> None:
    """Stop it if it runs."""
    ran = bool(lab.processes())
    lab.stop()
    print(f"{lab.folder}: {'stopped' if ran else 'did not run'}")


if __name__ == "__main__":
    sys.exit(main())
