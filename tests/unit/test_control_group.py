"""Where control groups for agents are made, in folders that stand for those of the kernel."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agt_tournament.sandbox.walls import control_group
from agt_tournament.sandbox.walls.control_group import ControlGroup

Machine = Callable[[str], Path]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A machine on which this process is in the groups that it is made with; the folder of all groups."""

    def of(groups: str) -> Path:
        (tmp_path / "own").write_text(groups)
        monkeypatch.setattr(control_group, "_OWN", tmp_path / "own")
        monkeypatch.setattr(control_group, "_ROOT", tmp_path)
        control_group._parents.cache_clear()
        return tmp_path

    monkeypatch.setattr(control_group, "_ATTEMPTS", 3)
    yield of
    control_group._parents.cache_clear()


def version_2(folder: Path, controllers: str = "cpu memory pids") -> Path:
    """A group of version 2 that offers `controllers` to those below."""
    folder.mkdir(parents=True)
    (folder / "cgroup.controllers").write_text(controllers)
    for name in ("cgroup.procs", "cgroup.subtree_control"):
        (folder / name).write_text("")
    return folder


def test_version_1_limits_below_the_own_group(machine: Machine) -> None:
    own = machine("5:memory:/slice/own\n1:cpu:/\n0::/\n") / "memory" / "slice" / "own"
    assert ControlGroup.create(1 << 20) is None  # nothing is mounted
    own.mkdir(parents=True)
    control_group._parents.cache_clear()
    assert control_group._parents() == {"memory": (own, "memory.limit_in_bytes")}


def test_version_2_limits_below_the_own_group(machine: Machine) -> None:
    scope = version_2(machine("0::/user/scope\n") / "user" / "scope")
    assert control_group._parents() == dict.fromkeys(("memory", "pids"), (scope, "memory.max"))
    assert (scope / "cgroup.subtree_control").read_text() == "+memory +pids"
    assert not (scope / "agt_organiser").exists()  # nobody had to make room


def test_a_group_limits_memory_and_processes(machine: Machine) -> None:
    scope = version_2(machine("0::/scope\n") / "scope")
    group = ControlGroup.create(1 << 20)
    assert group
    assert group.controllers == ("memory", "pids")
    (folder,) = scope.glob("agt_agent_*")
    assert (folder / "memory.max").read_text() == str(1 << 20)
    assert int((folder / "pids.max").read_text()) < 10


def test_under_version_1_each_controller_has_its_own_folder(machine: Machine) -> None:
    root = machine("5:memory:/own\n8:pids:/own\n")
    for controller in ("memory", "pids"):
        (root / controller / "own").mkdir(parents=True)
    group = ControlGroup.create(1 << 20)
    assert group
    assert group.controllers == ("memory", "pids")
    assert list((root / "pids" / "own").glob("agt_agent_*/pids.max"))
    assert list((root / "memory" / "own").glob("agt_agent_*/memory.limit_in_bytes"))


def test_a_later_organiser_limits_where_the_first_one_does(machine: Machine) -> None:
    """Whoever is started by an organiser that made room is in the group of organisers."""
    scope = version_2(machine("0::/user/scope/agt_organiser\n") / "user" / "scope")
    version_2(scope / "agt_organiser", "")
    assert control_group._parents() == dict.fromkeys(("memory", "pids"), (scope, "memory.max"))


@pytest.mark.parametrize("groups", ["", "0::/\n", "0::/foreign\n", "0::/../../outside\n", "3:cpu:/\n"])
def test_without_the_controller_there_are_no_groups(groups: str, machine: Machine) -> None:
    version_2(machine(groups) / "foreign", "cpu")
    assert control_group._parents() == {}
    assert not control_group.works()


def test_groups_of_the_dead_are_removed_and_those_of_the_living_stay(machine: Machine) -> None:
    scope = version_2(machine("0::/scope\n") / "scope")
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        pass
    for owner in (dead.pid, os.getpid(), os.getppid()):
        (scope / f"agt_agent_{owner}_0").mkdir()
    control_group._parents()
    assert [path.name for path in scope.glob("agt_agent_*")] == [f"agt_agent_{os.getppid()}_0"]
