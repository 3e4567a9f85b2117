"""Lines 54–65 of the list of attacks: kernel settings, the load of others, accomplices, budgets, and what is played.

Lines 57 to 60 are about two agents; `pairs` measures what a pair can tell. Here one agent merely attempts each
operation, so that it is named which of them the walls let through. Kernel settings are opened, and one of them is
written with the value that was read from it.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from importlib._bootstrap_external import _code_to_hash_pyc  # type: ignore[attr-defined]
from textwrap import dedent, indent

from agt_tournament.tournament.agent_manager import DEFAULT_LIMITS
from tests.attacks.attack import Attack, Evidence
from tests.attacks.harness import MEMORY_MB

_AGENT = '''\
import ctypes, fcntl, mmap, os, signal, struct, sys, threading, time
from base_agent import BiddingAgent as Base

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
ARM = os.uname().machine == "aarch64"
LIBRARY = os.path.join(os.path.dirname(os.__file__), "statistics.py")


def reached(*what):
    print("REACHED", *what, flush=True)


def tried(name, work):
    """What `work` returns, or None if it was refused; C functions return -1 then."""
    ctypes.set_errno(0)
    try:
        result = work()
    except (OSError, ValueError, RuntimeError, AttributeError) as problem:
        return print("refused:", name, problem, flush=True)
    if result == -1:
        return print("refused:", name, os.strerror(ctypes.get_errno()), flush=True)
    return 0 if result is None else result


def done(name, work):
    if tried(name, work) is not None:
        reached(name)


def burn(seconds):
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        sum(range(1000))

<<TOP>>


class BiddingAgent(Base):
    turn = 0

    def __init__(self, *given):
        super().__init__(*given)
<<CONSTRUCT>>

    def bidding_function(self, item_id):
        self.turn += 1
<<BID>>
        return 1.0

    def update_after_each_round(self, item_id, winning_team, price_paid):
<<HEAR>>
'''

_QUIET: frozenset[str | None] = frozenset({None})
_STORED_BYTES = 64 << 10
"""Most that a game with an attacker may take on the disk."""


def _agent(strike: str = "pass", *, top: str = "", construct: str = "pass", bid: str = "", hear: str = "pass") -> str:
    """The source of an agent that does `strike` in its fifth round, or `bid` in every one."""

    def body(text: str) -> str:
        return indent(dedent(text).strip(), " " * 8)

    bid = bid or "if self.turn == 5:\n" + indent(dedent(strike).strip(), " " * 4)
    parts = {"TOP": dedent(top).strip(), "CONSTRUCT": body(construct), "BID": body(bid), "HEAR": body(hear)}
    source = _AGENT
    for name, text in parts.items():
        source = source.replace(f"<<{name}>>", text)
    return source


def _reached(evidence: Evidence) -> bool:
    return "REACHED" in evidence.printed


def _hurt_rivals(evidence: Evidence) -> bool:
    return bool(evidence.rivals_failed)


def _remembered(evidence: Evidence) -> bool:
    return evidence.most_resident > 1.5 * (MEMORY_MB << 20) or _reached(evidence)


def _stored(evidence: Evidence) -> bool:
    return evidence.stored_bytes > _STORED_BYTES


def _runs_differ(evidence: Evidence) -> bool:
    return len(set(evidence.bids)) > 1


# --- the kernel and the machine --------------------------------------------------------------------------

_SETTINGS = """
TREES = ("/proc/sys", "/sys/kernel/mm", "/sys/module", "/sys/fs", "/sys/block", "/sys/devices/system/cpu")
OTHERS = ("/proc/sysrq-trigger", "/proc/self/oom_score_adj", "/proc/irq/default_smp_affinity")

def settings():
    yield from OTHERS
    for tree in TREES:
        for folder, _, names in os.walk(tree):
            yield from (os.path.join(folder, name) for name in sorted(names)[:200])

def opened(limit=3000):
    found = []
    for path, _ in zip(settings(), range(limit)):
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            continue
        found.append(path)
    return found

def written(path):
    with open(path) as file:
        value = file.read()
    with open(path, "w") as file:
        file.write(value)
"""

_THREADS = """
CODE = "b8380000 0031d24d 31d24d31 c00f0548 85c07401 c3b82200 00000f05 f390ebf5"
'''clone(rdi, rsi); whoever is the new thread waits in pause for ever.'''

def threads(most):
    "How many threads of the smallest stacks could be started."
    if ARM:
        threading.stack_size(1 << 15)
        count = 0
        try:
            for count in range(most):
                threading.Thread(target=threading.Event().wait, daemon=True).start()
        except RuntimeError as problem:
            print("refused:", problem, flush=True)
        return count
    page = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(bytes.fromhex(CODE))
    clone = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_long, ctypes.c_long)(address(page))
    stacks = mmap.mmap(-1, most << 10, mmap.MAP_PRIVATE)
    for count in range(most):
        result = clone(0x50F00, address(stacks) + (count + 1 << 10))  # memory, files, signal handlers, thread
        if result < 0:
            print("refused:", os.strerror(-result), flush=True)
            return count
    kept.extend((page, stacks))
    return most

