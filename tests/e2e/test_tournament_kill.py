"""A competition ends the same, whoever plays its blocks and however often it is killed."""

from __future__ import annotations

import json
import multiprocessing
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from agt_tournament.sandbox.walls.sandbox import TIERS
from agt_tournament.tournament.competition_directory import SUBMISSIONS, rules_of
from agt_tournament.tournament.preflight import why_not
from agt_tournament.tournament.tournament_manager import TournamentStage, block_player, draw_arenas
from generative_auctions.run_directory import read_run
from launchers import Shard
from tests.support import application_command, auction, environment

pytestmark = pytest.mark.slow

REQUEST = ("tournament.games=60", "tournament.block_games=20", "seed=7")
STAGE1_GAMES, BLOCKS = 120, 6


def start(run_dir: Path, *more: str) -> subprocess.Popen[bytes]:
    log = (run_dir.parent / "log.txt").open("wb")
    command = application_command("agt_tournament", *REQUEST, *more, f"run_dir={run_dir}")
    with log:
        return subprocess.Popen(command, cwd=run_dir.parent, env=environment(), stdout=log, stderr=log)


def kill_at(moment: Callable[[], bool], run_dir: Path, *more: str) -> None:
    """Start the competition and `kill -9` it when `moment` has come."""
    process = start(run_dir, *more)
    deadline = time.monotonic() + 120
    try:
        while not moment():
            assert process.poll() is None, (run_dir.parent / "log.txt").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.001)
    finally:
        process.kill()
        process.wait()


def finish(run_dir: Path) -> Path:
    done = auction(*REQUEST, f"run_dir={run_dir}", cwd=run_dir.parent, module="agt_tournament")
    assert done.returncode == 0, done.stderr
    return run_dir


def count(run_dir: Path, pattern: str) -> int:
    return len(list(run_dir.glob(pattern)))


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finish(tmp_path_factory.mktemp("serial") / "run")


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Killed before the first game, within a block, between blocks, in the final and while tables are written."""
    run_dir = tmp_path_factory.mktemp("killed") / "run"
    kill_at((run_dir / "config.yaml").exists, run_dir)
    kill_at(lambda: count(run_dir, "stage1/*/game_*.json") > 5, run_dir)
    assert count(run_dir, "stage1/*/game_*.json") < STAGE1_GAMES
    kill_at(lambda: count(run_dir, "shards/stage1/*.json") > 1, run_dir)
    assert count(run_dir, "shards/stage1/*.json") < BLOCKS
    kill_at(lambda: count(run_dir, "stage2/*/game_*.json") > 5, run_dir)
    assert not (run_dir / "leaderboards").exists()
    kill_at((run_dir / "leaderboards").exists, run_dir)
    assert not (run_dir / "analytics" / "competition_report.html").exists()
    return finish(run_dir)


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stage 1 is played by two processes side by side, each taking every other block from the end."""
    run_dir = tmp_path_factory.mktemp("workers") / "run"
    kill_at(lambda: count(run_dir, f"{SUBMISSIONS}/[!.]*/bidding_agent.py") == 10, run_dir)
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=play_every_other, args=(run_dir, worker)) for worker in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    assert count(run_dir, "shards/stage1/*.json") == BLOCKS
    return finish(run_dir)


def play_every_other(run_dir: Path, worker: int) -> None:
    stored = read_run(run_dir)
    rules, folder = rules_of(stored), run_dir / "shards" / "stage1"
    teams = [entry["team_id"] for entry in stored["roster"]]
    stage = TournamentStage(1, draw_arenas(teams, rules.arena_size, stored["seed"]), rules.stage1_games)
    play: Callable[[Shard], None] = block_player(run_dir, run_dir / SUBMISSIONS, rules, stored["seed"], folder)
    for shard in stage.blocks(rules.block_games)[::-1][worker::2]:
        play(shard)


