"""Copies in memory of what agents may read: whole, readable by all, apart from each other, and gone at the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agt_tournament.sandbox.walls import memory_files
from tests.support import REPO

pytestmark = pytest.mark.skipif(bool(memory_files.why_not()), reason=memory_files.why_not() or "")

HOLDING = """
import json, sys
from pathlib import Path
from agt_tournament.sandbox.walls import memory_files, readable

before = memory_files.source("/x"), memory_files.own_copy(Path(sys.argv[1]))
memory_files.hold()
copies = [memory_files.own_copy(Path(sys.argv[1])) for _ in range(2)]
needed = [*readable.shared_libraries(), *readable.packages(), *readable.interpreter(), *readable.own_modules()]
closed = (path for path in memory_files.held().rglob("*") if not path.is_symlink() and not path.stat().st_mode & 4)
print(json.dumps({
    "before": [before[0], before[1] is None],
    "held": str(memory_files.held()),
    "missing": [str(path) for path in needed if not Path(memory_files.source(path)).exists()],
    "closed": [str(path) for path in closed],
    "copies": [[path.name, path.stat().st_ino, sorted(file.name for file in path.iterdir())] for path in copies],
}))
"""


def test_all_that_agents_need_is_held_until_the_process_ends(tmp_path: Path) -> None:
    (tmp_path / "bidding_agent.py").write_text("")
    (tmp_path / "bidding_agent.py").chmod(0o600)
    command = [sys.executable, "-c", HOLDING, str(tmp_path)]
    found = json.loads(subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True).stdout)
    assert found["before"] == ["/x", True]
    assert found["missing"] == []
    assert found["closed"] == []
    (one, *files), (other, *_) = found["copies"]
    assert one != other
    assert files[1] == ["bidding_agent.py"]
    assert not Path(found["held"]).exists()


def test_what_a_killed_process_held_is_removed_by_the_next() -> None:
    left = Path("/dev/shm") / "agt_files_4194304_test"  # no process has that number
    left.mkdir(exist_ok=True)
    held = memory_files._locked(left)  # as by a process of another container
    assert held is not None
    memory_files._clear()
    assert left.exists()
    os.close(held)
    memory_files._clear()
    assert not left.exists()


def test_a_copy_that_fails_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "cp").write_text("#!/bin/sh\necho cp: no >&2\nexit 1\n")
    (tmp_path / "cp").chmod(0o755)
    code = "from agt_tournament.sandbox.walls import memory_files as m; m.hold(); print(m.held(), m.source('/x'))"
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    before = set(Path("/dev/shm").iterdir())
    run = subprocess.run([sys.executable, "-c", code], cwd=REPO, env=environment, capture_output=True, text=True)
    assert run.stdout == "None /x\n"
    assert run.stderr == "cp: no\nagents read the files of the machine: cp failed\n"
    assert set(Path("/dev/shm").iterdir()) <= before
