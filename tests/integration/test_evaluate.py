"""`action=evaluate`: the economics alone, from a table of recorded scores."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from diffusion_auction import __main__ as command_line
from diffusion_auction.evaluation.evaluate import evaluate, run_auctions
from diffusion_auction.evaluation.scores import check_scores, read_scores
from diffusion_auction.market.bids import grid
from diffusion_auction.market.compositions import recursive
from diffusion_auction.mechanisms import MECHANISMS, VCG, VCGPool, side_by_side
from tests.support import auction, environment
from tests.unit.score_tables import random_table

VECTORS = [*grid((0, 1), (0, 1)), (0.5, 1.0)]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with tables in it."""
    monkeypatch.chdir(tmp_path)
    rows = random_table(VECTORS, ("pool", "desk"), k=6).assign(alignment_base=0.2, quality=np.linspace(0, 1, 60))
    rows.to_csv("scores.csv", index=False)
    return tmp_path


def evaluated(monkeypatch: pytest.MonkeyPatch, *args: object) -> int:
    """Exit status of `action=evaluate`, run in this process, without the figures."""
    monkeypatch.setattr("diffusion_auction.report.page.write_report", lambda run_dir, **_: run_dir / "report.html")
    monkeypatch.setattr(sys, "argv", ["diffusion_auction", "action=evaluate", *map(str, args)])
    return command_line.main()


def metrics_of(run_dir: str | Path) -> dict[str, Any]:
    return json.loads((Path(run_dir) / "metrics.json").read_text())


