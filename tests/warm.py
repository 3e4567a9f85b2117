"""Commands that do not wait for their imports: a server has the libraries loaded and forks a process for each command.

What is forked is a process like any other, with its own arguments, environment, folder and files. Only what libraries
read of the environment while they are imported is the server's.
"""

from __future__ import annotations

import atexit
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import NoReturn

Perform = Callable[[list[str]], int | str | None]
"""Does what the words of a command ask for, in this process, and returns the exit status."""


# --- the client ------------------------------------------------------------------------------------------


class Server:
    """A server in a process of its own, started with `environment` in `cwd`; it ends with this process."""

    def __init__(self, environment: Mapping[str, str], cwd: Path, module: str = "tests.warm") -> None:
        self.environment = dict(environment)
        self._folder = TemporaryDirectory(prefix="warm")
        self.path = Path(self._folder.name) / "s"
        words = [sys.executable, "-m", module, str(self.path)]
        self._process = subprocess.Popen(words, cwd=cwd, env=self.environment, stdout=subprocess.PIPE)
        atexit.register(self.close)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def close(self) -> None:
        """End the server."""
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def run(
        self, command: Sequence[str], *, cwd: Path, environment: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run `command` to its end, as `subprocess.run` does with its output captured."""
        request = json.dumps({"command": list(command), "cwd": str(cwd), "environment": dict(environment)})
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection,
            TemporaryFile() as out,
            TemporaryFile() as err,
            open(os.devnull, "rb") as nothing,
        ):
            connection.settimeout(timeout)
            connection.connect(str(self.path))
            socket.send_fds(connection, [request.encode()], [nothing.fileno(), out.fileno(), err.fileno()])
            try:
                status = int(connection.recv(16))
            except TimeoutError:
                raise subprocess.TimeoutExpired(list(command), timeout) from None
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode())
        return subprocess.CompletedProcess(list(command), status, *texts)


# --- the server ------------------------------------------------------------------------------------------


def preload() -> None:
    """Import what commands of both applications import, before the first of them."""
    import agt_tournament.actions.replay
    import agt_tournament.actions.run
    import agt_tournament.actions.validate  # noqa: F401
    import diffusion_auction.actions.compare
    import diffusion_auction.actions.evaluate
    import diffusion_auction.actions.run
    import diffusion_auction.generation.generator
    import diffusion_auction.report.page  # noqa: F401


def run_module(command: list[str]) -> int:
    """Run `PYTHON -m MODULE ARGUMENTS…`."""
    sys.argv = command[2:]
    runpy.run_module(command[2], run_name="__main__", alter_sys=True)
    return 0


def serve(path: str, perform: Perform) -> None:
    """Run commands that are sent to the socket `path`, each in a fork of this process, while its parent lives."""
    parent = os.getppid()
    preload()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that answer
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        listener.listen()
        listener.settimeout(5)  # to look for the parent, which may have been killed
        print("ready", flush=True)
        while os.getppid() == parent:
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection:
                request, descriptors, _, _ = socket.recv_fds(connection, 1 << 20, 3)
                if not os.fork():
                    _answer(connection, request, descriptors, perform)
                for each in descriptors:
                    os.close(each)


def _answer(connection: socket.socket, request: bytes, descriptors: list[int], perform: Perform) -> NoReturn:
    """In a fork: run the command in one more, and send its exit status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if not child:
        _become(descriptors, perform, **json.loads(request))
    threading.Thread(target=_kill_if_left, args=(connection, child), daemon=True).start()
    _, status = os.waitpid(child, 0)
    with suppress(BrokenPipeError):  # whoever asked was killed, as a job of a cluster can be
        connection.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _kill_if_left(connection: socket.socket, child: int) -> None:
    """Kill the command once nobody waits for it any more, as `subprocess.run` does after its timeout."""
    connection.recv(1)
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)


def _become(
    descriptors: list[int], perform: Perform, command: list[str], cwd: str, environment: dict[str, str]
) -> NoReturn:
    """In a fork: be the process of `command`, and end as it ends."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    os.chdir(cwd)
    sys.path[0] = cwd
    os.environ.clear()
    os.environ.update(environment)
    try:
        status = perform(command)
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
        status = 1
    if isinstance(status, str):
        print(status, file=sys.stderr)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else int(status is not None))


if __name__ == "__main__":
    serve(sys.argv[1], run_module)