def timeless(path: Path) -> dict[str, Any]:
    """A game file without what depends on the clock."""
    game: dict[str, Any] = json.loads(path.read_bytes())
    del game["timestamp"]
    for entry in game["auction_log"]:
        del entry["seconds"], entry["cpu_seconds"], entry["waited_seconds"]
    return game


@pytest.mark.parametrize("way", ["killed", "two_workers"])
def test_its_games_are_those_of_the_serial_run(way: str, serial: Path, request: pytest.FixtureRequest) -> None:
    run_dir = request.getfixturevalue(way)
    places = sorted(path.relative_to(serial) for path in serial.glob("stage*/*/*"))
    assert places == sorted(path.relative_to(run_dir) for path in run_dir.glob("stage*/*/*"))
    assert len(places) == STAGE1_GAMES + 60
    for place in places:
        assert json.dumps(timeless(run_dir / place)) == json.dumps(timeless(serial / place)), place


@pytest.mark.parametrize("way", ["killed", "two_workers"])
def test_its_tables_are_those_of_the_serial_run(way: str, serial: Path, request: pytest.FixtureRequest) -> None:
    run_dir = request.getfixturevalue(way)
    tables = [*serial.glob("leaderboards/*"), serial / "public" / "rounds.csv"]
    assert len(tables) == 7
    for table in tables:
        assert (run_dir / table.relative_to(serial)).read_bytes() == table.read_bytes(), table.name
    rounds = [pd.read_parquet(path / "rounds.parquet") for path in (run_dir, serial)]
    timeless_rounds = [table.drop(columns=["seconds", "cpu_seconds", "waited_seconds"]) for table in rounds]
    pd.testing.assert_frame_equal(*timeless_rounds, check_exact=True)


def test_a_finished_block_is_not_played_again(serial: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in serial.glob("stage*/*/*")}
    finish(serial)
    assert {path: path.stat().st_mtime_ns for path in serial.glob("stage*/*/*")} == before


def test_a_damaged_game_file_is_played_again(serial: Path, tmp_path: Path) -> None:
    path = serial / "stage1" / "arena_1" / "game_3.json"
    whole = timeless(path)
    path.write_bytes(path.read_bytes()[:100])
    finish(serial)
    assert timeless(path) == whole


@pytest.mark.parametrize("tier", TIERS)
def test_no_agent_outlives_a_killed_organiser(tier: str, tmp_path: Path) -> None:
    if tier != "none" and why_not(tier):
        pytest.skip(str(why_not(tier)))
    run_dir = tmp_path / "run"
    kill_at(lambda: count(run_dir, "stage1/*/game_*.json") > 2, run_dir, f"sandbox={tier}")
    deadline = time.monotonic() + 5
    while left := [path for path in Path("/proc").glob("[0-9]*/cwd") if in_folder(path, run_dir)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


@pytest.mark.parametrize("signals", [(signal.SIGTERM,), (signal.SIGTERM, signal.SIGINT, signal.SIGTERM)])
def test_nothing_is_left_of_an_interrupted_organiser(signals: tuple[signal.Signals, ...], tmp_path: Path) -> None:
    """Nor if whoever interrupts it is impatient."""
    run_dir = tmp_path / "run"
    process = start(run_dir)
    while count(run_dir, "stage1/*/game_*.json") <= 2 and process.poll() is None:
        time.sleep(0.02)
    for each in signals:
        process.send_signal(each)
        time.sleep(0.05)
    assert process.wait(timeout=60) == 130
    assert not [path for path in Path("/proc").glob("[0-9]*/cwd") if in_folder(path, run_dir)]
    assert not list(Path("/dev/shm").glob(f"agt_files_{process.pid}_*"))


def in_folder(link: Path, folder: Path) -> bool:
    """Whether the process that `link` belongs to works below `folder`; one that has ended does not."""
    try:
        return link.readlink().is_relative_to(folder)
    except OSError:
        return False
