"""A time limit for each shard, kept by a process beside the worker.

The worker cannot keep it: it may be stopped, or hang in native code that holds Python's lock.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from launchers.leases import MAX_LOSSES, Leases
from launchers.worker import Work
from launchers.worker_record import Presence, WorkerRecord

_POLL_SECONDS = 0.5


@contextmanager
def time_limit(work: Work, me: Presence) -> Iterator[None]:
    """Kill this process if, inside, it works on one shard for longer than `work.shard_timeout`.

    Loading what the worker needs has the same limit. The shard is then free again, or has failed if it was tried often
    enough.
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
    shown, spent, last = None, 0.0, time.monotonic()
    while os.getppid() == worker:
        time.sleep(_POLL_SECONDS)
        now = time.monotonic()
        spent, last = spent + min(now - last, 2 * _POLL_SECONDS), now  # a job that SLURM suspends stops this too
        record = shown
        with suppress(OSError):
            record = WorkerRecord.read(path) or shown
        if record is None or shown is None or record.since != shown.since or record.shard is None:
            spent = 0.0
        shown = record
        if shown and spent > limit and os.getppid() == worker:
            _end(path, shown, worker, limit / 60, max_retries)
            return


def _end(path: Path, record: WorkerRecord, worker: int, minutes: float, max_retries: int) -> None:
    """Record what becomes of the shard, then kill the `worker`: SLURM kills this process together with it."""
    key, leases = str(record.shard), Leases(path.parents[1])
    reason = f"TimeoutError: not done after {minutes:g} minutes (launcher.shard_timeout)"
    os.kill(worker, signal.SIGSTOP)  # so that it cannot complete the shard meanwhile
    try:
        if not leases.is_settled(key):
            record.model_copy(update={"state": "ended", "error": reason}).write(path)
            leases.lose(key, record.name, reason, most=min(max_retries + 1, MAX_LOSSES))
            print(f"killed: shard {key}: {reason}", file=sys.stderr, flush=True)
    finally:
        os.kill(worker, signal.SIGKILL)


def main() -> None:
    """Watch a worker, as `time_limit` starts it."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # they are meant for the worker, and this process ends with it
    path, limit, max_retries, worker = sys.argv[1:]
    watch(Path(path), float(limit), int(max_retries), int(worker))


if __name__ == "__main__":
    main()
