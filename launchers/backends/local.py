"""Workers on this host, each in a slot of its own, started by submitit."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import submitit
from filelock import FileLock

from generative_auctions.files import naming
from launchers.backends import Workers
from launchers.config import LocalConfig
from launchers.devices import Slot, slots_of, usable_cpus, visible_gpus
from launchers.worker_process import WorkerProcess
from launchers.worker_record import WorkerRecord, announce, living, local_name

_A_YEAR_IN_MINUTES = 365 * 24 * 60
_GRACE_SECONDS = 10.0


class LocalWorkers(Workers):
    """The workers of a stage on this host, never more than there are slots."""

    poll_seconds = 0.2

    def __init__(self, work_file: Path, options: LocalConfig) -> None:
        gpus = visible_gpus() if options.gpus else []
        self._slots = slots_of(gpus, usable_cpus(), workers_per_gpu=options.workers_per_gpu, most=options.slots)
        self.capacity = len(self._slots)
        self._work_file, self._stage = work_file, work_file.parents[1]
        self._running: dict[int, submitit.Job[None]] = {}
        self._taken: set[int] = set()

    def present(self, alive: Mapping[str, WorkerRecord], queue: Mapping[str, str]) -> int:
        """Return how many slots are taken, by workers of other launching processes too."""
        self._running = {number: job for number, job in self._running.items() if not job.done()}
        others = {record.slot for record in alive.values() if record.is_here and record.slot is not None}
        self._taken = self._running.keys() | others
        return len(self._taken)

    def start(self, number: int) -> None:
        """Start `number` workers in free slots, or fewer if another launching process has started some meanwhile."""
        with FileLock(self._work_file.with_name(".slots.lock")):
            known = len(self._taken)
            number -= self.present(living(self._stage), {}) - known
            for slot in [slot for slot in self._slots if slot.number not in self._taken][: max(0, number)]:
                job = self._running[slot.number] = _submit(WorkerProcess(self._work_file, Path.cwd(), slot), slot)
                facts = {"log": str(job.paths.stdout), "slot": slot.number, "gpu": slot.gpu}
                announce(self._stage, local_name(job.job_id), int(job.job_id), **facts)

    def dismiss(self) -> None:
        """Wait until the workers have ended, so that the memory of their GPUs is free."""
        deadline = time.monotonic() + _GRACE_SECONDS
        while self._alive() and time.monotonic() < deadline:
            time.sleep(0.05)

    def stop(self) -> str:
        """Stop the workers on this host, those of an earlier launch too. Returns: a message for the user."""
        deadline = time.monotonic() + _GRACE_SECONDS
        while alive := self._alive():
            for process in alive:  # again and again: a process that has just started may not handle signals yet
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL)
            time.sleep(0.1)
        return "the workers on this host were stopped"

    def _alive(self) -> set[int]:
        """Return the process numbers of the workers, and of submitit's processes that watch them."""
        watching = {int(job.job_id) for job in self._running.values() if not job.done()}
        alive = living(self._stage).values()
        return watching | {record.pid for record in alive if record.is_here and record.slot is not None}


# --- what submitit's LocalExecutor does not do by itself ----------------------------------------------


def _submit(process: WorkerProcess, slot: Slot) -> submitit.Job[None]:
    """Start `process` in its slot by submitit's `LocalExecutor`, which has to be worked around in three ways.

    It gives a job the environment of this process, so `env` sets the variables of the slot. It ends every job after a
    time limit, so the limit is a year. It lets a job share the terminal of this process, see `_without_terminal`.
    """
    folder = process.work_file.parent
    variables = [f"{name}={value}" for name, value in slot.environment().items()]
    executor = submitit.LocalExecutor(folder=folder, python=shlex.join(["env", *variables, sys.executable]))
    executor.update_parameters(timeout_min=_A_YEAR_IN_MINUTES, stderr_to_stdout=True)
    with naming(folder), _without_terminal():
        return executor.submit(process)


@contextmanager
def _without_terminal() -> Iterator[None]:
    """Detach processes that are started inside from the terminal: they hold no pipe open and get no Ctrl-C.

    The terminal's signals would reach submitit's processes too, which kill workers instead of letting them clean up.
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
