"""Memory of features that goes from layer to layer and from tile to tile.

The C library would put small memory into a large hole between two tiles, so that the next layer no longer fits there: a process
of 1920x1080 pixels in tiles of 640 grew by one layer in three.
"""

import mmap
import sys
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from math import ceil, prod
from threading import Lock
from weakref import finalize

import numpy as np
import torch
from torch import Tensor

from .winograd_transforms import OUTPUT_SIDE

_BYTES_PER_VALUE = 4
_PRIVATE = {} if sys.platform == "win32" else {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS}


@dataclass(eq=False)
class _Block:
    """Memory of the system, and the spans of it that no tensor looks at, in order; they do not touch each other."""

    pages: mmap.mmap
    free: list[range]

    def take(self, span: range, nbytes: int) -> int:
        """Return the beginning of ``span``, one of ``free``, of which so many bytes are in use from now on."""
        place = self.free.index(span)
        self.free[place : place + 1] = [span[nbytes:]] if len(span) > nbytes else []
        return span.start

    def put_back(self, span: range) -> None:
        spans = list[range]()
        for each in sorted([*self.free, span], key=lambda one: one.start):
            start = spans.pop().start if spans and spans[-1].stop == each.start else each.start
            spans.append(range(start, each.stop))
        self.free = spans


class FeatureMemory:
    """As much as was in use at once; each part returns here when no tensor looks at it any longer."""

    def __init__(self) -> None:
        self._blocks: list[_Block] = []
        self._returned = deque[tuple[_Block, range]]()
        """A finalizer may run at any moment, in any thread, so it must not wait for the lock."""
        self._lock = Lock()

    def allocate(self, count: int, channels: int, height: int, width: int) -> Tensor:
        """Return uninitialized memory for (N, C, H, W), each pixel's channels together, in which whole output tiles fit.

        It begins at a line of the cache. Raises ``MemoryError`` where the system has none left.
        """
        rows, columns = (ceil(length / OUTPUT_SIDE) * OUTPUT_SIDE for length in (height, width))
        shape = count, rows, columns, channels
        nbytes = prod(shape) * _BYTES_PER_VALUE
        with self._lock:
            block, start = self._take(nbytes)
        values = np.frombuffer(block.pages, np.float32, prod(shape), start)
        finalize(values, self._returned.append, (block, range(start, start + nbytes))).atexit = False
        return torch.as_tensor(values).view(shape).permute(0, 3, 1, 2)[:, :, :height, :width]

    def release(self) -> None:
        """Return to the system what no tensor looks at; the rest follows when none does."""
        with self._lock:
            self._blocks.clear()
            self._returned.clear()

    def _take(self, nbytes: int) -> tuple[_Block, int]:
        """Return the smallest free span that is large enough; otherwise new memory instead of the largest unused block."""
        while self._returned:
            block, span = self._returned.popleft()
            block.put_back(span)
        places = [(len(span), number, span) for number, block in enumerate(self._blocks) for span in block.free]
        fitting = [place for place in places if place[0] >= nbytes]
        if fitting:
            _, number, span = min(fitting, key=lambda place: place[:2])
            return self._blocks[number], self._blocks[number].take(span, nbytes)
        unused = [block for block in self._blocks if block.free == [range(len(block.pages))]]
        if unused:
            self._blocks.remove(max(unused, key=lambda block: len(block.pages)))
        block = _Block(_map_pages(nbytes), [])
        self._blocks.append(block)
        return block, 0


def _map_pages(nbytes: int) -> mmap.mmap:
    try:
        pages = mmap.mmap(-1, nbytes, **_PRIVATE)
    except OSError as error:
        raise MemoryError(f"{nbytes / 1e6:.0f} MB for features: {error}") from error
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel or container without huge pages
            pages.madvise(mmap.MADV_HUGEPAGE)
    return pages
