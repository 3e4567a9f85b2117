"""Default names of run directories: readable, and the same for the same command."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from generative_auctions.config_tree import CONF
from generative_auctions.schema import is_within

MULTIRUNS = "multirun"
"""The folder of all multiruns. Their jobs and tables never lie inside the directory of a single run."""

_LONGEST = 100  # characters of a name; file systems allow 255 bytes
_NOT_OF_JOBS = ("run_dir", "action", "launcher", "optimize")


class Asked(NamedTuple):
    """One override of a command line: the key, the value in Hydra's one way to write it, whether it is a sweep."""

    key: str
    value: str
    swept: bool


def request_name(
    base: str, root: DictConfig, *, named_by: str | None, unnamed: Collection[str], versions: Iterable[str] = ()
) -> str:
    """Name the directory of the command that composed `root`.

    The same overrides in any order give the same name, different ones never do. In a multirun the name is that of the
    whole command, below `MULTIRUNS`.

    Args:
        base: what the name begins with, and all of it where nothing else was asked.
        root: the composed configuration.
        named_by: the key with which a user gives `base`, and with it the whole name; None if there is no such key.
        unnamed: keys that do not decide what is made; they count only where a multirun goes over their values.
        versions: what else the result depends on, such as digests of files that are edited again and again.
    """
    hydra = _hydra_of(root)
    if hydra is None:
        return base
    asked = _asked(hydra.overrides.task)
    if named_by is not None and any(each.key == named_by and not each.swept for each in asked):
        name = base
    else:
        deciding = [each for each in asked if each.swept or not is_within(each.key, unnamed)]
        deciding = [each for each in deciding if each[:2] != ("sweep", base)]  # the base says it
        name = _joined(base, [*deciding, *_own_configuration(hydra)], list(versions))
    return f"{MULTIRUNS}/{name}" if hydra.mode == RunMode.MULTIRUN else name


def job_name(*, _root_: DictConfig) -> str:
    """Name the folder of a job of a multirun, by all that it overrides."""
    hydra = _hydra_of(_root_)
    asked = _asked(hydra.overrides.task) if hydra else []
    return _joined("", [each for each in asked if not is_within(each.key, _NOT_OF_JOBS)], [])


OmegaConf.register_new_resolver("job_name", job_name, replace=True)  # both applications' hydra.sweep.subdir


def _hydra_of(root: DictConfig) -> Any:
    """Return Hydra's part of the configuration, which a run keeps apart from `root`; None if Hydra only composed."""
    inside = OmegaConf.select(root, "hydra", throw_on_resolution_failure=False)
    return inside or (HydraConfig.get() if HydraConfig.initialized() else None)


def _asked(overrides: Iterable[str]) -> list[Asked]:
    """Parse `overrides`, sorted by key; of a key that is given twice the last counts, as it does for Hydra."""
    found = {}
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key, swept = override.get_key_element().lstrip("+"), override.is_sweep_override()
        value = "".join(override.get_value_string().split()) if swept else override.get_value_element_as_str()
        found[key] = Asked(key, value, swept)
    return [found[key] for key in sorted(found)]


def _own_configuration(hydra: Any) -> Iterator[Asked]:
    """Yield the places of a user's own configuration files, which also decide what the overrides mean."""
    for source in hydra.runtime.config_sources:
        if source.provider not in ("hydra", "schema") and source.path != str(CONF):
            yield Asked("config_dir", os.path.relpath(source.path), False)
    name = hydra.job.config_name
    if not (CONF / f"{name}.yaml").exists():
        yield Asked("config_name", name, False)


def _joined(base: str, asked: Iterable[Asked], versions: list[str]) -> str:
    """Join the parts as ``base-key_value-key_value``, with a digest where another request could have that name too.

    All characters are safe in file systems, shells and Hydra's grammar of overrides.
    """
    asked = list(asked)
    if not (asked or versions):
        return base
    plain = all(re.fullmatch("[a-z.]+", each.key) and _is_plain(each.value) for each in asked) and _is_plain(base)
    name = "-".join([*([base] if base else []), *(f"{_written(each.key)}_{_written(each.value)}" for each in asked)])
    if plain and not versions and len(name) <= _LONGEST:
        return name
    request = [base, *(f"{each.key}={each.value}" for each in asked), *versions]
    digest = hashlib.sha256("\n".join(request).encode()).hexdigest()[:8]
    return f"{name[: _LONGEST - 9].rstrip('-_.')}-{digest}"


def _written(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "_", text).strip("_")


def _is_plain(text: str) -> bool:
    """Tell whether `text` is its own file name, so that no other text has it, even where case is ignored."""
    return text == _written(text).lower()
