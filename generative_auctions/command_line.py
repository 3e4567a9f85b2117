"""The command line of an application: Hydra composes, errors become a message and an exit status."""

from __future__ import annotations

import errno
import logging
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra._internal.utils import get_args_parser  # private, but the only description of Hydra's options
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.core.plugins import Plugins
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from generative_auctions.config_tree import CONF
from generative_auctions.errors import CommandEnd, RequestError
from generative_auctions.provenance import overridden
from generative_auctions.signals import handled

LAUNCHERS = tuple(sorted(path.stem for path in (CONF / "hydra" / "launcher").glob("*.yaml")))
"""The options of hydra/launcher, which run the jobs of a multirun."""

_MULTIRUN = ("-m", "--multirun")

_EXCLUSIVE = ("run", "multirun", "cfg", "info", "shell_completion")
"""Hydra's options that choose what to do, one at a time."""

_NOT_WRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
_NO_FILE = (errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY, errno.ELOOP, errno.ENAMETOOLONG)
"""Errors of a path that is a directory, leads through a file, or has a name that is too long."""
_NO_DIRECTORY = (errno.ENOTDIR, errno.EEXIST)
"""Errors of a directory whose place is taken by a file or by a link to nothing."""

PATH_KEYS = ("agent", "teams", "teams_dir", "json", "scores", "runs", "images_from", "run_dir", "launcher.stage_dir")
"""The keys of both applications whose values are paths or lists of paths; paths are written as in the shell."""

Act = Callable[[dict[str, Any]], int | None]
"""A function that performs a composed configuration. It returns the exit status; None stands for 0."""


@dataclass(frozen=True)
class Application:
    """What the command line needs of an application.

    Args:
        config_name: its primary configuration in `CONF`.
        act: what it does with a composed configuration.
        check: raises `RequestError` for a configuration that `act` would refuse, and does nothing else; a multirun
            asks it for each job before any of them is in a queue.
        headline: the few metrics that runs are compared by, of those of a run.
        flags: the keys to write instead of options such as ``--validate FILE``, by option; ``{}`` stands for the value.
    """

    config_name: str
    act: Act
    check: Callable[[dict[str, Any]], object] = lambda tree: None
    headline: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict
    flags: Mapping[str, str] = field(default_factory=dict)


def run_application(application: Application) -> int:
    """Compose the application's configuration with the process's arguments and act on it.

    Returns:
        The exit status: 0 done; 1 shards or jobs failed; 2 the request is wrong; 130 interrupted. A fault of the
        program keeps its traceback.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands errors on instead of printing and exiting with 1
    _have_own_launchers_only()
    task = Task(application)
    main = hydra.main(version_base="1.3", config_path=str(CONF), config_name=application.config_name)(task)
    with _interruptible():
        status = _status(lambda: _prepare_arguments(application)) or _status(main) or task.status
        return task.report() if task.report and not status else status


def _prepare_arguments(application: Application) -> None:
    """Refuse arguments at which Hydra would fail with a traceback; quote the others for its grammar."""
    refuse_other_bytes(sys.argv[1:])
    sys.argv[1:] = quote_paths(_multirun_first(sys.argv[1:]))
    refuse_flags(sys.argv[1:], application.config_name, application.flags)


def refuse_flags(arguments: Sequence[str], config_name: str, flags: Mapping[str, str]) -> None:
    """Refuse options that are none of Hydra's, saying what to write for each, and those that exclude each other.

    `flags` are those of an `Application`. Whatever else is called as a key of the configuration, or as a config group,
    is that key.

    Raises:
        RequestError: where Hydra would print its usage, or fail with a `ValueError`.
    """
    primary = yaml.safe_load((CONF / f"{config_name}.yaml").read_text())
    keys = {*primary, *(group for entry in primary["defaults"] if isinstance(entry, dict) for group in entry)}
    found, others = get_args_parser().parse_known_args(arguments)
    written, unknown = [], []
    for place, argument in enumerate(arguments):
        option, given, value = argument.partition("=")
        if argument not in others or not option.startswith("--") or option == "--":
            continue
        name = option.removeprefix("--")
        template = flags.get(name, f"{name.replace('-', '_')}={{}}")
        following = arguments[place + 1] if place + 1 < len(arguments) else ""
        takes_next = "{}" in template and not given and not following.startswith("-") and "=" not in following
        shown = value if given else following if takes_next and following else "VALUE"
        if name in flags or name.replace("-", "_") in keys:
            written.append(template.format(shlex.quote(shown)))
        else:
            unknown.append(option)
    if unknown:
        raise RequestError("option", ", ".join(unknown), "key=value, with one of the keys that --help lists")
    if written:
        raise RequestError("options", " ".join(arguments), f"keys: {' '.join(written)}")
    exclusive = [f"--{name.replace('_', '-')}" for name in _EXCLUSIVE if getattr(found, name)]
    if len(exclusive) > 1:
        raise RequestError("options", " ".join(exclusive), "one of them at a time")
    if found.resolve and not (found.cfg or found.help):
        raise RequestError("options", "--resolve", "--cfg or --help beside it")


def refuse_other_bytes(arguments: Sequence[str]) -> None:
    """Refuse arguments that are not UTF-8, which no file of a run could hold. Raises `RequestError`."""
    for argument in arguments:
        if re.search("[\ud800-\udfff]", argument):  # bytes that Python could not decode
            key, _, value = argument.partition("=") if "=" in argument else ("argument", "", argument)
            raise RequestError(key, os.fsencode(value).decode(errors="backslashreplace"), "a text in UTF-8")


def log_warnings() -> None:
    """Write the warnings of libraries to the error output, a line each; for the process of a run."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")


