"""One run at a time, nothing overwritten, no file in part."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from PIL import Image

from diffusion_auction.generation.store import Images
from generative_auctions.errors import RequestError
from generative_auctions.files import write_json, write_table
from generative_auctions.run_directory import differences, read_run, run_directory
from launchers.shards import Shard, completion_of
from tests.support import environment

CONFIG = {"seed": 0, "model": {"steps": 5}}
IDENTITY = {"seed": 0, "model.steps": 5, "bids.vectors": [[0.7, 0.3]]}


def open_run(path: Path, **changes: object) -> None:
    with run_directory(path, CONFIG, IDENTITY | changes):
        pass


def snapshot(path: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in path.iterdir() if p.is_file() and p.name != ".lock"}


def test_the_first_run_writes_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "a" / "run"
    open_run(path)
    assert yaml.safe_load((path / "config.yaml").read_text()) == {**CONFIG, "identity": IDENTITY}
    assert read_run(path)["model"] == {"steps": 5}
    before = snapshot(path)
    open_run(path)
    assert snapshot(path) == before


def test_another_configuration_is_refused_with_the_differing_keys(tmp_path: Path) -> None:
    open_run(tmp_path)
    (tmp_path / "metrics.json").write_text("{}")
    before = snapshot(tmp_path)
    with (
        pytest.raises(RequestError) as refused,
        run_directory(tmp_path, CONFIG, IDENTITY | {"seed": 1, "model.steps": 4, "bids.values": [0.5]}, "name=NAME"),
    ):
        pass
    first, *named = str(refused.value).splitlines()
    assert first.startswith("run_dir = ")
    assert "name=NAME" in first
    assert named == ["  bids.values was absent, now [0.5]", "  model.steps was 5, now 4", "  seed was 0, now 1"]
    assert snapshot(tmp_path) == before


LONG = "x" * 70


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"extra": 1}, {}, ["extra was 1, now absent"]),
        ({"seed": 1 << 100}, {"seed": 5}, ["seed was a seed that is kept secret, now 5"]),
        ({}, {"weights": None}, ["weights was absent, now null"]),
        (
            {"quality.name": "clip", "quality.good": "x", "quality.batch": 1},
            {"quality.name": "aesthetic", "quality.batch": 2},
            ["quality.batch was 1, now 2", "quality.name was clip, now aesthetic"],
        ),
        (
            {"bids.kind": "grid", "bids.axes": [[1]]},
            {"bids.kind": "explicit", "bids.vectors": [[1]]},
            ["bids.kind was grid, now explicit"],
        ),
        ({"x": [{"c": LONG, "a": "y"}, {}]}, {"x": [{"c": LONG, "a": "z"}, {}]}, ["x[0].a was y, now z"]),
        ({"x": ["long" * 9] * 5}, {"x": [1]}, ["x was a list of 5, now [1]"]),
        (dict.fromkeys(map(str, range(20)), 0), dict.fromkeys(map(str, range(20)), 1), None),
    ],
)
def test_each_difference_is_a_short_line(old: dict[str, Any], new: dict[str, Any], named: list[str] | None) -> None:
    if named is None:
        assert differences(old, new)[-1] == "and 8 more"
    else:
        assert differences(old, new) == named


def test_long_values_are_cut_and_still_told_apart() -> None:
    (line,) = differences({"a": "x" * 1000 + "y"}, {"a": "x" * 1000 + "z"})
    was, now = line.removeprefix("a was ").split(", now ")
    assert was != now
    assert len(line) < 250


def test_a_directory_in_which_nothing_was_made_is_free_for_another_configuration(tmp_path: Path) -> None:
    open_run(tmp_path, seed=1)
    stage = tmp_path / "shards" / "generate"
    for file in ("provenance.json", "plan.parquet", "submissions/a/bidding_agent.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    for file in ("shards.txt", "workers/host-1.json", "failed/0123.json"):
        (stage / file).parent.mkdir(parents=True, exist_ok=True)
        (stage / file).touch()
    open_run(tmp_path)
    assert read_run(tmp_path)["identity"] == IDENTITY
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "config.yaml"}


MADE = ("images/a.png", "stage1/arena_1/game_1.json", "game.json", "scores.parquet")
MADE_OR_IN_THE_MAKING = (*MADE, "shards/generate/0123.json", "shards/generate/jobs/work.pkl")


@pytest.mark.parametrize("made", MADE_OR_IN_THE_MAKING)
def test_where_something_was_made_or_may_still_be_another_configuration_is_refused(made: str, tmp_path: Path) -> None:
    open_run(tmp_path, seed=1)
    (tmp_path / made).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / made).touch()
    with pytest.raises(RequestError, match="seed was 1, now 0"):
        open_run(tmp_path)
    assert (tmp_path / made).exists()


def test_a_directory_with_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("dear")
    with pytest.raises(RequestError, match=r"run_dir .*thesis\.tex"):
        open_run(tmp_path)
    assert snapshot(tmp_path) == {"thesis.tex": b"dear"}


@pytest.mark.parametrize("content", ["a: 1\n", "- 1\n", "", "{", "identity: 3\n"])
def test_somebody_elses_configuration_is_refused_and_left_alone(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(RequestError, match="run_dir"):
        open_run(tmp_path)
    assert snapshot(tmp_path) == {"config.yaml": content.encode()}


@pytest.mark.parametrize("below", ["", "run"])
def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path: Path, below: str) -> None:
    place = tmp_path / "file"
    place.write_text("dear")
    with pytest.raises(RequestError, match="run_dir"):
        open_run(place / below)
    assert place.read_text() == "dear"


def test_a_run_killed_before_its_first_file_is_taken_up(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".config.yaml.4711.part").write_text("seed:")
    open_run(tmp_path)
    assert read_run(tmp_path)["seed"] == 0


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"run_dir .*config\.yaml"):
        read_run(tmp_path)


def test_a_second_process_is_refused_while_the_first_runs(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from generative_auctions.run_directory import run_directory\n"
        f"with run_directory(Path({str(tmp_path)!r}), {CONFIG!r}, {IDENTITY!r}):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        before = snapshot(tmp_path)
        with pytest.raises(RequestError, match=r"run_dir .*no other run"):
            open_run(tmp_path)
        assert snapshot(tmp_path) == before
    finally:
        other.kill()
        other.communicate()
    open_run(tmp_path)  # killed, it holds nothing


def test_the_lock_is_given_back_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), run_directory(tmp_path, CONFIG, IDENTITY):
        raise ZeroDivisionError
    open_run(tmp_path)


PATHS = [f"images/prompt_000/idx000_b1_0.70_b2_0.30_s{s:02d}.png" for s in range(3)]


class Batch:
    """Three images on their way to disk, as a worker brings them there."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir, self.marks = run_dir, run_dir / "shards"
        self.images = [Image.new("RGB", (4, 4), (70 * i, 20, 30)) for i in range(3)]
        self.files, self.shard = Images(run_dir, PATHS), Shard.of({"paths": PATHS})

    def write(self) -> list[str]:
        return self.files.write(self.images)

    def mark(self) -> None:
        self.shard.complete(self.marks, {"sha256": self.write()})

    def finish(self) -> None:
        self.mark()
        self.files.publish()

    @property
    def done(self) -> bool:
        """What a later run finds."""
        mark = completion_of(self.marks, self.shard.key)
        return mark is not None and Images(self.run_dir, PATHS).complete(mark["sha256"])

    def published(self) -> list[str]:
        return sorted(str(p.relative_to(self.run_dir)) for p in self.run_dir.rglob("*.png"))


