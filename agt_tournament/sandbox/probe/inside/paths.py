"""An agent that opens every path it can find or is told of, and reads what tells of the machine twice.

While it loads it tries the paths; when its game begins it looks again at everything that the machine may have changed
meanwhile. It prints one line of JSON: what is open by kind and name, and how many paths were tried.
"""

import ctypes
import errno
import importlib
import json
import os
import resource
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import TypeVar

from agt_tournament.base_agent import BiddingAgent

KNOWN = importlib.import_module("known").KNOWN
Value = TypeVar("Value")
MOST_SHOWN = 150
MOST_READ = 1 << 16  # bytes of a file below /proc and /sys
COUNTERS = ("/proc/", "/sys/")
SYSTEM_FOLDERS = ("/", "/dev", "/lib", "/lib64", "/tmp", "/usr", "/usr/lib", "/usr/lib64")
KERNEL_LOGS = ("/proc/kmsg", "/sys/kernel/debug/", "/sys/kernel/tracing/")  # reading them takes something away
ACT_WHEN_OPENED = ("/dev/watchdog", "/dev/st", "/dev/nst", "/dev/lp", "/dev/ttyS", "/sys/kernel/debug/")
WRITING = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
READING = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

ABOVE = {prefix[:place] for prefix, _ in KNOWN["prefixes"] for place, sign in enumerate(prefix) if sign == "/"}
"""All folders above readable ones."""


def succeeds(attempt: Callable[..., object], *arguments: object) -> bool:
    """Whether `attempt` raises no error of the system."""
    try:
        attempt(*arguments)
    except (OSError, ValueError):
        return False
    return True


def opened(path: str, flags: int) -> None:
    """Open and close `path`."""
    os.close(os.open(path, flags))


def reachable(roots: Iterable[str]) -> Iterator[str]:
    """Yield every path below `roots`, as far as folders may be listed; of installed packages only the top level."""
    packages = {prefix for prefix, name in KNOWN["prefixes"] if name == "{packages}"}
    folders = list(roots)
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    yield entry.path
                    if folder not in packages and entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
        except OSError:
            continue


def created(path: str) -> None:
    """Create a file; what cannot be removed again stays."""
    opened(path, WRITING | os.O_CREAT | os.O_EXCL)
    succeeds(os.unlink, path)


def made(path: str) -> None:
    """Create a folder."""
    os.mkdir(path)
    succeeds(os.rmdir, path)


def linked(path: str) -> None:
    """Create a symbolic link."""
    os.symlink("nowhere", path)
    succeeds(os.unlink, path)


