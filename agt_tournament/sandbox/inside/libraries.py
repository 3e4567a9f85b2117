"""What an agent may import beside the standard library and its own modules; standard library only."""

from __future__ import annotations

import os
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import spec_from_file_location
from typing import Any

from agt_tournament.sandbox.inside import protocol, randomness


class Libraries(MetaPathFinder):
    """Finds the few installed libraries that agents may import."""

    def __init__(self, folders: list[str]) -> None:
        self._folders = folders

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Find the library `name`; None for whatever else is installed beside it.

        Raises:
            ModuleNotFoundError: for a module whose random numbers do not follow from the agent's seed.
        """
        if name in randomness.UNSEEDED:
            library = randomness.UNSEEDED[name]
            raise ModuleNotFoundError(f"agents have no {library}: its random numbers cannot be repeated", name=name)
        if name in randomness.FOLLOWED:
            return randomness.followed(name, PathFinder.find_spec(name, path, target))
        if path is None and name in protocol.LIBRARIES:
            for folder in self._folders:  # asked for by its path: the folder itself may not be readable
                package = os.path.join(folder, name)
                if os.path.exists(os.path.join(package, "__init__.py")):
                    place = os.path.join(package, "__init__.py")
                    return spec_from_file_location(name, place, submodule_search_locations=[package])
        return None
