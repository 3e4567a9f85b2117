"""Play the attacks of one line and show what came of them: ``python -m tests.attacks.try_one NUMBER [--tier none]``."""

from __future__ import annotations

import argparse
from textwrap import indent

from tests.attacks import harness
from tests.attacks.attack import Attack
from tests.attacks.harness import Played


def main() -> None:
    """Play each attack of the line in a game of its own, whose organiser may die of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("number", type=int, nargs="+", help="of a line of the list of attacks")
    parser.add_argument("--tier", default="none", help="the sandbox: bubblewrap, landlock or none")
    parser.add_argument("--brief", action="store_true", help="without what the attacker printed")
    asked = parser.parse_args()
    if why := harness.why_not(asked.tier):
        parser.error(f"no {asked.tier} here: {why}")
    attacks = {key: attack for key, attack in harness.all_attacks().items() if attack.number in asked.number}
    for key, played in harness.play_attacks(asked.tier, list(attacks)).items():
        print(f"{key}: {verdict(attacks[key], played)}")
        if played.evidence and not asked.brief:
            print(indent(played.evidence.printed, "    "))
            for failure in played.failures():
                print(f"    {failure['team_id']}, round {failure['round']}, {failure['error']}: {failure['text']}")


def verdict(attack: Attack, played: Played) -> str:
    """What came of it in a line."""
    evidence = played.evidence
    if evidence is None:
        return "the watcher is gone"
    errors = {failure["error"] for failure in played.failures() if failure["team_id"] == harness.ATTACKER} or {None}
    seen = {"written": evidence.written, "left": evidence.left, "connections": evidence.connections}
    said = [
        "SUCCEEDED" if attack.succeeded(evidence) else "did not succeed",
        "" if played.ended else "the game broke off",
        f"errors {sorted(map(str, errors))}" + ("" if errors & attack.errors else ", not those expected"),
        *(f"{name} {what}" for name, what in seen.items() if what),
        "the organiser was hit" if evidence.organiser_hit else "",
    ]
    return "; ".join(filter(None, said))


if __name__ == "__main__":
    main()
