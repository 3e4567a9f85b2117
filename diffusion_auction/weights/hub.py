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

from dotenv import dotenv_values
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
"""Seconds between attempts. After any bytes have arrived, the attempts are counted from the beginning."""

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
    """Find the token of the hub: in `HF_TOKEN` of the environment, in `folder/.env`, or in a saved login.

    A token found in the file is put into the environment, where every library looks for it.

    Args:
        folder: the folder of the .env file; default, the working directory.

    Returns:
        The place of the token, for messages; None if there is no token.

    Raises:
        RequestError: the token is not one word. The line does not show it; a library's message would.
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
    """Return the token in a .env file, if there is one; a token is ASCII, whatever the encoding of the rest."""
    try:
        return dotenv_values(path, interpolate=False, encoding="latin-1").get("HF_TOKEN")
    except OSError:
        return None


def account() -> str | None:
    """Return the name of the account that the token belongs to; None without a token.

    Raises:
        RequestError: the hub does not know the token.
        HubError: the hub does not answer.
    """
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
    """Check that an account may read a repository.

    Args:
        key: the configuration key that names the repository.
        repository: the repository, `owner/name`.
        name: the name of the account; None without a token.

    Raises:
        RequestError: it may not; the line says what to do.
        HubError: the hub does not answer.
    """
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
    """Return the current commit of a repository and the files in it.

    Raises:
        HubError: the hub does not answer.
    """
    info = with_retries(
        lambda: HfApi().model_info(repository, files_metadata=True, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT)
    )
    files = [
        HubFile(file.rfilename, file.size or 0, file.lfs.sha256 if file.lfs else file.blob_id or "", bool(file.lfs))
        for file in info.siblings or []
    ]
    return str(info.sha), files


def _ask(what: str) -> Any:
    """Return the hub's answer to a request with a timeout.

    `HfApi.whoami` and `HfApi.auth_check` of huggingface_hub 2.4 pass no timeout to a client that has none: they wait
    for ever for a hub that accepts the connection and does not answer.
    """

    def get() -> Any:
        url, timeout = f"{constants.ENDPOINT}/api/{what}", constants.HF_HUB_DOWNLOAD_TIMEOUT
        response = get_session().get(url, headers=build_hf_headers(), timeout=timeout)
        hf_raise_for_status(response)
        return response.json() if response.content else None

    return with_retries(get)


def with_retries(ask: Callable[[], _T]) -> _T:
    """Call `ask` until it succeeds and return its result.

    Raises:
        HubError: it failed once more after the last of `WAITS`.
    """
    waits = iter(WAITS)
    while True:
        try:
            return ask()
        except Exception as error:
            wait_to_retry(waits, error)


def wait_to_retry(waits: Iterator[float], error: Exception) -> None:
    """Wait before the next attempt.

    Raises:
        HubError: there are no waits left, or the answer is not a hub's.
        Exception: `error` itself, if another attempt cannot succeed.
    """
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
