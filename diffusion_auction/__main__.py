"""`python -m diffusion_auction`: the command line, its errors and its exit status."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from diffusion_auction.config import ExperimentConfig, read_config
from diffusion_auction.errors import RequestError
from diffusion_auction.store import read_run
from launchers import FailedShardsError

_HERE = Path(__file__).resolve().parent
CONF = _HERE.parent / "conf" if (_HERE.parent / "conf" / "diffusion_auction.yaml").exists() else _HERE / "conf"
"""The Hydra tree: beside the package in a checkout, inside it once installed."""


def main() -> int:
    """Run the command line; the exit status is 0, 1, 2 or 130 as `--help` says."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands errors on instead of printing and exiting with 1
    status = 0

    @hydra.main(version_base="1.3", config_path=str(CONF), config_name="diffusion_auction")
    def task(composed: DictConfig) -> None:
        nonlocal status
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            _perform(composed)  # a launcher learns of a job's failure by its exception
        else:
            status = _status(lambda: _perform(composed))

    return _status(task) or status


def _perform(composed: DictConfig) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    tree: dict[str, Any] = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    if HydraConfig.get().mode == RunMode.MULTIRUN:  # jobs of one sweep must not share a directory
        tree["run_dir"] = str(Path(str(tree["run_dir"])) / HydraConfig.get().job.override_dirname)
    _act(read_config(tree))


def _act(config: ExperimentConfig) -> None:
    """What `action` asks for; each imports no more than it needs."""
    if config.action == "evaluate":
        from diffusion_auction.recorded import evaluate_recorded

        evaluate_recorded(config)
    elif config.action == "compare":
        from diffusion_auction.comparison import compare

        compare(config)
    elif config.action == "report":
        _report(Path(config.run_dir))
    else:
        from diffusion_auction.experiment import prepare, run, show_plan

        experiment = prepare(config)
        show_plan(experiment) if config.action == "plan" else run(experiment)


def _report(run_dir: Path) -> None:
    stored = read_run(run_dir)
    if stored["action"] == "evaluate":
        from diffusion_auction.recorded import report_recorded

        report_recorded(run_dir, stored)
    else:
        from diffusion_auction.experiment import report

        report(run_dir, stored)


def _status(work: Callable[[], None]) -> int:
    """Do `work`; a wrong request, failed shards or an interruption become a message and an exit status."""
    try:
        work()
    except (RequestError, HydraException, OmegaConfBaseException) as error:
        override = f"{error.override}: " if isinstance(error, OverrideParseException) else ""
        print(override + " ".join(str(error).split()), file=sys.stderr)
        return 2
    except FailedShardsError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command resumes where it stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
