"""Write docs/results.md: run every sweep on the embedded model, then say what the figures show.

`make results` runs this. Runs are resumed, so a second call only writes the page; the words that judge a claim are
derived from its figures.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

DOCS = Path(__file__).resolve().parent
RESULTS = DOCS.parent / "outputs" / "results"
COMPOSITIONS = ("recursive", "pairwise", "lovasz", "additive", "prompt_only")

GRID = "images_from=" + str(RESULTS / "grid")
RUNS: dict[str, tuple[str, ...]] = {
    "grid": ("+sweep=two_agent_grid", "samples=50"),
    "compositions/recursive": ("+sweep=two_agent_grid", GRID),
    **{f"compositions/{name}": ("+sweep=two_agent_grid", f"composition={name}") for name in COMPOSITIONS[1:]},
    "alignments/cosine": ("+sweep=two_agent_grid", GRID),
    "alignments/probability": ("+sweep=two_agent_grid", "alignment.measure=probability", GRID),
    "truthfulness": ("+sweep=truthfulness",),
    "same_object": ("+sweep=same_object",),
    "three_agent": ("+sweep=three_agent",),
    "many_agents": ("+sweep=many_agents",),
}
"""Directory below `RESULTS`, and the request that makes it."""

COMPARISONS = {
    "compositions": tuple(f"compositions/{name}" for name in COMPOSITIONS),
    "alignments": ("alignments/cosine", "alignments/probability"),
}

FIGURES = {
    "monotonicity": "grid/figures/monotonicity",
    "images": "grid/figures/image_grid_000",
    "welfare_by_k": "grid/figures/welfare_by_k",
    "welfare_by_bids": "grid/figures/welfare_by_bids",
    "regret_by_k": "grid/figures/regret_by_k",
    "deviation_by_k": "grid/figures/deviation_by_k",
    "quality_by_bid": "grid/figures/quality_by_bid",
    "regret_and_deviation": "grid/figures/regret_and_deviation",
    "mechanisms": "grid/figures/mechanisms",
    "equal_cost": "grid/figures/equal_cost",
    "welfare_against_k": "grid/figures/welfare_against_k",
    "compositions": "compare_compositions/figures/runs_side_by_side",
    "alignments": "compare_alignments/figures/runs_side_by_side",
    "rivals": "same_object/figures/image_grid_000",
    "crowd": "many_agents/figures/image_grid_000",
}
"""Name in docs/figures, and where it is below `RESULTS`."""


def main() -> None:
    """Run what is missing, copy the figures, write the page."""
    for name, request in RUNS.items():
        _command(*request, f"run_dir={RESULTS / name}")
    for name, runs in COMPARISONS.items():
        chosen = ",".join(str(RESULTS / run) for run in runs)
        _command("action=compare", f"runs=[{chosen}]", f"run_dir={RESULTS / f'compare_{name}'}")
    (DOCS / "figures").mkdir(exist_ok=True)
    for name, source in FIGURES.items():
        shutil.copyfile(RESULTS / f"{source}.png", DOCS / "figures" / f"{name}.png")
    rivals = [", ".join(texts[1:]) for texts in _prompts("same_object")]
    (DOCS / "results.md").write_text(page({name: _metrics(name) for name in RUNS}, rivals), encoding="utf-8")


def page(metrics: dict[str, dict[str, Any]], rivals: list[str]) -> str:
    """The text of the page from the metrics of each run, and who is whose rival in each scenario of `same_object`."""
    environment = Environment(
        loader=FileSystemLoader(DOCS), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(percent=percent, interval=interval, number=number, verdict=verdict)
    template = environment.get_template("results.md.j2")
    return template.render(runs=metrics, requests=RUNS, shared=GRID, compositions=COMPOSITIONS, rivals_of=rivals)


def percent(value: float | None, digits: int = 1) -> str:
    """`+19.9 %`; a dash for nothing."""
    return "–" if value is None else f"{100 * value:+.{digits}f} %".replace("-", "−")


def number(value: float | None, digits: int = 3) -> str:
    """`.203`; a dash for nothing."""
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def interval(figure: dict[str, Any], low: str = "ci_low", high: str = "ci_high") -> str:
    """`(+15.8 to +24.1)`, in per cent."""
    if figure[low] is None:
        return ""
    return f"({100 * figure[low]:+.1f} to {100 * figure[high]:+.1f})".replace("-", "−")


def verdict(figure: dict[str, Any], yes: str, no: str, unclear: str) -> str:
    """Which of three phrases fits an interval: above zero, below zero, about it."""
    if figure["ci_low"] is None:
        return unclear
    return yes if figure["ci_low"] > 0 else no if figure["ci_high"] < 0 else unclear


def _metrics(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / name / "metrics.json").read_text(encoding="utf-8"))


def _prompts(name: str) -> list[list[str]]:
    """Of each scenario the base prompt and the agents' prompts."""
    log = json.loads((RESULTS / name / "generation_log.json").read_text(encoding="utf-8"))
    return [list(entry.values()) for entry in log["scenarios"].values()]


def _command(*request: str) -> None:
    print("python -m diffusion_auction", *request, flush=True)
    subprocess.run([sys.executable, "-m", "diffusion_auction", *request], cwd=DOCS.parent, check=True)


if __name__ == "__main__":
    main()
