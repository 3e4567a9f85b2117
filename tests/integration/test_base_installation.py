"""The package without its extra `images`, and what of it does without Linux."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from agt_tournament.__main__ import perform
from agt_tournament.tournament.registration.unregistered import EXAMPLES
from diffusion_auction.images_extra import MODULES
from generative_auctions.errors import RequestError
from tests.support import REPO, environment

IMAGES_LOCK, BASE_LOCK = REPO / "requirements.lock", REPO / "requirements-competition.lock"

RUN_MODULES = """
import json, runpy, sys
for command in json.loads(sys.argv[1]):
    sys.argv = command
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code:
            raise
"""
"""What follows on a text that makes the interpreter lack something: commands until one fails."""

WITHOUT_IMAGES = f"""
import sys
from importlib.machinery import PathFinder
class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {MODULES} else super().find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = Without
"""

LIKE_MACOS = """
import os, signal, sys, sysconfig, time
sysconfig.get_config_vars()  # are found by the platform's name
sys.platform = "darwin"
sys.modules["pyseccomp"] = None
clock_gettime = time.clock_gettime
def only_own_clocks(clock):
    if clock < 0:
        raise OSError("no clocks of other processes")
    return clock_gettime(clock)
time.clock_gettime = only_own_clocks
linux = {os: ("sched_getaffinity", "sched_setaffinity", "sched_yield", "pidfd_open", "memfd_create", "getrandom"),
         signal: ("pidfd_send_signal", "sigtimedwait", "sigwaitinfo")}
for module, names in linux.items():
    for name in filter(vars(module).get, names):
        delattr(module, name)
"""

LIKE_WINDOWS = """
import os, signal, sys
sys.modules.update(dict.fromkeys(("fcntl", "grp", "pty", "pwd", "pyseccomp", "resource", "termios", "tty")))
unix = {os: ("chown", "geteuid", "getpgid", "getuid", "killpg", "mkfifo", "sched_getaffinity", "setsid", "statvfs"),
        signal: ("SIGALRM", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGKILL", "SIGSTOP", "SIGUSR1", "pthread_sigmask")}
for module, names in unix.items():
    for name in names:
        delattr(module, name)
"""

SCORES = """scenario,sample,bid_1,bid_2,alignment_1,alignment_2
0,0,1,0,.30,.20
0,0,0,1,.20,.31
0,0,1,1,.26,.27
"""


def run(lacking: str, *commands: tuple[str, ...], cwd: Path) -> subprocess.CompletedProcess[str]:
    """`python -m` of `commands` in one interpreter that lacks something; for macOS without /proc, if bwrap is there."""
    hides_proc = lacking is LIKE_MACOS and shutil.which("bwrap")
    hide = ("bwrap", "--dev-bind", "/", "/", "--tmpfs", "/proc") if hides_proc else ()
    python = [*hide, sys.executable, "-c", lacking + RUN_MODULES, json.dumps(commands)]
    return subprocess.run(python, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=300)


def succeeded(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_a_competition_without_the_image_models(tmp_path: Path) -> None:
    succeeded(run(WITHOUT_IMAGES, ("agt_tournament", "stage=1", "tournament.games=1", "run_dir=run"), cwd=tmp_path))
    assert (tmp_path / "run" / "analytics" / "competition_report.html").is_file()


def test_the_economics_of_recorded_scores_without_the_image_models(tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text(SCORES)
    evaluate = ("diffusion_auction", "action=evaluate", "scores=scores.csv")
    commands = (
        (*evaluate, "run_dir=recursive"),
        (*evaluate, "run_dir=additive", "composition=additive"),
        ("diffusion_auction", "action=report", "run_dir=additive"),
        ("diffusion_auction", "action=compare", "runs=[recursive,additive]", "run_dir=both"),
        ("diffusion_auction", "action=plan"),
    )
    said = succeeded(run(WITHOUT_IMAGES, *commands, cwd=tmp_path))
    for page in ("recursive/report.html", "additive/report.html", "both/comparison.html"):
        assert (tmp_path / page).is_file()
    assert "sample passes" in said


@pytest.mark.parametrize("asked", [(), ("action=fetch",)], ids=["run", "fetch"])
def test_what_needs_the_image_models_says_what_to_install(asked: tuple[str, ...], tmp_path: Path) -> None:
    done = run(WITHOUT_IMAGES, ("diffusion_auction", *asked), cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert 'pip install "generative-auctions[images]"' in done.stderr
    assert "make setup" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_pipeline_says_what_to_install(tmp_path: Path) -> None:
    script = WITHOUT_IMAGES + "\nimport diffusion_auction.pipelines"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert 'pip install "generative-auctions[images]"' in done.stderr.splitlines()[-1]


# --- the locks -------------------------------------------------------------------------------------------


def pins(lock: Path) -> dict[str, str]:
    """By package what the lock has: version, markers and hashes, without the comments."""
    text = re.sub(r"^ *#.*\n", "", lock.read_text(), flags=re.MULTILINE)
    entries = re.split(r"\n(?=\S)", text.strip())
    return {entry.partition("==")[0]: entry for entry in entries}


def distribution(requirement: str) -> str:
    return re.split(r"[^\w-]", requirement.replace("_", "-"))[0]


def test_the_base_is_a_part_of_the_whole_lock() -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    images = {distribution(each) for each in project["optional-dependencies"]["images"]}
    base, everything = pins(BASE_LOCK), pins(IMAGES_LOCK)
    assert {distribution(each) for each in project["dependencies"]} <= set(base)
    assert images <= set(everything) - set(base)
    for name, pin in base.items():
        assert name in everything
        assert pin == everything[name]
        assert "--hash=sha256:" in pin
    called = {"open_clip": "open-clip-torch", "dotenv": "python-dotenv"}
    assert images == {called.get(name, name.replace("_", "-")) for name in MODULES}


@pytest.mark.parametrize("lock", [IMAGES_LOCK, BASE_LOCK], ids=lambda lock: lock.name)
def test_a_lock_names_no_registry(lock: Path) -> None:
    assert "://" not in lock.read_text()


# --- other systems, as far as they can be pretended ------------------------------------------------------


def test_ones_own_agent_is_validated_without_linux(tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "template.py", tmp_path / "agent.py")
    asked = ("agt_tournament", "action=validate", "agent=agent.py")
    refused = run(LIKE_MACOS, asked, cwd=tmp_path)
    assert refused.returncode == 2
    assert "needs Linux" in refused.stderr
    assert "libseccomp" not in refused.stderr
    assert "i_trust_these_agents=true" in refused.stderr

    said = succeeded(run(LIKE_MACOS, (*asked, "i_trust_these_agents=true"), cwd=tmp_path))
    assert "sandbox: none" in said
    assert "without walls" in said
    assert "valid: agent.py" in said


def test_no_walls_without_linux(tmp_path: Path) -> None:
    done = run(LIKE_MACOS, ("agt_tournament", "action=sandbox_check"), cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.startswith("no tier holds: walls need Linux")


def test_on_windows_the_competition_names_wsl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(RequestError, match="WSL"):
        perform({})


def test_the_economics_need_nothing_of_unix(tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text(SCORES)
    succeeded(run(LIKE_WINDOWS, ("diffusion_auction", "action=evaluate", "scores=scores.csv"), cwd=tmp_path))
