"""`python -m launchers work DIR`: workers that any scheduler starts join a run that waits."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from launchers import NotWaitedError
from launchers.__main__ import main
from launchers.leases import Leases
from launchers.worker_record import living, workers_of
from tests.launching import Bench, expected, external, local, shards_of
from tests.nobody import as_nobody, nobodys_environment
from tests.slurm_lab import wait_until

NAMESPACE = ["unshare", "--pid", "--fork", "--mount-proc"]


def command(bench: Bench, minutes: float = 0.05) -> list[str]:
    return [sys.executable, "-m", "launchers", "work", str(bench.run_dir), "--wait", str(minutes)]


@contextmanager
def worker(
    bench: Bench, minutes: float = 5, before: tuple[str, ...] | list[str] = ()
) -> Iterator[subprocess.Popen[str]]:
    """One more worker, which is killed in the end if it did not end by itself."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen([*before, *command(bench, minutes)], **pipes) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


def ends(process: subprocess.Popen[str], status: int) -> str:
    words, _ = process.communicate(timeout=120)
    assert process.returncode == status, words
    assert "Traceback" not in words
    return words


def lay_out(bench: Bench, shards: list) -> None:  # type: ignore[type-arg]
    """A run that waits for workers, without a process that waits with it."""
    with pytest.raises(NotWaitedError, match=f"the work waits for workers .`python -m launchers work {bench.run_dir}`"):
        bench.launch(shards, external(wait=False))


