"""An agent that makes every system call that it is told of, once, and prints which were let through.

It says before each step which one begins, so that the end of its process names the step that ended it. A refusal is
EPERM, as the filter gives it; a call that the kernel lacks is ENOSYS.
"""

import ctypes
import errno
import importlib
import mmap
import os
from collections.abc import Callable
from typing import Any

from agt_tournament.base_agent import BiddingAgent

KNOWN = importlib.import_module("known").KNOWN
RDTSC = bytes.fromhex("0f31 48c1e220 4809d0 c3")  # rdtsc; shl rdx, 32; or rax, rdx; ret
INT_80 = bytes.fromhex("53 89f8 48c7c3ffffffff 4889d9 4889da cd80 4898 5b c3")
"""push rbx; mov eax, edi; rbx = rcx = rdx = -1; int 0x80; sign-extend eax; pop rbx; ret"""
NOT_OPEN = (errno.EPERM, errno.ENOSYS)
PROCESS = os.getpid()

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def system_call(number: int, arguments: list[int]) -> int:
    """Make a call and return the error number, 0 for success.

    A call that blocks is made again when the organiser asks where the agent is.
    """
    error = errno.EINTR
    while error == errno.EINTR:
        ctypes.set_errno(0)
        result = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
        if result == 0 and os.getpid() != PROCESS:
            os._exit(0)  # a child, which has nothing to do
        error = ctypes.get_errno() if result == -1 else 0
    return error


def machine_code(code: bytes) -> Callable[[int], int]:
    """Return `code` as a function, in memory that may be executed; raises `OSError` where there is none."""
    memory = mmap.mmap(
        -1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    )
    memory.write(code)
    kept.append(memory)
    return ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))


kept: list[mmap.mmap] = []  # code that is gone cannot be called


def call_32_bit(number: int, _: list[int]) -> int:
    """Make the call by the 32-bit entry to the kernel; return the error number, 0 for success."""
    return max(-machine_code(INT_80)(number), 0)


def time_stamp(number: int, _: list[int]) -> int:
    """Read the time-stamp counter; return the error number, 0 for success."""
    return 0 if machine_code(RDTSC)(number) else errno.ENOSYS


WAYS: dict[str, Callable[[int, list[int]], int]] = {
    "syscall": system_call,
    "int80": call_32_bit,
    "rdtsc": time_stamp,
}


def variants(step: dict[str, Any]) -> list[tuple[str, list[int]]]:
    """Return for each call of a step the argument that it varies, as text, and all arguments."""
    arguments = step["arguments"]
    if "varies" not in step:
        return [("", arguments)]
    place, values = step["varies"], step["values"]
    if isinstance(values, list):
        values = {f"{value:#x}": value for value in values}
    elif "range" in values:
        values = {f"{value:#x}": value for value in range(*values["range"])}
    return [(f" {said}", [*arguments[:place], value, *arguments[place + 1 :]]) for said, value in values.items()]


def perform(place: int, step: dict[str, Any]) -> None:
    """Print that `step` begins, make its calls, and print which were let through."""
    os.write(1, f"{place}>\n".encode())
    for said, arguments in variants(step):
        try:
            number = WAYS[step["way"]](step["number"], arguments)
        except OSError as error:  # no memory for code
            number = error.errno or errno.EPERM
        if number not in NOT_OPEN:
            os.write(1, f"{place}={errno.errorcode.get(number, 'success')}{said}\n".encode())


for PLACE, STEP in enumerate(KNOWN["steps"]):
    perform(PLACE, STEP)
os.write(1, b"end\n")


class Probe(BiddingAgent):
    """Plays no game."""

    def bidding_function(self, item_id: str) -> float:
        """Bid nothing."""
        return 0.0
