"""An agent that tries what the walls promise to prevent, and prints as JSON what happened to each promise."""

import _thread
import ctypes
import errno
import importlib
import json
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from agt_tournament.base_agent import BiddingAgent

KNOWN = importlib.import_module("known").KNOWN


def read(path: str) -> str:
    """Read the beginning of a file."""
    with open(path) as file:
        return f"read {file.read(20)!r}"


def write(path: str) -> str:
    """Open a new file for writing; what cannot be removed again stays."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC))
    with suppress(OSError):
        os.unlink(path)
    return f"wrote {path}"


def folders_below(roots: list[str]) -> list[str]:
    """Return all folders that may be listed, but for those inside installed packages."""
    found = list(roots)
    for folder in found:  # which grows
        if folder.endswith("-packages"):
            continue
        with suppress(OSError), os.scandir(folder) as entries:
            found += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    return found


def write_anywhere() -> str:
    """Create a file in every folder."""
    folders = dict.fromkeys((*folders_below(KNOWN["roots"]), *KNOWN["folders"]))
    for folder in folders:
        with suppress(OSError):
            return write(f"{folder}/agt_probe_{os.getpid()}")
    raise OSError(f"none of {len(folders)} folders")


def open_settings() -> str:
    """Open the kernel's settings for writing."""
    for path in KNOWN["settings"]:
        with suppress(OSError):
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC))
            return f"opened {path} for writing"
    raise OSError("none")


def thread() -> str:
    """Start a thread."""
    _thread.start_new_thread(time.process_time, ())
    return "started a thread"


def clock() -> str:
    """Look for a clock of the machine: one that runs during a sleep, which uses no CPU time."""
    began, used = time.monotonic(), time.process_time()
    time.sleep(0.02)
    if time.monotonic() - began > time.process_time() - used + 0.01:
        return "a clock runs while the process sleeps"
    raise OSError("none")


def connect() -> str:
    """Connect to a listener of the organiser."""
    socket.create_connection(("127.0.0.1", KNOWN["port"]), timeout=1).close()
    return "reached a listener of the organiser's machine"


def datagram() -> str:
    """Send a datagram to the organiser."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.sendto(b"here", ("127.0.0.1", KNOWN["port"]))
    return "sent a datagram"


def fork() -> str:
    """Start a process."""
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    return "started a process"


def signal_parent() -> str:
    """Ask whether the organiser may be sent a signal."""
    os.kill(KNOWN["organiser"], 0)
    return "may signal the organiser"


def look_at(name: str) -> str:
    """Read a file of the organiser's process in /proc."""
    with open(f"/proc/{KNOWN['organiser']}/{name}", "rb") as file:
        return f"read {len(file.read(100))} bytes of /proc/{KNOWN['organiser']}/{name}"


def system_call(name: str, *arguments: int) -> Callable[[], str]:
    """Return an attempt at the call `name`, whose number the organiser has told where this architecture has it."""

    def attempt() -> str:
        number = KNOWN["numbers"].get(name, -1)
        if ctypes.CDLL(None, use_errno=True).syscall(number, *arguments) >= 0:
            return f"{name} was let through"
        code = ctypes.get_errno()
        if code in (errno.EPERM, errno.ENOSYS, errno.EACCES):
            raise OSError(code, name)
        return f"{name} was let through to the kernel"

    return attempt


def environment() -> str:
    """Look for the organiser's secret in the environment."""
    if KNOWN["secret"] in str(dict(os.environ)):
        return "the organiser's environment"
    raise OSError("not there")


def descriptors() -> str:
    """Look for a descriptor beside the pipes of the channel and those that Python opens for itself."""
    for number in range(3, 64):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            try:
                os.fstat(number)
                target = "unknown"
            except OSError:
                continue
        if KNOWN["secret_file"] in target:
            return f"descriptor {number} is {target}"
    raise OSError("none")


def memory() -> str:
    """Fill as much memory as the limit allows, beside what is in use."""
    kept = bytearray(KNOWN["memory_limit_mb"] << 20)
    kept[::4096] = b"x" * len(kept[::4096])
    return f"filled {len(kept) >> 20} MB"


def works() -> str:
    """Do what an honest agent needs."""
    import numpy

    assert float(numpy.linalg.inv(numpy.eye(60)).sum()) == 60.0
    if not KNOWN["thorough"]:
        return "numpy works"
    import scipy.optimize
    import scipy.stats

    assert abs(scipy.stats.norm.cdf(0) - 0.5) < 1e-12
    assert abs(scipy.optimize.minimize_scalar(lambda x: (x - 2) ** 2).x - 2) < 1e-6
    return "numpy, scipy.stats and scipy.optimize work"


PREVENTED: dict[str, Callable[[], str]] = {
    "files of the machine": lambda: read("/etc/passwd"),
    "files of the organiser": lambda: read(KNOWN["secret_file"]),
    "writing files": lambda: write(KNOWN["writable"]),
    "writing any folder": write_anywhere,
    "settings of the kernel": open_settings,
    "the organiser's environment": environment,
    "the organiser's descriptors": descriptors,
    "the organiser's memory": lambda: look_at("mem"),
    "the organiser's environ file": lambda: look_at("environ"),
    "the network, TCP": connect,
    "the network, UDP": datagram,
    "starting processes": fork,
    "signals to the organiser": signal_parent,
    "threads": thread,
    "clocks, but for its CPU time": clock,
    "counters of the machine": system_call("sysinfo", 0),
    "locks on files": system_call("flock", -1, 0),
    "looking at cached pages": system_call("mincore", 0, 0, 0),
    "ptrace": system_call("ptrace", 16, 0x3FFFFFFF),  # a process that there is not
    "new namespaces": system_call("unshare", 0x10000000),
    "keyctl": system_call("keyctl", 0, 0),
    "io_uring": system_call("io_uring_setup", 1, 0),
    "memory beyond the limit": memory,
}


def report() -> dict[str, object]:
    """Return what became of each promise, None where it held, and whether an honest agent works."""
    held: dict[str, str | None] = {}
    for promise, attempt in PREVENTED.items():
        try:
            held[promise] = attempt()
        except (OSError, MemoryError, RuntimeError):  # no thread is a RuntimeError
            held[promise] = None
    try:
        usable = works()
    except Exception as error:
        return {"held": held, "works": None, "error": f"{type(error).__name__}: {error}"}
    return {"held": held, "works": usable, "error": None}


print(json.dumps(report()), flush=True)


class Probe(BiddingAgent):
    """Plays no game."""

    def bidding_function(self, item_id: str) -> float:
        """Bid nothing."""
        return 0.0
