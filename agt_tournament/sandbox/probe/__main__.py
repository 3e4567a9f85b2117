"""`python -m agt_tournament.sandbox.probe [--json] [TIER …]`: walk the tiers of walls in full, as the user who runs it.

The exit status is 0 if all that is open has been reviewed, 1 if not, and 2 if a tier cannot be walked.
"""

from __future__ import annotations

import getpass
import json
import sys

from agt_tournament.sandbox.probe.names import names_of_paths
from agt_tournament.sandbox.probe.review import described, unreviewed
from agt_tournament.sandbox.probe.steps import all_steps
from agt_tournament.sandbox.probe.submission import ProbeError
from agt_tournament.sandbox.probe.walk import walk
from agt_tournament.sandbox.walls.sandbox import TIERS, Sandbox


def main(arguments: list[str]) -> int:
    """Walk each tier, and print what is open that nobody has reviewed, or everything as JSON."""
    as_json = "--json" in arguments
    tiers = [argument for argument in arguments if argument != "--json"] or list(TIERS[:-1])
    walks = []
    for tier in tiers:
        try:
            walks.append(walk(Sandbox(tier), names_of_paths(), all_steps()))
        except (ProbeError, ImportError) as error:
            print(f"{tier} cannot be walked: {error}", file=sys.stderr)
            return 2
        if not as_json:
            print(described(walks[-1], getpass.getuser()), flush=True)
    if as_json:
        print(json.dumps([walked.as_json() for walked in walks]))
    return int(any(map(unreviewed, walks)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
