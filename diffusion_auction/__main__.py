"""`python -m diffusion_auction`: what each action of the command line does."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from diffusion_auction.config import read_config
from diffusion_auction.evaluation.headline import headline
from diffusion_auction.images_extra import require_images
from generative_auctions.command_line import Application, run_application
from generative_auctions.errors import RequestError
from generative_auctions.run_directory import read_run


def main() -> int:
    """Run the command line; the exit status is 0, 1, 2 or 130 as `--help` says."""
    return run_application(Application("diffusion_auction", _act, _check, headline))


def _check(tree: dict[str, Any]) -> None:
    """Raise `RequestError` for what `_act` would refuse before it makes anything."""
    config = read_config(tree)
    if config.action in ("run", "fetch"):
        require_images(config.action)
    if config.action in ("run", "plan"):
        from diffusion_auction.actions.experiment import check_possible, prepare

        experiment = prepare(config)
        if config.action == "run":
            check_possible(experiment)
    if config.action == "evaluate":
        from diffusion_auction.actions.evaluate import read_recorded

        read_recorded(config)
    if config.action == "compare":
        from diffusion_auction.actions.compare import read_compared

        read_compared(config)


def _act(tree: dict[str, Any]) -> int:
    """Do what `action` asks for and return the exit status; each action imports no more than it needs."""
    config = read_config(tree)
    if config.action in ("run", "fetch"):
        require_images(config.action)
    if config.action == "fetch":
        from diffusion_auction.actions.fetch import fetch

        return fetch(config)
    if config.action == "evaluate":
        from diffusion_auction.actions.evaluate import evaluate_recorded

        evaluate_recorded(config)
    elif config.action == "compare":
        from diffusion_auction.actions.compare import compare

        compare(config)
    elif config.action == "report":
        _report(Path(config.run_dir))
    else:
        from diffusion_auction.actions.experiment import prepare
        from diffusion_auction.actions.plan import show_plan
        from diffusion_auction.actions.run import run

        experiment = prepare(config)
        show_plan(experiment) if config.action == "plan" else run(experiment)
    return 0


def _report(run_dir: Path) -> None:
    stored = read_run(run_dir)
    if "tournament" in stored:
        raise RequestError("run_dir", run_dir, "the directory of an image auction; its config.yaml is a competition's")
    if stored.get("action") == "evaluate":
        from diffusion_auction.actions.evaluate import report_recorded

        report_recorded(run_dir, stored)
    else:
        from diffusion_auction.actions.report import report

        report(run_dir, stored)


if __name__ == "__main__":
    sys.exit(main())
