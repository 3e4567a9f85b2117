"""Requests to the hub: login, access, listings, and retries where it does not answer."""

from __future__ import annotations

import os
import re
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import HfApi, constants, get_session, get_token
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

from generative_auctions.errors import RequestError

WAITS = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds between attempts; the count begins anew whenever something arrived."""

_PASSING_STATUSES = (408, 425, 429, 500, 502, 503, 504)
_T = TypeVar("_T")


class HubError(RuntimeError):
    """The hub did not answer, broke off or sent something else, after all retries."""


@dataclass(frozen=True)
class HubFile:
    """A file as the hub lists it: its size in bytes and its digest, SHA-256 or, where `large` is false, git's SHA-1."""

    name: str
    size: int
    digest: str
    large: bool


# --- who asks --------------------------------------------------------------------------------------


def adopt_token(folder: Path = Path()) -> str | None:
    """Find the token and return where it is from: `HF_TOKEN` of the environment or of `folder/.env`, or a saved login.

    One that is found in the file goes into the environment, where every library looks for it. Raises `RequestError`,
    which never shows the token, if it is not one word: a library's complaint of it would.
    """
    place: str | None = "HF_TOKEN of the environment"
    if not os.environ.get("HF_TOKEN"):
        if token := _of_env_file(folder / ".env"):
            os.environ["HF_TOKEN"], place = token, "HF_TOKEN of .env"
        else:
            place = "the login saved by huggingface_hub" if get_token() else None
    if place and not re.fullmatch(r"[!-~]+", get_token() or ""):
        raise RequestError(place, "(hidden)", "one word without spaces or quotes")
    return place


def _of_env_file(path: Path) -> str | None:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return None
    found = [match[1] for line in lines if (match := re.fullmatch(r"\s*(?:export\s+)?HF_TOKEN\s*=\s*(.*?)\s*", line))]
    return found[-1].strip("'\"") if found else None


def account() -> str | None:
    """Return the name of the account that asks, or None. Raises `RequestError` for a token nobody knows."""
    place = adopt_token()
    if place is None:
        return None
    try:
        return str(_ask("whoami-v2")["name"])
    except HfHubHTTPError as error:
        if error.response.status_code == 401:
            expected = f"a token that is valid; {constants.ENDPOINT}/settings/tokens makes one"
            raise RequestError(place, "(hidden)", expected) from None
        raise


# --- what may be read ------------------------------------------------------------------------------


def check_access(key: str, repository: str, name: str | None) -> None:
    """Ask the hub whether the account `name` may read what `key` names. Raises `RequestError` saying what to do."""
    try:
        _ask(f"models/{repository}/auth-check")
    except GatedRepoError:
        page = f"{constants.ENDPOINT}/{repository}"
        if name is None:
            how = f"then put HF_TOKEN=… in the environment or in .env ({constants.ENDPOINT}/settings/tokens)"
            expected = f"a token, as this repository is gated: ask for access at {page}, {how}"
        else:
            expected = f"access to this gated repository, which {name} has not: ask for it at {page}"
        raise RequestError(key, repository, expected) from None
    except RepositoryNotFoundError:
        who = f"{name} may read" if name else "may be read without a token"
        raise RequestError(key, repository, f"a repository of {constants.ENDPOINT} that {who}") from None
    except HfHubHTTPError as error:
        if error.response.status_code not in (401, 403):
            raise
        allowed = f"a repository that this token may read ({error.server_message or 'refused'})"
        raise RequestError(key, repository, allowed) from None


def listing(repository: str) -> tuple[str, list[HubFile]]:
    """Return the commit that the hub now has as the main one, and its files."""
    info = with_retries(
        lambda: HfApi().model_info(repository, files_metadata=True, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT)
    )
    files = [
        HubFile(file.rfilename, file.size or 0, file.lfs.sha256 if file.lfs else file.blob_id or "", bool(file.lfs))
        for file in info.siblings or []
    ]
    return str(info.sha), files


def _ask(what: str) -> Any:
    """Return the hub's answer; with a time-out: `HfApi.whoami` and `auth_check` of 2.4 have none and would hang."""

    def get() -> Any:
        url, timeout = f"{constants.ENDPOINT}/api/{what}", constants.HF_HUB_DOWNLOAD_TIMEOUT
        response = get_session().get(url, headers=build_hf_headers(), timeout=timeout)
        hf_raise_for_status(response)
        return response.json() if response.content else None

    return with_retries(get)


def with_retries(ask: Callable[[], _T]) -> _T:
    """Return what `ask` returns, asked again after failures that pass. Raises `HubError` once `WAITS` are over."""
    waits = iter(WAITS)
    while True:
        try:
            return ask()
        except Exception as error:
            wait_to_retry(waits, error)


def wait_to_retry(waits: Iterator[float], error: Exception) -> None:
    """Wait for the next attempt. Raises `error` if it will not pass, `HubError` if the waits are over."""
    reason = textwrap.shorten(f"{type(error).__name__}: {error}", 300)
    if isinstance(error, ValueError):  # a page instead of JSON: of a network's own login, as a rule
        raise HubError(f"{constants.ENDPOINT} does not answer as a hub would ({reason})") from error
    if not _passes(error):
        raise error
    seconds = next(waits, None)
    if seconds is None:
        raise HubError(f"{constants.ENDPOINT} does not answer ({reason})") from error
    time.sleep(seconds)


def _passes(error: Exception) -> bool:
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in _PASSING_STATUSES
    if isinstance(error, OfflineModeIsEnabled):
        return False
    return isinstance(error, HTTPError | ConnectionError | TimeoutError | LocalEntryNotFoundError)
