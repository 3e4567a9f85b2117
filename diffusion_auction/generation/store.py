"""The images of a run on disk: each is made once and stored as recorded, even if a worker is killed."""

from __future__ import annotations

import hashlib
import io
import shutil
from contextlib import suppress
from pathlib import Path

from PIL import Image

from generative_auctions.files import naming


class Images:
    """The images of one shard, written all or none.

    The files are first written beside their places, then the shard's completion record stores their digests, then the
    files are renamed. After a kill at any instant, a shard with a record is finished by renaming, and one without is
    made again: no finished image is made twice, and no batch is made in part.
    """

    def __init__(self, run_dir: Path, paths: list[str]) -> None:
        self._run_dir = run_dir
        self._places = [run_dir / path for path in paths]

    def write(self, images: list[Image.Image]) -> list[str]:
        """Write `images` as PNG beside their places, except those already in place.

        Returns:
            The SHA-256 of each file.

        Raises:
            OSError: the disk is full; the error names the file, and what was written is removed.
        """
        try:
            return [self._write(place, image) for place, image in zip(self._places, images, strict=True)]
        except OSError:
            for place in self._places:
                self._part(place).unlink(missing_ok=True)
            raise

    def _write(self, place: Path, image: Image.Image) -> str:
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        digest = hashlib.sha256(buffer.getvalue()).hexdigest()
        with naming(place):
            if _is(place, digest):
                self._part(place).unlink(missing_ok=True)  # left by a kill: publish must not replace the image with it
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                self._part(place).write_bytes(buffer.getvalue())
        return digest

    def publish(self) -> None:
        """Rename what `write` wrote to its places."""
        for place in self._places:
            try:
                self._put(place)  # unless it was there already, or the next run was quicker
            except IsADirectoryError as error:
                error.strerror = "a directory is in the place of the image, remove it"
                raise

    def complete(self, digests: list[str]) -> bool:
        """Return whether every image in place has its digest, after renaming the files that a kill left beside."""
        for place, digest in zip(self._places, digests, strict=True):
            if not _is(place, digest) and _is(self._part(place), digest):
                self._put(place)  # unless the worker that wrote it is alive, and was quicker
            if not _is(place, digest):
                return False
        return True

    def link(self, source: Path, digests: list[str]) -> bool:
        """Put the same images of another run beside their places, by a link, or by a copy across file systems.

        A file that is in its place is never written again, so a link is safe.

        Args:
            source: the run directory of the other run.
            digests: the SHA-256 of each image.

        Returns:
            Whether every image of `source` has its digest; if not, nothing is linked.
        """
        theirs = [source / place.relative_to(self._run_dir) for place in self._places]
        if not all(_is(path, digest) for path, digest in zip(theirs, digests, strict=True)):
            return False
        for path, place in zip(theirs, self._places, strict=True):
            place.parent.mkdir(parents=True, exist_ok=True)
            self._part(place).unlink(missing_ok=True)
            try:
                self._part(place).hardlink_to(path)
            except OSError:
                shutil.copyfile(path, self._part(place))
        return True

    def _put(self, place: Path) -> None:
        """Rename the file beside `place` to `place` if it exists; an `OSError` names `place`."""
        with suppress(FileNotFoundError), naming(place):
            self._part(place).replace(place)

    @staticmethod
    def _part(place: Path) -> Path:
        return place.with_suffix(".part")


def _is(path: Path, digest: str) -> bool:
    """Return whether `path` is a file with the SHA-256 `digest`."""
    try:
        return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest
    except FileNotFoundError:
        return False
