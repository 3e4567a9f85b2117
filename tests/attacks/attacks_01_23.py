"""Attacks on time, memory, output and the disk: lines 1 to 23 of the list.

Bounded also where nothing stops them: at most 40 processes, 600 MB and 200 files.
"""

from __future__ import annotations

import textwrap

from agt_tournament.sandbox.meter import wall_seconds
from tests.attacks.attack import Attack, Evidence
from tests.attacks.harness import BID_TIMEOUT, LOAD_TIMEOUT, MEMORY_MB, OUTPUT_KB

_AGENT = """\
import ctypes, fcntl, os, resource, select, signal, stat, sys, threading, time

libc = ctypes.CDLL(None, use_errno=True)

def tried(name, attempt):
    \"\"\"Whether `attempt` was let through; 0 and addresses are success, -1 is none, as in C.\"\"\"
    try:
        result = attempt()
    except (OSError, ValueError, AttributeError) as problem:
        print("refused:", name, problem, flush=True)
        return False
    if result == -1:
        print("refused:", name, os.strerror(ctypes.get_errno()), flush=True)
        return False
    print("REACHED", name, flush=True)
    return True

def answers():
    \"\"\"The descriptor on which the organiser hears us: the last socket that is not what is printed.\"\"\"
    printed = os.fstat(2).st_ino
    for fd in reversed(range(256)):
        try:
            status = os.fstat(fd)
        except OSError:
            continue
        if stat.S_ISSOCK(status.st_mode) and status.st_ino != printed:
            return fd

def in_child(work, seconds=20):
    \"\"\"Fork; the child works and then waits, but never returns.\"\"\"
    if os.fork():
        return
    try:
        work()
        time.sleep(seconds)
    finally:
        os._exit(0)

<<TOP>>

struck = []  # once in the life of the process

def strike():
<<STRIKE>>

def later():
<<LATER>>

class BiddingAgent:
    def __init__(self, team_id, valuation_vector, budget, items):
        self.round = 0

    def update_after_each_round(self, item_id, winning_team, price_paid):
        pass

    def bidding_function(self, item_id):
        self.round += 1
        if self.round == 5 and not struck:
            struck.append(self.round)
            strike()
        elif struck:
            later()
        return 1.0
"""
_NOTHING = frozenset({None})
_TIMEOUT = frozenset({"timeout"})
_WAITING = frozenset({None, "crash", "timeout"})
"""A wait may be refused, and come to nothing or to an error of its own."""
_THREADS = frozenset({None, "crash"})
"""A thread may be refused, which Python raises as an error."""
_MEMORY = frozenset({"memory"})


def _agent(strike: str, top: str = "", later: str = "pass") -> str:
    def body(text: str) -> str:
        return textwrap.indent(textwrap.dedent(text).strip(), "    ")

    source = _AGENT.replace("<<TOP>>", textwrap.dedent(top).strip())
    return source.replace("<<STRIKE>>", body(strike)).replace("<<LATER>>", body(later))


# --- what shows that an attack reached its end -----------------------------------------------------------


def _reached(evidence: Evidence) -> bool:
    return "REACHED" in evidence.printed


def _held_up(evidence: Evidence) -> bool:
    """The organiser waited longer than for one late answer, or could not get rid of it."""
    return evidence.seconds > wall_seconds(LOAD_TIMEOUT) + wall_seconds(BID_TIMEOUT) + 3 or bool(evidence.left)


def _left(evidence: Evidence) -> bool:
    return bool(evidence.left)


def _hit(evidence: Evidence) -> bool:
    return evidence.organiser_hit or _reached(evidence)


def _computed(evidence: Evidence) -> bool:
    return evidence.between_turns > 0.05  # of 0.1


def _remembered(evidence: Evidence) -> bool:
    """It had half as much memory again as it is allowed."""
    return evidence.most_resident > 1.5 * (MEMORY_MB << 20) or _reached(evidence)


def _flooded(evidence: Evidence) -> bool:
    return len(evidence.printed.encode()) > (OUTPUT_KB << 10) + 200 or _held_up(evidence)


def _wrote(evidence: Evidence) -> bool:
    return bool(evidence.written)


# --- CPU and time ----------------------------------------------------------------------------------------

