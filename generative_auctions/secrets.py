"""Keep secrets out of files: mask tokens and passwords in arguments, addresses and texts."""

from __future__ import annotations

import re
from collections.abc import Sequence

MASK = "***"

_NAME = r"token|secret|passwd|password|passphrase|credential|(?:api|access|private|secret)[_.-]?key"
_SECRET_NAME = re.compile(rf"{_NAME}|(?:^|[_.-])key$", re.IGNORECASE)
_ASSIGNED = re.compile(
    rf"""(?P<name>[\w.-]*(?:{_NAME})[\w.-]*["']?\s*[:=]\s*)(?:(?P<quote>["'])[^"'\n]+(?P=quote)|[^\s"',;)}}\]]{{6,}})""",
    re.IGNORECASE,
)
_VALUES = re.compile(
    r"\bhf_[A-Za-z0-9]{16,}|\bsk-[\w-]{16,}|\bgh[oprsu]_\w{16,}|\bgithub_pat_\w{16,}|\bglpat-[\w-]{16,}|\bxox[abprs]-[\w-]{8,}"
    r"|\bAKIA[A-Z0-9]{16}\b|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    re.DOTALL,
)
_USER_IN_ADDRESS = re.compile(r"(?<=://)[^/\s@]+(?=@)")


def masked(text: str) -> str:
    """Replace likely secrets in `text` with `***`: tokens, private keys, passwords in addresses, values so named."""
    text = _USER_IN_ADDRESS.sub(MASK, _VALUES.sub(MASK, text))
    return _ASSIGNED.sub(lambda found: f"{found['name']}{found['quote'] or ''}{MASK}{found['quote'] or ''}", text)


def masked_arguments(arguments: Sequence[str]) -> list[str]:
    """Mask each argument, and the values of those ``key=value`` and ``--option value`` whose name is a secret's."""
    out, hidden = [], False
    for argument in arguments:
        name, assigned, value = argument.partition("=")
        secret = _SECRET_NAME.search(name) is not None
        if hidden:
            out.append(MASK)
        elif assigned and value and secret:
            out.append(f"{name}={MASK}")
        else:
            out.append(masked(argument))
        hidden = secret and not assigned and argument.startswith("-")
    return out
