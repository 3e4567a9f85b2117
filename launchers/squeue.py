"""SLURM's own commands: squeue for the state of jobs (never sacct, which needs a database), scontrol and scancel."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable
from typing import TypeVar

from launchers.errors import LaunchError, SlurmError

_T = TypeVar("_T")

PATIENCE_SECONDS = 180.0
"""How long to repeat a question to a SLURM controller that does not answer."""

_UNREACHABLE = (
    *("Unable to contact", "Unable to establish control machine address", "Connection refused", "authentication error"),
    *("Socket timed out", "Zero Bytes", "temporarily", "no answer within"),
)
"""Messages of SLURM's commands when the controller or the munge daemon is away. Any other message is a refusal."""

_LONGEST_ANSWER = 60.0
"""The time limit of one command of SLURM, in seconds."""

_MOST_LINES = 4
"""The number of last lines of an error of SLURM that are shown; the cause is among them."""


def queued() -> dict[str, str]:
    """Return the state of each of this user's jobs in the queue, ``{"12_3": "RUNNING", …}``.

    Raises:
        SlurmError: SLURM does not answer; the text has squeue's own words.
        LaunchError: SLURM cannot be asked from here: there is no squeue, or it finds no configuration.
    """
    try:
        text = _run("squeue", "--me", "--noheader", "--array", "--format=%i|%T")
    except SlurmError as error:
        if ": fatal: " in str(error):
            raise LaunchError(f"expected a host where SLURM is configured ({error})") from None
        raise
    return dict(line.strip().split("|", 1) for line in text.splitlines() if "|" in line)


def max_array_size() -> int:
    """Return SLURM's `MaxArraySize`, the number of tasks that a job array may have."""
    text = patiently(lambda: _run("scontrol", "show", "config"))
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", text, re.MULTILINE)
    return max(1, int(found[1])) if found else 1001


def requeue(job: str) -> None:
    """Put the running `job` into the queue again, which ends it at once. Raises `SlurmError`."""
    patiently(lambda: _run("scontrol", "requeue", job))


def preempted(job: str) -> bool:
    """Tell whether SLURM preempts `job` for another."""
    found = re.search(r"PreemptTime=(\S+)", patiently(lambda: _run("scontrol", "show", "job", job)))
    return found is not None and found[1] not in ("None", "N/A", "Unknown")


def cancel(jobs: set[str], patience: float | None = None) -> None:
    """Take `jobs`, by id, out of the queue. Raises `LaunchError`, and `SlurmError` after `patience` seconds."""
    if jobs:
        patiently(lambda: _run("scancel", "--quiet", *sorted(jobs)), patience)


def _run(*command: str) -> str:
    """Return what a command of SLURM prints.

    Raises:
        SlurmError: the command fails; the text has its own words.
        LaunchError: there is no such command here, or no file where SLURM_CONF says.
    """
    name, conf = command[0], os.environ.get("SLURM_CONF")
    if conf and not os.path.exists(conf):  # each command would look for it for a minute
        raise LaunchError(f"expected a host where SLURM is configured (there is no SLURM_CONF = {conf})")
    variables = {key: value for key, value in os.environ.items() if not key.startswith("SQUEUE_")}  # may hide jobs
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST_ANSWER, env=variables)
    except FileNotFoundError:
        raise LaunchError(f"expected a host with SLURM's commands (there is no {name} here)") from None
    except subprocess.TimeoutExpired:
        raise SlurmError(f"{name}: no answer within {_LONGEST_ANSWER:g} s") from None
    if done.returncode != 0:
        said = done.stderr.strip() or done.stdout.strip()
        lines = [line for line in said.splitlines() if "attempt number" not in line][-_MOST_LINES:]
        raise SlurmError(f"{name}: {' '.join(' '.join(lines).split()).removeprefix(f'{name}: ')}")
    return done.stdout


def patiently(ask: Callable[[], _T], patience: float | None = None) -> _T:
    """Return `ask()`, asked again for `patience` seconds while the controller does not answer.

    Raises:
        SlurmError: the controller never answers.
        LaunchError: SLURM refuses; the text has its own words.
    """
    deadline = time.monotonic() + (PATIENCE_SECONDS if patience is None else patience)
    while True:
        try:
            return ask()
        except SlurmError as error:
            text = " ".join(str(error).split())
            if not any(sign in text for sign in _UNREACHABLE):
                raise LaunchError(f"SLURM refused: {text}") from None
            if time.monotonic() > deadline:
                raise SlurmError(f"SLURM does not answer: {text}") from None
            time.sleep(2)
