"""Runs small frames of a video through the model together: what ``batch`` means where a whole frame is one tile.

The fixed cost of a network call is the same for one frame as for four: measured with animevideov3 in fp32 on two busy cores, a
64x48 frame took 273 ms of processor time alone and 69 ms in a batch of four, 128x96 took 339 and 171 ms, 256x144 took 580 and
364 ms. Larger frames are several tiles, of which ``batch`` neighbours of one size run together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import OutOfMemory
from ..media import Frame, Size
from .backends.base import Backend, OnProgress, no_progress
from .target_size import ScalePlan
from .tiles import Tiling, plan_tiles

Pixels = NDArray[np.float32]


def choose_frame_batch(size: Size, tiling: Tiling, scale_plan: ScalePlan) -> int:
    """How many frames of ``size`` run through the model at once: 1 unless each is a single tile of a single pass."""
    return tiling.batch if scale_plan.passes == 1 and len(plan_tiles(size, tiling)) == 1 else 1


def batched(frames: Iterable[Frame], count: int) -> Iterator[list[Frame]]:
    """Yield ``count`` frames at a time, fewer at the end; copies, because a frame is valid only until the next one is read."""
    if count == 1:
        yield from ([frame] for frame in frames)
        return
    group: list[Frame] = []
    for frame in frames:
        group.append(replace(frame, pixels=frame.pixels.copy()))
        if len(group) == count:
            yield group
            group = []
    if group:
        yield group


class FrameBatcher:
    """A backend that runs images ahead in one batch, and returns their results one by one in the same order."""

    def __init__(self, backend: Backend) -> None:
        self.warnings = backend.warnings
        self._backend = backend
        self._results: deque[Pixels] = deque()

    def run_ahead(self, images: Sequence[Pixels]) -> None:
        """Run ``images`` (H, W, C) of one size in as few batches as memory allows, for the next calls of ``run``."""
        if len(images) > 1:
            with suppress(OutOfMemory):  # not even one fits, so the loop cuts each into tiles
                self._results.extend(self._run_halving(images))

    def _run_halving(self, images: Sequence[Pixels]) -> list[Pixels]:
        try:
            upscaled = self._backend.run(np.stack(images))
        except OutOfMemory:
            if len(images) == 1:
                raise
            half = len(images) // 2
            return [*self._run_halving(images[:half]), *self._run_halving(images[half:])]
        return [upscaled[index : index + 1] for index in range(len(upscaled))]

    def run(self, batch: Pixels, on_progress: OnProgress = no_progress) -> Pixels:
        return self._results.popleft() if self._results else self._backend.run(batch, on_progress)

    def close(self) -> None:
        self._results.clear()
