"""The page of results: its template knows the metrics that there are, and judges by the intervals."""

from __future__ import annotations

import importlib.util
from types import ModuleType
from typing import Any

import pytest

from diffusion_auction.evaluation.evaluate import evaluate
from diffusion_auction.evaluation.scores import check_scores
from diffusion_auction.market.bids import grid
from diffusion_auction.market.compositions import recursive
from diffusion_auction.mechanisms import VCG, side_by_side
from tests.support import REPO
from tests.unit.score_tables import random_table


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_results", REPO / "docs" / "make_results.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def metrics() -> Any:
    rows = random_table(grid((0, 0.5, 1), (0, 0.5, 1)), (0, 1), k=4).assign(quality=0.5)
    found = evaluate(check_scores(rows), side_by_side(VCG()), branches=lambda bids: len(recursive(bids)))
    return found | {"cost": {"images": 10, "sample_passes": 80, "sample_passes_naive": 320}}


def test_the_page_is_made_of_the_metrics_of_every_run(maker: ModuleType, metrics: dict[str, Any]) -> None:
    text = maker.page(dict.fromkeys(maker.RUNS, metrics), ["Starbucks mug, Dunkin mug", "two colas"])
    assert maker.percent(metrics["welfare"]["vcg"]["relative_gain_mean"]) in text
    for said in (*maker.COMPOSITIONS, "`single_winner`", "one-hot, joint", "Starbucks mug, Dunkin mug"):
        assert said in text
    assert all(f"figures/{name}.png" in text for name in maker.FIGURES)
    assert "{{" not in text


@pytest.mark.parametrize(("ends", "said"), [((0.1, 0.2), "yes"), ((-0.2, -0.1), "no"), ((-0.1, 0.1), "unclear")])
def test_a_verdict_follows_from_the_interval(maker: ModuleType, ends: tuple[float, float], said: str) -> None:
    assert maker.verdict({"ci_low": ends[0], "ci_high": ends[1]}, "yes", "no", "unclear") == said
