"""The loop of a worker, wherever it runs: load once, make shards while there are any, record how each ended."""

from __future__ import annotations

import errno
import faulthandler
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from launchers.leases import Leases
from launchers.shards import Failure, Shard, completion_of
from launchers.worker_record import Presence

Worker = Callable[[Shard], None]

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Errors that every further shard would raise too."""


class StoppedError(BaseException):
    """This worker must end now, and give its shard back."""


@dataclass(frozen=True)
class Work:
    """What the workers of a stage share.

    Args:
        make_worker: loads what a worker needs; returns the function that makes one shard a call.
        shards: the pieces of work.
        folder: the folder of the stage.
        max_retries: how often a failed shard is tried again on the spot.
        shard_timeout: minutes for a shard; None for no limit.
    """

    make_worker: Callable[[], Worker]
    shards: Sequence[Shard]
    folder: Path
    max_retries: int = 0
    shard_timeout: float | None = None


def take_shards(
    work: Work,
    me: Presence,
    *,
    max_shards: int | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    report: Callable[[Shard, bool], None] = lambda shard, done: None,
) -> int:
    """Process shards of `work` that no other worker holds until none remain, `max_shards` are made or `should_stop()`.

    The worker function is made when the first shard is leased. It writes the completion record of a shard itself; this
    function writes the record of a failure.

    Args:
        work: what to do.
        me: the record of this process.
        max_shards: the number of shards to process at most; None for all.
        should_stop: tells, before each shard, whether to stop.
        report: is called with each shard that ended, and whether it is done.

    Returns:
        The number of failed shards.

    Raises:
        Exception: what making the worker function raises.
        OSError: there is no room on the disk.
    """
    leases, make, failed = Leases(work.folder), None, 0
    for made, shard in enumerate(_leased(work, leases, me, should_stop), start=1):
        try:
            _begin(shard, work, me)
            if make is None:
                make = work.make_worker()
                me.update(state="working", working_since=time.time())
                _begin(shard, work, me)
            done = _try(make, replace(shard, worker=me.name), work, me)
        except BaseException:
            if not leases.is_settled(shard.key):
                leases.release(shard.key, me.name)
            raise
        failed += not done
        me.count(shard.size if done else 0, done)
        report(shard, done)
        if made == max_shards:
            break
    return failed


def _leased(work: Work, leases: Leases, me: Presence, should_stop: Callable[[], bool]) -> Iterator[Shard]:
    """Yield shards as they are leased, until a pass over all of them finds none that is free."""
    found = True
    while found:
        found = False
        for shard in work.shards:
            if should_stop():
                return
            if leases.take(shard.key, me.name):
                found = True
                yield shard
        leases.free_those_of_the_dead()


def _begin(shard: Shard, work: Work, me: Presence) -> None:
    """Start the clock of `shard`; when its time limit is reached, the worker's stack is written to its log."""
    me.begin(shard.key)
    if work.shard_timeout is not None:
        faulthandler.dump_traceback_later(60 * work.shard_timeout)


def _try(make: Worker, shard: Shard, work: Work, me: Presence) -> bool:
    """Make `shard`, and again while it fails and may be tried again. Returns: whether it was made."""
    for attempt in range(1, work.max_retries + 2):
        try:
            make(shard)
            if completion_of(work.folder, shard.key) is None:
                raise RuntimeError("the worker function left no completion record of the shard")
            return True
        except (Exception, SystemExit) as error:
            if isinstance(error, OSError) and error.errno in _NO_ROOM:
                raise
            failure = Failure.of(error, key=shard.key, workers=[me.name], attempts=attempt, log=me.log)
    failure.write(work.folder)
    return False
