"""Seeing to it that there are workers until every shard of a stage has settled, wherever they run."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from launchers.attendance import living, workers_of
from launchers.claims import Claims
from launchers.status import Standing, is_cancelled, standing
from launchers.watch import Watch

_BARREN_ROUNDS = 2
"""So many times in a row may all workers end without settling anything."""


class Crew(Protocol):
    """Workers of one kind."""

    poll_seconds: float

    def wanted(self, shards: int) -> int:
        """Workers for `shards` shards."""

    def queue(self) -> Mapping[str, str] | None:
        """State of each job by its id; None if that cannot be known at this moment."""

    def note(self, queue: Mapping[str, str] | None) -> str:
        """What one should know of the queue; "" for nothing."""

    def present(self, there: Mapping[str, Mapping[str, Any]], queue: Mapping[str, str]) -> int:
        """How many workers are there or will be; `there` are the records of those that have begun."""

    def start(self, number: int) -> None:
        """Start `number` more workers."""

    def dismiss(self) -> None:
        """There is no more work: those that wait for their turn need not come."""

    def stop(self) -> str:
        """Do with the workers what an interruption does to them; what that was."""


class NoWorkersError(RuntimeError):
    """All workers ended, and ended again, without settling a shard; `ends` has a line for each of them."""

    def __init__(self, ends: list[str]) -> None:
        self.ends = ends
        super().__init__("; ".join(ends))


def see_through(keys: Sequence[str], folder: Path, crew: Crew, watch: Watch, *, wait: bool) -> bool:
    """Keep workers at the shards `keys` until each is done or has failed; False if there was no `wait` for that.

    A worker that dies is replaced. Raises `NoWorkersError`, and `KeyboardInterrupt` if the work was cancelled.
    """
    rounds, missing, losses = _Rounds(folder), None, 0
    while True:
        held = Claims(folder).holders()  # before it is asked who is there
        queue = crew.queue()
        now = _freed(keys, folder, held, queue)
        watch.show(now, crew.note(queue))
        if not now.open:
            crew.dismiss()
            return True
        if is_cancelled(folder):
            raise KeyboardInterrupt
        if queue is not None:
            present, wanted = crew.present(now.workers, queue), crew.wanted(now.open)
            if not present:
                rounds.begin(now)
            if missing is None or not present:  # whoever is not there
                started, missing = max(0, wanted - present), 0
            else:  # one for each that was lost, once its place is free: it may be in the queue for a while yet
                missing += now.losses - losses
                started = max(0, min(missing, wanted - present))
                missing -= started
            losses = now.losses
            if started:
                crew.start(started)
            if not wait:
                return False
        time.sleep(crew.poll_seconds)


def _freed(keys: Sequence[str], folder: Path, held: Mapping[str, str], queue: Mapping[str, str] | None) -> Standing:
    """How the shards stand once those `held` by workers that are gone are free again."""
    Claims(folder).free(held, living(folder, queue))
    return standing(folder, keys, queue)


class _Rounds:
    """Rounds of workers: one begins when nobody is left, and the one before must have changed something."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._earlier = folder, set(workers_of(folder))
        self._last: tuple[int, int] | None = None
        self._barren = 0

    def begin(self, now: Standing) -> None:
        """Another round may begin; raises `NoWorkersError` if it would be as the last one."""
        state = (now.open, now.losses)
        self._barren = self._barren + 1 if state == self._last else 0
        ended = [record for name, record in workers_of(self._folder).items() if name not in self._earlier]
        hopeless = any("error" in record for record in ended)
        stopped = bool(ended) and all(record.get("stopped") for record in ended)
        if stopped or self._barren >= (1 if hopeless else _BARREN_ROUNDS):
            raise NoWorkersError(_ends(self._folder, ended))
        self._last = state


def _ends(folder: Path, workers: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each of `workers` on how it ended; where none had begun, what their logs end with."""
    if workers:
        return [f"{record['name']}: {_end(record)} ({record['log']})" for record in workers]
    logs = sorted(folder.glob("jobs/*_log.out"), key=lambda path: path.stat().st_mtime)[-3:]
    return [f"{_last_words(path)} ({path})" for path in logs] or [f"no log in {folder / 'jobs'}"]


def _last_words(log: Path) -> str:
    """What a process said last, but for srun, which says no more than that it ended."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return next((line for line in reversed(lines) if not line.startswith("srun: ")), "nothing")


def _end(record: Mapping[str, Any]) -> str:
    if record.get("stopped"):
        return "was stopped by a signal"
    return record.get("error") or ("ended" if record["state"] == "ended" else "ended without a word")
