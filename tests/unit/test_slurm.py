"""What SLURM is asked, what it answers, and what if it does not; its commands are scripts here."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from launchers import LaunchError, SlurmError, squeue
from launchers.backends.slurm import SlurmWorkers, job_name, parameters
from launchers.squeue import cancel, max_array_size, preempted, queued
from launchers.worker_record import announce
from tests.launching import slurm as options

AWAY = "echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1"
NOT_CONFIGURED = "echo 'squeue: fatal: Could not establish a configuration source' >&2; exit 1"


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
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    return Commands(tmp_path)


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def test_the_queue(commands: Commands) -> None:
    commands["squeue"] = "printf '  12_3|RUNNING\\n12_[4-6]|PENDING\\n7|COMPLETING\\nnonsense\\n'"
    assert queued() == {"12_3": "RUNNING", "12_[4-6]": "PENDING", "7": "COMPLETING"}
    assert "--me" in commands.calls[0]
    assert "--array" in commands.calls[0]


def test_wishes_of_the_user_for_squeue_hide_no_jobs(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQUEUE_STATES", "RUNNING")
    commands["squeue"] = "[ $SQUEUE_STATES ] || echo '1|PENDING'"
    assert queued() == {"1": "PENDING"}


def test_a_queue_that_cannot_be_known(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    commands["squeue"] = AWAY
    with pytest.raises(SlurmError, match=r"^squeue: slurm_load_jobs error: Unable to contact slurm controller"):
        queued()
    commands["squeue"] = "true"
    assert queued() == {}
    monkeypatch.setattr(subprocess, "run", slow)
    with pytest.raises(SlurmError, match="squeue: no answer within 60 s"):
        queued()


def test_of_many_words_those_that_name_the_cause_are_kept(commands: Commands) -> None:
    tries = "".join(f"echo 'squeue: error: getaddrinfo() failed, attempt number {i}' >&2; " for i in range(9))
    commands["squeue"] = f"{tries} echo 'squeue: error: Unable to resolve \"nohost\"' >&2; {AWAY}"
    with pytest.raises(SlurmError) as away:
        queued()
    assert str(away.value).startswith('squeue: error: Unable to resolve "nohost" slurm_load_jobs error: Unable')


def test_a_host_without_a_configuration(commands: Commands, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commands["squeue"] = NOT_CONFIGURED
    with pytest.raises(LaunchError, match=r"^expected a host where SLURM is configured \(squeue: .*fatal: Could not"):
        queued()
    commands["squeue"] = "exit 1"  # it would look for the file for a minute
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
    with pytest.raises(LaunchError, match=r"there is no SLURM_CONF = .*slurm\.conf"):
        queued()


def test_a_queue_where_there_is_no_slurm(nowhere: None) -> None:
    with pytest.raises(LaunchError, match="no squeue here"):
        queued()
    with pytest.raises(LaunchError, match="no scancel here"):
        cancel({"1"})


def slow(command: Any, **more: Any) -> Any:
    raise subprocess.TimeoutExpired(command, 1)


@pytest.fixture
def workers(commands: Commands, tmp_path: Path) -> SlurmWorkers:
    """Workers of the stage `make`, none of which has been submitted."""
    commands["sbatch"] = ""
    jobs = tmp_path / "run" / "shards" / "make" / "jobs"
    jobs.mkdir(parents=True)
    return SlurmWorkers(jobs / "work.pkl", options(on_interrupt="cancel"))


def test_silence_is_borne_for_three_minutes_by_who_has_nothing_to_wait_for(
    workers: SlurmWorkers, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    commands["squeue"] = AWAY
    for left in (180, 60):
        assert workers.queue() is None
        note = workers.note(None)
        assert note.startswith("SLURM does not answer (squeue: slurm_load_jobs error: Unable to contact")
        assert note.endswith(f"asking again for {left} s")
        now[0] += 120
    with pytest.raises(SlurmError, match=r"did not answer for 180 s, this command submitted nothing: .*Unable to con"):
        workers.queue()
    assert workers.stop() == "nothing was submitted to SLURM"

    announce(workers.stage, "w", os.getpid())
    assert workers.queue() is None
    assert workers.note(None).endswith("asking again, workers of an earlier launch go on")


def test_silence_is_borne_for_ever_after_an_answer(workers: SlurmWorkers, commands: Commands) -> None:
    commands["squeue"] = NOT_CONFIGURED
    with pytest.raises(LaunchError, match=r"^launcher = slurm: expected a host where SLURM is configured \(squeue: "):
        workers.queue()
    commands["squeue"] = "echo '1|RUNNING'"
    assert workers.queue() == {"1": "RUNNING"}
    for words in (NOT_CONFIGURED, AWAY):
        commands["squeue"] = words
        assert workers.queue() is None
        assert workers.note(None).endswith("asking again, workers go on")


def test_an_interruption_says_what_became_of_the_jobs(workers: SlurmWorkers, commands: Commands) -> None:
    commands["scancel"] = AWAY
    assert workers.stop() == "nothing was submitted to SLURM"
    (workers.stage / "jobs" / "12_submission.sh").touch()
    assert workers.stop().startswith("the jobs could not be cancelled and go on: SLURM does not answer: scancel: ")
    assert len(commands.calls) == 1  # whoever interrupts is not kept waiting
    commands["scancel"] = ""
    assert workers.stop() == "the jobs were cancelled"


IN_A_JOB = {
    **{"SLURM_JOB_ID": "7", "SLURM_MEM_PER_CPU": "100", "SLURM_NTASKS": "2", "SLURM_RESTART_COUNT": "1"},
    **{"SRUN_CPUS_PER_TASK": "2", "SLURM_JOB_GPUS": "1", "CUDA_VISIBLE_DEVICES": "1", "SBATCH_MEM_BIND": "local"},
}
OF_THE_USER = {"SLURM_CLUSTERS": "here", "SBATCH_ACCOUNT": "mine", "HF_HOME": "/shared"}


@pytest.mark.parametrize("job", [True, False])
def test_what_belongs_to_the_job_around_is_not_handed_on(
    job: bool, workers: SlurmWorkers, commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    around = IN_A_JOB if job else {"SLURM_MEM_PER_CPU": "100", "CUDA_VISIBLE_DEVICES": "1"}  # as its user wishes
    for name in [name for name in os.environ if name.startswith("SLURM")]:
        monkeypatch.delenv(name)
    for name, value in {**around, **OF_THE_USER}.items():
        monkeypatch.setenv(name, value)
    commands["srun"] = commands["scontrol"] = ""
    commands["sbatch"] = f"env > {tmp_path}/environment; echo Submitted batch job 12"
    before = dict(os.environ)
    workers.start(2)
    assert dict(os.environ) == before
    seen = dict(line.split("=", 1) for line in (tmp_path / "environment").read_text().splitlines() if "=" in line)
    assert seen.items() >= OF_THE_USER.items()
    assert set(seen) & set(around) == (set() if job else set(around))


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        ("outputs/two_agent_grid/shards/generate", "two_agent_grid-generate"),
        ("a run/with 'quotes' & ü/shards/stage1", "with_quotes_ü-stage1"),
        ("sweeps/seeds/.sweep/0a1b2c3d/shards/jobs", "seeds-jobs"),
        (f"{'x' * 300}/shards/score", f"{'x' * 60}-score"),
    ],
)
def test_jobs_are_called_after_their_run(stage: str, name: str) -> None:
    assert job_name(Path("/") / stage) == name


def test_a_controller_that_is_away_is_asked_again(commands: Commands, tmp_path: Path) -> None:
    commands["scancel"] = f"if [ $(grep -c . '{tmp_path}/calls') -lt 3 ]; then {AWAY}; fi"
    cancel({"3", "12"})
    assert commands.calls == ["scancel --quiet 12 3"] * 3


def test_a_controller_that_stays_away(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(squeue, "PATIENCE_SECONDS", 0.2)
    commands["scancel"] = AWAY
    with pytest.raises(SlurmError, match=r"does not answer.*Unable to contact"):
        cancel({"3"})
    assert len(commands.calls) > 1
    monkeypatch.setattr(subprocess, "run", slow)
    with pytest.raises(SlurmError, match=r"does not answer.*no answer within"):
        cancel({"3"})


def test_a_refusal_is_not_repeated(commands: Commands) -> None:
    commands["scancel"] = "echo 'Access/permission\n denied' >&2; exit 1"
    with pytest.raises(LaunchError, match="SLURM refused: scancel: Access/permission denied"):
        cancel({"3"})
    assert len(commands.calls) == 1


def test_nothing_to_cancel_is_not_asked_for(nowhere: None) -> None:
    cancel(set())


def test_the_longest_array(commands: Commands) -> None:
    commands["scontrol"] = "printf 'MaxArraySize            = 51\\nMaxJobCount = 10000\\n'"
    assert max_array_size() == 51
    commands["scontrol"] = "echo MaxJobCount = 10000"
    assert max_array_size() == 1001


def test_arrays_as_long_as_asked_for(commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands["sbatch"] = commands["scontrol"] = ""
    submitted: list[tuple[int, str | None]] = []

    def submit(self: SlurmWorkers, size: int, before: str | None) -> str:
        submitted.append((size, before))
        return str(len(submitted))

    monkeypatch.setattr(SlurmWorkers, "_submit", submit)
    SlurmWorkers(tmp_path / "run" / "jobs" / "work.pkl", options(max_array_size=3)).start(7)
    assert submitted == [(3, None), (3, "1"), (1, "2")]
    assert not (tmp_path / "calls").exists()  # SLURM was not asked


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
    ("more", "shards", "wanted"),
    [({}, 2, 2), ({}, 100, 4), ({"shards_per_worker": 3}, 100, 34), ({"shards_per_worker": 3}, 99, 33)],
)
def test_how_many_workers_are_wanted(
    more: dict[str, int], shards: int, wanted: int, commands: Commands, tmp_path: Path
) -> None:
    commands["sbatch"] = ""
    workers = SlurmWorkers(tmp_path / "run" / "jobs" / "work.pkl", options(**more))
    assert workers.wanted(shards) == wanted


def test_jobs_of_others_are_not_this_stages(workers: SlurmWorkers, commands: Commands) -> None:
    (workers.stage / "jobs" / "12_submission.sh").touch()
    assert workers.present({}, {"12_3": "RUNNING", "12_4": "PENDING", "120_1": "RUNNING", "1": "RUNNING"}) == 2
    commands["squeue"] = "printf '12_3|RUNNING\\n12_4|PENDING\\n120_1|PENDING\\n'"
    commands["scancel"] = ""
    workers.dismiss()
    assert commands.calls[-1] == "scancel --quiet 12_4"
    workers.stop()
    assert commands.calls[-1] == "scancel --quiet 12"


def test_work_that_is_done_does_not_wait_for_slurm(workers: SlurmWorkers, commands: Commands) -> None:
    (workers.stage / "jobs" / "12_submission.sh").touch()
    commands["squeue"] = AWAY
    workers.dismiss()
    commands["squeue"] = "echo '12_3|PENDING'"
    commands["scancel"] = AWAY
    workers.dismiss()
    assert commands.calls[-1] == "scancel --quiet 12_3"
