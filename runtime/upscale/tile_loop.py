"""The loop that runs an image through a model in tiles, into one buffer of the requested size."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import dropwhile
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import OutOfMemory, UnsupportedModel
from ..images import clamp_to_neighbours, fill_transparent_pixels, to_floats, to_integers
from ..media import Region, Size
from ..models import UpscaleModel
from ..progress import Progress
from .backends.base import Backend
from .output_buffer import DirectBuffer, OutputBuffer, OutputPixels, ReducingBuffer, blend, reduce_image
from .target_size import ScalePlan
from .tiles import Tile, Tiling, batch_tiles, iterate_tile_rows, split_region

Pixels = NDArray[np.float32]
SourcePixels = Pixels | NDArray[np.uint8] | NDArray[np.uint16]
"""Float in 0..1, or the whole range of an integer type; integers are converted tile by tile, never as a whole image."""


def total_pixels(size: Size, channels: int, plan: ScalePlan, scale: int) -> int:
    """How many pixels the model sees over all passes of ``plan``: the sum of all steps of ``Progress.advance``.

    An image that is only copied or reduced counts once.
    """
    runs_per_pass = 2 if channels in (2, 4) else 1
    return runs_per_pass * sum((size * scale**done).pixel_count for done in range(max(plan.passes, 1)))


def upscale_image(
    pixels: SourcePixels,
    model: UpscaleModel,
    backend: Backend,
    tiling: Tiling,
    plan: ScalePlan,
    *,
    out: OutputPixels,
    progress: Progress,
    linear: bool = False,
    is_unchanged: Callable[[Region], bool] = lambda _: False,
) -> Tiling:
    """Upscale ``pixels`` (H, W, C) into ``out`` (h, w, C), whose size is ``plan.final_size``.

    C is one of 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA. Grey stays grey. Alpha is straight coverage: the color under
    transparent pixels is first filled in from its surroundings, so that nothing bleeds over an edge, and alpha runs through the
    model separately where it is not constant. ``linear`` makes the final reduction in linear light. ``out`` is float32 in 0..1,
    or uint16. A tile whose padded region ``is_unchanged`` keeps what is in ``out``; that is valid
    only for one pass without a reduction or a cross-fade.

    Returns the tiling at the end: ``tiling``, or the smaller one that fitted after a lack of memory, for the next frame.

    Raises ``UnsupportedModel`` for a model that is not RGB to RGB, ``OutOfMemory`` when not even the smallest tile fits.
    """
    if model.input_channels != 3 or model.output_channels != 3:
        raise UnsupportedModel(
            f"This model takes {model.input_channels} and gives {model.output_channels} channels, not 3 and 3.",
            "Choose a model for RGB images.",
        )
    height, width, channels = pixels.shape
    if plan.passes == 0 and plan.final_size != plan.model_size:
        progress.message(
            f"The source ({width}x{height}) is larger than the target: it is reduced to {plan.final_size}, not upscaled."
        )
    tile_loop = TileLoop(model.scale, backend, tiling, linear, progress, is_unchanged)
    colors = 1 if channels in (1, 2) else 3
    if channels == colors:
        tile_loop.run_passes(pixels, plan, out)
    else:
        _upscale_with_alpha(_convert_to_floats(pixels), tile_loop, plan, out)
    return tile_loop.tiling


def _upscale_with_alpha(pixels: Pixels, tile_loop: TileLoop, plan: ScalePlan, out: OutputPixels) -> None:
    alpha = np.ascontiguousarray(pixels[:, :, -1:])
    tile_loop.run_passes(fill_transparent_pixels(pixels), plan, out[:, :, :-1])
    tile_loop.run_passes(alpha, plan, out[:, :, -1:], copy_flat_tiles=True)
    limits = alpha[:, :, 0] if out.dtype == np.float32 else cast("Any", to_integers(alpha[:, :, 0], 16))
    clamp_to_neighbours(out[:, :, -1], limits)


@dataclass
class TileLoop:
    """The loop over images in host memory; a subclass holds them elsewhere. ``pixels`` and ``out`` are arrays of that place."""

    scale: int
    backend: Backend
    tiling: Tiling
    linear: bool
    progress: Progress
    is_unchanged: Callable[[Region], bool]
    finished_pixels: int = field(default=0, init=False)
    """Of all finished tiles."""
    reported_pixels: int = field(default=0, init=False)
    """What ``progress`` received; a tile that ran out of memory halfway is not counted twice."""

    def run_passes(self, pixels: Any, plan: ScalePlan, out: Any, *, copy_flat_tiles: bool = False) -> None:
        """Run all passes over one image of 1 or 3 channels, into ``out``."""
        linear = self.linear and not copy_flat_tiles  # coverage is already linear
        if plan.passes == 0:
            reduce_image(_convert_to_floats(pixels), out, linear=linear)
            self.progress.advance(plan.model_size.pixel_count)
            return
        for _ in range(plan.passes - 1):
            pass_output = self.make_pass_output(pixels)
            self._run_pass(pixels, self.make_buffer(plan.model_size, pass_output, is_direct=True), copy_flat_tiles)
            pixels = pass_output
        is_direct = plan.final_size == plan.model_size and (out.dtype == np.float32 or not self.tiling.blend_width)
        self._run_pass(pixels, self.make_buffer(plan.model_size, out, is_direct=is_direct, linear=linear), copy_flat_tiles)

    def make_pass_output(self, pixels: Any) -> Any:
        """Return float32 zeros for ``pixels`` upscaled once."""
        height, width, channels = pixels.shape
        return np.zeros((height * self.scale, width * self.scale, channels), np.float32)

    def make_buffer(self, size: Size, out: Any, *, is_direct: bool, linear: bool = False) -> OutputBuffer:
        """Return the way of an upscaled image of ``size`` into ``out``, which has that size if it ``is_direct``."""
        return DirectBuffer(out) if is_direct else ReducingBuffer(size, out, linear=linear)

    def run_band(self, pixels: Any, rows: range, buffer: OutputBuffer) -> None:
        """Run some of the tile rows of ``iterate_tile_rows``, those of the source rows ``rows``, in the only pass."""
        self._run_pass(pixels, buffer, copy_flat_tiles=False, rows=rows)

    def _run_pass(self, pixels: Any, buffer: OutputBuffer, copy_flat_tiles: bool, rows: range | None = None) -> None:
        height, width = pixels.shape[:2]
        rows = rows or range(height)
        size, top, stop = Size(width, height), rows.start, rows.stop
        whole = iterate_tile_rows(size, self.tiling, 0)
        tiling, remaining_rows = self.tiling, dropwhile(lambda row: row[0].core.y < rows.start, whole)
        while top < stop:
            if tiling is not self.tiling:
                tiling, remaining_rows = self.tiling, iterate_tile_rows(size, self.tiling, top, stop)
            row = next(remaining_rows)
            bottom = row[0].core.bottom
            pending = tuple(tile for tile in row if not self.is_unchanged(tile.padded))
            while pending:
                group = next(batch_tiles(pending, self.tiling.batch))
                try:
                    self._upscale_and_write(pixels, group, buffer, copy_flat_tiles)
                except OutOfMemory:
                    smaller = self.tiling.shrink()
                    if smaller is None:
                        raise
                    self._use_smaller_tiling(smaller)
                    # Finished tiles stay; the rest of this row is cut smaller, later rows are planned again.
                    pending = tuple(piece for tile in pending for piece in split_region(tile.core, size, self.tiling))
                    continue
                self.finished_pixels += _count_pixels(group)
                self._report_progress(self.finished_pixels)
                pending = pending[len(group) :]
            buffer.finish_rows((bottom - self.tiling.blend_width if bottom < height else height) * self.scale)
            top = bottom

    def _report_progress(self, done: int) -> None:
        newly_done, self.reported_pixels = max(done - self.reported_pixels, 0), max(done, self.reported_pixels)
        self.progress.advance(newly_done)

    def _upscale_and_write(self, pixels: Any, group: tuple[Tile, ...], buffer: OutputBuffer, copy_flat_tiles: bool) -> None:
        """Run one batch, whose results are freed before the next one."""
        size = Size(pixels.shape[1], pixels.shape[0])
        for tile, upscaled in zip(group, self.upscale_tiles(pixels, group, copy_flat_tiles), strict=True):
            blend(buffer, tile, upscaled, self.tiling, size, self.scale)

    def _use_smaller_tiling(self, smaller: Tiling) -> None:
        self.progress.message(
            f"Out of memory with {self.tiling.batch} x {self.tiling.tile} px tiles; "
            f"continuing with {smaller.batch} x {smaller.tile} px."
        )
        self.tiling = smaller

    def upscale_tiles(self, pixels: Any, group: tuple[Tile, ...], copy_flat_tiles: bool) -> Iterable[Any]:
        """Yield the upscaled padded regions of ``group``, each (h, w, C)."""
        padded_tiles = [_convert_to_floats(pixels[tile.padded.rows, tile.padded.columns]) for tile in group]
        if copy_flat_tiles and all(tile.min() == tile.max() for tile in padded_tiles):
            return [tile.repeat(self.scale, 0).repeat(self.scale, 1) for tile in padded_tiles]
        grey = pixels.shape[2] == 1
        batch = np.stack([np.broadcast_to(tile, (*tile.shape[:2], 3)) if grey else tile for tile in padded_tiles])
        upscaled = self.backend.run(
            batch, lambda fraction: self._report_progress(self.finished_pixels + int(fraction * _count_pixels(group)))
        )
        self.show_warnings()
        return upscaled.mean(axis=3, keepdims=True) if grey else upscaled

    def show_warnings(self) -> None:
        for warning in self.backend.warnings:
            self.progress.message(warning)
        self.backend.warnings.clear()


def _count_pixels(group: tuple[Tile, ...]) -> int:
    return sum(tile.core.size.pixel_count for tile in group)


def _convert_to_floats(pixels: SourcePixels) -> Pixels:
    return to_floats(pixels) if pixels.dtype.kind == "u" else cast("Pixels", pixels)
