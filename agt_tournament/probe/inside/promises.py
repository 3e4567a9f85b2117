"""An agent that tries what the walls promise to prevent, and prints as JSON what happened to each promise.

It runs as any submission, under the tier that is to be checked; what it needs to know is in the names of its files.
"""

import ctypes
import errno
import json
import os
import socket
import threading
from collections.abc import Callable

from agt_tournament.base_agent import BiddingAgent

with open(os.path.join(os.path.dirname(__file__), "known.json")) as known:
    KNOWN = json.load(known)


def read(path: str) -> str:
    with open(path) as file:
        return f"read {file.read(20)!r}"


def write(path: str) -> str:
    with open(path, "w") as file:
        file.write("here")
    os.remove(path)
    return f"wrote {path}"


def connect() -> str:
    socket.create_connection(("127.0.0.1", KNOWN["port"]), timeout=1).close()
    return "reached a listener of the organiser's machine"


def datagram() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.sendto(b"here", ("127.0.0.1", KNOWN["port"]))
    return "sent a datagram"


def fork() -> str:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    return "started a process"


def signal_parent() -> str:
    os.kill(KNOWN["organiser"], 0)
    return "may signal the organiser"


def look_at(name: str) -> str:
    with open(f"/proc/{KNOWN['organiser']}/{name}", "rb") as file:
        return f"read {len(file.read(100))} bytes of /proc/{KNOWN['organiser']}/{name}"


def system_call(name: str, number: int, *arguments: int) -> Callable[[], str]:
    def attempt() -> str:
        if ctypes.CDLL(None, use_errno=True).syscall(number, *arguments) >= 0:
            return f"{name} was let through"
        code = ctypes.get_errno()
        if code in (errno.EPERM, errno.ENOSYS, errno.EACCES):
            raise OSError(code, name)
        return f"{name} was let through to the kernel"

    return attempt


def environment() -> str:
    if KNOWN["secret"] in str(dict(os.environ)):
        return "the organiser's environment"
    raise OSError("not there")


def descriptors() -> str:
    """More than the pipes of the channel and what Python opens for itself."""
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
    kept = bytearray(KNOWN["memory_limit_mb"] << 20)
    kept[::4096] = b"x" * len(kept[::4096])
    return f"filled {len(kept) >> 20} MB"


def works() -> str:
    """What an honest agent needs."""
    import numpy

    numbers = []
    thread = threading.Thread(target=lambda: numbers.append(float(numpy.linalg.inv(numpy.eye(60)).sum())))
    thread.start()
    thread.join()
    assert numbers == [60.0]
    if not KNOWN["thorough"]:
        return "numpy and a thread work"
    import scipy.optimize
    import scipy.stats

    assert abs(scipy.stats.norm.cdf(0) - 0.5) < 1e-12
    assert abs(scipy.optimize.minimize_scalar(lambda x: (x - 2) ** 2).x - 2) < 1e-6
    return "numpy, scipy.stats, scipy.optimize and a thread work"


PREVENTED: dict[str, Callable[[], str]] = {
    "files of the machine": lambda: read("/etc/passwd"),
    "files of the organiser": lambda: read(KNOWN["secret_file"]),
    "writing files": lambda: write(KNOWN["writable"]),
    "writing /tmp": lambda: write("/tmp/agt_probe"),
    "the organiser's environment": environment,
    "the organiser's descriptors": descriptors,
    "the organiser's memory": lambda: look_at("mem"),
    "the organiser's environment in /proc": lambda: look_at("environ"),
    "the network, TCP": connect,
    "the network, UDP": datagram,
    "starting processes": fork,
    "signals to the organiser": signal_parent,
    "ptrace": system_call("ptrace", 101, 16, 0x3FFFFFFF),  # a process that there is not
    "new namespaces": system_call("unshare", 272, 0x10000000),
    "keyctl": system_call("keyctl", 250, 0, 0),
    "io_uring": system_call("io_uring_setup", 425, 1, 0),
    "memory beyond the limit": memory,
}


def report() -> dict[str, object]:
    held: dict[str, str | None] = {}
    for promise, attempt in PREVENTED.items():
        try:
            held[promise] = attempt()
        except (OSError, MemoryError):
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
        return 0.0
