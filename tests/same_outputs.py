"""`python -m tests.same_outputs OTHER_CHECKOUT`: whether this checkout makes the same results and says the same errors.

For a change that moves code and changes nothing: every command below runs in both checkouts, and what it stored and how
it ended is compared byte for byte, but for times and places. The exit status is 1 if anything differs.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from examples.recorded_scores import recorded_scores

RESULTS = {
    "auction": ("diffusion_auction", "+sweep=two_agent_grid", "samples=2"),
    "three agents": ("diffusion_auction", "prompts=cafe", "bids.vectors=[[0.5,0.3,0.2]]", "samples=3"),
    "pool": ("diffusion_auction", "mechanism=vcg_pool", "samples=2"),
    "competition": ("agt_tournament", "seed=7", "tournament.games=20"),
    "recorded scores": ("diffusion_auction", "action=evaluate", "scores={scores}"),
    "game": ("agt_tournament", "action=game", "teams=[truthful_bidder,shading_bidder,random_bidder]", "seed=3"),
}
"""What is run for its files; `{scores}` is a table of recorded scores."""

COMPARED = (
    "*.parquet",
    "metrics.json",
    "generation_log.json",
    "leaderboards/*",
    "public/*",
    "stage*/**/*.json",
    "game.json",
)
_TIMES = ("seconds", "cpu_seconds", "waited_seconds", "wall_seconds")

REFUSED = (
    ("diffusion_auction", "samples=0"),
    ("diffusion_auction", "model.steps=x"),
    ("diffusion_auction", "bids.vectors=[[0.5]]"),
    ("diffusion_auction", "quality.bad=1"),
    ("diffusion_auction", "launcher=local", "launcher.slots=0"),
    ("diffusion_auction", "mechanism=nothing"),
    ("diffusion_auction", "action=report", "run_dir=nowhere"),
    ("diffusion_auction", "action=evaluate", "scores=nowhere.csv"),
    ("diffusion_auction", "--nothing"),
    ("diffusion_auction", "-m", "samples=0,1"),
    ("diffusion_auction", "--help"),
    ("agt_tournament", "stage=3"),
    ("agt_tournament", "teams_dir=nowhere"),
    ("agt_tournament", "stage=2", "run_dir=nowhere"),
    ("agt_tournament", "action=game", "teams=[nobody]"),
    ("agt_tournament", "action=validate", "agent=nowhere"),
    ("agt_tournament", "tournament.total_items=3"),
    ("agt_tournament", "sandbox=none", "teams=[nobody]", "action=game"),
    ("agt_tournament", "--validate", "x"),
    ("agt_tournament", "--help"),
    ("launchers", "status", "nowhere"),
    ("launchers", "--help"),
)
"""What is run for its exit status and what it prints."""


def run(checkout: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a module of the checkout from its folder."""
    return subprocess.run([sys.executable, "-m", *command], cwd=checkout, capture_output=True, text=True)


def said(checkout: Path, command: tuple[str, ...]) -> str:
    """The exit status, the output and the first line of the errors, without the place of the checkout."""
    done = run(checkout, *command)
    return f"{done.returncode}\n{done.stdout}\n{done.stderr.partition(chr(10))[0]}".replace(str(checkout), "HERE")


def stored(checkout: Path, command: tuple[str, ...]) -> dict[str, str]:
    """Digests of the files that the command stores, times aside, by their names."""
    with tempfile.TemporaryDirectory() as folder:
        scores = Path(folder) / "scores.csv"
        recorded_scores().to_csv(scores, index=False)
        done = run(checkout, *(part.format(scores=scores) for part in command), f"run_dir={folder}/run")
        if done.returncode not in (0, 1):
            return {"error": done.stderr}
        return dict(digests(Path(folder) / "run"))


def digests(run_dir: Path) -> Iterator[tuple[str, str]]:
    """A digest for each file that is compared."""
    for pattern in COMPARED:
        for path in sorted(run_dir.glob(pattern)):
            if path.suffix == ".parquet":
                content = pd.read_parquet(path).drop(columns=list(_TIMES), errors="ignore").to_csv().encode()
            elif path.match("stage*/*/*.json") or path.name == "game.json":
                content = games(path)
            else:
                content = path.read_bytes()
            yield str(path.relative_to(run_dir)), hashlib.sha256(content).hexdigest()


def games(path: Path) -> bytes:
    """The results of a game, without its date and times."""
    game = json.loads(path.read_text())
    game.pop("timestamp", None)
    for entry in game["auction_log"]:
        for name in [key for key in entry if "seconds" in key or "waited" in key]:
            entry.pop(name)
    return json.dumps({key: game[key] for key in ("game_id", "team_results", "auction_log")}).encode()


def main(other: Path) -> int:
    """Compare this checkout with `other`; the exit status."""
    here, different = Path.cwd(), []
    for name, command in RESULTS.items():
        mine, theirs = stored(here, command), stored(other, command)
        differing = sorted(key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key))
        print(f"{name}: {len(mine)} files, {len(differing)} differ {' '.join(differing[:5])}", flush=True)
        different += differing
    for command in REFUSED:
        mine_said, theirs_said = said(here, command), said(other, command)
        if mine_said != theirs_said:
            print(f"{' '.join(command)}:\n--- here\n{mine_said}\n--- there\n{theirs_said}", flush=True)
            different.append(" ".join(command))
    print(f"{len(different)} differences")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
