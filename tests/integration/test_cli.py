"""The command line: what it refuses, what it leaves on disk, and what it does on the second call."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pandas as pd
import pytest
import yaml
from filelock import FileLock
from PIL import Image

from diffusion_auction import __main__ as command_line
from diffusion_auction.actions.experiment import prepare
from diffusion_auction.actions.run import run
from diffusion_auction.generation import generator as generate
from diffusion_auction.mechanisms import MECHANISMS
from tests.support import TABLE_1, auction, configured, environment

TABLES = ("samples", "scores", "auctions")
RUN = ("samples=2", "run_dir=run")  # (.7, .3) and both one-hot bids: six images


def digests(run_dir: Path) -> dict[str, str]:
    """SHA-256 of every image by its path below `run_dir`."""
    images = sorted((run_dir / "images").rglob("*.png"))
    return {str(p.relative_to(run_dir)): hashlib.sha256(p.read_bytes()).hexdigest() for p in images}


def stamps(run_dir: Path) -> dict[str, tuple[int, int]]:
    """Which files the images are, and when they were written."""
    return {str(p): (p.stat().st_ino, p.stat().st_mtime_ns) for p in (run_dir / "images").rglob("*.png")}


def tables(run_dir: Path) -> dict[str, pd.DataFrame]:
    """The run's tables without the one column that is a measurement."""
    return {
        name: pd.read_parquet(run_dir / f"{name}.parquet").drop(columns="seconds", errors="ignore") for name in TABLES
    }


def in_process(monkeypatch: pytest.MonkeyPatch, *args: object) -> int:
    """Exit status of the command line, run in this process."""
    monkeypatch.setattr(sys, "argv", ["diffusion_auction", *map(str, args)])
    return command_line.main()


# --- what is refused -------------------------------------------------------------------------------

BAD = {
    "seed=abc": "seed = abc",
    "samples=0": "samples = 0",
    "model.steps=many": "model.steps = many",
    "colour=red": "colour",
    "model=fluxx": "flux_schnell",
    "+sweep=nothing": "two_agent_grid",
    "bids.vectors=[[0.7,nan]]": "bids.vectors[0][1] = nan",
    "bids.vectors=[[0.7,-1]]": "bids.vectors[0][1] = -1",
    "bids.vectors=[[0.5,0.3,0.2]]": "bids.vectors[0]",
    "bids.vectors=[[0.7,0.3]": "bids.vectors",
    "scenarios=[7]": "scenarios = 7",
    "prompts=file": "prompts.path",
    "prompts=file prompts.path=nowhere.json": "prompts.path",
    "prompts=file prompts.path=gap.json": "entry 0, field agent2_prompt",
    "quality.good_prompt=splendid": "splendid",
    "mechanism=lottery": "vcg_pool",
    "mechanism=vcg_pool mechanism.compositions=[everything]": "mechanism.compositions[0]",
    "mechanism=vcg_pool mechanism.compositions=[]": "mechanism.compositions",
    "mechanism=vcg_pool mechanism.compositions=[[1,0,0]]": "mechanism.compositions[0]",
    "mechanism=vcg_pool mechanism.compositions=[joint,[1,-1]]": "mechanism.compositions[1][1] = -1",
    "mechanism=vcg_pool mechanism.samples=26": "mechanism.samples = 26",
    "mechanism=myerson mechanism.curve=0": "mechanism.curve = 0",
    "mechanism=first_price +mechanism.payment_floor=zero": "mechanism.payment_floor",
    "composition=geometric": "lovasz",
    "images_from=thesis": "images_from = thesis",
    "action=evaluate": "scores = null",
    "action=evaluate scores=nowhere.csv": "scores = nowhere.csv",
    "action=compare": "runs = none",
    "action=compare runs=[thesis,gap.json]": "runs = thesis",
    "action=dance": "action = dance",
    "action=report run_dir=nowhere": "run_dir",
    "run_dir=gap.json": "run_dir",
    "run_dir=gap.json/below": "run_dir",
    "run_dir=thesis": "run_dir",
    "run_dir=''": "run_dir",
}
"""Requests, and what the one line about them names."""


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[CompletedProcess[str], list[str]]]:
    """Each bad request, made in a directory of its own, with the names found there afterwards."""

    def ask(request: str) -> tuple[CompletedProcess[str], list[str]]:
        cwd = tmp_path_factory.mktemp("bad")
        (cwd / "thesis").mkdir()
        (cwd / "thesis" / "chapter.tex").touch()
        (cwd / "gap.json").write_text(json.dumps([{"base_prompt": "c", "agent1_prompt": "a", "agent3_prompt": "b"}]))
        done = auction(*request.split(), cwd=cwd)
        return done, sorted(str(p.relative_to(cwd)) for p in cwd.rglob("*") if p.name != ".lock")

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(BAD, pool.map(ask, BAD), strict=True))