def address(buffer):
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))

kept = []
"""

_MACHINE = [
    Attack(
        54,
        "kernel settings",
        _agent(
            """
            if found := opened():
                reached(len(found), "settings could be opened for writing:", *found[:5])
            done("a setting was written", lambda: written("/proc/sys/vm/stat_interval"))
            """,
            top=_SETTINGS,
        ),
        _QUIET,
        _reached,
    ),
    Attack(
        55,
        "burn while others load",
        _agent(
            top="""
            import hashlib
            threading.stack_size(1 << 16)

            def hash_on():
                burning = time.perf_counter() + 3.1
                while time.perf_counter() < burning:
                    hashlib.pbkdf2_hmac("sha256", b"x", b"y", 2000)

            def start():
                for thread in (threading.Thread(target=hash_on, daemon=True) for _ in range(60)):
                    thread.start()

            tried("threads", start)
            burn(3)
            """
        ),
        frozenset({None, "timeout"}),
        _hurt_rivals,
        long=True,
        limits={"load_timeout_seconds": 4.5},
        rivals_import="scipy.linalg",
        rivals_load_seconds=3.0,
    ),
    Attack(
        56,
        "threads without bound",
        _agent("if (started := threads(2000)) > 64: reached(started, 'threads')", top=_THREADS),
        frozenset({None, "crash", "memory"}),
        _reached,
    ),
]

# --- telling an accomplice -------------------------------------------------------------------------------

_TELLING = [
    Attack(
        57,
        "locks on a library",
        _agent("""
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        file = self.kept = open(LIBRARY)
        done("flock", lambda: fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB))
        lock = struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, 0, 1, 0)
        for name, command in {"a record lock": fcntl.F_SETLK, "the sight of a lock": fcntl.F_GETLK}.items():
            done(name, lambda: fcntl.fcntl(file, command, lock))
        for name, command in {"a lock of the file": 37, "the sight of a lock of the file": 36}.items():
            done(name, lambda: fcntl.fcntl(file, command, lock))
        done("a lease", lambda: fcntl.fcntl(file, 1024, fcntl.F_RDLCK))  # F_SETLEASE
        done("a notice", lambda: fcntl.fcntl(os.open(os.path.dirname(LIBRARY), os.O_RDONLY), 1026, 1))  # F_NOTIFY
        """),
        _QUIET,
        _reached,
    ),
    Attack(
        58,
        "page residency of a library",
        _agent("""
        file = open(LIBRARY, "rb")
        pages = mmap.mmap(file.fileno(), 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
        place = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(pages)))
        said = ctypes.create_string_buffer(b"\\xaa" * 64)
        tried("mincore", lambda: libc.mincore(place, ctypes.c_size_t(4096), said))
        if said.raw[:1] != b"\\xaa":
            reached("mincore")
        whole, counts = (ctypes.c_uint64 * 2)(0, 4096), (ctypes.c_uint64 * 5)(*[1 << 60] * 5)
        tried("cachestat", lambda: libc.syscall(451, file.fileno(), whole, counts, 0))
        if counts[0] != 1 << 60:
            reached("cachestat")
        piece = (ctypes.c_uint64 * 2)(ctypes.addressof(said), 16)
        done("preadv2 with RWF_NOWAIT", lambda: libc.syscall(286 if ARM else 327, file.fileno(), piece, 1, 0, 0, 8))
        if tried("madvise", lambda: libc.madvise(place, ctypes.c_size_t(4096), 21)) == 0:  # MADV_PAGEOUT
            reached("MADV_PAGEOUT")
        """),
        _QUIET,
        _reached,
    ),
    Attack(
        59,
        "counters of the machine",
        _agent("""
        for name in ("loadavg", "stat", "meminfo", "vmstat", "uptime", "locks", "interrupts", "softirqs", "schedstat",
                     "sys/fs/file-nr", "sys/kernel/ns_last_pid", "sys/kernel/random/entropy_avail", "net/dev",
                     "net/sockstat", "net/unix", "pressure/cpu", "zoneinfo", "buddyinfo", "diskstats", "key-users"):
            done(name, lambda: open("/proc/" + name).read())
        facts = (ctypes.c_uint64 * 32)()
        tried("sysinfo", lambda: libc.sysinfo(facts))
        if any(facts):
            reached("sysinfo")
        for name in ("cpufreq/scaling_cur_freq", "cpuidle/state0/usage"):
            done(name, lambda: open("/sys/devices/system/cpu/cpu0/" + name).read())
        """),
        _QUIET,
        _reached,
    ),
    Attack(
        60,
        "numbers of threads and processes",
        _agent("""
        numbers = []
        thread = threading.Thread(target=lambda: numbers.append(threading.get_native_id()))
        tried("a thread", thread.start)
        time.sleep(0.05)
        if numbers:
            reached("the number of a new thread", *numbers)
        done("the processes", lambda: os.listdir("/proc"))
        for name in ("getpgid", "getsid"):
            done(name + " of another", lambda: getattr(os, name)(<<organiser>>))
        done("the rank of another", lambda: os.getpriority(os.PRIO_PROCESS, <<organiser>>))
        done("the CPUs of another", lambda: os.sched_getaffinity(<<organiser>>))
        clock, used = ctypes.c_long(~<<organiser>> << 3 | 2), (ctypes.c_uint64 * 2)()
        done("the clock of another", lambda: libc.syscall(ctypes.c_long(113 if ARM else 228), clock, used))
        """),
        _QUIET,
        _reached,
    ),
]

# --- budgets ---------------------------------------------------------------------------------------------

_BUDGETS = [
    Attack(
        61,
        "control characters printed and raised",
        _agent(bid='os.write(2, b"\\x1b[2J\\x07" * 4000)\nraise ValueError("\\x1b\\x07\\u202e" * 4000)'),
        frozenset({"crash", "output"}),
        _stored,
        limits={"output_limit_kb": DEFAULT_LIMITS.output_limit_kb},
    ),
    Attack(
        61,
        "control characters of four bytes",
        _agent(bid='print("\\U000e0001" * 4000)\nraise ValueError("\\U000e0001" * 4000)'),
        frozenset({"crash", "output"}),
        _stored,
        limits={"output_limit_kb": DEFAULT_LIMITS.output_limit_kb},
    ),
    Attack(
        62,
        "slow in every method and legal in each",
        _agent(
            top="burn(0.5)",
            construct="burn(0.5)",
            bid="burn(0.3)\nif self.turn == 15: reached('a game of', 0.3 * 15, 'seconds')",
        ),
        frozenset({"timeout"}),
        _reached,
        long=True,
        limits={"game_timeout_seconds": 2.0},
    ),
    Attack(
        63,
        "memory while printing",
        _agent(
            """
            for part in range(60):
                os.write(2, b"x" * 8192)
                grow(4 << 20)
            reached("240 MB")
            """,
            top="""
            kept, file = [], tried("its memory", lambda: os.open("/proc/self/mem", os.O_RDWR))

            def grow(size):
                try:
                    kept.append(mmap.mmap(-1, size))  # shared: no limit of the process counts it
                    kept[-1].write(b"x" * size)
                except (OSError, ValueError):
                    kept.append(mmap.mmap(-1, size, mmap.MAP_PRIVATE, mmap.PROT_READ))
                    place = libc.mmap(None, ctypes.c_size_t(size), 1, 0x22, -1, ctypes.c_long(0))
                    os.lseek(file, place, os.SEEK_SET)
                    os.write(file, b"x" * size)

            libc.mmap.restype = ctypes.c_void_p
            """,
        ),
        frozenset({"memory", "crash", "output"}),
        _remembered,
    ),
]

# --- what plays ------------------------------------------------------------------------------------------

_FILE = _agent()
_OTHER = _agent(bid="reached('another file plays')\nreturn 2.0")


def _compiled() -> bytes:
    """Bytecode of `_OTHER` that Python takes without a look at the source beside it."""
    code = compile(_OTHER, "bidding_agent.py", "exec")
    return bytes(_code_to_hash_pyc(code, importlib.util.source_hash(_OTHER.encode()), False))


_CACHE = f"__pycache__/bidding_agent.{sys.implementation.cache_tag}.pyc"


def _shadowed(evidence: Evidence) -> bool:
    """Whether anything but the file bid; what shadows the file may also keep it from loading."""
    return _reached(evidence) or any(bid != 1.0 for game in evidence.bids for bid in game)


def _shadows(name: str, files: Mapping[str, bytes]) -> Attack:
    return Attack(64, name, _FILE, _QUIET, _shadowed, files=files)


_SHADOWS = [
    _shadows("a folder beside the file", {"bidding_agent/__init__.py": _OTHER.encode()}),
    _shadows("bytecode beside the file", {_CACHE: _compiled()}),
    _shadows("a library beside the file", {"bidding_agent.abi3.so": b"\x7fELF"}),
]

# --- chance ----------------------------------------------------------------------------------------------

_CHANCE = [
    Attack(
        65,
        "reseeded modules",
        _agent(
            top="import random, numpy as np",
            bid="""
            random.seed()
            np.random.seed()
            others = np.random.default_rng().random() + random.Random().random()
            return 1 + random.random() + np.random.random() + others
            """,
        ),
        _QUIET,
        _runs_differ,
        runs=2,
    ),
    Attack(
        65,
        "random bytes of the kernel",
        _agent(
            top="import random, secrets, uuid",
            bid="""
            numbers = [os.urandom(4), secrets.token_bytes(4), uuid.uuid4().bytes, random.SystemRandom().randbytes(4)]
            return 1 + sum(b"".join(numbers)) / 1000
            """,
        ),
        _QUIET,
        _runs_differ,
        runs=2,
    ),
]

ATTACKS: list[Attack] = [*_MACHINE, *_TELLING, *_BUDGETS, *_SHADOWS, *_CHANCE]
