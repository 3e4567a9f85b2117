"""What a process can learn of the time after `clock.hide`; each test looks from within a process of its own."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agt_tournament.sandbox.inside import clock

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="clocks can only be hidden on x86-64 Linux"
)
SETUP = """
import ctypes, json, mmap, os, signal, sys, threading, time
from agt_tournament.sandbox.inside import clock

libc, vdso = ctypes.CDLL(None), ctypes.CDLL("linux-vdso.so.1")
libc.getauxval.restype = ctypes.c_size_t
VVAR_BYTES, AT_SYSINFO_EHDR = int(sys.argv[1]), 33
mapped = []

def machine_code(text):
    memory = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(bytes.fromhex(text))
    mapped.append(memory)
    return ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))

"""
HIDE = "assert clock.hide(VVAR_BYTES) == ''\n"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), "OPENBLAS_NUM_THREADS": "1"}

RDTSC = "ba ff ff ff ff 0f 31 48 c1 e2 20 48 09 d0 c3"  # mov edx, -1; rdtsc; shl rdx, 32; or rax, rdx; ret
# mov ecx, -1; mov edx, -1; rdtscp; shl rdx, 32; or rax, rdx; or rax, rcx; ret
RDTSCP = "b9 ff ff ff ff ba ff ff ff ff 0f 01 f9 48 c1 e2 20 48 09 d0 48 09 c8 c3"


def command(code: str, vvar_bytes: int) -> list[str]:
    return [sys.executable, "-c", SETUP + code, str(vvar_bytes)]


def run(code: str, vvar_bytes: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(code, vvar_bytes), env=ENVIRONMENT, capture_output=True, text=True, timeout=100)


def answer(code: str, vvar_bytes: int) -> str:
    """What `code` prints; it has to end well."""
    done = run(code, vvar_bytes)
    assert done.returncode == 0, done.stderr[-2000:] or done.returncode
    return done.stdout.strip()


@pytest.fixture(scope="module")
def vvar_bytes() -> int:
    """The size of the pages to remove; skips only where the kernel refuses to change the vDSO."""
    size = clock.vvar_bytes()
    reason = answer("print(clock.hide(VVAR_BYTES))", size)
    if reason.startswith("mprotect([vdso])"):
        pytest.skip(reason)
    assert reason == ""
    return size


READ_ALL = """
import datetime

def read():
    fields = (ctypes.c_long * 2)()
    libc.gettimeofday(fields, None)
    ids = {name: getattr(time, name) for name in dir(time) if name.startswith("CLOCK_")}
    seconds = ("time", "monotonic", "perf_counter", "process_time", "thread_time")
    return {
        **{name: time.clock_gettime(number) for name, number in ids.items()},
        **{name: getattr(time, name)() for name in seconds},
        **{name: getattr(time, name)() / 1e9 for name in ("time_ns", "monotonic_ns", "perf_counter_ns")},
        "now": datetime.datetime.now(datetime.timezone.utc).timestamp(),
        "gettimeofday": fields[0] + fields[1] / 1e6,
    }

before = read()
os.kill(os.getpid(), signal.SIGSTOP)
after = read()
print(json.dumps({name: (before[name], after[name] - before[name]) for name in before}))
"""


def over_a_stop(code: str, vvar_bytes: int) -> dict[str, tuple[float, float]]:
    """Stop the process for 0.3 seconds. Returns: what each clock showed before, and by how much it advanced."""
    with subprocess.Popen(command(code, vvar_bytes), env=ENVIRONMENT, stdout=subprocess.PIPE) as process:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        time.sleep(0.3)
        process.send_signal(signal.SIGCONT)
        assert process.stdout
        return json.loads(process.stdout.read())


def test_no_clock_advances_while_the_process_is_stopped(vvar_bytes: int) -> None:
    hidden = over_a_stop(HIDE + READ_ALL, vvar_bytes)
    assert {name for name, (_, advance) in hidden.items() if not 0 <= advance < 0.1} == set()
    assert {name for name, (value, _) in hidden.items() if value > 60} == set()  # seconds of CPU time at most
    shown = over_a_stop(READ_ALL, vvar_bytes)
    of_the_cpu = {name for name in shown if "CPUTIME" in name or name in ("process_time", "thread_time")}
    assert {name for name, (_, advance) in shown.items() if advance < 0.29} == of_the_cpu


def test_the_functions_of_the_vdso_give_cpu_time_in_their_own_units(vvar_bytes: int) -> None:
    code = """
while time.process_time() < 1.2:
    pass
