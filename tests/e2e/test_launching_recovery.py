"""Whatever is killed, cancelled or sent back into the queue: the work ends complete, nothing is made twice but what was
in the making."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from launchers import FailedShardsError, NotWaitedError
from launchers.leases import Leases
from launchers.status import standing
from launchers.worker_record import living, workers_of
from tests.launching import REPO, Bench, expected, local, shards_of, slurm
from tests.slurm_lab import SlurmLab, wait_until

pytestmark = pytest.mark.slow

SHARDS = [*shards_of(2, waits=True), *shards_of(range(2, 8))]
"""Two workers begin the first two, then wait for what happens."""


def begun(bench: Bench, number: int = 2) -> None:
    wait_until(lambda: len(bench.begun()) >= number, f"{number} shards have begun")


def ends(process: subprocess.Popen[str], status: int = 0) -> str:
    """Wait for a launching process; what it said."""
    words, _ = process.communicate(timeout=120)
    assert process.returncode == status, words
    assert "Traceback" not in words
    return words


def complete(bench: Bench, *twice: int) -> None:
    """Every shard is done, those in `twice` were begun again."""
    assert bench.results(SHARDS) == expected(SHARDS)
    assert bench.begun() == {**dict.fromkeys(range(8), 1), **dict.fromkeys(twice, 2)}
    wait_until(lambda: not living(bench.folder), "the workers end", seconds=10)


def running(process: int) -> bool:
    """Whether it is there, and not only waits to be waited for."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def marked_processes(mark: str) -> list[str]:
    """Command lines of the processes with this in their environment, this one left out."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_bytes().split(b"\0")
            command = (process / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        if f"LAUNCHING_TEST={mark}".encode() in variables and process.name != str(os.getpid()):
            found.append(command)
    return found


def job_of(bench: Bench, number: int) -> str:
    """The id of the job that makes the shard."""
    holder = Leases(bench.folder).holders()[SHARDS[number].key]
    return str(workers_of(bench.folder)[holder].job)


def test_a_killed_launching_process_leaves_workers_that_the_next_one_joins(bench: Bench) -> None:
    first = bench.launch_apart(SHARDS, local(slots=2))
    begun(bench)
    first.kill()
    first.communicate(timeout=10)
    second = bench.launch_apart(SHARDS, local(slots=2))
    time.sleep(2)
    bench.release()
    ends(second)
    complete(bench)
    assert len(bench.events("load")) == 2


def test_everything_on_this_host_is_killed(bench: Bench) -> None:
    first = bench.launch_apart(SHARDS, local(slots=2))
    begun(bench)
    first.kill()
    for record in living(bench.folder).values():
        os.kill(record.pid, signal.SIGKILL)
    first.communicate(timeout=10)
    bench.release()
    keys = [shard.key for shard in SHARDS]
    wait_until(lambda: standing(bench.folder, keys).count("lost") == 2, "the killed are seen to be gone", seconds=5)
    ends(bench.launch_apart(SHARDS, local(slots=2)))
    complete(bench, 0, 1)


def test_a_killed_worker_is_replaced(bench: Bench) -> None:
    process = bench.launch_apart(SHARDS, local(slots=2))
    begun(bench)
    os.kill(bench.worker_of(0), signal.SIGKILL)
    wait_until(lambda: bench.begun()[0] == 2, "another begins its shard, while one waits")
    bench.release()
    ends(process)
    complete(bench, 0)
    assert len(bench.events("load")) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_stops_every_worker_on_this_host(
    number: signal.Signals, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAUNCHING_TEST", str(bench.run_dir))
    lingers = 1.5 if number == signal.SIGINT else 0  # submitit's own process would give it a second
    shards = [*shards_of(2, waits=True, lingers=lingers), *shards_of(range(2, 4))]
    process = bench.launch_apart(shards, local(slots=2), group=True)
    wait_until(lambda: len(bench.begun()) == 2, "the work has begun")
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    words, _ = process.communicate(timeout=30)
    assert process.returncode == 130, words
    assert "Traceback" not in words
    assert "the workers on this host were stopped" in words
    assert len(bench.events("end")) == 2  # each had the time to clean up
    assert not marked_processes(str(bench.run_dir))
    assert not Leases(bench.folder).holders()
    assert not list(bench.folder.glob("failed/*"))
    bench.release()
    bench.launch(shards, local(slots=2))
    assert bench.begun() == {0: 2, 1: 2, 2: 1, 3: 1}


def test_an_interruption_reaches_workers_that_were_joined(bench: Bench) -> None:
    with pytest.raises(NotWaitedError):
        bench.launch(SHARDS, local(slots=2, wait=False))
    begun(bench)
    process = bench.launch_apart(SHARDS, local(slots=2))
    time.sleep(2)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    ends(process, 130)
    assert not living(bench.folder)
    assert not Leases(bench.folder).holders()
    bench.release()
    bench.launch(SHARDS, local(slots=2))
    complete(bench, 0, 1)


def test_a_worker_that_heeds_nothing_is_killed_in_the_end(bench: Bench) -> None:
    process = bench.launch_apart(SHARDS, local(slots=2))
    begun(bench)
    stuck = bench.worker_of(0)
    os.kill(stuck, signal.SIGSTOP)
    process.send_signal(signal.SIGTERM)
    ends(process, 130)
    wait_until(lambda: not running(stuck), "it is gone", seconds=1)
    assert not living(bench.folder)
    bench.release()
    bench.launch(SHARDS, local(slots=2))
    complete(bench, 0, 1)


@contextmanager
def hangup(handler: signal.Handlers) -> Iterator[None]:
    """What is started inside heeds the end of its terminal as `handler` says."""
    before = signal.signal(signal.SIGHUP, handler)
    yield
    signal.signal(signal.SIGHUP, before)


def test_the_end_of_the_terminal_stops_workers_but_under_nohup(bench: Bench) -> None:
    with hangup(signal.SIG_IGN):
        process = bench.launch_apart(SHARDS, local(slots=2))
    begun(bench)
    process.send_signal(signal.SIGHUP)
    time.sleep(1)
    assert process.poll() is None
    bench.release()
    ends(process)
    complete(bench)


def test_the_end_of_the_terminal_stops_workers(bench: Bench) -> None:
    with hangup(signal.SIG_DFL):
        process = bench.launch_apart(SHARDS, local(slots=2))
    begun(bench)
    process.send_signal(signal.SIGHUP)
    ends(process, 130)
    assert not living(bench.folder)


def test_a_worker_whose_time_is_short_takes_no_more(bench: Bench) -> None:
    shards = [*shards_of(1), *shards_of([1], waits=True), *shards_of(range(2, 4))]
    with pytest.raises(NotWaitedError):
        bench.launch(shards, local(slots=1, wait=False))
    begun(bench)
    os.kill(bench.worker_of(1), signal.SIGUSR2)  # as submitit says it
    bench.release()
    wait_until(lambda: not living(bench.folder), "the worker ends")
    assert bench.begun() == {0: 1, 1: 1}
    assert bench.results(shards) == expected(shards[:2])
    bench.launch(shards, local(slots=1))
    assert bench.begun() == dict.fromkeys(range(4), 1)


def test_time_for_less_than_a_shard_is_said_not_repeated_for_ever(bench: Bench) -> None:
    with pytest.raises(NotWaitedError):
        bench.launch(SHARDS, local(slots=1, wait=False))
    begun(bench, 1)
    os.kill(bench.worker_of(0), signal.SIGUSR2)
    wait_until(lambda: not living(bench.folder), "the worker ends")
    wait_until(lambda: next(iter(workers_of(bench.folder).values())).error, "it says why", seconds=5)
    (record,) = workers_of(bench.folder).values()
    assert record.error.startswith("its time was over before it had made one shard")
    assert not Leases(bench.folder).holders()


def test_seven_of_ten_are_done_on_the_cluster(cluster: SlurmLab, bench: Bench) -> None:
    fine = shards_of(7)
    broken = [*shards_of([7], does="raise"), *shards_of([8], does="kill"), *shards_of([9], does="exit")]
    shards = [*broken, *fine]
    for rerun in (False, True):
        with pytest.raises(FailedShardsError) as failed:
            bench.launch(shards, slurm(max_concurrent=2))
        assert {failure.key: failure.reason for failure in failed.value.failures} == {
            broken[0].key: "ValueError: number 7 is wrong",
            broken[1].key: "3 workers ended while they worked on it",
            broken[2].key: "SystemExit: number 9 is too much",
        }
        assert bench.results(shards) == expected(fine)
        assert {number: bench.begun()[number] for number in range(7)} == dict.fromkeys(range(7), 1)
        assert [bench.begun()[number] for number in (7, 8, 9)] == ([2, 6, 2] if rerun else [1, 3, 1])


def test_a_worker_that_hangs_on_the_cluster_is_killed(cluster: SlurmLab, bench: Bench) -> None:
    shards = [*shards_of([0], does="hang once"), *shards_of(range(1, 4))]
    bench.launch(shards, slurm(max_concurrent=1, shard_timeout=0.05, max_retries=1))
    assert bench.results(shards) == expected(shards)
    assert bench.begun() == {**dict.fromkeys(range(4), 1), 0: 2}
    ends = [record.error for record in workers_of(bench.folder).values()]
    assert ends == ["TimeoutError: not done after 0.05 minutes (launcher.shard_timeout)", None]


def states(cluster: SlurmLab, bench: Bench) -> set[str]:
    """The states in which the stage's jobs ended, as SLURM recorded them."""
    jobs = {note["job"] for note in bench.events("load")}
    wait_until(lambda: not cluster.jobs(), "the queue is empty")
    # of an array's task the file has the number of the task, in the log of the worker its number as a job
    text = (cluster.folder / "completed.txt").read_text()
    ends = dict(re.findall(r"^JobId=(\d+) .*? JobState=(\S+)", text, re.MULTILINE))
    return {state for job, state in ends.items() if int(job) >= min(map(int, jobs))}


