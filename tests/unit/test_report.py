"""The page and its figures: whole, self-contained, escaped, the same twice."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from diffusion_auction.bids import Bids, grid, normalized, without
from diffusion_auction.evaluation.evaluate import evaluate, run_auctions
from diffusion_auction.figures import (
    bid_grid,
    bid_label,
    image_grid,
    monotonicity_figure,
    read_image,
    save_figure,
)
from diffusion_auction.mechanisms import VCG, SingleWinner
from diffusion_auction.report import write_report
from diffusion_auction.scenarios import Scenario

SCENARIO = Scenario("A hiker & <script>alert(1)</script> for $5 and $6", ("North Face backpack", "Gator'ade <b>"))
EVIL = 'x"></style><script>alert(2)</script>'


def make_run(run_dir: Path, bids: list[Bids], side: int = 16, k: int = 2) -> dict[str, Any]:
    """A small run of one scenario with images on disk; the arguments of `write_report`."""
    rng, n = np.random.default_rng(0), len(bids[0])
    (run_dir / "images").mkdir()
    needed = [normalized(without(b, i)) for b in bids for i in range(n)]
    alignments, samples, scores = {}, [], []
    for index, ratio in enumerate(dict.fromkeys([*map(normalized, bids), *needed])):
        for s in range(k):
            path = f"images/{index}_{s}.png"
            Image.fromarray(rng.integers(0, 255, (side, side, 3), dtype=np.uint8)).save(run_dir / path)
            samples.append({"scenario": 0, "sample": s, "path": path} | columns("normalized_bid", ratio))
            alignments[ratio, s] = rng.uniform(0.1, 0.4, n)
    for b in dict.fromkeys([*bids, *needed]):
        for s in range(k):
            found = columns("alignment", alignments[normalized(b), s])
            scores.append({"scenario": 0, "sample": s} | columns("bid", b) | found)
    table = pd.DataFrame(scores)
    return {
        "scenarios": [SCENARIO if n == 2 else Scenario("base", tuple(f"agent prompt {i}" for i in range(n)))],
        "scores": table,
        "auctions": pd.concat([run_auctions(table, m, bids) for m in (VCG(), SingleWinner())]),
        "samples": pd.DataFrame(samples),
        "metrics": evaluate(table, VCG(), bids=bids)
        | {"cost": {"images": 10, "sample_passes": 80, "sample_passes_naive": 320}},
        "settings": {"name": EVIL, "model": "tiny_flux", "seed": 0, "made": None},
    }


def columns(prefix: str, values: Any) -> dict[str, float]:
    return {f"{prefix}_{i}": float(value) for i, value in enumerate(values, 1)}


class Page(HTMLParser):
    """Tags seen, and whether each was closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open, self.tags, self.text = list[str](), list[tuple[str, dict[str, Any]]](), ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    run_dir = tmp_path_factory.mktemp("run")
    parts = make_run(run_dir, grid((0, 0.5, 1), (0, 0.5, 1)))
    return run_dir, parts, write_report(run_dir, **parts).read_text(encoding="utf-8")


def test_page_is_well_formed_and_escaped(run: tuple[Path, dict[str, Any], str]) -> None:
    page = Page(run[2])
    assert run[2].lstrip().startswith("<!doctype html>")
    assert not page.open
    assert "script" not in [tag for tag, _ in page.tags]
    assert "<script>alert(1)</script>" in page.text  # shown, not run
    assert EVIL in page.text
    assert "Gator'ade <b>" in page.text


def test_page_needs_nothing_else(run: tuple[Path, dict[str, Any], str]) -> None:
    addresses = re.findall(r"""url\(([^)]{0,12})|(?:src|href|action)\s*=\s*["']?([^"'>]{0,12})""", run[2])
    assert addresses
    assert all((css or attribute).startswith("data:image/") for css, attribute in addresses)
    assert not re.search(r"@import|https?://", run[2].split("data:image/svg")[0])


def test_page_has_every_auction_and_each_image_once(run: tuple[Path, dict[str, Any], str]) -> None:
    _, parts, html = run
    tables = [part.split("</table>")[0] for part in html.split('<table class="auctions">')[1:]]
    assert [rows.count("<tr><td") for rows in tables] == [9, 9]
    for rows, mechanism in zip(tables, ("vcg", "single_winner"), strict=True):
        row = parts["auctions"][parts["auctions"]["mechanism"] == mechanism].iloc[5]
        for value in (row["welfare"], row["payment_1"], row["utility_2"], row["revenue"]):
            assert f"{value:.3f}".replace("-", "−") in rows
    uris = re.findall(r"background-image: url\(([^)]+)\)", html)
    assert len(uris) == len(set(uris)) == len(parts["samples"])
    assert html.count("image-rendering: pixelated") == len(uris)
    assert "75 % fewer" in html


