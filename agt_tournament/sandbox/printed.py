"""What an agent prints and raises: cleaned, and kept only as far as its budget goes."""

from __future__ import annotations

import json
from bisect import bisect_right

_UNKNOWN = "?"  # of one byte, in JSON too: text does not grow when it is cleaned


class OverBudgetError(Exception):
    """The agent used more than it may; `error` is the class of the error in the logs."""

    def __init__(self, error: str, text: str, *, held_up: bool = False) -> None:
        """Make the error. `held_up` says that the machine is to blame: others had the CPU."""
        super().__init__(text)
        self.error, self.held_up = error, held_up


class Printed:
    """The output of an agent in a game, over all of its processes: the first bytes are kept, the rest is counted."""

    def __init__(self, kept_bytes: int, most_bytes: int) -> None:
        """Keep text that takes at most `kept_bytes` in a file; `most_bytes` printed are over the budget."""
        self._kept_bytes, self._most_bytes = kept_bytes, most_bytes
        self._kept, self._total = bytearray(), 0
        self.begin_game()

    def begin_game(self) -> None:
        """Grant the budget of another game."""
        self._allowed = self._total + self._most_bytes

    def add(self, data: bytes) -> None:
        """Take what was read from the agent."""
        self._total += len(data)
        self._kept += data[: max(self._kept_bytes - len(self._kept), 0)]

    def check(self) -> None:
        """Raise `OverBudgetError` if more was printed than an agent may print in a game."""
        if self._total > self._allowed:
            raise OverBudgetError("output", f"more than {self._most_bytes >> 10:,} kB were printed in a game")

    def take(self) -> str:
        """Return what was kept, and begin anew."""
        cleaned = printable(self._kept.decode(errors="replace"))
        text = cut(cleaned, self._kept_bytes)
        dropped = self._total - len(self._kept) + len(cleaned.encode()) - len(text.encode())
        if dropped > 0:
            text += f"\n[{dropped:,} further bytes were dropped]"
        self._allowed -= self._total
        self._kept, self._total = bytearray(), 0
        return text


def printable(text: str) -> str:
    """Replace control characters and what is no text: it is shown on terminals."""
    if text.isprintable() and "\N{REPLACEMENT CHARACTER}" not in text:
        return text
    text = text.replace("\N{REPLACEMENT CHARACTER}", _UNKNOWN)
    return "".join(c if c.isprintable() or c in "\n\t" else _UNKNOWN for c in text)


def cut(text: str, most_bytes: int) -> str:
    """Cut `text` to what takes at most `most_bytes` in a file."""
    if stored_bytes(text) <= most_bytes:
        return text
    return text[: bisect_right(range(1, len(text) + 1), most_bytes, key=lambda length: stored_bytes(text[:length]))]


def stored_bytes(text: str) -> int:
    """Return the bytes that `text` takes in a file as a JSON string, without its quotes."""
    return len(json.dumps(text, ensure_ascii=False).encode(errors="replace")) - 2
