"""The one call: run a function over shards, see every failure."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from launchers.shards import Shard, error_path, write_atomic

Worker = Callable[[Shard], None]


class FailedShardsError(RuntimeError):
    """Some shards failed. `failures`: (key, first line of the error, path of its traceback) of each."""

    def __init__(self, failures: Sequence[tuple[str, str, Path]], total: int) -> None:
        self.failures = list(failures)
        lines = [f"{len(failures)} of {total} shards failed:"]
        lines += [f"  {key}: {reason} ({path})" for key, reason, path in failures]
        super().__init__("\n".join(lines))


def fan_out(
    make_worker: Callable[[], Worker],
    shards: Sequence[Shard],
    folder: Path,
    *,
    what: str,
    unit: str = "images",
) -> None:
    """Run `make_worker()(shard)` for each of `shards`, in this process, one after the other.

    The worker loads its model once and takes all shards; it marks each in `folder` when done. A shard that
    raises does not stop the others: its traceback goes to `folder`, and all failures are raised at the end
    as one `FailedShardsError`. With no shards the worker is never made.
    """
    if not shards:
        return
    folder.mkdir(parents=True, exist_ok=True)
    failures = []
    with _progress() as progress:
        task = progress.add_task(what, total=sum(shard.size for shard in shards), unit=unit)
        work = make_worker()
        progress.reset(task)  # loading the model is not part of the rate
        for shard in shards:
            try:
                work(shard)
            except Exception as error:
                path = error_path(folder, shard.key)
                write_atomic(path, traceback.format_exc().encode())
                failures.append((shard.key, f"{type(error).__name__}: {error}".splitlines()[0], path))
            progress.advance(task, shard.size)
    if failures:
        raise FailedShardsError(failures, len(shards))


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        """`12.3 images/s`."""
        return Text(f"{task.speed:.1f} {task.fields['unit']}/s" if task.speed else "", style="cyan")


def _progress() -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True))
