"""What SLURM is asked, what it answers, and what if it does not; its commands are scripts here."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from launchers import LaunchError, SlurmError, slurm
from launchers.slurm import SlurmCrew, cancel, max_array_size, parameters, preempted, queued
from tests.launching import slurm as options

AWAY = "echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1"


class Commands:
    """Scripts in the place of SLURM's commands, each of which writes down how it was called."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __setitem__(self, name: str, script: str) -> None:
        path = self._folder / name
        path.write_text(f"#!/bin/sh\necho {name} \"$@\" >> '{self._folder}/calls'\n{script}\n")
        path.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        return (self._folder / "calls").read_text().splitlines()


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(slurm.time, "sleep", lambda seconds: None)
    return Commands(tmp_path)


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def test_the_queue(commands: Commands) -> None:
    commands["squeue"] = "printf '  12_3|RUNNING\\n12_[4-6]|PENDING\\n7|COMPLETING\\nnonsense\\n'"
    assert queued() == {"12_3": "RUNNING", "12_[4-6]": "PENDING", "7": "COMPLETING"}
    assert "--me" in commands.calls[0]
    assert "--array" in commands.calls[0]


def test_a_queue_that_cannot_be_known(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    commands["squeue"] = AWAY
    assert queued() is None
    commands["squeue"] = "true"
    assert queued() == {}
    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "run", slow)
        assert queued() is None


def test_a_queue_where_there_is_no_slurm(nowhere: None) -> None:
    assert queued() is None
    with pytest.raises(LaunchError, match="no scancel here"):
        cancel({"1"})


def slow(command: Any, **more: Any) -> Any:
    raise subprocess.TimeoutExpired(command, 1)


def test_a_controller_that_is_away_is_asked_again(commands: Commands, tmp_path: Path) -> None:
    commands["scancel"] = f"if [ $(grep -c . '{tmp_path}/calls') -lt 3 ]; then {AWAY}; fi"
    cancel({"3", "12"})
    assert commands.calls == ["scancel --quiet 12 3"] * 3


def test_a_controller_that_stays_away(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "_PATIENCE_SECONDS", 0.2)
    commands["scancel"] = AWAY
    with pytest.raises(SlurmError, match=r"does not answer.*Unable to contact"):
        cancel({"3"})
    assert len(commands.calls) > 1
    monkeypatch.setattr(subprocess, "run", slow)
    with pytest.raises(SlurmError, match=r"does not answer.*timed out"):
        cancel({"3"})


def test_a_refusal_is_not_repeated(commands: Commands) -> None:
    commands["scancel"] = "echo 'Access/permission\n denied' >&2; exit 1"
    with pytest.raises(LaunchError, match="SLURM refused: scancel --quiet 3: Access/permission denied"):
        cancel({"3"})
    assert len(commands.calls) == 1


def test_nothing_to_cancel_is_not_asked_for(nowhere: None) -> None:
    cancel(set())


def test_the_longest_array(commands: Commands) -> None:
    commands["scontrol"] = "printf 'MaxArraySize            = 51\\nMaxJobCount = 10000\\n'"
    assert max_array_size() == 51
    commands["scontrol"] = "echo MaxJobCount = 10000"
    assert max_array_size() == 1001


@pytest.mark.parametrize(
    ("time", "wanted"), [("PreemptTime=None", False), ("PreemptTime=2026-11-20T10:00:00", True), ("", False)]
)
def test_preemption(time: str, wanted: bool, commands: Commands) -> None:
    commands["scontrol"] = f"echo 'JobId=3 {time} SuspendTime=None'"
    assert preempted("3") == wanted


def test_what_sbatch_is_told() -> None:
    given = parameters(options(), "a name")
    assert given["job_name"] == "a name"
    assert given["additional_parameters"] == {"requeue": True}
    assert not {"partition", "account", "gres", "dependency", "cpus_per_task"} & set(given)
    more = options(partition="p", cpus=3, memory=1.5, additional={"requeue": False, "comment": "c"}, max_concurrent=7)
    given = parameters(more, "a name", before="99")
    assert (given["partition"], given["cpus_per_task"], given["dependency"]) == ("p", 3, "afterany:99")
    assert given["additional_parameters"] == {"requeue": False, "comment": "c", "mem": "1536M"}
    assert given["array_parallelism"] == 7


@pytest.mark.parametrize(
    ("more", "shards", "workers"),
    [({}, 2, 2), ({}, 100, 4), ({"shards_per_worker": 3}, 100, 34), ({"shards_per_worker": 3}, 99, 33)],
)
def test_how_many_workers_are_wanted(
    more: dict[str, int], shards: int, workers: int, commands: Commands, tmp_path: Path
) -> None:
    commands["sbatch"] = ""
    crew = SlurmCrew(tmp_path / "run" / "jobs" / "work.pkl", options(**more), "a name")
    assert crew.wanted(shards) == workers


def test_jobs_of_others_are_not_this_stages(commands: Commands, tmp_path: Path) -> None:
    commands["sbatch"] = ""
    jobs = tmp_path / "run" / "jobs"
    jobs.mkdir(parents=True)
    (jobs / "12_submission.sh").touch()
    crew = SlurmCrew(jobs / "work.pkl", options(on_interrupt="cancel"), "a name")
    assert crew.present({}, {"12_3": "RUNNING", "12_4": "PENDING", "120_1": "RUNNING", "1": "RUNNING"}) == 2
    commands["squeue"] = "printf '12_3|RUNNING\\n12_4|PENDING\\n120_1|PENDING\\n'"
    commands["scancel"] = ""
    crew.dismiss()
    assert commands.calls[-1] == "scancel --quiet 12_4"
    crew.stop()
    assert commands.calls[-1] == "scancel --quiet 12"
