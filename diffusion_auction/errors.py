"""What can go wrong by the user's request, and how it is said."""

from __future__ import annotations


class RequestError(ValueError):
    """The request is wrong: one line that names the key, its value and what would be valid (exit status 2)."""

    def __init__(self, key: str, value: object, expected: str) -> None:
        self.key, self.value, self.expected = key, value, expected
        super().__init__(f"{key} = {value}: expected {expected}")
