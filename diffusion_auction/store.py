"""The run directory: what is in it, that one run at a time writes it, and that nothing of it is lost."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from filelock import FileLock, Timeout
from PIL import Image

from diffusion_auction.errors import RequestError
from launchers.shards import write_atomic


@contextmanager
def run_directory(path: Path, config: dict[str, Any], identity: dict[str, Any]) -> Iterator[Path]:
    """Hold `path` for this run alone; write `config.yaml` on the first run, compare on later ones.

    `config` is the resolved configuration; `identity` its flat keys that two runs of one directory must share.
    Raises `RequestError` if another process holds the directory, if it holds other files, or if it was made
    with another configuration (the differing keys are named); nothing is changed then.
    """
    lock = FileLock(path / ".lock")
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise RequestError("run_dir", path, "a directory that no other run is using at this moment") from None
    except OSError as error:
        raise RequestError("run_dir", path, f"a directory that can be written ({error.strerror})") from None
    try:
        stored = path / "config.yaml"
        if stored.exists():
            _compare(path, read_run(path)["identity"], identity)
        elif strangers := [p.name for p in sorted(path.iterdir()) if not _expected_beside(p)]:
            raise RequestError("run_dir", path, f"a new, empty or earlier run directory, it holds {strangers[0]}")
        else:
            text = yaml.safe_dump({**config, "identity": identity}, sort_keys=False, allow_unicode=True)
            write_atomic(stored, text.encode())
        yield path
    finally:
        lock.release()


def _expected_beside(path: Path) -> bool:
    """What a directory may hold before its first run: what a killed one left, and the jobs of a multirun."""
    return path.name.startswith(".") or path.name == "multirun.yaml" or (path / "config.yaml").exists()


def _compare(path: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    missing = object()
    differing = [key for key in sorted(old.keys() | new.keys()) if old.get(key, missing) != new.get(key, missing)]
    if differing:
        shown = "; ".join(f"{key} was {old.get(key)!r}, now {new.get(key)!r}" for key in differing)
        raise RequestError("run_dir", path, f"a directory made with this configuration ({shown})")


def read_run(path: Path, key: str = "run_dir") -> dict[str, Any]:
    """The configuration stored in the run directory `path`; raises `RequestError` naming `key` if there is none."""
    try:
        stored = yaml.safe_load((path / "config.yaml").read_text())
    except OSError:
        raise RequestError(key, path, "the directory of an earlier run (it has no config.yaml)") from None
    except (UnicodeDecodeError, yaml.YAMLError):
        stored = None
    if not (isinstance(stored, dict) and isinstance(stored.get("identity"), dict)):
        raise RequestError(key, path, "the directory of an earlier run (its config.yaml is not one of ours)")
    return stored


class Images:
    """The images of one shard, written all or none.

    The files are written beside their places first, then the shard is marked with their digests, then they are
    renamed: after a kill at any instant, a marked shard is finished by renaming and an unmarked one is made anew,
    so that no image is made twice and no batch is ever made in part.
    """

    def __init__(self, run_dir: Path, paths: list[str]) -> None:
        self._run_dir = run_dir
        self._places = [run_dir / path for path in paths]

    def write(self, images: list[Image.Image]) -> list[str]:
        """Write `images` as PNG beside their places, those already there as they are excepted; their SHA-256."""
        digests = []
        for place, image in zip(self._places, images, strict=True):
            buffer = io.BytesIO()
            image.save(buffer, "PNG")
            digests.append(hashlib.sha256(buffer.getvalue()).hexdigest())
            if _is(place, digests[-1]):
                self._part(place).unlink(missing_ok=True)  # what an earlier kill left must not be published over it
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                self._part(place).write_bytes(buffer.getvalue())
        return digests

    def publish(self) -> None:
        """Rename what `write` wrote to its places."""
        for place in self._places:
            if self._part(place).exists():
                self._part(place).replace(place)

    def complete(self, digests: list[str]) -> bool:
        """Whether every image is in place as marked, after putting there what a kill left beside."""
        for place, digest in zip(self._places, digests, strict=True):
            if not _is(place, digest):
                if not _is(self._part(place), digest):
                    return False
                self._part(place).replace(place)
        return True

    def link(self, source: Path, digests: list[str]) -> bool:
        """Put the same images of the run directory `source` beside their places; False if one is not there as marked.

        They are linked, or copied to another file system; a file that is in its place is never written to again.
        """
        theirs = [source / place.relative_to(self._run_dir) for place in self._places]
        if not all(_is(path, digest) for path, digest in zip(theirs, digests, strict=True)):
            return False
        for path, place in zip(theirs, self._places, strict=True):
            place.parent.mkdir(parents=True, exist_ok=True)
            self._part(place).unlink(missing_ok=True)
            try:
                self._part(place).hardlink_to(path)
            except OSError:
                shutil.copyfile(path, self._part(place))
        return True

    @staticmethod
    def _part(place: Path) -> Path:
        return place.with_suffix(".part")


def _is(path: Path, digest: str) -> bool:
    """Whether `path` is a file with that SHA-256: a truncated or foreign file is not."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == digest
    except FileNotFoundError:
        return False


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a Parquet file at once or not at all."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    write_atomic(path, buffer.getvalue())


def write_json(value: Any, path: Path) -> None:
    """Write strict JSON (no NaN) at once or not at all."""
    write_atomic(path, (json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode())
