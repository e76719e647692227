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
from ..frames.geometry import Size
from ..frames.stream import Frame
from .backends import Backend, Part, untold
from .target import Route
from .tiles import Tiling, plan

Pixels = NDArray[np.float32]


def frames_together(size: Size, tiling: Tiling, steps: Route) -> int:
    """How many frames of ``size`` go through the model at once: 1 unless each is a single tile of a single pass."""
    return tiling.batch if steps.passes == 1 and len(plan(size, tiling)) == 1 else 1


def grouped(frames: Iterable[Frame], count: int) -> Iterator[list[Frame]]:
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


class Together:
    """A backend that was shown some pictures before, and gives out their results one by one, in that order."""

    def __init__(self, backend: Backend) -> None:
        self.warnings = backend.warnings
        self._backend = backend
        self._ready: deque[Pixels] = deque()

    def show(self, pictures: Sequence[Pixels]) -> None:
        """Run ``pictures`` (H, W, C) of one size in as few batches as memory allows; the next ``run`` calls are about them."""
        if len(pictures) > 1:
            with suppress(OutOfMemory):  # not even one fits: the loop cuts each into tiles
                self._ready.extend(self._upscaled(pictures))

    def _upscaled(self, pictures: Sequence[Pixels]) -> list[Pixels]:
        try:
            made = self._backend.run(np.stack(pictures))
        except OutOfMemory:
            if len(pictures) == 1:
                raise
            half = len(pictures) // 2
            return [*self._upscaled(pictures[:half]), *self._upscaled(pictures[half:])]
        return [made[index : index + 1] for index in range(len(made))]

    def run(self, batch: Pixels, part: Part = untold) -> Pixels:
        return self._ready.popleft() if self._ready else self._backend.run(batch, part)

    def close(self) -> None:
        self._ready.clear()
