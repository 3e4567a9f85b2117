"""`action=compare`: finished runs side by side, by composition, measure of alignment, model or mechanism."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from diffusion_auction.columns import count_agents
from diffusion_auction.config import ANOTHER, ExperimentConfig
from diffusion_auction.evaluation.headline import AUCTION_NUMBERS, IMAGE_NUMBERS
from diffusion_auction.evaluation.metrics import Metrics, check_metrics, own_mechanism, read_metrics
from diffusion_auction.figures import runs_side_by_side, save_figures
from generative_auctions.errors import RequestError
from generative_auctions.files import DamagedFileError, read_table, write_atomic
from generative_auctions.page import drawings, render
from generative_auctions.run_directory import read_provenance, read_run, run_directory
from generative_auctions.schema import flat
from generative_auctions.terminal import plain_console

_OUT = plain_console(soft_wrap=True)
_FINISHED = "directories of finished runs"
_ABSENT = "–"
_COUNTS = ("auctions", "value_profiles", "adjacent_pairs", "adjacent_violations", "images", "sample_passes")
_MOST_LETTERS = 40  # of a label made of keys and values


@dataclass(frozen=True)
class _Run:
    """A finished run: the keys of its configuration that determine its results, as text, and its metrics."""

    path: Path
    keys: Mapping[str, str]
    metrics: Metrics


def compare(config: ExperimentConfig) -> None:
    """Compare `config.runs` in the directory `config.run_dir`, as `action=compare` asks. Raises `RequestError`."""
    run_dirs = read_compared(config)
    identity = {"runs": ", ".join(map(str, run_dirs))}
    with run_directory(Path(config.run_dir), config.model_dump(mode="json"), identity, ANOTHER) as out:
        _OUT.print(f"page     {compare_runs(run_dirs, out)}")


def read_compared(config: ExperimentConfig) -> list[Path]:
    """Return the directories `config.runs`.

    Raises:
        RequestError: they are not finished runs that can be compared.
    """
    run_dirs = [Path(run) for run in config.runs or []]
    _read_all(run_dirs)
    return run_dirs


def compare_runs(run_dirs: Sequence[Path], out: Path) -> Path:
    """Write comparison.csv, comparison.html and figures/runs_side_by_side under `out` and return the page's path.

    Welfare, regret and revenue are those of each run's own mechanism. Raises `RequestError` for fewer than two
    directories, for one that holds no finished run, and for runs that do not differ.
    """
    runs = _read_all(run_dirs)
    differing = _differing(runs)
    labels = _labels(runs, differing)
    rows = [
        {"run": label, "directory": str(run.path)}
        | {key: run.keys.get(key, _ABSENT) for key in differing}
        | _numbers(run.metrics)
        for label, run in zip(labels, runs, strict=True)
    ]
    table = pd.DataFrame(rows).astype(dict.fromkeys(_COUNTS, "Int64"))
    write_atomic(out / "comparison.csv", table.to_csv(index=False).encode())
    figure = runs_side_by_side({label: run.metrics for label, run in zip(labels, runs, strict=True)})
    html = render(
        "diffusion_auction.report",
        "comparison.html.j2",
        name=f"{len(runs)} runs compared",
        rows=rows,
        differing=differing,
        agents=count_agents(table, "spearman"),
        figures=drawings(save_figures([("runs_side_by_side", figure)], out / "figures")),
    )
    write_atomic(out / "comparison.html", html)
    return out / "comparison.html"


def _read_all(run_dirs: Sequence[Path]) -> list[_Run]:
    if len(run_dirs) < 2:
        raise RequestError("runs", ", ".join(map(str, run_dirs)) or "none", f"two or more {_FINISHED}")
    runs = [_read(path) for path in run_dirs]
    for i, run in enumerate(runs):
        for other in runs[:i]:
            if run.keys == other.keys:
                raise RequestError("runs", f"{other.path}, {run.path}", "runs that differ in their configuration")
    return runs


def _read(path: Path) -> _Run:
    """Read the run in `path`. Raises `RequestError` if it is not finished."""
    try:
        stored = read_run(path, "runs")
    except DamagedFileError:
        raise
    except RequestError as error:
        raise RequestError("runs", path, f"{_FINISHED} ({error.expected})") from None
    if not (path / "metrics.json").exists():
        raise RequestError("runs", path, f"{_FINISHED} (this one has no metrics.json)")
    metrics = read_metrics(path / "metrics.json", "runs")
    if (auctions := path / "auctions.parquet").exists():
        check_metrics(path / "metrics.json", metrics, read_table(auctions, key="runs"), "runs")
    if (path / "provenance.json").exists():
        read_provenance(path, "runs")
    keys = {key: _text(value) for key, value in stored["identity"].items()}
    if "scores.sha256" in keys:  # recorded scores: a file name says more than a digest
        keys["scores.sha256"] = f"{Path(str(stored.get('scores'))).name} {keys['scores.sha256'][:8]}"
    return _Run(path, keys, metrics)


def _differing(runs: Sequence[_Run]) -> list[str]:
    """Return the keys in which the runs differ, in the order of their configuration."""
    keys = dict.fromkeys(key for run in runs for key in run.keys)
    return [key for key in keys if len({run.keys.get(key) for run in runs}) > 1]


def _labels(runs: Sequence[_Run], differing: Sequence[str]) -> list[str]:
    """Label each run by what tells it from the others: the value of the one key that differs, or ``key=value``, joined.

    The name of a group replaces those keys of the group that it determines, as it does the model of an alignment. The
    name of a run is left out if other keys tell the runs apart. Runs are labelled by their directories if a label is
    too long, or if the labels are not distinct.
    """
    spoken = [key for key in differing if not _follows(key, differing, runs)]
    if len(spoken) > 1 and "name" in spoken:
        others = [key for key in spoken if key != "name"]
        if _distinct([tuple(run.keys.get(key) for key in others) for run in runs]):
            spoken = others
    labels = []
    for run in runs:
        values = {key.removesuffix(".name"): run.keys.get(key, _ABSENT) for key in spoken}
        named = ", ".join(f"{key}={value}" for key, value in values.items())
        labels.append(next(iter(values.values())) if len(values) == 1 else named)
    if _distinct(labels) and all(len(label) <= _MOST_LETTERS for label in labels):
        return labels
    return _directories([run.path for run in runs])


def _directories(paths: Sequence[Path]) -> list[str]:
    """Return the shortest ends of `paths` that are distinct."""
    whole = [path.resolve().parts for path in paths]
    most = max(map(len, whole))
    for parts in range(1, most + 1):
        names = ["/".join(path[-parts:]) for path in whole]
        if _distinct(names):
            return names
    return [str(path) for path in paths]


def _follows(key: str, differing: Sequence[str], runs: Sequence[_Run]) -> bool:
    """Return whether the name of the group of `key` differs too, and determines the value of `key`."""
    name = f"{key.split('.')[0]}.name"
    if key == name or name not in differing:
        return False
    pairs = {(run.keys.get(name), run.keys.get(key)) for run in runs}
    return len(pairs) == len({own for own, _ in pairs})


def _distinct(items: Sequence[Any]) -> bool:
    return len(set(items)) == len(items)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _numbers(metrics: Metrics) -> dict[str, Any]:
    """Return the numbers of one run, None where they were not measured."""
    mechanism, single = own_mechanism(metrics), flat(dict(metrics))

    def at(places: Mapping[str, str]) -> dict[str, Any]:
        return {name: single.get(place.format(mechanism)) for name, place in places.items()}

    agents = metrics["monotonicity"].values()
    return {
        "mechanism": mechanism,
        **at(AUCTION_NUMBERS),
        **{f"spearman_{i}": part["spearman"] for i, part in enumerate(agents, start=1)},
        "adjacent_pairs": sum(part["adjacent_pairs"] for part in agents),
        "adjacent_violations": sum(part["adjacent_violations"] for part in agents),
        **at(IMAGE_NUMBERS),
    }
