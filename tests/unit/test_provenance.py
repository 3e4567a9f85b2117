"""What is said of where a result comes from, and that no secret is in it."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from generative_auctions import provenance as module
from generative_auctions.provenance import LONGEST_DIFF, overridden, provenance, worker_provenance
from generative_auctions.secrets import masked, masked_arguments

TOKEN = "hf_" + "aBcD1234" * 4


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A file that is tracked in a repository of its own, with a remote whose address has a password."""
    file = tmp_path / "repository" / "package" / "code.py"
    file.parent.mkdir(parents=True)
    file.write_text("x = 1\n")
    for words in (
        ["init", "--quiet"],
        ["remote", "add", "origin", f"https://me:{TOKEN}@example.org/code.git"],
        ["add", "."],
        ["-c", "user.name=n", "-c", "user.email=e@example.org", "commit", "--quiet", "-m", "first"],
    ):
        subprocess.run(["git", "-C", str(tmp_path / "repository"), *words], check=True)
    return file


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host with two GPUs, as nvidia-smi tells of them."""
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n"
        "echo '0, NVIDIA H200, GPU-aaaa-1111, 570.86.10, 143771 MiB'\n"
        "echo '1, NVIDIA H200, GPU-bbbb-2222, 570.86.10, 143771 MiB'\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    module._gpus.cache_clear()
    monkeypatch.setattr(module, "_gpus", module._gpus.__wrapped__)


def test_a_run_says_where_it_comes_from() -> None:
    said = provenance(7)
    assert said["seed"] == 7
    assert {"time", "command", "git", "python", "packages", "host", "devices", "gpus", "slurm"} <= said.keys()
    assert said["packages"]["numpy"]
    json.dumps(said, allow_nan=False)


def test_how_sums_are_rounded_is_stored_of_runs_and_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKL_CBWR", "AVX2,STRICT")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    unset = {"MKL_NUM_THREADS": None, "OPENBLAS_NUM_THREADS": None}
    for said in (provenance(7), worker_provenance()):
        assert said["rounding"] == {"MKL_CBWR": "AVX2,STRICT", "OMP_NUM_THREADS": "3", **unset}


def test_a_worker_leaves_the_text_of_the_changes_out() -> None:
    said = worker_provenance()
    assert said["git"] is None or said["git"]["diff"].keys() == {"sha256", "bytes"}
    assert {"packages", "host", "gpus", "cuda_visible_devices", "slurm"} <= said.keys()


def test_overrides_are_those_of_the_job_and_masked() -> None:
    with overridden(["seed=1"]):
        with overridden(["seed=2", f"hub.token={TOKEN}"]):
            assert provenance(2)["overrides"] == ["seed=2", "hub.token=***"]
        assert provenance(1)["overrides"] == ["seed=1"]
    assert provenance(0)["overrides"] is None


def test_the_command_is_named_as_it_was_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/somewhere/diffusion_auction/__main__.py", "seed=1", f"x={TOKEN}"])
    assert provenance(1)["command"] == "python -m diffusion_auction seed=1 'x=***'"
    monkeypatch.setattr("sys.argv", ["/bin/agt-tournament", "stage=1"])
    assert provenance(1)["command"] == "agt-tournament stage=1"


def test_changes_of_tracked_files(checkout: Path) -> None:
    clean = module._git(checkout)
    assert clean is not None
    assert len(clean["commit"]) == 40
    assert clean["remote"] == "https://***@example.org/code.git"
    assert (clean["changed_files"], clean["diff"]["bytes"], clean["diff"]["text"]) == ([], 0, "")

    checkout.write_text(f"x = 2\nlogin({TOKEN!r})\n")
    changed = module._git(checkout)
    assert changed is not None
    raw = subprocess.run(["git", "-C", str(checkout.parent), "diff", "HEAD"], capture_output=True, check=True).stdout
    assert changed["changed_files"] == ["package/code.py"]
    assert changed["diff"]["sha256"] == hashlib.sha256(raw).hexdigest()
    assert "+x = 2" in changed["diff"]["text"]
    assert TOKEN not in json.dumps(changed)
    assert changed["diff"]["masked"]


def test_of_many_changes_there_is_only_the_digest(checkout: Path) -> None:
    checkout.write_text("y = 1\n" * LONGEST_DIFF)
    changed = module._git(checkout)
    assert changed is not None
    assert changed["diff"].keys() == {"sha256", "bytes"}
    assert changed["diff"]["bytes"] > LONGEST_DIFF


def test_what_is_installed_inside_of_another_checkout_is_not_of_it(checkout: Path, tmp_path: Path) -> None:
    installed = checkout.parent / "site-packages" / "code.py"
    installed.parent.mkdir()
    installed.touch()
    assert module._git(installed) is None
    assert module._git(tmp_path / "code.py") is None


@pytest.mark.usefixtures("gpus")
@pytest.mark.parametrize(
    ("visible", "found"),
    [
        (None, ["0", "1"]),
        ("1", ["1"]),
        ("GPU-aaaa", ["0"]),
        ("GPU-bbbb-2222,GPU-aaaa-1111", ["0", "1"]),
        ("MIG-1234", ["0", "1"]),  # a part of one of them
        ("", ["0", "1"]),
    ],
)
def test_a_worker_names_the_gpus_that_it_is_pinned_to(
    visible: str | None, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    said = worker_provenance()
    assert [gpu["index"] for gpu in said["gpus"]] == found
    assert said["gpus"][0]["driver"] == "570.86.10"
    assert said["cuda_visible_devices"] == visible


def test_the_environment_is_read_by_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("SLURM_JWT", "secret-of-slurm")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    said = worker_provenance()
    assert said["slurm"].items() >= {"job_id": "17", "array_task_id": "3", "restart_count": "1"}.items()
    assert TOKEN not in json.dumps(said)
    assert "secret-of-slurm" not in json.dumps(said)


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["seed=1", "samples=2"], ["seed=1", "samples=2"]),
        (["model.hub_token=abc"], ["model.hub_token=***"]),
        (["+api_key=abc", "key=abc", "launcher.password=x"], ["+api_key=***", "key=***", "launcher.password=***"]),
        (["--token", "abc", "seed=1"], ["--token", "***", "seed=1"]),
        (["--token=abc"], ["--token=***"]),
        (["tournament.monkey=3"], ["tournament.monkey=3"]),
        ([f"launcher.setup=[export HF_TOKEN={TOKEN}]"], ["launcher.setup=[export HF_TOKEN=***]"]),
        (["launcher.setup=['export DB_PASSWORD=hunter2']"], ["launcher.setup=['export DB_PASSWORD=***']"]),
        (["url=https://user:pass@host/x"], ["url=https://***@host/x"]),
        (["launcher.additional={secret: swordfish}"], ["launcher.additional={secret: ***}"]),
    ],
)
def test_arguments_without_their_secrets(arguments: list[str], shown: list[str]) -> None:
    assert masked_arguments(arguments) == shown


@pytest.mark.parametrize(
    "secret",
    [
        TOKEN,
        "ghp_" + "a1B2" * 9,
        "sk-proj-" + "a1B2" * 9,
        "AKIA" + "ABCD1234" * 2,
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nMIIE\nabc",
    ],
)
def test_what_looks_like_a_secret_is_masked_wherever_it_stands(secret: str) -> None:
    assert masked(f"+a line with {secret}") == "+a line with ***"


def test_code_that_speaks_of_tokens_is_left_alone() -> None:
    text = "+def tokens(text: str) -> list[int]:\n+    return [token for token in words]\n-max_sequence_length: 256\n"
    assert masked(text) == text
