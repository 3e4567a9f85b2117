"""The public names of a package whose modules are slow to load."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazily(package: str, names: Mapping[str, Sequence[str]]) -> tuple[list[str], Callable[[str], Any]]:
    """Import each public name of `package` when it is first asked for.

    Args:
        package: `__name__` of the package.
        names: the public names by the module that defines them, relative to the package.

    Returns:
        `__all__` and `__getattr__` of the package.
    """
    homes = {name: module for module, own in names.items() for name in own}

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{homes[name]}"), name)

    return sorted(homes), get
