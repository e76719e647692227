"""Upscales a video frame by frame: takes and returns a ``VideoStream``, with one result buffer for all frames.

Nothing is computed twice: a frame whose pixels equal the previous ones is repeated, and of any other frame only the tiles whose
padded pixels changed are computed, because the buffer still holds the rest. The numbers are the same, since a tile's result
depends on its padded pixels alone.

Small frames, of which each is one tile, run through the model together, ``batch`` at a time: the fixed cost of a network call
is the same for one frame as for four. Measured with animevideov3 in fp32 on two busy cores, a 64x48 frame took 273 ms of
processor time alone and 69 ms in a batch of four, 128x96 took 339 and 171 ms, 256x144 took 580 and 364 ms.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..errors import OutOfMemory
from ..images import to_floats
from ..media import Frame, Region, Samples, Size, VideoStream
from ..models import Descriptor, UpscaleModel, hash_weights
from ..progress import ForwardedProgress, Progress
from .backends.base import AUTO, REFERENCE_BACKEND, Backend, OnProgress, no_progress
from .color_fix import fix_and_measure_colors, fix_colors
from .memory import FreeMemory
from .resolved_settings import (
    ResolvedSettings,
    TiledUpscaleSettings,
    find_engine_info,
    list_auto_alternatives,
    open_resolved_backend,
    resolve_settings,
    resolve_tiling,
)
from .target_size import ScalePlan, plan_scale
from .tile_loop import total_pixels, upscale_image
from .tiles import Tiling, plan_tiles


@dataclass
class ReuseStats:
    """How much of a video was reused instead of computed."""

    frames: int = 0
    repeated_frames: int = 0
    pixels: int = 0
    computed_pixels: int = 0

    def __str__(self) -> str:
        saved = 1 - self.computed_pixels / self.pixels if self.pixels else 0.0
        return f"{self.repeated_frames} of {self.frames} frames repeated the one before; {saved:.0%} of the work was reused."


def upscale_video(
    stream: VideoStream,
    descriptor: Descriptor,
    settings: TiledUpscaleSettings,
    progress: Progress,
    free_memory: FreeMemory | None = None,
) -> VideoStream:
    """Return ``stream`` at the size of ``settings.target``, with frames of uint16 whatever the source has.

    Nothing is computed until the result is opened. ``progress`` gets messages and many calls of ``check_cancelled`` a frame; it
    is not advanced. Its variants are what ``auto`` was elsewhere or earlier, with which a video may have been begun. Raises what
    ``plan_scale``, ``UpscaleModel.from_descriptor`` and ``resolve_settings`` raise.
    """
    model = UpscaleModel.from_descriptor(descriptor)
    plan = plan_scale(stream.info.size, model.scale, settings.target)
    resolved = resolve_settings(model, settings, free_memory)

    def describe(chosen: ResolvedSettings) -> str:
        return f"{stream.info.identity} | {_describe_identity(model, settings, chosen, plan)}"

    def make_stream(chosen: ResolvedSettings) -> VideoStream:
        def open_frames(first: int = 0) -> Iterator[Frame]:
            return _generate_frames(stream, first, model, settings, chosen, plan, progress, free_memory)

        info = replace(stream.info, size=plan.final_size, identity=describe(chosen))
        return VideoStream(info, open_frames, open_frames)

    others = list_auto_alternatives(model, settings, resolved)
    return replace(make_stream(resolved), variants={describe(other): partial(make_stream, other) for other in others})


def _generate_frames(
    stream: VideoStream,
    first: int,
    model: UpscaleModel,
    settings: TiledUpscaleSettings,
    resolved: ResolvedSettings,
    plan: ScalePlan,
    progress: Progress,
    free_memory: FreeMemory | None,
) -> Generator[Frame]:
    tiling = resolved.tiling if resolved.device.type == "cpu" else resolve_tiling(model, settings, resolved, free_memory)
    reuse_stats = ReuseStats()
    result = np.zeros((plan.final_size.height, plan.final_size.width, 3), np.uint16)
    # Reused tiles must stay as the model made them, so a corrected frame is a copy.
    corrected = result if settings.color_fix == "off" else np.zeros_like(result)
    previous: Samples | None = None
    # Only tiles that are written directly to the result can be reused, not those that were reduced or blended.
    can_reuse_tiles = plan.passes == 1 and plan.model_size == plan.final_size and tiling.blend_width == 0
    with (
        open_resolved_backend(model, resolved) as (backend, trim_memory),
        stream.frames(first) as source,
    ):
        batcher = FrameBatcher(backend)
        for group in batched(source, choose_frame_batch(stream.info.size, tiling, plan)):
            is_new = _find_new_frames(group, previous)
            batch_images = [frame.pixels for frame, new in zip(group, is_new, strict=True) if new and len(group) > 1]
            batcher.run_ahead([to_floats(pixels) for pixels in batch_images])
            for frame, new in zip(group, is_new, strict=True):
                reuse_stats.frames += 1
                reuse_stats.pixels += total_pixels(stream.info.size, 3, plan, model.scale)
                reuse_stats.repeated_frames += not new
                if new:
                    changed = ChangedTiles(progress, previous if can_reuse_tiles else None, frame.pixels, reuse_stats)
                    tiling = upscale_image(  # a smaller one stays: not every frame runs out of memory again
                        frame.pixels,
                        model,
                        batcher,
                        tiling,
                        plan,
                        out=result,
                        progress=changed,
                        linear=settings.linear,
                        is_unchanged=changed.is_unchanged,
                    )
                    if corrected is not result:
                        np.copyto(corrected, result)
                        _fix_colors(frame, corrected, settings, progress if previous is None else None)
                    previous = frame.pixels.copy()
                    trim_memory()
                yield Frame(corrected, frame.pts, frame.duration, frame.time_base, not new)
    if reuse_stats.computed_pixels < reuse_stats.pixels:
        progress.message(str(reuse_stats))


def _fix_colors(frame: Frame, out: Samples, settings: TiledUpscaleSettings, progress: Progress | None) -> None:
    """Correct ``out``; ``progress`` gets the measured drift, once a video, because measuring takes a third as long."""
    source = to_floats(frame.pixels)
    if progress is None:
        fix_colors(source, out, settings.color_fix)
    elif fix := fix_and_measure_colors(source, out, settings.color_fix):
        progress.message(f"{fix} Measured on the first frame.")


def _find_new_frames(group: list[Frame], previous: Samples | None) -> list[bool]:
    """Whether each frame differs from the previous one."""
    before = [previous, *(frame.pixels for frame in group[:-1])]
    return [pixels is None or not np.array_equal(pixels, frame.pixels) for pixels, frame in zip(before, group, strict=True)]


class ChangedTiles(ForwardedProgress):
    """Knows which tiles equal those of the previous frame, and counts the others."""

    def __init__(self, target: Progress, previous: Samples | None, current: Samples, reuse_stats: ReuseStats) -> None:
        super().__init__(target)
        self._previous, self._current, self._reuse_stats = previous, current, reuse_stats

    def advance(self, steps: int = 1) -> None:
        self.target.check_cancelled()
        self._reuse_stats.computed_pixels += steps

    def is_unchanged(self, padded: Region) -> bool:
        if self._previous is None:
            return False
        area = (padded.rows, padded.columns)
        return bool(np.array_equal(self._previous[area], self._current[area]))


def _describe_identity(model: UpscaleModel, settings: TiledUpscaleSettings, resolved: ResolvedSettings, plan: ScalePlan) -> str:
    """Everything that the pixels of the result depend on. Stored by interrupted videos, so its text must not change.

    The precision is the resolved one only where ``auto`` or torch was requested and no engine is attached. A tile that was
    chosen by the memory free at that moment is left out: it changes only the rounding of floats, and an interrupted run must go
    on where less memory is free.
    """
    is_selected = settings.backend in (AUTO, REFERENCE_BACKEND) and resolved.backend != "tensorrt"
    precision = resolved.precision if is_selected else settings.precision
    numbers = f"{hash_weights(model.descriptor)} {resolved.backend} {precision} {settings.linear}"
    fix = "" if settings.color_fix == "off" else f" colour fix {settings.color_fix}"
    cut = f"tile {settings.tile or 'auto'} halo {resolved.tiling.aligned_halo} {resolved.tiling.merge}"
    return f"upscale {plan.final_size} {numbers} {cut}{fix}{_describe_engine(model, resolved.backend)}"


def _describe_engine(model: UpscaleModel, backend: str) -> str:
    """What decides the pixels of a TensorRT engine. GPU and driver are left out: their rounding is that of any device."""
    info = find_engine_info(model) if backend == "tensorrt" else None
    if info is None:
        return ""
    fixed_size = f" only {info.most[1]}x{info.most[0]}" if info.least == info.most else ""
    return f" engine {info.weights} {info.precision}{fixed_size}"


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
