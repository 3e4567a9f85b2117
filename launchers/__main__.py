"""`python -m launchers status|logs|cancel|work`: inspect, stop or join a run by its files alone."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from generative_auctions.terminal import plain_console
from launchers.control import cancel_run, log_of
from launchers.errors import LaunchError, SlurmError
from launchers.progress import quiet, workers_table
from launchers.status import Standing, jobs_in, queue_of, stages, standing, watched
from launchers.supervisor import last_ends


def main(argv: list[str] | None = None) -> int:
    """Run the command that `argv` names.

    Returns:
        The exit status: that of `status` or `work`; 1 if SLURM does not answer; 2 if DIR or SHARD is wrong; else 0.
    """
    parser = argparse.ArgumentParser(prog="python -m launchers", description="Runs whose work was handed out.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in {
        "status": "state of every shard of a run, who works on it and what is queued; exit status 3: nobody does",
        "logs": "why a shard failed and what its worker said",
        "cancel": "stop the workers of a run",
    }.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("run_dir", type=Path, metavar="DIR")
        if name == "logs":
            command.add_argument("shard", metavar="SHARD", help="its key, or the beginning of it")
    text = "take shards of a run that waits for workers; DIR is trusted: its work files are code"
    command = commands.add_parser("work", help="be one more worker of a run", description=text)
    command.add_argument("run_dir", type=Path, metavar="DIR")
    wait = "how long to wait for work where there is none, as before the run and between its stages (5)"
    command.add_argument("--wait", type=float, default=5.0, metavar="MINUTES", help=wait)
    args = parser.parse_args(argv)
    try:
        if args.command == "work":
            from launchers.join import work_on  # submitit, only where there is work

            return work_on(args.run_dir.absolute(), 60 * args.wait)
        made = (args.run_dir / name for name in ("config.yaml", ".lock"))  # a run may have no shards yet
        if not stages(args.run_dir) and not any(path.exists() for path in made):
            raise LaunchError(f"DIR = {args.run_dir}: expected the directory of a run (there is none, or not yet)")
        if args.command == "logs":
            print(log_of(args.run_dir, args.shard))
            return 0
        if args.command == "status":
            return _status(args.run_dir)
        for line in [*cancel_run(args.run_dir)] or ["nobody works on this run"]:
            print(line)
        return 0
    except (LaunchError, SlurmError) as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, LaunchError) else 1


def _status(run_dir: Path) -> int:
    """Print one line for each stage, who works on it, and what SLURM's queue holds for it.

    Returns:
        3 if nobody works on open shards and none of their jobs is queued; 1 if shards failed or were lost, or if nobody
        is seen at work and SLURM does not answer; else 0.
    """
    console, status = plain_console(soft_wrap=True), 0
    if not stages(run_dir):
        print("no work was handed out yet: the command of this run prepares it, or ended before")
    for folder, keys in stages(run_dir).items():
        now, queue, silence = _standing(folder, keys)
        print(f"{folder.name}: {now}")
        for key, state in now.states.items():
            if state in ("failed", "lost"):
                print(f"  {state}: {key}  (python -m launchers logs {shlex.quote(str(run_dir))} {key})")
        if now.workers:
            console.print(workers_table(list(now.workers.values())))
            if note := quiet(now):
                print(f"  {note}")
        if queue:
            print(f"  jobs in SLURM's queue: {_counted(queue)}")
        if silence:
            print(f"  SLURM's queue is not known: {silence}")
        if now.count("failed") or now.count("lost"):
            status = max(status, 1)
        if now.open and not now.workers and not queue:
            where = "nobody is seen at work" if silence else "nobody works on it and nothing is queued"
            print(f"  {where}; the same command goes on from there")
            for line in last_ends(folder):
                print(f"  ended: {line}")
            status = max(status, 1 if silence else 3)
    return status


def _standing(folder: Path, keys: list[str]) -> tuple[Standing, Mapping[str, str], str]:
    """Read the files of a stage and, while it has open shards, SLURM's queue.

    Returns:
        How the stage stands; the state of its jobs by id; why SLURM does not tell, "" if it does.
    """
    now = standing(folder, keys)
    if not now.open:
        return now, {}, ""
    try:
        queue = queue_of(folder)
    except (LaunchError, SlurmError) as error:
        return watched(folder, keys), {}, str(error)
    return watched(folder, keys, queue), jobs_in(queue or {}, folder), ""


def _counted(queue: Mapping[str, str]) -> str:
    """Return shards counted by state: `2 running, 3 pending`."""
    counts = ", ".join(f"{number} {state.lower()}" for state, number in Counter(queue.values()).most_common())
    return f"{counts} (squeue --me says why)" if "PENDING" in queue.values() else counts


if __name__ == "__main__":
    sys.exit(main())
