"""A multirun: the jobs that Hydra's sweeper makes of one command, each a shard of work, and what became of them."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.table import Table

from experiments.command_line import Act, log_warnings
from experiments.errors import RequestError
from experiments.schema import Section, read_config
from experiments.sweep_table import override_values, scalar_metrics, write_sweep_table
from launchers import FailedShardsError, LauncherConfig, NotWaitedError, Shard, fan_out, mark_of, unmark
from launchers.config import InlineConfig
from launchers.provenance import overridden
from launchers.shards import error_path, write_atomic
from launchers.status import write_manifest


class _Hydra(Section):
    launcher: LauncherConfig


def launcher_options(options: Mapping[str, Any]) -> LauncherConfig:
    """The launcher that the keys `hydra.launcher` describe; raises `RequestError` naming the first that is wrong."""
    plain = OmegaConf.to_container(OmegaConf.create(dict(options)))
    try:
        return read_config(_Hydra, {"launcher": plain}).launcher
    except RequestError as error:
        raise RequestError(f"hydra.{error.key}", error.value, error.expected) from None


@contextmanager
def _hydra_config(config: DictConfig) -> Iterator[None]:
    """Inside, what asks Hydra for its part of the configuration gets that of `config`."""
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(config)
    try:
        yield
    finally:
        HydraConfig.instance().cfg = before


@dataclass(frozen=True)
class Job:
    """One job of a sweep: its number, what it overrides, and the whole configuration that this gives."""

    number: int
    overrides: Sequence[str]
    tree: Mapping[str, Any]

    @property
    def run_dir(self) -> Path:
        return Path(self.tree["run_dir"])

    def shard(self) -> Shard:
        """The job as a piece of work; its configuration as text, which JSON does not refuse for a NaN in it."""
        return Shard.of({"job": self.number, "overrides": list(self.overrides), "tree": json.dumps(self.tree)})


@dataclass(frozen=True)
class Outcome:
    """What became of `job`: done, failed, refused (the request is wrong) or, so far, not finished."""

    job: Job
    state: str
    reason: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """The job's row in the table of the sweep."""
        asked = {key: value for key, value in override_values(self.job.overrides).items() if key != "run_dir"}
        return {"job": self.job.number, **asked, "run_dir": str(self.job.run_dir), "status": self.state, **self.metrics}