def retimed(path: str) -> None:
    """Set the times to what they are."""
    status = os.stat(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def remoded(path: str) -> None:
    """Set the mode to what it is."""
    os.chmod(path, stat.S_IMODE(os.stat(path).st_mode))


def is_refused(attempt: Callable[[], object]) -> bool:
    """Whether a call is refused before the kernel has looked whether its path exists."""
    try:
        attempt()
    except OSError as error:
        return error.errno == errno.EPERM
    return False


class Ways:
    """Ways to change a path; a call that is refused whatever the path need not be tried on each."""

    def __init__(self) -> None:
        absent = "/agt_probe_absent/absent"
        calls = {
            created: lambda: created(absent),
            made: lambda: os.mkdir(absent),
            linked: lambda: os.symlink("nowhere", absent),
            retimed: lambda: os.utime(absent),
            remoded: lambda: os.chmod(absent, 0),
        }
        ways = [way for way, call in calls.items() if not is_refused(call)]
        self._in_folder = [way for way in ways if way in (created, made, linked)]
        self._of_any = [way for way in ways if way in (retimed, remoded)]

    def change(self, path: str, *, is_folder: bool) -> bool:
        """Whether `path` can be changed; afterwards it is as it was, if the walls let it be undone."""
        new = f"{path}/agt_probe_{os.getpid()}"
        return (
            (not is_folder and succeeds(opened, path, WRITING))
            or (is_folder and any(succeeds(way, new) for way in self._in_folder))
            or any(succeeds(way, path) for way in self._of_any)
        )


class Paths:
    """What can be done with each path."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.tried = 0
        self.seen: list[str] = []
        self.readable: list[str] = []
        self.writable: list[str] = []
        self._ways = Ways()
        for path in paths:
            if not path.startswith(ACT_WHEN_OPENED):
                self._attempt(path)

    def _attempt(self, path: str) -> None:
        self.tried += 1
        try:
            mode = os.stat(path).st_mode
            self.seen.append(path)
        except (OSError, ValueError):
            mode = 0  # what cannot be looked at is tried as a file
        if self._ways.change(path, is_folder=stat.S_ISDIR(mode)):
            self.writable.append(path)
        if succeeds(opened, path, READING):
            self.readable.append(path)


# --- what tells of the machine ---------------------------------------------------------------------------


def answered(names: Iterable[str], read: Callable[[str], Value]) -> dict[str, Value]:
    """Return what `read` returns of each of `names`, without those that the system refuses."""
    found = {}
    for name in names:
        with suppress(OSError):
            found[name] = read(name)
    return found


def content(path: str) -> int:
    """Return a hash of a file's content, as far as it can be read without waiting."""
    descriptor = os.open(path, READING)
    try:
        return hash(os.read(descriptor, MOST_READ))
    finally:
        os.close(descriptor)


def statuses(paths: Iterable[str]) -> dict[str, tuple[int, ...] | None]:
    """Return what stat tells of each path; None for a path that does not exist."""
    found: dict[str, tuple[int, ...] | None] = {}
    for path in paths:
        try:
            found[path] = described(path)
        except OSError:
            found[path] = None
    return found


def file_systems(paths: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Return the free blocks and files of each file system, by one path on it."""
    found: dict[int, str] = {}
    for path in paths:
        with suppress(OSError):
            found.setdefault(os.stat(path).st_dev, path)
    return answered(found.values(), free_space)


def free_space(path: str) -> tuple[int, ...]:
    """Return free blocks and files of the file system that `path` is on."""
    s = os.statvfs(path)
    return (s.f_bfree, s.f_bavail, s.f_ffree, s.f_files)


_MEMORY = ("totalram", "freeram", "sharedram", "bufferram", "totalswap", "freeswap")


class _Sysinfo(ctypes.Structure):
    _fields_ = (
        ("uptime", ctypes.c_long),
        ("loads", ctypes.c_ulong * 3),
        *((name, ctypes.c_ulong) for name in _MEMORY),
        ("procs", ctypes.c_ushort),
        ("rest", ctypes.c_char * 64),
    )


def system_counters() -> dict[str, object]:
    """Return what system calls other than the clocks tell of the machine."""
    libc, said = ctypes.CDLL(None, use_errno=True), _Sysinfo()
    found: dict[str, object] = {}
    if libc.sysinfo(ctypes.byref(said)) == 0:
        found |= {f"sysinfo {name}": getattr(said, name) for name, *_ in _Sysinfo._fields_ if name != "loads"}
        found["sysinfo loads"] = tuple(said.loads)
    readings: dict[str, Callable[[], object]] = {
        "sched_getaffinity": lambda: sorted(os.sched_getaffinity(0)),
        "uname": lambda: tuple(os.uname()),
        "getrlimit": lambda: [resource.getrlimit(number) for number in range(16)],
        "getloadavg": os.getloadavg,
        "getpriority": lambda: os.getpriority(os.PRIO_PROCESS, 0),
        "getrusage ru_nivcsw": lambda: resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw,
        "getrusage children": lambda: resource.getrusage(resource.RUSAGE_CHILDREN),
    }
    readings |= {f"fstat {number}": partial(described, number) for number in range(64)}
    return found | answered(readings, lambda name: readings[name]())


def described(file: str | int) -> tuple[int, ...]:
    """Return what stat tells of a path or a descriptor: size, links and times."""
    s = os.stat(file)
    return (s.st_size, s.st_nlink, s.st_blocks, s.st_atime_ns, s.st_mtime_ns, s.st_ctime_ns)


def clocks() -> dict[str, float]:
    """Return the seconds of everything that may be a clock, read by libc, which may ask the vDSO and not the kernel."""
    readings: dict[str, Callable[[], float]] = {"times": lambda: os.times().elapsed, "time": time.time}
    readings |= {f"clock_gettime {number}": partial(time.clock_gettime, number) for number in range(12)}
    return answered(readings, lambda name: readings[name]())


# --- what is printed -------------------------------------------------------------------------------------


def named(path: str) -> str:
    """Replace the parts of `path` that differ between machines and processes."""
    for prefix, name in KNOWN["prefixes"]:
        if path == prefix:
            return str(name)
        if path.startswith(prefix + "/"):
            return f"{name}/**"
    if path in ABOVE and path not in SYSTEM_FOLDERS:
        return "{above}"
    if not path.startswith("/proc/"):
        return path
    return "/".join("N" if part.isdecimal() else part for part in path.split("/"))


def targets(paths: Iterable[str]) -> list[str]:
    """Return what each path leads to: the walls refuse to read links, but stat tells which file is behind one."""
    paths = list(paths)
    known = (*(prefix for prefix, _ in KNOWN["prefixes"]), *(path for path in paths if not os.path.islink(path)))
    files = {file: path for path in known if (file := identity(path))}
    return [leads_to(path, files) if os.path.islink(path) else path for path in paths]


def identity(path: str) -> tuple[int, int] | None:
    """Return device and inode of the file behind a path; None where stat is refused."""
    try:
        s = os.stat(path)
    except OSError:
        return None
    return s.st_dev, s.st_ino


def leads_to(link: str, files: Mapping[tuple[int, int], str]) -> str:
    """Return the path of the file behind `link`; a link out of what may be read to another file is named as a link."""
    if (file := identity(link)) and file in files:
        return files[file]
    return f"link {link}" if named(link).startswith("{") else link


def summary(paths: Iterable[str]) -> dict[str, int]:
    """Count the paths by name; where there are many, count those of a folder together as ``folder/**``."""
    names = [named(path) for path in paths]
    found = Counter(names)
    deepest = max((name.count("/") for name in found), default=0)
    while len(found) > MOST_SHOWN and deepest > 1:
        deepest -= 1
        found = Counter(shortened(name, deepest) for name in names)
    return dict(found)


def shortened(name: str, depth: int) -> str:
    """Replace what lies more than `depth` folders deep by ``**``."""
    parts = name.split("/")
    kept = parts[: depth + 1]
    return name if len(parts) <= depth + 1 or kept[-1] == "**" else "/".join((*kept, "**"))


class Walk:
    """The paths, and the machine as it was before and after."""

    def __init__(self) -> None:
        listed = reachable(KNOWN["roots"])
        self.paths = Paths(dict.fromkeys((*listed, *KNOWN["paths"])))
        told = [path for path in self.paths.readable if path.startswith(COUNTERS)]
        self._counter_files = [path for path in told if not path.startswith(KERNEL_LOGS)]
        self._contents = answered(self._counter_files, content)
        self._file_systems = file_systems(self.paths.seen)
        self._statuses = statuses(self.paths.seen)
        self._system = system_counters()
        self._clocks = clocks()

    def report(self) -> dict[str, object]:
        """Return what is open, and what has changed since the agent was loaded."""
        moved = self._moved()  # first, before this process has used its own time
        return {
            "tried": self.paths.tried,
            "open": {
                "writable": summary(targets(self.paths.writable)),
                "readable": summary(targets(self.paths.readable)),
                "visible": summary(set(self.paths.seen) - set(self.paths.readable)),
                **moved,
            },
        }

    def _moved(self) -> dict[str, dict[str, int]]:
        """Name what has changed; the clocks are read first, as only a stopped process tells a clock of the machine."""
        clocks_now = clocks()
        run = [name for name, before in self._clocks.items() if clocks_now[name] - before > KNOWN["stopped"] / 2]
        system = differing(self._system, system_counters())
        free = differing(self._file_systems, file_systems(self._file_systems))
        return {
            "clock": dict.fromkeys(run, 1),
            "moving counter": dict.fromkeys(system, 1),
            "moving file system": summary(free),
            "moving content": summary(differing(self._contents, answered(self._counter_files, content))),
            "moving status": summary(differing(self._statuses, statuses(self.paths.seen))),
        }


def differing(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """Return the keys whose values differ."""
    return [key for key, value in before.items() if after.get(key) != value]


WALK = Walk()


class Probe(BiddingAgent):
    """Plays no game: it looks again when one begins."""

    def __init__(self, *_: object) -> None:
        print(json.dumps({"report": WALK.report()}), flush=True)

    def bidding_function(self, item_id: str) -> float:
        """Bid nothing."""
        return 0.0
