"""Shards, their marks, the one call that runs them, and the status command."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from generative_auctions.files import write_atomic
from launchers import FailedShardsError, InlineConfig, Shard, completion_of, fan_out
from launchers.__main__ import main
from launchers.leases import Leases
from launchers.shards import failure_of, failure_path
from launchers.status import CANCELLED, write_manifest
from launchers.worker_record import workers_of

SHARDS = [Shard.of({"number": i}, size=i + 1) for i in range(4)]


def worker(folder: Path, broken: set[int], seen: list[int] | None = None) -> Callable[[], Callable[[Shard], None]]:
    """Makes a worker that marks shards in `folder`, and raises for the numbers in `broken`."""

    def work(shard: Shard) -> None:
        number = shard.payload["number"]
        if seen is not None:
            seen.append(number)
        if number in broken:
            raise ValueError(f"number {number}\nsecond line")
        shard.complete(folder, {"square": number**2})

    return lambda: work


def test_keys_are_of_the_content() -> None:
    assert Shard.of({"a": 1, "b": [2]}).key == Shard.of({"b": [2], "a": 1}, size=9).key
    assert Shard.of({"a": 1, "b": [2]}).key != Shard.of({"a": 1, "b": [3]}).key
    with pytest.raises(ValueError, match="JSON"):
        Shard.of({"a": float("nan")})


def test_all_shards_run_in_order_and_are_marked(tmp_path: Path) -> None:
    seen: list[int] = []
    fan_out(worker(tmp_path, set(), seen), SHARDS, tmp_path, what="testing")
    assert seen == [0, 1, 2, 3]
    for shard in SHARDS:
        record = completion_of(tmp_path, shard.key)
        assert record is not None
        assert record.pop("worker") in workers_of(tmp_path)
        assert record == {"key": shard.key, "square": shard.payload["number"] ** 2}


def test_without_shards_the_worker_is_never_made(tmp_path: Path) -> None:
    def never() -> Callable[[Shard], None]:
        raise AssertionError

    fan_out(never, [], tmp_path / "marks", what="testing")


def test_a_failing_shard_stops_no_other_and_all_failures_are_listed(tmp_path: Path) -> None:
    with pytest.raises(FailedShardsError) as failed:
        fan_out(worker(tmp_path, {0, 2}), SHARDS, tmp_path, what="testing")
    assert [failure.key for failure in failed.value.failures] == [SHARDS[0].key, SHARDS[2].key]
    lines = str(failed.value).splitlines()
    assert lines[0] == "2 of 4 shards failed:"
    assert len(lines) == 3
    for line, number in zip(lines[1:], (0, 2), strict=True):
        path = failure_path(tmp_path, SHARDS[number].key)
        assert f"ValueError: number {number}" in line
        assert str(path) in line
        assert "Traceback" in failure_of(tmp_path, SHARDS[number].key).report
    assert [completion_of(tmp_path, shard.key) is not None for shard in SHARDS] == [False, True, False, True]


def test_an_exception_without_words_is_listed_too(tmp_path: Path) -> None:
    def work(_: Shard) -> None:
        raise AssertionError

    with pytest.raises(FailedShardsError, match="AssertionError"):
        fan_out(lambda: work, SHARDS[:1], tmp_path, what="testing")


def test_an_interruption_is_no_failure_of_a_shard(tmp_path: Path) -> None:
    def work(_: Shard) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fan_out(lambda: work, SHARDS, tmp_path, what="testing")
    assert not list(tmp_path.glob("failed/*"))


def test_the_ways_in_which_a_shard_fails_in_this_process(tmp_path: Path) -> None:
    def work(shard: Shard) -> None:
        number = shard.payload["number"]
        if number == 0:
            raise MemoryError("no room")
        if number == 1:
            sys.exit("enough")
        if number == 3:
            shard.complete(tmp_path, {})  # number 2 forgets to

    with pytest.raises(FailedShardsError) as failed:
        fan_out(lambda: work, SHARDS, tmp_path, what="testing")
    assert {failure.key: failure.reason for failure in failed.value.failures} == {
        SHARDS[0].key: "MemoryError: no room",
        SHARDS[1].key: "SystemExit: enough",
        SHARDS[2].key: "RuntimeError: the worker function left no completion record of the shard",
    }
    assert completion_of(tmp_path, SHARDS[3].key) is not None


@pytest.mark.parametrize(("max_retries", "attempts"), [(0, 1), (1, 2), (2, 3), (5, 3)])
def test_a_failing_shard_is_tried_again_on_the_spot(max_retries: int, attempts: int, tmp_path: Path) -> None:
    seen: list[int] = []

    def work(shard: Shard) -> None:
        number = shard.payload["number"]
        seen.append(number)
        if number == 1 and seen.count(1) < 3:
            raise ValueError(f"attempt {seen.count(1)}")
        shard.complete(tmp_path, {})

    try:
        fan_out(lambda: work, SHARDS, tmp_path, what="testing", launcher=InlineConfig(max_retries=max_retries))
    except FailedShardsError as failed:
        assert max_retries < 2
        (failure,) = failed.failures
        assert failure.reason == f"ValueError: attempt {attempts}"
        assert failure.attempts == attempts
        assert f"after {attempts} attempt" in failure.report
    assert seen == [0, *[1] * attempts, 2, 3]


def test_a_rerun_touches_what_failed_alone(tmp_path: Path) -> None:
    with pytest.raises(FailedShardsError):
        fan_out(worker(tmp_path, {1, 2}), SHARDS, tmp_path, what="testing")
    seen: list[int] = []
    fan_out(worker(tmp_path, set(), seen), SHARDS, tmp_path, what="testing")
    assert seen == [1, 2]


def test_a_damaged_mark_is_made_again(tmp_path: Path) -> None:
    fan_out(worker(tmp_path, set()), SHARDS, tmp_path, what="testing")
    (tmp_path / f"{SHARDS[2].key}.json").write_text("{")
    seen: list[int] = []
    fan_out(worker(tmp_path, set(), seen), SHARDS, tmp_path, what="testing")
    assert seen == [2]


def test_a_worker_that_cannot_be_made_here_says_why_itself(tmp_path: Path) -> None:
    def broken() -> Callable[[Shard], None]:
        raise ValueError("no model")

    with pytest.raises(ValueError, match="no model"):
        fan_out(broken, SHARDS, tmp_path, what="testing")
    assert not Leases(tmp_path).holders()
    fan_out(worker(tmp_path, set()), SHARDS, tmp_path, what="testing")


def test_a_full_disk_is_no_failure_of_a_shard(tmp_path: Path) -> None:
    def work(shard: Shard) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "somewhere")

    with pytest.raises(OSError, match="No space left"):
        fan_out(lambda: work, SHARDS, tmp_path, what="testing")
    assert not list(tmp_path.glob("failed/*"))
    assert not Leases(tmp_path).holders()


def test_work_that_was_called_off_stops_here_too(tmp_path: Path) -> None:
    def work(shard: Shard) -> None:
        shard.complete(tmp_path, {})
        if shard == replace(SHARDS[1], worker=shard.worker):
            (tmp_path / CANCELLED).touch()

    with pytest.raises(KeyboardInterrupt):
        fan_out(lambda: work, SHARDS, tmp_path, what="testing")
    assert [completion_of(tmp_path, shard.key) is not None for shard in SHARDS] == [True, True, False, False]
    fan_out(worker(tmp_path, set()), SHARDS, tmp_path, what="testing")
    assert completion_of(tmp_path, SHARDS[3].key)


def test_success_clears_the_error(tmp_path: Path) -> None:
    with pytest.raises(FailedShardsError):
        fan_out(worker(tmp_path, {1}), SHARDS, tmp_path, what="testing")
    assert failure_path(tmp_path, SHARDS[1].key).exists()
    fan_out(worker(tmp_path, set()), [SHARDS[1]], tmp_path, what="testing")
    assert not list(tmp_path.glob("failed/*"))


def test_no_mark_and_a_damaged_mark_are_none(tmp_path: Path) -> None:
    assert completion_of(tmp_path, "absent") is None
    for content in (b'{"key": ', b"", b"\xff\xfe\x00"):
        (tmp_path / "bad.json").write_bytes(content)
        assert completion_of(tmp_path, "bad") is None


def test_write_atomic_leaves_the_old_file_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "file"
    write_atomic(path, b"old")

    def full(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:1])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space"):
            write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A run with two stages: of four shards one failed and one is pending; of two scored none is."""
    generate, score = tmp_path / "shards" / "generate", tmp_path / "shards" / "score"
    write_manifest(generate, [shard.key for shard in SHARDS])
    write_manifest(score, [shard.key for shard in SHARDS[:2]])
    with pytest.raises(FailedShardsError):
        fan_out(worker(generate, {0}), SHARDS[:3], generate, what="testing")
    fan_out(worker(score, set()), SHARDS[:2], score, what="testing")
    Shard.of({"of": "an earlier plan"}).complete(generate, {})
    return tmp_path


