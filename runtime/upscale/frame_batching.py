"""Small frames of a film through the model together: what ``batch`` means where a whole frame is one tile.

Starting a network costs the same for one frame as for four: measured with animevideov3 in fp32 on two cores that others used as
well, a 64x48 frame took 273 ms of processor time alone and 69 ms in a batch of four, 128x96 took 339 and 171 ms, 256x144 took
580 and 364 ms. Larger frames are several tiles, of which ``batch`` neighbours of one size go together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import OutOfMemory
from ..media.geometry import Size
from ..media.video_stream import Frame
from .backends.base import Backend, OnProgress, no_progress
from .target_size import ScalePlan
from .tiles import Tiling, plan_tiles

Pixels = NDArray[np.float32]


def choose_frame_batch(size: Size, tiling: Tiling, scale_plan: ScalePlan) -> int:
    """How many frames of ``size`` go through the model at once: 1 unless each is a single tile of a single pass."""
    return tiling.batch if scale_plan.passes == 1 and len(plan_tiles(size, tiling)) == 1 else 1


def batched(frames: Iterable[Frame], count: int) -> Iterator[list[Frame]]:
    """``count`` frames at a time, the last ones fewer; they are copies, because frames are lent one at a time."""
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
    """A backend that was shown some pictures before, and gives out their results one by one, in that order."""

    def __init__(self, backend: Backend) -> None:
        self.warnings = backend.warnings
        self._backend = backend
        self._results: deque[Pixels] = deque()

    def run_ahead(self, images: Sequence[Pixels]) -> None:
        """Run ``pictures`` (H, W, C) of one size in as few batches as memory allows; the next ``run`` calls are about them."""
        if len(images) > 1:
            with suppress(OutOfMemory):  # not even one fits: the loop cuts each into tiles
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