def test_a_failed_shard_fails_its_job(cluster: SlurmLab, bench: Bench) -> None:
    bench.launch(shards_of(2), slurm(max_concurrent=1))
    assert states(cluster, bench) == {"COMPLETED"}
    other = Bench(bench.run_dir.with_name("other"), bench.notes.with_name("others"))
    with pytest.raises(FailedShardsError):
        other.launch(shards_of(2, does="raise"), slurm(max_concurrent=1))
    assert states(cluster, other) == {"FAILED"}


def test_workers_that_cannot_be_made_on_the_cluster(cluster: SlurmLab, bench: Bench) -> None:
    with pytest.raises(FailedShardsError, match="RuntimeError: device  is broken"):
        bench.launch(shards_of(4), slurm(max_concurrent=2), broken="*")
    with pytest.raises(FailedShardsError, match=r"no-such-python.*_log\.out"):
        bench.launch(shards_of(4), slurm(max_concurrent=2, python="no-such-python"))
    assert not bench.begun()


@pytest.mark.parametrize("how", ["requeue", "preempt"])
def test_a_job_that_is_queued_again_goes_on_itself(how: str, cluster: SlurmLab, bench: Bench) -> None:
    process = bench.launch_apart(SHARDS, slurm(max_concurrent=1, gres="gpu:4"))
    begun(bench, 1)
    job = job_of(bench, 0)
    if how == "requeue":
        cluster.run("scontrol", "requeue", job)
    else:
        cluster.run("sbatch", "--partition=urgent", "--gres=gpu:4", "--output=/dev/null", "--wrap=sleep 1")
    wait_until(lambda: not Leases(bench.folder).holders(), "the worker lets go")
    bench.release()
    ends(process)
    complete(bench, 0)
    assert set(workers_of(bench.folder)) == {f"{job}-0", f"{job}-1"}


