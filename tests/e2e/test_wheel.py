"""The wheel alone is the product: it runs from anywhere, with nothing of the checkout beside it."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path) -> str:
    """Output of a command that must succeed, run without our import path and with downloads refused."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**environment, "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=REPO)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`bin/` of an environment with the wheel, which borrows the dependencies of this one.

    A .pth file lends a folder but not the .pth files inside it, so the editable install stays behind.
    """
    root = tmp_path_factory.mktemp("clean")
    venv.create(root, with_pip=True)
    python = root / "bin" / "python"
    purelib = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=root).strip()
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=root)
    # Lent only now: pip would take the editable install for an older version and try to remove it.
    Path(purelib, "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python.parent


def test_wheel_carries_everything_the_code_reads(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    for package in ("agt_tournament", "diffusion_auction", "generative_auctions", "hydra_plugins", "launchers"):
        assert files(REPO / package, package) <= inside
    assert files(REPO / "conf", "generative_auctions/conf") <= inside

    assert "generative_auctions/conf/diffusion_auction.yaml" in inside
    weights = {name for name in inside if name.startswith("diffusion_auction/tiny_flux/weights/")}
    assert any(name.endswith(".safetensors") for name in weights)
    assert any(name.endswith((".jinja", ".jinja2", ".j2", ".html")) for name in inside)


def files(folder: Path, prefix: str) -> set[str]:
    """What lies in `folder`, by the names it should have in the wheel."""
    return {
        f"{prefix}/{path.relative_to(folder).as_posix()}"
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_only_the_wheel_is_imported(installed: Path, tmp_path: Path) -> None:
    for package in ("agt_tournament", "diffusion_auction", "generative_auctions", "launchers"):
        found = run(installed / "python", "-c", f"import {package}; print({package}.__file__)", cwd=tmp_path)
        assert Path(found.strip()).is_relative_to(installed.parent)


def test_help_from_anywhere(installed: Path, tmp_path: Path) -> None:
    run(installed / "python", "-m", "diffusion_auction", "--help", cwd=tmp_path)
    run(installed / "diffusion-auction", "--help", cwd=tmp_path)
    run(installed / "auction-launchers", "--help", cwd=tmp_path)


def test_a_competition_from_anywhere(installed: Path, tmp_path: Path) -> None:
    run(installed / "agt-tournament", "--help", cwd=tmp_path)
    run(installed / "agt-tournament", "stage=1", "tournament.games=1", f"run_dir={tmp_path / 'run'}", cwd=tmp_path)
    assert (tmp_path / "run" / "analytics" / "competition_report.html").is_file()
    run(installed / "agt-tournament", "action=replay", "rerun=true", f"run_dir={tmp_path / 'run'}", cwd=tmp_path)


def test_a_multirun_from_anywhere(installed: Path, tmp_path: Path) -> None:
    asked = ("stage=1", "tournament.games=1", "hydra/launcher=submitit_local", f"run_dir={tmp_path / 'runs'}")
    run(installed / "agt-tournament", "-m", "seed=1,2", *asked, cwd=tmp_path)
    assert (tmp_path / "runs" / "sweep.csv").read_text().count(",done,") == 2


def test_plan_from_anywhere(installed: Path, tmp_path: Path) -> None:
    run(installed / "diffusion-auction", "action=plan", f"run_dir={tmp_path / 'run'}", cwd=tmp_path)


def test_an_auction_from_anywhere(installed: Path, tmp_path: Path) -> None:
    run(installed / "diffusion-auction", "samples=2", f"run_dir={tmp_path / 'run'}", cwd=tmp_path)
    assert (tmp_path / "run" / "report.html").is_file()
