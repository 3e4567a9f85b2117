"""Tell whether this machine, or the control group that this process is in, has the memory that a game needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_AGENTS = 5  # of an arena of the usual size
_OWN_MB = 512  # of the process that plays the games
_NO_LIMIT_MB = 1 << 40


def too_little_memory(memory_limit_mb: int, root: Path = Path("/")) -> str | None:
    """Compare the memory of this machine with what five agents may use at once.

    Args:
        memory_limit_mb: the memory limit of one agent.
        root: the folder that holds ``proc`` and ``sys``.

    Returns:
        A warning of one line; None if there is enough, or if the kernel does not say.
    """
    needed = _AGENTS * memory_limit_mb + _OWN_MB
    amounts = {"memory available": _available_mb(root), "memory of the control group": _limit_mb(root)}
    what, least = min(amounts.items(), key=lambda amount: amount[1])
    if least >= needed:
        return None
    return f"warning: {what}: {least:,} MB; {_AGENTS} agents may need {needed:,} MB"


def _available_mb(root: Path) -> int:
    with suppress(OSError):
        lines = (root / "proc/meminfo").read_text().splitlines()
        return next((int(line.split()[1]) >> 10 for line in lines if line.startswith("MemAvailable:")), _NO_LIMIT_MB)
    return _NO_LIMIT_MB


def _limit_mb(root: Path) -> int:
    """Return the lowest limit of this process's control group and of those above it."""
    limits = [_NO_LIMIT_MB]
    for file in _limit_files(root):
        with suppress(OSError, ValueError):  # "max" is no limit
            limits.append(int(file.read_text()) >> 20)
    return min(limits)


def _limit_files(root: Path) -> Iterator[Path]:
    groups = root / "sys/fs/cgroup"
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "memory" not in controllers.split(","):
                continue
            top, name = (groups / "memory", "memory.limit_in_bytes") if controllers else (groups, "memory.max")
            folder = Path(path.lstrip("/"))
            yield from (top / each / name for each in (folder, *folder.parents))
