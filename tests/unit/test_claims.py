"""Claims on shards: one worker each, taken from the dead, given up after three."""

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

from launchers import Shard, unmark
from launchers.leases import MOST_LOST, Claims
from launchers.shards import claim_path, error_path
from launchers.worker import Work, take_shards
from launchers.worker_record import Presence

SHARD = Shard.of({"number": 0})


@pytest.fixture
def claims(tmp_path: Path) -> Claims:
    return Claims(tmp_path)


def free(claims: Claims, *there: str) -> None:
    claims.free(claims.holders(), there)


def test_a_shard_is_claimed_once(claims: Claims) -> None:
    assert claims.take(SHARD.key, "a")
    assert not claims.take(SHARD.key, "b")
    assert claims.holders() == {SHARD.key: "a"}
    claims.release(SHARD.key, "a")
    assert claims.holders() == {}
    assert claims.take(SHARD.key, "b")


def test_of_many_at_once_one_gets_it(claims: Claims) -> None:
    def take_all(worker: str) -> list[str]:
        return [key for key in map(str, range(200)) if claims.take(key, worker)]

    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(take_all, "abcdefgh"))
    assert Counter(key for keys in taken for key in keys) == dict.fromkeys(map(str, range(200)), 1)
    assert claims.holders() == {key: name for name, keys in zip("abcdefgh", taken, strict=True) for key in keys}


def test_what_is_done_or_failed_cannot_be_claimed(claims: Claims) -> None:
    SHARD.mark(claims.folder, {})
    assert not claims.take(SHARD.key, "a")
    other = Shard.of({"number": 1})
    error_path(claims.folder, other.key).touch()
    assert not claims.take(other.key, "a")
    assert claims.holders() == {}


def test_what_ended_in_the_moment_of_claiming_is_let_go(claims: Claims, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([False, True])
    monkeypatch.setattr(claims, "is_settled", lambda key: next(answers))
    assert not claims.take(SHARD.key, "a")
    assert claims.holders() == {}
    assert os.listdir(claims.folder / "claims") == []


def test_a_claim_is_given_back_by_its_holder_alone(claims: Claims) -> None:
    claims.take(SHARD.key, "a")
    free(claims)  # a was thought to be gone
    assert claims.take(SHARD.key, "b")
    claims.release(SHARD.key, "a")
    assert claims.holders() == {SHARD.key: "b"}
    assert not claims.take(SHARD.key, "c")
    claims.release(SHARD.key, "b")
    assert claims.holders() == {}
    assert os.listdir(claims.folder / "claims") == []


def test_a_claim_whose_answer_was_lost_is_held(claims: Claims) -> None:
    claim_path(claims.folder, SHARD.key).symlink_to("../workers/a.json")  # made, and said to be there already
    assert claims.take(SHARD.key, "a")
    assert not claims.take(SHARD.key, "b")


def test_a_worker_that_cannot_see_the_mark_yet_does_not_make_the_shard_again(
    claims: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert claims.take(SHARD.key, "a")
    SHARD.mark(claims.folder, {})
    elsewhere = Claims(claims.folder)
    monkeypatch.setattr(elsewhere, "is_settled", lambda key: False)  # as the cache of another host says for seconds
    assert not elsewhere.take(SHARD.key, "b")
    assert claims.holders() == elsewhere.holders() == {}
    free(claims)
    assert claims.losses() == {}


def test_what_is_asked_for_again_can_be_claimed(claims: Claims) -> None:
    assert claims.take(SHARD.key, "a")
    SHARD.mark(claims.folder, {})
    unmark(claims.folder, SHARD.key)
    assert claims.take(SHARD.key, "b")
    error_path(claims.folder, SHARD.key).touch()
    claims.reopen({SHARD.key})
    assert claims.take(SHARD.key, "c")


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
            shard.mark(folder, {})

        with Presence(folder, str(folder.parent.name)) as me:
            take_shards(Work(lambda: make, shards, folder), me)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work_at, [host / "stage" for host in behind_caches]))
    assert sorted(begun) == list(range(40))


def test_shards_of_the_dead_are_free_again(claims: Claims) -> None:
    claims.take(SHARD.key, "a")
    claims.take("other", "b")
    free(claims, "b")
    assert claims.holders() == {"other": "b"}
    assert claims.losses() == {SHARD.key: ["a"]}
    assert claims.take(SHARD.key, "b")


def test_a_worker_that_has_begun_meanwhile_is_not_gone(claims: Claims) -> None:
    claims.take(SHARD.key, "a")
    held = claims.holders()
    claims.take("other", "b")  # `there` below was asked for before b was there
    claims.free(held, {"a"})
    assert claims.holders() == {SHARD.key: "a", "other": "b"}


def test_a_shard_that_another_took_over_meanwhile_stays_with_it(claims: Claims) -> None:
    claims.take(SHARD.key, "dead")
    held = claims.holders()
    free(claims)
    claims.take(SHARD.key, "b")
    claims.free(held, {"b"})
    assert claims.holders() == {SHARD.key: "b"}
    assert claims.losses() == {SHARD.key: ["dead"]}


def test_a_shard_that_nobody_survives_is_given_up(claims: Claims) -> None:
    for number in range(MOST_LOST):
        assert claims.take(SHARD.key, f"worker-{number}")
        free(claims)
    assert not claims.take(SHARD.key, "next")
    first, *rest = error_path(claims.folder, SHARD.key).read_text().splitlines()
    assert "3 workers ended while they worked on it" in first
    assert rest == ["workers worker-0, worker-1, worker-2"]
    claims.reopen({"another"})
    assert not claims.take(SHARD.key, "next")
    claims.reopen({SHARD.key})
    assert claims.losses() == {}
    assert claims.take(SHARD.key, "next")


def test_reading_makes_no_folder(tmp_path: Path) -> None:
    claims = Claims(tmp_path / "none", make=False)
    assert claims.holders() == claims.losses() == {}
    assert not (tmp_path / "none").exists()
