"""Download a large file from the hub, resuming where it broke off, and check its size and digest."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import constants, get_session, hf_hub_url
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from diffusion_auction.weights import hub
from diffusion_auction.weights.hub import HubFile, wait_to_retry
from generative_auctions.files import naming


def download(repository: str, commit: str, file: HubFile, part: Path, arrived: Callable[[int], None]) -> None:
    """Download `file` to `part`, continuing after the bytes that are there already.

    Two faults of huggingface_hub 2.4 make this ours. It starts a file again after an interruption: each download
    writes to a temporary file with a unique name and deletes it on failure, and within one process it keeps only
    whole chunks of 10 MB. A file of 4 MB that broke off after 1 MB was requested from byte 0 by the next
    `snapshot_download`; a file of FLUX.1 has 10 GB. And it accepts a file of the right size whose digest is wrong:
    `snapshot_download` returned a file with one damaged byte without an error.

    Args:
        repository: the repository, `owner/name`.
        commit: the commit of the file.
        file: the file as the hub lists it.
        part: where to write; it has the size of `file` afterwards.
        arrived: called with the number of bytes after each piece; negative where the server starts again.

    Raises:
        HubError: nothing more arrives.
    """
    url = hf_hub_url(repository, file.name, revision=commit)
    if size_of(part) > file.size:
        part.unlink()
    waits = iter(hub.WAITS)
    while (before := size_of(part)) < file.size:
        try:
            _stream(url, part, before, arrived)
            if size_of(part) == before:
                raise ConnectionError(f"nothing more of {file.name} arrives")
        except Exception as error:
            if size_of(part) > before:
                waits = iter(hub.WAITS)
            wait_to_retry(waits, error)


def _stream(url: str, part: Path, start: int, arrived: Callable[[int], None]) -> None:
    headers = {**build_hf_headers(), "Accept-Encoding": "identity", "Range": f"bytes={start}-"}
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    with (
        naming(part),
        get_session().stream("GET", url, headers=headers, timeout=timeout) as response,
        part.open("ab") as out,
    ):
        hf_raise_for_status(response)
        if response.status_code == 200 and start:  # all of it: this server knows no ranges
            out.truncate(0)
            arrived(-start)
        for chunk in response.iter_bytes():
            out.write(chunk)
            arrived(len(chunk))


def size_of(path: Path) -> int:
    """Return the size of the file `path` in bytes, 0 if it does not exist."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def is_intact(path: Path, file: HubFile, hashed: bool = True) -> bool:
    """Return whether `path` has the size of `file` and, if `hashed`, its digest."""
    if not path.is_file() or size_of(path) != file.size:
        return False
    if not hashed:
        return True
    if file.large:
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest() == file.digest
    content_of = path.read_bytes()
    return hashlib.sha1(b"blob %d\0%b" % (len(content_of), content_of)).hexdigest() == file.digest


class DownloadProgress:
    """Progress of downloads: a bar on a terminal, else a line for each file and every half minute."""

    _EVERY = 30.0

    def __init__(self, total: int, out: Console) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=out, disable=not (out.is_terminal and total), transient=True)
        self._task = self._bar.add_task("", total=total)
        self._out, self._total = out, total
        self._came, self._said = 0, time.monotonic()

    def __enter__(self) -> DownloadProgress:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def more(self, count: int) -> None:
        """Add `count` bytes; negative if bytes were lost again."""
        self._came += count
        self._bar.advance(self._task, count)
        if not self._out.is_terminal and time.monotonic() - self._said > self._EVERY:
            self._said = time.monotonic()
            self._out.print(f"  {decimal(self._came)} of {decimal(self._total)}")

    @contextmanager
    def of(self, file: HubFile) -> Iterator[None]:
        """Name `file` as the one that the bytes added inside belong to."""
        self._bar.update(self._task, description=file.name)
        began, before = time.monotonic(), self._came
        yield
        seconds, count = time.monotonic() - began, self._came - before
        rate = decimal(round(count / max(seconds, 1e-3)))
        self._out.print(f"  {file.name}: {decimal(count)} in {seconds:.0f} s, {rate}/s")

    def damaged(self, file: HubFile) -> None:
        """Report that `file` arrived damaged and is downloaded again."""
        self.more(-file.size)
        self._out.print(f"  {file.name} came damaged")
