"""The process of one agent, from outside: started clean, stopped between its turns, looked at, ended for certain."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from agt_tournament.agents.channel import Channel
from agt_tournament.agents.memory_group import MemoryGroup
from agt_tournament.agents.sandbox import Sandbox, agent_pid

_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",  # sets of names have the same order in every run
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",  # with more threads the import of numpy can hang at the memory limit
    "MKL_NUM_THREADS": "1",
}
_PAGE = os.sysconf("SC_PAGE_SIZE")
_SCHED_CLOCK = 2  # of a process: clock_getcpuclockid(3)


class Process:
    """A process that runs `agents.runner` behind the walls of `sandbox`; `channel` leads to it."""

    def __init__(self, sandbox: Sandbox, submission: Path, output_limit: int, memory_limit: int) -> None:
        """Start it, without waiting until it runs; raises `OSError` if it cannot be started. Limits are in bytes."""
        self._sandbox = sandbox
        self._group = MemoryGroup.create(memory_limit) if sandbox.walled else None
        self._pid, self._pidfd, self._schedule = 0, -1, -1
        self._cpu_seconds = self._waited_seconds = 0.0
        self._information, outside = os.pipe()
        try:
            self._executed = subprocess.Popen(
                sandbox.command(submission, outside),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd=submission,
                env=_ENVIRONMENT,
                pass_fds=(outside,) if sandbox.reports_child else (),
                start_new_session=True,
            )
        except OSError:
            os.close(self._information)
            if self._group:
                self._group.remove()
            raise
        finally:
            os.close(outside)
        if self._group:
            self._group.add(self._executed.pid)
        pipes = (self._executed.stdin, self._executed.stdout, self._executed.stderr)
        requests, answers, printed = (pipe.fileno() for pipe in pipes if pipe)
        self.channel = Channel(requests, answers, printed, output_limit)

    def identify(self) -> None:
        """Get hold of the process that runs the agent: a descriptor, as its number may be another's one day."""
        if self._information < 0:
            return
        try:
            self._pid = agent_pid(self._information) if self._sandbox.reports_child else self._executed.pid
            if self._group and self._sandbox.reports_child:
                self._group.add(self._pid)
            self._pidfd = os.pidfd_open(self._pid) if hasattr(os, "pidfd_open") else -1  # not on macOS
            with suppress(OSError):  # not everywhere are there statistics
                self._schedule = os.open(f"/proc/{self._pid}/schedstat", os.O_RDONLY)
            if self._sandbox.reports_child:
                self.channel.end_with(self._pidfd)
        except (OSError, ValueError):  # it has ended already; its channel will say so
            self._pidfd = -1
        finally:
            os.close(self._information)
            self._information = -1

    # --- its turns -------------------------------------------------------------------------------------

    def resume(self) -> None:
        """Let it run: it is its turn."""
        self._send(signal.SIGCONT)

    def stop(self) -> None:
        """Let it run no more: its turn is over."""
        self._send(signal.SIGSTOP)

    def _send(self, number: signal.Signals) -> None:
        if self._sandbox.walled and self._pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def settle(self) -> None:
        """Now that it has loaded, move it, all threads of it, to the CPUs that this process may run on.

        Bubblewrap's own process, which waits for its end, would be woken by each stop: it is stopped until then.
        """
        self._watcher(signal.SIGSTOP)
        if hasattr(os, "sched_setaffinity"):  # not on macOS
            cpus = os.sched_getaffinity(0)
            for thread in self._threads():
                with suppress(ProcessLookupError):  # it may have ended
                    os.sched_setaffinity(thread, cpus)

    def _threads(self) -> list[int]:
        """The numbers of its threads; none once it has ended."""
        with suppress(OSError):
            return [int(name) for name in os.listdir(f"/proc/{self._pid}/task")]
        return []

    def _watcher(self, number: signal.Signals) -> None:
        if self._sandbox.reports_child and self._executed.poll() is None:
            self._executed.send_signal(number)

    # --- what it uses ----------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """Its number; 0 before it has been identified."""
        return self._pid

    def cpu_seconds(self) -> float:
        """CPU time so far, all threads together; what was last known once it has ended."""
        with suppress(OSError):
            self._cpu_seconds = time.clock_gettime(~self._pid << 3 | _SCHED_CLOCK)
        return self._cpu_seconds

    def waited_seconds(self) -> float | None:
        """Time so far for which it was ready to run and had no CPU; None where the kernel does not say."""
        if self._schedule < 0:
            return None
        with suppress(OSError, IndexError):
            self._waited_seconds = int(os.pread(self._schedule, 64, 0).split()[1]) * 1e-9
        return self._waited_seconds

    def resident_bytes(self) -> int:
        """Its resident set; 0 once it has ended."""
        with suppress(OSError, IndexError):
            return int(Path(f"/proc/{self._pid}/statm").read_text().split()[1]) * _PAGE
        return 0

    # --- its end ---------------------------------------------------------------------------------------

    def death(self) -> tuple[str, str]:
        """Error class and text for a process that has closed its channel."""
        self._watcher(signal.SIGCONT)
        try:
            status = self._executed.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return "exit", "closed the channel to the organiser"
        if self._sandbox.reports_child and status > 128:  # so bubblewrap says that a signal ended its child
            status = 128 - status
        if status >= 0:
            return "exit", f"the process ended itself with status {status}"
        if status == -signal.SIGKILL:
            return "memory", "the process was killed by the system, most likely for its memory"
        named = {int(known): known.name for known in signal.Signals}  # real-time signals have no names
        return "crash", f"the process was ended by {named.get(-status, f'signal {-status}')}"

    def kill(self) -> None:
        """End it with all that it started in its session; its channel can still be read."""
        self.identify()
        if self._pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            os.close(self._pidfd)
            self._pidfd = -1
            self._watcher(signal.SIGCONT)
            if self._sandbox.reports_child:  # it is bubblewrap that has to see its child end, or nobody may
                with suppress(subprocess.TimeoutExpired):
                    self._executed.wait(timeout=2)
        with suppress(ProcessLookupError, PermissionError):  # nothing is left of its group, or nothing of ours
            os.killpg(self._executed.pid, signal.SIGKILL)
        self._executed.wait()
        if self._group:
            self._group.remove()

    def close(self) -> None:
        """Close the channel."""
        if self._schedule >= 0:
            os.close(self._schedule)
        for pipe in (self._executed.stdin, self._executed.stdout, self._executed.stderr):
            assert pipe is not None
            pipe.close()
