"""The system calls that the probe makes: every number there is, and the arguments that a filter may tell apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Step = dict[str, Any]
"""One call, or one for each value of an argument: family, label, way, number, arguments; varies and values."""

_LAST = 1023
_X32, _LAST_X32 = 0x40000000, 600
_32_BIT = (20, 3, 5, 102, 359)  # getpid, read, open, socketcall, socket of i386
_ALL_INVALID = [-1] * 6
_INVALID = {
    "msgget": [1, 0],  # -1 would create a queue
    "modify_ldt": [0, 0, 0],
    "uretprobe": [],
}
"""Harmless arguments of calls for which -1 is not harmless, or tells nothing."""

BLOCKING = ("pause",)
"""Calls that never return, whatever their arguments."""


def system_call_name(number: int) -> str:
    """Return the name that libseccomp knows, or ``number N``."""
    import pyseccomp

    try:
        name = pyseccomp.resolve_syscall(pyseccomp.system_arch(), number)
    except ValueError:
        return f"number {number}"
    return name.decode() if isinstance(name, bytes) else str(name)


def all_steps() -> list[Step]:
    """Return every number, each argument that a filter may look at, and the entries of other architectures."""
    return [*numbers(range(_LAST + 1)), *_by_argument(), *_other_entries()]


def numbers(chosen: range) -> list[Step]:
    """Return a step for each number."""
    named = ((number, system_call_name(number)) for number in chosen)
    return [_step(name, name, number, _INVALID.get(name, _ALL_INVALID)) for number, name in named]


def _step(family: str, label: str, number: int, arguments: list[int], way: str = "syscall") -> Step:
    return {"family": family, "label": label, "way": way, "number": number, "arguments": arguments}


def _by_argument() -> Iterator[Step]:
    """Yield calls that depend on one argument; the other arguments make each of them fail."""
    yield _varied("ioctl", [-1, 0, 0], 1, {"range": [0, 1 << 16]})
    yield _varied("fcntl", [-1, 0, 0], 1, {"range": [0, 2048]})
    yield _varied("prctl", [0, -1, -1, -1, -1], 0, [*range(128), 0x53564D41, 0x59616D61])
    yield _varied("madvise", [0, 0, 0], 2, {"range": [0, 200]})
    yield _varied("clock_gettime", [0, 0], 0, {"range": [0, 16]})
    yield _varied("clock_getres", [0, -1], 0, {"range": [0, 16]})
    yield _varied("socket", [0, -1, 0], 0, {"range": [0, 64]})
    yield _varied("prlimit64", [0, -1, 0, -1], 2, {"reading": 0, "setting": -1})
    yield _varied("futex", [0, 0, 0, 0, 0, 0], 1, {"range": [0, 512]})
    for name in ("exit", "exit_group"):
        yield _varied(name, [0], 0, {"as by a signal": 0x89, "itself": 1})
    yield _varied(
        "rt_sigaction", [0, 0, 0, 0], 0, {"SIGSEGV": 11, "SIGSEGV in a wider number": 1 << 32 | 11, "other": 10}
    )
    for name, rest in (("getpgid", []), ("getsid", []), ("sched_getaffinity", [0, 0])):
        yield _varied(name, [0, *rest], 0, {"itself": 0, "another": 1})
    invalid = {"thread": 0x10000, "process": 0x800, "namespace": 0x20200}  # flags that the kernel refuses together
    yield _varied("clone", [0, 0, 0, 0, 0], 0, invalid)
    flags = {"private": 0x22, "shared": 0x21, "growing": 0x122, "locked": 0x2022, "populated": 0x8022, "huge": 0x40022}
    flags |= {"validated": 0x23, "droppable": 0x28}
    yield _varied("mmap", [0, 0, 0, 0, -1, 0], 3, flags)
    yield _varied("mmap", [0, 0, 0, 0x22, -1, 0], 2, {"executable": 4})
    yield _varied("mprotect", [0, 0, 0], 2, {"readable": 1, "executable": 4, "growing": 0x01000000})


def _varied(name: str, arguments: list[int], place: int, values: Any) -> Step:
    """Return a step for `name` with each of `values` at `place`: a list, ``{"range": [first, end]}``, or by meaning."""
    import pyseccomp

    number = pyseccomp.resolve_syscall(pyseccomp.system_arch(), name)
    return {**_step(name, name, number, arguments), "varies": place, "values": values}


def _other_entries() -> Iterator[Step]:
    """Yield the x32 and 32-bit entries of x86-64, and the processor's clock; one death ends a family."""
    import platform

    if platform.machine() != "x86_64":
        return
    for number in (39, *range(_LAST_X32 + 1)):
        yield _step("x32", f"x32 {number}", _X32 + number, _ALL_INVALID)
    for number in _32_BIT:
        yield _step("32-bit", f"32-bit {number}", number, [], "int80")
    yield _step("rdtsc", "rdtsc", 0, [], "rdtsc")
