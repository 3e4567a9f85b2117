"""What the applications and the launchers share: schema, errors, run directories, pages, the command line.

It knows neither application. Its public names are imported when first asked for: the command line needs Hydra, figures
need Matplotlib.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "Application": "command_line",
    "run_application": "command_line",
    "CommandEnd": "errors",
    "RequestError": "errors",
    "DamagedFileError": "files",
    "Section": "schema",
    "read_config": "schema",
    "config_identity": "schema",
}
"""The module of each public name."""

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
