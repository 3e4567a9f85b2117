"""The walking probe notices what is open, and the reviewed list says of all that is open why it is harmless."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agt_tournament.__main__ import perform
from agt_tournament.sandbox.inside.walls import READ_FILE
from agt_tournament.sandbox.probe import promises
from agt_tournament.sandbox.probe.check import Checked
from agt_tournament.sandbox.probe.memory import too_little_memory
from agt_tournament.sandbox.probe.names import names_of_paths
from agt_tournament.sandbox.probe.promises import broken_promises, try_promises
from agt_tournament.sandbox.probe.review import Reviewed, described, described_stale, reviewed_list, stale, unreviewed
from agt_tournament.sandbox.probe.steps import all_steps, numbers, system_call_name
from agt_tournament.sandbox.probe.walk import Opening, Walked, sweep, walk_paths
from agt_tournament.sandbox.walls import memory_files, readable, seccomp_policy
from agt_tournament.sandbox.walls import sandbox as sandboxes
from agt_tournament.sandbox.walls.sandbox import NONE, TIERS, Sandbox
from agt_tournament.tournament.preflight import why_not
from tests import walls
from tests.nobody import as_nobody, nobodys_environment, why_not_nobody
from tests.support import REPO
from tests.tournament import competition_tree

HOLDING = [tier for tier in TIERS[:-1] if why_not(tier) is None]
ALL_RIGHTS = (1 << 13) - 1
FORK, GETPID, PAUSE, EXIT, SYSINFO = 57, 39, 34, 60, 99  # of x86-64

_DEBIAN = "/usr/bin/python3.11"


def _debian_path() -> str:
    """Where Debian's Python finds this project and its libraries, as compiled for the same version."""
    return f"{REPO}:{sysconfig.get_path('platlib')}"


def why_not_debian() -> str | None:
    """Why the walls cannot be tried with Debian's own Python; None if they can."""
    environment = {**os.environ, "PYTHONPATH": _debian_path(), "PYTHONDONTWRITEBYTECODE": "1"}
    tried = [_DEBIAN, "-c", "import numpy, omegaconf, pyseccomp, scipy.stats"]
    try:
        run = subprocess.run(tried, env=environment, capture_output=True, text=True)
    except OSError as error:
        return f"{_DEBIAN}: {error.strerror}"
    return f"{_DEBIAN} does not work with these libraries" if run.returncode else None


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there are no walls elsewhere")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may pass, list and write."""
    with tempfile.TemporaryDirectory() as name:
        for path in (Path(name), Path(name) / "open"):
            path.mkdir(exist_ok=True)
            path.chmod(0o777)
        (Path(name) / "open" / "file").write_text("content")
        (Path(name) / "open" / "file").chmod(0o666)
        yield Path(name) / "open"


# --- the probe notices -----------------------------------------------------------------------------------


def test_without_walls_it_finds_paths_clocks_and_counters(folder: Path) -> None:
    told = ["/proc/stat", "/proc/uptime", "/etc/passwd", "/dev/null"]
    tried, openings = walk_paths(NONE, told, roots=(str(folder),))
    found = {(opening.kind, opening.name) for opening in openings}
    assert tried == len(told) + 1
    assert {("writable", f"{folder}/file"), ("readable", "/etc/passwd"), ("clock", "clock_gettime 1")} <= found
    assert {("moving content", "/proc/stat"), ("moving content", "/proc/uptime")} <= found
    assert {("moving counter", "sysinfo procs"), ("moving counter", "sysinfo freeram")} <= found
    assert [path.name for path in folder.iterdir()] == ["file"]


def test_without_walls_it_finds_calls_that_fork_end_and_block() -> None:
    steps = [numbers(range(number, number + 1))[0] for number in (FORK, EXIT, GETPID, PAUSE)]
    found = {opening.name: opening.detail for opening in sweep(NONE, steps)}
    ended = {"exit": "ends the process", "pause": "blocks the process"}
    assert found == {"fork": "success", "getpid": "success", **ended}


