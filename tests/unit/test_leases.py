"""Leases on shards: one worker each, taken from the dead, given up after three."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from generative_auctions.files import write_atomic
from launchers import Shard, forget
from launchers.leases import MAX_LOSSES, Leases
from launchers.shards import failure_of, failure_path, lease_path
from launchers.worker import Work, take_shards
from launchers.worker_record import Presence

SHARD = Shard.of({"number": 0})


@pytest.fixture
def leases(tmp_path: Path) -> Leases:
    return Leases(tmp_path)


def free(leases: Leases, *there: str) -> None:
    leases.free(leases.holders(), there)


def test_a_shard_is_claimed_once(leases: Leases) -> None:
    assert leases.take(SHARD.key, "a")
    assert not leases.take(SHARD.key, "b")
    assert leases.holders() == {SHARD.key: "a"}
    leases.release(SHARD.key, "a")
    assert leases.holders() == {}
    assert leases.take(SHARD.key, "b")


def test_of_many_at_once_one_gets_it(leases: Leases) -> None:
    def take_all(worker: str) -> list[str]:
        return [key for key in map(str, range(200)) if leases.take(key, worker)]

    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(take_all, "abcdefgh"))
    assert Counter(key for keys in taken for key in keys) == dict.fromkeys(map(str, range(200)), 1)
    assert leases.holders() == {key: name for name, keys in zip("abcdefgh", taken, strict=True) for key in keys}


def test_what_is_done_or_failed_cannot_be_claimed(leases: Leases) -> None:
    SHARD.complete(leases.folder, {})
    assert not leases.take(SHARD.key, "a")
    other = Shard.of({"number": 1})
    write_atomic(failure_path(leases.folder, other.key), b"")
    assert not leases.take(other.key, "a")
    assert leases.holders() == {}


def test_what_ended_in_the_moment_of_claiming_is_let_go(leases: Leases, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([False, True])
    monkeypatch.setattr(leases, "is_settled", lambda key: next(answers))
    assert not leases.take(SHARD.key, "a")
    assert leases.holders() == {}
    assert os.listdir(leases.folder / "claims") == []


def test_a_claim_is_given_back_by_its_holder_alone(leases: Leases) -> None:
    leases.take(SHARD.key, "a")
    free(leases)  # a was thought to be gone
    assert leases.take(SHARD.key, "b")
    leases.release(SHARD.key, "a")
    assert leases.holders() == {SHARD.key: "b"}
    assert not leases.take(SHARD.key, "c")
    leases.release(SHARD.key, "b")
    assert leases.holders() == {}
    assert os.listdir(leases.folder / "claims") == []


def test_a_claim_whose_answer_was_lost_is_held(leases: Leases) -> None:
    lease_path(leases.folder, SHARD.key).symlink_to("../workers/a.json")  # made, and said to be there already
    assert leases.take(SHARD.key, "a")
    assert not leases.take(SHARD.key, "b")


def test_a_worker_that_cannot_see_the_mark_yet_does_not_make_the_shard_again(
    leases: Leases, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert leases.take(SHARD.key, "a")
    SHARD.complete(leases.folder, {})
    elsewhere = Leases(leases.folder)
    monkeypatch.setattr(elsewhere, "is_settled", lambda key: False)  # as the cache of another host says for seconds
    assert not elsewhere.take(SHARD.key, "b")
    assert leases.holders() == elsewhere.holders() == {}
    free(leases)
    assert leases.losses() == {}


def test_what_is_asked_for_again_can_be_claimed(leases: Leases) -> None:
    assert leases.take(SHARD.key, "a")
    SHARD.complete(leases.folder, {})
    forget(leases.folder, SHARD.key)
    assert leases.take(SHARD.key, "b")
    write_atomic(failure_path(leases.folder, SHARD.key), b"")
    leases.reopen({SHARD.key})
    assert leases.take(SHARD.key, "c")


@pytest.fixture
def behind_caches(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """One folder as two hosts see it that remember names, and that there is none, for seconds."""
    if os.geteuid() or not shutil.which("bindfs") or not os.access("/dev/fuse", os.W_OK):
        pytest.skip("needs root, bindfs and FUSE")
    real, *hosts = (tmp_path / name for name in ("real", "one", "two"))
    for folder in (real, *hosts):
        folder.mkdir()
    for host in hosts:
        options = "attr_timeout=5,entry_timeout=5,negative_timeout=5"
        subprocess.run(["bindfs", "-o", options, str(real), str(host)], check=True)
    yield hosts[0], hosts[1]
    for host in hosts:
        subprocess.run(["umount", "--lazy", str(host)], check=True)


def test_names_cached_by_a_file_system_make_no_shard_twice(behind_caches: tuple[Path, Path]) -> None:
    shards, begun = [Shard.of({"number": number}) for number in range(40)], list[int]()

    def work_at(folder: Path) -> None:
        def make(shard: Shard) -> None:
            begun.append(shard.payload["number"])
            time.sleep(0.005)
            shard.complete(folder, {})

        with Presence(folder, str(folder.parent.name)) as me:
            take_shards(Work(lambda: make, shards, folder), me)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work_at, [host / "stage" for host in behind_caches]))
    assert sorted(begun) == list(range(40))


def test_shards_of_the_dead_are_free_again(leases: Leases) -> None:
    leases.take(SHARD.key, "a")
    leases.take("other", "b")
    free(leases, "b")
    assert leases.holders() == {"other": "b"}
    assert leases.losses() == {SHARD.key: ["a"]}
    assert leases.take(SHARD.key, "b")


def test_a_worker_that_has_begun_meanwhile_is_not_gone(leases: Leases) -> None:
    leases.take(SHARD.key, "a")
    held = leases.holders()
    leases.take("other", "b")  # `there` below was asked for before b was there
    leases.free(held, {"a"})
    assert leases.holders() == {SHARD.key: "a", "other": "b"}


def test_a_shard_that_another_took_over_meanwhile_stays_with_it(leases: Leases) -> None:
    leases.take(SHARD.key, "dead")
    held = leases.holders()
    free(leases)
    leases.take(SHARD.key, "b")
    leases.free(held, {"b"})
    assert leases.holders() == {SHARD.key: "b"}
    assert leases.losses() == {SHARD.key: ["dead"]}


def test_a_shard_that_nobody_survives_is_given_up(leases: Leases) -> None:
    for number in range(MAX_LOSSES):
        assert leases.take(SHARD.key, f"worker-{number}")
        free(leases)
    assert not leases.take(SHARD.key, "next")
    first, *rest = failure_of(leases.folder, SHARD.key).report.splitlines()
    assert "3 workers ended while they worked on it" in first
    assert rest == ["workers worker-0, worker-1, worker-2"]
    leases.reopen({"another"})
    assert not leases.take(SHARD.key, "next")
    leases.reopen({SHARD.key})
    assert leases.losses() == {}
    assert leases.take(SHARD.key, "next")


def test_it_has_failed_before_another_may_take_it(leases: Leases, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the last loss and the verdict a waiting worker would make it once more."""
    taken = list[bool]()
    move = leases._move

    def moved(key: str, worker: str, to: Path) -> bool:
        done = move(key, worker, to)
        taken.append(leases.take(key, f"worker-{len(taken) + 1}"))  # whoever waits for it is there at once
        return done

    leases.take(SHARD.key, "worker-0")
    monkeypatch.setattr(leases, "_move", moved)
    for _ in range(MAX_LOSSES):
        free(leases)
    assert taken == [True] * (MAX_LOSSES - 1) + [False]
    assert len(leases.losses()[SHARD.key]) == MAX_LOSSES


def test_reading_makes_no_folder(tmp_path: Path) -> None:
    leases = Leases(tmp_path / "none", make=False)
    assert not leases.holders()
    assert not leases.losses()
    assert not (tmp_path / "none").exists()
