"""`python -m launchers status DIR`: the state of every shard of a run, from its files alone."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from launchers.status import shard_states


def main(argv: list[str] | None = None) -> int:
    """Print one line per stage of the run in DIR; exit status 1 if shards failed, 2 if DIR is no run."""
    parser = argparse.ArgumentParser(prog="python -m launchers", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    status = commands.add_parser("status", help="state of every shard of a run")
    status.add_argument("run_dir", type=Path, metavar="DIR")
    args = parser.parse_args(argv)
    states = shard_states(args.run_dir)
    if not states:
        print(f"DIR = {args.run_dir}: expected a run directory with a folder `shards`", file=sys.stderr)
        return 2
    for stage, counts in states.items():
        print(f"{stage}: " + ", ".join(f"{count} {state}" for state, count in counts.items()))
    return 1 if any(counts["failed"] for counts in states.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
