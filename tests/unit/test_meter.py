"""Which clock ends an agent's turn: its own CPU time, then wall time without waiting for a CPU."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from agt_tournament.sandbox import meter
from agt_tournament.sandbox.meter import Meter, own_seconds, wall_seconds
from agt_tournament.sandbox.printed import OverBudgetError


@dataclass
class Clocks:
    """A process, and the time of day, as a test sets them."""

    now: float = 100.0
    cpu: float = 7.0
    waited: float | None = 3.0
    counted_seconds: float = 7.0

    def cpu_seconds(self) -> float:
        self.counted_seconds = self.cpu
        return self.cpu

    def waited_seconds(self) -> float | None:
        return self.waited

    def perf_counter(self) -> float:
        return self.now

    def pass_(self, seconds: float, cpu: float = 0.0, waited: float = 0.0) -> None:
        self.now, self.cpu = self.now + seconds, self.cpu + cpu
        self.waited = None if self.waited is None else self.waited + waited


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    clocks = Clocks()
    monkeypatch.setattr(meter, "time", clocks)
    return clocks


def metered(clocks: Clocks) -> Meter:
    return Meter(clocks, 2.0, wall_seconds(2.0), "for a bid")  # type: ignore[arg-type]


def test_what_is_used_between_two_questions_counts_with_the_second(clocks: Clocks) -> None:
    metered(clocks).times()
    clocks.pass_(5.0, cpu=1.5)
    one = metered(clocks)
    clocks.pass_(0.1, cpu=0.1)
    assert one.times()["cpu_seconds"] == pytest.approx(1.6)
    clocks.pass_(0.5, cpu=0.5)
    with pytest.raises(OverBudgetError, match="too much CPU time for a bid"):
        one.check()


def test_cpu_time_is_the_limit_however_long_it_takes(clocks: Clocks) -> None:
    one = metered(clocks)
    clocks.pass_(20.0, cpu=1.9, waited=18.1)
    one.check()
    clocks.pass_(0.2, cpu=0.2)
    with pytest.raises(OverBudgetError, match="too much CPU time for a bid") as over:
        one.check()
    assert (over.value.error, over.value.held_up) == ("timeout", False)


def test_who_does_nothing_is_stopped_by_wall_time(clocks: Clocks) -> None:
    one = metered(clocks)
    clocks.pass_(4.9)
    one.check()
    clocks.pass_(0.2)
    with pytest.raises(OverBudgetError, match="no answer for too long") as over:
        one.check()
    assert not over.value.held_up


def test_waiting_is_no_more_than_the_time_in_which_it_did_not_compute(clocks: Clocks) -> None:
    """The kernel counts for the process; a second thread's waiting could exceed the time that passed."""
    one = metered(clocks)
    clocks.pass_(5.0, cpu=1.0, waited=50.0)
    assert one.times() == {"seconds": 5.0, "cpu_seconds": 1.0, "waited_seconds": 4.0}
    assert own_seconds(one.times()) == 1.0


def test_a_machine_that_never_comes_to_it_is_to_blame(clocks: Clocks) -> None:
    one = metered(clocks)
    clocks.pass_(51.0, cpu=0.1, waited=50.9)
    with pytest.raises(OverBudgetError, match="too busy") as over:
        one.check()
    assert over.value.held_up


def test_without_statistics_nothing_is_excused(clocks: Clocks) -> None:
    clocks.waited = None
    one = metered(clocks)
    clocks.pass_(5.1)
    assert one.times()["waited_seconds"] is None
    with pytest.raises(OverBudgetError, match="no answer for too long"):
        one.check()
