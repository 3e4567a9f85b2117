"""What every worker does, wherever it runs: load once, take shards while there are any, leave a record of each end."""

from __future__ import annotations

import errno
import faulthandler
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from generative_auctions.files import write_atomic
from launchers.leases import Leases
from launchers.shards import Shard, completion_of, error_path
from launchers.worker_record import Presence, living

Worker = Callable[[Shard], None]

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Errors that every other shard would meet too."""


class StoppedError(BaseException):
    """This worker must end now; the shard in the making is free again."""


@dataclass(frozen=True)
class Work:
    """What the workers of a stage share: `make_worker()` loads what they need, then takes one shard after the other.

    `shard_timeout` is in minutes, None for no limit.
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
    most: int | None = None,
    enough: Callable[[], bool] = lambda: False,
    report: Callable[[Shard, bool], None] = lambda shard, done: None,
) -> int:
    """Make shards of `work` that nobody else has until none is left, `most` are made or it is `enough`; how many fail.

    Each is marked done by the worker function itself, or failed with its traceback; `report` hears of both. The worker
    function is made when there is a shard for it. Raises what making it raises, and `OSError` where there is no room.
    """
    leases, make, failed = Leases(work.folder), None, 0
    for made, shard in enumerate(_claimed(work, leases, me, enough), start=1):
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
        if made == most:
            break
    return failed


def _claimed(work: Work, leases: Leases, me: Presence, enough: Callable[[], bool]) -> Iterator[Shard]:
    """Shards as they are claimed; at the end once more those that were given back or whose worker is gone."""
    found = True
    while found:
        found = False
        for shard in work.shards:
            if enough():
                return
            if leases.take(shard.key, me.name):
                found = True
                yield shard
        held = leases.holders()
        leases.free(held, living(work.folder))


def _begin(shard: Shard, work: Work, me: Presence) -> None:
    """From now on time counts; the log shows where it was spent if there is a limit and that is reached."""
    me.begin(shard.key)
    if work.shard_timeout is not None:
        faulthandler.dump_traceback_later(60 * work.shard_timeout)


def _try(make: Worker, shard: Shard, work: Work, me: Presence) -> bool:
    """Make `shard`, again if it fails and may be tried again; whether it was made."""
    attempts = work.max_retries + 1
    for _ in range(attempts):
        try:
            make(shard)
            if completion_of(work.folder, shard.key) is None:
                raise RuntimeError("the worker function left no mark that the shard is done")
            return True
        except (Exception, SystemExit) as error:
            if isinstance(error, OSError) and error.errno in _NO_ROOM:
                raise
            failure, text = error, traceback.format_exc()
    tried = "1 attempt" if attempts == 1 else f"{attempts} attempts"
    where = f"worker {me.name}, after {tried}" + (f", log {me.log}" if me.log else "")
    report = f"{reason(failure)}\n{where}\n\n{text}"
    write_atomic(error_path(work.folder, shard.key), report.encode(errors="backslashreplace"))
    return False


def reason(error: BaseException) -> str:
    """The error in one line."""
    return f"{type(error).__name__}: {error}".strip().splitlines()[0]
