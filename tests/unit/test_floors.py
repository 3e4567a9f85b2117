"""The floors of the house: no import runs upward, between packages and inside them, not even one inside a function."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]

PACKAGES = ("generative_auctions", "launchers", "diffusion_auction", "agt_tournament")
"""From the ground up."""

ROOMS = {
    "generative_auctions": (
        *("lazy", "errors", "signals", "text", "terminal", "files", "secrets", "schema", "provenance", "plotting"),
        *("page", "run_directory", "config_tree", "command_line", "naming"),
    ),
    "launchers": (
        *("shards", "errors", "config", "devices", "worker_record", "leases", "squeue", "status"),
        *("progress", "worker", "time_limit", "worker_process", "staging", "backends", "supervisor", "fan_out"),
        *("join", "control", "sweep_table", "multirun", "__main__"),
    ),
    "diffusion_auction": (
        *("rounding", "images_extra", "columns", "config", "market", "mechanisms", "tiny_flux", "pipelines"),
        *("weights", "generation", "scoring", "evaluation", "tiny_flux.measure", "figures", "report", "actions"),
        "__main__",
    ),
    "agt_tournament": (
        *("base_agent", "agents", "headline", "config", "game", "sandbox", "tournament", "validation", "report"),
        *("actions", "__main__"),
    ),
}
"""The modules and folders of each package, from its ground floor up. Left out is the package's own `__init__`."""


def modules() -> dict[str, Path]:
    """Every module of the packages by its name."""
    found = {}
    for package in PACKAGES:
        for path in (REPO / package).rglob("*.py"):
            parts = path.relative_to(REPO).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imported(path: Path) -> Iterator[str]:
    """The modules of this project that the file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


IMPORTS = {
    name: {target for target in imported(path) if target.split(".")[0] in PACKAGES} for name, path in MODULES.items()
}


def floor(module: str) -> int | None:
    """The place of the room that `module` is in, or is, among those of its package; None for the package itself."""
    package, _, rest = module.partition(".")
    rooms = [room for room in ROOMS[package] if rest == room or rest.startswith(f"{room}.")]
    assert rooms or not rest, f"{module} is in no room that this test knows"
    return ROOMS[package].index(max(rooms, key=len)) if rooms else None


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_from_floors_below_its_own(module: str) -> None:
    package, own = module.split(".")[0], floor(module)
    for target in IMPORTS[module]:
        other = target.split(".")[0]
        if other != package:
            assert PACKAGES.index(other) < PACKAGES.index(package), f"{module} imports {target}"
            assert {package, other} != {"diffusion_auction", "agt_tournament"}, f"{module} imports {target}"
        elif own is not None and (below := floor(target)) is not None:
            assert below <= own, f"{module} imports {target}"


def test_no_import_leads_back_to_itself() -> None:
    try:
        TopologicalSorter({name: targets - {name} for name, targets in IMPORTS.items()}).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' → '.join(error.args[1])}")
