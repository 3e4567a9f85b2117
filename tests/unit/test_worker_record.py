"""Who works for a stage: records, and who of them is gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from launchers import worker_record as module
from launchers.worker_record import (
    LOST_AFTER_SECONDS,
    Presence,
    WorkerRecord,
    announce,
    living,
    workers_of,
)

ELSEWHERE = {"kernel": "another boot", "host": "node-7"}


def record_of(folder: Path, name: str) -> WorkerRecord:
    return workers_of(folder)[name]


def test_a_worker_is_there_from_beginning_to_end(tmp_path: Path) -> None:
    with Presence(tmp_path, "w", tmp_path / "log", slot=3, gpu="1") as me:
        record = record_of(tmp_path, "w")
        assert (record.state, record.slot, record.gpu, record.log) == (
            *("starting", 3, "1"),
            str(tmp_path / "log"),
        )
        assert (record.provenance or {})["packages"]
        assert record.is_here
        assert set(living(tmp_path)) == {"w"}
        me.count(5, done=True)
        me.count(0, done=False)
        me.update(state="working", written=True)
        record = record_of(tmp_path, "w")
        assert (record.done, record.failed, record.units, me.ended) == (1, 1, 5, 2)
    assert record_of(tmp_path, "w").state == "ended"
    assert living(tmp_path) == {}


def test_the_record_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.01)
    with Presence(tmp_path, "w") as me:
        first = record_of(tmp_path, "w").seen
        me.update(state="working")
        deadline = time.monotonic() + 10
        while record_of(tmp_path, "w").state != "working":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert record_of(tmp_path, "w").seen > first


def test_a_process_that_was_killed_is_gone(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    announce(tmp_path, "w", process.pid, slot=0)
    assert set(living(tmp_path)) == {"w"}
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie until it is waited for
    assert living(tmp_path) == {}
    process.wait()
    assert living(tmp_path) == {}


def test_a_later_process_of_the_same_number_is_another(tmp_path: Path) -> None:
    announce(tmp_path, "w", os.getpid())
    assert record_of(tmp_path, "w").model_copy(update={"pid_started": 1}).is_dead()


SILENT = LOST_AFTER_SECONDS + 1


@pytest.mark.parametrize("hours", [-1, 0, 1], ids=["its clock is late", "clocks agree", "its clock is early"])
@pytest.mark.parametrize(
    ("facts", "jobs", "gone"),
    [
        ({}, None, False),
        ({}, {}, False),  # not SLURM's: by its silence
        ({"silent": SILENT}, {}, True),
        ({"job": "12_3"}, None, False),  # SLURM does not answer: by its silence
        ({"job": "12_3", "silent": SILENT}, None, True),
        ({"job": "12_3", "silent": SILENT}, {"12_3": "RUNNING"}, False),
        ({"job": "12_3"}, {"12_3": "COMPLETING"}, False),
        ({"job": "12_3"}, {"12_3": "PENDING"}, True),  # queued again
        ({"job": "12_3"}, {"12_4": "RUNNING"}, True),
        ({"job": "12_3", "state": "ended"}, {"12_3": "RUNNING"}, True),
    ],
)
def test_a_worker_on_another_host(
    facts: dict[str, Any], jobs: dict[str, str] | None, gone: bool, hours: int, tmp_path: Path
) -> None:
    announce(tmp_path, "w", os.getpid())
    record = record_of(tmp_path, "w")
    there = record.model_copy(update={**ELSEWHERE, **facts, "seen": record.seen + 3600 * hours})
    assert there.is_dead(jobs) == gone


@pytest.mark.parametrize("hours", [-1, 1])
def test_silence_is_what_this_process_watched_on_its_own_clock(
    hours: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed, now = 0.0, time.monotonic()
    monkeypatch.setattr("launchers.worker_record.time.monotonic", lambda: now + passed)
    announce(tmp_path, "dead", os.getpid(), **ELSEWHERE)
    announce(tmp_path, "alive", os.getpid(), **ELSEWHERE)
    for beat in range(3):
        for name in ("dead", "alive") if beat == 0 else ("alive",):
            path = tmp_path / "workers" / f"{name}.json"
            path.write_text(json.dumps({**json.loads(path.read_bytes()), "seen": 1e9 + 3600 * hours + beat}))
        assert set(living(tmp_path)) == {"dead", "alive"}  # seen for the first time, or written since
        passed += LOST_AFTER_SECONDS / 2 - 1
    passed += 10
    assert set(living(tmp_path)) == {"alive"}


def test_the_time_of_a_shard_is_told_by_one_clock(tmp_path: Path) -> None:
    announce(tmp_path, "w", os.getpid(), since=1000.0, **ELSEWHERE)
    path = tmp_path / "workers" / "w.json"
    path.write_text(
        json.dumps({**json.loads(path.read_bytes()), "clock": 1060.0})
    )  # up for another time than this host
    assert 60 <= record_of(tmp_path, "w").seconds_on_shard() < 120
    with Presence(tmp_path, "here") as me:
        me.begin("a shard")
        assert record_of(tmp_path, "here").shard == "a shard"
        assert 0 <= record_of(tmp_path, "here").seconds_on_shard() < 60
        me.count(1, done=True)
        me.update(written=True)
        assert record_of(tmp_path, "here").shard is None


def test_of_a_job_that_was_queued_again_the_last_worker_counts(tmp_path: Path) -> None:
    for life in (0, 1):
        announce(tmp_path, f"12_3-{life}", os.getpid(), job="12_3", **ELSEWHERE)
    announce(tmp_path, "12_4-0", os.getpid(), job="12_4", **ELSEWHERE)
    announce(tmp_path, "local", os.getpid())
    assert set(living(tmp_path, {"12_3": "RUNNING", "12_4": "RUNNING"})) == {"12_3-1", "12_4-0", "local"}


def test_of_a_record_that_cannot_be_read_now_the_last_counts(tmp_path: Path) -> None:
    announce(tmp_path, "w", os.getpid())
    assert set(living(tmp_path)) == {"w"}
    path = tmp_path / "workers" / "w.json"
    path.write_bytes(path.read_bytes()[:-1])  # as a network file system shows it that has cached the length
    assert set(living(tmp_path)) == {"w"}


def test_a_damaged_record_is_none(tmp_path: Path) -> None:
    announce(tmp_path, "w", os.getpid())
    (tmp_path / "workers" / "x.json").write_text(json.dumps({"name": "x"})[:-1])
    assert set(workers_of(tmp_path)) == {"w"}
