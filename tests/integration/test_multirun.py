"""Hydra's multirun: every job runs, wherever that is, every failure is seen, and one table has the metrics of all."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pandas as pd
import pytest
import yaml
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from generative_auctions.command_line import Application, run_application
from generative_auctions.errors import RequestError
from generative_auctions.run_directory import run_directory
from launchers.__main__ import main as launchers
from tests.slurm_lab import SlurmLab
from tests.support import auction

Command = Callable[..., int]

HERE = ("hydra/launcher=inline",)
JOBS = tuple(f"seed_{seed}" for seed in (1, 12))
LOCAL = ("hydra/launcher=submitit_local", "hydra.launcher.slots=2")
SLURM = ("hydra/launcher=submitit_slurm", "hydra.launcher.memory=0.5")


def act(tree: dict[str, Any]) -> int:
    """An application of which each seed ends in its own way; it keeps a log of when it ran, and where."""
    seed, run_dir = tree["seed"], Path(tree["run_dir"])
    began = time.time()
    time.sleep(0.2)
    entry = {"seed": seed, "began": began, "ended": time.time(), "gpu": os.environ.get("CUDA_VISIBLE_DEVICES")}
    entry |= {"greeting": os.environ.get("GREETING"), "cwd": os.getcwd()}
    run_dir.parent.mkdir(exist_ok=True, parents=True)
    with (run_dir.parent / "log.jsonl").open("a") as file:
        file.write(json.dumps(entry) + "\n")
    cured = (run_dir.parent / "cured").exists()
    if seed == 11 and not cured:
        raise RequestError("seed", seed, "a number below eleven")
    if seed == 12 and not cured:
        raise ZeroDivisionError("twelve is\ntoo much")
    run_dir.mkdir(exist_ok=True)
    (run_dir / "metrics.json").write_text(json.dumps({"squares": {"seed": seed**2, "all": [1]}}))
    return 1 if seed == 13 and not cured else 0


def check(tree: dict[str, Any]) -> None:
    """What `act` refuses before it begins."""
    if tree["seed"] >= 20:
        raise RequestError("seed", tree["seed"], "a number below twenty")


def headline(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {"square": metrics["squares.seed"]}


class Note:
    """A callback of Hydra that writes down what it is told, in whatever process."""

    def __init__(self, file: str) -> None:
        self.file = Path(file)

    def on_job_start(self, config: DictConfig, **_: Any) -> None:
        self._write(f"start {config.seed}")

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        self._write(f"end {config.seed} {job_return.status.name} {job_return._return_value}")

    def _write(self, line: str) -> None:
        with self.file.open("a") as file:
            file.write(f"{line}\n")


class Climber(Sweeper):
    """A sweeper that goes where the value was highest, as those do that optimize."""

    values: ClassVar[list[Any]] = []

    def __init__(self, max_batch_size: int | None, params: Any) -> None:
        self.values.clear()

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        at, number = [1, 4], 0
        for _ in range(2):
            done = self.launcher.launch([[*arguments, f"seed={seed}"] for seed in at], initial_job_idx=number)
            values = [each.return_value for each in done]
            self.values.append(dict(zip(at, values, strict=True)))
            number, best = number + len(at), at[values.index(max(values))]
            at = [best - 1, best + 1]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The exit status of a command line of `act` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")

    def run(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["app", *arguments])
        return run_application(Application("diffusion_auction", act, check, headline))

    return run


@pytest.fixture(params=["here", "local", "slurm"])
def launcher(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """The overrides that choose a launcher."""
    if request.param == "slurm":
        lab: SlurmLab = request.getfixturevalue("slurm_lab")
        monkeypatch.setenv("SLURM_CONF", str(lab.conf))
    return {"here": HERE, "local": LOCAL, "slurm": SLURM}[request.param]


def log(folder: str = "runs") -> list[dict[str, Any]]:
    """What `act` did, in order."""
    return [json.loads(line) for line in (Path(folder) / "log.jsonl").read_text().splitlines()]


def seeds(folder: str = "runs") -> list[int]:
    """Whom `act` was called for."""
    return sorted(entry["seed"] for entry in log(folder))


def table(folder: str = "runs") -> pd.DataFrame:
    """The table of the sweep."""
    return pd.read_parquet(Path(folder) / "sweep.parquet")


def test_no_job_stops_the_others_and_each_failure_is_told(
    command: Command, launcher: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    status = command("-m", "seed=10,11,12,13,14", "samples=1", "run_dir=runs", *launcher)
    said = capfd.readouterr()
    assert status == 1
    assert seeds() == [10, 11, 12, 13, 14]
    found = table()
    assert found["seed"].tolist() == [10, 11, 12, 13, 14]
    assert found["status"].tolist() == ["done", "refused", "failed", "failed", "done"]
    assert found["squares.seed"].tolist() == [100, pd.NA, pd.NA, 169, 196]
    assert "squares.all" not in found
    assert [Path(path).name for path in found["run_dir"]] == [f"samples_1-seed_{seed}" for seed in range(10, 15)]
    listed = said.err[said.err.index("3 of 5 jobs failed:") :].splitlines()
    assert "seed = 11: expected a number below eleven" in listed[1]
    assert "ZeroDivisionError: twelve is" in listed[2]
    assert "it ended with status 1" in listed[3]
    assert Path(listed[2].rpartition("(")[2].rstrip(")")).read_text().count("Traceback") == 1

    Path("runs/cured").touch()
    assert command("-m", "seed=10,11,12,13,14", "samples=1", "run_dir=runs", *launcher) == 1
    assert seeds() == [10, 11, 11, 12, 12, 13, 14]  # 13 had ended, if not well
    assert table()["status"].tolist() == ["done", "done", "done", "failed", "done"]


def test_a_finished_command_asks_for_all_again(command: Command) -> None:
    for times in (1, 2):
        assert command("-m", "seed=1,2", "run_dir=runs") == 0
        assert seeds() == [1] * times + [2] * times
    assert command("-m", "seed=1,2,3", "run_dir=runs") == 0
    assert seeds() == [1, 1, 1, 2, 2, 2, 3]


def test_a_deleted_run_is_made_again(command: Command) -> None:
    assert command("-m", "seed=1,2,12", "run_dir=runs") == 1
    (Path("runs") / "seed_2" / "metrics.json").unlink()
    (Path("runs") / "seed_2").rmdir()
    Path("runs/cured").touch()
    assert command("-m", "seed=1,2,12", "run_dir=runs") == 0
    assert seeds() == [1, 2, 2, 12, 12]


def test_wrong_requests_alone_are_status_2(command: Command, capfd: pytest.CaptureFixture[str]) -> None:
    assert command("-m", "seed=10,11", "run_dir=runs") == 2
    assert "Traceback" not in capfd.readouterr().err


def test_workers_on_this_host_are_pinned_and_no_more_than_slots(command: Command) -> None:
    assert command("-m", "seed=range(1,9)", "run_dir=runs", *LOCAL) == 0
    entries = log()
    assert {entry["gpu"] for entry in entries} == {"0", "1"}
    for entry in entries:
        at_once = [e for e in entries if e["began"] <= entry["began"] < e["ended"]]
        assert len({e["gpu"] for e in at_once}) == len(at_once) <= 2


def test_each_job_on_slurm_is_one_of_its_own_by_the_name_of_the_sweep(
    command: Command, slurm_lab: SlurmLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_CONF", str(slurm_lab.conf))
    assert command("-m", "seed=1,2,12", "run_dir=runs", *SLURM) == 1
    deadline, mine = time.monotonic() + 30, list[str]()
    while len(mine) < 3 and time.monotonic() < deadline:  # SLURM writes it down when all of the job has ended
        time.sleep(0.2)
        ended = (slurm_lab.folder / "completed.txt").read_text().splitlines()
        mine = [line for line in ended if f"WorkDir={Path.cwd()} " in line]
    assert len(mine) == 3
    assert all(" Name=runs-jobs " in line for line in mine)
    assert sorted("JobState=FAILED" in line for line in mine) == [False, False, True]
    assert len({entry["gpu"] for entry in log()}) <= slurm_lab.gpus
    assert all(len(entry["gpu"]) == 1 for entry in log())


def test_jobs_that_are_not_waited_for_are_collected_by_the_next_command(
    command: Command, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = ("-m", "seed=1,2,3", "run_dir=runs", *LOCAL)
    assert command(*asked, "hydra.launcher.wait=false") == 0
    assert "python -m launchers status" in capfd.readouterr().out
    assert set(table()["status"]) <= {"not finished", "done"}
    assert command(*asked) == 0
    assert seeds() == [1, 2, 3]
    assert table()["status"].tolist() == ["done"] * 3
    (own,) = Path("runs/.sweep").iterdir()
    assert launchers(["status", str(own)]) == 0
    assert "jobs: 3 done" in capfd.readouterr().out


def test_batches_of_the_sweeper_are_one_table(command: Command) -> None:
    assert command("-m", "seed=12,1,2", "run_dir=runs", "hydra.sweeper.max_batch_size=1") == 1
    assert table()["status"].tolist() == ["failed", "done", "done"]
    assert table()["job"].tolist() == [0, 1, 2]


def test_jobs_lie_in_a_directory_of_their_own_not_in_that_of_a_run(command: Command) -> None:
    assert command("samples=2") == 0
    for name in ([], ["name=single-samples_2"]):
        assert command("-m", "samples=2", "seed=1,2", *name) == 0
        assert command("-m", *name, "seed=1,2", "samples=2", *LOCAL) == 0  # the same command
    assert command("-m", "samples=2", "seed=2,1") == 0  # another one
    outputs = Path("outputs/diffusion_auction")
    sweeps = {str(path.parent.relative_to(outputs)) for path in outputs.rglob("sweep.csv")}
    found = sorted(re.sub(r"-[0-9a-f]{8}$", "-…", sweep) for sweep in sweeps)
    assert found == [f"multirun/single-samples_2{rest}" for rest in ("", "-seed_1_2-…", "-seed_2_1-…")]
    runs = {str(path.parent.parent.relative_to(outputs)) for path in outputs.rglob("metrics.json")}
    assert runs == {".", *sweeps}
    assert len(list(outputs.rglob("metrics.json"))) == 1 + 2 * 3


def test_a_swept_directory_is_respected(command: Command) -> None:
    assert command("-m", "run_dir=one,two", "seed=1,2") == 0
    assert sorted(str(path.parent) for path in Path().rglob("metrics.json")) == [
        "one/seed_1", "one/seed_2", "two/seed_1", "two/seed_2",
    ]  # fmt: skip


def test_commands_in_one_directory_share_its_table(command: Command) -> None:
    for seeds_ in ("0,1", "2,3", "1,2"):
        assert command("-m", f"seed={seeds_}", "samples=1", "run_dir=runs") == 0
    rows = pd.read_csv("runs/sweep.csv")
    assert list(rows) == ["job", "seed", "samples", "run_dir", "status", "square"]
    assert dict(zip(rows["seed"], rows["square"], strict=True)) == {0: 0, 1: 1, 2: 4, 3: 9}
    assert len(rows) == len(table()) == 4
    assert set(table()["squares.seed"]) == {0, 1, 4, 9}


@pytest.mark.parametrize("launcher_", [HERE, LOCAL], ids=["here", "local"])
def test_what_hydra_promises_of_a_job_holds(command: Command, launcher_: tuple[str, ...]) -> None:
    notes = Path("notes").absolute()
    hydra = ("hydra.job.chdir=true", "+hydra.job.env_set.GREETING=hello", "hydra.output_subdir=.hydra")
    callback = (f"+hydra.callbacks.note._target_={__name__}.Note", f"+hydra.callbacks.note.file={notes}")
    asked = ("-m", "seed=1,12", "run_dir=runs", "optimize=squares.seed", *hydra, *callback, *launcher_)
    assert command(*asked) == 1
    told = sorted(notes.read_text().splitlines())
    assert told == ["end 1 COMPLETED 1", "end 12 FAILED twelve is", "start 1", "start 12", "too much"]
    assert {entry["greeting"] for entry in log()} == {"hello"}
    assert {entry["cwd"] for entry in log()} == {str(Path("runs", name).absolute()) for name in JOBS}
    assert "GREETING" not in os.environ
    for name in JOBS:
        assert yaml.safe_load(Path("runs", name, ".hydra", "config.yaml").read_text())["optimize"] == "squares.seed"


def test_a_sweeper_learns_the_value_of_each_job(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = ModuleType("hydra_plugins.climber")  # Hydra takes a sweeper from this package alone
    plugin.Climber = Climber  # type: ignore[attr-defined]
    monkeypatch.setattr(Climber, "__module__", plugin.__name__)
    monkeypatch.setitem(sys.modules, plugin.__name__, plugin)
    Plugins.instance().register(Climber)
    sweeper = f"hydra.sweeper._target_={plugin.__name__}.Climber"
    assert command("-m", "run_dir=runs", "optimize=squares.seed", sweeper) == 0
    assert Climber.values == [{1: 1, 4: 16}, {3: 9, 5: 25}]
    assert table()["seed"].tolist() == [1, 4, 3, 5]


def test_a_value_that_is_not_there_is_named(command: Command, capfd: pytest.CaptureFixture[str]) -> None:
    assert command("-m", "seed=1,2", "run_dir=runs", "optimize=square.seed") == 2
    said = capfd.readouterr().err.splitlines()[-1]
    assert said.startswith("optimize = square.seed: expected a number in metrics.json of runs/")
    assert "squares.seed" in said


@pytest.mark.parametrize("launcher_", [HERE, LOCAL], ids=["here", "local"])
def test_wrong_requests_are_refused_before_any_job_runs(
    command: Command, launcher_: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    assert command("-m", "seed=1,20,21", "run_dir=runs", *launcher_) == 2
    said = capfd.readouterr().err.splitlines()
    assert [line.strip() for line in said] == [f"seed = {seed}: expected a number below twenty" for seed in (20, 21)]
    assert {path.name for path in Path("runs").iterdir()} <= {"multirun.yaml"}  # which Hydra's sweeper writes


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["hydra/launcher=submitit_slurm", "hydra.launcher.time=soon"], "hydra.launcher.time = soon"),
        (["hydra/launcher=submitit_local", "+hydra.launcher.partition=gpu"], "hydra.launcher.partition"),
        (["hydra/launcher=joblib"], "basic inline submitit_local submitit_slurm"),
        (["--cfg", "job"], "options = --multirun --cfg: expected one of them at a time"),
        (["hydra.sweep.subdir=all", "samples=1,2"], "hydra.sweep.subdir = runs/all"),
        (["mechanism=vcg,lottery"], "lottery"),
        (["hydra.launcher._target_=hydra._internal.core_plugins.basic_launcher.BasicLauncher"], "BasicLauncher"),
    ],
)
def test_a_wrong_request_is_one_line(
    command: Command, arguments: list[str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert command("-m", "seed=1", "run_dir=runs", *arguments) == 2
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1
    assert said in lines[0]


def test_a_run_fits_beside_a_sweep(command: Command) -> None:
    assert command("-m", "seed=1,11", "run_dir=runs") == 2
    Path("runs/log.jsonl").unlink()
    Path("runs/seed_1/config.yaml").touch()  # as an application leaves one
    with run_directory(Path("runs"), {}, {}) as run_dir:
        assert (run_dir / "config.yaml").exists()


def test_auctions_as_users_call_them(tmp_path: Path) -> None:
    asked = ("-m", "seed=1,2", "samples=1")
    here = auction(*asked, "run_dir=here", cwd=tmp_path)
    there = auction(*asked, "run_dir=there", *LOCAL, cwd=tmp_path)
    assert (here.returncode, there.returncode) == (0, 0), here.stderr + there.stderr
    found = [table(str(tmp_path / name)).drop(columns="run_dir") for name in ("here", "there")]
    pd.testing.assert_frame_equal(*found)
    assert found[0]["welfare.vcg.n"].tolist() == [1, 1]
    assert found[0]["welfare.vcg.relative_gain_mean"].dtype == float
    for seed in (1, 2):
        said = json.loads((tmp_path / "there" / f"samples_1-seed_{seed}" / "provenance.json").read_text())
        assert (said["seed"], f"seed={seed}" in said["overrides"]) == (seed, True)


def test_competitions_as_users_call_them(tmp_path: Path) -> None:
    asked = ("-m", "seed=1,2", "stage=1", "tournament.games=2", "run_dir=many")
    done = auction(*asked, *LOCAL, cwd=tmp_path, module="agt_tournament")
    assert done.returncode == 0, done.stderr
    for row in table(str(tmp_path / "many")).to_dict("records"):
        run_dir = tmp_path / row["run_dir"]
        assert yaml.safe_load((run_dir / "config.yaml").read_text())["seed"] == row["seed"]
        board = pd.read_csv(run_dir / "leaderboards" / "stage1_final.csv").set_index("team_id")
        for team in board.index:
            for figure in ("rank", "games", "total_score", "mean_score", "ci_low", "ci_high"):
                assert row[f"stage1.{team}.{figure}"] == pytest.approx(board.loc[team, figure])
