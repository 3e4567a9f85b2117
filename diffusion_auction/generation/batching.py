"""Halve a batch that does not fit the GPU's memory, until it does."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

_Row = TypeVar("_Row")
_Made = TypeVar("_Made")

_LOG = logging.getLogger(__name__)


class Batching:
    """Process rows in batches that fit into the GPU's memory; a size that did not fit is not tried again.

    `find_executable_batch_size` of accelerate 1 does not replace it: it calls the whole function again, so the rows
    that were done are done twice, and it empties the cache of the device while the error still holds the tensors of
    every frame.

    Args:
        key: the configuration key of the batch size, for the warning.
        advice: what to try if not even one row fits.
        free: releases what a failed attempt has left on the device.
    """

    def __init__(self, key: str, advice: str, free: Callable[[], None] | None = None) -> None:
        self._key, self._advice, self._free = key, advice, free
        self._most: int | None = None

    def __call__(self, work: Callable[[Sequence[_Row]], Sequence[_Made]], rows: Sequence[_Row]) -> list[_Made]:
        """Apply `work` to all rows at once, or to as many as fit.

        Returns:
            The results in the order of `rows`.

        Raises:
            MemoryError: one row alone does not fit.
        """
        made: list[_Made] = []
        while len(made) < len(rows):
            part = rows[len(made) : len(made) + (self._most or len(rows))]
            try:
                made += work(part)
            except torch.OutOfMemoryError as error:
                reason = str(error).partition("\n")[0].split(". ")[0]
            else:
                continue
            self._shrink(len(part), reason)  # outside of `except`: the error holds the tensors of every frame
        return made

    def _shrink(self, tried: int, reason: str) -> None:
        if self._free:
            self._free()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if tried == 1:
            raise MemoryError(f"one image alone does not fit ({reason}): {self._advice}")
        self._most = tried // 2
        _LOG.warning(
            "%d images at once do not fit (%s): %d from now on, as %s=%d would",
            tried,
            reason,
            self._most,
            self._key,
            self._most,
        )