@pytest.mark.parametrize("tier", HOLDING)
def test_a_folder_that_landlock_lets_through_is_found(tier: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_a_folder(folder, monkeypatch)
    _, openings = walk_paths(Sandbox(tier), [str(folder), f"{folder}/file"])
    new = {(opening.kind, opening.name) for opening in unreviewed(Walked(tier, openings=openings))}
    assert {("readable", f"{folder}/file"), ("writable", f"{folder}/file"), ("writable", str(folder))} <= new


@pytest.mark.parametrize("tier", HOLDING)
def test_a_folder_that_can_be_written_breaks_a_promise(
    tier: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_a_folder(folder, monkeypatch)
    monkeypatch.setattr(promises, "folders_near", lambda: [str(folder)])
    reason = broken_promises(try_promises(Sandbox(tier)))
    assert reason == "does not prevent writing any folder"


@pytest.mark.parametrize("tier", HOLDING)
def test_a_call_that_the_filter_lets_through_is_found(tier: str, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = numbers(range(SYSINFO, SYSINFO + 1))
    assert sweep(Sandbox(tier), steps) == []
    allow_a_call(monkeypatch, "sysinfo")
    assert sweep(Sandbox(tier), steps) == [Opening("system call", "sysinfo", "EFAULT")]


@pytest.mark.parametrize("tier", HOLDING)
def test_a_link_that_leads_out_is_found_and_hinders_no_walls(
    tier: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian's standard library has such a link, into /etc."""
    (folder.parent / "secret").write_text("secret")
    (folder / "inside").symlink_to("file")
    (folder / "outside").symlink_to("../secret")
    interpreter, rights = readable.interpreter, sandboxes._rights
    monkeypatch.setattr(readable, "interpreter", lambda: [*interpreter(), folder])
    monkeypatch.setattr(memory_files, "_held", None)  # copies that another test had made are without the folder
    opened = (str(folder / "outside"), READ_FILE)
    monkeypatch.setattr(sandboxes, "_rights", lambda submission: [*rights(submission), opened])
    _, openings = walk_paths(Sandbox(tier), [])
    new = {(opening.kind, opening.name) for opening in unreviewed(Walked(tier, openings=openings))}
    assert new == ({("readable", f"link {folder}/outside")} if tier == "landlock" else set())


@pytest.mark.parametrize("tier", HOLDING)
def test_a_link_to_what_agents_may_open_is_nothing_new(tier: str, folder: Path) -> None:
    """A laboratory cluster has links to /dev/null for its GPUs."""
    (folder / "gpu").symlink_to("/dev/null")
    _, openings = walk_paths(Sandbox(tier), [str(folder / "gpu")])
    assert not unreviewed(Walked(tier, openings=openings))


def test_links_that_lead_out_of_the_standard_library_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / "python"
    for name in ("json/tool.py", "site-packages/other.py", "os.py"):
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        (library / name).touch()
    (tmp_path / "sitecustomize.py").touch()
    links = {"_sysconfigdata.py": "os.py", "sitecustomize.py": "../sitecustomize.py", "lost.py": "nowhere"}
    for name, target in {**links, "other.py": "site-packages/other.py"}.items():
        (library / name).symlink_to(target)
    (tmp_path / "link").symlink_to(library)
    for place in (library, tmp_path / "link"):
        monkeypatch.setattr(readable, "standard_library", lambda place=place: place)
        assert {path.name for path in readable.standard_modules.__wrapped__()} == {"json", "os.py", "_sysconfigdata.py"}


@pytest.mark.slow
@pytest.mark.skipif(why_not_debian() is not None, reason=str(why_not_debian()))
@pytest.mark.parametrize("user", ["root", "nobody"])
def test_the_walls_hold_with_the_python_of_debian(user: str) -> None:
    if user == "nobody" and why_not_nobody():
        pytest.skip(str(why_not_nobody()))
    command = [_DEBIAN, "-m", "agt_tournament", "action=sandbox_check"]
    environment = {**nobodys_environment(), "PYTHONPATH": _debian_path()}
    run = subprocess.run(
        as_nobody(*command) if user == "nobody" else command, cwd=REPO, env=environment, capture_output=True, text=True
    )
    assert all(f"{tier} holds" in run.stdout for tier in HOLDING), run.stdout + run.stderr
    unreviewed_lines = [line for line in run.stdout.splitlines() if line.startswith("    ")]
    busy = "    moving status: "  # others may be at work on this machine, and landlock does not govern stat
    assert [line for line in unreviewed_lines if ": " in line and not line.startswith(busy)] == [], run.stdout
    assert "cannot be walked" not in run.stdout
    assert run.returncode == int(any(line.startswith(busy) for line in unreviewed_lines)), run.stdout + run.stderr


def open_a_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let agents write below `folder`, in namespaces too."""
    rights, bubblewrap = sandboxes._rights, sandboxes._bubblewrap

    def command(submission: Path, information: int) -> Iterator[str]:
        arguments = list(bubblewrap(submission, information))
        place = arguments.index("--remount-ro", arguments.index("--chdir") - 2)
        for parent in reversed(folder.parents[:-1]):
            arguments[place:place] = ["--dir", str(parent)]
            place += 2
        yield from (*arguments[:place], "--bind", str(folder), str(folder), *arguments[place:])

    monkeypatch.setattr(sandboxes, "_rights", lambda submission: [*rights(submission), (str(folder), ALL_RIGHTS)])
    monkeypatch.setattr(sandboxes, "_bubblewrap", command)
    monkeypatch.setattr(sandboxes, "_COVERED", ())  # root's landlock tier makes all else read-only together with these


def allow_a_call(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Have the filter let a call through."""
    monkeypatch.setattr(seccomp_policy, "ALLOWED", (*seccomp_policy.ALLOWED, name))
    monkeypatch.setattr(seccomp_policy, "compiled", seccomp_policy.compiled.__wrapped__)


def test_the_check_warns_of_what_is_open_and_runs_use_the_tier(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No promise is about getpriority, and no line of the list."""
    allow_a_call(monkeypatch, "getpriority")
    why_not.cache_clear()
    try:
        assert perform(competition_tree("action=sandbox_check")) == 1
        assert [tier for tier in TIERS[:-1] if why_not(tier) is None] == HOLDING
    finally:
        why_not.cache_clear()
    shown = capsys.readouterr().out
    assert "system call: getpriority (" in shown
    for tier in HOLDING:
        assert f"{tier} holds\n  warning: something is open that nobody has reviewed" in shown
    assert f"sandbox=auto is {HOLDING[0]}" in shown
    assert "runs still use" in shown
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("broken", [TIERS[:1], TIERS[:2]])
def test_the_check_fails_only_if_no_tier_holds(
    broken: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def checked(sandbox: Sandbox) -> Checked:
        keyctl = "it did" if sandbox.name in broken else None
        return Checked(sandbox, {"held": {"keyctl": keyctl}, "works": "yes", "error": None})

    monkeypatch.setattr("agt_tournament.actions.sandbox_check.check", checked)
    assert perform(competition_tree("action=sandbox_check")) == int(len(broken) == 2)
    shown = capsys.readouterr().out
    assert "bubblewrap does not hold: does not prevent keyctl" in shown
    assert ("no tier holds. Remedy: " if len(broken) == 2 else "sandbox=auto is landlock") in shown


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"proc/meminfo": "MemTotal: 9000000 kB\nMemAvailable: 2097152 kB\n"}, None),
        ({"proc/meminfo": "MemAvailable: 1048576 kB\n"}, "memory available: 1,024 MB"),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n"}, None),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.max": "1073741824\n"}, "control group: 1,024 MB"),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1073741824\n"}, "control group: 1,024 MB"),
        (
            {
                "proc/self/cgroup": "3:memory:/a\n2:cpu:/b\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824\n",
            },
            "control group: 1,024 MB",
        ),
        ({}, None),
    ],
)
def test_too_little_memory_is_told(files: dict[str, str], expected: str | None, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    warning = too_little_memory(256, root=tmp_path)
    if expected is None:
        assert warning is None
    else:
        assert warning is not None
        assert f"{expected}; 5 agents may need 1,792 MB" in warning
        assert len(warning) <= 80


# --- the list --------------------------------------------------------------------------------------------


def test_every_line_of_the_list_is_explained_once() -> None:
    lines = reviewed_list()
    assert len({(line.kind, line.name, line.tiers) for line in lines}) == len(lines)
    for line in lines:
        assert len(line.why.split()) > 3, line
        assert set(line.tiers) <= {"bubblewrap", "landlock"}


@pytest.mark.parametrize("entry", ["{open: [read]}", "{open: [read], why: ''}", "{open: [read], why: it is, on: 1}"])
def test_a_line_without_an_explanation_is_refused(entry: str, tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    path.write_text(f"system call:\n  - {entry}\n")
    with pytest.raises(ValueError, match="expected open, why"):
        reviewed_list(path)


def test_what_is_new_and_what_is_stale_is_named() -> None:
    line = Reviewed("readable", "/usr/*", "These are public.", tiers=("landlock",))
    walked = Walked("landlock", 1, 2, 0.1, [Opening("readable", "/usr/lib/x"), Opening("readable", "/etc/shadow")])
    assert [opening.name for opening in unreviewed(walked, [line])] == ["/etc/shadow"]
    assert len(unreviewed(replace(walked, tier="bubblewrap"), [line])) == 2
    assert stale([walked], [line]) == []
    assert stale([replace(walked, tier="bubblewrap")], [line]) == [line]
    assert stale([], [replace(line, sometimes=True)]) == []
    assert "/usr/*" in described_stale([line])
    assert described_stale([]) == ""
    assert "readable: /etc/shadow" in described(walked)
    assert Walked.from_json(walked.as_json()) == walked


@pytest.mark.slow
@pytest.mark.skipif(why_not_nobody() is not None, reason=str(why_not_nobody()))
def test_all_that_is_open_is_on_the_list_and_the_list_holds_nothing_else() -> None:
    walks = [*walls.walked_by("root", list(walls.WALK)), *walls.walked_by("nobody", as_nobody(*walls.WALK))]
    assert {walked.tier: unreviewed(walked) for walked in walks} == {tier: [] for tier in HOLDING}
    assert stale(walks) == []
    assert all(walked.paths > 1000 and walked.calls > 1000 for walked in walks)


# --- what is tried ---------------------------------------------------------------------------------------


def test_every_number_is_tried_and_names_come_from_libseccomp() -> None:
    steps = all_steps()
    assert {step["number"] for step in steps if step["way"] == "syscall"} >= set(range(1024))
    assert system_call_name(1023) == "number 1023"
    assert len({step["label"] for step in steps[:1024]}) == 1024


def test_paths_of_the_machine_are_tried() -> None:
    names = set(names_of_paths())
    assert {"/", "/proc/sys/kernel/core_pattern", "/dev/null", "/etc/passwd", "/proc/self/mem"} <= names
    assert any(name.startswith("/sys/") for name in names)
