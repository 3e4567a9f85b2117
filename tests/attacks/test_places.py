"""The attacks and channels whose outcome can depend on the user or on control groups, in every kind of place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.attacks import harness, places
from tests.attacks.test_attacks import WALLS
from tests.nobody import as_nobody

OF_THE_USER = (4, 5, 22, 25, 28, 31, 37, 53, 54, 56, 60)
"""Of what meets a user's rights one line each: signals, files, /proc, system calls, the supervisor, settings, numbers.

The others are about Python, the channel, sockets and time, which are the same for every user.
"""
WITHOUT_CONTROL_GROUPS = (14, 16, 63)
"""Lines about memory, which other limits have to hold there."""
OF_CONTAINERS = (55, 56, 62)
"""Lines that share CPU time and processes with the organiser in its group."""
CHANNELS_OF_THE_USER = (
    "lease",
    "fanotify",
    "mincore",
    "cachestat",
    "threads:",
    "many pipes:",
    "pending",
    "rank",
    "key of",
)
CHANNELS_OF_CONTAINERS = ("threads:", "memory:", "burn: perf_counter", "burn: time of a new pipe", "many pipes:")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can go everywhere"),
]


@pytest.fixture
def container() -> Iterator[list[str]]:
    """A control group with limits of CPU, memory and processes."""
    with ExitStack() as stack:
        try:
            group = stack.enter_context(places.in_a_control_group())
        except OSError as problem:
            pytest.skip(f"no control group can be made: {problem}")
        yield group


def test_as_a_user_without_rights() -> None:
    check(as_nobody(), OF_THE_USER, CHANNELS_OF_THE_USER)


def test_in_a_container(container: list[str]) -> None:
    check(container, OF_CONTAINERS, CHANNELS_OF_CONTAINERS)


def test_without_control_groups() -> None:
    check(places.without_control_groups(), WITHOUT_CONTROL_GROUPS, ("memory:",))


def check(place: list[str], lines: tuple[int, ...], channels: tuple[str, ...]) -> None:
    """Try the attacks of `lines` and the `channels` in `place`, under each tier that holds there."""
    if reason := places.why_not(place):
        pytest.skip(f"nothing can be tried there: {reason}")
    chosen = " or ".join(f"{line:02}-" for line in lines)
    options = ("-q", "-p", "no:cacheprovider", "-k", f"test_an_attack_comes_to_nothing and ({chosen})")
    attacks = places.run(place, "-m", "pytest", *options, str(Path(__file__).parent / "test_attacks.py"))
    assert attacks.returncode == 0, attacks.stdout[-6000:] + attacks.stderr[-2000:]
    for tier in WALLS:
        if harness.why_not(tier) is None:
            pairs = places.run(place, "-m", "tests.attacks.pairs", "--check", "--tier", tier, *channels)
            assert pairs.returncode == 0, pairs.stdout[-6000:] + pairs.stderr[-2000:]
