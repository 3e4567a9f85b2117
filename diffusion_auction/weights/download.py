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
    """Bring `part` to the size of `file`, from where it stands; `arrived` is told of bytes as they come.

    huggingface_hub begins a file anew in every process: 2.4 writes each download into a temporary file of its own,
    against broken locks, and deletes it where it breaks off; one file of Flux has 10 GB. Raises `HubError` when
    nothing more arrives.
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
    """Return the bytes of the file `path`, 0 if there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def is_intact(path: Path, file: HubFile, hashed: bool = True) -> bool:
    """Return whether `path` is `file`: its size and, if `hashed`, its digest."""
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
        """Show that `count` bytes have come; it is negative where some are lost again."""
        self._came += count
        self._bar.advance(self._task, count)
        if not self._out.is_terminal and time.monotonic() - self._said > self._EVERY:
            self._said = time.monotonic()
            self._out.print(f"  {decimal(self._came)} of {decimal(self._total)}")

    @contextmanager
    def of(self, file: HubFile) -> Iterator[None]:
        """Show the bytes that come inside as those of `file`."""
        self._bar.update(self._task, description=file.name)
        began, before = time.monotonic(), self._came
        yield
        seconds, count = time.monotonic() - began, self._came - before
        rate = decimal(round(count / max(seconds, 1e-3)))
        self._out.print(f"  {file.name}: {decimal(count)} in {seconds:.0f} s, {rate}/s")

    def damaged(self, file: HubFile) -> None:
        """Show that what came of `file` is of no use."""
        self.more(-file.size)
        self._out.print(f"  {file.name} came damaged")
