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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar

from agt_tournament.base_agent import BiddingAgent

KNOWN = importlib.import_module("known").KNOWN
MOST_SHOWN = 150
MOST_READ = 1 << 16  # bytes of a file below /proc and /sys
COUNTERS = ("/proc/", "/sys/")
SYSTEM_FOLDERS = ("/", "/dev", "/lib", "/lib64", "/tmp", "/usr", "/usr/lib", "/usr/lib64")
KERNEL_LOGS = ("/proc/kmsg", "/sys/kernel/debug/", "/sys/kernel/tracing/")  # reading them takes something away
ACT_WHEN_OPENED = ("/dev/watchdog", "/dev/st", "/dev/nst", "/dev/lp", "/dev/ttyS", "/sys/kernel/debug/")
WRITING = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
READING = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

Key = TypeVar("Key")
Value = TypeVar("Value")
ABOVE = {prefix[:place] for prefix, _ in KNOWN["prefixes"] for place, sign in enumerate(prefix) if sign == "/"}
"""All folders above what may be read."""


def succeeds(attempt: Callable[..., object], *arguments: object) -> bool:
    """Return whether `attempt` raises no error of the system."""
    try:
        attempt(*arguments)
    except (OSError, ValueError):
        return False
    return True


def answered(read: Callable[[Key], Value], keys: Iterable[Key]) -> dict[Key, Value]:
    """Return what `read` returns by key, without the keys at which it raises an error of the system."""
    found = {}
    for key in keys:
        try:
            found[key] = read(key)
        except OSError:
            continue
    return found


def opened(path: str, flags: int) -> None:
    """Open `path` and close it again."""
    os.close(os.open(path, flags))


def reachable(roots: Iterable[str]) -> Iterator[str]:
    """Yield every path below `roots`, as far as folders may be listed; of installed packages the top level."""
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
    """Return whether a call is refused before the kernel has looked whether its path exists."""
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
        """Return whether `path` can be changed; afterwards it is as it was, if the walls let it be undone."""
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


def contents(paths: Iterable[str]) -> dict[str, int]:
    """Return a hash of each file's content, as far as it can be read without waiting."""

    def content(path: str) -> int:
        descriptor = os.open(path, READING)
        try:
            return hash(os.read(descriptor, MOST_READ))
        finally:
            os.close(descriptor)

    return answered(content, paths)


def statuses(paths: Sequence[str]) -> dict[str, tuple[int, ...] | None]:
    """Return what stat tells of each path; None for what is not there."""
    return {**dict.fromkeys(paths), **answered(described, paths)}


def file_systems(paths: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Return the free blocks and files of each file system, by one path on it."""

    def free(path: str) -> tuple[int, ...]:
        s = os.statvfs(path)
        return (s.f_bfree, s.f_bavail, s.f_ffree, s.f_files)

    found: dict[int, str] = {}
    for path, device in answered(lambda path: os.stat(path).st_dev, paths).items():
        found.setdefault(device, path)
    return answered(free, found.values())


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
    """Return what system calls tell of the machine, beside the clocks."""
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
    return found | answered(lambda name: readings[name](), readings)


def described(file: str | int) -> tuple[int, ...]:
    """Return what stat tells of a path or a descriptor: size, links and times."""
    s = os.stat(file)
    return (s.st_size, s.st_nlink, s.st_blocks, s.st_atime_ns, s.st_mtime_ns, s.st_ctime_ns)


def clocks() -> dict[str, float]:
    """Return the seconds of everything that may be a clock, by libc, which may ask the vDSO and not the kernel."""
    readings: dict[str, Callable[[], float]] = {"times": lambda: os.times().elapsed, "time": time.time}
    readings |= {f"clock_gettime {number}": partial(time.clock_gettime, number) for number in range(12)}
    return answered(lambda name: readings[name](), readings)


# --- what is printed -------------------------------------------------------------------------------------


def named(path: str) -> str:
    """Replace what differs between machines and processes in `path`."""
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
    """Return device and number of the file behind a path; None where stat is refused."""
    try:
        s = os.stat(path)
    except OSError:
        return None
    return s.st_dev, s.st_ino


def leads_to(link: str, files: Mapping[tuple[int, int], str]) -> str:
    """Return the path of the file behind `link`.

    A link that leads from what may be read to something else is named as a link.
    """
    if (file := identity(link)) and file in files:
        return files[file]
    return f"link {link}" if named(link).startswith("{") else link


def summary(paths: Iterable[str]) -> dict[str, int]:
    """Count paths by name; where there are many, those of a folder together as ``folder/**``."""
    names = [named(path) for path in paths]
    found = Counter(names)
    deepest = max((name.count("/") for name in found), default=0)
    while len(found) > MOST_SHOWN and deepest > 1:
        deepest -= 1
        found = Counter(shortened(name, deepest) for name in names)
    return dict(found)


def shortened(name: str, depth: int) -> str:
    """Replace what is deeper than `depth` folders by ``**``."""
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
        self._contents = contents(self._counter_files)
        self._file_systems = file_systems(self.paths.seen)
        self._statuses = statuses(self.paths.seen)
        self._system = system_counters()
        self._clocks = clocks()

    def report(self) -> dict[str, object]:
        """Return how many paths were tried, and what is open or has moved, by kind and name."""
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
        """Return what is not as it was; the clocks first, as they stand still only while this process is stopped."""
        clocks_now = clocks()
        run = [name for name, before in self._clocks.items() if clocks_now[name] - before > KNOWN["stopped"] / 2]
        system = differing(self._system, system_counters())
        free = differing(self._file_systems, file_systems(self._file_systems))
        return {
            "clock": dict.fromkeys(run, 1),
            "moving counter": dict.fromkeys(system, 1),
            "moving file system": summary(free),
            "moving content": summary(differing(self._contents, contents(self._counter_files))),
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
