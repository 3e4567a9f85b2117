"""Where a process that is over budget is: the method of the agent and the line of the submission."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from agt_tournament.sandbox.process import Process

_RUNNER = Path(__file__).with_name("inside") / "runner.py"
_OUTERMOST = b'File "<string>", line 1 in <module>'
"""The last line of faulthandler's answer."""
_SECONDS = 0.5
UPDATE = "update_after_each_round"


def position(process: Process) -> tuple[str, str]:
    """Ask a process where it is.

    The agent may write whatever it likes instead: the answer is told to nobody but its team.

    Returns:
        The method, where only its stack can tell, and the innermost line of the submission, as text to append.
    """
    process.send_signal(signal.SIGUSR1)
    process.resume()
    stack = process.channel.receive_instead(_OUTERMOST, _SECONDS)
    line = re.search(rf'File "{re.escape(str(process.folder))}/(.+)", line (\d+) in (.+)', stack)
    heard = re.search(rf'File "{re.escape(str(_RUNNER))}", line \d+ in hear$', stack, re.MULTILINE)
    return UPDATE if heard else "", f'\n  File "{line[1]}", line {line[2]}, in {line[3]}' if line else ""
