"""A multirun: the jobs that Hydra's sweeper makes of one command, each a shard of work, and their outcomes."""

from __future__ import annotations

import difflib
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import run_job, setup_globals
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict
from pydantic import TypeAdapter
from rich.table import Table

from generative_auctions.command_line import Application, log_warnings
from generative_auctions.errors import RequestError
from generative_auctions.files import write_atomic
from generative_auctions.provenance import overridden
from generative_auctions.schema import Section, read_config
from generative_auctions.terminal import plain_console
from launchers.config import InlineConfig, LauncherConfig
from launchers.errors import FailedShardsError, NotWaitedError
from launchers.fan_out import fan_out
from launchers.shards import Shard, completion_of, failure_of, forget, record_of
from launchers.status import write_manifest
from launchers.sweep_table import override_values, scalar_metrics, store_rows, write_sweep_table


class _Hydra(Section):
    launcher: LauncherConfig


def launcher_options(options: Mapping[str, Any]) -> LauncherConfig:
    """Return the launcher that the keys `hydra.launcher` describe. Raises `RequestError` for the first wrong key."""
    plain = OmegaConf.to_container(OmegaConf.create(dict(options)))
    try:
        return read_config(_Hydra, {"launcher": plain}).launcher
    except RequestError as error:
        raise RequestError(f"hydra.{error.key}", error.value, error.expected) from None


@dataclass(frozen=True)
class Job:
    """One job of a sweep: its number, its overrides, and the whole configuration that they give.

    `config` is the application's with Hydra's part, `tree` the application's alone as plain values.
    """

    number: int
    overrides: Sequence[str]
    config: DictConfig
    tree: Mapping[str, Any]

    @property
    def run_dir(self) -> Path:
        """The directory of its run."""
        return Path(self.tree["run_dir"])

    def shard(self) -> Shard:
        """Return the job as a shard; its configuration is text, because a payload may hold no NaN."""
        return Shard.of({"job": self.number, "overrides": list(self.overrides), "tree": json.dumps(self.tree)})


@dataclass(frozen=True)
class Outcome:
    """The outcome of `job`: done, failed, refused (the request is wrong) or, so far, not finished.

    `metrics` are the single numbers of its metrics.json, by their keys joined with dots.
    """

    job: Job
    state: str
    reason: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """Return the job in the table of the sweep, without the metrics."""
        asked = {key: value for key, value in override_values(self.job.overrides).items() if key != "run_dir"}
        return {"job": self.job.number, **asked, "run_dir": str(self.job.run_dir), "status": self.state}

    def value(self, wanted: str | Sequence[str] | None) -> Any:
        """Return the metric `wanted`, or a list of several; None if the job is not done or nothing is wanted."""
        if wanted is None or self.state != "done":
            return None
        if not isinstance(wanted, str):
            return [self.value(each) for each in wanted]
        if wanted not in self.metrics:
            near = difflib.get_close_matches(wanted, self.metrics, n=3, cutoff=0.3) or list(self.metrics)[:3]
            raise RequestError(
                "optimize", wanted, f"a number in metrics.json of {self.job.run_dir}, as {', '.join(near)}"
            )
        return self.metrics[wanted]


