"""What an agent may import beside the standard library, and its own random numbers; standard library only."""

from __future__ import annotations

import os
import random
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import spec_from_file_location
from types import ModuleType
from typing import Any

from agt_tournament.agents import protocol


class Libraries(MetaPathFinder):
    """Finds the few installed libraries that agents may import; seeds numpy whenever an agent comes to load it."""

    seed = 0

    def __init__(self, folders: list[str]) -> None:
        self._folders = folders

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """The library `name`; None for whatever else is installed beside it."""
        if name == "numpy.random":
            return _seeding(PathFinder.find_spec(name, path, target))
        if path is None and name in protocol.LIBRARIES:
            for folder in self._folders:  # asked for by its path: the folder itself may not be readable
                package = os.path.join(folder, name)
                if os.path.exists(os.path.join(package, "__init__.py")):
                    place = os.path.join(package, "__init__.py")
                    return spec_from_file_location(name, place, submodule_search_locations=[package])
        return None


def seed_randomness(seed: int) -> None:
    """Seed the agent's own `random` and, as soon as it is there, numpy."""
    random.seed(seed)
    Libraries.seed = seed
    if numpy_random := sys.modules.get("numpy.random"):
        _seed_numpy(numpy_random)


def _seed_numpy(numpy_random: Any) -> None:
    numpy_random.seed([Libraries.seed >> shift & 0xFFFFFFFF for shift in range(0, 256, 32)])


def _seeding(spec: ModuleSpec | None) -> ModuleSpec | None:
    """`spec` of numpy.random, whose global state is seeded as soon as it has been executed."""
    loader: Any = spec and spec.loader
    if loader is not None:
        execute = loader.exec_module

        def execute_and_seed(module: ModuleType) -> None:
            execute(module)
            _seed_numpy(module)

        loader.exec_module = execute_and_seed
    return spec
