"""Work whose every touch is written down, for tests of launchers; worker processes import it, so nothing heavy here."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from launchers import (
    ExternalConfig,
    FailedShardsError,
    LauncherConfig,
    LocalConfig,
    NotWaitedError,
    Shard,
    SlurmConfig,
    fan_out,
)
from launchers.shards import completion_of
from launchers.status import write_manifest

REPO = Path(__file__).parents[1]
_TOO_LONG = 60.0


@dataclass(frozen=True)
class Bench:
    """A run directory with one stage, and a folder `notes` beside it with what the workers wrote of themselves."""

    run_dir: Path
    notes: Path
    stage: str = "make"

    @property
    def folder(self) -> Path:
        """The stage's folder."""
        return self.run_dir / "shards" / self.stage

    def launch(self, shards: Sequence[Shard], launcher: LauncherConfig, *, what: str = "making", **worker: Any) -> None:
        """`fan_out` over `shards`, with workers of `make_worker(bench, **worker)`."""
        self.notes.mkdir(exist_ok=True)
        write_manifest(self.folder, [shard.key for shard in shards])
        fan_out(partial(make_worker, self, **worker), shards, self.folder, what=what, launcher=launcher)

    def launch_apart(
        self, shards: Sequence[Shard], launcher: LauncherConfig, *, group: bool = False
    ) -> subprocess.Popen[str]:
        """The same in a process of its own, with a process group of its own if asked for; its words are piped."""
        self.notes.mkdir(exist_ok=True)
        spec = {"place": [str(self.run_dir), str(self.notes), self.stage], "launcher": launcher.model_dump()}
        text = json.dumps({**spec, "shards": [asdict(shard) for shard in shards]})
        command = [sys.executable, "-c", "from tests.launching import main; main()", text]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, cwd=REPO, process_group=0 if group else None, **pipes)

    def note(self, event: str, **facts: Any) -> None:
        """Write down that something happened, at once or not at all."""
        line = json.dumps({"event": event, "pid": os.getpid(), "time": time.time(), **facts}) + "\n"
        file = os.open(self.notes / "events", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, line.encode())
        os.close(file)

    def events(self, event: str) -> list[dict[str, Any]]:
        """What was noted of `event`: load, begin, end."""
        if not (self.notes / "events").exists():
            return []
        notes = map(json.loads, (self.notes / "events").read_text().splitlines())
        return [note for note in notes if note["event"] == event]

    def begun(self) -> Counter[int]:
        """How often each shard was begun."""
        return Counter(note["number"] for note in self.events("begin"))

    def most_at_once(self) -> int:
        """How many workers worked at one time, at most."""
        moments = [(note["time"], 1) for note in self.events("begin")] + [(e["time"], -1) for e in self.events("end")]
        present = most = 0
        for _, step in sorted(moments):
            present += step
            most = max(most, present)
        return most

    def worker_of(self, number: int) -> int:
        """The process that began the shard first."""
        return next(note["pid"] for note in self.events("begin") if note["number"] == number)

    def release(self) -> None:
        """Let the shards go on that wait."""
        (self.notes / "released").touch()

    def results(self, shards: Iterable[Shard]) -> dict[int, Any]:
        """What each shard that is done was marked with, by its number; nothing of who made it."""
        marks = {shard.payload["number"]: completion_of(self.folder, shard.key) for shard in shards}
        return {
            number: {name: value for name, value in mark.items() if name != "worker"}
            for number, mark in marks.items()
            if mark is not None
        }


def shards_of(numbers: int | Iterable[int], **payload: Any) -> list[Shard]:
    """Shards with these numbers; `payload` says what happens to the worker that makes them."""
    each = range(numbers) if isinstance(numbers, int) else numbers
    return [Shard.of({"number": number, **payload}) for number in each]


def expected(shards: Iterable[Shard]) -> dict[int, Any]:
    """`results` once all `shards` are done."""
    return {s.payload["number"]: {"key": s.key, "square": s.payload["number"] ** 2} for s in shards}


def local(**options: Any) -> LocalConfig:
    """Options of the local launcher, those of conf/launcher but for `options`."""
    defaults: dict[str, Any] = {"gpus": True, "slots": None, "workers_per_gpu": 1, "wait": True}
    return LocalConfig(name="local", **{**defaults, **options})