def test_same_input_same_bytes(run: tuple[Path, dict[str, Any], str]) -> None:
    run_dir, parts, html = run
    figures = {path.name: path.read_bytes() for path in (run_dir / "figures").iterdir()}
    names = [f"{name}.{suffix}" for name in ("image_grid_000", "monotonicity") for suffix in ("png", "svg")]
    assert sorted(figures) == names
    assert write_report(run_dir, **parts).read_text(encoding="utf-8") == html
    assert {path.name: path.read_bytes() for path in (run_dir / "figures").iterdir()} == figures
    assert not list(run_dir.rglob("*.part"))


def test_absent_parts_leave_the_page_whole(tmp_path: Path) -> None:
    parts = make_run(tmp_path, [(0.7, 0.3)])
    (tmp_path / parts["samples"]["path"][0]).write_bytes(b"\x89PNG\r\n\x1a\ntruncated")
    (tmp_path / parts["samples"]["path"][1]).unlink()
    html = write_report(tmp_path, **(parts | {"metrics": {}, "settings": {}})).read_text(encoding="utf-8")
    page = Page(html)
    assert not page.open
    assert tmp_path.name in page.text
    assert "pic none" in html
    assert "Welfare</h2>" not in html
    assert "<details open>" in html  # a single auction is shown at once


def test_three_agents(tmp_path: Path) -> None:
    parts = make_run(tmp_path, [(1.0, 0.0, 0.0), (0.4, 0.4, 0.2), (0.6, 0.3, 0.1)])
    parts["scenarios"] = dict(enumerate(parts["scenarios"]))  # by number, as a run that skips some has them
    html = write_report(tmp_path, **parts).read_text(encoding="utf-8")
    assert not Page(html).open
    assert ".40 | .40 | .20" in html
    grid_of_run = bid_grid(parts["samples"], parts["auctions"], 0)
    assert not grid_of_run.bids_across
    assert next(b for b in grid_of_run.bids if any(b)) == (1.0, 0.0, 0.0)


def test_large_images_become_small(tmp_path: Path) -> None:
    Image.effect_noise((1024, 512), 30).convert("RGB").save(tmp_path / "large.png")
    image = read_image(tmp_path / "large.png")
    assert image is not None
    assert image.size == (192, 96)
    assert read_image(tmp_path / "absent.png") is None


def test_bid_grid_lays_out_what_was_sold() -> None:
    samples = pd.DataFrame(
        [
            {"scenario": 0, "sample": s, "normalized_bid_1": b, "normalized_bid_2": c, "path": f"{b}_{s}"}
            for s in range(5)
            for b, c in [(0.0, 0.0), *((i / 20, 1 - i / 20) for i in range(21))]
        ]
    )
    sold = {
        "scenario": 0,
        "mechanism": "single_winner",
        "bid_1": 3.0,
        "bid_2": 3.0,
        "chosen_bid_1": 1.0,
        "chosen_bid_2": 0.0,
        "chosen_sample": 4,
    }
    found = bid_grid(samples, pd.DataFrame([sold]), 0, max_bids=5, max_samples=2)
    assert found.bids == [(0.0, 0.0), (0.0, 1.0), (0.25, 0.75), (0.5, 0.5), (0.75, 0.25), (1.0, 0.0)]
    assert found.lines == ["sold by single winner", "sample 0", "sample 1"]
    assert found.cells[0] == [None, None, None, "1.0_4", None, None]
    assert found.cells[2][3] == "0.5_1"


def test_bid_label() -> None:
    assert (bid_label((0.7, 0.3)), bid_label((1.0, 0.0)), bid_label((0.0, 0.0))) == (
        ".70 | .30",
        "1.00 | .00",
        "no bids",
    )


def test_figures_stand_alone(run: tuple[Path, dict[str, Any], str], tmp_path: Path) -> None:
    run_dir, parts, _ = run
    figure = monotonicity_figure(parts["metrics"]["monotonicity"], "1 scenario")
    axes = figure.axes[0]
    assert "αᵢ" in axes.get_ylabel()
    assert "normalised bid" in axes.get_xlabel()
    assert len(axes.get_legend().get_texts()) == 2
    np.testing.assert_allclose(
        axes.lines[0].get_ydata(), [p["mean"] for p in parts["metrics"]["monotonicity"]["agent_1"]["curve"]]
    )
    written = save_figure(figure, tmp_path, "f")
    assert Image.open(written["png"]).size == (1152, 720)
    assert b"<dc:date>" not in written["svg"].read_bytes()
    shown = image_grid(bid_grid(parts["samples"], parts["auctions"], 0), run_dir, SCENARIO)
    assert "$5 and $6" in shown.get_suptitle()
