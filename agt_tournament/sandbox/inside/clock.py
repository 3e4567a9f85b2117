"""Hide the time from an agent: whatever clock its process reads shows the CPU time of the process.

CPU time stands still while the process is stopped, so an agent cannot measure how long its rivals took. On x86-64 a
process can read the time without a system call in two ways: from the pages ``[vvar]``, as the functions of the vDSO
(vdso(7)) do, and by the instructions ``rdtsc`` and ``rdtscp``. `hide` removes both. The filter of system calls has to
refuse those that tell the time. Standard library only.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import struct
import sys
from pathlib import Path

_AT_SYSINFO_EHDR = 33
_PT_LOAD, _PT_DYNAMIC, _DT_STRTAB, _DT_SYMTAB = 1, 2, 5, 6
_PR_SET_TSC, _PR_TSC_ENABLE, _PR_TSC_SIGSEGV = 26, 1, 2
_RT_SIGACTION, _SA_SIGINFO, _SA_RESTORER = 13, 0x00000004, 0x04000000

# The machine code is position-independent. Clock 2 is CLOCK_PROCESS_CPUTIME_ID. A system call keeps all registers but
# rax, rcx and r11.
_STUBS = {
    "__vdso_clock_gettime": bytes.fromhex(  # (clock, time)
        "bf 02 00 00 00"  #              mov edi, 2             ; whichever clock was asked for
        "b8 e4 00 00 00 0f 05 c3"  #     mov eax, 228; syscall; ret           ; clock_gettime
    ),
    "__vdso_clock_getres": bytes.fromhex(  # (clock, resolution)
        "bf 02 00 00 00"  #              mov edi, 2
        "b8 e5 00 00 00 0f 05 c3"  #     mov eax, 229; syscall; ret           ; clock_getres
    ),
    "__vdso_gettimeofday": bytes.fromhex(  # (time or NULL, zone or NULL)
        "49 89 f8 49 89 f1"  #           mov r8, rdi; mov r9, rsi
        "48 83 ec 18"  #                 sub rsp, 24            ; struct timespec at [rsp]
        "bf 02 00 00 00 48 89 e6"  #     mov edi, 2; mov rsi, rsp
        "b8 e4 00 00 00 0f 05"  #        mov eax, 228; syscall  ; clock_gettime
        "4d 85 c0 74 18"  #              test r8, r8; jz zone
        "48 8b 04 24 49 89 00"  #        mov rax, [rsp]; mov [r8], rax        ; seconds
        "8b 44 24 08 31 d2"  #           mov eax, [rsp + 8]; xor edx, edx     ; nanoseconds
        "b9 e8 03 00 00 f7 f1"  #        mov ecx, 1000; div ecx
        "49 89 40 08"  #                 mov [r8 + 8], rax                    ; microseconds
        "4d 85 c9 74 04"  #              zone: test r9, r9; jz done
        "49 83 21 00"  #                 and qword [r9], 0      ; UTC, no daylight saving time
        "31 c0 48 83 c4 18 c3"  #        done: xor eax, eax; add rsp, 24; ret
    ),
    "__vdso_time": bytes.fromhex(  #     (seconds or NULL)
        "49 89 f8 48 83 ec 18"  #        mov r8, rdi; sub rsp, 24             ; struct timespec at [rsp]
        "bf 02 00 00 00 48 89 e6"  #     mov edi, 2; mov rsi, rsp
        "b8 e4 00 00 00 0f 05"  #        mov eax, 228; syscall  ; clock_gettime
        "48 8b 04 24 48 83 c4 18"  #     mov rax, [rsp]; add rsp, 24
        "4d 85 c0 74 03"  #              test r8, r8; jz done
        "49 89 00 c3"  #                 mov [r8], rax; done: ret
    ),
    "__vdso_getrandom": bytes.fromhex(  # (buffer, size, flags, state, size of state)
        "49 ff c0 74 08"  #              inc r8; jz unsupported               ; ~0 asks what a state needs
        "b8 3e 01 00 00 0f 05 c3"  #     mov eax, 318; syscall; ret           ; getrandom needs no state
        "48 c7 c0 da ff ff ff c3"  #     unsupported: mov rax, -ENOSYS; ret
    ),
}
"""Machine code that replaces the functions of the vDSO which read ``[vvar]``; __vdso_getcpu reads only the CPU."""

# (signal, siginfo, ucontext). OpenBLAS executes rdtsc when it is loaded, so this must not end the process.
# The signal is blocked in its handler: a fault here ends the process by SIGSEGV, as every other fault has to.
_ON_SIGSEGV = bytes.fromhex(
    "81 7e 08 80 00 00 00"  #            cmp dword [rsi + 8], SI_KERNEL       ; si_code: not a wrong address
    "75 43"  #                           jne other
    "48 8b 8a a8 00 00 00"  #            mov rcx, [rdx + 168]   ; the saved rip
    "66 81 39 0f 31 74 1c"  #            cmp word [rcx], 0x310f; je rdtsc
    "66 81 39 0f 01 75 2e"  #            cmp word [rcx], 0x010f; jne other
    "80 79 02 f9 75 28"  #               cmp byte [rcx + 2], 0xf9; jne other  ; else it is rdtscp
    "48 83 a2 98 00 00 00 00"  #         and qword [rdx + 152], 0             ; the saved rcx
    "48 ff 82 a8 00 00 00"  #            inc qword [rdx + 168]                ; rdtscp is one byte longer
    "48 83 82 a8 00 00 00 02"  #         rdtsc: add qword [rdx + 168], 2      ; continue behind the instruction
    "48 83 a2 90 00 00 00 00"  #         and qword [rdx + 144], 0             ; the saved rax
    "48 83 a2 88 00 00 00 00"  #         and qword [rdx + 136], 0             ; the saved rdx
    "c3"  #                              ret
    "f4"  #                              other: hlt             ; faults, as it is privileged
)
_RETURN_FROM_SIGNAL = bytes.fromhex("b8 0f 00 00 00 0f 05")  # mov eax, 15; syscall; rt_sigreturn
_CODE = (*_STUBS.values(), _ON_SIGSEGV, _RETURN_FROM_SIGNAL)


def vvar_bytes() -> int:
    """Measure the pages that the vDSO reads the time from; they have the same size in every process of a kernel.

    Returns:
        The size in bytes of the mappings [vvar] and [vvar_vclock] directly below [vdso]; 0 if there are none.
    """
    maps = Path("/proc/self/maps")
    top = bottom = 0
    for line in reversed(maps.read_text().splitlines() if maps.exists() else []):
        start, end = (int(address, 16) for address in line.split()[0].split("-"))
        if line.endswith("[vdso]"):
            top = bottom = start
        elif end == bottom and line.endswith(("[vvar]", "[vvar_vclock]")):
            bottom = start
    return top - bottom


def hide(vvar_bytes: int) -> str:
    """Replace every clock of this process by its CPU time, for as long as the process lives.

    Call it once, before the process starts threads (only later threads inherit the ban on `rdtsc`) and before system
    calls are filtered. It takes SIGSEGV over: `rdtsc` and `rdtscp` give 0, every other fault ends the process.

    Args:
        vvar_bytes: The size of the pages to remove below the vDSO, as `vvar_bytes` measures it.

    Returns:
        "" if the clocks are hidden, else the reason why they still show the time.
    """
    if sys.platform != "linux" or os.uname().machine != "x86_64" or struct.calcsize("P") != 8:
        return "clocks can only be hidden on x86-64 Linux"
    libc = _c_library()
    vdso = libc.getauxval(_AT_SYSINFO_EHDR)
    if not vdso or not vvar_bytes:
        return "the process has no vDSO" if not vdso else "the pages of [vvar] are not known"
    try:
        image, functions = _parse(vdso)
        handler, restorer, jumps = _place_code(libc, functions)
        _check(libc.mprotect(vdso, len(image), mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC), "mprotect([vdso])")
    except (OSError, ValueError, struct.error) as error:
        return str(error)  # a kernel that seals the vDSO refuses the last step; nothing has changed yet
    try:
        for address, jump in jumps.items():
            ctypes.memmove(address, jump, len(jump))
        action = struct.pack("<4Q", handler, _SA_SIGINFO | _SA_RESTORER, restorer, 0)
        _check(libc.syscall(_RT_SIGACTION, signal.SIGSEGV, action, None, ctypes.c_size_t(8)), "rt_sigaction(SIGSEGV)")
        _check(libc.prctl(_PR_SET_TSC, _PR_TSC_SIGSEGV, 0, 0, 0), "prctl(PR_SET_TSC)")
        _check(libc.munmap(vdso - vvar_bytes, vvar_bytes), "munmap([vvar])")
    except OSError as error:
        libc.prctl(_PR_SET_TSC, _PR_TSC_ENABLE, 0, 0, 0)
        ctypes.memmove(vdso, image, len(image))
        return str(error)
    finally:
        libc.mprotect(vdso, len(image), mmap.PROT_READ | mmap.PROT_EXEC)
    return ""


def _c_library() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.getauxval.restype, libc.getauxval.argtypes = ctypes.c_size_t, (ctypes.c_ulong,)
    libc.mmap.restype = ctypes.c_ssize_t  # -1 is a failure
    libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
    libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    return libc


def _parse(vdso: int) -> tuple[bytes, dict[str, tuple[int, int]]]:
    """Read the ELF image at address `vdso`: its bytes, and the address and size of each function to replace."""
    header = ctypes.string_at(vdso, 4096)
    (table,), (count,) = struct.unpack_from("<Q", header, 32), struct.unpack_from("<H", header, 56)
    segments = {}
    for index in range(count):
        kind, _, offset, address, _, size = struct.unpack_from("<2I4Q", header, table + 56 * index)
        segments[kind] = (offset, address, size)
    if segments.get(_PT_LOAD, (1, 1, 1))[:2] != (0, 0) or _PT_DYNAMIC not in segments:
        raise ValueError("the vDSO has an unknown layout")
    image = ctypes.string_at(vdso, segments[_PT_LOAD][2])
    start, _, size = segments[_PT_DYNAMIC]
    tags = dict(struct.iter_unpack("<2Q", image[start : start + size]))
    symbols, strings = tags.get(_DT_SYMTAB, 0), tags.get(_DT_STRTAB, 0)
    functions = {}
    for symbol in range(symbols, strings - 23, 24):  # the names follow the symbols; there may be no DT_HASH
        name, _, _, _, offset, size = struct.unpack_from("<I2BH2Q", image, symbol)
        text = image[strings + name : image.index(0, strings + name)].decode(errors="replace")
        if text in _STUBS:
            functions[text] = (vdso + offset, size)
    if "__vdso_clock_gettime" not in functions:
        raise ValueError("the vDSO has no __vdso_clock_gettime")
    return image, functions


def _place_code(libc: ctypes.CDLL, functions: dict[str, tuple[int, int]]) -> tuple[int, int, dict[int, bytes]]:
    """Map the machine code: the addresses of SIGSEGV's handler and its return, and a jump to write at each address."""
    code = b"".join(_CODE)
    writable, private = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    page = _check(libc.mmap(None, len(code), writable, private, -1, 0), "mmap")
    ctypes.memmove(page, code, len(code))
    _check(libc.mprotect(page, len(code), mmap.PROT_READ | mmap.PROT_EXEC), "mprotect(PROT_EXEC)")
    jumps = {}
    for name, (address, size) in functions.items():
        target = page + code.index(_STUBS[name])
        jumps[address] = b"\x48\xb8" + target.to_bytes(8, "little") + b"\xff\xe0"  # mov rax, target; jmp rax
        if size < len(jumps[address]):
            raise ValueError(f"{name} of the vDSO is too short to be replaced")
    return page + code.index(_ON_SIGSEGV), page + code.index(_RETURN_FROM_SIGNAL), jumps


def _check(result: int, call: str) -> int:
    if result < 0:
        raise OSError(f"{call}: {os.strerror(ctypes.get_errno())}")
    return result
