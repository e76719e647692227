"""Cuts a feature tensor into patches, each with the margin that a few layers see, and computes each in one thread."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, product
from math import ceil
from threading import Barrier
from typing import TypeVar

import torch
from torch import Tensor

from ...media import Span


@dataclass(frozen=True)
class Patch:
    """A region of a tensor (N, C, H, W): its core and its padded region."""

    rows: Span
    columns: Span

    def view_padded(self, whole: Tensor) -> Tensor:
        """View what the layers see of ``whole`` (N, C, H, W)."""
        rows, columns = self.rows, self.columns
        return whole[:, :, rows.padded_start : rows.padded_stop, columns.padded_start : columns.padded_stop]

    def view_core(self, whole: Tensor, scale: int = 1) -> Tensor:
        """View the core in ``whole`` (N, C, H * scale, W * scale)."""
        rows, columns = self.rows, self.columns
        return whole[:, :, rows.start * scale : rows.stop * scale, columns.start * scale : columns.stop * scale]

    def crop_to_core(self, result: Tensor, scale: int = 1) -> Tensor:
        """Crop ``result``, computed from the padded region and ``scale`` times as large, to the core."""
        rows, columns = self.rows, self.columns
        top, left = (rows.start - rows.padded_start) * scale, (columns.start - columns.padded_start) * scale
        bottom, right = (rows.stop - rows.padded_start) * scale, (columns.stop - columns.padded_start) * scale
        return result[:, :, top:bottom, left:right]


@dataclass(frozen=True)
class PlacedFeatures:
    """Features (N, C, h, w) whose first row and column are ``top`` and ``left`` of the whole."""

    features: Tensor
    top: int
    left: int


@dataclass(frozen=True)
class Surroundings:
    """The rows and columns of a whole that a layer reads for its output; those outside the whole are zero, as padding is."""

    rows: range
    columns: range
    height: int
    width: int
    """Of the whole."""

    @classmethod
    def of_patch(cls, patch: Patch, margin: int, height: int, width: int) -> "Surroundings":
        """Return the core of ``patch`` with ``margin`` on each side, but one row or column at most outside the whole."""
        rows, columns = (
            range(max(span.start - margin, -1), min(span.stop + margin, length + 1))
            for span, length in ((patch.rows, height), (patch.columns, width))
        )
        return cls(rows, columns, height, width)

    def collect(self, parts: Sequence[PlacedFeatures], dtype: torch.dtype) -> Tensor:
        """Return all channels of ``parts``, in order and in ``dtype``, in memory of their own."""
        rows, columns = self.rows, self.columns
        shape = (len(parts[0].features), sum(part.features.shape[1] for part in parts), len(rows), len(columns))
        result = torch.empty(shape, dtype=dtype, device=parts[0].features.device, memory_format=torch.channels_last)
        top, bottom = max(rows.start, 0), min(rows.stop, self.height)
        left, right = max(columns.start, 0), min(columns.stop, self.width)
        for outside in (result[:, :, : top - rows.start], result[:, :, bottom - rows.start :]):
            outside.zero_()
        for outside in (result[..., : left - columns.start], result[..., right - columns.start :]):
            outside.zero_()
        inside = result[:, :, top - rows.start : bottom - rows.start, left - columns.start : right - columns.start]
        first = 0
        for part in parts:
            channels = part.features.shape[1]
            seen = part.features[:, :, top - part.top : bottom - part.top, left - part.left : right - part.left]
            inside[:, first : first + channels].copy_(seen)
            first += channels
        return result


def split_into_patches(height: int, width: int, *, side: int, margin: int, threads: int = 1) -> list[Patch]:
    """Return patches of nearly the same size, of at most ``side`` pixels, that cover ``height`` x ``width`` once.

    Each is padded by ``margin`` on each side, but not beyond the border, where layers pad as before.
    """
    down, across = _choose_grid(height, width, side, margin, threads)
    columns = _make_spans(width, across, margin)
    return [Patch(rows, one) for rows in _make_spans(height, down, margin) for one in columns]


@lru_cache
def _choose_grid(height: int, width: int, side: int, margin: int, threads: int) -> tuple[int, int]:
    """Return the rows and columns of patches that end first when each of ``threads`` takes as many of them.

    None is cut for a thread alone that would be smaller than its margins.
    """
    downs, acrosses = (
        range(least := ceil(length / side), max(least, min(least + threads - 1, length // (4 * max(margin, 1)))) + 1)
        for length in (height, width)
    )

    def estimate_time(grid: tuple[int, int]) -> tuple[float, int]:
        rounds = ceil(grid[0] * grid[1] / threads)
        return rounds * (height / grid[0] + 2 * margin) * (width / grid[1] + 2 * margin), grid[1]

    return min(product(downs, acrosses), key=estimate_time)


def _make_spans(length: int, count: int, margin: int) -> list[Span]:
    bounds = [length * index // count for index in range(count + 1)]
    return [Span(first, end, max(first - margin, 0), min(end + margin, length)) for first, end in pairwise(bounds)]


Item = TypeVar("Item")


class SingleThreadWorkers:
    """As many threads as torch uses, each of which computes alone; they end with this object. Made once for a network, in 1 ms.

    torch divides every operation between its threads, which synchronize after it. Independent patches are divided instead: a
    thread's results stay in the cache of its core, threads do not wait for each other after every operation, and where another
    program takes a core the others continue. RRDB-23 on 640x480 in bf16 on two cores took 9.3 to 9.7 s, and 10.0 to 11.3 s with
    both threads on each patch.
    """

    def __init__(self) -> None:
        self.size = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(self.size, "upscale8k-worker") if self.size > 1 else None
        if self._pool is None:
            return
        barrier = Barrier(self.size)
        list(self._pool.map(_use_one_thread, [barrier] * self.size))
        # The number is per thread, but torch applies the last one set to threads that start later.
        torch.set_num_threads(self.size)

    def run_each(self, process: Callable[[Item], None], items: Iterable[Item]) -> None:
        """Call ``process`` for all ``items`` in any order; raise the first error after all have ended."""
        if self._pool is None:
            for item in items:
                process(item)
            return
        futures = [self._pool.submit(_run_in_inference_mode, process, item) for item in items]
        errors = [error for error in (one.exception() for one in futures) if error]
        if errors:
            raise errors[0]


def _use_one_thread(barrier: Barrier) -> None:
    barrier.wait()  # so that each thread runs this once
    torch.get_num_threads()  # the first call in a thread resets its number
    torch.set_num_threads(1)


def _run_in_inference_mode(process: Callable[[Item], None], item: Item) -> None:
    with torch.inference_mode():
        process(item)