def external(**options: Any) -> ExternalConfig:
    """Options of the launcher that waits for workers."""
    return ExternalConfig(name="external", **{"wait": True, **options})


def slurm(**options: Any) -> SlurmConfig:
    """Options of the SLURM launcher, without a GPU but for `options`."""
    nothing = dict.fromkeys(
        ("shards_per_worker", "partition", "account", "qos", "gres", "constraint", "memory", "cpus", "python")
    )
    defaults: dict[str, Any] = {
        **{**nothing, "max_concurrent": 4, "time": 10, "signal_delay": 30, "setup": [], "srun_args": []},
        **{"additional": {}, "wait": True, "on_interrupt": "leave"},
    }
    return SlurmConfig(name="slurm", **{**defaults, **options})


def make_worker(bench: Bench, broken: str | None = None, fills: str | None = None) -> Callable[[Shard], None]:
    """The worker function; on the device `broken` it cannot be made, on "*" nowhere.

    With `fills` it fills the disk of that file from its third shard on.
    """
    device = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    if broken in (device, "*"):
        bench.note("broken")
        raise RuntimeError(f"device {device} is broken")
    bench.note(
        "load",
        gpu=device,
        cpus=sorted(os.sched_getaffinity(0)),
        threads=os.environ.get("OMP_NUM_THREADS"),
        variables={name: value for name, value in os.environ.items() if name.startswith("LAUNCHING_")},
        job=os.environ.get("SLURM_ARRAY_JOB_ID") or os.environ.get("SLURM_JOB_ID"),
    )
    return partial(work, bench, fills=fills)


def work(bench: Bench, shard: Shard, fills: str | None = None) -> None:
    """Note the touch, do what the payload asks for, mark the shard."""
    number, does = shard.payload["number"], shard.payload.get("does")
    bench.note("begin", number=number, gpu=os.environ.get("CUDA_VISIBLE_DEVICES", ""))
    try:
        if not (bench.notes / "released").exists():
            time.sleep(shard.payload.get("seconds", 0))
        if meet := shard.payload.get("meet"):
            _until(lambda: len({note["pid"] for note in bench.events("begin")}) >= meet)
        if event := shard.payload.get("sees"):
            _until(lambda: bench.events(event))
        if shard.payload.get("waits"):
            _until((bench.notes / "released").exists)
        if does == "kill" or (does == "kill once" and bench.begun()[number] == 1):
            bench.note("end", number=number)
            os.kill(os.getpid(), signal.SIGKILL)
        _fail(does, number, bench.begun()[number])
        if fills and number == 2:
            _fill(Path(fills))
        shard.complete(bench.folder, {"square": number**2})
    finally:
        time.sleep(shard.payload.get("lingers", 0))
        bench.note("end", number=number)


def _fail(does: str | None, number: int, attempt: int) -> None:
    if does == "hang" or (does == "hang once" and attempt == 1):
        ctypes.PyDLL(None).pause()  # native code that holds Python's lock: no other thread runs
    if does == "raise" or (does == "raise twice" and attempt <= 2):
        raise ValueError(f"number {number} is wrong\nsecond line")
    if does == "memory":
        raise MemoryError(f"no memory for {number}")
    if does == "exit":
        sys.exit(f"number {number} is too much")


def _fill(path: Path) -> None:
    with suppress(OSError), path.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def _until(moment: Callable[[], object]) -> None:
    deadline = time.monotonic() + _TOO_LONG
    while not moment():
        if time.monotonic() > deadline:
            raise TimeoutError("what the shard waits for never came")
        time.sleep(0.02)


def main() -> None:
    """What `launch_apart` starts: the exit status is that of the applications."""
    from launchers.backends import local as on_this_host  # with submitit, which workers need not wait for
    from launchers.backends.slurm import SlurmWorkers

    SlurmWorkers.poll_seconds, on_this_host._GRACE_SECONDS = 0.2, 3.0
    spec = json.loads(sys.argv[1])
    launcher: LauncherConfig = TypeAdapter(LauncherConfig).validate_python(spec["launcher"])
    run_dir, notes, stage = spec["place"]
    bench = Bench(Path(run_dir), Path(notes), stage)
    try:
        bench.launch([Shard(**shard) for shard in spec["shards"]], launcher)
    except NotWaitedError as news:
        print(news)
    except FailedShardsError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
