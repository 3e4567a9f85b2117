"""The progress display: a live table on a terminal, elsewhere a line every half a minute."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from generative_auctions.terminal import plain_console
from launchers.shards import Shard, failure_of
from launchers.status import Standing
from launchers.worker_record import WorkerRecord

_LINE_SECONDS = 30.0
_MOST_WORKERS_SHOWN = 24
_QUIET_SECONDS = 300.0


class Watch:
    """The display of a stage with workers elsewhere: ``with Watch(…) as watch: watch.show(standing)``."""

    def __init__(self, shards: Sequence[Shard], folder: Path, *, what: str, unit: str) -> None:
        self._sizes = {shard.key: shard.size for shard in shards}
        self._folder, self._what, self._unit = folder, what, unit
        self._began, self._printed, self._failed = time.monotonic(), -_LINE_SECONDS, set[str]()
        self._console = plain_console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None

    def __enter__(self) -> Watch:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def say(self, line: str) -> None:
        """Print one line, above the table if there is one."""
        self._console.print(line, soft_wrap=True, highlight=False)

    def show(self, standing: Standing, note: str = "") -> None:
        """Show how the shards stand now; each failure once, when it is first seen."""
        for key, state in standing.states.items():
            if state == "failed" and key not in self._failed and (failure := failure_of(self._folder, key)):
                self._failed.add(key)
                self.say(f"failed: {failure}")
        if self._live:
            self._live.update(self._table(standing, note), refresh=True)
        elif time.monotonic() - self._printed >= _LINE_SECONDS or not standing.open:
            self._printed = time.monotonic()
            self.say(self._line(standing, note))

    def _line(self, standing: Standing, note: str) -> str:
        pace = self._pace(standing)
        workers = f"{len(standing.workers)} worker{'' if len(standing.workers) == 1 else 's'}"
        parts = (f"{self._what}: shards {standing}", workers, pace, quiet(standing), note)
        return "; ".join(part for part in parts if part)

    def _pace(self, standing: Standing) -> str:
        """Return a text such as `12.3 images/s, 0:01:40 left`; "" until the workers have a rate."""
        rate = sum(record.rate for record in standing.workers.values())
        if not rate:
            return ""
        left = sum(self._sizes[key] for key, state in standing.states.items() if state not in ("done", "failed"))
        return f"{rate:.1f} {self._unit}/s, {timedelta(seconds=round(left / rate))} left"

    def _table(self, standing: Standing, note: str) -> Table:
        table = workers_table(list(standing.workers.values())[:_MOST_WORKERS_SHOWN], self._unit)
        table.title = f"{self._what}: shards {standing}"
        hidden = len(standing.workers) - _MOST_WORKERS_SHOWN
        more = f"and {hidden} more workers" if hidden > 0 else ""
        table.caption = "; ".join(part for part in (self._pace(standing), more, quiet(standing), note) if part)
        if not table.caption and standing.open:
            table.caption = "workers are starting"
        return table


def quiet(standing: Standing) -> str:
    """Return a text such as `no shard ended for 12 minutes`; "" while shards end or no worker is alive."""
    seconds = min((record.seconds_on_shard() for record in standing.workers.values()), default=0.0)
    return f"no shard ended for {seconds / 60:.0f} minutes" if standing.open and seconds >= _QUIET_SECONDS else ""


def workers_table(records: Sequence[WorkerRecord], unit: str = "units") -> Table:
    """Make a table with one row for each worker."""
    table = Table(box=None, title_justify="left", caption_justify="left")
    for heading in ("worker", "state", "done", "failed", f"{unit}/s", "this shard", "GPU", "host"):
        table.add_column(heading, no_wrap=True)
    table.add_column("log", overflow="fold")
    for record in records:
        on_shard = str(timedelta(seconds=round(record.seconds_on_shard()))) if record.shard else ""
        table.add_row(
            *(record.name, record.state, str(record.done), str(record.failed)),
            *(f"{record.rate:.1f}" if record.rate else "", on_shard, record.gpu or "", record.host, record.log or ""),
        )
    return table


class Bar:
    """The progress bar of work in this process; nothing is shown if `what` is empty."""

    def __init__(self, shards: Sequence[Shard], *, what: str, unit: str) -> None:
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), _RateColumn())
        console = plain_console(stderr=True)
        self._progress = Progress(*columns, TimeRemainingColumn(), console=console, disable=not what)
        self._task = self._progress.add_task(what, total=sum(shard.size for shard in shards), unit=unit)

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def loaded(self, make_worker: Callable[[], Callable[[Shard], None]]) -> Callable[[Shard], None]:
        """Return `make_worker()`, and count the rate from the moment when it has loaded."""
        worker = make_worker()
        self._progress.reset(self._task)
        return worker

    def advance(self, shard: Shard, done: bool) -> None:
        """Count one more shard that has ended."""
        self._progress.advance(self._task, shard.size)


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Return a text such as `12.3 images/s`."""
        return Text(f"{task.speed:.1f} {task.fields['unit']}/s" if task.speed else "", style="cyan")
