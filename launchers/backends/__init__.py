"""Where workers run: one module for each launcher with workers of its own, all behind the interface `Workers`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from launchers.worker_record import WorkerRecord


class Workers(ABC):
    """The workers of one stage: how many there may be, and how to start and stop them.

    The defaults suit workers that are in no queue and end by themselves.
    """

    poll_seconds: float = 1.0
    """Seconds between two looks at the work."""

    capacity: int = 0
    """The most workers that may work at the same time."""

    def wanted(self, shards: int) -> int:
        """Return how many workers `shards` shards need."""
        return min(shards, self.capacity)

    def queue(self) -> Mapping[str, str] | None:
        """Return the state of each queued job by its id; None if that cannot be known at this moment."""
        return {}

    def note(self, queue: Mapping[str, str] | None) -> str:
        """Describe the queue for the progress display; empty if there is nothing to say."""
        return ""

    @abstractmethod
    def present(self, alive: Mapping[str, WorkerRecord], queue: Mapping[str, str]) -> int:
        """Return how many workers are alive or queued; `alive` has the records of those that have begun."""

    def start(self, number: int) -> None:  # noqa: B027 -- some are started by others
        """Start `number` more workers."""

    def dismiss(self) -> None:  # noqa: B027 -- most end by themselves
        """Release the workers once there is no more work: those still queued need not come."""

    @abstractmethod
    def stop(self) -> str:
        """Stop the workers after Ctrl-C. Returns: a message for the user."""
