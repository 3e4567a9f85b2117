"""The one call: run a function over shards, wherever that is, and see every failure."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from launchers.config import ExternalConfig, InlineConfig, LauncherConfig, LocalConfig, SlurmConfig
from launchers.errors import FailedShardsError, LaunchError, NotWaitedError
from launchers.leases import Leases
from launchers.progress import Bar, Watch
from launchers.shards import Shard, completion_of, completion_path, forget
from launchers.status import CANCELLED, failure_of, is_cancelled, standing
from launchers.supervisor import NoWorkersError, Workers, supervise
from launchers.worker import Work, Worker, take_shards
from launchers.worker_record import Presence, living, own_name

_INLINE = InlineConfig()
_GO_ON = "the workers were started and go on"


def fan_out(
    make_worker: Callable[[], Worker],
    shards: Sequence[Shard],
    folder: Path,
    *,
    what: str,
    unit: str = "images",
    launcher: LauncherConfig = _INLINE,
) -> None:
    """Run `make_worker()(shard)` once for each of `shards`, in this process or where `launcher` says.

    A worker is made where it works, loads its model once and takes many shards; it marks each in `folder` when done.
    Workers of an earlier call that are still at it are joined, not doubled. A shard that raises does not stop the
    others: its traceback goes to `folder`, and all failures are raised at the end as one `FailedShardsError`, as is
    that no worker stayed alive. With no shards the worker is never made.

    Raises `NotWaitedError` after starting workers that are not waited for, `LaunchError` if the launcher cannot do
    what it is asked, `OSError` where the disk is full, and `KeyboardInterrupt` when interrupted or cancelled.
    """
    if not shards:
        return
    folder = folder.absolute()
    _reopen(shards, folder)
    work, ends = Work(make_worker, shards, folder, launcher.max_retries, launcher.shard_timeout), []
    try:
        if isinstance(launcher, InlineConfig):
            _inline(work, what, unit)
        else:
            _with_workers(work, launcher, what, unit)
    except NoWorkersError as error:
        ends = error.ends
    failures = [failure for shard in shards if (failure := failure_of(folder, shard.key))]
    if failures or ends:
        unmade = standing(folder, [shard.key for shard in shards]).open
        raise FailedShardsError(failures, len(shards), unmade, ends)


def _reopen(shards: Sequence[Shard], folder: Path) -> None:
    """These shards are to be made, whatever became of them before."""
    leases = Leases(folder)
    (folder / CANCELLED).unlink(missing_ok=True)
    held = leases.holders()
    leases.free(held, living(folder))
    leases.reopen({shard.key for shard in shards})
    for shard in shards:
        if os.path.lexists(completion_path(folder, shard.key)) and completion_of(folder, shard.key) is None:
            forget(folder, shard.key)  # a damaged one; asked in this order, for a living worker may be marking it now


def _inline(work: Work, what: str, unit: str) -> None:
    keys = [shard.key for shard in work.shards]
    with Bar(work.shards, what=what, unit=unit) as bar, Presence(work.folder, own_name()) as me:
        here = Work(lambda: bar.loaded(work.make_worker), work.shards, work.folder, work.max_retries)
        while True:
            take_shards(here, me, report=bar.advance, enough=lambda: is_cancelled(work.folder))
            if is_cancelled(work.folder):
                raise KeyboardInterrupt
            if not standing(work.folder, keys).open:
                return
            time.sleep(1)  # in the hands of workers of an earlier call


def _with_workers(work: Work, launcher: LocalConfig | SlurmConfig | ExternalConfig, what: str, unit: str) -> None:
    keys, run_dir = [shard.key for shard in work.shards], shlex.quote(str(work.folder.parents[1]))
    _check_path(work.folder)
    workers = _workers(work, launcher)
    with Watch(work.shards, work.folder, what=what, unit=unit) as watch, _interruptible():
        try:
            finished = supervise(keys, work.folder, workers, watch, wait=launcher.wait)
        except KeyboardInterrupt:
            print(f"{workers.stop()} (python -m launchers status {run_dir})", file=sys.stderr)
            raise
    if not finished:
        is_external = isinstance(launcher, ExternalConfig)
        stands = f"the work waits for workers (`python -m launchers work {run_dir}`)" if is_external else _GO_ON
        raise NotWaitedError(
            f"{what}: {stands}; `python -m launchers status {run_dir}` says how far they "
            "are, and the same command goes on from there"
        )


def check_launcher(launcher: LauncherConfig, run_dir: Path) -> None:
    """Refuse a launcher that could start no worker here for a run in `run_dir`. Raises `LaunchError`."""
    if isinstance(launcher, InlineConfig):
        return
    _check_path(run_dir.absolute() / "shards" / "stage")
    if isinstance(launcher, SlurmConfig) and not shutil.which("sbatch"):
        raise LaunchError("launcher = slurm: expected a host with SLURM's commands (there is no sbatch here)")


def _check_path(folder: Path) -> None:
    """Refuse a path in which submitit and SLURM would put the number of a job. Raises `LaunchError`."""
    if found := re.search(r"%[\w%]", str(folder)):
        expected = f"a path without {found[0]}, in the place of which SLURM and submitit write job numbers"
        raise LaunchError(f"run_dir = {folder.parents[1]}: expected {expected}")


def _workers(work: Work, launcher: LocalConfig | SlurmConfig | ExternalConfig) -> Workers:
    from launchers.worker_process import write_work  # submitit, only where it starts workers

    if isinstance(launcher, ExternalConfig):
        from launchers.backends.external import ExternalWorkers

        return ExternalWorkers(write_work(work))
    if isinstance(launcher, LocalConfig):
        from launchers.backends.local import LocalWorkers

        return LocalWorkers(write_work(work), launcher)
    from launchers.backends.slurm import SlurmWorkers

    return SlurmWorkers(write_work(work), launcher)


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM, and the end of the terminal but under nohup, interrupt as Ctrl-C: nobody else would stop the workers.

    A process that handles these signals itself has to see to that.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    numbers = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) == signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