_BUSY = [
    Attack(1, "busy loop", _agent("while True: pass"), _TIMEOUT, _held_up, long=True),
    Attack(
        1,
        "busy loop deaf to signals",
        _agent("""
        for number in range(1, 65):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
        while True: pass
        """),
        _TIMEOUT,
        _held_up,
        long=True,
    ),
    Attack(2, "sleep", _agent("time.sleep(60)"), _WAITING, _held_up, long=True),
    Attack(2, "pause", _agent("signal.pause()"), _WAITING, _held_up, long=True),
    Attack(2, "select", _agent("select.select([], [], [])"), _WAITING, _held_up, long=True),
    Attack(
        3,
        "stop itself",
        _agent('tried("SIGSTOP", lambda: os.kill(os.getpid(), signal.SIGSTOP))'),
        frozenset({None, "timeout"}),
        _held_up,
        long=True,
    ),
    Attack(
        4,
        "stop the parent",
        _agent("""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for pid in {os.getppid(), <<organiser>>} - {0, 1}:
            tried("SIGSTOP", lambda: os.kill(pid, signal.SIGSTOP))
        """),
        _NOTHING,
        _hit,
    ),
    Attack(
        5,
        "kill the parent",
        _agent("""
        pids = {os.getppid(), <<organiser>>} - {0, 1}
        for pid in pids:
            tried("SIGTERM", lambda: os.kill(pid, signal.SIGTERM))
            tried("SIGKILL", lambda: os.kill(pid, signal.SIGKILL))
        """),
        _NOTHING,
        _hit,
    ),
    Attack(
        5,
        "kill the parent by other calls",
        _agent("""
        for pid in {os.getppid(), <<organiser>>} - {0, 1}:
            tried("pidfd", lambda: signal.pidfd_send_signal(os.pidfd_open(pid), signal.SIGKILL))
            tried("tgkill", lambda: libc.syscall(234, pid, pid, signal.SIGKILL))
            tried("rt_sigqueueinfo", lambda: libc.syscall(129, pid, signal.SIGKILL, bytes(128)))
        """),
        _NOTHING,
        _hit,
    ),
    Attack(
        5,
        "kill the parent by a pipe that signals",
        _agent("""
        for pid in {os.getppid(), <<organiser>>} - {0, 1}:
            try:
                reading, writing = os.pipe()
                fcntl.fcntl(reading, fcntl.F_SETOWN, pid)
                fcntl.fcntl(reading, 10, signal.SIGKILL)  # F_SETSIG
                fcntl.fcntl(reading, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
                os.write(writing, b"x")
            except OSError as problem:
                print("refused:", problem)
        """),
        _NOTHING,
        lambda evidence: evidence.organiser_hit,
    ),
    Attack(
        5,
        "change the limits and the priority of the parent",
        _agent("""
        for pid in {os.getppid(), <<organiser>>} - {0, 1}:
            tried("prlimit", lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE, (64, 64)) and None)
            tried("setpriority", lambda: os.setpriority(os.PRIO_PROCESS, pid, 19))
            tried("sched_setscheduler", lambda: os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0)))
            tried("sched_setaffinity", lambda: os.sched_setaffinity(pid, os.sched_getaffinity(pid)))
        """),
        _NOTHING,
        _hit,
    ),
    Attack(
        6,
        "fork bomb",
        _agent("""
        def bomb(most):
            for _ in range(most):
                in_child(lambda: None)
        tried("forking", lambda: bomb(5))  # 5 + 5 * 6 = 35
        tried("forking forks", lambda: [in_child(lambda: bomb(6)) for _ in range(5)] and None)
        time.sleep(0.05)
        """),
        _NOTHING,
        _reached,
    ),
    Attack(
        6,
        "new processes by raw system calls",
        _agent("""
        def forked(call):
            pid = call()
            if pid:
                return pid
            try:
                time.sleep(20)
            finally:
                os._exit(0)
        arguments = (ctypes.c_uint64 * 11)(0, 0, 0, 0, signal.SIGCHLD)
        number = lambda *call: lambda: forked(lambda: libc.syscall(*map(ctypes.c_long, call)))
        tried("clone", number(56, signal.SIGCHLD, 0, 0, 0, 0))
        tried("clone with the memory of its parent's files", number(56, signal.SIGCHLD | 0x400, 0, 0, 0, 0))
        tried("clone into namespaces", number(56, signal.SIGCHLD | 0x10000000, 0, 0, 0, 0))
        tried("fork", number(57))
        tried("clone3", number(435, ctypes.addressof(arguments), 88))
        tried("fork of the x32 ABI", number(0x40000000 + 57))
        tried("clone with high bits", number(56 | 1 << 32, signal.SIGCHLD, 0, 0, 0, 0))
        tried("posix_spawn", lambda: os.posix_spawn("/bin/sleep", ["sleep", "20"], {}))
        """),
        frozenset({None, "crash"}),  # a number that no filter knows may end it
        _reached,
    ),
    Attack(
        6,
        "fork by the 32-bit system call",
        _agent("""
        if os.uname().machine != "x86_64":
            return
        import mmap
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(bytes.fromhex("53 b8 02 00 00 00 cd 80 5b c3"))  # push rbx; eax = fork; int 0x80; pop rbx; ret
        fork = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
        pid = fork()
        if pid == 0:
            try:
                time.sleep(20)
            finally:
                os._exit(0)
        print("REACHED" if pid > 0 else "refused", pid)
        """),
        frozenset({None, "crash"}),
        _reached,
    ),
    Attack(
        7,
        "fork into a session of its own",
        _agent("""
        def leave():
            os.setsid()
            in_child(lambda: None)
        tried("fork and setsid", lambda: in_child(leave))
        time.sleep(0.05)
        """),
        _NOTHING,
        _left,
    ),
    Attack(
        8,
        "exit and leave children",
        _agent("""
        tried("a child", lambda: in_child(lambda: None))
        tried("a child in a session of its own", lambda: in_child(os.setsid))
        time.sleep(0.05)
        os._exit(0)
        """),
        frozenset({"exit", "timeout"}),  # late, where a child keeps the pipes open
        _left,
    ),
    Attack(
        9,
        "compute in children",
        _agent("""
        def compute():
            end = time.monotonic() + 1
            while time.monotonic() < end: pass
        for _ in range(2):
            tried("a child", lambda: in_child(compute))
        """),
        _NOTHING,
        _computed,
    ),
    Attack(
        10,
        "compute in threads of C",
        _agent("""
        import hashlib
        def compute():
            while True:
                hashlib.pbkdf2_hmac("sha256", b"x", b"y", 20_000)
        for _ in range(4):
            threading.Thread(target=compute, daemon=True).start()
        """),
        _THREADS,
        _computed,
    ),
    Attack(
        10,
        "compute on all CPUs at once",
        _agent("""
        import hashlib
        reached = set()
        def compute(cpu):
            try:
                os.sched_setaffinity(0, {cpu})
            except OSError as problem:
                print("refused:", problem)
            end = time.monotonic() + 0.25
            while time.monotonic() < end:
                hashlib.pbkdf2_hmac("sha256", b"x", b"y", 2000)
                reached.add(libc.sched_getcpu())
        threads = [threading.Thread(target=compute, args=(cpu,)) for cpu in range(os.cpu_count())]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print("REACHED" if len(reached) > 1 else "refused: all but", "CPU", *reached)
        """),
        _THREADS,
        _reached,
        long=True,
    ),
    Attack(
        11,
        "a loop in C that holds the interpreter",
        _agent("import itertools\nsum(itertools.repeat(0))"),
        _TIMEOUT,
        _held_up,
        long=True,
    ),
    Attack(
        11,
        "a wait in C that holds the interpreter",
        _agent("ctypes.PyDLL(None).pause()"),
        _WAITING,
        _held_up,
        long=True,
    ),
    Attack(
        12,
        "compute between its turns",
        _agent("""
        def compute():
            while True: pass
        threading.Thread(target=compute, daemon=True).start()
        """),
        _THREADS,
        _computed,
    ),
    Attack(
        12,
        "resume itself between its turns",
        _agent("""
        def compute():
            while True:
                try: os.kill(os.getpid(), signal.SIGCONT)
                except OSError: pass
        for number in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
            signal.signal(number, signal.SIG_IGN)
        for _ in range(2):
            threading.Thread(target=compute, daemon=True).start()
        """),
        _THREADS,
        _computed,
    ),
    Attack(
        13,
        "an import that hangs",
        _agent("pass", top="time.sleep(60)"),
        _WAITING,
        _held_up,
        long=True,
    ),
    Attack(
        13,
        "an import that hangs in C",
        _agent("pass", top="ctypes.PyDLL(None).pause()"),
        _WAITING,
        _held_up,
        long=True,
    ),
]

