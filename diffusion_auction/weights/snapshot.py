"""One commit of a repository in the cache: which files are there, and downloading the others."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants, snapshot_download
from huggingface_hub.file_download import repo_folder_name

from diffusion_auction.weights.download import DownloadProgress, download, is_intact, size_of
from diffusion_auction.weights.hub import HubError, HubFile, with_retries


@dataclass(frozen=True)
class Snapshot:
    """The files of one commit of a repository that are loaded, in the cache of huggingface_hub."""

    repository: str
    commit: str
    files: list[HubFile]

    @property
    def folder(self) -> Path:
        """The folder of the snapshot in the cache."""
        return self._cache / "snapshots" / self.commit

    @property
    def _cache(self) -> Path:
        return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=self.repository, repo_type="model")

    def _blob(self, file: HubFile) -> Path:
        """Return the file that the snapshot links to; huggingface_hub does not download a file that is there."""
        return self._cache / "blobs" / file.digest

    def _part(self, file: HubFile) -> Path:
        return self._blob(file).with_name(f"{file.digest}.incomplete")

    def has(self, file: HubFile, hashed: bool) -> bool:
        """Return whether the cache has `file` with its size and, if `hashed`, its digest."""
        return any(is_intact(path, file, hashed) for path in (self.folder / file.name, self._blob(file)))

    def missing_bytes(self, file: HubFile) -> int:
        """Return how many bytes of `file` are still to be downloaded."""
        return max(file.size - size_of(self._part(file)), 0)

    def obtain(self, file: HubFile, progress: DownloadProgress) -> None:
        """Download a large file to its place, and once more if its digest is wrong.

        Raises:
            HubError: the hub does not answer, or the file arrived damaged twice.
        """
        part = self._part(file)
        part.parent.mkdir(parents=True, exist_ok=True)
        self._drop(file)
        for _ in range(2):
            with progress.of(file):
                download(self.repository, self.commit, file, part, progress.more)
            if is_intact(part, file):
                part.replace(self._blob(file))
                return
            part.unlink(missing_ok=True)
            progress.damaged(file)
        raise HubError(f"{file.name} of {self.repository} came damaged twice: not what {constants.ENDPOINT} lists")

    def complete(self) -> None:
        """Download the small files, check their digests, and link every file into the snapshot.

        Raises:
            HubError: the hub does not answer, the repository has changed, or a file arrived damaged twice.
        """
        patterns = [glob.escape(file.name) for file in self.files]
        for _ in range(2):
            for file in self.files:
                if not file.large and not self.has(file, hashed=True):
                    self._drop(file)
            folder = with_retries(lambda: snapshot_download(self.repository, allow_patterns=patterns, max_workers=4))
            if Path(folder).name != self.commit:
                raise HubError(f"{self.repository} has changed on the hub in the meantime")
            damaged = [f.name for f in self.files if not is_intact(self.folder / f.name, f, hashed=not f.large)]
            if not damaged:
                return
        raise HubError(
            f"{', '.join(damaged)} of {self.repository} came damaged twice: not what {constants.ENDPOINT} lists"
        )

    def _drop(self, file: HubFile) -> None:
        for path in (self.folder / file.name, self._blob(file)):
            path.unlink(missing_ok=True)
