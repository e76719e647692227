"""The result of one frame after another in host memory, and small frames that run through the model together.

Of small frames each is one tile, and ``batch`` of them run at a time: the fixed cost of a network call is the same for one
frame as for four. An incomplete batch is filled up, because the last bit of a result can depend on the size of its batch, and
must not depend on where a run was interrupted. Measured with animevideov3 in fp32 on two busy cores, a 64x48 frame took 273 ms
of processor time alone and 69 ms in a batch of four, 128x96 took 339 and 171 ms, 256x144 took 580 and 364 ms.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import OutOfMemory
from ..images import to_floats
from ..media import Frame, Region, Samples, Size
from ..models import UpscaleModel
from ..progress import Progress
from .backends.base import Backend, OnProgress, no_progress
from .color_fix import ColorFixResult
from .finishing.finish_frame import Finish, finish_frame
from .target_size import ScalePlan
from .tile_loop import upscale_image
from .tiles import Tiling, plan_tiles

Pixels = NDArray[np.float32]


class HostResult:
    """The result of one frame after another; a tile that is not computed keeps what it was."""

    def __init__(self, model: UpscaleModel, backend: Backend, plan: ScalePlan, *, linear: bool, channels: int = 3) -> None:
        self._model, self._plan, self._linear = model, plan, linear
        self._backend = FrameBatcher(backend)
        self._out = np.zeros((plan.final_size.height, plan.final_size.width, channels), np.uint16)
        self._shown = self._out

    def prepare(self, frame: Frame) -> Samples:
        """Return what ``run_ahead`` and ``upscale`` take."""
        return frame.pixels

    def run_ahead(self, images: Sequence[Samples], batch: int) -> None:
        """Run ``images`` (H, W, 3) in a batch of that size, for the next calls of ``upscale``."""
        self._backend.run_ahead([to_floats(pixels) for pixels in images], batch)

    def upscale(self, pixels: Samples, tiling: Tiling, progress: Progress, is_unchanged: Callable[[Region], bool]) -> Tiling:
        """Upscale (H, W, 3 or 4); return the tiling at the end as ``upscale_image`` does, and raise what it raises."""
        return upscale_image(
            pixels,
            self._model,
            self._backend,
            tiling,
            self._plan,
            out=self._out,
            progress=progress,
            linear=self._linear,
            is_unchanged=is_unchanged,
        )

    def finish(self, pixels: Samples, finish: Finish, *, measure: bool) -> ColorFixResult | None:
        """Let ``make_frame`` return a finished copy: reused tiles must stay as the model made them."""
        if self._shown is self._out:
            self._shown = np.empty_like(self._out)
        np.copyto(self._shown, self._out)
        return finish_frame(to_floats(pixels), self._shown, finish, measure=measure)

    def make_frame(self, source: Frame, *, is_repeat: bool = False) -> Frame:
        """Return the result at the time of ``source``."""
        return Frame(self._shown, source.pts, source.duration, source.time_base, is_repeat)


class FrameBatcher:
    """A backend that runs images ahead in one batch, and returns their results one by one in the same order."""

    def __init__(self, backend: Backend) -> None:
        self.warnings = backend.warnings
        self._backend = backend
        self.results: deque[Any] = deque()

    def run_ahead(self, images: Sequence[Any], batch: int) -> None:
        """Run ``images`` (H, W, C) of one size for the next calls of ``run``: filled up to ``batch``, halved if memory asks."""
        if images and batch > 1:
            with suppress(OutOfMemory):  # not even one fits, so the loop cuts each into tiles
                padded = [*images, *[images[-1]] * (batch - len(images))]
                self.results.extend(self._run_halving(padded)[: len(images)])

    def _run_halving(self, images: Sequence[Any]) -> list[Any]:
        try:
            return self.run_batch(images)
        except OutOfMemory:
            if len(images) == 1:
                raise
            half = len(images) // 2
            return [*self._run_halving(images[:half]), *self._run_halving(images[half:])]

    def run_batch(self, images: Sequence[Any]) -> list[Any]:
        upscaled = self._backend.run(np.stack(images))
        return [upscaled[index : index + 1] for index in range(len(upscaled))]

    def run(self, batch: Pixels, on_progress: OnProgress = no_progress) -> Pixels:
        return self.results.popleft() if self.results else self._backend.run(batch, on_progress)

    def close(self) -> None:
        self.results.clear()


def choose_frame_batch(size: Size, tiling: Tiling, scale_plan: ScalePlan) -> int:
    """How many frames of ``size`` run through the model at once: 1 unless each is a single tile of a single pass."""
    return tiling.batch if scale_plan.passes == 1 and len(plan_tiles(size, tiling)) == 1 else 1


def group_new_frames(frames: Iterable[Frame], count: int) -> Iterator[list[tuple[Frame, bool]]]:
    """Yield the frames in groups of ``count`` whose pixels differ from those before, and whether each does.

    The frames own their pixels. Repeated ones are no work and do not fill a group, but end it after 16 times ``count`` frames.
    """
    group: list[tuple[Frame, bool]] = []
    previous: Frame | None = None
    for frame in frames:
        is_new = previous is None or not previous.is_same(frame)
        own = frame.keep() if is_new else frame.keep(previous)
        previous = own
        group.append((own, is_new))
        if count == 1 or sum(new for _, new in group) == count or len(group) == 16 * count:
            yield group
            group = []
    if group:
        yield group


def prepare_groups(
    groups: Iterable[list[tuple[Frame, bool]]], prepare: Callable[[Frame], Any], *, ahead: bool
) -> Iterator[list[tuple[Frame, Any]]]:
    """Yield each group with what ``prepare`` returns for its new frames, None for repeated ones.

    With ``ahead`` a group is yielded after the next one was prepared, whose upload then runs beside the work on this one.
    """
    waiting: list[tuple[Frame, Any]] | None = None
    try:
        for group in groups:
            prepared = [(frame, prepare(frame) if is_new else None) for frame, is_new in group]
            if waiting is not None:
                yield waiting
            waiting = prepared if ahead else None
            if not ahead:
                yield prepared
    except Exception:
        if waiting is not None:  # frames before a damaged one are not lost
            yield waiting
        raise
    if waiting is not None:
        yield waiting
