"""The command line of an application: Hydra composes, errors become a line and an exit status."""

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

from experiments.errors import RequestError
from launchers import FailedShardsError

_HERE = Path(__file__).resolve().parent
CONF = _HERE.parent / "conf" if (_HERE.parent / "conf" / "diffusion_auction.yaml").exists() else _HERE / "conf"
"""The Hydra tree: beside the packages in a checkout, inside this one once installed."""

Act = Callable[[dict[str, Any]], int | None]
"""What an application does with a composed configuration; its exit status, None for 0."""


def run_application(config_name: str, act: Act) -> int:
    """Compose the configuration `config_name` with the process's arguments and `act` on it; the exit status.

    0 done; 1 shards failed; 2 the request is wrong; 130 interrupted. A fault of the program keeps its traceback.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands errors on instead of printing and exiting with 1
    status = 0

    @hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)
    def task(composed: DictConfig) -> None:
        nonlocal status
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            status = max(status, act(_tree(composed)) or 0)  # a launcher learns of a job's failure by its exception
        else:
            status = _status(lambda: act(_tree(composed)))

    return _status(task) or status


def _tree(composed: DictConfig) -> dict[str, Any]:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    tree: dict[str, Any] = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    if HydraConfig.get().mode == RunMode.MULTIRUN:  # jobs of one sweep must not share a directory
        tree["run_dir"] = str(Path(str(tree["run_dir"])) / HydraConfig.get().job.override_dirname)
    return tree


def _status(work: Callable[[], int | None]) -> int:
    """Do `work`; a wrong request, failed shards or an interruption become a message and an exit status."""
    try:
        return work() or 0
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
