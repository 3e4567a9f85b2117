"""Play the probe's modules as submissions."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agt_tournament.sandbox.agent_process import AgentProcess, StartError
from agt_tournament.sandbox.budget import Limits
from agt_tournament.sandbox.inside import protocol
from agt_tournament.sandbox.probe.names import prefixes
from agt_tournament.sandbox.walls.sandbox import Sandbox

_INSIDE = Path(__file__).resolve().parent / "inside"
_KNOWN = 'import base64, json, zlib\nKNOWN = json.loads(zlib.decompress(base64.b85decode("{}")))\n'
MEMORY_MB = 256
LIMITS = Limits(load_timeout_seconds=20.0, memory_limit_mb=MEMORY_MB, output_limit_kb=512)


class ProbeError(Exception):
    """The probe did not run to its end; the message is the last line that it printed, or the error of its process."""


@contextmanager
def planted(module: str, known: dict[str, Any]) -> Iterator[Path]:
    """Make a submission whose agent is `module` of ``inside``, with `known` as its module ``known``."""
    with tempfile.TemporaryDirectory(prefix="agt_probe_") as folder:
        submission = Path(folder) / "submission"
        submission.mkdir()
        Path(folder).chmod(0o755)  # agents may run as another user
        shutil.copy(_INSIDE / f"{module}.py", submission / f"{protocol.SUBMISSION}.py")
        content = json.dumps(known | {"prefixes": prefixes(submission)})
        packed = base64.b85encode(zlib.compress(content.encode())).decode()
        (submission / "known.py").write_text(_KNOWN.format(packed))
        yield submission


@contextmanager
def started(submission: Path, sandbox: Sandbox, limits: Limits = LIMITS) -> Iterator[AgentProcess]:
    """Start a process that is about to load the submission.

    Raises:
        ProbeError: if it cannot be started or cannot raise its walls, say without libseccomp.
    """
    with AgentProcess(submission, "probe", limits, sandbox=sandbox) as agent:
        try:
            agent.prepare(lambda: 0)
            yield agent
        except (StartError, ImportError, RuntimeError) as error:
            raise ProbeError(f"{type(error).__name__}: {error}") from error


def failure(printed: str, text: str, error: str | None) -> ProbeError:
    """Return the error of a probe that did not answer."""
    lines = (printed.strip() or text).splitlines()
    return ProbeError(lines[-1] if lines else str(error))


def briefing() -> dict[str, Any]:
    """Return the briefing of the smallest game."""
    game = {"team_id": "probe", "valuation_vector": {"item_1": 1.0}, "budget": 60, "items": ["item_1"]}
    return {**game, "teams": ["probe"], "seed": 1}
