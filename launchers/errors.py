"""What can go wrong in launching work.

CommandEnd
├── FailedShardsError   shards failed, or no worker stayed alive to make them (exit status 1)
├── SlurmError          SLURM does not answer (1)
├── LaunchError         the launcher cannot do what it is asked (2)
└── NotWaitedError      nothing is wrong: the work goes on without this process (0)
"""

from __future__ import annotations

from collections.abc import Sequence

from generative_auctions.errors import CommandEnd
from launchers.shards import Failure


class FailedShardsError(CommandEnd, RuntimeError):
    """Some shards failed, those of `failures`.

    If no worker stayed alive, `unmade` counts the open shards and `ends` has a line on how each worker ended.
    """

    def __init__(self, failures: Sequence[Failure], total: int, unmade: int = 0, ends: Sequence[str] = ()) -> None:
        self.failures, self.ends = list(failures), list(ends)
        lines = []
        if failures:
            lines += [f"{len(failures)} of {total} shards failed:", *(f"  {failure}" for failure in failures)]
        if unmade:
            lines += [f"{unmade} of {total} shards were not made, for no worker stayed alive:"]
            lines += [f"  {line}" for line in ends]
        super().__init__("\n".join(lines))


class SlurmError(CommandEnd, RuntimeError):
    """SLURM does not answer; the text is its own."""


class LaunchError(CommandEnd, ValueError):
    """The launcher cannot do what it is asked; the text says why, in SLURM's words if SLURM refused."""

    exit_status = 2


class NotWaitedError(CommandEnd):
    """The workers were started and not waited for, as `wait=false` asks; the text says how to go on."""

    exit_status = 0
