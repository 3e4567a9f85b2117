"""`python -m tests.walls`: walk every tier of walls in full, as this user and as nobody, and print what is new.

The exit status is 0 if everything that is open has been reviewed (agt_tournament/sandbox/probe/reviewed.yaml).
"""

from __future__ import annotations

import getpass
import json
import subprocess
import sys

from agt_tournament.sandbox.probe.review import described, described_stale, stale, unreviewed
from agt_tournament.sandbox.probe.walk import Walked
from tests.nobody import as_nobody, nobodys_environment, why_not_nobody
from tests.support import REPO

WALK = (sys.executable, "-m", "agt_tournament.sandbox.probe", "--json")


def main() -> int:
    """Print what each user's agents could reach behind each tier."""
    walks = walked_by(getpass.getuser(), list(WALK))
    if reason := why_not_nobody():
        print(f"not walked as nobody: {reason}")
    else:
        walks += walked_by("nobody", as_nobody(*WALK))
        if note := described_stale(stale(walks)):
            print(note)
    return int(not walks or any(map(unreviewed, walks)))


def walked_by(user: str, command: list[str]) -> list[Walked]:
    """The walks that `command` prints as JSON, each described on standard output.

    Raises:
        SystemExit: a tier cannot be walked.
    """
    environment = nobodys_environment() if user == "nobody" else None
    run = subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True)
    if not run.stdout:
        sys.exit(f"not walked as {user}: {run.stderr.strip()}")
    walks = [Walked.from_json(content) for content in json.loads(run.stdout)]
    for walked in walks:
        print(described(walked, user), flush=True)
    return walks


if __name__ == "__main__":
    sys.exit(main())