def test_images_are_stored_as_made(tmp_path: Path) -> None:
    batch = Batch(tmp_path)
    batch.finish()
    assert batch.done
    assert batch.published() == PATHS
    for path, image in zip(PATHS, batch.images, strict=True):
        with Image.open(tmp_path / path) as stored:
            assert stored.tobytes() == image.tobytes()
    assert not list(tmp_path.rglob("*.part"))


def test_killed_after_writing_nothing_shows_and_the_batch_is_made_again(tmp_path: Path) -> None:
    batch = Batch(tmp_path)
    batch.write()
    assert batch.published() == []
    assert not batch.done
    batch.finish()
    assert batch.done


def test_killed_after_marking_the_files_are_put_in_place_and_nothing_is_made(tmp_path: Path) -> None:
    batch = Batch(tmp_path)
    batch.mark()
    assert batch.published() == []
    written = {p.stat().st_ino for p in tmp_path.rglob("*.part")}
    assert batch.done
    assert batch.published() == PATHS
    assert {(tmp_path / path).stat().st_ino for path in PATHS} == written


@pytest.mark.parametrize("moved", [1, 2])
def test_killed_between_two_renames_the_rest_follows(tmp_path: Path, moved: int) -> None:
    batch = Batch(tmp_path)
    batch.mark()
    for path in PATHS[:moved]:
        os.replace((tmp_path / path).with_suffix(".part"), tmp_path / path)
    assert batch.done
    assert batch.published() == PATHS


