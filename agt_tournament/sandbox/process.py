"""The process of one agent, from outside: started clean, stopped between its turns, looked at, ended for certain."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

from agt_tournament.sandbox.channel import Channel
from agt_tournament.sandbox.printed import Printed
from agt_tournament.sandbox.walls import memory_files
from agt_tournament.sandbox.walls.control_group import ControlGroup
from agt_tournament.sandbox.walls.sandbox import Sandbox, agent_pid

_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",  # sets of names have the same order in every run
    "OMP_NUM_THREADS": "1",  # agents have one thread
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
_PAGE = os.sysconf("SC_PAGE_SIZE")
_SCHED_CLOCK = 2  # of a process: clock_getcpuclockid(3)


class Process:
    """A process that runs `inside.runner`; `channel` leads to it, `folder` is where it finds its submission."""

    def __init__(self, sandbox: Sandbox, submission: Path, memory_limit_mb: int, printed: Printed) -> None:
        """Start the process without waiting until it runs.

        Raises:
            OSError: it cannot be started.
        """
        self._sandbox = sandbox
        self._copy = memory_files.own_copy(submission) if sandbox.in_namespaces else None
        submission = self._copy or submission
        self.folder = sandbox.place(submission)
        self._group = ControlGroup.create(memory_limit_mb << 20) if sandbox.walled else None
        self._pid, self._pidfd, self._schedule, self._state = 0, -1, -1, -1
        self._stopped = False
        self._waited_seconds = 0.0
        self.counted_seconds = 0.0
        """The CPU time that `cpu_seconds` returned last."""
        self._information, outside = os.pipe()
        ours, its = zip(*(socket.socketpair() for _ in range(3)), strict=True)
        try:
            self._executed = subprocess.Popen(
                sandbox.command(submission, outside),
                **dict(zip(("stdin", "stdout", "stderr"), its, strict=True)),
                cwd=submission,
                env=_ENVIRONMENT,
                pass_fds=(outside,) if sandbox.in_namespaces else (),
                start_new_session=True,
            )
        except OSError:
            os.close(self._information)
            for each in ours:
                each.close()
            self._clean()
            raise
        finally:
            os.close(outside)
            for each in its:
                each.close()
        if self._group:
            self._group.add(self._executed.pid)
        with suppress(OSError):  # if memory runs out, the kernel shall end an agent and not the organiser
            Path(f"/proc/{self._executed.pid}/oom_score_adj").write_text("1000")
        self.channel = Channel(ours, printed)
        self.plan = partial(sandbox.plan, submission, memory_limit_mb, self._executed.pid)
        """The rights that the process gives up before it learns of the submission, from `walls.raise_walls`."""

    def identify(self) -> None:
        """Open a descriptor of the process that runs the agent, as its id may be given to another process later."""
        if self._information < 0:
            return
        try:
            self._pid = agent_pid(self._information) if self._sandbox.in_namespaces else self._executed.pid
            if self._group and self._sandbox.in_namespaces:
                self._group.add(self._pid)
            self._pidfd = os.pidfd_open(self._pid) if hasattr(os, "pidfd_open") else -1  # not on macOS
            with suppress(OSError):  # not everywhere are there statistics
                if self._sandbox.walled:
                    self._state = os.open(f"/proc/{self._pid}/stat", os.O_RDONLY)
                self._schedule = os.open(f"/proc/{self._pid}/schedstat", os.O_RDONLY)
            if self._sandbox.in_namespaces:
                self.channel.end_with(self._pidfd)
        except (OSError, ValueError):  # it has ended already; its channel will say so
            self._pidfd = -1
        finally:
            os.close(self._information)
            self._information = -1
        self.cpu_seconds()  # what was used until now was not the agent's

    def settle(self) -> None:
        """Stop bubblewrap's own process once the walls stand: each stop of its child would wake it."""
        if self._sandbox.in_namespaces and self._executed.poll() is None:
            self._executed.send_signal(signal.SIGSTOP)

    # --- its turns -------------------------------------------------------------------------------------

    def resume(self) -> None:
        """Let the process run its turn."""
        if self._stopped:
            self.send_signal(signal.SIGCONT)
            self._stopped = False

    def rest(self) -> None:
        """Stop the process after its turn, unless it waits for the channel.

        The filter of system calls leaves nothing else to wait for, and only the organiser wakes it by writing to the
        channel or reading from it. A process that waits is therefore spared the two signals, a third of a turn's time.
        CPU time that a process uses between turns is counted with the next turn (`Meter`).
        """
        if self._sandbox.walled and not self._waits():
            os.sched_yield()  # it has just answered, and is about to
            if not self._waits():
                self.stop()

    def stop(self) -> None:
        """Stop the process, whatever it waits for."""
        if self._sandbox.walled:
            self.send_signal(signal.SIGSTOP)
            self._stopped = True

    def _waits(self) -> bool:
        """Tell whether the process sleeps; False where the kernel does not say."""
        with suppress(OSError):
            return self._state >= 0 and os.pread(self._state, 1024, 0).rpartition(b") ")[2].startswith(b"S")
        return False

    def send_signal(self, number: signal.Signals) -> None:
        """Send the process a signal, unless it has ended."""
        if self._pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    # --- what it uses ----------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """The process id; 0 before the process has been identified."""
        return self._pid

    def cpu_seconds(self) -> float:
        """Return the CPU time so far in seconds; of a process that has ended, what was last known."""
        if self._pid:
            with suppress(OSError):
                self.counted_seconds = time.clock_gettime(~self._pid << 3 | _SCHED_CLOCK)
        return self.counted_seconds

    def waited_seconds(self) -> float | None:
        """Return the time for which it was ready to run and had no CPU; None where the kernel does not say."""
        if self._schedule < 0:
            return None
        with suppress(OSError, IndexError):
            self._waited_seconds = int(os.pread(self._schedule, 64, 0).split()[1]) * 1e-9
        return self._waited_seconds

    def resident_bytes(self) -> int:
        """Return its resident set; 0 once it has ended."""
        with suppress(OSError, IndexError):
            return int(Path(f"/proc/{self._pid}/statm").read_text().split()[1]) * _PAGE
        return 0

    # --- its end ---------------------------------------------------------------------------------------

    def death(self) -> tuple[str, str]:
        """Return error class and text for a process that has closed its channel."""
        self._resume_bubblewrap()
        try:
            status = self._executed.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return "exit", "closed the channel to the organiser"
        if self._sandbox.in_namespaces and status > 128:  # so bubblewrap says that a signal ended its child
            status = 128 - status
        if status >= 0:
            return "exit", f"the process ended itself with status {status}"
        if status == -signal.SIGKILL:
            return "memory", "the process was killed by the system, most likely for its memory"
        named = {int(known): known.name for known in signal.Signals}  # real-time signals have no names
        return "crash", f"the process was ended by {named.get(-status, f'signal {-status}')}"

    def kill(self) -> None:
        """End the process and all that it started in its session; its channel can still be read."""
        self.identify()
        self.send_signal(signal.SIGKILL)
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
            self._resume_bubblewrap()
            if self._sandbox.in_namespaces:  # it is bubblewrap that has to see its child end, or nobody may
                with suppress(subprocess.TimeoutExpired):
                    self._executed.wait(timeout=2)
        with suppress(ProcessLookupError, PermissionError):  # nothing is left of its group, or nothing of ours
            os.killpg(self._executed.pid, signal.SIGKILL)
        self._executed.wait()
        self._clean()

    def _clean(self) -> None:
        """Remove the control group and the copy of the submission."""
        if self._group:
            self._group.remove()
        if self._copy:
            shutil.rmtree(self._copy, ignore_errors=True)

    def close(self) -> None:
        """Close the channel."""
        for statistics in (self._state, self._schedule):
            if statistics >= 0:
                os.close(statistics)
        self.channel.close()

    def _resume_bubblewrap(self) -> None:
        if self._sandbox.in_namespaces and self._executed.poll() is None:
            self._executed.send_signal(signal.SIGCONT)