def test_status_counts(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["status", str(run_dir)]) == 3
    out, err = capsys.readouterr()
    first, failed, *_, second = out.splitlines()
    assert (first, second) == ("generate: 2 done, 1 pending, 1 failed", "score: 2 done, 0 pending, 0 failed")
    assert SHARDS[0].key in failed
    assert err == ""


def test_status_of_work_that_nobody_does(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generate = run_dir / "shards" / "generate"
    fan_out(worker(generate, set()), [SHARDS[0]], generate, what="testing")
    capsys.readouterr()
    assert main(["status", str(run_dir)]) == 3
    first, nobody, second = capsys.readouterr().out.splitlines()
    assert first == "generate: 3 done, 1 pending, 0 failed"
    assert nobody == "  nobody works on it and nothing is queued; the same command goes on from there"
    assert second == "score: 2 done, 0 pending, 0 failed"
    fan_out(worker(generate, set()), [SHARDS[3]], generate, what="testing")
    assert main(["status", str(run_dir)]) == 0


def test_status_where_slurm_cannot_be_asked(
    run_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    (run_dir / "shards" / "generate" / "jobs").mkdir()
    (run_dir / "shards" / "generate" / "jobs" / "12_submission.sh").touch()
    capsys.readouterr()
    assert main(["status", str(run_dir)]) == 1  # a job may be queued
    out = capsys.readouterr().out
    assert "SLURM's queue is not known: expected a host with SLURM's commands (there is no squeue here)" in out
    assert "nobody is seen at work" in out


def test_status_before_there_are_shards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").touch()
    assert main(["status", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("no work was handed out yet")


def test_status_of_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert str(tmp_path) in err
    assert len(err.splitlines()) == 1
