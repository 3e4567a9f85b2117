"""The cluster itself: its configuration, its daemons, its end."""

from __future__ import annotations

import contextlib
import os
import random
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.slurm_lab.processes import daemons_of, jobs_of, kill, with_descendants

TEMPLATE = Path(__file__).with_name("slurm.conf.template")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun")
DAEMONS = ("munged", "slurmctld", "slurmscriptd", "slurmd", "slurmstepd")
LONGEST_SOCKET_PATH = 107


class SlurmLabError(RuntimeError):
    """The cluster, or a command given to it, failed."""


@dataclass
class SlurmLab:
    """`with SlurmLab(folder) as lab: lab.run("sbatch", …)`; to stop one that runs, its folder is enough."""

    folder: Path
    gpus: int = 4
    cpus: int = 8
    memory: int = 16_000  # MB
    max_array_size: int = 1001
    requeue_delay: int = 5  # seconds until a requeued job may start again
    kill_wait: int = 5  # seconds from SIGTERM to SIGKILL, at scancel and at the time limit
    grace_time: int = 5  # seconds that a job is given when it is preempted
    min_job_age: int = 10  # seconds after which a job that ended may be forgotten

    def __post_init__(self) -> None:
        self.folder = self.folder.resolve()
        self.conf = self.folder / "slurm.conf"

    def __enter__(self) -> SlurmLab:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def environment(self) -> dict[str, str]:
        """This process's, for this cluster: without the traces of another one whose job it may be."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH", "SRUN"))}
        return {**kept, "SLURM_CONF": str(self.conf)}

    def run(self, *command: object, timeout: float = 60) -> str:
        """What a command prints; SlurmLabError with its complaint if it fails."""
        words = [str(word) for word in command]
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=timeout)
        if done.returncode:
            raise SlurmLabError(f"`{shlex.join(words)}` ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout.strip()

    def jobs(self) -> dict[str, str]:
        """The queue, every task of an array by itself: `{"17": "PENDING", "18_3": "RUNNING"}`."""
        lines = self.run("squeue", "--noheader", "--array", "--format=%i %T").splitlines()
        return dict(line.split() for line in lines)

    def clear(self) -> None:
        """Cancel every job and wait until it is gone."""
        self.run("scancel", "--me")
        wait_until(lambda: not self.jobs(), "the queue is empty")

    def start(self) -> None:
        """Begin with an empty queue, in a new folder or that of a lab that ended; return when the node takes jobs."""
        self._check()
        self._lay_out()
        try:
            # --force: munged would have the folders above its files writable for nobody else
            files = ("socket", "key-file", "pid-file", "log-file", "seed-file")
            self._daemon("munged", "--force", *(f"--{x}={self.folder}/munged.{x.removesuffix('-file')}" for x in files))
            self.start_controller()
            self._daemon("slurmd", "-f", self.conf)
            wait_until(lambda: "idle" in self._answer("sinfo", "--noheader", "--format=%t"), "the node takes jobs")
        except SlurmLabError as error:
            self.stop()
            raise SlurmLabError(f"{error}; its logs are in {self.folder}") from error

    def stop(self) -> None:
        """Kill every process of it, jobs included; its logs stay."""
        # Twice: what is being forked while /proc is read is not seen.
        for _ in range(2):
            wait_until(lambda: not kill(self.processes()), "every process has ended")
            time.sleep(0.1)

    def start_controller(self) -> None:
        """Start slurmctld, with the queue it had."""
        self._daemon("slurmctld", "-f", self.conf)
        wait_until(lambda: "UP" in self._answer("scontrol", "ping"), "slurmctld answers")

    def stop_controller(self) -> None:
        """`kill -9` slurmctld: what runs goes on, commands fail."""
        self._await_saving()
        wait_until(lambda: not kill(daemons_of(self.folder, ("slurmctld", "slurmscriptd"))), "slurmctld has ended")

    def running(self) -> bool:
        """Whether it is whole."""
        return all(daemons_of(self.folder, [daemon]) for daemon in ("munged", "slurmctld", "slurmd"))

    def processes(self) -> set[int]:
        """The daemons, the jobs, and what either started."""
        return with_descendants(daemons_of(self.folder, DAEMONS) | jobs_of(self.conf))

    def _await_saving(self) -> None:
        """Wait until slurmctld's file knows of every job: one unknown is started twice, and the node then drained."""
        mark = f"mark{time.time_ns()}"
        job = self.run("sbatch", "--parsable", "--hold", f"--job-name={mark}", "--output=/dev/null", "--wrap=:")
        self.run("scancel", job)
        wait_until(lambda: mark.encode() in _read(self.folder / "state" / "job_state"), "the queue is saved")

    def _check(self) -> None:
        if missing := missing_programs():
            raise SlurmLabError(f"not found: {', '.join(missing)} (packages slurm-wlm and munge of Debian and Ubuntu)")
        if strange := set('"#%,\\\n') & set(str(self.folder)):
            raise SlurmLabError(f"{self.folder}: SLURM takes no {' '.join(sorted(strange))} in the paths of its files")
        socket_path = f"{self.folder}/spool/{_host()}_67043328.4294967295"
        if (excess := len(os.fsencode(socket_path)) - LONGEST_SOCKET_PATH) > 0:
            raise SlurmLabError(f"{self.folder}: {excess} bytes too long, sockets could not be made in it")
        if self.processes():
            raise SlurmLabError(f"{self.folder}: runs already")
        if self.folder.exists() and any(self.folder.iterdir()) and not self.conf.exists():
            raise SlurmLabError(f"{self.folder}: has files in it that are not those of a laboratory cluster")

    def _lay_out(self) -> None:
        """Write everything that the daemons read."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True)
        key = self.folder / "munged.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        # A GPU must be a device and is numbered by its name. Relative, as SLURM splits this path at blanks.
        for gpu in range(self.gpus):
            (self.folder / f"nvidia{gpu}").symlink_to("/dev/null")
        (self.folder / "gres.conf").write_text(f"Name=gpu File=nvidia[0-{self.gpus - 1}]\n")
        controller_port, node_port = _free_ports(2)
        text = TEMPLATE.read_text().format(
            lab=self,
            host=_host(),
            user=os.geteuid(),
            controller_port=controller_port,
            node_port=node_port,
            memory_per_cpu=self.memory // self.cpus,
            first_job_id=int(time.time()) % 10_000_000,  # a job of an earlier lab is never taken for one of this
        )
        self.conf.write_text(text)

    def _daemon(self, name: str, *options: object) -> None:
        """Start a daemon, which goes to the background by itself once it has read its configuration."""
        command = [_program(name) or name, *map(str, options)]
        output = self.folder / f"{name}.out"
        with output.open("w") as file:
            done = subprocess.run(
                command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )
        if done.returncode:
            raise SlurmLabError(f"{name} did not start: {output.read_text().strip()}")

    def _answer(self, *command: object) -> str:
        """What a command prints, nothing if it fails."""
        with contextlib.suppress(SlurmLabError):
            return self.run(*command)
        return ""


def missing_programs() -> list[str]:
    """What a cluster needs and this machine has not."""
    return [name for name in PROGRAMS if not _program(name)]


def wait_until(moment: Callable[[], object], what: str, seconds: float = 30) -> None:
    """Poll for `moment`; SlurmLabError if it does not come."""
    deadline = time.monotonic() + seconds
    while not moment():
        if time.monotonic() > deadline:
            raise SlurmLabError(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)


def _program(name: str) -> str | None:
    """Where a program is; the daemons may be where only root's PATH leads."""
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin")


def _read(file: Path) -> bytes:
    """What is in a file; nothing while another takes its place."""
    with contextlib.suppress(FileNotFoundError):
        return file.read_bytes()
    return b""


def _host() -> str:
    """This machine's name, as SLURM shortens it."""
    return socket.gethostname().split(".")[0]


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, below those the kernel gives to outgoing connections."""
    found: set[int] = set()
    while len(found) < count:
        port = random.SystemRandom().randrange(20_000, 30_000)
        with contextlib.suppress(OSError), socket.socket() as listener:
            listener.bind(("", port))
            found.add(port)
    return list(found)