@pytest.mark.parametrize("damage", ["truncated", "foreign", "empty", "deleted", "another image of the run"])
def test_a_damaged_image_is_noticed(tmp_path: Path, damage: str) -> None:
    batch = Batch(tmp_path)
    batch.finish()
    victim = tmp_path / PATHS[1]
    if damage == "truncated":
        victim.write_bytes(victim.read_bytes()[:-1])
    elif damage == "foreign":
        Image.new("RGB", (4, 4), "red").save(victim)
    elif damage == "empty":
        victim.write_bytes(b"")
    elif damage == "deleted":
        victim.unlink()
    else:
        victim.write_bytes((tmp_path / PATHS[0]).read_bytes())
    assert not batch.done
    batch.finish()
    assert batch.done


def test_a_directory_in_the_place_of_an_image_is_named(tmp_path: Path) -> None:
    batch = Batch(tmp_path)
    batch.mark()
    place = tmp_path / PATHS[1]
    place.mkdir()
    with pytest.raises(IsADirectoryError) as refused:
        batch.files.publish()
    assert str(refused.value).endswith(f"remove it: '{place}'")
    with pytest.raises(IsADirectoryError) as refused:
        batch.done  # noqa: B018
    assert (refused.value.filename, refused.value.filename2) == (str(place), None)
    place.rmdir()
    assert batch.done


def test_a_damaged_leftover_is_not_put_in_place(tmp_path: Path) -> None:
    batch = Batch(tmp_path)
    batch.mark()
    part = (tmp_path / PATHS[2]).with_suffix(".part")
    part.write_bytes(part.read_bytes()[:-5])
    assert not batch.done
    assert PATHS[2] not in batch.published()


def test_tables_and_json_replace_whole_files(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": [1, 2]})
    write_table(table, tmp_path / "t.parquet")
    write_json({"b": [1.5, None, "é"]}, tmp_path / "m.json")
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json({"b": float("nan")}, tmp_path / "m.json")
    assert pd.read_parquet(tmp_path / "t.parquet").equals(table)
    assert json.loads((tmp_path / "m.json").read_text()) == {"b": [1.5, None, "é"]}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.json", "t.parquet"]


def test_what_a_kill_left_beside_is_not_published_over_a_good_image(tmp_path: Path) -> None:
    files, picture = Images(tmp_path, ["a.png"]), Image.new("RGB", (4, 4), "red")
    digests = files.write([picture])
    files.publish()
    (tmp_path / "a.part").write_bytes(b"half an ima")
    files.write([picture])
    files.publish()
    assert files.complete(digests)
