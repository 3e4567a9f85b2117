"""What can go wrong in launching work.

RuntimeError
├── FailedShardsError   shards failed, or no worker lived to make them (exit status 1)
└── SlurmError          SLURM does not answer (1)
ValueError
└── LaunchError         the launcher cannot do what it is asked (2)
Exception
└── NotWaitedError      nothing is wrong: the work goes on without this process (0)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class FailedShardsError(RuntimeError):
    """Some shards failed. `failures`: (key, first line of the error, path of its traceback and log) of each.

    `ends` has a line for each worker where none stayed alive to make the `unmade` shards.
    """

    def __init__(
        self, failures: Sequence[tuple[str, str, Path]], total: int, unmade: int = 0, ends: Sequence[str] = ()
    ) -> None:
        self.failures, self.ends = list(failures), list(ends)
        lines = []
        if failures:
            lines += [f"{len(failures)} of {total} shards failed:"]
            lines += [f"  {key}: {reason} ({path})" for key, reason, path in failures]
        if unmade:
            lines += [f"{unmade} of {total} shards were not made, for no worker stayed alive:"]
            lines += [f"  {line}" for line in ends]
        super().__init__("\n".join(lines))


class SlurmError(RuntimeError):
    """SLURM does not answer; the text is its own."""


class LaunchError(ValueError):
    """The launcher cannot do what it is asked: a line that says what and why, in SLURM's words where it refused."""


class NotWaitedError(Exception):
    """The workers were started and not waited for, as `wait=false` asks; the text says how to go on."""
