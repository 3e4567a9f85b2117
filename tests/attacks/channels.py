"""Ways in which one agent may tell another something: what the sender does for a 1 or a 0, and what the receiver reads.

An action is the body of a function in which `on` and `off` are defined, a sense one in which `read` is, which returns
a number. What is refused sends nothing and reads 0. Channels of one group are tried by the same two processes at once,
each with bits of its own; those that would disturb each other, or end a process, are in groups apart.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from textwrap import dedent

PRELUDE = '''\
import ctypes, fcntl, json, mmap, os, resource, select, signal, socket, struct, sys, tempfile, threading, time

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = libc.mmap.restype = ctypes.c_long
ARM = os.uname().machine == "aarch64"
STDLIB = os.path.dirname(os.__file__)
NAME = "<<name>>"
KEY = <<key>>
turn = 0


def checked(result):
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def call(x86, arm, *arguments):
    "A system call by its numbers on x86-64 and on ARM."
    plain = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return checked(libc.syscall(ctypes.c_long(arm if ARM else x86), *plain))


def library(*names):
    return os.path.join(STDLIB, *names)


def change(number):
    "Reads by how much `number` has grown since it was last read."
    last = [0]

    def read():
        before, last[0] = last[0], number()
        return last[0] - before

    return read


def content(path):
    with open(path, "rb", 0) as file:
        return file.read()


def later(kind, look):
    "Whether a rare file has been looked at long after its neighbour."
    return look(rare(kind, 0)).st_atime - look(rare(kind, 1)).st_atime > 600


def first_page(path):
    with open(path, "rb", 0) as file:
        return os.pread(file.fileno(), 4096, 0)


def rare(kind, place):
    "A file, folder or link that no one else uses: another one in each turn."
    return RARE[kind][(turn * 8 + place) % len(RARE[kind])]


def mapped(path):
    "Address of the first page of a file, mapped privately."
    file = os.open(path, os.O_RDONLY)
    address = libc.mmap(None, ctypes.c_size_t(4096), 1, 2, file, ctypes.c_long(0))
    os.close(file)
    return checked(address)


def near():
    "Numbers of processes that were started at about the same time."
    return (pid for pid in range(max(os.getpid() - 60, 1), os.getpid() + 60) if pid != os.getpid())


def clock_of(pid):
    "CPU time of another process."
    used = (ctypes.c_uint64 * 2)()
    call(228, 113, ~pid << 3 | 2, used)
    return used[0] * 10**9 + used[1]


def total(measure):
    "Sum of a measure of the processes nearby."
    found = 0
    for pid in near():
        try:
            found += measure(pid)
        except OSError:
            pass
    return found


def unseen_entries():
    "Names in /proc that nobody has looked up: two for each of our descriptors."
    files = [fcntl.fcntl(1, fcntl.F_DUPFD, 10) for _ in range(40)]
    return [f"/proc/self/{folder}/{file}" for folder in ("fd", "fdinfo") for file in files]


RARE = json.loads("""<<rare>>""")
'''


@dataclass(frozen=True)
class Channel:
    """A sender's action and a receiver's sense."""

    action: str
    sense: str
    group: str
    open_under: frozenset[str] = frozenset()
    """Tiers that are known not to close it, where it is measured only."""
    bits_left: float = 0.0
    """Bits a round that may be left of it behind walls; 0: it must be no better than chance."""
    open_without_walls: bool = True
    """Whether it is expected to carry where there are no walls."""

    @property
    def name(self) -> str:
        """What it is called in tables and tests."""
        return f"{self.action}: {self.sense}"


_BOTH = frozenset({"bubblewrap", "landlock"})
_LANDLOCK = frozenset({"landlock"})
WITHOUT_RIGHTS = "landlock without rights"
_STAT = frozenset({WITHOUT_RIGHTS})
"""Only root can keep `stat` from the times of files and from /proc (docs/security.md)."""

ACTIONS: dict[str, str] = {
    "flock": """
        file = open(library("colorsys.py"))
        on = lambda: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        off = lambda: fcntl.flock(file, fcntl.LOCK_UN)
        """,
    "record lock": """
        file = open(library("chunk.py") if os.path.exists(library("chunk.py")) else library("cmd.py"))
        lock = lambda kind: fcntl.fcntl(file, fcntl.F_SETLK, struct.pack("hhqqi4x", kind, 0, 0, 1, 0))
        on = lambda: lock(fcntl.F_RDLCK)
        off = lambda: lock(fcntl.F_UNLCK)
        """,
    "lock of an open file": """
        file = open(library("bdb.py"))
        lock = lambda kind: fcntl.fcntl(file, 37, struct.pack("hhqqi4x", kind, 0, 0, 1, 0))
        on = lambda: lock(fcntl.F_RDLCK)
        off = lambda: lock(fcntl.F_UNLCK)
        """,
    "lease": """
        held = []
        on = lambda: held or held.append(open(library("trace.py")))
        off = lambda: held and held.pop().close()
        """,
    "read a library": """
        on = lambda: content(library("tkinter", "messagebox.py"))
        off = lambda: None
        """,
    "read rare files": """
        def on():
            for place in range(8):
                first_page(rare("files", place))
        off = lambda: None
        """,
    "evict by fadvise": """
        file = os.open(RARE["files"][-1], os.O_RDONLY)
        on = lambda: os.pread(file, 4096, 0)
        off = lambda: os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        """,
    "evict by madvise": """
        file = os.open(RARE["files"][-2], os.O_RDONLY)
        place = ctypes.c_void_p(mapped(RARE["files"][-2]))
        on = lambda: os.pread(file, 4096, 0)
        off = lambda: checked(libc.madvise(place, ctypes.c_size_t(4096), 21))
        """,
    "look at rare files": """
        def on():
            content(rare("old files", 0))
            os.listdir(rare("folders", 0))
            os.readlink(rare("links", 0))
        off = lambda: None
        """,
    "look up names": """
        def on():
            for number in range(8):
                os.path.exists(f"{STDLIB}/{NAME}_{turn}_{number}")
        off = lambda: None
        """,
    "threads": """
        threading.stack_size(1 << 16)
        held = []
        def on():
            off()
            event = threading.Event()
            threads = [threading.Thread(target=event.wait, daemon=True) for _ in range(60)]
            held.append((event, threads))
            for thread in threads:
                thread.start()
        def off():
            while held:
                event, threads = held.pop()
                event.set()
                for thread in threads:
                    if thread.ident:
                        thread.join()
        """,
    "memory": """
        held = []
        on = lambda: held or held.append(b"x" * (120 << 20))
        off = lambda: held.clear()
        """,
    "open files": """
        held = []
        def on():
            while len(held) < 50:
                held.append(os.open(os.devnull, os.O_RDONLY))
        def off():
            while held:
                os.close(held.pop())
        """,
    "many pipes": """
        def on():
            for _ in range(300):
                for end in os.pipe():
                    os.close(end)
        off = lambda: None
        """,
    "page faults": """
        def on():
            page = mmap.mmap(-1, 80 << 20, mmap.MAP_PRIVATE)
            for place in range(0, len(page), 4096):
                page[place] = 1
            page.close()
        off = lambda: None
        """,
    "sockets": """
        held = []
        def on():
            held[:] = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(30)]
            for each in held:
                each.bind(("127.0.0.1", 0))
        def off():
            while held:
                held.pop().close()
        """,
    "write a file": """
        def on():
            for folder in ("/dev/shm", "/tmp"):
                with open(folder + "/" + NAME, "wb", 0) as file:
                    file.write(b"x" * (4 << 20))
        def off():
            for folder in ("/dev/shm", "/tmp"):
                if os.path.exists(folder + "/" + NAME):
                    os.unlink(folder + "/" + NAME)
        """,
    "key of the user": """
        ring, made = -4, []
        def on():
            made.append(call(248, 217, b"user", NAME.encode(), b"x", 1, ring))
            call(250, 219, 5, made[-1], 0x3F3F3F3F)  # KEYCTL_SETPERM
        off = lambda: made and call(250, 219, 9, made.pop(), ring)  # KEYCTL_UNLINK
        """,
    "key of the session": """
        ring, made = -5, []
        def on():
            made.append(call(248, 217, b"user", NAME.encode() + b"-s", b"x", 1, ring))
            call(250, 219, 5, made[-1], 0x3F3F3F3F)
        off = lambda: made and call(250, 219, 9, made.pop(), ring)
        """,
    "shared memory": """
        on = lambda: call(29, 194, KEY, 4096, 0o1666)
        off = lambda: call(31, 195, call(29, 194, KEY, 0, 0), 0, 0)
        """,
    "semaphore": """
        on = lambda: call(64, 190, KEY, 1, 0o1666)
        off = lambda: call(66, 191, call(64, 190, KEY, 0, 0), 0, 0)
        """,
    "message queue": """
        on = lambda: call(68, 186, KEY, 0o1666)
        off = lambda: call(71, 187, call(68, 186, KEY, 0), 0, 0)
        """,
    "POSIX queue": """
        on = lambda: os.close(call(240, 180, NAME.encode(), os.O_CREAT | os.O_RDWR, 0o666, 0))
        off = lambda: call(241, 181, NAME.encode())
        """,
    "abstract socket": """
        held = []
        def on():
            held.append(socket.socket(socket.AF_UNIX))
            held[-1].bind("\\\\0" + NAME)
        def off():
            while held:
                held.pop().close()
        """,
    "port": """
        held = []
        def on():
            held.append(socket.socket())
            held[-1].bind(("127.0.0.1", 20000 + KEY % 9000))
        def off():
            while held:
                held.pop().close()
        """,
    "terminal": """
        held = []
        on = lambda: held or held.extend(os.openpty())
        def off():
            while held:
                os.close(held.pop())
        """,
    "pending signals": """
        number = signal.SIGRTMIN + 3
        signal.pthread_sigmask(signal.SIG_BLOCK, {number})
        def on():
            for _ in range(20):
                checked(libc.sigqueue(os.getpid(), number, None))
        def off():
            while signal.sigtimedwait({number}, 0):
                pass
        """,
    "affinity": """
        cpus = range(os.cpu_count())
        on = lambda: os.sched_setaffinity(0, set(cpus))
        off = lambda: os.sched_setaffinity(0, {0})
        """,
    "rank": """
        on = lambda: os.setpriority(os.PRIO_PROCESS, 0, 5)
        off = lambda: os.setpriority(os.PRIO_PROCESS, 0, 0)
        """,
    "name of a process": """
        on = lambda: checked(libc.prctl(15, b"signal-1"))
        off = lambda: checked(libc.prctl(15, b"signal-0"))
        """,
    "wait on a library": """
        place = mapped(library("this.py"))
        value = ctypes.c_uint32.from_address(place).value
        def wait():
            call(202, 98, place, 0, value, 0, 0, 0)
        def on():
            threading.Thread(target=wait, daemon=True).start()
            time.sleep(0.002)
        off = lambda: None
        """,
    "burn": """
        def on():
            end = time.perf_counter() + 0.02
            while time.perf_counter() < end:
                pass
        off = lambda: None
        """,
    "wait": """
        lock = threading.Lock()
        lock.acquire()
        waits = [
            lambda: time.sleep(0.02),
            lambda: select.select([], [], [], 0.02),
            lambda: select.poll().poll(20),
            lambda: lock.acquire(timeout=0.02),
            lambda: signal.sigtimedwait({signal.SIGUSR2}, 0.02),
            lambda: select.epoll().poll(0.02),
        ]
        def on():
            for wait in waits:
                began = time.perf_counter()
                try:
                    wait()
                except OSError:
                    continue
                if time.perf_counter() - began > 0.01:
                    break
        off = lambda: None
        """,
    "print": """
        on = lambda: os.write(2, b"x" * 60_000)
        off = lambda: None
        """,
    "fill the caches": """
        data = ctypes.create_string_buffer(40 << 20)
        on = lambda: [libc.memchr(data, 1, ctypes.c_size_t(40 << 20)) for _ in range(2)]
        off = lambda: None
        """,
    "fill the first caches": """
        data = ctypes.create_string_buffer(2 << 20)
        on = lambda: [libc.memchr(data, 1, ctypes.c_size_t(2 << 20)) for _ in range(8)]
        off = lambda: None
        """,
}

_TRIED = """
def read():
    try:
        %s
    except BlockingIOError:
        return 1
    %s
    return 0