def test_a_worker_goes_from_stage_to_stage(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    scoring, shards = replace(bench, stage="score"), shards_of(3, waits=True)
    with worker(bench) as process:  # before there is a run
        first = bench.launch_apart(shards, external())
        wait_until(lambda: bench.begun(), "it has begun")
        assert main(["status", str(bench.run_dir)]) == 0
        shown = capsys.readouterr().out
        (record,) = living(bench.folder).values()
        assert "1 running, 2 pending" in shown
        assert record.name in shown
        bench.release()
        ends(first, 0)
        ends(scoring.launch_apart(shards, external()), 0)
        process.terminate()
        ends(process, 3)
    assert bench.results(shards) == scoring.results(shards) == expected(shards)
    one, other = bench.events("load")
    assert one["pid"] != other["pid"]  # what one stage loaded is out of the other's way


def test_a_run_without_a_worker_says_how_to_start_one(bench: Bench) -> None:
    process = bench.launch_apart(shards_of(1), external())
    assert process.stderr is None
    assert process.stdout is not None
    assert f"no worker is there: `python -m launchers work {bench.run_dir}` is one" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    words, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"`python -m launchers cancel {bench.run_dir}` ends them" in words


def test_a_worker_says_how_it_fared(bench: Bench) -> None:
    shards = [*shards_of([0], does="raise"), *shards_of([1], does="kill once"), *shards_of([2])]
    lay_out(bench, shards)
    with worker(bench, minutes=0.05) as process:
        assert "make: 1 failed" in ends(process, 1)
    assert bench.begun() == {0: 1, 1: 2, 2: 1}
    with worker(bench, minutes=0.02) as process:
        ends(process, 0)  # nothing is left
    with pytest.raises(NotWaitedError):
        bench.launch(shards, external(wait=False), broken="*")
    with worker(bench) as process:
        words, _ = process.communicate(timeout=60)
    assert process.returncode == 1  # at once: it cannot work
    assert "RuntimeError: device  is broken" in words


def test_a_worker_that_is_stopped_gives_its_shard_back(bench: Bench) -> None:
    lay_out(bench, shards_of(2, waits=True))
    with worker(bench) as process:
        wait_until(lambda: bench.begun(), "it has begun")
        process.send_signal(signal.SIGTERM)
        ends(process, 3)
    assert not Leases(bench.folder).holders()
    (record,) = workers_of(bench.folder).values()
    assert record.stopped
    with worker(bench) as process:
        wait_until(lambda: len(bench.events("begin")) == 2, "another has begun")
        assert main(["cancel", str(bench.run_dir)]) == 0
        ends(process, 3)


def test_workers_from_outside_help_local_ones(bench: Bench) -> None:
    shards = shards_of(4, meet=2)
    process = bench.launch_apart(shards, local(slots=1))
    with worker(bench, minutes=1):
        ends(process, 0)
    assert bench.results(shards) == expected(shards)
    assert len({note["pid"] for note in bench.events("begin")}) == 2


def test_what_cannot_be_worked_on_is_said_in_a_line(bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["work", str(bench.run_dir), "--wait", "0"]) == 2
    assert "expected a run that waits for workers, as one with launcher=external\n" in capfd.readouterr().err
    lay_out(bench, shards_of(1))
    copy = bench.run_dir.with_name("copy")
    shutil.copytree(bench.run_dir, copy, symlinks=True)
    capfd.readouterr()
    assert main(["work", str(copy), "--wait", "0.1"]) == 2
    assert capfd.readouterr().err == (
        f"DIR = {copy}: expected the path by which the run was started, {bench.run_dir}\n"
    )
    (bench.folder / "jobs" / "work.pkl").write_bytes(b"no pickle")
    assert main(["work", str(bench.run_dir), "--wait", "0.1"]) == 2
    assert "expected work laid out by this version" in capfd.readouterr().err
    assert not bench.begun()


@pytest.fixture
def shared(bench: Bench) -> Iterator[Bench]:
    """Work in a folder that the group of nobody may write, made by a process that lets its group write."""
    if os.geteuid() or subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode:
        pytest.skip("only root can work as another user in another namespace")
    top = Path(tempfile.mkdtemp(dir="/tmp"))
    os.chown(top, 0, 65534)
    top.chmod(0o2775)
    before = os.umask(0o002)
    yield Bench(top / "run", top / "notes")
    os.umask(before)
    shutil.rmtree(top)


def test_a_worker_of_another_user_in_another_namespace(shared: Bench) -> None:
    shards = [*shards_of(3), *shards_of([3], waits=True)]
    process = shared.launch_apart(shards, external())
    wait_until((shared.folder / "jobs" / "work.pkl").exists, "the work is laid out")
    inside = subprocess.Popen([*NAMESPACE, *as_nobody(*command(shared, 0.05))], env=nobodys_environment())
    wait_until(lambda: shared.begun()[3], "the last shard has begun")
    (record,) = living(shared.folder).values()
    assert (shared.folder / "workers" / f"{record.name}.json").stat().st_uid == 65534
    assert record.pid < 100  # by the numbers of its own namespace
    shared.release()
    ends(process, 0)
    assert inside.wait(timeout=60) == 0
    assert shared.results(shards) == expected(shards)


def test_the_first_process_of_a_container_heeds_sigterm(shared: Bench) -> None:
    lay_out(shared, shards_of(1, waits=True))
    with worker(shared, before=NAMESPACE) as process:
        wait_until(lambda: shared.begun(), "it has begun")
        (first,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(first), signal.SIGTERM)
        ends(process, 3)
    assert not Leases(shared.folder).holders()


def test_the_record_of_a_worker_on_another_host_is_watched(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    lay_out(bench, shards_of(1, waits=True))
    with worker(bench) as process:
        wait_until(lambda: bench.begun(), "it has begun")
        (record,) = living(bench.folder).values()
        path = bench.folder / "workers" / "dead.json"
        elsewhere = {"name": "dead", "host": "node-7", "kernel": "another boot", "seen": record.seen + 3600}
        path.write_text(json.dumps({**record.model_dump(), **elsewhere}))
        assert main(["status", str(bench.run_dir)]) == 0
        shown = capsys.readouterr().out
        assert record.name in shown
        assert "dead" not in shown
        process.terminate()
        ends(process, 3)
