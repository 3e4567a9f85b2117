"""What the marks of a run say."""

from __future__ import annotations

from pathlib import Path

from launchers.shards import error_path, mark_of, write_atomic

_MANIFEST = "shards.txt"


def write_manifest(folder: Path, keys: list[str]) -> None:
    """Say which shards `folder` will hold the marks of, so that what is pending can be counted."""
    write_atomic(folder / _MANIFEST, ("\n".join(keys) + "\n").encode())


def shard_states(run_dir: Path) -> dict[str, dict[str, int]]:
    """Counts of `done`, `failed` and `pending` shards by stage (each folder of `run_dir/shards`)."""
    states: dict[str, dict[str, int]] = {}
    for manifest in sorted(run_dir.glob(f"shards/*/{_MANIFEST}")):
        folder, counts = manifest.parent, {"done": 0, "failed": 0, "pending": 0}
        for key in manifest.read_text().split():
            failed = error_path(folder, key).exists()
            counts["failed" if failed else "done" if mark_of(folder, key) else "pending"] += 1
        states[folder.name] = counts
    return states