class Sweep:
    """The jobs of one command, run where `launcher` says.

    A command that was interrupted or had failures resumes: its living workers are joined, and jobs that are done stay
    done. Once all are done, the same command runs all of them again.
    """

    def __init__(
        self, application: Application, config: DictConfig, hydra_context: HydraContext, launcher: LauncherConfig
    ) -> None:
        self._application, self._config, self._hydra, self._launcher = application, config, hydra_context, launcher
        self._directory = Path(config.hydra.sweep.dir)
        command = "\n".join(config.hydra.overrides.task)
        self._own = self._directory / ".sweep" / hashlib.sha256(command.encode()).hexdigest()[:8]
        self._finished = self._own / "finished"  # exists once all jobs are done
        self._keys: list[str] = []
        self._outcomes: list[Outcome] = []

    def run(self, job_overrides: Sequence[Sequence[str]], first: int) -> list[Any]:
        """Run the jobs with `job_overrides`, numbered from `first`, and write the table of all so far.

        Returns:
            What the key `optimize` names in the metrics of each job, for sweepers that choose the next jobs by it.

        Raises:
            RequestError: a job's request is wrong; then none is run.
            Exception: what `fan_out` raises, except failures of jobs, which are outcomes.
        """
        jobs = [self._compose(list(overrides), number) for number, overrides in enumerate(job_overrides, start=first)]
        self._check(jobs)
        if first == 0:
            print(f"sweep    {self._directory}", file=sys.stderr, flush=True)
        shards, folder, ends = [job.shard() for job in jobs], self._own / "shards" / "jobs", []
        self._keys += [shard.key for shard in shards]
        write_manifest(folder, self._keys)
        self._forget(jobs, shards, folder)
        missing = [shard for shard in shards if record_of(folder, shard, _RECORD) is None]
        is_here = isinstance(self._launcher, InlineConfig)
        name = "" if is_here else self._config.hydra.job.name  # here each job shows a bar of its own
        configs = {shard.key: job.config for job, shard in zip(jobs, shards, strict=True)}
        worker = partial(job_worker, self._application, self._hydra, configs, folder.absolute())
        try:
            fan_out(worker, missing, folder, what=name, unit="jobs", launcher=self._launcher)
        except FailedShardsError as error:
            ends = error.ends
        finally:
            outcomes = [_outcome(job, shard, folder, ends) for job, shard in zip(jobs, shards, strict=True)]
            self._outcomes += outcomes
            store_rows(self._own, [{"row": each.row(), "metrics": dict(each.metrics)} for each in self._outcomes])
            write_sweep_table(self._directory, self._application.headline)
        if all(outcome.state == "done" for outcome in self._outcomes):
            write_atomic(self._finished, b"")
        return [outcome.value(outcome.job.tree.get("optimize")) for outcome in outcomes]

    def _compose(self, overrides: list[str], number: int) -> Job:
        """Compose the job's configuration, with a directory of its own in that of the sweep."""
        config = self._hydra.config_loader.load_sweep_config(self._config, overrides)
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        application = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        outer = HydraConfig.instance().cfg
        HydraConfig.instance().set_config(config)  # which the names of directories are made from
        try:
            tree: dict[str, Any] = OmegaConf.to_container(application, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
        finally:
            HydraConfig.instance().cfg = outer
        asks = "run_dir" in override_values(overrides)
        parent, name = Path(tree["run_dir"] if asks else self._directory), config.hydra.sweep.subdir
        run_dir = parent / name
        if config.hydra.job.chdir:  # the job works inside its directory
            run_dir = run_dir.absolute()
        tree["run_dir"] = str(run_dir)
        OmegaConf.set_readonly(config.hydra, None)  # which it became when it was Hydra's configuration
        with open_dict(config):
            for key, value in tree.items():  # the job's own process resolves nothing any more
                config[key] = value
            config.hydra.sweep.dir, config.hydra.sweep.subdir = str(parent), name
            config.hydra.job.chdir = bool(config.hydra.job.chdir)  # the default depends on what a worker has not set
        return Job(number, overrides, config, tree)

    def _check(self, jobs: Sequence[Job]) -> None:
        """Refuse wrong requests before any job is in a queue. Raises one `RequestError` for all of them."""
        wrong = []
        for job in jobs:
            try:
                self._application.check(dict(job.tree))
            except RequestError as error:
                wrong.append(error)
        for run_dir, number in Counter(job.run_dir for job in jobs).items():
            if number > 1:
                wrong.append(RequestError("hydra.sweep.subdir", run_dir, "a directory for each job"))
        if wrong:
            first, *others = {str(error): error for error in wrong}.values()
            details = [*first.details, *map(str, others)]
            raise RequestError(first.key, first.value, first.expected, details) from None

    def _forget(self, jobs: Sequence[Job], shards: Sequence[Shard], folder: Path) -> None:
        """Remove completion records of a finished command, of jobs that were not waited for and of deleted runs."""
        finished = self._finished.exists()
        self._finished.unlink(missing_ok=True)
        for job, shard in zip(jobs, shards, strict=True):
            completed, record = completion_of(folder, shard.key), record_of(folder, shard, _RECORD)
            if completed and (finished or record is None or record.status is None or not job.run_dir.exists()):
                forget(folder, shard.key)

    def report(self) -> int:
        """Print the outcome of each job, then the failures. Returns: the exit status of the command."""
        title = f"{self._config.hydra.job.name}, {len(self._outcomes)} jobs"
        table = Table(title=title, title_justify="left", box=None)
        for heading in ("job", "overrides", "status", "run directory"):
            table.add_column(heading, overflow="fold")
        for outcome in self._outcomes:
            job = outcome.job
            asked = " ".join(override for override in job.overrides if not override.startswith("run_dir="))
            table.add_row(str(job.number), asked, outcome.state, str(self._below(job.run_dir)))
        console = plain_console(soft_wrap=True, highlight=False)
        console.print(table)
        console.print(f"runs in  {self._directory}")
        console.print(f"table    {self._directory / 'sweep.csv'}")
        bad = [outcome for outcome in self._outcomes if outcome.state in ("failed", "refused")]
        if not bad:
            return 0
        print(f"{len(bad)} of {len(self._outcomes)} jobs failed:", file=sys.stderr)
        for outcome in bad:
            print(f"  job {outcome.job.number} ({' '.join(outcome.job.overrides)}): {outcome.reason}", file=sys.stderr)
        return 2 if all(outcome.state == "refused" for outcome in bad) else 1

    def _below(self, run_dir: Path) -> Path:
        """Return `run_dir`, shortened where it lies in the directory of the sweep."""
        return run_dir.relative_to(self._directory) if run_dir.is_relative_to(self._directory) else run_dir


def job_worker(
    application: Application, hydra: HydraContext, configs: Mapping[str, DictConfig], folder: Path
) -> Callable[[Shard], None]:
    """Return the function that runs a job; the completion record holds the exit status and the metrics.

    Hydra's `run_job` calls it, so that callbacks, `hydra.job.env_set`, `hydra.job.chdir` and `hydra.output_subdir` do
    what Hydra promises. The status is None if the job has started workers that it does not wait for.
    """
    log_warnings()
    setup_globals()

    def work(shard: Shard) -> None:
        overrides, tree = shard.payload["overrides"], json.loads(shard.payload["tree"])
        print(f"job {shard.payload['job']}: {' '.join(overrides)}", flush=True)
        status, metrics, failure = None, {}, None

        def task(_: DictConfig) -> Any:
            nonlocal status, metrics, failure
            try:
                status = application.act(tree) or 0
            except NotWaitedError as started:
                print(started, flush=True)
                return None
            except Exception as error:  # Hydra gives it back with a message on the error output beside it
                failure = error
                raise
            metrics = scalar_metrics(Path(tree["run_dir"]))
            wanted = tree.get("optimize")
            return metrics.get(wanted) if isinstance(wanted, str) else None

        with overridden(overrides):
            run_job(
                hydra_context=hydra,
                task_function=task,
                config=configs[shard.key],
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
                configure_logging=False,
            )
        if failure:
            raise failure
        shard.complete(folder, {"status": status, "metrics": metrics})

    return work


@dataclass(frozen=True)
class _Record:
    """The completion record of a job: its exit status, None if it did not wait for its workers, and its metrics."""

    status: int | None
    metrics: dict[str, Any]


_RECORD = TypeAdapter(_Record)


def _outcome(job: Job, shard: Shard, folder: Path, ends: Sequence[str]) -> Outcome:
    """Read the outcome of `job`; `ends` says how its workers ended, if no worker stayed alive."""
    record, failure = record_of(folder, shard, _RECORD), failure_of(folder, shard.key)
    if record is not None and record.status is not None:
        state = "failed" if record.status else "done"
        return Outcome(job, state, f"it ended with status {record.status} ({job.run_dir})", record.metrics)
    if record is None and failure:
        if failure.error == RequestError.__name__:
            return Outcome(job, "refused", failure.message)
        return Outcome(job, "failed", f"{failure.reason} ({failure.path})")
    return Outcome(job, "failed" if ends else "not finished", "; ".join(ends))
