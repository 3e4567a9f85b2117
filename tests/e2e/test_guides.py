"""README and every guide, executed top to bottom in one clean folder, without a reset between commands."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from tests import guides
from tests.slurm_lab import SlurmLab
from tests.support import REPO, environment
from tests.warm import Server

pytestmark = pytest.mark.slow

GUIDES = (
    "README.md",
    *(f"docs/{name}.md" for name in ("commands", "team", "staff", "researcher", "workstation", "weights")),
    *(f"docs/{name}.md" for name in ("cluster", "contributing", "security")),
)
"""In this order, in the same folder; docs/results.md is made by a program and docs/dependencies.md has no commands."""

PLACEHOLDERS = (
    ("docs/commands.md", "scores=FILE", "scores=outputs/diffusion_auction/two_agent_grid/scores.parquet"),
    ("docs/commands.md", "runs=[DIR,DIR]", '"runs=[$(run_directory 1),$(run_directory 2)]"'),
    ("docs/commands.md", "teams_dir=DIR run_dir=DIR", "teams_dir=submissions run_dir=course"),
    ("docs/commands.md", "agent=DIR", "agent=submissions/night_owls"),
    ("docs/commands.md", "my_agent/", "submissions/night_owls/"),
    ("docs/commands.md", "action=replay run_dir=DIR", "action=replay run_dir=course"),
    ("docs/commands.md", "status DIR", "status outputs/diffusion_auction/two_agent_grid"),
    ("docs/researcher.md", "scores=scores.csv", "scores=outputs/diffusion_auction/two_agent_grid/scores.parquet"),
    ("docs/researcher.md", "runs=[DIR,DIR,…]", '"runs=[$(run_directory 1),$(run_directory 2)]"'),
    ("docs/commands.md", "launcher.partition=gpu", "launcher.partition=main"),
    ("docs/cluster.md", "partition=gpu", "partition=main"),
    ("docs/cluster.md", "--partition=cpu", "--partition=main"),
    ("docs/cluster.md", "memory: 64", "memory: 2"),
    ("docs/cluster.md", "cpus: 8", "cpus: 2"),
    ("docs/cluster.md", "memory=8", "memory=2"),
    ("docs/cluster.md", "--mem=8G", "--mem=2G"),
    ("docs/cluster.md", "partition: gpu", "partition: main"),
    ("docs/cluster.md", "sbatch ", "sbatch --wait "),
    (
        "docs/cluster.md",
        "/shared/you/grid SHARD",
        '/shared/you/try "$(head -n 1 shared/try/shards/generate/shards.txt)"',
    ),
    ("docs/cluster.md", "status /shared/you/grid", "status /shared/you/try"),
    ("docs/cluster.md", "cancel /shared/you/grid", "cancel /shared/you/try"),
    ("docs/cluster.md", "/shared/you", "$PWD/shared"),
    ("docs/weights.md", "/shared/me", "$PWD/shared"),
)
"""By guide what stands for something of the reader's, and what it is here; each is replaced wherever it stands."""

FILES: dict[str, str | dict[str, str]] = {
    "json": "mine.json",
    "yaml": {"docs/staff.md": "teams.yaml", "docs/cluster.md": "my_conf/launcher/ours.yaml"},
}
"""Where the reader puts a block that is a file, seen from the folder."""

COMPILED_ONLY = {"docs/contributing.md": "an excerpt of a test, which needs its fixtures"}
"""Guides whose Python blocks are compiled and not run."""

PRELUDE = """
set -eu
git() { if [ "$1" = clone ]; then ln -s . "${@: -1}"; else command git "$@"; fi; }
run_directory() { ls -td outputs/diffusion_auction/*/metrics.json | sed -n "$1"p | xargs dirname; }
"""
"""A clone is the folder itself. `run_directory N`: that of the N-th latest finished run of the image auction."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone after `make setup`, with two submissions."""
    clone = tmp_path_factory.mktemp("g") / "a"
    listed = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=REPO, capture_output=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (REPO / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPO / name, clone / name)
    scripts = clone / ".venv" / "bin"
    scripts.mkdir(parents=True)
    for program in guides.PROGRAMS:
        (scripts / program).write_text(guides.STAND_IN)
        (scripts / program).chmod(0o755)
    (scripts / "activate").write_text(f'PATH="{scripts}:$PATH"\n')
    (scripts.parent / ".ready").touch()
    for team in ("night_owls", "rainy_day"):
        (clone / "submissions" / team).mkdir(parents=True)
        shutil.copy(REPO / "agt_tournament/agents/template.py", clone / "submissions" / team / "bidding_agent.py")
    return clone


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    """Start the server that runs the commands of the guides."""
    started = Server(environment() | {"PYTHONPATH": str(folder)}, folder, "tests.guides")
    yield started
    started.close()


def session(guide: str) -> str:
    """`guide` as one shell session, which says before each block at which line it is."""
    lines = [PRELUDE]
    for block in guides.blocks((REPO / guide).read_text()):
        lines.append(f"echo '--- {guide}:{block.line}'")
        text = block.text
        for _, name, value in filter(lambda each: each[0] == guide, PLACEHOLDERS):
            text = text.replace(name, value)
        if block.language == "":
            lines.append(text)
        elif block.language == "python":
            compile(text, f"{guide}:{block.line}", "exec")
            if guide not in COMPILED_ONLY:
                lines.append(f"python -c {shlex.quote(text)}")
        elif block.language in FILES:
            where = FILES[block.language]
            name = where if isinstance(where, str) else where[guide]
            lines.append(f"mkdir -p $(dirname {name}); cat > {name} <<'END'\n{text}END")
        else:
            assert block.language == "text", f"{guide}:{block.line}: a block is shell, python, json, yaml or text"
    return "\n".join(lines)


@pytest.mark.parametrize("guide", GUIDES)
def test_every_command_of_the_guide_works(
    guide: str, folder: Path, server: Server, request: pytest.FixtureRequest
) -> None:
    commands = session(guide)
    lab: SlurmLab | None = request.getfixturevalue("slurm_lab") if "slurm" in commands else None
    variables = (lab.environment if lab else dict(os.environ)) | environment() | {"PYTHONPATH": str(folder)}
    variables[guides.SOCKET] = str(server.path)
    variables["PATH"] = f"{folder}/.venv/bin:{os.environ['PATH']}"
    if lab:
        variables["SLURM_CONF"] = lab.environment["SLURM_CONF"]
    done = subprocess.run(
        ["bash", "-c", commands], cwd=folder, env=variables, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert "Traceback" not in done.stderr


def test_every_guide_is_executed() -> None:
    made = {"docs/results.md", "docs/dependencies.md"}
    assert {"README.md", *(f"docs/{path.name}" for path in (REPO / "docs").glob("*.md"))} - made == set(GUIDES)


@pytest.mark.parametrize("guide", GUIDES)
def test_every_override_that_is_mentioned_parses(guide: str) -> None:
    """In the text and in tables: shell words that look like `key=value`."""
    prose = re.sub(r"^```.*?^```", "", (REPO / guide).read_text(), flags=re.MULTILINE | re.DOTALL)
    for span in re.findall(r"`([^`\n]+)`", prose):
        if re.match(r"(\+?[a-z][\w./@]*=\S)", span) and "…" not in span:
            words = [word for word in shlex.split(span) if not word.startswith("-")]
            OverridesParser.create().parse_overrides(words)
