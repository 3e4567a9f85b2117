"""One more worker for a run, started by hand or by any scheduler.

It works on each stage in a process of its own, so that the memory of a GPU is free when the next stage begins, and so
that it can be the first process of a container.
"""

from __future__ import annotations

import os
import pickle
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from generative_auctions.signals import handled
from launchers.errors import LaunchError
from launchers.leases import Leases
from launchers.status import Standing, is_cancelled, stages, standing
from launchers.worker_process import EndSignals, StoredWork, read_work, take_until_told, work_path
from launchers.worker_record import Presence, own_name

_POLL_SECONDS = 1.0

_ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)
"""The signals that schedulers, shells and terminals send to end a process; LSF begins with SIGUSR2."""

DONE, FAILED, STOPPED = 0, 1, 3
"""Exit statuses: all shards are done; shards failed or this worker cannot work; a signal ended the worker early."""


def work_on(run_dir: Path, wait_seconds: float) -> int:
    """Take shards of the run, stage by stage, until there was nothing to do or to wait for during `wait_seconds`.

    Returns:
        The exit status.

    Raises:
        LaunchError: `run_dir` had no work in all that time, or its work cannot be done from here.
    """
    stop = _Stop()
    heeded = [number for number in _ENDS if signal.getsignal(number) != signal.SIG_IGN]  # SIGHUP under nohup is not
    with handled(heeded, stop.tell):
        status = _work_while_there_is_any(run_dir, wait_seconds, stop)
    if status == DONE and not any(work_path(folder).exists() for folder in stages(run_dir)):
        raise LaunchError(f"DIR = {run_dir}: expected a run that waits for workers, as one with launcher=external")
    return status


def _work_while_there_is_any(run_dir: Path, wait_seconds: float, stop: _Stop) -> int:
    """Take shards as `work_on` does, until a signal sets `stop.told`. Returns: the exit status."""
    status, nothing_left = DONE, dict[Path, tuple[int, int]]()
    deadline = time.monotonic() + wait_seconds
    while time.monotonic() <= deadline and not stop.told:
        for folder, keys in _with_work(run_dir).items():
            now, file = _freed(folder, keys), work_path(folder).stat().st_mtime_ns
            if now.unleased and nothing_left.get(folder) != (file, now.unleased):
                ended = _work_apart(folder, _checked(run_dir, folder), stop)
                if stop.told or is_cancelled(folder):
                    print(f"{folder.name}: told to end", flush=True)
                    return STOPPED
                if ended == 1:
                    return FAILED
                now = _freed(folder, keys)
                if failed := now.count("failed"):
                    print(f"{folder.name}: {failed} failed (python -m launchers status {run_dir})", flush=True)
                    status = FAILED
                if ended >= 0:  # shards that are not in the work file may still be open
                    nothing_left[folder] = (file, now.unleased)
                deadline = time.monotonic() + wait_seconds
            if now.count("running"):  # their worker may be lost
                deadline = time.monotonic() + wait_seconds
        time.sleep(_POLL_SECONDS)
    return STOPPED if stop.told else status


def _with_work(run_dir: Path) -> dict[Path, list[str]]:
    """Return the keys of each stage that has a work file and was not cancelled, by its folder."""
    found = stages(run_dir).items()
    return {folder: keys for folder, keys in found if work_path(folder).exists() and not is_cancelled(folder)}


def _freed(folder: Path, keys: list[str]) -> Standing:
    """Free the shards of dead workers, and return the state of all shards then."""
    Leases(folder).free_those_of_the_dead()
    return standing(folder, keys)


def _checked(run_dir: Path, folder: Path) -> StoredWork:
    """Read the work file of the stage `folder`. Raises `LaunchError` if its work cannot be done from here."""

    def wrong(expected: str) -> LaunchError:
        return LaunchError(f"DIR = {run_dir}: expected {expected}")

    for place in (folder, folder / "claims", folder / "workers"):
        if place.exists() and not os.access(place, os.W_OK):
            raise wrong(f"a directory in which this user may write ({place})")
    try:
        stored = read_work(work_path(folder))
    except (pickle.UnpicklingError, AttributeError, ImportError, EOFError) as error:
        raise wrong(f"work laid out by this version of the program ({type(error).__name__}: {error})") from None
    here, there = (version.rpartition(".")[0] for version in (platform.python_version(), stored.python))
    if here != there:
        raise wrong(f"work laid out by Python {here}, as it is here; it was by Python {there}")
    if not (stored.folder.exists() and stored.folder.samefile(folder)):
        raise wrong(f"the path by which the run was started, {stored.folder.parents[1]}")
    if not os.access(stored.directory, os.X_OK):
        raise wrong(f"a run that was started in a folder which is here too ({stored.directory} is not, or not open)")
    return stored


def _work_apart(folder: Path, stored: StoredWork, stop: _Stop) -> int:
    """Work on one stage in a process of its own. Returns: its exit status, negative if a signal ended it."""
    stop.process = subprocess.Popen([sys.executable, "-m", "launchers.join", folder], cwd=stored.directory)
    if stop.told:  # meanwhile
        stop.process.terminate()
    return stop.process.wait()


class _Stop:
    """Passes signals on to the process that works, which then gives its shard back and ends."""

    def __init__(self) -> None:
        self.told = False
        self.process: subprocess.Popen[bytes] | None = None

    def tell(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        self.told = True
        if self.process is not None:
            self.process.terminate()


def main() -> None:
    """Work on the stage that the command line names, as `_work_apart` starts it."""
    folder, signals = Path(sys.argv[1]), EndSignals(0.0)
    with Presence(folder, own_name(), gpu=os.environ.get("CUDA_VISIBLE_DEVICES", "")) as me, signals:
        failed = take_until_told(work_path(folder), me, signals)
    print(f"{folder.name}: {me.ended - failed} shards done, {failed} failed by worker {me.name}", flush=True)


if __name__ == "__main__":
    main()