class Sweep:
    """The jobs of one command, run by `act` where `launcher` says.

    A command that was cut short or had failures goes on where it stopped: workers of it that live are joined, and jobs
    that are done stay done. Once all are done the same command asks for all of them again.
    """

    def __init__(self, act: Act, config: DictConfig, loader: ConfigLoader, launcher: LauncherConfig) -> None:
        self._act, self._config, self._loader, self._launcher = act, config, loader, launcher
        self._directory = Path(config.hydra.sweep.dir)
        command = "\n".join(config.hydra.overrides.task)
        self._own = self._directory / ".sweep" / hashlib.sha256(command.encode()).hexdigest()[:8]
        self._keys: list[str] = []
        self._outcomes: list[Outcome] = []

    def run(self, job_overrides: Sequence[Sequence[str]], first: int) -> None:
        """Run the jobs with `job_overrides`, numbered from `first`, and write the table of all so far.

        Raises what `fan_out` raises, but for the failures of jobs: these are outcomes.
        """
        jobs = [self._compose(list(overrides), number) for number, overrides in enumerate(job_overrides, start=first)]
        shards, folder, ends = [job.shard() for job in jobs], self._own / "shards" / "jobs", []
        self._keys += [shard.key for shard in shards]
        write_manifest(folder, self._keys)
        self._forget(jobs, shards, folder)
        missing = [shard for shard in shards if _record_of(folder, shard) is None]
        is_here = isinstance(self._launcher, InlineConfig)
        name = "" if is_here else self._config.hydra.job.name  # here each job shows a bar of its own
        worker = partial(job_worker, self._act, folder.absolute())
        try:
            fan_out(worker, missing, folder, what=name, unit="jobs", launcher=self._launcher)
        except FailedShardsError as error:
            ends = error.ends
        finally:
            self._outcomes += [_outcome(job, shard, folder, ends) for job, shard in zip(jobs, shards, strict=True)]
            write_sweep_table([outcome.row() for outcome in self._outcomes], self._directory)
        if all(outcome.state == "done" for outcome in self._outcomes):
            write_atomic(self._finished, b"")

    @property
    def _finished(self) -> Path:
        return self._own / "finished"

    def _compose(self, overrides: list[str], number: int) -> Job:
        """The job's configuration, as Hydra composes it; the job gets a directory of its own in that of the sweep."""
        config = self._loader.load_sweep_config(self._config, overrides)
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        application = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        with _hydra_config(config):
            tree: dict[str, Any] = OmegaConf.to_container(application, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
        asks = "run_dir" in override_values(overrides)
        tree["run_dir"] = str(Path(tree["run_dir"] if asks else self._directory) / config.hydra.sweep.subdir)
        return Job(number, overrides, tree)

    def _forget(self, jobs: Sequence[Job], shards: Sequence[Shard], folder: Path) -> None:
        """Take back the marks that do not count: of a finished command, of work left going, of deleted runs."""
        finished = self._finished.exists()
        self._finished.unlink(missing_ok=True)
        for job, shard in zip(jobs, shards, strict=True):
            marked, record = mark_of(folder, shard.key), _record_of(folder, shard)
            if marked and (finished or record is None or record.status is None or not job.run_dir.exists()):
                unmark(folder, shard.key)

    def report(self) -> int:
        """Print what became of each job, the failures by themselves; the exit status of the command."""
        title = f"{self._config.hydra.job.name}, {len(self._outcomes)} jobs"
        table = Table(title=title, title_justify="left", box=None)
        for heading in ("job", "overrides", "status", "run directory"):
            table.add_column(heading, overflow="fold")
        for outcome in self._outcomes:
            job = outcome.job
            asked = " ".join(override for override in job.overrides if not override.startswith("run_dir="))
            table.add_row(str(job.number), asked, outcome.state, str(job.run_dir))
        console = Console(soft_wrap=True, highlight=False, markup=False)
        console.print(table)
        console.print(f"table    {self._directory / 'sweep.csv'}")
        bad = [outcome for outcome in self._outcomes if outcome.state in ("failed", "refused")]
        if bad:
            print(f"{len(bad)} of {len(self._outcomes)} jobs failed:", file=sys.stderr)
        for outcome in bad:
            print(f"  job {outcome.job.number} ({' '.join(outcome.job.overrides)}): {outcome.reason}", file=sys.stderr)
        if not bad:
            return 0
        return 2 if all(outcome.state == "refused" for outcome in bad) else 1


def job_worker(act: Act, folder: Path) -> Callable[[Shard], None]:
    """What runs a job wherever it is; its mark holds the exit status and the metrics.

    The status is None if the job left work going that it does not wait for.
    """

    log_warnings()

    def work(shard: Shard) -> None:
        overrides, tree = shard.payload["overrides"], json.loads(shard.payload["tree"])
        print(f"job {shard.payload['job']}: {' '.join(overrides)}", flush=True)
        status = None
        with overridden(overrides):
            try:
                status = act(tree) or 0
            except NotWaitedError as started:
                print(started, flush=True)
        metrics = {} if status is None else scalar_metrics(Path(tree["run_dir"]))
        shard.mark(folder, {"status": status, "metrics": metrics})

    return work


@dataclass(frozen=True)
class _Record:
    """What the mark of a job says: its exit status, None if it left work going, and its metrics."""

    status: int | None
    metrics: dict[str, Any]


_RECORD = TypeAdapter(_Record)


def _record_of(folder: Path, shard: Shard) -> _Record | None:
    """That of the job `shard`; None without a mark, and if it is damaged."""
    try:
        return _RECORD.validate_python(mark_of(folder, shard.key))
    except ValidationError:
        return None


def _outcome(job: Job, shard: Shard, folder: Path, ends: Sequence[str]) -> Outcome:
    """What the files of the sweep say of `job`; `ends` how its workers ended, if no worker stayed alive."""
    record, failure = _record_of(folder, shard), error_path(folder, shard.key)
    if record is not None and record.status is not None:
        state = "failed" if record.status else "done"
        return Outcome(job, state, f"it ended with status {record.status} ({job.run_dir})", record.metrics)
    if record is None and failure.exists():
        reason = failure.read_text(errors="replace").partition("\n")[0] if failure.is_file() else "no regular file"
        if reason.startswith(refused := f"{RequestError.__name__}: "):
            return Outcome(job, "refused", reason.removeprefix(refused))
        return Outcome(job, "failed", f"{reason} ({failure})")
    return Outcome(job, "failed" if ends else "not finished", "; ".join(ends))