def test_a_cancelled_task_loses_only_its_shard_and_is_said(cluster: SlurmLab, bench: Bench) -> None:
    process = bench.launch_apart(SHARDS, slurm(max_concurrent=2))
    begun(bench)
    job = job_of(bench, 0)
    assert "_" in job
    cluster.run("scancel", job)
    wait_until(lambda: SHARDS[0].key not in Leases(bench.folder).holders(), "the worker lets go")
    assert process.stdout
    said = next(line for line in process.stdout if line.startswith("worker "))
    assert said.startswith(f"worker {job}-0: was stopped by a signal, as scancel sends it (")
    assert said.endswith("none takes its place while others work\n")
    bench.release()
    ends(process)
    complete(bench, 0)
    assert len(bench.events("load")) == 2


def test_a_killed_worker_of_the_cluster_is_replaced(cluster: SlurmLab, bench: Bench) -> None:
    process = bench.launch_apart(SHARDS, slurm(max_concurrent=2))
    begun(bench)
    os.kill(bench.worker_of(0), signal.SIGKILL)
    wait_until(lambda: bench.begun()[0] == 2, "another begins its shard, while one waits")
    bench.release()
    ends(process)
    complete(bench, 0)


def test_the_controller_is_away_for_a_while(cluster: SlurmLab, bench: Bench) -> None:
    process = bench.launch_apart(SHARDS, slurm(max_concurrent=2))
    begun(bench)
    cluster.stop_controller()
    stopped = time.monotonic()
    try:
        status = subprocess.run(
            [sys.executable, "-m", "launchers", "status", str(bench.run_dir)], cwd=REPO, capture_output=True, text=True
        )
        assert status.returncode == 0
        assert "2 running" in status.stdout
        time.sleep(max(0, 20 - (time.monotonic() - stopped)))
        assert process.poll() is None
    finally:
        cluster.start_controller()
    bench.release()
    ends(process)
    complete(bench)


