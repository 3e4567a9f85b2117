"""The time limit of a shard, kept beside a worker that cannot keep it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from launchers import Shard
from launchers.leases import Leases
from launchers.shards import failure_of, failure_path
from launchers.worker_record import living, workers_of

SHARD = Shard.of({"number": 0})
WORKER = """
import sys, time
from pathlib import Path
from launchers.worker_record import Presence
from launchers.leases import Leases
from launchers.time_limit import time_limit
from launchers.worker import Work

folder, key, mark, retries = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "mark", int(sys.argv[4])
with Presence(folder, "w") as me, time_limit(Work(None, [], folder, retries, 1 / 60), me):
    me.begin(None)
    time.sleep(2)  # without a shard there is all the time
    Leases(folder).take(key, me.name)
    me.begin(key)
    if mark:
        (folder / f"{key}.json").touch()
    time.sleep(60)
"""


def killed_worker(folder: Path, what: str = "", retries: int = 0) -> None:
    done = subprocess.run([sys.executable, "-c", WORKER, str(folder), SHARD.key, what, str(retries)], timeout=50)
    assert done.returncode == -signal.SIGKILL


def test_a_shard_that_takes_too_long_has_failed(tmp_path: Path) -> None:
    killed_worker(tmp_path)
    reason, by = failure_of(tmp_path, SHARD.key).report.splitlines()
    assert reason == "TimeoutError: not done after 0.0166667 minutes (launcher.shard_timeout)"
    assert by == "worker w"
    assert workers_of(tmp_path)["w"].error == reason
    assert not living(tmp_path)


def test_it_is_free_again_if_it_may_be_retried(tmp_path: Path) -> None:
    killed_worker(tmp_path, retries=1)
    assert not failure_path(tmp_path, SHARD.key).exists()
    assert Leases(tmp_path).losses() == {SHARD.key: ["w"]}
    assert Leases(tmp_path).take(SHARD.key, "another")


def test_what_was_done_in_time_stays_done(tmp_path: Path) -> None:
    killed_worker(tmp_path, "mark")
    assert not failure_path(tmp_path, SHARD.key).exists()
    assert Leases(tmp_path).losses() == {}
