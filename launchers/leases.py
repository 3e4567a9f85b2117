"""Leases on shards: a symbolic link per shard, so that no two workers make the same one.

Making a link is atomic, on network file systems too, and fails if there is one of that name. It points to the record of
its worker. It stays when the shard is done or has failed, because a network file system may show for seconds that
there is no completion record yet. The links of dead workers are moved to `lost`, and their shards are free again.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from generative_auctions.files import naming
from launchers.shards import Failure, completion_path, failure_path, lease_path
from launchers.worker_record import living, workers_of

MAX_LOSSES = 3
"""The number of workers that may die on a shard before the shard counts as failed."""


class Leases:
    """The leases on the shards of one stage, `folder`."""

    def __init__(self, folder: Path, make: bool = True) -> None:
        self.folder = folder
        self._leases, self._lost = folder / "claims", folder / "lost"
        for place in (self._leases, self._lost) if make else ():
            with naming(place):
                place.mkdir(parents=True, exist_ok=True)

    def take(self, key: str, worker: str) -> bool:
        """Lease the shard to `worker`; False if another holds its lease, or it is done or has failed already."""
        if self.is_settled(key):
            return False
        link = lease_path(self.folder, key)
        try:
            with naming(link):
                link.symlink_to(f"../workers/{worker}.json")
        except FileExistsError:
            return _holder(link) == worker  # a network file system may repeat a request that had succeeded
        if self.is_settled(key):  # by a completion record that came without a lease, from another run
            self.release(key, worker)
            return False
        return True

    def release(self, key: str, worker: str) -> None:
        """Give the shard back, if it is `worker` that has it."""
        released = self._leases / f".{key}.{worker}"
        if self._move(key, worker, released):
            released.unlink(missing_ok=True)

    def holders(self) -> dict[str, str]:
        """Return the worker of each shard that is leased and neither done nor failed."""
        leased = [key for key in _names(self._leases) if not key.startswith(".")]
        names = [*_names(self.folder), *_names(self.folder / "failed")]  # after the leases, and from no cache
        settled = {name.partition(".")[0] for name in names}
        links = {key: lease_path(self.folder, key) for key in leased if key not in settled}
        return {key: name for key, link in links.items() if (name := _holder(link)) is not None}

    def free(self, held: Mapping[str, str], alive: Collection[str]) -> None:
        """End the leases of dead workers; a shard with `MAX_LOSSES` dead workers has failed.

        Args:
            held: the `holders`, read before the living workers, so that none of a new worker is among them.
            alive: the names of the living workers.
        """
        for key, worker in held.items():
            if worker not in alive:
                self.lose(key, worker, f"{MAX_LOSSES} workers ended while they worked on it")

    def free_those_of_the_dead(self) -> None:
        """End the leases of workers that are dead by their records, without asking SLURM."""
        held = self.holders()
        self.free(held, living(self.folder))

    def lose(self, key: str, worker: str, reason: str, most: int = MAX_LOSSES) -> None:
        """End the lease of `worker`, which died before the shard was done.

        Args:
            key: the key of the shard.
            worker: the name of the worker.
            reason: why the shard has failed, if this is one loss too many.
            most: the number of losses with which a shard has failed.
        """
        workers = list(dict.fromkeys([*self.losses().get(key, []), worker]))
        if len(workers) >= most and not self.is_settled(key):  # recorded before the shard is free for another
            last = workers_of(self.folder).get(worker)
            Failure(key=key, message=reason, workers=workers, log=last.log if last else None).write(self.folder)
        self._move(key, worker, self._lost / f"{key}.{worker}")

    def _move(self, key: str, worker: str, to: Path) -> bool:
        """Move the lease of `worker` on the shard to the path `to`; False if it has none."""
        link = lease_path(self.folder, key)
        if _holder(link) != worker:
            return False
        with suppress(FileNotFoundError):  # another was quicker
            link.rename(to)
            if _holder(to) == worker:
                return True
            to.rename(link)  # another worker has leased it since: put its lease back
        return False

    def losses(self) -> dict[str, list[str]]:
        """Return the workers that died while they made each shard, since the shard was last reopened."""
        out: dict[str, list[str]] = {}
        for name in _names(self._lost):
            out.setdefault(name.partition(".")[0], []).append(name.partition(".")[2])
        return out

    def reopen(self, keys: Collection[str]) -> None:
        """Remove the records of failures and losses of the shards, because they are to be made again."""
        for key in keys:
            if (failure := failure_path(self.folder, key)).exists():
                lease_path(self.folder, key).unlink(missing_ok=True)
                failure.unlink(missing_ok=True)
        for name in _names(self._lost):
            if name.partition(".")[0] in keys:
                (self._lost / name).unlink(missing_ok=True)

    def is_settled(self, key: str) -> bool:
        """Tell whether the shard is done or has failed; a network file system may answer some seconds late."""
        return completion_path(self.folder, key).exists() or failure_path(self.folder, key).exists()


def _names(folder: Path) -> list[str]:
    with suppress(FileNotFoundError):
        return sorted(os.listdir(folder))
    return []


def _holder(link: Path) -> str | None:
    """Return the worker that a lease names; None without a lease; "", which no worker is called, if it is no link."""
    try:
        return Path(os.readlink(link)).name.removesuffix(".json")
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return ""
