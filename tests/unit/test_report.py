"""The page: whole, self-contained, escaped, the same twice; with images and prompts, and without."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from diffusion_auction.evaluation.equal_cost import Branches
from diffusion_auction.evaluation.evaluate import evaluate, run_auctions
from diffusion_auction.evaluation.scores import check_scores
from diffusion_auction.figures import bid_grid
from diffusion_auction.market.bids import Bids, grid, normalized, one_hot, without
from diffusion_auction.market.scenarios import Scenario
from diffusion_auction.mechanisms import MECHANISMS, VCG, Mechanism, SingleWinner, VCGPool, side_by_side
from diffusion_auction.report import page as report
from diffusion_auction.report.page import RULES, write_report
from tests.unit.score_tables import random_table

SCENARIO = Scenario("A hiker & <script>alert(1)</script> for $5 and $6", ("North Face backpack", "Gator'ade <b>"))
EVIL = 'x"></style><script>alert(2)</script>'


def make_run(run_dir: Path, bids: list[Bids], side: int = 16, k: int = 2) -> dict[str, Any]:
    """A small run of one scenario with images on disk; the arguments of `write_report`."""
    rng, n = np.random.default_rng(0), len(bids[0])
    (run_dir / "images").mkdir()
    needed = [normalized(without(b, i)) for b in bids for i in range(n)] + [one_hot(i, n) for i in range(n)]
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
    settings = {"name": EVIL, "model": "tiny_flux", "seed": 0, "made": None}
    run = recorded(pd.DataFrame(scores), bids=bids, branches=lambda _: 1) | {
        "samples": pd.DataFrame(samples),
        "settings": settings,
    }
    run["scenarios"] = [SCENARIO if n == 2 else Scenario("base", tuple(f"agent prompt {i}" for i in range(n)))]
    run["metrics"]["cost"] = {"images": 10, "sample_passes": 80, "sample_passes_naive": 320}
    return run


def columns(prefix: str, values: Any) -> dict[str, float]:
    return {f"{prefix}_{i}": float(value) for i, value in enumerate(values, 1)}


def recorded(
    table: pd.DataFrame,
    mechanism: Mechanism | None = None,
    bids: Sequence[Bids] | None = None,
    branches: Branches | None = None,
) -> dict[str, Any]:
    """The arguments of `write_report` for a table of scores that come with neither prompts nor images."""
    scores, mechanisms = check_scores(table), side_by_side(mechanism or VCG())
    return {
        "scenarios": None,
        "scores": table,
        "auctions": run_auctions(scores, mechanisms, bids),
        "samples": None,
        "metrics": evaluate(scores, mechanisms, bids=bids, branches=branches),
        "settings": {"name": "recorded"},
    }


class Page(HTMLParser):
    """Tags seen, and whether each was closed; the text in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open, self.tags, self.text = list[str](), list[tuple[str, dict[str, Any]]](), ""
        self.feed(html)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def written(run_dir: Path, parts: dict[str, Any]) -> tuple[str, Page]:
    """The page of a run: its source, and what a reader sees; well-formed, with nothing of Python's left in it."""
    html = write_report(run_dir, **parts).read_text(encoding="utf-8")
    page = Page(html)
    assert not page.open
    assert not re.search(r"\bNone\b|\bnan\b|Undefined", page.text.split("@media", 1)[-1])
    return html, page


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    run_dir = tmp_path_factory.mktemp("run")
    parts = make_run(run_dir, grid((0, 0.5, 1), (0, 1)))
    return run_dir, parts, written(run_dir, parts)[0]


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without figures, for tests of what stands beside them."""
    monkeypatch.setattr(report, "write_figures", lambda run_dir, metrics, grids: {})


# --- a run with images -------------------------------------------------------------------------------------


def test_page_is_well_formed_and_escaped(run: tuple[Path, dict[str, Any], str]) -> None:
    page = Page(run[2])
    assert run[2].startswith("<!doctype html>")
    assert "script" not in [tag for tag, _ in page.tags]
    assert "<script>alert(1)</script>" in page.text  # shown, not run
    assert EVIL in page.text
    assert "Gator'ade <b>" in page.text


def test_page_needs_nothing_else(run: tuple[Path, dict[str, Any], str]) -> None:
    addresses = re.findall(r"""url\(([^)]{0,12})|(?:src|href|action)\s*=\s*["']?([^"'>]{0,12})""", run[2])
    assert addresses
    assert all((css or attribute).startswith(("data:image/", "#")) for css, attribute in addresses)
    assert not re.search(r"@import|https?://", re.sub(r"data:image/[^\"')]+", "", run[2]))


def test_page_leads_to_every_section(run: tuple[Path, dict[str, Any], str]) -> None:
    page = Page(run[2])
    links = [attributes["href"][1:] for tag, attributes in page.tags if tag == "a"]
    named = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert links == named
    assert len(named) == 8
    alternatives = [attributes["alt"] for tag, attributes in page.tags if tag == "img"]
    assert len(alternatives) == len(set(alternatives)) == 9  # each figure but the image grid and quality
    assert all(alternatives)


def test_page_has_every_auction_and_each_image_once(run: tuple[Path, dict[str, Any], str]) -> None:
    _, parts, html = run
    tables = [part.split("</table>")[0] for part in html.split('<table class="auctions">')[1:]]
    assert [rows.count("<tr><td") for rows in tables] == [6, 6]
    for rows, mechanism in zip(tables, ("vcg", "single_winner"), strict=True):
        row = parts["auctions"][parts["auctions"]["mechanism"] == mechanism].iloc[5]
        for value in (row["welfare"], row["payment_1"], row["utility_2"], row["revenue"]):
            assert f"{value:.3f}".replace("-", "−") in rows
    uris = re.findall(r"background-image: url\(([^)]+)\)", html)
    assert len(uris) == len(set(uris)) == len(parts["samples"])
    assert html.count("image-rendering: pixelated") == len(uris)
    assert "75 % fewer" in html


def test_page_has_every_mechanism_in_its_tables(run: tuple[Path, dict[str, Any], str]) -> None:
    _, parts, html = run
    for section, figure in (("welfare", "relative_gain_mean"), ("truthfulness", "relative_regret_mean")):
        table = html.split(f'<section id="{section}">')[1].split("</table>")[0]
        for name, own in parts["metrics"][section].items():
            if name != "baseline":
                assert f">{name.replace('_', ' ')}</td>" in table
                if own[figure] is not None:
                    assert f"{100 * abs(own[figure]):,.1f}\N{NO-BREAK SPACE}%" in table
    money = html.split('<section id="money">')[1].split("</table>")[0]
    for own in parts["metrics"]["revenue"].values():
        assert f"<td>{own['deficits']}</td>" in money
    cost = html.split('<section id="equal-cost">')[1].split("</section>")[0]
    assert cost.count("<tr><td") == len(parts["metrics"]["equal_cost"])


def test_same_input_same_bytes(run: tuple[Path, dict[str, Any], str]) -> None:
    run_dir, parts, html = run
    figures = {path.name: path.read_bytes() for path in (run_dir / "figures").iterdir()}
    assert {"image_grid_000.png", "monotonicity.svg", "equal_cost.png"} < figures.keys()
    assert len(figures) == 2 * 10
    assert write_report(run_dir, **parts).read_text(encoding="utf-8") == html
    assert {path.name: path.read_bytes() for path in (run_dir / "figures").iterdir()} == figures
    assert not list(run_dir.rglob("*.part"))


def test_absent_parts_leave_the_page_whole(tmp_path: Path) -> None:
    parts = make_run(tmp_path, [(0.7, 0.3)])
    (tmp_path / parts["samples"]["path"][0]).write_bytes(b"\x89PNG\r\n\x1a\ntruncated")
    (tmp_path / parts["samples"]["path"][1]).unlink()
    html, page = written(tmp_path, parts | {"metrics": {}, "settings": {}})
    assert tmp_path.name in page.text
    assert "pic none" in html
    assert "Welfare</h2>" not in html
    assert "<details open>" in html  # a single auction is shown at once


@pytest.mark.usefixtures("no_figures")
def test_three_agents(tmp_path: Path) -> None:
    parts = make_run(tmp_path, [(1.0, 0.0, 0.0), (0.4, 0.4, 0.2), (0.6, 0.3, 0.1)])
    parts["scenarios"] = dict(enumerate(parts["scenarios"]))  # by number, as a run that skips some has them
    html, _ = written(tmp_path, parts)
    assert ".40 | .40 | .20" in html
    grid_of_run = bid_grid(parts["samples"], parts["auctions"], 0)
    assert not grid_of_run.bids_across
    assert next(b for b in grid_of_run.bids if any(b)) == (1.0, 0.0, 0.0)


# --- recorded scores ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_figures")
def test_recorded_scores_need_neither_prompts_nor_images(tmp_path: Path) -> None:
    table = random_table(grid((0, 0.5, 1), (0, 1)), ("café <b>", "pool"), k=2)
    table.loc[0, "alignment_1"] = np.nan
    html, page = written(tmp_path, recorded(table, VCGPool()))
    assert "scenario café <b>" in page.text
    assert "scenario pool" in page.text
    assert "row 0, column alignment_1" in page.text  # what was left out
    assert "background-image" not in html
    assert 'class="pic' not in html
    assert "Images generated" not in page.text
    assert RULES["vcg_pool"] in page.text


@pytest.mark.usefixtures("no_figures")
def test_the_baseline_may_be_the_mechanism(tmp_path: Path) -> None:
    html, page = written(tmp_path, recorded(random_table(grid((0, 1), (0, 1)), k=2), SingleWinner()))
    assert html.count('<table class="auctions') == 2  # one a scenario
    assert "Shown are the auctions under single winner;" in page.text
    assert "Regret of agent 1, single winner" in page.text
    assert "Welfare, single winner" not in page.text


@pytest.mark.usefixtures("no_figures")
def test_missing_pools_are_counted(tmp_path: Path) -> None:
    html, page = written(tmp_path, recorded(random_table([(0.7, 0.3), (0.4, 0.6)], k=2)))
    assert "no auction can be compared" in page.text
    assert "no auction with all payments" in page.text
    assert "Regret of agent 1" not in page.text
    assert "Not measured: beside no bids of the others" in page.text
    row = re.search(r"<tr><td class=\"left\">vcg</td>(.*?)</tr>", html.split('id="left-out"')[1])
    assert row
    assert re.findall(r"<td>(.*?)</td>", row[1]) == ["0", "4", "4", "0", "0"]
    assert "no single winner to compare these auctions with" in page.text


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("n", [1, 20])
def test_any_number_of_agents(tmp_path: Path, n: int) -> None:
    table = random_table([one_hot(0, n), (0.5,) * n], [0], k=1)
    _, page = written(tmp_path, recorded(table))
    assert f"agent {n} " in page.text


@pytest.mark.usefixtures("no_figures")
def test_many_scenarios_and_bids_stay_a_small_page(tmp_path: Path) -> None:
    parts = recorded(random_table(grid((0, 1), (0, 1)), [0], k=1))
    bids = pd.DataFrame(grid(np.linspace(0, 1, 11), np.linspace(0, 1, 5)), columns=["bid_1", "bid_2"])
    auctions = parts["auctions"].drop(columns=["scenario", "bid_1", "bid_2"])
    auctions = auctions.drop_duplicates("mechanism").merge(bids, how="cross")
    hundred = pd.DataFrame({"scenario": range(100)})
    parts["auctions"] = hundred.merge(auctions, how="cross")
    parts["scores"] = hundred.merge(parts["scores"].drop(columns="scenario"), how="cross")
    html, page = written(tmp_path, parts)
    assert len(html) < 2_000_000
    assert html.count("All 55 auctions under vcg") == 6
    assert "94 further scenarios in auctions.parquet" in page.text
    many = parts["auctions"].assign(scenario=0)  # 5,500 of one scenario
    html, page = written(tmp_path, parts | {"auctions": many, "scores": parts["scores"].head(1)})
    assert len(html) < 4_000_000
    shown, left = re.search(r"The first (\d+) auctions under vcg.*? (\d[\d,]*) further auctions", page.text).groups()  # type: ignore[union-attr]
    assert int(shown) + int(left.replace(",", "")) == 5500


def test_every_mechanism_has_its_rule() -> None:
    assert RULES.keys() == MECHANISMS.keys()
