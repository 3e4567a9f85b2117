"""The status of a stage, from its files: which shards are done, failed, running, lost or pending, and who works."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from generative_auctions.files import write_atomic
from launchers.errors import LaunchError
from launchers.leases import Leases
from launchers.shards import KEY
from launchers.squeue import queued
from launchers.worker_record import BEAT_SECONDS, LOST_AFTER_SECONDS, WorkerRecord, living

CANCELLED = "cancelled"
"""The file that `python -m launchers cancel` writes. The launching process and the workers stop when they see it."""

_MANIFEST = "shards.txt"
STATES = ("done", "running", "pending", "failed", "lost")


def write_manifest(folder: Path, keys: list[str]) -> None:
    """Write the list of all shards of the stage `folder`, by which pending ones are counted."""
    write_atomic(folder / _MANIFEST, ("\n".join(keys) + "\n").encode())


@dataclass(frozen=True)
class Standing:
    """How a stage stands: `states` of shards by key, number of `losses`, records of the living `workers`."""

    states: Mapping[str, str]
    losses: int
    workers: Mapping[str, WorkerRecord]

    def count(self, state: str) -> int:
        """Return how many shards are in `state`."""
        return sum(own == state for own in self.states.values())

    @property
    def open(self) -> int:
        """The number of shards that are neither done nor failed."""
        return len(self.states) - self.count("done") - self.count("failed")

    @property
    def unleased(self) -> int:
        """The number of open shards that no living worker holds."""
        return self.open - self.count("running")

    def __str__(self) -> str:
        shown = {state: self.count(state) for state in STATES}
        always = ("done", "failed", "pending")
        return ", ".join(f"{number} {state}" for state, number in shown.items() if number or state in always)


def standing(
    folder: Path, keys: Iterable[str], queue: Mapping[str, str] | None = None, patience: float = LOST_AFTER_SECONDS
) -> Standing:
    """Return how the shards `keys` of the stage `folder` stand.

    Args:
        folder: the folder of the stage.
        keys: the keys of the shards.
        queue: the state of each job in SLURM's queue by its id; None if it is not known.
        patience: seconds without a new record after which a worker is taken for dead, if nothing else can tell.
    """
    leases = Leases(folder, make=False)
    holders, losses = leases.holders(), leases.losses()  # read before the living workers and the completions
    alive = living(folder, queue, patience)
    done, failed = ({path.stem for path in place.glob("*.json")} for place in (folder, folder / "failed"))

    def state(key: str) -> str:
        if key in failed or key in done:
            return "failed" if key in failed else "done"
        if key in holders:
            return "running" if holders[key] in alive else "lost"
        return "lost" if key in losses else "pending"

    return Standing({key: state(key) for key in keys}, sum(map(len, losses.values())), alive)


def watched(folder: Path, keys: Sequence[str], queue: Mapping[str, str] | None = None) -> Standing:
    """Return how the shards stand, after waiting some seconds for new records of workers on other hosts."""
    now, deadline = standing(folder, keys, queue), time.monotonic() + 2.4 * BEAT_SECONDS
    first = {name: record.seen for name, record in now.workers.items() if record.may_be_silent(queue)}
    while now.open and any(name in now.workers and now.workers[name].seen == seen for name, seen in first.items()):
        if time.monotonic() > deadline:
            return standing(folder, keys, queue, patience=2 * BEAT_SECONDS)
        time.sleep(0.2)
        now = standing(folder, keys, queue)
    return now


def queue_of(folder: Path) -> Mapping[str, str] | None:
    """Return the state of the user's jobs in SLURM's queue by id; None if the stage `folder` has submitted none.

    Raises:
        SlurmError: SLURM does not answer.
        LaunchError: SLURM cannot be asked from here.
    """
    return queued() if submitted(folder) else None


def jobs_in(queue: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return those jobs of `queue` that the stage `folder` submitted."""
    mine = submitted(folder)
    return {job: state for job, state in queue.items() if job.partition("_")[0] in mine}


def is_cancelled(folder: Path) -> bool:
    """Tell whether the work of the stage `folder` was cancelled."""
    return (folder / CANCELLED).exists()


def submitted(folder: Path) -> set[str]:
    """Return the ids of the jobs and arrays that the stage `folder` submitted, by the files that submitit leaves."""
    return {path.name.partition("_")[0] for path in folder.glob("jobs/*_submission.sh")}


def stages(run_dir: Path) -> dict[Path, list[str]]:
    """Return the keys of the shards of each stage by its folder, `run_dir/shards/STAGE`.

    Raises:
        LaunchError: the file that lists the shards of a stage is damaged; it is named.
    """
    try:
        manifests = sorted(run_dir.glob(f"shards/*/{_MANIFEST}"))
    except OSError as error:  # a name that is too long
        raise LaunchError(f"DIR = {run_dir}: expected a run directory ({str(error.strerror).lower()})") from None
    return {manifest.parent: _keys(manifest) for manifest in manifests}


def _keys(manifest: Path) -> list[str]:
    try:
        keys = manifest.read_text(encoding="ascii").split()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "other bytes stand there"
    else:
        if keys and all(re.fullmatch(KEY, key) for key in keys):
            return keys
        reason = "other text stands there" if keys else "it is empty"
    expected = f"a line with the key of each shard ({reason}); the command that made the run writes it again"
    raise LaunchError(f"DIR = {manifest}: expected {expected}")
