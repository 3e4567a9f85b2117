"""Which system calls an agent may make: those that Python, numpy and scipy compute with, and nothing else.

An allow-list: a call that a later kernel adds is refused before anyone has heard of it. libseccomp compiles it.
"""

from __future__ import annotations

import errno
import tempfile
from functools import cache

_MEMORY = "brk mprotect munmap mremap madvise mincore msync membarrier"
_FILES = (
    "open openat close close_range read readv pread64 preadv write writev lseek stat lstat fstat newfstatat statx "
    "access faccessat faccessat2 readlink readlinkat getdents64 getcwd chdir fchdir dup dup2 dup3 flock fadvise64 "
    "statfs fstatfs umask pipe pipe2 eventfd2 epoll_create1 epoll_ctl epoll_wait epoll_pwait poll ppoll select pselect6"
)
_TIME = (
    "clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times getrusage getitimer setitimer alarm "
    "pause restart_syscall timerfd_create timerfd_settime timerfd_gettime"
)
_THREADS = (
    "futex futex_waitv set_robust_list get_robust_list set_tid_address rseq sched_yield sched_getaffinity gettid exit "
    "exit_group getcpu"
)
_SIGNALS = "rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait sigaltstack"
_SELF = "getpid getppid getpgrp getpgid getsid getuid geteuid getgid getegid getgroups uname sysinfo getrandom"
_SET_UP = "arch_prctl getrlimit"
ALLOWED = tuple(" ".join((_MEMORY, _FILES, _TIME, _THREADS, _SIGNALS, _SELF, _SET_UP)).split())

_CLONE_THREAD = 0x10000
_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
_FCNTLS = (0, 1, 2, 3, 4, 5, 6, 7, 1030)  # descriptors, flags and locks; not F_SETOWN and F_SETSIG, which send signals
_SHARED_OR_GROWING = 0x101  # of mmap: MAP_SHARED and MAP_GROWSDOWN are in no limit but that of addresses
_PRCTLS = (15, 16, 0x53564D41)  # PR_SET_NAME, PR_GET_NAME, PR_SET_VMA


@cache
def compiled() -> bytes:
    """The filter as a BPF program; raises `OSError` or `ImportError` where libseccomp is not there."""
    import pyseccomp as seccomp

    policy = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
    for name in ALLOWED:
        if seccomp.resolve_syscall(seccomp.system_arch(), name) >= 0:  # an architecture may lack the older of two calls
            policy.add_rule(seccomp.ALLOW, name)
    argument = seccomp.Arg
    policy.add_rule(seccomp.ALLOW, "clone", argument(0, seccomp.MASKED_EQ, _CLONE_THREAD, _CLONE_THREAD))
    policy.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")  # its flags lie in memory: glibc falls back to clone
    for command in _IOCTLS:
        policy.add_rule(seccomp.ALLOW, "ioctl", argument(1, seccomp.EQ, command))
    for command in _FCNTLS:
        policy.add_rule(seccomp.ALLOW, "fcntl", argument(1, seccomp.EQ, command))
    policy.add_rule(seccomp.ALLOW, "mmap", argument(3, seccomp.MASKED_EQ, _SHARED_OR_GROWING, 0))
    for option in _PRCTLS:
        policy.add_rule(seccomp.ALLOW, "prctl", argument(0, seccomp.EQ, option))
    policy.add_rule(
        seccomp.ALLOW, "prlimit64", argument(0, seccomp.EQ, 0), argument(2, seccomp.EQ, 0)
    )  # reading its own
    policy.add_rule(seccomp.ALLOW, "getrlimit")
    with tempfile.TemporaryFile() as file:
        policy.export_bpf(file)
        file.seek(0)
        return file.read()
