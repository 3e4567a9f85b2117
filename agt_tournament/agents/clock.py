"""Hide the time from an agent: whatever clock its process reads shows the CPU time of the process.

CPU time stands still while the process is stopped, so an agent cannot measure how long its rivals took. On x86-64 a
process can read the time without a system call in two ways: from the pages ``[vvar]``, which the functions of the vDSO
(vdso(7)) read, and with the instructions ``rdtsc`` and ``rdtscp``. `hide` takes both away; the system calls that
remain are for the filter of system calls to restrict. Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys
from pathlib import Path

_AT_SYSINFO_EHDR = 33
_PT_LOAD, _PT_DYNAMIC, _DT_STRTAB, _DT_SYMTAB = 1, 2, 5, 6
_PROT_READ, _PROT_WRITE, _PROT_EXEC = 1, 2, 4
_MAP_PRIVATE, _MAP_ANONYMOUS = 0x02, 0x20
_PR_SET_TSC, _PR_TSC_ENABLE, _PR_TSC_SIGSEGV = 26, 1, 2
_RT_SIGACTION, _SA_SIGINFO, _SA_RESTORER = 13, 0x00000004, 0x04000000

# All of it is position-independent. A system call changes rax, rcx and r11 only; clock 2 is CLOCK_PROCESS_CPUTIME_ID.
_STUBS = {
    "__vdso_clock_gettime": bytes.fromhex(  # (clock, time)
        "bf 02 00 00 00"  #              mov edi, 2             ; whichever clock was asked for
        "b8 e4 00 00 00"  #              mov eax, 228           ; clock_gettime
        "0f 05 c3"  #                    syscall; ret
    ),
    "__vdso_clock_getres": bytes.fromhex(  # (clock, resolution)
        "bf 02 00 00 00"  #              mov edi, 2
        "b8 e5 00 00 00"  #              mov eax, 229           ; clock_getres
        "0f 05 c3"  #                    syscall; ret
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
    "__vdso_getcpu": bytes.fromhex(
        "b8 35 01 00 00 0f 05 c3"  #     mov eax, 309; syscall; ret           ; getcpu
    ),
    "__vdso_getrandom": bytes.fromhex(  # (buffer, size, flags, state, size of state)
        "49 ff c0 74 08"  #              inc r8; jz unsupported               ; ~0 asks what a state needs
        "b8 3e 01 00 00 0f 05 c3"  #     mov eax, 318; syscall; ret           ; getrandom needs no state
        "48 c7 c0 da ff ff ff c3"  #     unsupported: mov rax, -ENOSYS; ret
    ),
}
"""What replaces the functions of the vDSO: system calls that do not read ``[vvar]``."""

# (signal, siginfo, ucontext). OpenBLAS executes rdtsc while it is imported, so that it must not end the process.
# A fault in here ends the process by SIGSEGV, as the signal is blocked: this is how any other fault ends.
_ON_SIGSEGV = bytes.fromhex(
    "81 7e 08 80 00 00 00"  #            cmp dword [rsi + 8], SI_KERNEL       ; si_code: no fault of an address
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
    """Measure the pages that the vDSO reads the time from.

    Call it where /proc is mounted: what the kernel maps below the vDSO is the same in every process.

    Returns:
        The size in bytes of the mappings [vvar] and [vvar_vclock] directly below [vdso]; 0 if there are none.
    """
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return 0
    top = bottom = 0
    for line in reversed(lines):
        start, end = (int(address, 16) for address in line.split()[0].split("-"))
        if line.endswith("[vdso]"):
            top = bottom = start
        elif end == bottom and line.endswith(("[vvar]", "[vvar_vclock]")):
            bottom = start
    return top - bottom


def hide(vvar_bytes: int) -> str:
    """Replace every clock of this process by its CPU time, for as long as the process lives.

    Call it once, before the process starts a thread (the ban on `rdtsc` is inherited by later threads only) and before
    system calls are filtered. It takes over SIGSEGV: `rdtsc` and `rdtscp` give 0, any other fault ends the process.

    Args:
        vvar_bytes: The size of the pages to remove below the vDSO, as `vvar_bytes` measures it.

    Returns:
        "" if the clocks are hidden, else why they are not; then they are as they were.
    """
    if sys.platform != "linux" or os.uname().machine != "x86_64" or struct.calcsize("P") != 8:
        return "clocks can only be hidden on x86-64 Linux"
    libc = _c_library()
    vdso = libc.getauxval(_AT_SYSINFO_EHDR)
    if not vdso or not vvar_bytes:
        return "the process has no vDSO" if not vdso else "no [vvar] was found below the vDSO"
    try:
        image, entries = _functions(vdso)
        handler, restorer, jumps = _place_code(libc, entries)
        _check(libc.mprotect(vdso, len(image), _PROT_READ | _PROT_WRITE | _PROT_EXEC), "mprotect([vdso])")
    except (OSError, ValueError, struct.error) as error:
        return str(error)  # a kernel that seals the vDSO answers so: nothing has changed yet
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
        libc.mprotect(vdso, len(image), _PROT_READ | _PROT_EXEC)
    return ""


def _c_library() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.getauxval.restype, libc.getauxval.argtypes = ctypes.c_size_t, (ctypes.c_ulong,)
    libc.mmap.restype = ctypes.c_ssize_t  # -1 is a failure
    libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
    libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    return libc


def _functions(vdso: int) -> tuple[bytes, dict[str, tuple[int, int]]]:
    """Parse the ELF image at address `vdso`. Returns: the image; address and size of each function to replace."""
    first = ctypes.string_at(vdso, 4096)
    (table,), (count,) = struct.unpack_from("<Q", first, 32), struct.unpack_from("<H", first, 56)
    segments = {}
    for index in range(count):
        kind, _, offset, address, _, size, _, _ = struct.unpack_from("<2I6Q", first, table + 56 * index)
        segments[kind] = (offset, address, size)
    if segments.get(_PT_LOAD, (1, 1, 1))[:2] != (0, 0) or _PT_DYNAMIC not in segments:
        raise ValueError("the vDSO has an unknown layout")
    image = ctypes.string_at(vdso, segments[_PT_LOAD][2])
    start, _, size = segments[_PT_DYNAMIC]
    tags = dict(struct.iter_unpack("<2Q", image[start : start + size]))
    symbols, strings = tags.get(_DT_SYMTAB, 0), tags.get(_DT_STRTAB, 0)
    entries = {}
    for name, _, _, _, offset, size in struct.iter_unpack(
        "<I2BH2Q", image[symbols : strings - (strings - symbols) % 24]
    ):
        text = image[strings + name : image.index(0, strings + name)].decode(errors="replace")
        if text in _STUBS:
            entries[text] = (vdso + offset, size)
    if "__vdso_clock_gettime" not in entries:
        raise ValueError("the vDSO has no __vdso_clock_gettime")
    return image, entries


def _place_code(libc: ctypes.CDLL, entries: dict[str, tuple[int, int]]) -> tuple[int, int, dict[int, bytes]]:
    """Map the machine code into memory. Returns: the SIGSEGV handler, its return, and a jump for each entry's address."""
    code = b"".join(_CODE)
    page = _check(libc.mmap(None, len(code), _PROT_READ | _PROT_WRITE, _MAP_PRIVATE | _MAP_ANONYMOUS, -1, 0), "mmap")
    ctypes.memmove(page, code, len(code))
    _check(libc.mprotect(page, len(code), _PROT_READ | _PROT_EXEC), "mprotect(PROT_EXEC)")
    jumps = {}
    for name, (address, size) in entries.items():
        target = page + code.index(_STUBS[name])
        jumps[address] = b"\x48\xb8" + target.to_bytes(8, "little") + b"\xff\xe0"  # mov rax, target; jmp rax
        if size < len(jumps[address]):
            raise ValueError(f"{name} of the vDSO is too short to be replaced")
    return page + code.index(_ON_SIGSEGV), page + code.index(_RETURN_FROM_SIGNAL), jumps


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result