@pytest.mark.parametrize("request_", BAD)
def test_a_wrong_request_is_one_line_and_status_2(
    refused: dict[str, tuple[CompletedProcess[str], list[str]]], request_: str
) -> None:
    done, left = refused[request_]
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert BAD[request_] in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert done.stdout == ""
    assert left == ["gap.json", "thesis", "thesis/chapter.tex"]


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ("model.weights=/nowhere", "model.weights = /nowhere"),
        ("model.weights=/tmp", "model.weights = /tmp"),  # a folder without a Flux
        ("alignment.model=nothing", "alignment.model = nothing"),
        ("alignment.pretrained=/nowhere.pt", "alignment.pretrained = /nowhere.pt"),  # `tiny_clip` has none
        ("alignment.model=RN50 alignment.pretrained=nothing", "alignment.pretrained = nothing"),
        ("model.device=cuda:99", "model.device = cuda:99"),
        ("alignment.device=cuda:99", "alignment.device = cuda:99"),
    ],
)
def test_a_model_that_cannot_be_had_is_named(
    request_: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert in_process(monkeypatch, *request_.split(), "samples=1", f"run_dir={tmp_path / 'run'}") == 2
    err = capsys.readouterr().err
    assert err.splitlines()[-1].startswith(said)
    assert "Traceback" not in err
    assert not (tmp_path / "run").exists()  # so the corrected command finds nothing of it


# --- what is made ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the shared run was started."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def finished(home: Path) -> CompletedProcess[str]:
    """`python -m diffusion_auction samples=2 run_dir=run`."""
    done = auction(*RUN, cwd=home)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def run_dir(home: Path, finished: CompletedProcess[str]) -> Path:
    return home / "run"


def test_plan_says_the_cost_and_writes_nothing(tmp_path: Path) -> None:
    done = auction("+sweep=two_agent_grid", "scenarios=[0]", "samples=50", "action=plan", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for label, figure in (("bid vectors", "55"), ("compositions", "30"), ("passes", "14,000"), ("naive", "41,250")):
        assert re.search(rf"{label}\W+{figure}\b", done.stdout), done.stdout
    assert "1 of 5 scenarios; scenarios=null takes all" in done.stdout
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_help_reads_like_documentation(tmp_path: Path) -> None:
    done = auction("--help", cwd=tmp_path)
    assert done.returncode == 0
    for part in ("action=report run_dir=DIR", "two_agent_simplex", "vectors:", "Exit status"):
        assert part in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_run_makes_every_file_of_the_contract_and_no_other(home: Path, run_dir: Path) -> None:
    assert [p.name for p in home.iterdir()] == ["run"]
    assert {p.name for p in run_dir.iterdir()} - {".lock"} == {
        "config.yaml", "provenance.json", "plan.parquet", "images", "samples.parquet", "scores.parquet",
        "auctions.parquet", "metrics.json", "figures", "report.html", "generation_log.json", "shards",
    }  # fmt: skip
    assert sorted(digests(run_dir)) == [
        f"images/prompt_000/idx000_{tag}_s{sample:02d}.png"
        for tag in ("b1_0.00_b2_1.00", "b1_0.70_b2_0.30", "b1_1.00_b2_0.00")
        for sample in (0, 1)
    ]
    assert {p.suffix for p in (run_dir / "figures").iterdir()} == {".png", ".svg"}
    assert not list(run_dir.rglob("*.part"))


def test_the_outcome_is_printed(finished: CompletedProcess[str], home: Path, run_dir: Path) -> None:
    for part in (*TABLE_1[0], "payment", "welfare", "report"):
        assert part in finished.stdout
    image = re.search(r"image\s+(\S+\.png)", finished.stdout)
    assert image is not None
    assert (home / image[1]).is_file()
    sold = pd.read_parquet(run_dir / "auctions.parquet").query("mechanism == 'vcg'").iloc[0]
    assert image[1].endswith(f"b1_0.70_b2_0.30_s{sold.chosen_sample:02d}.png")


def test_what_the_tables_say(run_dir: Path) -> None:
    plan, samples = pd.read_parquet(run_dir / "plan.parquet"), pd.read_parquet(run_dir / "samples.parquet")
    pd.testing.assert_frame_equal(samples[plan.columns], plan)
    assert dict(zip(samples["path"], samples["sha256"], strict=True)) == digests(run_dir)
    assert (samples["seconds"] > 0).all()

    scores = pd.read_parquet(run_dir / "scores.parquet")
    assert {"scenario", "sample", "bid_1", "bid_2", "alignment_1", "alignment_2", "alignment_base", "quality"} <= set(
        scores
    )
    assert len(scores) == 6
    assert scores.filter(like="alignment").abs().le(1).all(axis=None)
    assert scores["quality"].abs().lt(70).all()  # log-odds: at most twice the logit scale

    auctions = pd.read_parquet(run_dir / "auctions.parquet")
    assert auctions[["bid_1", "bid_2", "mechanism"]].to_numpy().tolist() == [[0.7, 0.3, name] for name in MECHANISMS]
    for sold in auctions.itertuples():
        values = 0.7 * sold.alignment_1 + 0.3 * sold.alignment_2
        assert sold.welfare == pytest.approx(values)
        assert sold.revenue == pytest.approx(sold.payment_1 + sold.payment_2)
    pool = scores.query("bid_1 == 0.7")
    assert auctions["welfare"][0] == pytest.approx((0.7 * pool["alignment_1"] + 0.3 * pool["alignment_2"]).max())


def test_sample_passes_counted_are_those_planned(run_dir: Path) -> None:
    """By the transformer as it ran: (.7, .3) has two branches, a one-hot bid one; 2 samples, 5 steps."""
    marks = [json.loads(p.read_text()) for p in (run_dir / "shards" / "generate").glob("*.json")]
    cost = json.loads((run_dir / "metrics.json").read_text())["cost"]
    assert sum(mark["sample_passes"] for mark in marks) == cost["sample_passes"] == (2 + 1 + 1) * 2 * 5
    assert cost["images"] == 6
    assert cost["sample_passes_naive"] == 1 * 3 * 2 * 5


def test_where_it_comes_from(run_dir: Path) -> None:
    stored = json.loads((run_dir / "provenance.json").read_text())
    assert stored["seed"] == 0
    assert {"git", "packages", "host", "devices", "command"} <= stored.keys()
    assert stored["rounding"]["MKL_CBWR"] == os.environ.get("MKL_CBWR")
    assert stored["rounding"]["OMP_NUM_THREADS"] == environment()["OMP_NUM_THREADS"]
    config = yaml.safe_load((run_dir / "config.yaml").read_text())
    assert config["samples"] == 2
    assert config["bids"] == {"kind": "explicit", "vectors": [[0.7, 0.3]]}


def test_scores_are_of_the_images_as_stored(run_dir: Path) -> None:
    from diffusion_auction.scoring.alignment import ClipAlignment

    clip = ClipAlignment("tiny_clip")
    samples, scores = (pd.read_parquet(run_dir / f"{name}.parquet") for name in ("samples", "scores"))
    row = samples.query("normalized_bid_1 == 0.7 and sample == 1").iloc[0]
    with Image.open(run_dir / row["path"]) as image:
        embedding = clip.embed([image.convert("RGB")])
    expected = clip.similarities(embedding, TABLE_1[0])[0]
    found = scores.query("bid_1 == 0.7 and sample == 1").iloc[0]
    assert found[["alignment_base", "alignment_1", "alignment_2"]].tolist() == pytest.approx(
        expected.tolist(), abs=1e-5
    )


def test_status(run_dir: Path, home: Path) -> None:
    done = auction("status", run_dir, cwd=home, module="launchers")
    assert done.returncode == 0
    assert done.stdout.splitlines() == ["generate: 1 done, 0 pending, 0 failed", "score: 1 done, 0 pending, 0 failed"]


# --- the second call -------------------------------------------------------------------------------


def test_a_rerun_makes_nothing_new(home: Path, run_dir: Path) -> None:
    before, stored = stamps(run_dir), tables(run_dir)
    done = auction(*RUN, cwd=home)
    assert done.returncode == 0, done.stderr
    assert stamps(run_dir) == before
    for name, table in tables(run_dir).items():
        pd.testing.assert_frame_equal(table, stored[name])


@pytest.mark.parametrize("change", ["seed=1", "samples=3", "bids.vectors=[[0.6,0.4]]"])
def test_another_configuration_on_the_directory_is_refused(home: Path, run_dir: Path, change: str) -> None:
    before = {p: p.stat().st_mtime_ns for p in run_dir.rglob("*") if p.is_file() and p.name != ".lock"}
    done = auction(*RUN[:1] * (change != "samples=3"), "run_dir=run", change, cwd=home)
    assert done.returncode == 2
    said, *named = done.stderr.splitlines()
    assert said.startswith("run_dir = run: ")
    assert "name=NAME" in said
    assert [line.split(" was ")[0] for line in named] == [f"  {change.partition('=')[0]}"]
    assert {p: p.stat().st_mtime_ns for p in run_dir.rglob("*") if p.is_file() and p.name != ".lock"} == before


def test_a_directory_in_use_is_refused(home: Path, run_dir: Path) -> None:
    with FileLock(run_dir / ".lock"):
        done = auction(*RUN, cwd=home)
    assert done.returncode == 2
    assert re.fullmatch(r"run_dir = run: .*no other run.*\n", done.stderr)


def test_report_is_rebuilt_from_what_is_stored(home: Path, run_dir: Path) -> None:
    figures = {p.name for p in (run_dir / "figures").iterdir()}
    shutil.rmtree(run_dir / "figures")
    (run_dir / "report.html").unlink()
    before, stored = stamps(run_dir), tables(run_dir)
    done = auction("action=report", "run_dir=run", cwd=home)
    assert done.returncode == 0, done.stderr
    assert "run/report.html" in done.stdout
    assert (run_dir / "report.html").is_file()
    assert {p.name for p in (run_dir / "figures").iterdir()} == figures
    assert stamps(run_dir) == before
    for name, table in tables(run_dir).items():
        pd.testing.assert_frame_equal(table, stored[name])


def test_damaged_images_are_made_again_the_same(home: Path, run_dir: Path) -> None:
    before, stored = digests(run_dir), tables(run_dir)
    deleted, truncated, foreign, *_ = (run_dir / path for path in before)
    deleted.unlink()
    truncated.write_bytes(truncated.read_bytes()[:100])
    Image.new("RGB", (64, 64), "red").save(foreign)
    assert digests(run_dir) != before
    done = auction(*RUN, cwd=home)
    assert done.returncode == 0, done.stderr
    assert digests(run_dir) == before
    for name, table in tables(run_dir).items():
        pd.testing.assert_frame_equal(table, stored[name])


# --- failures and interruptions --------------------------------------------------------------------


def breaking(error: BaseException, at: int) -> Callable[..., Any]:
    """`Generator._make` that raises `error` in its call number `at`."""
    make, calls = generate.Generator._make, []

    def broken(self: generate.Generator, *args: Any) -> Any:
        calls.append(args)
        if len(calls) == at:
            raise error
        return make(self, *args)

    return broken


def test_a_failed_shard_is_listed_and_the_rest_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    request = ("samples=2", "model.batch=2", f"run_dir={tmp_path / 'run'}")
    with monkeypatch.context() as patched:
        patched.setattr(generate.Generator, "_make", breaking(RuntimeError("out of luck"), at=2))
        assert in_process(patched, *request) == 1
    err = capsys.readouterr().err
    assert "1 of 3 shards failed" in err
    assert "RuntimeError: out of luck" in err
    (log,) = (tmp_path / "run").rglob("failed/*")
    assert str(log) in err.replace("\n", "")
    made = stamps(tmp_path / "run")
    assert len(made) == 4

    assert in_process(monkeypatch, *request) == 0
    after = stamps(tmp_path / "run")
    assert len(after) == 6
    assert made.items() <= after.items()
    assert not list((tmp_path / "run").rglob("failed/*"))


def test_an_interruption_says_how_to_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    request = ("samples=2", "model.batch=2", f"run_dir={tmp_path / 'run'}")
    with monkeypatch.context() as patched:
        patched.setattr(generate.Generator, "_make", breaking(KeyboardInterrupt(), at=2))
        assert in_process(patched, *request) == 130
    err = capsys.readouterr().err
    assert "same command resumes" in err
    assert "Traceback" not in err
    made = stamps(tmp_path / "run")
    assert len(made) == 2
    assert in_process(monkeypatch, *request) == 0
    assert made.items() <= stamps(tmp_path / "run").items()


# --- small experiments of every kind ---------------------------------------------------------------


def run_in(path: Path, *overrides: str) -> Path:
    run(prepare(configured("samples=1", f"run_dir={path}", *overrides)))
    return path


@pytest.mark.parametrize(
    ("overrides", "auctions"),
    [
        (["bids.vectors=[[0,0]]"], 1),
        (["bids.vectors=[[1,0],[0.5,0.5]]", "mechanism=single_winner"], 2),
        (
            [
                "prompts.entries=[{base_prompt: A swimming pool outdoors, agent1_prompt: Tesla car}]",
                "bids.vectors=[[2]]",
            ],
            1,
        ),
        (["prompts=cafe", "bids.vectors=[[4,1,1]]", "mechanism.payment_floor=zero"], 1),
        (["scenarios=[1,4]", "model.schedule=paper", "model.max_branches=1", "bids=simplex", "bids.values=[0.3]"], 2),
    ],
    ids=["nobody bids", "single winner", "one agent", "three agents", "two scenarios"],
)
def test_small_experiments(tmp_path: Path, overrides: list[str], auctions: int) -> None:
    run_dir = run_in(tmp_path / "run", *overrides)
    assert len(own_auctions(run_dir)) == auctions
    assert (run_dir / "report.html").is_file()
    json.loads((run_dir / "metrics.json").read_text(), parse_constant=pytest.fail)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_mechanism_has_the_images_that_its_auctions_need(mechanism: str, tmp_path: Path) -> None:
    run_dir = run_in(
        tmp_path / "run", "prompts=cafe", f"mechanism={mechanism}", "bids.vectors=[[4,1,1],[2,1,0],[0,3,0]]"
    )
    auctions = own_auctions(run_dir)
    assert len(auctions) == 3
    assert auctions.notna().all(axis=None)


def own_auctions(run_dir: Path) -> pd.DataFrame:
    """The auctions under the mechanism of the run."""
    auctions = pd.read_parquet(run_dir / "auctions.parquet")
    name = yaml.safe_load((run_dir / "config.yaml").read_text())["mechanism"]["name"]
    return auctions[auctions["mechanism"] == name]


def test_another_measure_takes_the_images_over(
    home: Path, run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "Generator", None)  # nothing is made
    other = tmp_path / "other"
    run(prepare(configured("samples=2", "alignment.measure=probability", f"run_dir={other}", f"images_from={run_dir}")))
    assert digests(other) == digests(run_dir)
    old, new = (pd.read_parquet(each / "scores.parquet") for each in (run_dir, other))
    assert (old["alignment_1"] != new["alignment_1"]).all()
    assert new["alignment_1"].between(0, 1).all()


def test_a_damaged_image_is_not_taken_over(home: Path, run_dir: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(run_dir, damaged)
    first = next(iter(digests(run_dir)))
    (damaged / first).write_bytes(b"")
    other = tmp_path / "other"
    run(prepare(configured("samples=2", f"run_dir={other}", f"images_from={damaged}")))
    assert digests(other) == digests(run_dir)
    assert (damaged / first).read_bytes() == b""


def test_the_same_image_in_another_experiment(tmp_path: Path) -> None:
    """Noise depends on seed, scenario and sample: not on which other bids, scenarios or samples are made."""
    one = run_in(tmp_path / "one", "scenarios=[3]", "bids.vectors=[[0.7,0.3]]")
    two = run_in(tmp_path / "two", "scenarios=[1,3]", "bids.vectors=[[0.2,0.8],[7,3]]", "samples=2", "model.batch=5")
    name = "images/prompt_003/idx003_b1_0.70_b2_0.30_s00.png"
    with Image.open(one / name) as a, Image.open(two / name) as b:
        assert max(abs(x - y) for x, y in zip(a.tobytes(), b.tobytes(), strict=True)) <= 1


def test_commands_one_after_the_other_in_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the README has them, with fewer samples: each has a directory of its own, says it, and finds it again."""
    monkeypatch.chdir(tmp_path)
    requests = [
        [],
        ["bids.vectors=[[0.2,0.8]]"],
        ["prompts=cafe", "bids.vectors=[[0.6,0.3,0.1]]"],
        ["composition=lovasz"],
    ]
    for request in requests:
        assert in_process(monkeypatch, "samples=1", *request) == 0
        out, err = capsys.readouterr()
        run_dir = err.partition("run_dir  ")[2].partition("\n")[0]
        assert f"report   {run_dir}/report.html" in out
        before = stamps(Path(run_dir))
        assert in_process(monkeypatch, *reversed(request), "samples=1", "launcher=inline") == 0
        assert stamps(Path(run_dir)) == before
        assert in_process(monkeypatch, "samples=1", *request, "action=report") == 0
        assert f"run_dir  {run_dir}\n" in capsys.readouterr().err
    assert len(list(Path("outputs/diffusion_auction").iterdir())) == len(requests)


def test_a_changed_prompts_file_is_another_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, entry = tmp_path / "prompts.json", '[{"base_prompt": "%s", "agent1_prompt": "Tesla car"}]'
    request = ("prompts=file", f"prompts.path={file}", "bids.vectors=[[1]]", "samples=1", f"run_dir={tmp_path / 'run'}")
    file.write_text(entry % "A swimming pool outdoors")
    assert in_process(monkeypatch, *request) == 0
    before = digests(tmp_path / "run")
    file.write_text(entry % "A car")
    capsys.readouterr()
    assert in_process(monkeypatch, *request) == 2
    assert "prompts" in capsys.readouterr().err
    assert digests(tmp_path / "run") == before

    file.unlink()  # what is stored is enough for the page
    assert in_process(monkeypatch, "action=report", f"run_dir={tmp_path / 'run'}") == 0


def test_multirun_gives_every_job_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert in_process(monkeypatch, "-m", "seed=1,2", "samples=1", "run_dir=runs") == 0
    configs = sorted(tmp_path.rglob("config.yaml"))
    assert sorted(yaml.safe_load(path.read_text())["seed"] for path in configs) == [1, 2]
