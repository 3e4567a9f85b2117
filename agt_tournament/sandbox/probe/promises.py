"""Try each promise of a tier: what `action=sandbox_check` shows, and what is checked before each run."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from agt_tournament.sandbox.probe.names import folders_near, kernel_settings, readable_trees
from agt_tournament.sandbox.probe.submission import MEMORY_MB, ProbeError, failure, planted, started
from agt_tournament.sandbox.walls.sandbox import Sandbox

_SECRET = "agt_preflight_secret"
_CALLS = ("sysinfo", "flock", "mincore", "ptrace", "unshare", "keyctl", "io_uring_setup")

Result = dict[str, Any]
"""held: by promise what happened, None where it was prevented; works: what an agent could compute; error or None."""


def try_promises(sandbox: Sandbox, *, thorough: bool = False) -> Result:
    """Try every promise of `sandbox`; with `thorough` scipy as well, which takes a second."""
    try:
        return _played(sandbox, thorough)
    except ProbeError as error:
        return {"held": {}, "works": None, "error": str(error)}


def broken_promises(result: Result) -> str | None:
    """Say why a tier does not hold: what it does not prevent, or why it cannot be tried; None if it holds."""
    if result["error"]:
        return str(result["error"])
    broken = [promise for promise, happened in result["held"].items() if happened]
    return f"does not prevent {', '.join(broken)}" if broken else None


def _played(sandbox: Sandbox, thorough: bool) -> Result:
    with tempfile.TemporaryDirectory(prefix="agt_probe_") as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        secret_file = Path(folder) / "secret.txt"
        secret_file.write_text(_SECRET)
        near = {"roots": ["/", *map(str, readable_trees())], "folders": folders_near(), "settings": kernel_settings()}
        if not sandbox.walled:  # nothing keeps it from writing there
            near = {"roots": [folder], "folders": [], "settings": [str(secret_file)]}
        known = near | {
            "secret": _SECRET,
            "secret_file": str(secret_file),
            "writable": str(Path(folder) / "written"),
            "port": listener.getsockname()[1],
            "organiser": os.getpid(),
            "memory_limit_mb": 2 * MEMORY_MB,
            "thorough": thorough,
            "numbers": _numbers(),
        }
        with planted("promises", known) as submission, started(submission, sandbox) as agent:
            answer = agent.load()
            runs_as_root = answer.error is None and _user_id(agent.pid) == 0
            printed = agent.take_output()
    found = [line for line in printed.splitlines() if line.startswith('{"held"')]
    if answer.error or not found:
        raise failure(printed, answer.text, answer.error)
    result: Result = json.loads(found[0])
    result["held"]["being root"] = "it runs as user 0" if runs_as_root else None
    return result


def _user_id(pid: int | None) -> int | None:
    """Return the user of a process as this process sees it; None if it has ended."""
    with suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text()
        return next(int(line.split()[2]) for line in status.splitlines() if line.startswith("Uid:"))
    return None


def _numbers() -> dict[str, int]:
    """Return the numbers of the system calls that are tried; none without libseccomp, and then no tier holds."""
    try:
        import pyseccomp
    except (ImportError, OSError, RuntimeError):
        return {}
    return {name: pyseccomp.resolve_syscall(pyseccomp.system_arch(), name) for name in _CALLS}
