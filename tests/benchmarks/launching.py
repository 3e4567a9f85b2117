"""Handing out shards: what a launcher costs beside the work itself."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from launchers import InlineConfig, LauncherConfig, LocalConfig, Shard, fan_out

SHARDS, FEW = 3_000, 300
WORKERS = 2
INLINE_MS, LOCAL_MS = 5, 20


def main() -> int:
    """Print the milliseconds a shard inline and with local workers; 1 if a bound is broken."""
    with tempfile.TemporaryDirectory() as folder:
        plain = _seconds(Path(folder) / "plain", SHARDS, None) / SHARDS
        inline = _seconds(Path(folder) / "inline", SHARDS, InlineConfig()) / SHARDS - plain
        local = LocalConfig(name="local", gpus=False, slots=WORKERS, workers_per_gpu=1, wait=True)
        few, many = (_seconds(Path(folder) / f"local_{number}", number, local) for number in (FEW, SHARDS))
    busy = WORKERS * (many - few) / (SHARDS - FEW) - plain  # the start of the workers is in both
    print(f"a shard whose work is its mark takes {1000 * plain:.2f} ms; handing it out takes beside that")
    print(f"  {1000 * inline:.2f} ms in this process (at most {INLINE_MS})")
    print(
        f"  {1000 * busy:.2f} ms of one of {WORKERS} local workers (at most {LOCAL_MS}); {FEW} shards take {few:.1f} s"
    )
    return int(1000 * inline > INLINE_MS or 1000 * busy > LOCAL_MS)


def _seconds(run_dir: Path, number: int, launcher: LauncherConfig | None) -> float:
    """How long `number` shards take, by `launcher` or called one after the other."""
    folder, shards = run_dir / "shards" / "bench", [Shard.of({"number": i}) for i in range(number)]
    began = time.perf_counter()
    if launcher is None:
        _call(marker(folder), shards)
    else:
        fan_out(partial(marker, folder), shards, folder, what="bench", unit="shards", launcher=launcher)
    return time.perf_counter() - began


def _call(work: Callable[[Shard], None], shards: Sequence[Shard]) -> None:
    for shard in shards:
        work(shard)


def marker(folder: Path) -> Callable[[Shard], None]:
    """A worker that does nothing but mark its shards."""
    return lambda shard: shard.complete(folder, {})
