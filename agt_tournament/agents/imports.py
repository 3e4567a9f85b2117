"""How a submission is imported: its own ``.py`` source from its own folder, and nothing else that lies there.

Standard library only. Whether a name is a submission's own is decided by `is_own`, here and where submissions are read.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import CodeType, ModuleType

from agt_tournament import base_agent
from agt_tournament.agents import protocol

_TAKEN = {"base_agent", "agt_tournament", "__main__", "test", *protocol.LIBRARIES, *sys.stdlib_module_names}
"""``test`` is a package of the standard library that its own list leaves out."""


def is_own(module: str) -> bool:
    """Whether a top-level module of this name may be the submission's: it never hides one that others import."""
    return module not in _TAKEN


def load_submission(folder: str) -> ModuleType:
    """Import ``bidding_agent.py`` of `folder`, whose other modules and packages can be imported from then on."""
    sys.modules["base_agent"] = base_agent  # as the design document calls it
    sys.meta_path.insert(0, OwnModules(folder))
    return importlib.import_module(protocol.SUBMISSION)


class OwnModules(MetaPathFinder):
    """Finds the modules of a submission: ``.py`` files, and folders of them with or without an ``__init__.py``.

    It stands before Python's own finders, which would also take compiled code, and knows no name that is theirs. They
    look for the modules of a package in its ``__path__``: packages that are found here have an empty one.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The file or, where there is none, the folder called `name`; None for whatever is not the submission's."""
        if not is_own(name.partition(".")[0]):
            return None
        place = os.path.join(self._folder, *name.split("."))
        for file, is_package in ((f"{place}.py", False), (os.path.join(place, "__init__.py"), True)):
            if os.path.isfile(file):
                spec = ModuleSpec(name, _Source(name, file), origin=file, is_package=is_package)
                spec.has_location = True
                return spec
        return ModuleSpec(name, None, is_package=True) if os.path.isdir(place) else None


class _Source(SourceFileLoader):
    """Compiles the source that it reads; cached bytecode may be that of another source."""

    def get_code(self, fullname: str) -> CodeType:
        file = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(file), file)
        return code
