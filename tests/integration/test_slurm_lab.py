"""The laboratory cluster does what the tests of launchers lean on, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm_lab import SlurmLab, SlurmLabError, wait_until
from tests.slurm_lab.processes import daemons_of, kill
from tests.support import REPO

pytestmark = pytest.mark.usefixtures("slurm_programs")


@pytest.fixture
def lab(slurm_lab: SlurmLab) -> Iterator[SlurmLab]:
    """The cluster with an empty queue, before and after."""
    slurm_lab.clear()
    yield slurm_lab
    slurm_lab.clear()


def submit(lab: SlurmLab, folder: Path, script: str, *options: str) -> str:
    """Queue `script` with its output appended to `<task>.txt` in `folder`; return the job's id."""
    output = ("--output=%a.txt", "--open-mode=append", f"--chdir={folder}")
    return lab.run("sbatch", "--parsable", *output, *options, f"--wrap={script}")


def wait_for(lab: SlurmLab, job: str, state: str | None) -> None:
    """Wait until the queue shows `job` in `state`; None: no longer."""
    wait_until(lambda: lab.jobs().get(job) == state, f"job {job} is {state}")


def commands(processes: set[int]) -> list[str]:
    """Names of those of the processes that live."""
    names = []
    for process in processes:
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{process}/status").read_text()
            if "State:\tZ" not in status:
                names.append(status.split()[1])
    return names


def ports(lab: SlurmLab) -> list[int]:
    """What the two daemons of SLURM listen on."""
    lines = lab.conf.read_text().splitlines()
    return [int(line.partition("=")[2]) for line in lines if line.startswith(("SlurmctldPort", "SlurmdPort"))]


def test_four_gpus_take_the_six_tasks_of_an_array_in_turns(lab: SlurmLab, tmp_path: Path) -> None:
    script = 'echo "$CUDA_VISIBLE_DEVICES"; date +%s.%N; srun sleep 1; date +%s.%N'
    submit(lab, tmp_path, script, "--array=0-5", "--gres=gpu:1")
    wait_until(lambda: not lab.jobs(), "all six are done")

    tasks = [(tmp_path / f"{task}.txt").read_text().split() for task in range(6)]
    assert {gpu for gpu, _, _ in tasks} == {"0", "1", "2", "3"}
    spans = [(gpu, float(begin), float(end)) for gpu, begin, end in tasks]
    for _, moment, _ in spans:
        held = [gpu for gpu, begin, end in spans if begin <= moment < end]
        assert len(held) == len(set(held)) <= 4


@pytest.mark.slow
def test_a_requeued_job_is_back_within_seconds(lab: SlurmLab, tmp_path: Path) -> None:
    job = submit(lab, tmp_path, "echo begun; sleep 60", "--array=7")
    output = tmp_path / "7.txt"
    wait_until(lambda: output.exists() and "begun" in output.read_text(), "it begins")
    before = time.monotonic()
    lab.run("scontrol", "requeue", f"{job}_7")
    wait_until(lambda: output.read_text().count("begun") == 2, "it begins again")
    assert time.monotonic() - before < 15


@pytest.mark.slow
def test_an_urgent_job_sends_another_back_into_the_queue(tmp_path: Path, short_path: Path) -> None:
    with SlurmLab(short_path / "lab", grace_time=0, kill_wait=1) as lab:
        lowly = submit(lab, tmp_path, "echo begun; srun sleep 60", "--array=1")
        wait_for(lab, f"{lowly}_1", "RUNNING")
        urgent = submit(lab, tmp_path, "sleep 1", "--array=2", "--partition=urgent", "--gres=gpu:4", "--exclusive")
        wait_for(lab, f"{urgent}_2", "RUNNING")
        assert lab.jobs()[f"{lowly}_1"] != "RUNNING"
        wait_until(lambda: (tmp_path / "1.txt").read_text().count("begun") == 2, "the first is back")


@pytest.mark.slow
def test_a_killed_controller_keeps_its_queue(lab: SlurmLab, tmp_path: Path) -> None:
    runs = submit(lab, tmp_path, "sleep 120")
    waits = submit(lab, tmp_path, "sleep 120", f"--dependency=afterany:{runs}")
    wait_for(lab, runs, "RUNNING")
    lab.stop_controller()
    try:
        with pytest.raises(SlurmLabError, match="Unable to contact"):
            lab.jobs()
    finally:
        lab.start_controller()
    assert lab.jobs() == {runs: "RUNNING", waits: "PENDING"}
    lab.run("scancel", runs)
    wait_for(lab, waits, "RUNNING")


def test_its_end_is_that_of_its_jobs(tmp_path: Path, short_path: Path) -> None:
    with SlurmLab(short_path / "a b ü") as lab:
        job = submit(lab, tmp_path, "env -i setsid sleep 1000 & srun --export=NONE /bin/sleep 1000", "--export=NONE")
        wait_for(lab, job, "RUNNING")
        wait_until(lambda: commands(lab.processes()).count("sleep") == 2, "the job's two processes")
        with pytest.raises(SlurmLabError, match="runs already"):
            SlurmLab(lab.folder).start()
        assert commands(lab.processes()).count("sleep") == 2
        found = lab.processes()

    assert lab.processes() == set()
    assert commands(found) == []
    for port in ports(lab):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # closed connections linger for a minute
            listener.bind(("127.0.0.1", port))


def test_every_start_begins_with_an_empty_queue(tmp_path: Path, short_path: Path) -> None:
    lab = SlurmLab(short_path / "lab")
    for _ in range(2):
        with lab:
            submit(lab, tmp_path, "sleep 1000", "--hold")
            assert len(lab.jobs()) == 1


def test_it_leaves_the_files_of_others_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(SlurmLabError, match="has files in it"):
        SlurmLab(tmp_path).start()
    assert (tmp_path / "thesis.tex").exists()


@pytest.mark.parametrize(
    ("name", "reason"), [('a"b', "SLURM takes no"), ("x" * 100, "bytes too long")], ids=["quote", "long"]
)
def test_a_folder_that_slurm_cannot_use_is_refused(name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(SlurmLabError, match=reason):
        SlurmLab(tmp_path / name).start()
    assert not (tmp_path / name).exists()


def test_its_commands_say_how_it_is_used_and_may_be_repeated(tmp_path: Path) -> None:
    def command(action: str) -> str:
        words = [sys.executable, "-m", "tests.slurm_lab", action, str(tmp_path / "a lab")]
        return subprocess.run(words, cwd=REPO, check=True, capture_output=True, text=True, timeout=120).stdout

    try:
        export = f"export SLURM_CONF={shlex.quote(str(tmp_path / 'a lab' / 'slurm.conf'))}"
        assert export in command("start")
        again = command("start")
        assert "runs already" in again
        assert export in again
        kill(daemons_of(tmp_path / "a lab", ["slurmctld"]))
        assert "runs already" not in command("start")
    finally:
        assert "stopped" in command("stop")
    assert "did not run" in command("stop")
