"""Every example runs as it stands: the scripts as programs, the notebook in a copy of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.support import REPO, environment

pytestmark = pytest.mark.slow

EXAMPLES = REPO / "examples"


@pytest.mark.parametrize("script", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_script_runs(script: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / script],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_recorded_scores_need_no_torch(tmp_path: Path) -> None:
    program = f"import runpy, sys; runpy.run_path({str(EXAMPLES / 'recorded_scores.py')!r}, run_name='__main__'); "
    program += "sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment(), timeout=300)
    assert done.returncode == 0


@pytest.mark.parametrize("notebook", sorted(path.name for path in EXAMPLES.glob("*.ipynb")))
def test_notebook_runs_and_is_committed_with_its_outputs(notebook: str, tmp_path: Path) -> None:
    stored = nbformat.read(EXAMPLES / notebook, as_version=4)
    assert (EXAMPLES / notebook).stat().st_size < 1_000_000
    assert any(cell.outputs for cell in stored.cells if cell.cell_type == "code")
    client = NotebookClient(stored, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute(env=environment())