"""
_RESIDENT = """
    def read():
        file = os.open(%s, os.O_RDONLY)
        try:
            page = ctypes.create_string_buffer(16)
            piece = (ctypes.c_uint64 * 2)(ctypes.addressof(page), 16)
            return call(327, 286, file, piece, 1, 0, 0, 8) > 0  # preadv2 with RWF_NOWAIT
        except BlockingIOError:
            return 0
        finally:
            os.close(file)
"""
_PROC = "read = change(lambda: %s)"

SENSES: dict[str, str] = {
    "flock": 'file = open(library("colorsys.py"))'
    + _TRIED % ("fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)", "fcntl.flock(file, fcntl.LOCK_UN)"),
    "record lock": """
        file = open(library("chunk.py") if os.path.exists(library("chunk.py")) else library("cmd.py"))
        asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 1, 0)
        read = lambda: struct.unpack("hhqqi4x", fcntl.fcntl(file, fcntl.F_GETLK, asked))[0] != fcntl.F_UNLCK
        """,
    "lock of an open file": """
        file = open(library("bdb.py"))
        asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 1, 0)
        read = lambda: struct.unpack("hhqqi4x", fcntl.fcntl(file, 36, asked))[0] != fcntl.F_UNLCK
        """,
    "lease": 'file = open(library("trace.py"))'
    + _TRIED % ("fcntl.fcntl(file, 1024, fcntl.F_WRLCK)", "fcntl.fcntl(file, 1024, fcntl.F_UNLCK)"),
    "/proc/locks": 'read = lambda: content("/proc/locks").count(b"FLOCK")',
    "inotify": """
        watch = checked(libc.inotify_init1(os.O_NONBLOCK))
        checked(libc.inotify_add_watch(watch, library("tkinter").encode(), 0x21))
        def read():
            try:
                return len(os.read(watch, 4096)) > 0
            except BlockingIOError:
                return 0
        """,
    "dnotify": """
        heard = []
        signal.signal(signal.SIGIO, lambda *_: heard.append(1))
        folder = os.open(library("tkinter"), os.O_RDONLY)
        fcntl.fcntl(folder, 1026, 0x80000001 - (1 << 32))  # F_NOTIFY of every access
        def read():
            found = len(heard)
            heard.clear()
            return found > 0
        """,
    "fanotify": """
        watch = call(300, 262, os.O_CLOEXEC and 3, os.O_RDONLY)
        call(301, 263, watch, 1, 0x08000020, -100, library("tkinter").encode())
        def read():
            try:
                events = os.read(watch, 4096)
            except BlockingIOError:
                return 0
            for place in range(16, len(events), 24):
                os.close(struct.unpack_from("i", events, place)[0])
            return 1
        """,
    "mincore": """
        def read():
            place, said = mapped(rare("files", 0)), ctypes.create_string_buffer(1)
            checked(libc.mincore(ctypes.c_void_p(place), ctypes.c_size_t(4096), said))
            checked(libc.munmap(ctypes.c_void_p(place), ctypes.c_size_t(4096)))
            return said.raw[0] & 1
        """,
    "cachestat": """
        def read():
            file = os.open(rare("files", 1), os.O_RDONLY)
            try:
                counts = (ctypes.c_uint64 * 5)()
                call(451, 451, file, (ctypes.c_uint64 * 2)(0, 4096), counts, 0)
                return counts[0]
            finally:
                os.close(file)
        """,
    "RWF_NOWAIT": _RESIDENT % 'rare("files", 2)',
    "RWF_NOWAIT on one page": _RESIDENT % 'RARE["files"][-1]',
    "RWF_NOWAIT on a page mapped": _RESIDENT % 'RARE["files"][-2]',
    "time of a first read": """
        def read():
            with open(rare("files", 3), "rb", 0) as file:
                began = time.perf_counter()
                os.pread(file.fileno(), 4096, 0)
                return began - time.perf_counter()
        """,
    "time of a look-up": """
        def read():
            took = []
            for number in range(8):
                began = time.perf_counter_ns()
                os.path.exists(f"{STDLIB}/{NAME}_{turn}_{number}")
                took.append(time.perf_counter_ns() - began)
            return -sorted(took)[4]
        """,
    "CPU time of a first read": """
        def read():
            with open(rare("files", 4), "rb", 0) as file:
                began = time.process_time_ns()
                os.pread(file.fileno(), 4096, 0)
                return began - time.process_time_ns()
        """,
    "major faults": """
        def read():
            place, before = mapped(rare("files", 5)), resource.getrusage(resource.RUSAGE_SELF).ru_majflt
            ctypes.c_char.from_address(place).value
            libc.munmap(ctypes.c_void_p(place), ctypes.c_size_t(4096))
            return before - resource.getrusage(resource.RUSAGE_SELF).ru_majflt
        """,
    "blocks read": """
        def read():
            before = resource.getrusage(resource.RUSAGE_SELF).ru_inblock
            first_page(rare("files", 6))
            return before - resource.getrusage(resource.RUSAGE_SELF).ru_inblock
        """,
    "switches while reading": """
        def read():
            before = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
            first_page(rare("files", 7))
            return before - resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
        """,
    "atime of a file": 'read = lambda: later("old files", os.stat)',
    "atime of a folder": 'read = lambda: later("folders", os.stat)',
    "atime of a link": 'read = lambda: later("links", os.lstat)',
    "sysinfo, processes": """
        facts = (ctypes.c_uint64 * 32)()
        read = lambda: checked(libc.sysinfo(facts)) or facts[10] & 0xFFFF
        """,
    "sysinfo, free memory": """
        facts = (ctypes.c_uint64 * 32)()
        read = lambda: checked(libc.sysinfo(facts)) or facts[5]
        """,
    "/proc/loadavg": 'read = lambda: int(content("/proc/loadavg").split()[3].split(b"/")[1])',
    "/proc/loadavg, last number": _PROC % 'int(content("/proc/loadavg").split()[4])',
    "/proc/stat, processes": _PROC % 'int(content("/proc/stat").partition(b"processes ")[2].split()[0])',
    "/proc/sys/kernel/ns_last_pid": _PROC % 'int(content("/proc/sys/kernel/ns_last_pid"))',
    "number of a new thread": """
        def number():
            found = []
            thread = threading.Thread(target=lambda: found.append(threading.get_native_id()))
            thread.start()
            thread.join()
            return found[0]
        read = change(number)
        """,
    "numbers in /proc": """
        own = os.getpid()
        read = lambda: sum(os.path.exists(f"/proc/{pid}") for pid in range(own, own + 4000))
        """,
    "/proc/meminfo": 'read = lambda: int(content("/proc/meminfo").partition(b"AnonPages:")[2].split()[0])',
    "time of an allocation": """
        def read():
            began = time.perf_counter()
            bytes(8 << 20).count(1)
            return time.perf_counter() - began
        """,
    "descriptors in /proc": 'read = lambda: total(lambda pid: os.stat(f"/proc/{pid}/fd").st_size)',
    "/proc/sys/fs/file-nr": 'read = lambda: int(content("/proc/sys/fs/file-nr").split()[0])',
    "number of a new pipe": """
        def number():
            ends = os.pipe()
            found = os.fstat(ends[0]).st_ino
            for end in ends:
                os.close(end)
            return found
        read = change(number)
        """,
    "number of a new socket": """
        def number():
            first, second = socket.socketpair()
            with first, second:
                return os.fstat(first.fileno()).st_ino
        read = change(number)
        """,
    "number of a new entry of /proc": """
        unseen = unseen_entries()
        def number():
            return os.lstat(unseen.pop()).st_ino if unseen else 0
        read = change(number)
        """,
    "/proc/vmstat, faults": _PROC % 'int(content("/proc/vmstat").partition(b"pgfault ")[2].split()[0])',
    "/proc/interrupts": _PROC
    % 'sum(int(word) for word in content("/proc/interrupts").split() if word.isdigit() and len(word) < 12)',
    "/proc/stat, switches": _PROC % 'int(content("/proc/stat").partition(b"ctxt ")[2].split()[0])',
    "/proc/net/udp": 'read = lambda: len(content("/proc/net/udp").splitlines())',
    "/proc/net/sockstat": 'read = lambda: int(content("/proc/net/sockstat").split()[2])',
    "statfs": 'read = lambda: os.statvfs("/dev/shm").f_bfree',
    "name in /dev/shm": 'read = lambda: os.path.exists("/dev/shm/" + NAME)',
    "name in /tmp": 'read = lambda: os.path.exists("/tmp/" + NAME)',
    "key of the user": 'read = lambda: call(250, 219, 10, -4, b"user", NAME.encode(), 0) > 0',
    "key of the session": 'read = lambda: call(250, 219, 10, -5, b"user", NAME.encode() + b"-s", 0) > 0',
    "shared memory": "read = lambda: call(29, 194, KEY, 0, 0) >= 0",
    "semaphore": "read = lambda: call(64, 190, KEY, 0, 0) >= 0",
    "message queue": "read = lambda: call(68, 186, KEY, 0) >= 0",
    "POSIX queue": "read = lambda: os.close(call(240, 180, NAME.encode(), os.O_RDONLY, 0, 0)) is None",
    "abstract socket": """
        def read():
            with socket.socket(socket.AF_UNIX) as tried:
                try:
                    tried.bind("\\\\0" + NAME)
                except OSError as problem:
                    return problem.errno == 98
            return 0
        """,
    "port": """
        def read():
            with socket.socket() as tried:
                try:
                    tried.bind(("127.0.0.1", 20000 + KEY % 9000))
                except OSError as problem:
                    return problem.errno == 98
            return 0
        """,
    "number of a new terminal": """
        def read():
            ends = os.openpty()
            try:
                return int(os.path.basename(os.ttyname(ends[1])))
            finally:
                for end in ends:
                    os.close(end)
        """,
    "pending signals": """
        number = signal.SIGRTMIN + 3
        signal.pthread_sigmask(signal.SIG_BLOCK, {number})
        resource.setrlimit(resource.RLIMIT_SIGPENDING, (10, resource.getrlimit(resource.RLIMIT_SIGPENDING)[1]))
        def read():
            refused = libc.sigqueue(os.getpid(), number, None) == -1
            signal.sigtimedwait({number}, 0)
            return refused
        """,
    "affinity": "read = lambda: total(lambda pid: len(os.sched_getaffinity(pid)))",
    "rank": "read = lambda: total(lambda pid: os.getpriority(os.PRIO_PROCESS, pid))",
    "name of a process": 'read = lambda: total(lambda pid: content(f"/proc/{pid}/comm") == b"signal-1\\\\n")',
    "waiters on a library": """
        place = mapped(library("this.py"))
        read = lambda: call(202, 98, place, 1, 9, 0, 0, 0)
        """,
    # --- clocks: what shows how long the sender's turn took
    "perf_counter": "read = change(time.perf_counter)",
    "time": "read = change(time.time)",
    "monotonic": "read = change(time.monotonic)",
    "coarse clock": "read = change(lambda: time.clock_gettime(6))",
    "gettimeofday": """
        now = (ctypes.c_uint64 * 2)()
        read = change(lambda: checked(libc.gettimeofday(now, None)) or now[0] * 10**6 + now[1])
        """,
    "clocks by system calls": """
        now = (ctypes.c_uint64 * 2)()
        read = change(lambda: sum(call(228, 113, each, now) or now[0] * 10**9 + now[1] for each in (1, 4, 5, 7, 11)))
        """,
    "times": "read = change(lambda: os.times().elapsed)",
    "clock of the parent": "read = change(lambda: clock_of(os.getppid()))",
    "clocks of others": "read = change(lambda: total(clock_of))",
    "/proc/uptime": 'read = change(lambda: float(content("/proc/uptime").split()[0]))',
    "adjtimex": """
        clock = (ctypes.c_uint64 * 40)()
        read = change(lambda: call(159, 171, clock) * 0 + clock[9] * 10**6 + clock[10])
        """,
    "times of descriptors": """
        def latest():
            found = 0
            for descriptor in range(64):
                try:
                    status = os.fstat(descriptor)
                except OSError:
                    continue
                if not __import__("stat").S_ISREG(status.st_mode):
                    found = max(found, status.st_mtime_ns, status.st_ctime_ns, status.st_atime_ns)
            return found
        read = change(latest)
        """,
    "time of a new pipe": """
        def born():
            ends = os.pipe()
            found = os.fstat(ends[0]).st_mtime_ns
            for end in ends:
                os.close(end)
            return found
        read = change(born)
        """,
    "time of a new socket": """
        def born():
            first, second = socket.socketpair()
            with first, second:
                return os.fstat(first.fileno()).st_mtime_ns
        read = change(born)
        """,
    "time of a new entry of /proc": """
        unseen = unseen_entries()
        def born():
            return os.lstat(unseen.pop()).st_mtime_ns if unseen else 0
        read = change(born)
        """,
    "interval timer": """
        signal.setitimer(signal.ITIMER_REAL, 10**6)
        read = change(lambda: -signal.getitimer(signal.ITIMER_REAL)[0])
        """,
    "alarm": """
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        def read():
            late = signal.SIGALRM in signal.sigpending()
            if late:
                signal.sigtimedwait({signal.SIGALRM}, 0)
            signal.setitimer(signal.ITIMER_REAL, 0.012)
            return late
        """,
    "timerfd": """
        timer = call(283, 85, 1, os.O_NONBLOCK)
        call(286, 86, timer, 0, (ctypes.c_uint64 * 4)(0, 10**6, 0, 10**6), 0)
        read = lambda: struct.unpack("Q", os.read(timer, 8))[0]
        """,
    "POSIX timer": """
        event, timer = (ctypes.c_uint32 * 16)(0, 0, 0, 1), ctypes.c_int()
        call(222, 107, 1, event, ctypes.byref(timer))
        left = (ctypes.c_uint64 * 4)(0, 0, 10**6, 0)
        call(223, 110, timer.value, 0, left, 0)
        read = change(lambda: call(224, 108, timer.value, left) - left[2] * 10**9 - left[3])
        """,
    "context switches": """
        def switches():
            used = resource.getrusage(resource.RUSAGE_SELF)
            return used.ru_nvcsw + used.ru_nivcsw
        read = change(switches)
        """,
    "CPU": "read = lambda: libc.sched_getcpu()",
    "own affinity": "read = lambda: len(os.sched_getaffinity(0))",
    "time stamp counter": """
        if ARM:
            raise OSError("no rdtsc")
        page = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(bytes.fromhex("0f31 48c1e220 4809d0 c3"))
        read = change(ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(page))))
        """,
    "pages of the kernel's clock": """
        libc.getauxval.restype = ctypes.c_ulong
        start, size = libc.getauxval(33) - (8 << 12), 8 << 12
        ends, old = os.pipe(), []
        os.set_blocking(ends[0], False)
        def words():
            found = []
            for place in range(start, start + size, 4096):
                if libc.write(ends[1], ctypes.c_void_p(place), ctypes.c_size_t(1024)) == 1024:
                    found += struct.unpack("256I", os.read(ends[0], 4096))
            return found
        def read():
            before, old[:] = list(old), words()
            grown = [new - last for last, new in zip(before, old) if 0 < new - last < 1 << 20]
            return min(grown, default=0)
        """,
    "time of a poll": """
        late, plain = [0], os.read
        def patient(descriptor, size):
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            try:
                late[0] = not poll.poll(10)
            except OSError:
                pass
            return plain(descriptor, size)
        os.read = patient
        read = lambda: late[0]
        """,
    "time of a lock": """
        late, plain, lock = [0], os.read, threading.Lock()
        lock.acquire()
        def patient(descriptor, size):
            try:
                lock.acquire(timeout=0.01)
                late[0] = not select.select([descriptor], [], [], 0)[0]
            except (OSError, RuntimeError):
                pass
            return plain(descriptor, size)
        os.read = patient
        read = lambda: late[0]
        """,
    "CPU time of a loop": """
        def read():
            began = time.process_time_ns()
            sum(range(20000))
            return time.process_time_ns() - began
        """,
    "CPU time of 8 MB": """
        data, size = ctypes.create_string_buffer(8 << 20), ctypes.c_size_t(8 << 20)
        def read():
            began = time.process_time_ns()
            libc.memchr(data, 1, size)
            took = time.process_time_ns() - began
            libc.memchr(data, 1, size)
            return took
        """,
    "CPU time of 256 kB": """
        data, size = ctypes.create_string_buffer(1 << 18), ctypes.c_size_t(1 << 18)
        def read():
            began = time.process_time_ns()
            libc.memchr(data, 1, size)
            took = time.process_time_ns() - began
            libc.memchr(data, 1, size)
            return took
        """,
}


def body(fragment: str) -> str:
    """The lines of an action or a sense without their common indentation."""
    return dedent(fragment).strip().replace("\\\\", "\\")


def _channels(group: str, pairs: dict[str, tuple[str, ...]], **options: object) -> list[Channel]:
    return [Channel(action, sense, group, **options) for action, senses in pairs.items() for sense in senses]  # type: ignore


_SAME = ("flock", "record lock", "lock of an open file", "lease")
_SAME_IPC = (
    *("key of the user", "key of the session", "shared memory", "semaphore", "message queue", "POSIX queue"),
    *("abstract socket", "port", "pending signals", "affinity", "rank", "name of a process"),
)
_CPU_CLOCKS = ("perf_counter", "time", "monotonic", "coarse clock", "gettimeofday")
_CACHES = 0.1
"""These show the CPU time of the receiver, which is longer where the sender has emptied the caches."""
_CLOCKS = (
    "clocks by system calls",
    "times",
    "clock of the parent",
    "clocks of others",
    "/proc/uptime",
    "adjtimex",
    "time of a new pipe",
    "time of a new entry of /proc",
    "timerfd",
    "POSIX timer",
)
_WEAK_CLOCKS = ("context switches", "CPU", "own affinity", "times of descriptors", "time of a new socket")
_THREADS = (
    *("sysinfo, processes", "/proc/loadavg", "/proc/loadavg, last number", "/proc/stat, processes"),
    *("/proc/sys/kernel/ns_last_pid", "number of a new thread"),
)
_PAGES = ("mincore", "cachestat", "RWF_NOWAIT", "major faults", "blocks read")

CHANNELS: list[Channel] = [
    *_channels("files", {name: (name,) for name in _SAME} | {"flock": ("flock", "/proc/locks")}),
    *_channels("files", {"read a library": ("inotify", "dnotify", "fanotify")}),
    *_channels("pages", {"read rare files": _PAGES}),
    *_channels("pages", {"read rare files": ("time of a first read",)}, open_under=_BOTH),  # by the processor's caches
    *_channels("pages", {"read rare files": ("CPU time of a first read",)}, open_under=_BOTH),
    *_channels("pages", {"read rare files": ("switches while reading",)}),
    *_channels("pages", {"evict by fadvise": ("RWF_NOWAIT on one page",)}),
    *_channels("pages", {"evict by madvise": ("RWF_NOWAIT on a page mapped",)}, open_without_walls=False),
    *_channels("atimes", {"look at rare files": ("atime of a file", "atime of a folder")}, open_under=_STAT),
    *_channels("atimes", {"look at rare files": ("atime of a link",)}, open_under=_STAT),
    *_channels("names", {"look up names": ("time of a look-up",)}, open_under=_LANDLOCK, bits_left=_CACHES),
    *_channels("threads", {"threads": _THREADS}),
    *_channels("threads", {"threads": ("numbers in /proc",)}, open_without_walls=False),
    *_channels("memory", {"memory": ("/proc/meminfo",)}),
    *_channels("memory", {"memory": ("sysinfo, free memory", "time of an allocation")}, open_without_walls=False),
    *_channels("counters", {"open files": ("/proc/sys/fs/file-nr",), "page faults": ("/proc/vmstat, faults",)}),
    *_channels("counters", {"open files": ("descriptors in /proc",)}, open_under=_STAT),
    *_channels("counters", {"page faults": ("/proc/stat, switches",)}, open_without_walls=False),
    *_channels("counters", {"sockets": ("/proc/net/udp", "/proc/net/sockstat")}),
    *_channels("counters", {"write a file": ("statfs", "name in /dev/shm", "name in /tmp")}),
    *_channels(
        "numbers",
        {"many pipes": ("number of a new pipe", "number of a new socket", "number of a new entry of /proc")},
    ),
    *_channels("objects", {name: (name,) for name in _SAME_IPC}),
    *_channels("objects", {"terminal": ("number of a new terminal",)}),
    *_channels("objects", {"wait on a library": ("waiters on a library",)}),
    *_channels("burning", {"burn": _CPU_CLOCKS}, bits_left=_CACHES),
    *_channels("burning", {"burn": _CLOCKS}),
    *_channels("burning", {"burn": ("/proc/interrupts", "interval timer")}),
    *_channels("burning", {"burn": _WEAK_CLOCKS}, open_without_walls=False),  # the kernel may keep no such times
    *_channels("alarm", {"burn": ("alarm",)}),
    *_channels("counter of cycles", {"burn": ("time stamp counter",)}),
    *_channels("clock pages", {"burn": ("pages of the kernel's clock",)}),
    *_channels("poll", {"burn": ("time of a poll",)}),
    *_channels("lock", {"burn": ("time of a lock",)}),
    *_channels("waiting", {"wait": ("perf_counter", "timerfd", "time of a new pipe")}, bits_left=_CACHES),
    *_channels("printing", {"print": ("perf_counter",)}, bits_left=_CACHES, open_without_walls=False),
    *_channels("frequency", {"burn": ("CPU time of a loop",)}, open_under=_BOTH, open_without_walls=False),
    *_channels("caches", {"fill the caches": ("CPU time of 8 MB",)}, open_under=_BOTH, open_without_walls=False),
    *_channels(
        "first caches", {"fill the first caches": ("CPU time of 256 kB",)}, open_under=_BOTH, open_without_walls=False
    ),
]


def closed(tier: str) -> list[Channel]:
    """The channels that must not carry under `tier`."""
    kinds = {tier, WITHOUT_RIGHTS} if tier == "landlock" and os.geteuid() else {tier}
    return [channel for channel in CHANNELS if not kinds & channel.open_under]