def _multirun_first(arguments: Sequence[str]) -> list[str]:
    """Move -m in front of the keys, because argparse does not accept it behind some of them."""
    multirun = [argument for argument in arguments if argument in _MULTIRUN]
    return multirun[:1] + [argument for argument in arguments if argument not in _MULTIRUN]


def quote_paths(arguments: Sequence[str]) -> list[str]:
    """Quote values of `PATH_KEYS` that Hydra's grammar would not read as text, say `my agent (1)`.

    Other values are kept. A list, `[a (1), b]`, is quoted part by part.
    """
    several = any(argument in _MULTIRUN for argument in arguments)
    parser = OverridesParser.create()

    def is_understood(argument: str) -> bool:
        try:
            override = parser.parse_override(argument)
        except HydraException:
            return False
        if override.is_sweep_override():
            return several
        value = override.value()
        return value is None or all(isinstance(part, str) for part in (value if isinstance(value, list) else [value]))

    quoted = []
    for argument in arguments:
        key, assigned, value = argument.partition("=")
        if assigned and key in PATH_KEYS and not is_understood(argument):
            is_list = value.startswith("[") and value.endswith("]")
            value = f"[{','.join(map(_quoted, value[1:-1].split(',')))}]" if is_list else _quoted(value)
            argument = f"{key}={value}"
        quoted.append(argument)
    return quoted


def _quoted(text: str) -> str:
    """Return `text` as a quoted string of Hydra's grammar."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text
    return QuotedString(text, Quote.single).with_quotes()


def _have_own_launchers_only() -> None:
    """Unregister the launchers of Hydra and of other plugins.

    Hydra would check ours against the schema of one of the same name, and the others know neither a job's exit status
    nor the table of a sweep.
    """
    Plugins.instance()  # now they have registered
    ConfigStore.instance().repo["hydra"]["launcher"].clear()


class Task:
    """The task that Hydra calls with a composed configuration.

    In a multirun our launcher does the work instead. It sets `report`, which prints the outcome of each job and returns
    the exit status.
    """

    def __init__(self, application: Application) -> None:
        self.application, self.status = application, 0
        self.report: Callable[[], int] | None = None

    def __call__(self, composed: DictConfig) -> None:
        """Act on `composed` and keep the exit status. Raises `RequestError` in a job of a launcher that is not ours."""
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            chosen = HydraConfig.get().runtime.choices["hydra/launcher"]
            raise RequestError("hydra/launcher", chosen, f"one of {', '.join(LAUNCHERS)}")
        log_warnings()
        tree: dict[str, Any] = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
        with overridden(HydraConfig.get().overrides.task):
            self.status = _status(lambda: self.application.act(tree))


def _status(work: Callable[[], int | None]) -> int:
    """Do `work`. Returns: the exit status, after a message for a wrong request, failed shards or an interruption."""
    try:
        return work() or 0
    except CommandEnd as end:
        print(end, file=sys.stderr if end.exit_status else sys.stdout)
        return end.exit_status
    except (HydraException, OmegaConfBaseException) as error:
        print(_in_our_words(error), file=sys.stderr)
        return 2
    except OSError as error:
        blocking = _no_directory(error.filename) if error.errno in _NO_DIRECTORY else None
        if blocking or error.errno in _NO_FILE:
            reason = "not a directory" if blocking else str(error.strerror).lower()
            print(f"{blocking or error.filename}: {reason}; remove it, or choose another run_dir", file=sys.stderr)
            return 2
        if error.errno not in _NOT_WRITABLE:
            raise
        print(f"{error.filename}: {error.strerror}; the same command resumes once it can be written", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command resumes where it stopped", file=sys.stderr)
        return 130


def _no_directory(path: object) -> Path | None:
    """Return the first of `path` and its parents that exists and is no directory; None if there is none."""
    places = (Path(path), *Path(path).parents) if isinstance(path, str | Path) else ()
    return next((place for place in places if os.path.lexists(place) and not place.is_dir()), None)


def _in_our_words(error: HydraException | OmegaConfBaseException) -> str:
    """Return one line on why a command line cannot be composed, without Hydra's advice to add unknown keys."""
    text = " ".join(str(error).split())
    if found := re.match(r"Could not override '([^']+)'", text):
        return f"{found[1]}: expected a key of the configuration, as --help lists them"
    return f"{error.override}: {text}" if isinstance(error, OverrideParseException) else text


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM, and SIGHUP unless it is ignored, interrupt as Ctrl-C does, so that no workers and no parts are left.

    Only the first signal interrupts: an impatient second Ctrl-C must not interrupt the clean-up.
    """
    names = [signal.SIGINT, signal.SIGTERM, *((signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ())]  # not on Windows
    heeded = [each for each in names if signal.getsignal(each) != signal.SIG_IGN]

    def interrupt(number: int, frame: object) -> None:
        for each in heeded:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    with handled(heeded, interrupt):
        yield