seconds, time_of_day, zone = ctypes.c_long(-1), (ctypes.c_long * 2)(-1, -1), (ctypes.c_int * 2)(-1, -1)
before = time.process_time()
assert vdso.__vdso_time(None) == vdso.__vdso_time(ctypes.byref(seconds)) == seconds.value == int(before)
assert vdso.__vdso_gettimeofday(None, None) == 0
assert vdso.__vdso_gettimeofday(time_of_day, zone) == 0
assert before - 1e-6 <= time_of_day[0] + time_of_day[1] / 1e6 <= time.process_time(), list(time_of_day)
assert 0 <= time_of_day[1] < 1_000_000 and list(zone) == [0, 0]
assert time.get_clock_info("monotonic").resolution == 1e-9
"""
    answer(HIDE + code, vvar_bytes)


def test_the_other_functions_of_the_vdso_work(vvar_bytes: int) -> None:
    code = """
cpu = ctypes.c_uint(-1)
assert vdso.__vdso_getcpu(ctypes.byref(cpu), None, None) == 0
assert cpu.value in os.sched_getaffinity(0)
if hasattr(vdso, "__vdso_getrandom"):
    random, none = ctypes.create_string_buffer(32), ctypes.c_size_t(0)
    assert vdso.__vdso_getrandom(random, ctypes.c_size_t(32), 0, None, none) == 32
    assert random.raw != bytes(32)
    assert vdso.__vdso_getrandom(None, none, 0, None, ctypes.c_size_t(-1)) == -38  # ENOSYS
"""
    answer(HIDE + code, vvar_bytes)


def test_a_sleep_ends_at_once(vvar_bytes: int) -> None:
    answer(HIDE + "time.sleep(0.01); time.sleep(1000); threading.Event().wait(1000)", vvar_bytes)


def test_numpy_and_scipy_work(vvar_bytes: int) -> None:
    code = """
import random
import numpy, numpy.linalg, scipy.optimize, scipy.stats
assert numpy.linalg.inv(2 * numpy.eye(200)).sum() == 100
assert numpy.random.default_rng().random() < 1
assert abs(scipy.optimize.minimize(lambda x: (x[0] - 3) ** 2, [0.0]).x[0] - 3) < 1e-4
assert scipy.stats.norm.cdf(0) == 0.5
assert random.SystemRandom().random() != random.SystemRandom().random()
"""
    answer(HIDE + code, vvar_bytes)


@pytest.mark.parametrize("code", [RDTSC, RDTSCP], ids=["rdtsc", "rdtscp"])
def test_the_counter_of_the_processor_is_zero(vvar_bytes: int, code: str) -> None:
    read = f"read = machine_code({code!r}); values = [read()]\n"
    in_thread = "thread = threading.Thread(target=lambda: values.append(read())); thread.start(); thread.join()\n"
    first, *others = json.loads(answer(f"{read}{HIDE}{in_thread}values.append(read()); print(values)", vvar_bytes))
    assert first > 0
    assert others == [0, 0]


def test_no_page_of_the_time_is_left(vvar_bytes: int) -> None:
    code = """
from pathlib import Path
lines = Path("/proc/self/maps").read_text().splitlines()
print(json.dumps([line.split()[1::4] for line in lines if "[v" in line and "vsyscall" not in line]))
"""
    assert {name for _, name in json.loads(answer(code, vvar_bytes))} >= {"[vvar]", "[vdso]"}
    assert json.loads(answer(HIDE + code, vvar_bytes)) == [["r-xp", "[vdso]"]]


@pytest.mark.parametrize(
    "fault",
    [
        "ctypes.string_at(libc.getauxval(AT_SYSINFO_EHDR) - VVAR_BYTES, 1)",
        "ctypes.string_at(0)",
        "ctypes.CFUNCTYPE(None)(16)()",
        "machine_code('f4')()",  # hlt, a privileged instruction
        "os.kill(os.getpid(), signal.SIGSEGV)",
    ],
    ids=["read the former page", "read NULL", "execute NULL", "hlt", "signal"],
)
def test_any_other_fault_ends_the_process(vvar_bytes: int, fault: str) -> None:
    assert run(HIDE + fault, vvar_bytes).returncode == -signal.SIGSEGV


def test_the_page_of_the_time_can_be_read_before(vvar_bytes: int) -> None:
    answer("ctypes.string_at(libc.getauxval(AT_SYSINFO_EHDR) - VVAR_BYTES, 1)", vvar_bytes)


@pytest.mark.parametrize(("wrong", "reason"), [(0, "the pages of [vvar] are not known"), (1, "munmap([vvar])")])
def test_clocks_are_as_before_if_they_cannot_be_hidden(vvar_bytes: int, wrong: int, reason: str) -> None:
    code = f"""
said = clock.hide({wrong})
time.sleep(0.01)
print(json.dumps([said, time.time(), time.monotonic(), machine_code({RDTSC!r})()]))
"""
    said, now, monotonic, counter = json.loads(answer(code, vvar_bytes))
    assert said.startswith(reason)
    assert abs(now - time.time()) < 30
    assert abs(monotonic - time.monotonic()) < 30
    assert counter > 0
