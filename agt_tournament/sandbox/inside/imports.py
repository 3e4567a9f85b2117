"""How a submission is imported: its own ``.py`` source from its own folder, and nothing else that lies there.

Standard library only. Whether a name is a submission's own is decided by `is_own`, here and where submissions are read.
"""

from __future__ import annotations

import codecs
import importlib
import os
import re
import sys
import tokenize
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from io import BytesIO
from types import CodeType, ModuleType

from agt_tournament import base_agent
from agt_tournament.sandbox.inside import protocol

_OF_LIBRARIES = (
    "cython_runtime",
    "_cytest",
    "_cyutility",
    "_csparsetools",
    "_moduleTNC",
    "_ni_label",
    *protocol.LIBRARIES,
)
"""The names in `sys.modules` after importing all of numpy and scipy, apart from those with `_CYTHON`."""
_CYTHON = "_cython_"
_TAKEN = {"base_agent", "agt_tournament", "__main__", "__mp_main__", "test", *_OF_LIBRARIES, *sys.stdlib_module_names}
"""``test`` is a package of the standard library that its own list leaves out."""
_ENCODINGS = ("utf-8", "utf-8-sig", "ascii", "iso8859-1", "iso8859-15", "cp1252")
"""The encodings that a module may have. Python's others decode slowly, or to other text than a reader sees."""
_MISLEADING = re.compile("\r(?!\n)|[\u202a-\u202e\u2066-\u2069]")
"""A carriage return that ends a line for Python alone, and marks that reverse the direction of text."""


def is_own(module: str) -> bool:
    """Whether a top-level module of this name may be the submission's: it never hides one that others import."""
    return module not in _TAKEN and not module.startswith(_CYTHON)


def misleading(source: bytes) -> str:
    """Say why a reader may see another text in the module `source` than Python does; empty if not."""
    try:
        encoding, _ = tokenize.detect_encoding(BytesIO(source).readline)  # as PEP 263 has it
        if codecs.lookup(encoding).name not in _ENCODINGS:
            return f"its text in the encoding {encoding} may not be what a reader sees"
        text = source.decode(encoding)
    except (SyntaxError, UnicodeDecodeError):
        text = "\0"
    if "\0" in text:
        return "it is not text that Python can read"
    if sign := _MISLEADING.search(text):
        return f"the sign U+{ord(sign[0]):04X} in it may show a reader other lines, or another order, than Python reads"
    return ""


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
        """Find the file or the folder called `name`; None for whatever is not the submission's."""
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
    """Compiles the source that it reads, as cached bytecode may be that of another one; none that misleads readers."""

    def get_code(self, fullname: str) -> CodeType:
        file = self.get_filename(fullname)
        source = self.get_data(file)
        code: CodeType = self.source_to_code(source, file)
        if problem := misleading(source):
            raise SyntaxError(f"{problem}; save it as plain UTF-8", (file, 1, 1, None))
        return code
