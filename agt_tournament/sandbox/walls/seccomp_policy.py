"""Which system calls an agent may make: those that Python, numpy and scipy compute with, and nothing else.

An allow-list: a call that a later kernel adds is refused before anyone has heard of it. Neither is there a call that
waits for a time, tells one, or shows what other processes do: an agent learns of its rivals by prices alone. libseccomp
compiles the filter.
"""

from __future__ import annotations

import errno
import signal
import tempfile
from functools import cache
from typing import Any

_MEMORY = "brk mprotect munmap"
_FILES = (
    "open openat close close_range read readv pread64 preadv write writev lseek stat lstat fstat newfstatat statx "
    "access faccessat faccessat2 getdents64 getcwd chdir fchdir dup dup2 dup3 umask"
)
_SIGNALS = "rt_sigprocmask rt_sigreturn rt_sigpending sigaltstack restart_syscall"
_SELF = "getpid getppid gettid getpgrp getuid geteuid getgid getegid getgroups uname getrandom getrlimit"
ALLOWED = tuple(" ".join((_MEMORY, _FILES, _SIGNALS, _SELF)).split())

_CPU_CLOCKS = (2, 3)  # of the process and of the thread
_SLEEPS = ("nanosleep", "clock_nanosleep")
_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
_FCNTLS = (0, 1, 2, 3, 4, 1030)  # descriptors and flags; no locks and leases, and nothing that sends signals
_ADVICE = (4, 8, 14, 15)  # of madvise: DONTNEED, FREE, HUGEPAGE, NOHUGEPAGE; none that moves pages of files
_PRIVATE, _MAPPINGS = 0x2, 0x4810F
"""MAP_PRIVATE, and the flags of mmap among which it has to be the only one. Mappings that are shared, that grow or that
consist of huge pages are in no limit; MAP_POPULATE takes long at once."""
_PRCTLS = (15, 16, 0x53564D41)  # PR_SET_NAME, PR_GET_NAME, PR_SET_VMA
_FUTEX_COMMAND, _FUTEX_WAITS, _FUTEX_PRIVATE_WAKES = 0x7F, (0, 9), (0x81, 0x8A)
"""FUTEX_WAIT and WAIT_BITSET with or without FUTEX_PRIVATE_FLAG; WAKE and WAKE_BITSET with it: without it a futex may
lie in a file that all agents map."""
_NUMBERS_OF_SIGNALS = 0x7F
_LOWER_HALF = 0xFFFFFFFF  # of a register: the kernel reads no more of an int, whatever is above


@cache
def compiled(*, clocks: bool = False) -> bytes:
    """Compile the filter to a BPF program.

    Args:
        clocks: Also allow calls that tell the time, for a process whose clocks could not be hidden (`clock.hide`).

    Raises:
        OSError, ImportError: libseccomp is not there.
    """
    import pyseccomp as seccomp

    policy = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))

    def allow(name: str, *arguments: Any, answer: Any = seccomp.ALLOW) -> None:
        if seccomp.resolve_syscall(seccomp.system_arch(), name) >= 0:  # an architecture may lack the older of two calls
            policy.add_rule(answer, name, *arguments)

    def is_(place: int, value: int) -> Any:
        return seccomp.Arg(place, seccomp.EQ, value)

    for name in (*ALLOWED, *(("clock_gettime", "clock_getres", "gettimeofday", "time") if clocks else ())):
        allow(name)
    allow("clone3", answer=seccomp.ERRNO(errno.ENOSYS))  # glibc falls back to clone, whose refusal it understands
    for name in _SLEEPS:
        allow(name, answer=seccomp.ERRNO(0))  # nothing to wait for: it returns at once
    if not clocks:
        for clock in _CPU_CLOCKS:
            allow("clock_gettime", is_(0, clock))
            allow("clock_getres", is_(0, clock))
    for bit in (1 << place for place in range(_NUMBERS_OF_SIGNALS.bit_length())):  # it differs from SIGSEGV in one
        other = seccomp.Arg(0, seccomp.MASKED_EQ, _LOWER_HALF & ~_NUMBERS_OF_SIGNALS | bit, ~signal.SIGSEGV & bit)
        allow("rt_sigaction", other)
    is_sigsegv = seccomp.Arg(0, seccomp.MASKED_EQ, _LOWER_HALF, signal.SIGSEGV)
    allow("rt_sigaction", is_sigsegv, answer=seccomp.ERRNO(0))  # `clock` needs its handler
    for command in _IOCTLS:
        allow("ioctl", is_(1, command))
    for command in _FCNTLS:
        allow("fcntl", is_(1, command))
    for advice in _ADVICE:
        allow("madvise", is_(2, advice))
    allow("mmap", seccomp.Arg(3, seccomp.MASKED_EQ, _MAPPINGS, _PRIVATE))
    for option in _PRCTLS:
        allow("prctl", is_(0, option))
    for name in ("getpgid", "getsid", "sched_getaffinity"):
        allow(name, is_(0, 0))  # of itself
    allow("prlimit64", is_(0, 0), is_(2, 0))  # reading its own
    for command in _FUTEX_PRIVATE_WAKES:
        allow("futex", is_(1, command))
    for command in _FUTEX_WAITS:  # there is no other thread that could wake it: it waits for nothing, or is over
        waits = seccomp.Arg(1, seccomp.MASKED_EQ, _FUTEX_COMMAND, command)
        allow("futex", waits, is_(3, 0), answer=seccomp.ERRNO(errno.EAGAIN))
        allow("futex", waits, seccomp.Arg(3, seccomp.NE, 0), answer=seccomp.ERRNO(errno.ETIMEDOUT))
    for name in ("exit", "exit_group"):  # a status above 127 says that a signal ended the process
        allow(name, seccomp.Arg(0, seccomp.MASKED_EQ, 0x80, 0))
    with tempfile.TemporaryFile() as file:
        policy.export_bpf(file)
        file.seek(0)
        return file.read()
