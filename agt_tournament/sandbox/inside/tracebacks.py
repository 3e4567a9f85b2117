"""Where in a submission something went wrong, as tracebacks show places; standard library only."""

from __future__ import annotations

import inspect
import linecache
import os
import traceback
from typing import Any

IN_FILE = '  File "'
"""The beginning of a traceback's line that names a place."""

_OUTER_FRAMES, _INNER_FRAMES = 3, 12


def traceback_in(folder: str, error: BaseException) -> str:
    """Return the traceback of `error` as far as it lies in `folder`."""
    described = traceback.TracebackException.from_exception(error, compact=True)
    own = [frame for frame in described.stack if _is_own(frame.filename, folder)]
    for frame in own:
        frame.filename = os.path.relpath(frame.filename, folder)
    described.stack[:] = own[:_OUTER_FRAMES] + own[_OUTER_FRAMES:][-_INNER_FRAMES:]  # the text is cut at its end
    if isinstance(error, SyntaxError) and described.filename and _is_own(described.filename, folder):
        described.filename = os.path.relpath(described.filename, folder)  # it has its place in itself
    return "".join(described.format(chain=False)).rstrip()


def place_in(folder: str, agent_class: Any, method: str) -> str:
    """Return the first line of `method`, or of `agent_class` if it is inherited, as a traceback shows places."""
    function = inspect.unwrap(getattr(agent_class, method))
    code = getattr(function, "__code__", None)
    if code and _is_own(code.co_filename, folder):
        file, line, name = code.co_filename, code.co_firstlineno, method
    else:
        file, line, name = inspect.getfile(agent_class), inspect.getsourcelines(agent_class)[1], agent_class.__name__
    source = linecache.getline(file, line).strip()
    return f'\n{IN_FILE}{os.path.relpath(file, folder)}", line {line}, in {name}\n    {source}'


def _is_own(file: str, folder: str) -> bool:
    return file.startswith(folder + os.sep)
