"""Errors that are told to the user in a message instead of a traceback."""

from __future__ import annotations

import logging
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any


class CommandEnd(Exception):
    """End a command with a message for the user instead of a traceback, and with `exit_status`."""

    exit_status = 1


class RequestError(CommandEnd, ValueError):
    """The request is wrong: one line that names the key, its value and what would be valid (exit status 2).

    `details` are further lines, for what one line cannot hold: the keys in which two configurations differ.
    """

    exit_status = 2

    def __init__(self, key: str, value: object, expected: str, details: Sequence[str] = ()) -> None:
        self.key, self.value, self.expected, self.details = key, value, expected, details
        line = " ".join(f"{key} = {value}: expected {expected}".split())
        super().__init__("\n  ".join([line, *details]))

    def __reduce__(self) -> Any:
        """Pickle the error by its arguments, for it may come from another process."""
        return type(self), (self.key, self.value, self.expected, self.details)


@contextmanager
def refusing(key: str, value: object, expected: str) -> Iterator[None]:
    """Turn every failure inside into a `RequestError` for `value`, given for `key`, with the reason.

    For loading what a user named. Logs and warnings of libraries are muted meanwhile: the one line is enough.
    """
    quiet = logging.root.manager.disable
    logging.disable()
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except Exception as error:  # loaders of foreign files raise errors of any class
        reason = textwrap.shorten(f"{type(error).__name__}: {error}", 300)
        raise RequestError(key, value, f"{expected} ({reason})") from error
    finally:
        logging.disable(quiet)