# --- memory and output -----------------------------------------------------------------------------------

# Memory is filled over several turns, which is not late on a slow machine: 24 MB in each, 240 MB in all, of 128.

_HOARD = """
hoard = []

def grow():
    hoard.append(b"x" * (24 << 20))
    if len(hoard) == 10:
        print("REACHED 240 MB", flush=True)
"""
_MAPPING = """
libc.mmap.restype = libc.shmat.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
PART, MUCH = 24 << 20, 240 << 20
FAILED = ctypes.c_void_p(-1).value
address, filled = None, 0

def mapped(prot, flags, size=MUCH):
    global address
    address = libc.mmap(None, size, prot, flags | 0x20, -1, 0)  # MAP_ANONYMOUS
    if address == FAILED:
        address = None
        raise MemoryError(os.strerror(ctypes.get_errno()))

def grow():
    global filled
    if address is None:
        return
    ctypes.memset(address + filled, 1, PART)
    filled += PART
    if filled == MUCH:
        print("REACHED", MUCH, "bytes", flush=True)
"""

_HUNGRY = [
    Attack(14, "heap bomb", _agent("pass", top=_HOARD, later="grow()"), _MEMORY, _remembered),
    Attack(
        14,
        "heap bomb in one turn",
        _agent('hoard = [b"x" * (10 << 20) for _ in range(24)]\nprint("REACHED 240 MB", flush=True)'),
        _MEMORY,
        _remembered,
    ),
    Attack(
        14,
        "heap bomb after raising the limits",
        _agent(
            """
        for kind in (resource.RLIMIT_DATA, resource.RLIMIT_AS, resource.RLIMIT_RSS):
            for limit in ((-1, -1), (resource.getrlimit(kind)[1],) * 2):
                try: resource.setrlimit(kind, limit)
                except (OSError, ValueError) as problem: print("refused:", problem)
        """,
            top=_HOARD,
            later="grow()",
        ),
        _MEMORY,
        _remembered,
    ),
    Attack(
        15,
        "memory split over processes",
        _agent("""
        def hoard():
            global hoarded
            hoarded = b"x" * (80 << 20)
        for _ in range(3):
            tried("a child", lambda: in_child(hoard))
        time.sleep(0.2)
        """),
        _NOTHING,
        _remembered,
    ),
    Attack(
        15,
        "memory in files of dev shm",
        _agent("""
        def hoard():
            with open("/dev/shm/<<marker>>", "wb", 0) as file:
                for _ in range(4):
                    file.write(b"x" * (10 << 20))
        tried("/dev/shm", hoard)
        """),
        _NOTHING,
        _remembered,
    ),
    Attack(
        15,
        "memory in a file without a name",
        _agent(
            """
        def hoard():
            global file
            file = open(os.memfd_create("<<marker>>"), "wb", 0)
        try:
            hoard()
        except OSError as problem:
            print("refused:", problem)
        tried("memfd_secret", lambda: libc.syscall(447, 0))
        """,
            top="file = None",
            later="""
            if file:
                file.write(b"x" * (24 << 20))
                if file.tell() >= 240 << 20: print("REACHED 240 MB", flush=True)
            """,
        ),
        _NOTHING,
        _remembered,
    ),
    Attack(
        15,
        "memory in a System V segment",
        _agent(
            """
        global address
        segment = libc.shmget(0, ctypes.c_size_t(MUCH), 0o1600)  # IPC_CREAT
        if segment == -1:
            return print("refused:", os.strerror(ctypes.get_errno()))
        address = libc.shmat(segment, None, 0)
        libc.shmctl(segment, 0, None)  # gone when this process is
        if address == FAILED:
            address = None
        """,
            top=_MAPPING,
            later="grow()",
        ),
        frozenset({None, "memory"}),
        _remembered,
    ),
    Attack(
        16,
        "sparse private mapping",
        _agent(
            "mapped(3, 0x4002, 1 << 36)  # MAP_PRIVATE | MAP_NORESERVE",
            top=_MAPPING + "\nturn = 0\n",
            later="""
            global turn
            if address is None:
                return
            for page in range(turn * 6000, (turn + 1) * 6000):
                ctypes.memset(address + (page << 19), 1, 1)
            turn += 1
            if turn == 10:
                print("REACHED 60,000 pages", flush=True)
            """,
        ),
        _MEMORY,
        _remembered,
    ),
    Attack(16, "shared mapping", _agent("mapped(3, 1)", top=_MAPPING, later="grow()"), _MEMORY, _remembered),
    Attack(
        16,
        "shared mapping a little in each turn",  # too little to be noticed, and on it goes in the next game
        _agent("mapped(3, 1)", top=_MAPPING.replace("24 << 20", "6 << 20"), later="if filled < MUCH: grow()"),
        _MEMORY,
        _remembered,
        games=3,
    ),
    Attack(
        16,
        "mapping that grows down like a stack",
        _agent("mapped(3, 0x102)", top=_MAPPING, later="grow()"),
        _MEMORY,
        _remembered,
    ),
    Attack(
        16,
        "read-only mapping that is written through proc",
        _agent(
            """
        global file
        mapped(1, 2)  # PROT_READ, MAP_PRIVATE
        try:
            file = os.open("/proc/self/mem", os.O_RDWR)
        except OSError as problem:
            print("refused:", problem)
        """,
            top=_MAPPING + "\nfile = None\n",
            later="""
            global filled
            if file is not None and filled < MUCH:
                os.lseek(file, address + filled, os.SEEK_SET)
                filled += os.write(file, b"x" * PART)
                if filled >= MUCH: print("REACHED", filled, "bytes", flush=True)
            """,
        ),
        frozenset({None, "memory"}),
        _remembered,
    ),
    Attack(
        17,
        "flood without end",
        _agent('while True: os.write(1, b"x" * 65536); os.write(2, b"y" * 65536)'),
        frozenset({"timeout", "output"}),
        _flooded,
        long=True,
    ),
    Attack(
        17,
        "flood in every turn",
        _agent("flood()", top='def flood():\n    for _ in range(16): os.write(1, b"x" * 65536)', later="flood()"),
        frozenset({None, "output"}),
        _flooded,
    ),
    Attack(
        18,
        "slow output",
        _agent('while True: os.write(1, b"x"); os.write(2, b"y"); time.sleep(0.005)'),
        frozenset({"timeout", "output"}),
        _held_up,
        long=True,
    ),
    Attack(
        18,
        "an answer byte by byte",
        _agent("""
        channel = answers()
        for _ in range(600):
            os.write(channel, b"\\x01")
            time.sleep(0.1)
        """),
        frozenset({"timeout", "protocol"}),
        _held_up,
        long=True,
    ),
    Attack(
        19,
        "an error of 200 kB",
        _agent('raise ValueError("x" * 200_000)'),
        frozenset({"crash"}),
        _held_up,
    ),
    Attack(
        19,
        "200 kB in place of an answer",
        _agent('os.write(answers(), b"\\x20" * 200_000)'),
        frozenset({"protocol"}),
        _held_up,
    ),
    Attack(
        20,
        "fill the disk with a file",
        _agent("""
        for folder in (".", "<<scratch>>", "/tmp", "/var/tmp", "/dev/shm"):
            def fill():
                with open(folder + "/<<marker>>", "wb", 0) as file:
                    for _ in range(8):
                        file.write(b"x" * (1 << 20))
            tried(folder, fill)
        """),
        _NOTHING,
        _wrote,
    ),
    Attack(
        20,
        "many small files",
        _agent("""
        for folder in (".", "<<scratch>>", "/tmp"):
            def fill():
                for number in range(60):
                    with open(f"{folder}/<<marker>>-{number}", "w") as file:
                        file.write("x")
            tried(folder, fill)
        """),
        _NOTHING,
        _wrote,
    ),
    Attack(
        20,
        "empty files that hold memory",  # a kilobyte each, which no limit of the process counts
        _agent("""
        for folder in (".", "<<scratch>>", "/tmp", "/dev/shm", "/dev", "/"):
            def fill():
                for number in range(20):
                    os.close(os.open(f"{folder}/<<marker>>-{number}", os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            tried(folder, fill)
            tried(folder + " without a name", lambda: os.close(os.open(folder, os.O_WRONLY | os.O_TMPFILE)))
        """),
        _NOTHING,
        _reached,
    ),
    Attack(
        20,
        "links that hold memory",
        _agent("""
        for folder in (".", "<<scratch>>", "/tmp", "/dev/shm", "/dev", "/", "/proc/self", os.path.expanduser("~")):
            def fill():
                for number in range(20):
                    os.symlink("x" * 4000, f"{folder}/<<marker>>-{number}")
            tried(folder, fill)
        """),
        _NOTHING,
        _reached,
    ),
    Attack(
        21,
        "read dev urandom without end",
        _agent("""
        with open("/dev/urandom", "rb", 0) as file:
            while True: file.read(1 << 20)
        """),
        frozenset({"timeout", "crash"}),
        _held_up,
        long=True,
    ),
    Attack(
        21,
        "random bytes without end",
        _agent("while True: os.urandom(1 << 20)"),
        _TIMEOUT,
        _held_up,
        long=True,
    ),
    Attack(
        21,
        "read dev zero into memory",
        _agent("""
        data = bytearray()
        with open("/dev/zero", "rb", 0) as file:
            while len(data) < 240 << 20:
                data += file.read(10 << 20)
        print("REACHED 240 MB", flush=True)
        """),
        frozenset({"memory", "crash"}),
        _remembered,
    ),
]

