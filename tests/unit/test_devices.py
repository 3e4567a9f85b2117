"""Which GPUs a process may use, and how workers divide them and the CPUs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launchers.devices import Slot, parse_gpu_list, slots_of, usable_cpus, visible_gpus

PLAIN = """\
GPU 0: NVIDIA H200 (UUID: GPU-0a1b2c3d-0000-1111-2222-333344445555)
GPU 1: NVIDIA H200 (UUID: GPU-9f8e7d6c-0000-1111-2222-333344445555)
"""
DIVIDED = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-0a1b2c3d-0000-1111-2222-333344445555)
  MIG 3g.20gb     Device  0: (UUID: MIG-11111111-aaaa-bbbb-cccc-000000000001)
  MIG 1g.5gb      Device  1: (UUID: MIG-11111111-aaaa-bbbb-cccc-000000000002)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-9f8e7d6c-0000-1111-2222-333344445555)
"""


@pytest.mark.parametrize(
    ("variable", "gpus"),
    [
        ("0,1,2,3", ["0", "1", "2", "3"]),
        (" 2 , 0 ", ["2", "0"]),
        ("GPU-0a1b2c3d,MIG-11111111-aaaa", ["GPU-0a1b2c3d", "MIG-11111111-aaaa"]),
        ("", []),
        ("-1", []),
        ("0,-1,1", ["0"]),
    ],
)
def test_the_variable_is_respected(variable: str, gpus: list[str]) -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": variable}) == gpus


def nvidia_smi(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a command of this name on the PATH, and no variable in its way."""
    command = folder / "nvidia-smi"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize(
    ("listed", "gpus"),
    [
        (PLAIN, ["GPU-0a1b2c3d-0000-1111-2222-333344445555", "GPU-9f8e7d6c-0000-1111-2222-333344445555"]),
        (
            DIVIDED,
            [
                "MIG-11111111-aaaa-bbbb-cccc-000000000001",
                "MIG-11111111-aaaa-bbbb-cccc-000000000002",
                "GPU-9f8e7d6c-0000-1111-2222-333344445555",
            ],
        ),
        ("No devices found.\n", []),
    ],
)
def test_without_the_variable_the_driver_is_asked(
    listed: str, gpus: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia_smi(tmp_path, f"cat <<'END'\n{listed}END", monkeypatch)
    assert visible_gpus() == gpus
    assert parse_gpu_list(listed) == gpus


def test_a_driver_that_fails_has_no_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(tmp_path, f"cat <<'END'\n{PLAIN}END\nexit 9", monkeypatch)
    assert visible_gpus() == []
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert visible_gpus() == []


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["0", "1"]),
        ({"workers_per_gpu": 2}, ["0", "1", "0", "1"]),  # a few workers spread over all
        ({"workers_per_gpu": 2, "most": 3}, ["0", "1", "0"]),
        ({"most": 1}, ["0"]),
    ],
)
def test_gpus_are_divided(options: dict[str, int], names: list[str]) -> None:
    slots = slots_of(["0", "1"], range(8), **options)
    assert [slot.gpu for slot in slots] == names
    assert [slot.number for slot in slots] == list(range(len(names)))


@pytest.mark.parametrize(("cpus", "most", "number"), [(8, None, 4), (1, None, 1), (3, None, 1), (8, 3, 3), (2, 5, 5)])
def test_without_gpus_there_is_a_slot_per_two_cpus(cpus: int, most: int | None, number: int) -> None:
    slots = slots_of([], range(cpus), most=most)
    assert [slot.gpu for slot in slots] == [""] * number


@given(cpus=st.sets(st.integers(0, 99), min_size=1), slots=st.integers(1, 50))
def test_cpus_are_shared_out(cpus: set[int], slots: int) -> None:
    shares = [slot.cpus for slot in slots_of([], sorted(cpus), most=slots)]
    assert all(shares)
    assert {cpu for share in shares for cpu in share} <= cpus
    if slots <= len(cpus):
        assert sorted(cpu for share in shares for cpu in share) == sorted(cpus)
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
    else:
        assert all(len(share) == 1 for share in shares)


def test_a_slot_pins_its_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert Slot(0, "MIG-1", (4, 5, 6)).environment() == {"CUDA_VISIBLE_DEVICES": "MIG-1", "OMP_NUM_THREADS": "3"}
    assert Slot(0, "", (4,)).environment()["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.parametrize("chosen", ["OMP_NUM_THREADS", "MKL_NUM_THREADS"])
def test_a_worker_computes_with_the_threads_that_its_launcher_would(
    chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of torch, OpenMP and MKL: the sums of two threads are rounded otherwise than those of one."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(chosen, "1")
    worker = os.environ | Slot(0, "", (0, 1, 2)).environment()
    assert _threads(worker) == _threads(dict(os.environ)) == [1, 1]


def _threads(environment: dict[str, str]) -> list[int]:
    """Threads of torch and of MKL in a process with `environment`."""
    asked = "import torch; print(torch.__config__.parallel_info())"
    done = subprocess.run(
        [sys.executable, "-c", asked], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    return [
        int(re.findall(rf"{name}\(\) : (\d+)", done.stdout)[0])
        for name in ("at::get_num_threads", "mkl_get_max_threads")
    ]


def test_usable_cpus_are_those_of_the_process() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert usable_cpus() == [min(before)]
    finally:
        os.sched_setaffinity(0, before)
