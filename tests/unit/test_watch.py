"""What one sees while workers work."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from launchers.__main__ import main
from launchers.progress import Watch
from launchers.shards import Failure, failure_path
from launchers.status import standing, write_manifest
from launchers.worker_record import announce
from tests.launching import shards_of

SHARDS = shards_of(4)


def test_plain_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = [shard.key for shard in SHARDS]
    facts = {"working_since": time.time() - 10, "units": 20, "gpu": "1", "log": "the log"}
    announce(tmp_path, "w", os.getpid(), **facts)
    SHARDS[0].complete(tmp_path, {})
    Failure(key=keys[1], error="ValueError", message="[red]wrong[/red]", workers=["w"], log="the log").write(tmp_path)
    with Watch(SHARDS, tmp_path, what="testing", unit="images") as watch:
        for _ in range(3):
            watch.show(standing(tmp_path, keys), "a note")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        f"failed: {keys[1]}: ValueError: [red]wrong[/red] ({failure_path(tmp_path, keys[1])}; log the log)",
        "testing: shards 1 done, 2 pending, 1 failed; 1 worker; 2.0 images/s, 0:00:01 left; a note",
    ]


def test_that_no_shard_ends_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = [shard.key for shard in SHARDS]
    stuck = {"since": time.monotonic() - 725, "shard": keys[0]}
    announce(tmp_path, "stuck", os.getpid(), **stuck)
    with Watch(SHARDS, tmp_path, what="testing", unit="images") as watch:
        watch.show(standing(tmp_path, keys))
    assert capsys.readouterr().err.endswith("1 worker; no shard ended for 12 minutes\n")
    write_manifest(tmp_path / "shards" / "make", keys)
    announce(tmp_path / "shards" / "make", "stuck", os.getpid(), **stuck)
    assert main(["status", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "0:12:0" in shown
    assert shown.endswith("  no shard ended for 12 minutes\n")
    announce(tmp_path, "busy", os.getpid())
    with Watch(SHARDS, tmp_path, what="testing", unit="images") as watch:
        watch.show(standing(tmp_path, keys))
    assert "no shard ended" not in capsys.readouterr().err


def test_the_end_is_always_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = [shard.key for shard in SHARDS]
    with Watch(SHARDS, tmp_path, what="testing", unit="images") as watch:
        watch.show(standing(tmp_path, keys))
        for shard in SHARDS:
            shard.complete(tmp_path, {})
        watch.show(standing(tmp_path, keys))
    assert capsys.readouterr().err.splitlines()[-1] == "testing: shards 4 done, 0 pending, 0 failed; 0 workers"


def test_a_table_on_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")
    keys = [shard.key for shard in SHARDS]
    for number in range(30):
        announce(tmp_path, f"worker-{number:02}", os.getpid(), gpu=f"GPU-{number}", log="/logs/a")
    with Watch(SHARDS, tmp_path, what="testing", unit="images") as watch:
        watch.show(standing(tmp_path, keys))
    shown = capsys.readouterr().err
    for words in ("testing: shards 0 done, 4 pending", "worker-00", "GPU-7", "/logs/a", "and 6 more workers"):
        assert words in shown
    assert "worker-29" not in shown
