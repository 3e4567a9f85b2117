"""A time limit for each shard, kept by a process beside the worker.

The worker cannot keep it: it may be stopped, or hang in native code that holds Python's lock.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from generative_auctions.files import write_atomic
from launchers.leases import MOST_LOST, Leases
from launchers.worker import Work
from launchers.worker_record import Presence

_POLL_SECONDS = 0.5


@contextmanager
def time_limit(work: Work, me: Presence) -> Iterator[None]:
    """Have this process killed if, inside, a shard of `work` is in the making for longer than `work.shard_timeout`.

    The loading of what the worker needs has the same time for itself. The shard is free again, or has failed if it was
    tried often enough.
    """
    if work.shard_timeout is None:
        yield
        return
    arguments = [str(me.path), str(60 * work.shard_timeout), str(work.max_retries), str(os.getpid())]
    watchdog = subprocess.Popen([sys.executable, "-m", "launchers.time_limit", *arguments], stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        watchdog.kill()
        watchdog.wait()


def watch(path: Path, limit: float, max_retries: int, worker: int) -> None:
    """Watch the `worker`, a process with its record at `path`, until it ends or spends `limit` seconds on a shard."""
    began, spent, last = None, 0.0, time.monotonic()
    while os.getppid() == worker:
        time.sleep(_POLL_SECONDS)
        now = time.monotonic()
        spent, last = spent + min(now - last, 2 * _POLL_SECONDS), now  # a job that SLURM suspends stops this too
        with suppress(OSError, ValueError):
            record = json.loads(path.read_bytes())
            if record["since"] != began or record["shard"] is None:
                began, spent = record["since"], 0.0
        if spent > limit and os.getppid() == worker:
            _end(path, record, worker, limit / 60, max_retries)
            return


def _end(path: Path, record: dict[str, Any], worker: int, minutes: float, max_retries: int) -> None:
    """Kill the `worker`, once it is written down what becomes of its shard: SLURM kills this process with it."""
    key, name, leases = record["shard"], record["name"], Leases(path.parents[1])
    reason = f"TimeoutError: not done after {minutes:g} minutes (launcher.shard_timeout)"
    os.kill(worker, signal.SIGSTOP)  # so that it marks nothing any more
    try:
        if not leases.is_settled(key):
            write_atomic(path, json.dumps({**record, "state": "ended", "error": reason}).encode())
            leases.lose(key, name)
            lost = leases.losses().get(key, [])
            if len(lost) > min(max_retries, MOST_LOST - 1):
                leases.give_up(key, reason, lost)
            print(f"killed: shard {key}: {reason}", file=sys.stderr, flush=True)
    finally:
        os.kill(worker, signal.SIGKILL)


def main() -> None:
    """What `time_limit` starts."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # they are meant for the worker, whose end is its own
    path, limit, max_retries, worker = sys.argv[1:]
    watch(Path(path), float(limit), int(max_retries), int(worker))


if __name__ == "__main__":
    main()
