"""Workers on this host, each in a place of its own, started by submitit."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import submitit
from filelock import FileLock

from generative_auctions.files import naming
from launchers.config import LocalConfig
from launchers.devices import Slot, slots_of, usable_cpus, visible_gpus
from launchers.worker_process import WorkerProcess
from launchers.worker_record import announce, is_here, living, local_name

_A_YEAR_IN_MINUTES = 365 * 24 * 60
_GRACE_SECONDS = 10.0


class LocalWorkers:
    """The workers of a stage on this host, never more than there are slots."""

    poll_seconds = 0.2

    def __init__(self, work_file: Path, options: LocalConfig) -> None:
        gpus = visible_gpus() if options.gpus else []
        places = slots_of(gpus, usable_cpus(), workers_per_gpu=options.workers_per_gpu, most=options.slots)
        self._slots = {slot.number: slot for slot in places}
        self._work_file = work_file
        self._running: dict[int, submitit.Job[None]] = {}
        self._taken: set[int] = set()

    @property
    def capacity(self) -> int:
        """How many workers may work at once."""
        return len(self._slots)

    def wanted(self, shards: int) -> int:
        """Workers for `shards` shards."""
        return min(shards, len(self._slots))

    def queue(self) -> Mapping[str, str] | None:
        """There is no queue on a host."""
        return {}

    def note(self, queue: Mapping[str, str] | None) -> str:
        """Nothing is to be known of it."""
        return ""

    def present(self, there: Mapping[str, Mapping[str, Any]], queue: Mapping[str, str]) -> int:
        """How many slots are taken, by workers of other launching processes too."""
        self._running = {number: job for number, job in self._running.items() if not job.done()}
        others = {record["slot"] for record in there.values() if is_here(record) and record.get("slot") is not None}
        self._taken = self._running.keys() | others
        return len(self._taken)

    def start(self, number: int) -> None:
        """Start workers in free slots, `number` less those that another launching process has started meanwhile."""
        folder = self._work_file.parents[1]
        with FileLock(self._work_file.with_name(".slots.lock")):
            known = len(self._taken)
            number -= self.present(living(folder), {}) - known
            for slot in [slot for slot in self._slots.values() if slot.number not in self._taken][: max(0, number)]:
                with naming(self._work_file.parent), _apart():
                    job = self._running[slot.number] = self._submit(slot)
                facts = {"log": str(job.paths.stdout), "slot": slot.number, "gpu": slot.gpu}
                announce(folder, local_name(job.job_id), int(job.job_id), **facts)

    def _submit(self, slot: Slot) -> submitit.Job[None]:
        variables = [f"{name}={value}" for name, value in slot.environment().items()]
        executor = submitit.LocalExecutor(
            folder=self._work_file.parent, python=shlex.join(["env", *variables, sys.executable])
        )
        executor.update_parameters(timeout_min=_A_YEAR_IN_MINUTES, stderr_to_stdout=True)
        return executor.submit(WorkerProcess(self._work_file, Path.cwd(), slot))

    def dismiss(self) -> None:
        """Wait until the workers have ended: what they hold of a GPU is free then."""
        deadline = time.monotonic() + _GRACE_SECONDS
        while self._alive() and time.monotonic() < deadline:
            time.sleep(0.05)

    def stop(self) -> str:
        """Stop the workers on this host, those of an earlier launch too; what became of them."""
        deadline = time.monotonic() + _GRACE_SECONDS
        while alive := self._alive():
            for process in alive:  # again and again: one that has just started may not heed it yet
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL)
            time.sleep(0.1)
        return "the workers on this host were stopped"

    def _alive(self) -> set[int]:
        """The processes of the workers, and those that submitit has put over ours."""
        over = {int(job.job_id) for job in self._running.values() if not job.done()}
        there = living(self._work_file.parents[1]).values()
        return over | {record["pid"] for record in there if is_here(record) and record.get("slot") is not None}


@contextmanager
def _apart() -> Iterator[None]:
    """What is started inside has no part in the terminal: it keeps no pipe open and hears no Ctrl-C.

    Its signals would reach submitit's processes too, which kill workers instead of letting them clean up.
    """
    kept = [(number, os.dup(number)) for number in (0, 1, 2)]
    nothing = os.open(os.devnull, os.O_RDWR)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        for number, _ in kept:
            os.dup2(nothing, number)
        yield
    finally:
        for number, copy in kept:
            os.dup2(copy, number)
            os.close(copy)
        os.close(nothing)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
