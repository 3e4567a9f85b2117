"""The three launchers: the same work, each shard once, every worker in its place, every failure seen."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pytest

from launchers import (
    FailedShardsError,
    InlineConfig,
    LauncherConfig,
    LaunchError,
    NotWaitedError,
    SlurmError,
    completion_of,
)
from launchers.__main__ import main
from launchers.backends.local import LocalWorkers
from launchers.leases import Leases
from launchers.status import CANCELLED
from launchers.worker import Work
from launchers.worker_process import write_work
from launchers.worker_record import announce, living, workers_of
from tests.launching import REPO, Bench, expected, local, make_worker, shards_of, slurm
from tests.slurm_lab import SlurmLab, wait_until

SHORT = 0.05
"""Minutes: a limit for shards that take no time."""

BACKENDS = ["inline", "local", "slurm"]


@pytest.fixture(params=BACKENDS)
def launcher(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> LauncherConfig:
    """Each launcher, with four pretended GPUs where it knows GPUs."""
    if request.param == "inline":
        return InlineConfig()
    if request.param == "local":
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
        return local()
    request.getfixturevalue("cluster")
    return slurm(gres="gpu:1")


def counts(bench: Bench) -> dict[str, int]:
    """What `status` says of the stage."""
    done = subprocess.run(
        [sys.executable, "-m", "launchers", "status", str(bench.run_dir)], cwd=REPO, capture_output=True, text=True
    )
    assert done.stdout, done.stderr
    first = done.stdout.splitlines()[0].removeprefix("make: ")
    return {state: int(number) for number, state in (part.split() for part in first.split(", "))}


def settles(bench: Bench, **states: int) -> None:
    """Wait until `status` says so."""
    wait_until(lambda: counts(bench).items() >= states.items(), f"{states}, is {counts(bench)}")


def failures(failed: pytest.ExceptionInfo[FailedShardsError]) -> dict[str, tuple[str, Path]]:
    return {failure.key: (failure.reason, failure.path) for failure in failed.value.failures}


def test_every_shard_is_made_once_by_a_worker_in_its_place(launcher: LauncherConfig, tmp_path: Path) -> None:
    name = "a run, with 'quotes' & ünïcödé 図 " + "long " * 30
    bench = Bench(tmp_path / name[:200].strip(), tmp_path / "notes")
    at_once = 1 if launcher.name == "inline" else 4
    shards = [*shards_of(4, meet=at_once), *shards_of(range(4, 16), seconds=0.01)]

    bench.launch(shards, launcher)

    assert bench.begun() == dict.fromkeys(range(16), 1)
    assert bench.results(shards) == expected(shards)
    assert bench.most_at_once() == len(bench.events("load")) == at_once
    workers = workers_of(bench.folder)
    assert len(workers) == at_once
    assert {(completion_of(bench.folder, shard.key) or {})["worker"] for shard in shards} == set(workers)
    assert not living(bench.folder)
    assert not Leases(bench.folder).holders()
    if launcher.name != "inline":
        assert sorted(note["gpu"] for note in bench.events("load")) == ["0", "1", "2", "3"]
        assert sorted(record.gpu for record in workers.values()) == ["0", "1", "2", "3"]
        assert len({(note["pid"], note["gpu"]) for note in bench.events("begin")}) == 4
        assert all(Path(record.log).is_file() for record in workers.values())
    assert main(["status", str(bench.run_dir)]) == 0


@pytest.mark.parametrize(
    ("options", "gpus"),
    [
        ({"workers_per_gpu": 2}, {"GPU-0a1b": 2, "MIG-9f8e": 2}),
        ({"slots": 1}, {"GPU-0a1b": 1}),
        ({"gpus": False, "slots": 2}, {"": 2}),
    ],
)
def test_workers_on_this_host_divide_its_devices(
    options: dict[str, int], gpus: dict[str, int], bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-0a1b,MIG-9f8e")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    number = sum(gpus.values())
    bench.launch([*shards_of(number, meet=number), *shards_of(range(10, 14))], local(**options))
    places = bench.events("load")
    assert Counter(place["gpu"] for place in places) == gpus
    assert bench.most_at_once() == number
    assert all(int(place["threads"]) == len(place["cpus"]) for place in places)
    usable = sorted(os.sched_getaffinity(0))
    if number <= len(usable):
        assert sorted(cpu for place in places for cpu in place["cpus"]) == usable


def test_no_more_workers_than_shards(bench: Bench) -> None:
    bench.launch(shards_of(1), local(slots=4))
    assert len(workers_of(bench.folder)) == 1


def test_seven_of_ten_are_done_and_three_failures_seen(bench: Bench) -> None:
    fine = shards_of(7)
    broken = [*shards_of([7], does="raise"), *shards_of([8], does="kill"), *shards_of([9], does="exit")]
    shards = [*broken, *fine]  # those that fail come first
    with pytest.raises(FailedShardsError) as failed:
        bench.launch(shards, local(slots=2))
    assert bench.results(shards) == expected(fine)
    assert {number: bench.begun()[number] for number in range(10)} == {**dict.fromkeys(range(10), 1), 8: 3}
    found = failures(failed)
    assert set(found) == {shard.key for shard in broken}
    raised, killed, left = (found[shard.key] for shard in broken)
    assert raised[0] == "ValueError: number 7 is wrong"
    assert killed[0] == "3 workers ended while they worked on it"
    assert left[0] == "SystemExit: number 9 is too much"
    assert str(failed.value).splitlines()[0] == "3 of 10 shards failed:"
    for reason, path in found.values():
        assert f"{reason} ({path}; log {bench.folder / 'jobs'}/" in str(failed.value)
        assert json.loads(path.read_text())["message"] in reason
    assert counts(bench) == {"done": 7, "pending": 0, "failed": 3}

    with pytest.raises(FailedShardsError) as failed:
        bench.launch(shards, local(slots=2))
    assert set(failures(failed)) == set(found)
    assert {number: bench.begun()[number] for number in range(10)} == {
        **dict.fromkeys(range(7), 1),
        **{7: 2, 8: 6, 9: 2},
    }


def test_a_worker_that_died_once_loses_only_what_it_had_in_the_making(bench: Bench) -> None:
    shards = [*shards_of([0], does="kill once"), *shards_of([1], does="raise twice"), *shards_of(range(2, 8))]
    bench.launch(shards, local(slots=2, max_retries=2))
    assert bench.begun() == {**dict.fromkeys(range(8), 1), 0: 2, 1: 3}
    assert bench.results(shards) == expected(shards)


def test_a_worker_that_hangs_is_killed_and_its_shard_has_failed(bench: Bench) -> None:
    shards = [*shards_of([0], does="hang"), *shards_of(range(1, 4))]
    with pytest.raises(FailedShardsError) as failed:
        bench.launch(shards, local(slots=1, shard_timeout=SHORT))
    (failure,) = failed.value.failures
    log = failure.log
    assert failure.key == shards[0].key
    assert failure.reason == f"TimeoutError: not done after {SHORT:g} minutes (launcher.shard_timeout)"
    assert len(failure.workers) == 1
    assert log is not None
    assert "in _fail" in Path(log).read_text()  # where it hung
    assert bench.results(shards) == expected(shards[1:])
    assert bench.begun() == dict.fromkeys(range(4), 1)
    assert not living(bench.folder)


def test_a_worker_that_is_stopped_is_killed_and_its_shard_tried_again(bench: Bench) -> None:
    shards = [*shards_of([0], waits=True), *shards_of(range(1, 4))]
    process = bench.launch_apart(shards, local(slots=1, shard_timeout=2 * SHORT, max_retries=1))
    wait_until(lambda: bench.begun()[0] == 1, "the work has begun")
    stopped = bench.worker_of(0)
    os.kill(stopped, signal.SIGSTOP)
    wait_until(lambda: not Path(f"/proc/{stopped}").exists(), "it is killed")
    bench.release()
    words, _ = process.communicate(timeout=60)
    assert process.returncode == 0, words
    assert bench.results(shards) == expected(shards)
    assert bench.begun() == {**dict.fromkeys(range(4), 1), 0: 2}


def test_two_launching_processes_of_the_same_work_share_its_slots(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    bench.notes.mkdir()
    work = Work(partial(make_worker, bench), shards_of(8, waits=True), bench.folder)
    both = [LocalWorkers(write_work(work), local()) for _ in range(2)]
    assert [workers.present({}, {}) for workers in both] == [0, 0]  # both look before either starts
    for workers in both:
        workers.start(2)
    wait_until(lambda: len(bench.begun()) == 2, "the workers have begun")
    assert sorted(record.gpu for record in living(bench.folder).values()) == ["0", "1"]
    assert [workers.present(living(bench.folder), {}) for workers in both] == [2, 2]
    both[1].stop()  # those of the other too
    assert not living(bench.folder)


def test_workers_that_cannot_be_made_are_given_up(bench: Bench) -> None:
    with pytest.raises(FailedShardsError) as failed:
        bench.launch(shards_of(4), local(slots=2), broken="*")
    assert failed.value.failures == []
    words = str(failed.value)
    assert words.startswith("4 of 4 shards were not made")
    assert "RuntimeError: device  is broken" in words
    logs = [record.log for record in workers_of(bench.folder).values()]
    assert 2 <= len(logs) <= 4
    assert all(log in words and "device  is broken" in Path(log).read_text() for log in logs)
    assert not Leases(bench.folder).holders()
    bench.launch(shards_of(4), local(slots=2))
    assert bench.begun() == dict.fromkeys(range(4), 1)


def test_a_broken_device_stops_only_its_own_worker(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    shards = [*shards_of(3, meet=3, sees="broken"), *shards_of(range(3, 8))]
    bench.launch(shards, local(), broken="2")
    assert bench.begun() == dict.fromkeys(range(8), 1)
    assert {note["gpu"] for note in bench.events("begin")} == {"0", "1", "3"}
    (error,) = (record.error for record in workers_of(bench.folder).values() if record.error)
    assert error == "RuntimeError: device 2 is broken"


def test_workers_that_are_not_waited_for_are_joined_not_doubled(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    shards = [*shards_of(2, waits=True), *shards_of(range(2, 6))]
    for _ in range(2):  # the second time before the workers are there
        with pytest.raises(NotWaitedError, match="python -m launchers status"):
            bench.launch(shards, local(slots=2, wait=False))
    assert bench.events("end") == []
    settles(bench, running=2, pending=4)
    assert main(["status", str(bench.run_dir)]) == 0
    assert "working" in capsys.readouterr().out
    with pytest.raises(NotWaitedError):
        bench.launch(shards, local(slots=2, wait=False))
    assert len(living(bench.folder)) == len(workers_of(bench.folder)) == 2
    bench.release()
    bench.launch(shards, local(slots=2))
    assert bench.begun() == dict.fromkeys(range(6), 1)
    assert len(bench.events("load")) == 2


def test_places_that_are_free_are_filled_when_a_run_is_joined(bench: Bench) -> None:
    with pytest.raises(NotWaitedError):
        bench.launch(shards_of(3, meet=3), local(slots=1, wait=False))
    bench.launch(shards_of(3, meet=3), local(slots=3))
    assert bench.begun() == dict.fromkeys(range(3), 1)
    assert sorted(record.slot for record in workers_of(bench.folder).values()) == [0, 1, 2]


def test_a_launching_process_that_does_not_wait_holds_nobody_up(bench: Bench) -> None:
    process = bench.launch_apart(shards_of(2, waits=True), local(slots=1, wait=False))
    words, _ = process.communicate(timeout=30)  # a reader of its pipe sees the end of it
    assert process.returncode == 0
    assert "the workers were started and go on" in words
    assert main(["cancel", str(bench.run_dir)]) == 0
    wait_until(lambda: not living(bench.folder), "the worker ends")


def test_cancel_stops_workers_and_a_later_run_goes_on(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    shards = [*shards_of(2, waits=True), *shards_of(range(2, 4))]
    with pytest.raises(NotWaitedError):
        bench.launch(shards, local(slots=2, wait=False))
    settles(bench, running=2)
    names = set(living(bench.folder))
    assert main(["cancel", str(bench.run_dir)]) == 0
    assert {line.split()[-1] for line in capsys.readouterr().out.splitlines()} == names
    wait_until(lambda: not living(bench.folder), "the workers end")
    settles(bench, pending=4, done=0, failed=0)
    assert all(record.stopped for record in workers_of(bench.folder).values())
    assert main(["cancel", str(bench.run_dir)]) == 0
    assert capsys.readouterr().out == "nobody works on this run\n"
    bench.release()
    bench.launch(shards, local(slots=2))
    assert bench.begun() == {0: 2, 1: 2, 2: 1, 3: 1}


def test_a_worker_that_no_signal_reaches_ends_after_its_shard(bench: Bench) -> None:
    with pytest.raises(NotWaitedError):
        bench.launch(shards_of(4, waits=True), local(slots=1, wait=False))
    settles(bench, running=1)
    (bench.folder / CANCELLED).touch()  # what `cancel` does on another host
    bench.release()
    wait_until(lambda: not living(bench.folder), "the worker ends")
    assert bench.begun() == {0: 1}
    settles(bench, done=1, pending=3)


def test_cancel_reaches_workers_that_are_only_starting(bench: Bench) -> None:
    with pytest.raises(NotWaitedError):
        bench.launch(shards_of(4), local(slots=2, wait=False))
    assert main(["cancel", str(bench.run_dir)]) == 0
    wait_until(lambda: not living(bench.folder), "the workers end")
    assert not bench.begun()


def test_a_launching_process_ends_when_its_run_is_cancelled(bench: Bench) -> None:
    process = bench.launch_apart(shards_of(2, waits=True), local(slots=2))
    wait_until(lambda: len(bench.begun()) == 2, "the work has begun")
    assert main(["cancel", str(bench.run_dir)]) == 0
    words, _ = process.communicate(timeout=30)
    assert process.returncode == 130, words
    assert "the workers on this host were stopped" in words
    assert bench.begun() == {0: 1, 1: 1}
    assert not living(bench.folder)


def test_logs_of_every_state(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    fails, pends, lost, runs = shards = [
        *(shards_of([0], does="raise") + shards_of([1, 2]) + shards_of([3], waits=True)),
    ]
    with pytest.raises(NotWaitedError):
        bench.launch([runs, fails], local(slots=2, wait=False))
    settles(bench, failed=1, running=1)
    dead = "gone-1"
    announce(bench.folder, dead, os.getpid(), log=str(bench.run_dir / "no.log"))
    Leases(bench.folder).take(lost.key, dead)
    record = bench.folder / "workers" / f"{dead}.json"
    record.write_text(record.read_text().replace('"pid_started": ', '"pid_started": 1'))
    (bench.folder / "shards.txt").write_text("\n".join(shard.key for shard in shards))
    assert counts(bench) == {"done": 0, "running": 1, "pending": 1, "failed": 1, "lost": 1}
    assert main(["status", str(bench.run_dir)]) == 1
    out = capsys.readouterr().out
    assert f"failed: {fails.key}" in out
    assert f"lost: {lost.key}" in out

    def logs(key: str) -> str:
        assert main(["logs", str(bench.run_dir), key]) == 0
        return capsys.readouterr().out

    assert f"make {fails.key}" in logs(fails.key[:6])
    assert "ValueError: number 0 is wrong" in logs(fails.key)
    assert "Starting with JobEnvironment" in logs(fails.key)
    assert "Starting with JobEnvironment" in logs(runs.key)
    assert logs(pends.key) == f"make {pends.key}\n"
    assert "no.log: No such file" in logs(lost.key)
    bench.release()
    wait_until(lambda: completion_of(bench.folder, runs.key), "the work is done")
    assert "Starting with JobEnvironment" in logs(runs.key)
    for wrong in ("", "zz"):
        assert main(["logs", str(bench.run_dir), wrong]) == 2
        assert capsys.readouterr().err.startswith(f"SHARD = {wrong}: expected")


def test_work_lost_by_a_worker_without_a_process_is_made_by_the_next_run(bench: Bench) -> None:
    shards = shards_of(3)
    announce(bench.folder, "gone-1", os.getpid())
    record = bench.folder / "workers" / "gone-1.json"
    record.write_text(record.read_text().replace('"pid_started": ', '"pid_started": 1'))
    Leases(bench.folder).take(shards[1].key, "gone-1")
    bench.launch(shards, InlineConfig())
    assert bench.begun() == dict.fromkeys(range(3), 1)


def mounted(folder: Path, options: str) -> None:
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "test", str(folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own that holds little; only root can have one."""
    if os.geteuid():
        pytest.skip("only root can mount a small disk")
    disk = tmp_path / "disk"
    try:
        mounted(disk, "size=256k")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no disk can be mounted here: {error}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)


