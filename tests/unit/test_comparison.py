"""Finished runs beside each other: what they are called, what is written, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from diffusion_auction.actions.compare import compare_runs
from diffusion_auction.evaluation.evaluate import evaluate
from diffusion_auction.evaluation.scores import check_scores
from diffusion_auction.market.bids import grid
from diffusion_auction.mechanisms import VCG, SingleWinner
from generative_auctions.errors import RequestError
from tests.unit.score_tables import random_table
from tests.unit.test_report import Page

IDENTITY = {
    "name": "two_agent_grid",
    "samples": 25,
    "model.name": "tiny_flux",
    "alignment.measure": "cosine",
    "alignment.name": "tiny_clip",
    "alignment.model": "tiny_clip",
    "composition.name": "recursive",
}


@pytest.fixture(scope="module")
def metrics() -> Any:
    rows = random_table(grid((0, 0.5, 1), (0, 1)), k=2).assign(quality=0.5)
    return evaluate(check_scores(rows), [VCG(), SingleWinner()]) | {"cost": {"images": 12, "sample_passes": 60}}


def stored(run_dir: Path, metrics: dict[str, Any], **keys: Any) -> Path:
    """The directory of a finished run, decided by `IDENTITY` but for `keys`, in which _ stands for a dot."""
    run_dir.mkdir(parents=True)
    dotted = {key.replace("_", "."): value for key, value in keys.items()}
    (run_dir / "config.yaml").write_text(yaml.safe_dump({"name": "x", "identity": IDENTITY | dotted}, sort_keys=False))
    (run_dir / "metrics.json").write_text(json.dumps(metrics))
    return run_dir


def names_of(out: Path) -> list[str]:
    return list(pd.read_csv(out / "comparison.csv")["run"])


def test_a_comparison_is_a_table_a_figure_and_a_page(metrics: dict[str, Any], tmp_path: Path) -> None:
    bare = {name: part for name, part in metrics.items() if name not in ("cost", "quality")}
    first = stored(tmp_path / "first", metrics)
    second = stored(tmp_path / "second", bare, composition_name="<b>additive")
    out = tmp_path / "out"
    page = compare_runs([first, second], out)
    assert {str(path.relative_to(out)) for path in out.rglob("*.*")} == {
        "comparison.csv",
        "comparison.html",
        "figures/runs_side_by_side.png",
        "figures/runs_side_by_side.svg",
    }
    table = pd.read_csv(out / "comparison.csv")
    assert list(table["run"]) == list(table["composition.name"]) == ["recursive", "<b>additive"]
    assert list(table["directory"]) == [str(first), str(second)]
    vcg = metrics["welfare"]["vcg"]
    assert table["relative_gain_mean"].to_list() == [vcg["relative_gain_mean"]] * 2
    assert table["relative_gain_ci_high"].to_list() == [vcg["ci_high"]] * 2
    assert (
        table["adjacent_violations"].to_list()
        == [sum(part["adjacent_violations"] for part in metrics["monotonicity"].values())] * 2
    )
    assert (table["sample_passes"][0], table["sample_passes"].isna()[1]) == (60, True)
    html = page.read_text(encoding="utf-8")
    seen = Page(html)
    assert not seen.open
    assert "<b>additive" in seen.text
    assert "None" not in seen.text
    before = {path: path.read_bytes() for path in out.rglob("*.*")}
    compare_runs([first, second], out)
    assert {path: path.read_bytes() for path in out.rglob("*.*")} == before


def test_runs_are_called_by_what_they_differ_in(metrics: dict[str, Any], tmp_path: Path) -> None:
    plain = stored(tmp_path / "plain", metrics)
    clip = stored(tmp_path / "clip", metrics, alignment_name="clip", alignment_model="ViT-L-14")
    compare_runs([plain, clip], tmp_path / "a")
    assert names_of(tmp_path / "a") == ["tiny_clip", "clip"]  # the model follows the name
    probability = stored(tmp_path / "probability", metrics, alignment_measure="probability")
    compare_runs([plain, probability], tmp_path / "b")
    assert names_of(tmp_path / "b") == ["cosine", "probability"]
    renamed = stored(tmp_path / "renamed", metrics, composition_name="additive", samples=50, name="mine")
    compare_runs([plain, renamed], tmp_path / "c")
    assert names_of(tmp_path / "c") == ["samples=25, composition=recursive", "samples=50, composition=additive"]
    other = stored(tmp_path / "other", metrics, name="other")
    compare_runs([plain, other], tmp_path / "d")
    assert names_of(tmp_path / "d") == ["two_agent_grid", "other"]


def test_a_key_that_one_run_lacks_and_values_too_long_to_tell_apart(metrics: dict[str, Any], tmp_path: Path) -> None:
    runs = [
        stored(tmp_path / "one", metrics, prompts=[{"base_prompt": "a" * 50}]),
        stored(tmp_path / "two", metrics, prompts=[{"base_prompt": "a" * 51}]),
        stored(tmp_path / "three", metrics),
    ]
    compare_runs(runs, tmp_path / "out")
    assert names_of(tmp_path / "out") == ["one", "two", "three"]


def test_runs_whose_keys_are_too_long_for_a_label_are_called_by_their_directories(
    metrics: dict[str, Any], tmp_path: Path
) -> None:
    bids = [[step / 10 for step in range(11)], [0, 0.5, 1]]
    runs = [
        stored(tmp_path / "week1" / "grid", metrics, bids_axes=bids),
        stored(tmp_path / "week2" / "grid", metrics, bids_axes=bids[::-1]),
    ]
    compare_runs(runs, tmp_path / "out")
    assert names_of(tmp_path / "out") == ["week1/grid", "week2/grid"]


def test_recorded_scores_are_called_by_their_file(metrics: dict[str, Any], tmp_path: Path) -> None:
    runs = []
    for name in ("mine", "theirs"):
        run_dir = stored(tmp_path / name, metrics)
        config = {"scores": f"/data/{name}.csv", "identity": {"scores.sha256": name.encode().hex()}}
        (run_dir / "config.yaml").write_text(yaml.safe_dump(config))
        runs.append(run_dir)
    compare_runs(runs, tmp_path / "out")
    assert [name.split()[0] for name in names_of(tmp_path / "out")] == ["mine.csv", "theirs.csv"]


def test_what_cannot_be_compared_is_refused(metrics: dict[str, Any], tmp_path: Path) -> None:
    out, whole = tmp_path / "out", stored(tmp_path / "whole", metrics)
    same = stored(tmp_path / "same", metrics)
    unfinished = stored(tmp_path / "unfinished", metrics, samples=5)
    (unfinished / "metrics.json").unlink()
    damaged = stored(tmp_path / "damaged", metrics, samples=6)
    (damaged / "metrics.json").write_text('{"welfare":')
    for runs, named in (
        ([], "none"),
        ([whole], "whole"),
        ([whole, tmp_path / "absent"], "no config.yaml"),
        ([whole, unfinished], "no metrics.json"),
        ([whole, damaged], "metrics.json"),
        ([whole, same], "differ"),
        ([whole, whole], "differ"),
    ):
        with pytest.raises(RequestError, match=named) as refused:
            compare_runs(runs, out)
        assert refused.value.key == "runs"
        assert "\n" not in str(refused.value)
    assert not out.exists()
