"""`fan_out`: run a function over shards, in this process or wherever a launcher says."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from generative_auctions.signals import handled
from launchers.backends import Workers
from launchers.config import ExternalConfig, InlineConfig, LauncherConfig, LocalConfig, SlurmConfig
from launchers.errors import FailedShardsError, LaunchError, NotWaitedError
from launchers.leases import Leases
from launchers.progress import Bar, Watch
from launchers.shards import Shard, completion_of, completion_path, failure_of, forget
from launchers.status import CANCELLED, is_cancelled, standing
from launchers.supervisor import NoWorkersError, supervise
from launchers.worker import Work, Worker, take_shards
from launchers.worker_record import Presence, own_name

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

    Each worker process loads its model once and makes many shards. Living workers of an earlier call are joined, not
    doubled. A shard that raises does not stop the others: its traceback is recorded in `folder`, and all failures are
    raised at the end as one `FailedShardsError`. Without shards `make_worker` is never called.

    Args:
        make_worker: is called once in each worker process, and returns the function that makes a shard.
        shards: what to make.
        folder: where completions, failures and the workers' records go, `RUN_DIR/shards/STAGE`.
        what: a name for the progress display; "" for no display of work in this process.
        unit: the name of what a shard's `size` counts.
        launcher: where to run.

    Raises:
        FailedShardsError: shards failed, or no worker stayed alive.
        NotWaitedError: workers were started that are not waited for.
        LaunchError: the launcher cannot do what it is asked.
        OSError: the disk is full.
        KeyboardInterrupt: the work was interrupted or cancelled.
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
    """Make failed, lost and cancelled shards open again, and those with a damaged completion record."""
    leases = Leases(folder)
    (folder / CANCELLED).unlink(missing_ok=True)
    leases.free_those_of_the_dead()
    leases.reopen({shard.key for shard in shards})
    for shard in shards:
        if os.path.lexists(completion_path(folder, shard.key)) and completion_of(folder, shard.key) is None:
            forget(folder, shard.key)  # a damaged one; asked in this order, for a living worker may complete it now


def _inline(work: Work, what: str, unit: str) -> None:
    keys = [shard.key for shard in work.shards]
    with Bar(work.shards, what=what, unit=unit) as bar, Presence(work.folder, own_name()) as me:
        here = Work(lambda: bar.loaded(work.make_worker), work.shards, work.folder, work.max_retries)
        while True:
            take_shards(here, me, report=bar.advance, should_stop=lambda: is_cancelled(work.folder))
            if is_cancelled(work.folder):
                raise KeyboardInterrupt
            if not standing(work.folder, keys).open:
                return
            time.sleep(1)  # workers of an earlier call have leased the rest


def _with_workers(work: Work, launcher: LocalConfig | SlurmConfig | ExternalConfig, what: str, unit: str) -> None:
    keys, run_dir = [shard.key for shard in work.shards], shlex.quote(str(work.folder.parents[1]))
    check_launcher(launcher, work.folder.parents[1])
    workers = _workers(launcher, work)
    ends = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) == signal.SIG_DFL]
    with (
        Watch(work.shards, work.folder, what=what, unit=unit) as watch,
        handled(ends, signal.default_int_handler),  # as Ctrl-C does, for otherwise the workers would go on
    ):
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


def _workers(launcher: LocalConfig | SlurmConfig | ExternalConfig, work: Work) -> Workers:
    """Store `work` for workers, and return those of `launcher`; submitit is imported only here."""
    from launchers.backends.external import ExternalWorkers
    from launchers.backends.local import LocalWorkers
    from launchers.backends.slurm import SlurmWorkers
    from launchers.worker_process import write_work

    work_file = write_work(work)
    if isinstance(launcher, ExternalConfig):
        return ExternalWorkers(work_file)
    return LocalWorkers(work_file, launcher) if isinstance(launcher, LocalConfig) else SlurmWorkers(work_file, launcher)


def check_launcher(launcher: LauncherConfig, run_dir: Path) -> None:
    """Refuse a launcher that could start no worker here for a run in `run_dir`.

    Raises:
        LaunchError: SLURM's commands are missing, or submitit and SLURM would misread the path.
    """
    if isinstance(launcher, InlineConfig):
        return
    if found := re.search(r"%[\w%]", str(run_dir.absolute())):
        expected = f"a path without {found[0]}, in the place of which SLURM and submitit write job numbers"
        raise LaunchError(f"run_dir = {run_dir.absolute()}: expected {expected}")
    if isinstance(launcher, SlurmConfig) and not shutil.which("sbatch"):
        raise LaunchError("launcher = slurm: expected a host with SLURM's commands (there is no sbatch here)")