DISK = [InlineConfig(), local(slots=1)]


@pytest.mark.parametrize("launcher", [*DISK, slurm(max_concurrent=1)], ids=lambda launcher: launcher.name)
def test_a_full_disk(
    launcher: LauncherConfig, small_disk: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if launcher.name == "slurm":
        request.getfixturevalue("cluster")
    bench = Bench(small_disk / "run", tmp_path / "notes")
    shards = shards_of(6)
    fill = small_disk / "fill"

    with pytest.raises(OSError, match="No space left") as full:
        bench.launch(shards, launcher, fills=str(fill))
    assert full.value.errno == errno.ENOSPC
    assert str(full.value.filename).startswith(str(bench.folder))
    assert not list(bench.run_dir.rglob("*.part"))
    assert not list(bench.folder.glob("failed/*"))
    done = bench.results(shards)
    assert len(done) == 2

    with pytest.raises(OSError, match="No space left"):
        bench.launch(shards, launcher)
    assert bench.results(shards) == done

    fill.unlink()
    bench.launch(shards, launcher)
    assert bench.results(shards) == expected(shards)
    assert {number: times for number, times in bench.begun().items() if number in done} == dict.fromkeys(done, 1)


@pytest.mark.parametrize("launcher", DISK, ids=lambda launcher: launcher.name)
def test_a_disk_that_cannot_be_written(launcher: LauncherConfig, small_disk: Path, tmp_path: Path) -> None:
    bench = Bench(small_disk / "run", tmp_path / "notes")
    shards = shards_of(2)
    bench.launch(shards[:1], launcher)
    remount(small_disk, "ro")
    with pytest.raises(OSError, match="Read-only") as refused:
        bench.launch(shards, launcher)
    assert str(refused.value.filename).startswith(str(bench.run_dir))
    remount(small_disk, "rw")
    bench.launch(shards, launcher)
    assert bench.begun() == {0: 1, 1: 1}


def test_workers_run_where_the_setup_says(cluster: SlurmLab, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    options = slurm(
        setup=["export LAUNCHING_SETUP='was here'"],
        python=f"env LAUNCHING_PYTHON=prefixed {sys.executable}",
        cpus=2,
        memory=0.5,
        additional={"comment": "for a test"},
        max_concurrent=1,
    )
    bench.launch(shards_of(2), options)
    (place,) = bench.events("load")
    assert place["variables"] == {"LAUNCHING_SETUP": "was here", "LAUNCHING_PYTHON": "prefixed"}
    assert place["threads"] == "2"
    (script,) = bench.folder.glob("jobs/*_submission.sh")
    assert all(word in script.read_text() for word in ("--job-name=run-make", "--mem=512M", "--comment='for a test'"))


def test_arrays_stay_below_the_longest_and_follow_each_other(
    cluster: SlurmLab, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launchers.squeue.max_array_size", lambda: 3)
    shards = shards_of(4)
    bench.launch(shards, slurm(shards_per_worker=1, max_concurrent=2))
    assert bench.begun() == dict.fromkeys(range(4), 1)
    assert bench.most_at_once() <= 2
    scripts = sorted(bench.folder.glob("jobs/*_submission.sh"), key=lambda path: int(path.name.partition("_")[0]))
    assert len(scripts) == 2
    first, second = (script.read_text() for script in scripts)
    assert "--array=0-2%2" in first
    assert f"--dependency=afterany:{scripts[0].name.partition('_')[0]}" in second
    assert {record.job.partition("_")[0] for record in workers_of(bench.folder).values()} == {
        script.name.partition("_")[0] for script in scripts
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [({"partition": "nowhere"}, "nowhere"), ({"gres": "gpu:9"}, "not available"), ({"memory": 9999.0}, "emory")],
)
def test_what_slurm_refuses_is_said_in_its_words(
    options: dict[str, object], words: str, cluster: SlurmLab, bench: Bench
) -> None:
    began = time.monotonic()
    with pytest.raises(LaunchError, match=words) as refused:
        bench.launch(shards_of(2), slurm(**options))
    assert time.monotonic() - began < 20
    assert len(str(refused.value).splitlines()) == 1
    assert not bench.begun()


@pytest.fixture
def no_munge(slurm_lab: SlurmLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster whose munge daemon is down, as seen from here."""
    conf = tmp_path / "slurm.conf"
    conf.write_text(slurm_lab.conf.read_text().replace("munged.socket", "no.socket"))
    monkeypatch.setenv("SLURM_CONF", str(conf))


def test_a_slurm_that_never_answers_is_given_up(
    no_munge: None, bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("launchers.squeue.PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr("launchers.backends.slurm.SlurmWorkers.poll_seconds", 0.2)
    with pytest.raises(SlurmError, match=r"this command submitted nothing: squeue: .*Munge encode failed"):
        bench.launch(shards_of(2), slurm())
    assert re.search(
        r"SLURM does not answer \(squeue: .*Munge encode failed.*asking again for", capsys.readouterr().err
    )


def test_an_interruption_before_slurm_answers_speaks_of_no_jobs(no_munge: None, bench: Bench) -> None:
    process = bench.launch_apart(shards_of(2), slurm(), group=True)
    assert process.stdout
    assert "Munge encode failed" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    words, _ = process.communicate(timeout=30)
    assert process.returncode == 130, words
    assert "nothing was submitted to SLURM" in words


def test_a_cluster_without_configuration_is_refused_at_once(
    slurm_programs: None, bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for conf, text in (("absent", None), ("wrong", "ClusterNam=lab\n")):
        if text:
            (tmp_path / conf).write_text(text)
        monkeypatch.setenv("SLURM_CONF", str(tmp_path / conf))
        with pytest.raises(LaunchError, match=r"^launcher = slurm: expected a host where SLURM is configured"):
            bench.launch(shards_of(2), slurm())


def test_a_launching_process_that_is_itself_a_job(cluster: SlurmLab, bench: Bench, tmp_path: Path) -> None:
    bench.notes.mkdir()
    launcher = slurm(cpus=2, memory=0.5).model_dump()
    shards = [asdict(shard) for shard in shards_of(2)]
    place = [str(bench.run_dir), str(bench.notes), bench.stage]
    spec = {"place": place, "launcher": launcher, "shards": shards}
    launch = shlex.join([sys.executable, "-c", "from tests.launching import main; main()", json.dumps(spec)])
    around = ("--mem-per-cpu=100", "--ntasks=1", "--cpus-per-task=1", "--gres=gpu:1", f"--chdir={REPO}")
    cluster.run("sbatch", "--wait", *around, f"--output={tmp_path}/words", f"--wrap={launch}")
    assert bench.results(shards_of(2)) == expected(shards_of(2)), (tmp_path / "words").read_text()
    assert {note["gpu"] for note in bench.events("load")} == {""}


def test_replacements_keep_to_the_most_that_may_work(cluster: SlurmLab, bench: Bench) -> None:
    shards = [*shards_of(1, does="kill once"), *shards_of(range(1, 5), seconds=3)]
    bench.launch(shards, slurm(shards_per_worker=1, max_concurrent=2))
    assert bench.begun() == {**dict.fromkeys(range(5), 1), 0: 2}
    assert bench.most_at_once() == 2


def test_a_worker_that_cannot_queue_itself_again_says_so(
    cluster: SlurmLab, bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    shards = [*shards_of(1), *shards_of([1], waits=True), *shards_of(range(2, 5), seconds=1)]
    contained = slurm(max_concurrent=1, python=f"env PATH=/nowhere {sys.executable}", wait=False)
    with pytest.raises(NotWaitedError):
        bench.launch(shards, contained)
    assert main(["status", str(bench.run_dir)]) == 0
    assert re.search("jobs in SLURM's queue: 1 (pending|running)", capsys.readouterr().out)
    settles(bench, running=1, done=1)
    os.kill(bench.worker_of(1), signal.SIGUSR2)  # as submitit says that the time limit is near
    bench.release()
    wait_until(lambda: not cluster.jobs(), "the job has ended")
    assert main(["status", str(bench.run_dir)]) == 3
    out = capsys.readouterr().out
    assert "make: 2 done, 3 pending" in out
    assert "nobody works on it and nothing is queued" in out
    assert "its time was over, and it could not be queued again: " in out
    assert "no scontrol here" in out
    (record,) = workers_of(bench.folder).values()
    assert "no scontrol here" in Path(record.log).read_text()
    bench.launch(shards, slurm(max_concurrent=1))
    assert bench.results(shards) == expected(shards)
    assert main(["status", str(bench.run_dir)]) == 0


def test_without_slurm_it_is_said(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    with pytest.raises(LaunchError, match="no sbatch here"):
        bench.launch(shards_of(2), slurm())


def test_jobs_that_are_not_waited_for(
    cluster: SlurmLab, bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = [*shards_of(2, waits=True), *shards_of(range(2, 4))]
    for _ in range(2):
        with pytest.raises(NotWaitedError):
            bench.launch(shards, slurm(max_concurrent=2, wait=False))
    assert len(cluster.jobs()) == 2
    settles(bench, running=2, pending=2)

    with monkeypatch.context() as elsewhere:  # a host without SLURM's commands
        elsewhere.setenv("PATH", "/nowhere")
        assert main(["status", str(bench.run_dir)]) == 0
        assert "2 running" in capsys.readouterr().out
        assert main(["cancel", str(bench.run_dir)]) == 2
        assert "no scancel here" in capsys.readouterr().err
    (bench.folder / CANCELLED).unlink()

    bench.release()
    bench.launch(shards, slurm(max_concurrent=2))
    assert bench.begun() == dict.fromkeys(range(4), 1)
    assert len(bench.events("load")) == 2


def test_cancel_takes_jobs_out_of_the_queue(
    cluster: SlurmLab, bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    shards = shards_of(6, waits=True)
    with pytest.raises(NotWaitedError):
        bench.launch(shards, slurm(shards_per_worker=1, max_concurrent=2, wait=False))
    settles(bench, running=2, pending=4)
    assert len(cluster.jobs()) == 6
    assert main(["status", str(bench.run_dir)]) == 0
    assert "jobs in SLURM's queue: 4 pending, 2 running (squeue --me says why)" in capsys.readouterr().out
    assert main(["cancel", str(bench.run_dir)]) == 0
    assert capsys.readouterr().out.startswith("make: cancelled SLURM's jobs ")
    wait_until(lambda: not cluster.jobs(), "the queue is empty")
    settles(bench, pending=6)
    bench.release()
    bench.launch(shards, slurm(max_concurrent=2))
    assert bench.begun() == {0: 2, 1: 2, **dict.fromkeys(range(2, 6), 1)}


def test_jobs_that_wait_for_their_turn_are_dismissed_with_the_last_shard(cluster: SlurmLab, bench: Bench) -> None:
    shards = shards_of(2)
    bench.launch(shards, slurm(max_concurrent=12, gres="gpu:4", additional={"array": "0-5%1"}))
    assert bench.begun() == dict.fromkeys(range(2), 1)
    wait_until(lambda: not cluster.jobs(), "the queue is empty", seconds=5)


@pytest.mark.parametrize("launcher", [local(), slurm()], ids=["local", "slurm"])
def test_a_path_that_job_numbers_would_change_is_refused(launcher: LauncherConfig, tmp_path: Path) -> None:
    bench = Bench(tmp_path / "run%j", tmp_path / "notes")
    with pytest.raises(LaunchError, match=r"run_dir = .*run%j: expected a path without %j"):
        bench.launch(shards_of(1), launcher)
    assert not (bench.folder / "jobs").exists()
