"""`action=fetch`: download the weights of a configuration into the cache and verify them."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from filelock import FileLock, Timeout
from huggingface_hub import constants
from huggingface_hub.errors import HTTPError
from huggingface_hub.utils import disable_progress_bars
from rich.filesize import decimal

from diffusion_auction.config import ExperimentConfig
from diffusion_auction.weights import hub
from diffusion_auction.weights.download import DownloadProgress
from diffusion_auction.weights.hub import HubError, HubFile
from diffusion_auction.weights.snapshot import Snapshot
from diffusion_auction.weights.sources import Source, cache_setting, cached, hub_sources
from generative_auctions.errors import RequestError
from generative_auctions.terminal import plain_console

_OUT = plain_console(soft_wrap=True, highlight=False)


def fetch(config: ExperimentConfig) -> int:
    """Download the weights that `config` names on the hub into the cache, and verify them.

    Nothing is downloaded unless the account may read every repository. Files in the cache are kept if their sizes are
    right or, with `verify`, their digests. Downloaded files are always checked by digest.

    Returns:
        The exit status: 0, or 1 if the hub or the disk failed.

    Raises:
        RequestError: a repository does not exist, or the account may not read it.
    """
    sources = hub_sources(config)
    if not sources:
        _OUT.print("nothing to fetch: what this configuration loads is embedded, or lies in folders and files")
        return 0
    if constants.HF_HUB_OFFLINE:
        raise RequestError("HF_HUB_OFFLINE", "1", "0 or unset where weights are fetched")
    disable_progress_bars()
    try:
        snapshots = _ask(sources)
        with _exclusive():
            _download(snapshots, config.verify)
    except (HubError, HTTPError, OSError) as error:
        reason = error if isinstance(error, HubError) else f"{type(error).__name__}: {error}"
        print(textwrap.shorten(str(reason), 500), file=sys.stderr)
        print("what has arrived is kept: the same command goes on from there", file=sys.stderr)
        return 1
    _summary(snapshots, config.verify)
    return 0


def check_fetched(config: ExperimentConfig) -> None:
    """Check, before anything is made or queued, that a run will find its weights.

    Each repository that `config` names must be in the cache, or readable for this login.

    Raises:
        RequestError: one is neither; the line names the key and `action=fetch`.
    """
    for source in hub_sources(config):
        if cached(source) is None:
            try:
                hub.check_access(source.key, source.repository, hub.account())
            except (RequestError, HubError, HTTPError, OSError) as error:
                reason = error.expected if isinstance(error, RequestError) else f"{error}"
                expected = f"weights in the cache, {cache_setting()[1]}: action=fetch brings them, on a login node"
                raise RequestError(
                    source.key, source.repository, f"{expected} ({textwrap.shorten(reason, 300)})"
                ) from error


def _ask(sources: Sequence[Source]) -> list[Snapshot]:
    """Check the login and the access to every repository, then list what each has."""
    name = hub.account()
    _OUT.print(f"login      {name or 'none: no token in the environment or in .env'}")
    wanted: dict[str, list[Source]] = {}
    for source in sources:
        wanted.setdefault(source.repository, []).append(source)
    for repository, chosen_by in wanted.items():
        hub.check_access(chosen_by[0].key, repository, name)
        _OUT.print(f"access     {repository}")
    return [_choose(repository, chosen_by) for repository, chosen_by in wanted.items()]


def _choose(repository: str, sources: Sequence[Source]) -> Snapshot:
    commit, files = hub.listing(repository)
    by_name = {file.name: file for file in files}
    chosen: dict[str, HubFile] = {}
    for source in sources:
        try:
            chosen |= {name: by_name[name] for name in source.choose(by_name)}
        except ValueError as error:
            raise RequestError(source.key, repository, f"a repository with the weights asked for ({error})") from None
    return Snapshot(repository, commit, list(chosen.values()))


def _exclusive() -> AbstractContextManager[object]:
    """Return a context that lets one process at a time download into this cache."""
    lock = FileLock(Path(constants.HF_HUB_CACHE) / ".locks" / "fetch.lock")
    Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        _OUT.print("waiting for another fetch into this cache …")
        return lock.acquire()


def _download(snapshots: Sequence[Snapshot], verify: bool) -> None:
    if verify:
        _OUT.print("verifying  what is in the cache, by its digests …")
    missing = [(s, file) for s in snapshots for file in s.files if file.large and not s.has(file, verify)]
    needed = sum(snapshot.missing_bytes(file) for snapshot, file in missing)
    variable, cache = cache_setting()
    free = shutil.disk_usage(Path(constants.HF_HUB_CACHE)).free
    if needed > free:
        raise RequestError(variable, cache, f"a disk with {decimal(needed)} of room; this one has {decimal(free)}")
    with DownloadProgress(needed, _OUT) as progress:
        for snapshot, file in missing:
            snapshot.obtain(file, progress)
    for snapshot in snapshots:
        snapshot.complete()


def _summary(snapshots: Sequence[Snapshot], verify: bool) -> None:
    for snapshot in snapshots:
        size = decimal(sum(file.size for file in snapshot.files))
        _OUT.print(f"complete   {snapshot.repository}: {len(snapshot.files)} files, {size}, in {snapshot.folder}")
    how = "by its digests" if verify else "by its sizes (verify=true: by its digests)"
    _OUT.print(f"verified   what came now by its digests, what was here {how}")
    variable, path = cache_setting()
    _OUT.print("Machines without a network that see this disk find it by")
    _OUT.print(f"  export {variable}={path}")
    _OUT.print("  export HF_HUB_OFFLINE=1")
