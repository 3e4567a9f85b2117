"""Every line of the list of attacks, under each tier of walls that holds here; see `test_places` for others.

An attack must come to nothing, cost the others nothing and be told in the log. That the attacks are real is tested as
well: without walls many of them succeed.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.attacks.harness import ATTACKER, Played, all_attacks, outcome, play_attacks, why_not

ATTACKS = all_attacks()
WALLS = ("bubblewrap", "landlock")
MOST_SUCCEED_WITHOUT_WALLS = 35
BURNING = 55

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def played(request: pytest.FixtureRequest) -> Callable[[str, str], Played]:
    """The games of an attack under a tier; all that this session asks for are played when the first one is needed."""
    done: dict[str, dict[str, Played]] = {}
    wanted: dict[str, list[str]] = {}
    for item in request.session.items:
        callspec = getattr(item, "callspec", None)
        if callspec and {"tier", "key"} <= set(callspec.params):
            wanted.setdefault(callspec.params["tier"], []).append(callspec.params["key"])

    def of(tier: str, key: str) -> Played:
        if tier not in done:
            done[tier] = play_attacks(tier, wanted[tier])
        return done[tier][key]

    return of


def _cases() -> list[object]:
    cases: list[object] = []
    for tier in WALLS:
        if reason := why_not(tier):
            cases.append(pytest.param(tier, "", marks=pytest.mark.skip(reason=f"{tier}: {reason}"), id=tier))
        else:
            cases += [pytest.param(tier, key, id=f"{tier}-{key}") for key in ATTACKS]
    return cases


@pytest.mark.parametrize(("tier", "key"), _cases())
def test_an_attack_comes_to_nothing(tier: str, key: str, played: Callable[[str, str], Played]) -> None:
    attack, result = ATTACKS[key], played(tier, key)
    check_the_game(key, result)
    evidence = result.evidence
    assert evidence
    assert ({failure["error"] for failure in result.failures()} or {None}) <= attack.errors
    assert not attack.succeeded(evidence), (evidence.printed, evidence)
    assert evidence.planted.secret not in evidence.printed
    assert not evidence.left
    assert not evidence.written
    assert not evidence.connections
    assert not evidence.organiser_hit


def check_the_game(key: str, result: Played) -> None:
    """It came to its end, and the others did and got what they do without the attack."""
    assert result.ended, f"{key}: the organiser did not come to the end of its games"
    assert {failure["team_id"] for failure in result.failures()} <= {ATTACKER}
    assert [outcome(game) for game in result.games] == [outcome(game) for game in result.reference]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="attacks need Linux")
def test_without_walls_the_attacks_succeed() -> None:
    """Else they would prove nothing. Here, too, nothing of them is left, and whoever is not hit plays as ever."""
    of_lines: dict[int, list[str]] = {}
    for key, attack in sorted(ATTACKS.items(), key=lambda item: item[1].long):
        of_lines.setdefault(attack.number, []).append(key)
    results = play_attacks("none", [keys[0] for keys in of_lines.values()])
    others = [key for keys in of_lines.values() if not reached(keys[0], results[keys[0]]) for key in keys[1:]]
    results |= play_attacks("none", others)
    for key, result in results.items():
        if result.ended and ATTACKS[key].number != BURNING:  # the only attack on the others themselves
            check_the_game(key, result)
    done = {ATTACKS[key].number for key, result in results.items() if reached(key, result)}
    assert len(done) >= MOST_SUCCEED_WITHOUT_WALLS, sorted(done)


def reached(key: str, result: Played) -> bool:
    """Whether the attack had what it wanted; one that killed even the watcher had."""
    evidence = result.evidence
    return evidence is None or ATTACKS[key].succeeded(evidence) or evidence.planted.secret in evidence.printed
