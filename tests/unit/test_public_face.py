"""The public names of every package: each exists and is described, and nobody reaches past them for a private one."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import agt_tournament
from diffusion_auction.images_extra import MODULES as IMAGE_MODULES
from tests.tournament import rules
from tests.unit.test_floors import MODULES, PACKAGES, ROOMS

FACES = [name for name, path in MODULES.items() if path.name == "__init__.py" and "__all__" in path.read_text()]
"""Packages with public names."""


def exported() -> Iterator[tuple[str, str]]:
    """Every package with each of its public names."""
    for package in FACES:
        try:
            names = import_module(package).__all__
        except ModuleNotFoundError as error:  # pipelines, without the extra `images`
            if error.name not in IMAGE_MODULES:
                raise
            continue
        yield from ((package, name) for name in names)


@pytest.mark.parametrize(("package", "name"), list(exported()))
def test_a_public_name_exists_and_is_described(package: str, name: str) -> None:
    try:
        value = getattr(import_module(package), name)
    except ModuleNotFoundError as error:
        if error.name not in IMAGE_MODULES:
            raise
        pytest.skip(f"needs the extra `images`: {error}")
    assert value.__doc__


def test_every_package_has_public_names() -> None:
    rooms = ("game", "report", "sandbox", "tournament.registration", "tournament.standings", "validation")
    assert {*PACKAGES, *(f"agt_tournament.{room}" for room in rooms)} <= set(FACES)


@pytest.mark.parametrize("package", [*PACKAGES, "agt_tournament.sandbox"])
def test_an_unknown_name_is_an_attribute_error(package: str) -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        import_module(package).nothing  # noqa: B018


# --- private names ---------------------------------------------------------------------------------------


def room(module: str) -> str:
    """The package that `module` belongs to; of the competition, which is held to more, the room in it."""
    package, _, rest = module.partition(".")
    rooms = [room for room in ROOMS[package] if rest == room or rest.startswith(f"{room}.")]
    return f"{package}.{max(rooms, key=len)}" if package == "agt_tournament" and rooms else package


def names_of(path: Path) -> Iterator[tuple[str, str]]:
    """Each module of this repository with a name that the file takes from it, by import or by attribute."""
    tree, known = ast.parse(path.read_text()), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES:
            for alias in node.names:
                yield str(node.module), alias.name
                known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Import):
            known |= {alias.asname or alias.name: alias.name for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (module := known.get(ast.unparse(node.value))) in MODULES:
            yield str(module), node.attr


def is_private(name: str) -> bool:
    """Whether the last or any other part of a dotted name is private."""
    return any(part.startswith("_") and not part.startswith("__") for part in name.split("."))


@pytest.mark.parametrize("module", MODULES)
def test_no_private_name_of_another_package_is_used(module: str) -> None:
    taken = [f"{source}.{name}" for source, name in names_of(MODULES[module]) if room(source) != room(module)]
    assert not [name for name in taken if is_private(name)]


# --- the competition -------------------------------------------------------------------------------------


def test_agents_that_import_the_package_load_the_standard_library_alone() -> None:
    code = (
        "import sys; import agt_tournament.base_agent, agt_tournament.sandbox.inside; "
        "loaded = {name.partition('.')[0] for name in sys.modules}; "
        "print(loaded - sys.stdlib_module_names - {'__main__', 'agt_tournament'})"
    )
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.append({str(ROOT)!r}); {code}"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "set()\n"


ROOT = Path(agt_tournament.__file__).parents[1]


class Truthful:
    """A bidder in this process."""

    def prepare(self, seed: Any) -> None:
        """There is no process."""

    def start_game(self, briefing: Mapping[str, Any]) -> Any:
        self.values = briefing["valuation_vector"]
        return agt_tournament.Answer(0.0)

    def notify(self, item_id: str, winning_team: str, price_paid: float) -> None:
        """It learns nothing."""

    def bid(self, item_id: str) -> Any:
        return agt_tournament.Answer(self.values[item_id])

    def end_game(self) -> Any:
        return agt_tournament.Answer(0.0)


def test_a_game_can_be_played_with_public_names_alone() -> None:
    seats = {"one": Truthful(), "two": Truthful()}
    composed = agt_tournament.compose("tournament.auction_rounds=4").tournament
    assert composed == rules(auction_rounds=4)
    result = agt_tournament.Game("game", "game", 0, seats, composed, agt_tournament.GameSeeds(1, 0, 1, 1)).play()
    assert len(result.auction_log) == 4
    assert not result.failures
    assert "truthful_bidder" in agt_tournament.examples()