def contents(folder: Path) -> dict[str, tuple[str, int]]:
    """SHA-256 and time of every file below `folder` but locks."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(p): (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns) for p in files}


# --- what it leaves ----------------------------------------------------------------------------------------


def test_what_it_writes(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluated(monkeypatch, "scores=scores.csv", "run_dir=run", "seed=5") == 0
    out, err = capsys.readouterr()
    assert err == "run_dir  run\n"
    assert {"config.yaml", "provenance.json", "auctions.parquet", "metrics.json"} <= {
        p.name for p in Path("run").iterdir()
    }
    assert not list(Path("run").rglob("*.part*"))
    assert sorted(p.name for p in here.iterdir()) == ["run", "scores.csv"]

    scores = check_scores(read_scores(Path("scores.csv")))
    mechanisms = side_by_side(VCG())
    metrics = metrics_of("run")
    expected = evaluate(scores, mechanisms, 5, branches=lambda bids: len(recursive(bids)))
    assert {key: metrics[key] for key in expected} == json.loads(json.dumps(expected))
    assert set(metrics["truthfulness"]) == set(MECHANISMS)
    pd.testing.assert_frame_equal(pd.read_parquet("run/auctions.parquet"), run_auctions(scores, mechanisms))
    pd.testing.assert_frame_equal(pd.read_parquet("run/scores.parquet"), scores.rows, check_dtype=False)
    gain = metrics["welfare"]["vcg"]
    assert f"{gain['relative_gain_mean']:+.1%}" in out
    assert "8 auctions" in out
    assert yaml.safe_load(Path("run/config.yaml").read_text())["scores"] == "scores.csv"
    assert json.loads(Path("run/provenance.json").read_text())["seed"] == 5


def test_metrics_are_strict_json(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pd.read_csv("scores.csv").query("bid_1 == 1 and bid_2 == 1")  # nothing but one composition
    rows.to_csv("one.csv", index=False)
    assert evaluated(monkeypatch, "scores=one.csv", "run_dir=run") == 0

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    metrics = json.loads(Path("run/metrics.json").read_text(), parse_constant=refuse)
    assert metrics["welfare"]["vcg"]["relative_gain_mean"] is None


def test_the_default_directory_is_named_after_the_table(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("scores.csv").rename("my scores (2).csv")
    assert evaluated(monkeypatch, "scores='my scores (2).csv'") == 0
    (found,) = Path("outputs/diffusion_auction").iterdir()
    assert found.name.startswith("evaluate-scores_my_scores_2_.csv-")
    assert (found / "metrics.json").is_file()


def test_csv_and_parquet_agree(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pd.read_csv("scores.csv").to_parquet("scores.parquet")
    assert evaluated(monkeypatch, "scores=scores.csv", "run_dir=a") == 0
    assert evaluated(monkeypatch, "scores=scores.parquet", "run_dir=b") == 0
    assert Path("a/metrics.json").read_bytes() == Path("b/metrics.json").read_bytes()


def test_what_is_left_out_is_printed_and_stored(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = pd.read_csv("scores.csv").drop(columns="quality").astype({"alignment_1": object})
    rows.loc[20, "alignment_1"] = "broken"
    rows[rows["bid_2"] > 0].to_csv("some.csv", index=False)
    assert evaluated(monkeypatch, "scores=some.csv", "run_dir=run") == 0
    out = " ".join(capsys.readouterr().out.split())
    for part in ("quality", "alignment_1", "broken", "agent 1 alone"):
        assert part in out
    found = [item["where"] for item in metrics_of("run")["left_out"]]
    assert "column quality" in found
    assert "scenario desk, bids of agent 1 alone" in found
    assert metrics_of("run")["revenue"]["vcg_pool"]["left_out"] == 0


def test_nothing_is_said_of_a_whole_table(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluated(monkeypatch, "scores=scores.csv", "run_dir=run") == 0
    assert "left out" not in capsys.readouterr().out
    assert metrics_of("run")["left_out"] == []


def test_three_agents(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random_table(grid((0, 1), (0, 1), (0, 1)), ["cafe"], k=3).to_parquet("three.parquet")
    assert evaluated(monkeypatch, "scores=three.parquet", "run_dir=run") == 0
    metrics = metrics_of("run")
    assert set(metrics["monotonicity"]) == {"agent_1", "agent_2", "agent_3"}
    assert [own["n"] for own in metrics["revenue"].values()] == [7] * 6
    assert "payment_3" in pd.read_parquet("run/auctions.parquet")
    assert "vcg_pool (joint)" in {row["mechanism"] for row in metrics["equal_cost"]}


@pytest.mark.parametrize("agents", [1, 5])
def test_other_numbers_of_agents(agents: int, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = [tuple(float(i == agent) for i in range(agents)) for agent in range(agents)] + [(0.5,) * agents]
    random_table(vectors, k=2).to_csv("some.csv", index=False)
    assert evaluated(monkeypatch, "scores=some.csv", "run_dir=run") == 0
    assert len(metrics_of("run")["monotonicity"]) == agents


def test_a_mechanism_with_options(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("mechanism=vcg_pool", "mechanism.compositions=[one_hot,joint]", "mechanism.samples=2")
    assert evaluated(monkeypatch, "scores=scores.csv", "run_dir=run", *options) == 0
    auctions = pd.read_parquet("run/auctions.parquet")
    assert auctions["mechanism"].unique().tolist() == [
        "vcg_pool", "vcg", "myerson", "first_price", "shapley", "single_winner",
    ]  # fmt: skip
    own = auctions[auctions["mechanism"] == "vcg_pool"]
    assert own["chosen_sample"].max() <= 1
    assert set(map(tuple, own[["chosen_bid_1", "chosen_bid_2"]].to_numpy())) <= {(1, 0), (0, 1), (0.5, 0.5)}
    scores = check_scores(read_scores(Path("scores.csv")))
    expected = evaluate(scores, [VCGPool(("one_hot", "joint"), 2)])
    metrics = metrics_of("run")
    assert metrics["welfare"]["vcg_pool"] == json.loads(json.dumps(expected["welfare"]["vcg_pool"]))
    assert metrics["truthfulness"]["vcg_pool"]["relative_regret_max"] <= 1e-12
    assert f"{metrics['welfare']['vcg_pool']['relative_gain_mean']:+.1%}" in capsys.readouterr().out


@pytest.mark.parametrize("mechanism", [*MECHANISMS, "vcg mechanism.payment_floor=zero"])
def test_every_mechanism_can_be_chosen(mechanism: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert evaluated(monkeypatch, "scores=scores.csv", "run_dir=run", *f"mechanism={mechanism}".split()) == 0
    auctions = pd.read_parquet("run/auctions.parquet")
    assert auctions["mechanism"].unique()[0] == mechanism.split()[0]
    if "zero" in mechanism:
        assert auctions.query("mechanism == 'vcg'")[["payment_1", "payment_2"]].min(axis=None) == 0


def test_torch_is_not_loaded(here: Path) -> None:
    code = (
        "import sys; from diffusion_auction.__main__ import main; "
        "status = main(); print(status, [m for m in ('torch', 'diffusers', 'open_clip') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, "action=evaluate", "scores=scores.csv", "run_dir=run"]
    done = subprocess.run(command, cwd=here, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.stdout.splitlines()[-1] == "0 []", done.stderr


# --- what is refused ---------------------------------------------------------------------------------------

BAD = {
    "": "scores = null",
    "scores=nowhere.csv": "scores = nowhere.csv",
    "scores=nowhere.parquet": "scores = nowhere.parquet",
    "scores=table.xlsx": "scores = table.xlsx",
    "scores=garbage.csv": "scores = garbage.csv",
    "scores=garbage.parquet": "scores = garbage.parquet",
    "scores=empty.csv": "scores = empty.csv",
    "scores=header.csv": "scores = no rows",
    "scores=no_bid.csv": "scores, column bid_2 = absent",
    "scores=bad.csv": "column alignment_1",
    "scores=scores.csv mechanism=nothing": "vcg_pool",
    "scores=scores.csv mechanism.payment_floor=one": "mechanism.payment_floor = one",
    "scores=scores.csv mechanism=vcg_pool mechanism.compositions=[some]": "mechanism.compositions",
    "scores=scores.csv mechanism=vcg_pool mechanism.compositions=[]": "mechanism.compositions",
    "scores=scores.csv mechanism=vcg_pool mechanism.compositions=[one_hot,[1,1,1]]": "mechanism.compositions[1]",
    "scores=scores.csv mechanism=vcg_pool mechanism.compositions=[[1,-1]]": "mechanism.compositions[0][1] = -1",
    "scores=scores.csv mechanism=vcg_pool mechanism.samples=0": "mechanism.samples = 0",
    "scores=scores.csv mechanism=myerson mechanism.curve=0": "mechanism.curve = 0",
    "scores=scores.csv mechanism=shapley mechanism.curve=2": "curve",
    "scores=scores.csv composition=nothing": "recursive",
    "scores=scores.csv seed=-1": "seed = -1",
    "scores=scores.csv run_dir=garbage.csv": "run_dir = garbage.csv",
    "scores=scores.csv run_dir=thesis": "run_dir = thesis",
}
"""Requests, and what the one line about them names."""


@pytest.mark.parametrize("request_", BAD)
def test_a_wrong_request_is_one_line_and_status_2(
    request_: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("garbage.csv", "garbage.parquet"):
        Path(name).write_bytes(bytes(range(255, -1, -1)) * 20)
    Path("empty.csv").touch()
    rows = pd.read_csv("scores.csv")
    rows.iloc[:0].to_csv("header.csv", index=False)
    rows.drop(columns="bid_2").to_csv("no_bid.csv", index=False)
    rows.assign(alignment_1="x").to_csv("bad.csv", index=False)
    Path("table.xlsx").touch()
    Path("thesis").mkdir()
    Path("thesis/chapter.tex").touch()
    before = contents(here)
    assert evaluated(monkeypatch, *request_.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1, err
    assert BAD[request_] in err
    assert contents(here) == before
    assert not (here / "outputs").exists()


def test_a_wrong_request_as_a_user_sees_it(here: Path) -> None:
    done = auction("action=evaluate", "scores=nowhere.csv", cwd=here)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("scores = nowhere.csv: expected a readable .csv table")
    assert len(done.stderr.splitlines()) == 1


# --- the second call ---------------------------------------------------------------------------------------


def test_a_rerun_gives_the_same_bytes(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = ("scores=scores.csv", "run_dir=run")
    assert evaluated(monkeypatch, *request) == 0
    first = {name: Path("run", name).read_bytes() for name in ("metrics.json", "auctions.parquet", "config.yaml")}
    assert evaluated(monkeypatch, *request) == 0
    assert {name: Path("run", name).read_bytes() for name in first} == first
    for name in ("metrics.json", "auctions.parquet"):  # as a kill may leave it
        Path("run", name).unlink()
    Path("scores.csv").rename("elsewhere.csv")
    assert evaluated(monkeypatch, "scores=elsewhere.csv", "run_dir=run") == 0
    assert {name: Path("run", name).read_bytes() for name in first} == first


CHANGES = {
    "scores=other.csv": "scores.sha256 was",
    "scores=scores.csv seed=1": "seed was 0, now 1",
    "scores=scores.csv composition=lovasz": "composition was recursive, now lovasz",
    "scores=scores.csv mechanism=vcg_pool": "mechanism.name was vcg, now vcg_pool",
    "scores=scores.csv mechanism.payment_floor=zero": "mechanism.payment_floor was none, now zero",
}


def test_another_request_into_the_same_directory_is_refused(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluated(monkeypatch, "scores=scores.csv", "run_dir=run") == 0
    rows = pd.read_csv("scores.csv")
    rows.loc[3, "alignment_1"] += 1e-9
    rows.to_csv("other.csv", index=False)
    before = contents(here)
    capsys.readouterr()
    for request, named in CHANGES.items():
        assert evaluated(monkeypatch, "run_dir=run", *request.split()) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert len(err.splitlines()) == 2
        assert err.startswith("run_dir = run: ")
        assert named in err
        assert contents(here) == before


def test_a_changed_table_is_another_table(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert evaluated(monkeypatch, "scores=scores.csv", "run_dir=run") == 0
    before = contents(here / "run")
    with Path("scores.csv").open("a") as file:
        file.write("pool,99,1,1,.3,.3,.2,.5\n")
    assert evaluated(monkeypatch, "scores=scores.csv", "run_dir=run") == 2
    assert contents(here / "run") == before


def test_the_directory_of_an_experiment_is_refused(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("run").mkdir()
    Path("run/metrics.json").touch()
    Path("run/config.yaml").write_text(yaml.safe_dump({"name": "single", "identity": {"seed": 0, "samples": 2}}))
    before = contents(here / "run")
    assert evaluated(monkeypatch, "scores=scores.csv", "run_dir=run") == 2
    assert contents(here / "run") == before
