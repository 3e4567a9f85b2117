"""Seeing work through: who is started, replaced and given up; the workers are only counted here."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from launchers.errors import LaunchError
from launchers.leases import Leases
from launchers.progress import Watch
from launchers.shards import Failure
from launchers.status import CANCELLED, Standing
from launchers.supervisor import NoWorkersError, supervise
from launchers.worker_record import announce
from tests.launching import shards_of

SHARDS = shards_of(4)
KEYS = [shard.key for shard in SHARDS]


class Counted:
    """As many workers as it is told; `then` is called at every look at the queue, with its number."""

    poll_seconds = 0.0

    def __init__(
        self, then: Callable[[int], None], present: int = 0, most: int = 2, capacity: int | None = None
    ) -> None:
        self.there, self.most, self.started = present, most, list[int]()
        self.capacity, self.refusal = capacity or most, ""
        self.queue_answers, self.dismissed, self.jobs = True, False, dict[str, str]()
        self._then, self._looks = then, 0

    def wanted(self, shards: int) -> int:
        return min(shards, self.most)

    def queue(self) -> Mapping[str, str] | None:
        self._looks += 1
        assert self._looks < 50, "no end in sight"
        self._then(self._looks)
        return self.jobs if self.queue_answers else None

    def note(self, queue: Mapping[str, str] | None) -> str:
        return "" if queue is not None else "SLURM does not answer; asking again"

    def present(self, there: Mapping[str, Mapping[str, Any]], queue: Mapping[str, str]) -> int:
        return self.there

    def start(self, number: int) -> None:
        if self.refusal:
            raise LaunchError(self.refusal)
        self.started.append(number)
        self.there += number

    def dismiss(self) -> None:
        self.dismissed = True

    def stop(self) -> str:
        return "stopped"


class Notes(Watch):
    """Remembers what it was to show."""

    def __init__(self, folder: Path) -> None:
        super().__init__(SHARDS, folder, what="testing", unit="shards")
        self.notes, self.said = list[str](), list[str]()

    def show(self, standing: Standing, note: str = "") -> None:
        self.notes.append(note)

    def say(self, line: str) -> None:
        self.said.append(line)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Leases(tmp_path)
    return tmp_path


def see(folder: Path, workers: Counted, wait: bool = True) -> bool:
    return supervise(KEYS, folder, workers, Notes(folder), wait=wait)


def finish(folder: Path) -> None:
    for shard in SHARDS:
        shard.complete(folder, {})


def lose(folder: Path, key: str, worker: str) -> None:
    """A worker that was never there has the shard."""
    Leases(folder).take(key, worker)


@pytest.mark.parametrize(("present", "started"), [(0, [2]), (1, [1]), (2, []), (3, [])])
def test_places_are_filled_once(present: int, started: list[int], folder: Path) -> None:
    workers = Counted(lambda look: finish(folder) if look == 5 else None, present)
    assert see(folder, workers)
    assert workers.started == started
    assert workers.dismissed


def test_nobody_comes_for_what_is_done(folder: Path) -> None:
    finish(folder)
    workers = Counted(lambda look: None)
    assert see(folder, workers)
    assert workers.started == []


def test_without_waiting_workers_are_started_all_the_same(folder: Path) -> None:
    workers = Counted(lambda look: None)
    assert not see(folder, workers, wait=False)
    assert workers.started == [2]
    assert not workers.dismissed


def test_a_lost_worker_is_replaced_once_its_place_is_free(folder: Path) -> None:
    def then(look: int) -> None:
        if look == 2:
            lose(folder, KEYS[0], "dead")  # and stays in the queue for a while
        if look == 5:
            workers.there -= 1
        if look == 8:
            finish(folder)

    workers = Counted(then)
    assert see(folder, workers)
    assert workers.started == [2, 1]


def test_replacements_count_those_that_wait_for_their_turn(folder: Path) -> None:
    def then(look: int) -> None:
        if look == 2:
            lose(folder, KEYS[0], "dead")
            lose(folder, KEYS[1], "too")
        if 2 <= look <= 4:
            workers.there -= 1
        if look == 8:
            finish(folder)

    workers = Counted(then, most=4, capacity=2)
    assert see(folder, workers)
    assert workers.started == [4, 1]  # one place is free when but one of the four is left; then both are taken


def test_workers_that_wait_are_not_joined_by_more_than_may_work(folder: Path) -> None:
    def then(look: int) -> None:
        if look == 3:
            assert workers.started == []
            workers.there = 2
        if look == 6:
            finish(folder)

    workers = Counted(then, present=3, most=4, capacity=3)
    assert see(folder, workers)
    assert workers.started == [1]  # the one that was missing from the beginning


def test_work_goes_on_though_no_worker_can_be_added(folder: Path) -> None:
    def then(look: int) -> None:
        workers.refusal = "" if look == 1 else "SLURM refused: no more jobs"
        if look == 2:
            lose(folder, KEYS[0], "dead")
            workers.there -= 1
        if look == 5:
            finish(folder)

    workers, watch = Counted(then), Notes(folder)
    assert supervise(KEYS, folder, workers, watch, wait=True)
    assert watch.said == ["no worker was added: SLURM refused: no more jobs"]


def test_who_leaves_before_the_end_is_said(folder: Path) -> None:
    def then(look: int) -> None:
        if look == 1:
            for name in ("stopped", "failed", "fine", "queued again"):
                announce(folder, name, os.getpid(), log="the log")
        if look == 2:
            announce(folder, "stopped", os.getpid(), state="ended", stopped=True, log="the log")
            announce(folder, "failed", os.getpid(), state="ended", error="ValueError: no model", log="the log")
            announce(folder, "fine", os.getpid(), state="ended", log="the log")
            announce(folder, "queued again", os.getpid(), state="ended", stopped=True, job="7", log="the log")
        if look == 3:
            announce(folder, "and back", os.getpid(), job="7", log="the log")
        if look == 6:
            finish(folder)

    workers, watch = Counted(then, present=2), Notes(folder)
    workers.jobs = {"7": "RUNNING"}
    assert supervise(KEYS, folder, workers, watch, wait=True)
    stays = "(the log); none takes its place while others work"
    assert watch.said == [
        f"worker failed: ValueError: no model {stays}",
        f"worker stopped: was stopped by a signal, as scancel sends it {stays}",
    ]


def test_who_came_and_left_between_two_looks_is_said_and_who_left_before_the_launch_is_not(folder: Path) -> None:
    announce(folder, "before", os.getpid(), state="ended", stopped=True, log="the log")

    def then(look: int) -> None:
        if look == 2:
            announce(folder, "brief", os.getpid(), state="ended", stopped=True, log="the log")
        if look == 4:
            finish(folder)

    crew, watch = Counted(then, present=2), Notes(folder)
    assert supervise(KEYS, folder, crew, watch, wait=True)
    stays = "(the log); none takes its place while others work"
    assert watch.said == [f"worker brief: was stopped by a signal, as scancel sends it {stays}"]


def test_one_that_ended_of_itself_is_not_replaced_while_others_work(folder: Path) -> None:
    def then(look: int) -> None:
        if look == 3:
            workers.there = 1
        if look == 6:
            finish(folder)

    workers = Counted(then)
    assert see(folder, workers)
    assert workers.started == [2]


def test_workers_that_come_to_nothing_are_given_up(folder: Path) -> None:
    def then(look: int) -> None:
        workers.there = 0

    workers = Counted(then)
    with pytest.raises(NoWorkersError):
        see(folder, workers)
    assert workers.started == [2, 2]


def test_rounds_that_bring_something_are_not_barren(folder: Path) -> None:
    def then(look: int) -> None:
        workers.there = 0
        if look > 1:
            SHARDS[look - 2].complete(folder, {})

    workers = Counted(then)
    assert see(folder, workers)
    assert workers.started == [2, 2, 2, 1]


def test_a_worker_with_an_error_shortens_the_waiting(folder: Path) -> None:
    def then(look: int) -> None:
        workers.there = 0
        if look > 1:
            announce(folder, f"w{look}", os.getpid(), state="ended", error="ValueError: no model", log="the log")

    workers = Counted(then)
    with pytest.raises(NoWorkersError) as none:
        see(folder, workers)
    assert len(workers.started) == 1
    assert none.value.ends == ["w2: ValueError: no model (the log)"]


def test_workers_that_were_all_stopped_are_not_started_again(folder: Path) -> None:
    def then(look: int) -> None:
        workers.there = 0
        if look > 1:
            announce(folder, "w", os.getpid(), state="ended", stopped=True, log="the log")
            SHARDS[0].complete(folder, {})

    workers = Counted(then)
    with pytest.raises(NoWorkersError, match="was stopped by a signal"):
        see(folder, workers)
    assert len(workers.started) == 1


def test_where_no_worker_began_the_logs_speak(folder: Path) -> None:
    jobs = folder / "jobs"
    jobs.mkdir()
    (jobs / "1_0_log.out").write_text("execve(): no-python: No such file\n\nsrun: error: vm: Exited with code 2\n")
    (jobs / "2_0_log.out").write_text("")
    srun = "srun: fatal: SLURM_MEM_PER_CPU and SLURM_MEM_PER_NODE are mutually exclusive.\nsrun: Force Terminated\n"
    (jobs / "3_0_log.out").write_text(srun)
    workers = Counted(lambda look: setattr(workers, "there", 0))
    with pytest.raises(NoWorkersError) as none:
        see(folder, workers)
    assert sorted(none.value.ends) == [
        f"execve(): no-python: No such file ({jobs / '1_0_log.out'})",
        f"nothing ({jobs / '2_0_log.out'})",
        f"srun: fatal: SLURM_MEM_PER_CPU and SLURM_MEM_PER_NODE are mutually exclusive. ({jobs / '3_0_log.out'})",
    ]


def test_while_the_queue_is_not_known_nobody_is_started(folder: Path) -> None:
    def then(look: int) -> None:
        workers.queue_answers = look > 3
        if look == 6:
            finish(folder)

    workers = Counted(then)
    watch = Notes(folder)
    assert supervise(KEYS, folder, workers, watch, wait=False) is False
    assert watch.notes == ["SLURM does not answer; asking again"] * 3 + [""]
    assert workers.started == [2]


def test_cancelled_work_is_interrupted(folder: Path) -> None:
    workers = Counted(lambda look: (folder / CANCELLED).touch() if look == 3 else None)
    with pytest.raises(KeyboardInterrupt):
        see(folder, workers)
    assert workers.started == [2]


def test_failed_shards_are_settled(folder: Path) -> None:
    for key in KEYS:
        Failure(key=key, message="ValueError").write(folder)
    assert see(folder, Counted(lambda look: None))


def test_shards_in_the_hands_of_others_need_no_workers(folder: Path) -> None:
    def then(look: int) -> None:
        workers.there = 0  # those that were started find nothing to do and end
        if look == 20:
            finish(folder)

    announce(folder, "from outside", os.getpid())
    for key in KEYS[1:]:
        Leases(folder).take(key, "from outside")
    SHARDS[0].complete(folder, {})
    workers = Counted(then)
    assert see(folder, workers)
    assert workers.started == []
