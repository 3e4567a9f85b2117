"""Who makes which shard: a symbolic link per shard in the making, so that no two workers make the same one.

A link appears whole or not at all and only once under its name, on network file systems too; it points to the record
of its worker. Those of workers that ended without a word are moved to `lost`, and their shards are free again.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from launchers.attendance import workers_of
from launchers.shards import error_path, mark_path, naming, write_atomic

MOST_LOST = 3
"""A shard that so many workers did not survive is given up."""


class Claims:
    """The claims on the shards of one stage, `folder`."""

    def __init__(self, folder: Path, make: bool = True) -> None:
        self.folder = folder
        self._claims, self._lost = folder / "claims", folder / "lost"
        for place in (self._claims, self._lost) if make else ():
            with naming(place):
                place.mkdir(parents=True, exist_ok=True)

    def take(self, key: str, worker: str) -> bool:
        """Claim the shard for `worker`; False if it is claimed, done or failed already."""
        if self.is_settled(key):
            return False
        link = self._claims / key
        try:
            with naming(link):
                link.symlink_to(f"../workers/{worker}.json")
        except FileExistsError:
            return False
        if self.is_settled(key):  # meanwhile, by the worker that had it until now
            self.release(key)
            return False
        return True

    def release(self, key: str) -> None:
        """The worker that has the shard has it no longer."""
        (self._claims / key).unlink(missing_ok=True)

    def holders(self) -> dict[str, str]:
        """The worker of each claimed shard."""
        return {link.name: name for link in _listed(self._claims) if (name := _holder(link)) is not None}

    def free(self, held: Mapping[str, str], there: Collection[str]) -> None:
        """Take the shards away from workers that are gone; one that too many did not survive is marked as failed.

        `held` is what `holders` said before it was asked who is `there`: a worker that has begun meanwhile is not gone.
        """
        for key, worker in held.items():
            if worker not in there:
                self._lose(key, worker)
        for key, workers in self.losses().items():
            if len(workers) >= MOST_LOST and not self.is_settled(key):
                self._give_up(key, workers)

    def _give_up(self, key: str, workers: Sequence[str]) -> None:
        last = workers_of(self.folder).get(workers[-1], {}).get("log")
        names = ", ".join(workers) + (f", log {last}" if last else "")
        text = f"{len(workers)} workers ended while they worked on it\nworkers {names}\n"
        write_atomic(error_path(self.folder, key), text.encode())

    def _lose(self, key: str, worker: str) -> None:
        link, lost = self._claims / key, self._lost / f"{key}.{worker}"
        if _holder(link) != worker:
            return
        with suppress(FileNotFoundError):  # another rescuer was quicker
            link.rename(lost)
            if _holder(lost) != worker:  # and a third has claimed it since: give it back
                lost.rename(link)

    def losses(self) -> dict[str, list[str]]:
        """The workers that each shard was lost with since it was last asked for."""
        out: dict[str, list[str]] = {}
        for link in _listed(self._lost):
            out.setdefault(link.name.partition(".")[0], []).append(link.name.partition(".")[2])
        return out

    def reopen(self, keys: Collection[str]) -> None:
        """Forget that the shards failed or were lost: they are asked for again."""
        for key in keys:
            error_path(self.folder, key).unlink(missing_ok=True)
        for link in _listed(self._lost):
            if link.name.partition(".")[0] in keys:
                link.unlink(missing_ok=True)

    def is_settled(self, key: str) -> bool:
        """Whether the shard is done or has failed."""
        return mark_path(self.folder, key).exists() or error_path(self.folder, key).exists()


def _listed(folder: Path) -> list[Path]:
    with suppress(FileNotFoundError):
        return sorted(map(Path, (entry.path for entry in os.scandir(folder))))
    return []


def _holder(link: Path) -> str | None:
    """The worker that a claim names; "" for a file in the place of a link: nobody's, and so free again."""
    try:
        return Path(os.readlink(link)).name.removesuffix(".json")
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return ""
