"""`python -m launchers status|logs|cancel`: runs seen, read and stopped from their files alone."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from rich.console import Console

from launchers.control import cancel_run, log_of
from launchers.errors import LaunchError, SlurmError
from launchers.status import Standing, queue_of, stages, standing
from launchers.watch import workers_table


def main(argv: list[str] | None = None) -> int:
    """The exit status: 1 if shards failed or were lost, or SLURM does not answer; 2 if DIR or SHARD is none; else 0."""
    parser = argparse.ArgumentParser(prog="python -m launchers", description="Runs whose work was handed out.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in {
        "status": "state of every shard of a run, and who works on it",
        "logs": "why a shard failed and what its worker said",
        "cancel": "stop the workers of a run",
    }.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("run_dir", type=Path, metavar="DIR")
        if name == "logs":
            command.add_argument("shard", metavar="SHARD", help="its key, or the beginning of it")
    args = parser.parse_args(argv)
    try:
        if not stages(args.run_dir):
            raise LaunchError(f"DIR = {args.run_dir}: expected a run directory with a folder `shards`")
        if args.command == "logs":
            print(log_of(args.run_dir, args.shard))
            return 0
        return _cancel(args.run_dir) if args.command == "cancel" else _status(args.run_dir)
    except (LaunchError, SlurmError) as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, LaunchError) else 1


def _status(run_dir: Path) -> int:
    """One line for each stage, and a table of the workers that are there."""
    console, bad = Console(soft_wrap=True), 0
    for stage, keys in stages(run_dir).items():
        folder = run_dir / "shards" / stage
        now = standing(folder, keys, queue_of(folder))
        print(f"{stage}: {now}")
        _list(run_dir, stage, now)
        if now.workers:
            console.print(workers_table(list(now.workers.values())))
        bad += now.count("failed") + now.count("lost")
    return 1 if bad else 0


def _list(run_dir: Path, stage: str, now: Standing) -> None:
    for key, state in now.states.items():
        if state in ("failed", "lost"):
            print(f"  {state}: {key}  (python -m launchers logs {shlex.quote(str(run_dir))} {key})")


def _cancel(run_dir: Path) -> int:
    for line in [*cancel_run(run_dir)] or ["nobody works on this run"]:
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
