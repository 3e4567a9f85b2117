"""One run at a time writes a directory, and whoever is refused learns by whom."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from generative_auctions.errors import RequestError
from generative_auctions.run_directory import run_directory

HOLD = "import sys; from pathlib import Path; from generative_auctions.run_directory import run_directory\n"
HOLD += "with run_directory(Path(sys.argv[1]), {}, {}): print('held', flush=True); input()"


def test_a_refusal_names_the_lock_and_its_holder(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RequestError) as refused, run_directory(tmp_path, {}, {}):
            pass
        holder.communicate(b"\n")
    words = re.escape(f"(process {holder.pid} on {socket.gethostname()} holds {tmp_path / '.lock'} since ")
    assert re.search(words + r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\)", str(refused.value))
    with run_directory(tmp_path, {}, {}):
        assert (tmp_path / ".lock").read_text().split() == [str(os.getpid()), socket.gethostname()]
    assert (tmp_path / ".lock").read_bytes() == b""


@pytest.mark.filterwarnings("ignore:flock not supported")
def test_a_lock_that_another_host_left_on_a_file_system_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_locks(file: int, operation: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", without_locks)
    lock = tmp_path / ".lock"
    lock.write_text("4711\nnode-7\n")
    with pytest.raises(RequestError) as refused, run_directory(tmp_path, {}, {}):
        pass
    assert f"process 4711 on node-7 holds {lock} since " in str(refused.value)
    assert str(refused.value).endswith("; if it is gone, delete that file)")
    lock.unlink()
    with run_directory(tmp_path, {}, {}):
        assert lock.read_text().splitlines()[0] == str(os.getpid())
    assert not lock.exists()