# --- files -----------------------------------------------------------------------------------------------

_SEGMENT = """
import zlib
key = zlib.crc32(b"<<marker>>") & 0x7fffffff
libc.shmat.restype = ctypes.c_void_p
"""

_WRITING = [
    Attack(
        22,
        "write the working and system folders",
        _agent("""
        places = [".", "<<rival_folder>>", "<<run_dir>>", "<<scratch>>", "/etc", "/usr/lib", "/root", "/run", "/"]
        for folder in (*places, sys.prefix + "/lib"):
            tried(folder, lambda: os.close(os.open(folder + "/<<marker>>", os.O_WRONLY | os.O_CREAT | os.O_EXCL)))
        for file in ("bidding_agent.py", "<<rival_folder>>/bidding_agent.py", "<<run_dir>>/config.yaml"):
            tried(file, lambda: os.close(os.open(file, os.O_WRONLY | os.O_APPEND)))
            tried("times of " + file, lambda: os.utime(file, (1, 1)))
            tried("rights of " + file, lambda: os.chmod(file, 0o644))
            tried("name of " + file, lambda: os.rename(file, file + ".bak") or os.rename(file + ".bak", file))
            tried("link to " + file, lambda: os.link(file, file + ".link"))
        """),
        _NOTHING,
        lambda evidence: _wrote(evidence) or _reached(evidence),
    ),
    Attack(
        22,
        "overwrite and remove its own code",
        _agent("""
        tried("truncating", lambda: os.truncate("bidding_agent.py", 0))
        tried("removing", lambda: os.unlink("bidding_agent.py"))
        tried("renaming its folder", lambda: os.rename(os.getcwd(), os.getcwd() + "-<<marker>>"))
        """),
        _NOTHING,
        lambda evidence: _wrote(evidence) or _reached(evidence),
    ),
    Attack(
        23,
        "persist in tmp or dev shm",
        _agent(
            """
        for folder in FOLDERS:
            try:
                with open(folder + "/<<marker>>", "x"): pass
            except OSError as problem:
                print("refused:", problem)
        os._exit(3)
        """,
            top="""
        FOLDERS = ("/tmp", "/var/tmp", "/dev/shm", "/run", ".")
        found = [folder for folder in FOLDERS if os.path.exists(folder + "/<<marker>>")]
        if found:
            print("REACHED", found, flush=True)
        """,
        ),
        frozenset({"exit"}),
        lambda evidence: _wrote(evidence) or _reached(evidence),
        games=2,
    ),
    Attack(
        23,
        "persist in a System V segment",
        _agent(
            """
        print("segment", libc.shmget(key, ctypes.c_size_t(4096), 0o1600))
        os._exit(3)
        """,
            top=_SEGMENT
            + """
if libc.shmget(key, ctypes.c_size_t(4096), 0) != -1:
    print("REACHED what is left of the last game", flush=True)
    libc.shmctl(libc.shmget(key, ctypes.c_size_t(4096), 0), 0, None)
""",
        ),
        frozenset({"exit"}),
        _reached,
        games=2,
    ),
]

ATTACKS = [*_BUSY, *_HUNGRY, *_WRITING]
