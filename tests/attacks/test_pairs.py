"""No channel between two agents but prices: under each tier nothing that must be closed is better than chance."""

from __future__ import annotations

import os

import pytest

from tests.attacks.channels import ACTIONS, CHANNELS, SENSES, closed
from tests.attacks.harness import why_not
from tests.attacks.pairs import Heard, carrying, guesses, measure

WALLS = ("bubblewrap", "landlock")
MOST_SENT = 0.9 if hasattr(os, "geteuid") and os.geteuid() == 0 else 0.7
"""Share of the channels that carry without walls; some of them need rights."""


@pytest.mark.slow
@pytest.mark.parametrize("tier", WALLS)
def test_no_channel_is_better_than_chance(tier: str) -> None:
    if reason := why_not(tier):
        pytest.skip(f"{tier}: {reason}")
    found = carrying(tier, closed(tier))
    assert not found, [(heard.channel, f"{heard.right} of {heard.sent}, p = {heard.p_value:.2g}") for heard in found]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="channels need Linux")
def test_without_walls_the_channels_carry() -> None:
    """Else chance would prove nothing; in games in which nothing is sent, none does."""
    tried = [channel for channel in CHANNELS if channel.open_without_walls]
    found = measure("none", tried)
    silent = [channel.name for channel in tried if not found[channel.name].carries]
    assert len(silent) <= (1 - MOST_SENT) * len(tried), silent
    heard_nothing = [heard for heard in found.values() if _without_sender(heard).carries]
    assert len(heard_nothing) <= 0.1 * len(tried), heard_nothing


def _without_sender(heard: Heard) -> Heard:
    return Heard(heard.channel, heard.silent_right, heard.sent, heard.silent_right)


def test_every_channel_has_an_action_and_a_sense() -> None:
    assert {channel.action for channel in CHANNELS} == set(ACTIONS)
    assert {channel.sense for channel in CHANNELS} == set(SENSES)
    assert len({channel.name for channel in CHANNELS}) == len(CHANNELS)


def test_a_value_above_the_middle_of_its_game_is_a_one() -> None:
    assert guesses([0, 1, 1, 1, 1], 5) == "01111"
    assert guesses([900, 3, 20, 2, 21, 3], 6) == "101010"  # the first one spans the start of the game
    assert guesses([0, 0, 0], 5) == "00000"
    assert guesses([], 3) == "000"


def test_bits_a_round_are_those_of_a_symmetric_channel() -> None:
    assert Heard("all", 75, 75, 0).bits_a_round()[0] == 1
    assert Heard("none", 0, 75, 0).bits_a_round()[0] == 1  # always the opposite
    bits, least, most = Heard("chance", 38, 75, 0).bits_a_round()
    assert bits < 0.001
    assert least == 0
    assert 0.03 < most < 0.06