def test_a_run_ends_while_the_controller_is_away(cluster: SlurmLab, bench: Bench) -> None:
    process = bench.launch_apart(SHARDS, slurm(max_concurrent=2))
    begun(bench)
    cluster.stop_controller()
    try:
        bench.release()
        wait_until(lambda: bench.results(SHARDS) == expected(SHARDS), "the shards are done")
    finally:
        time.sleep(3)
        cluster.start_controller()
    ends(process)
    complete(bench)


def test_a_killed_launching_process_leaves_jobs_that_the_next_one_joins(cluster: SlurmLab, bench: Bench) -> None:
    first = bench.launch_apart(SHARDS, slurm(max_concurrent=2))
    begun(bench)
    first.kill()
    first.communicate(timeout=10)
    second = bench.launch_apart(SHARDS, slurm(max_concurrent=2))
    time.sleep(2)
    assert len(cluster.jobs()) == 2
    bench.release()
    ends(second)
    complete(bench)


@pytest.mark.parametrize("on_interrupt", ["leave", "cancel"])
def test_an_interruption_does_with_the_jobs_as_asked(on_interrupt: str, cluster: SlurmLab, bench: Bench) -> None:
    launcher = slurm(max_concurrent=2, on_interrupt=on_interrupt)
    process = bench.launch_apart(SHARDS, launcher, group=True)
    begun(bench)
    os.killpg(process.pid, signal.SIGINT)
    words = ends(process, 130)
    if on_interrupt == "leave":
        assert "the jobs stay in SLURM's queue and go on" in words
        assert set(cluster.jobs().values()) == {"RUNNING"}
    else:
        assert "the jobs were cancelled" in words
        wait_until(lambda: not cluster.jobs(), "the queue is empty")
        assert not Leases(bench.folder).holders()
    bench.release()
    bench.launch(SHARDS, launcher)
    complete(bench, *(() if on_interrupt == "leave" else (0, 1)))


def test_a_job_whose_time_is_over_is_queued_again(cluster: SlurmLab, bench: Bench) -> None:
    shards = shards_of(300, seconds=0.3)
    process = bench.launch_apart(shards, slurm(max_concurrent=1, time=1, signal_delay=20))
    wait_until(lambda: len(bench.events("load")) == 2, "the job begins for the second time", seconds=90)
    bench.release()
    ends(process)
    assert bench.results(shards) == expected(shards)
    assert bench.begun() == dict.fromkeys(range(300), 1)
    assert len({record.job for record in workers_of(bench.folder).values()}) == 1
