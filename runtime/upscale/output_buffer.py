"""Writes finished tiles into the final buffer, directly or through one exact reduction, and blends them with their neighbours.

A buffer receives tiles in row order and each finished row. It never holds a second whole image: the reducing buffer keeps one
row of upscaled tiles, reduces it a strip at a time, and keeps only the narrowed rows that are still needed.
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..images import iter_strips, to_integers
from ..media import Region, Size, linear_to_srgb, srgb_to_linear
from .lanczos import compute_lanczos_taps, reduce_width, sum_weighted_rows
from .target_size import ScalePlan
from .tiles import Tile, Tiling

Pixels = NDArray[np.float32]
OutputPixels = NDArray[Any]
"""(h, w, C): float32 in 0..1, or uint16 over its whole range."""


_SAMPLES_AT_ONCE = 1 << 16
"""Samples that are rounded at a time, so that intermediate values stay in the cache, which more than halves the time."""


class OutputBuffer(Protocol):
    """Receives the upscaled pixels of an image once, in tiles, from the top down."""

    def put(self, region: Region, pixels: Pixels, weights: Pixels | None = None) -> None:
        """Write ``pixels`` (region.height, region.width, C) to ``region`` of the upscaled image.

        With ``weights`` (region.height, region.width, 1) they are added instead: a cross-fade whose weights sum to one.
        """
        ...

    def finish_rows(self, bottom: int) -> None:
        """Declare the rows above ``bottom`` of the upscaled image final."""
        ...


class DirectBuffer:
    """The upscaled image is the result: each tile is written once, rows are clipped to 0..1 when they are finished.

    A uint16 ``out`` gets rounded values and supports no weights, because sums must be float.
    """

    def __init__(self, out: OutputPixels) -> None:
        self._out = out
        self._finished_rows = 0

    def put(self, region: Region, pixels: Pixels, weights: Pixels | None = None) -> None:
        destination = self._out[region.rows, region.columns]
        if destination.dtype == np.float32:
            _write_or_add(destination, pixels, weights)
        else:
            _write_rounded(destination, pixels)

    def finish_rows(self, bottom: int) -> None:
        rows = self._out[self._finished_rows : bottom]
        if rows.dtype == np.float32:
            np.clip(rows, 0.0, 1.0, out=rows)
        self._finished_rows = bottom


class ReducingBuffer:
    """Reduces upscaled rows to the final size when they are finished: Lanczos-3, antialiased, in float32, clipped to 0..1.

    ``linear`` reduces in linear light (by the sRGB transfer function, IEC 61966-2-1), as optics would; otherwise in encoded
    values, as most tools do. A fourth channel is coverage, which is already linear. A uint16 ``out`` gets rounded values.
    """

    def __init__(self, source: Size, out: OutputPixels, *, linear: bool = False) -> None:
        height, self._width = out.shape[:2]
        self._out = out
        self._linear = linear
        self._taps = compute_lanczos_taps(source.height, height)
        self._finished_rows = 0  # output rows that are finished
        self._raw: Pixels = np.zeros((0, source.width, out.shape[2]), np.float32)
        self._raw_top = 0
        self._narrowed: Pixels = np.zeros((0, self._width, out.shape[2]), np.float32)
        self._narrowed_top = 0

    def put(self, region: Region, pixels: Pixels, weights: Pixels | None = None) -> None:
        rows = region.bottom - self._raw_top
        if rows > len(self._raw):
            raw = np.zeros((rows, *self._raw.shape[1:]), np.float32)
            raw[: len(self._raw)] = self._raw
            self._raw = raw
        _write_or_add(self._raw[region.y - self._raw_top : rows, region.columns], pixels, weights)

    def finish_rows(self, bottom: int) -> None:
        finished = self._raw[: bottom - self._raw_top]
        for rows in iter_strips(finished.shape):
            self._reduce(finished[rows])
        self._raw = self._raw[len(finished) :].copy()
        self._raw_top = bottom

    def _reduce(self, rows: Pixels) -> None:
        """Add the next upscaled rows, and write every row of the result that they complete."""
        self._narrowed = np.concatenate([self._narrowed, self._narrow_rows(rows)])
        bottom = self._narrowed_top + len(self._narrowed)
        complete = [taps for taps in self._taps[self._finished_rows :] if taps.stop <= bottom]
        reduced: Pixels = np.empty((len(complete), *self._narrowed.shape[1:]), np.float32)
        for taps, row in zip(complete, reduced, strict=True):
            sum_weighted_rows(self._narrowed, self._narrowed_top, taps, row)
        encode_rows(reduced, linear=self._linear)
        self._write(reduced)
        self._drop_unneeded_rows()

    def _write(self, rows: Pixels) -> None:
        """Write the next rows of the result."""
        _write_rounded(self._out[self._finished_rows : self._finished_rows + len(rows)], rows)
        self._finished_rows += len(rows)

    def _narrow_rows(self, rows: Pixels) -> Pixels:
        np.clip(rows, 0.0, 1.0, out=rows)
        if self._linear:
            rows[:, :, :3] = srgb_to_linear(rows[:, :, :3])
        return reduce_width(rows, self._width)

    def _drop_unneeded_rows(self) -> None:
        if self._finished_rows < len(self._taps):
            top = max(self._taps[self._finished_rows].start, self._narrowed_top)
            self._narrowed = self._narrowed[top - self._narrowed_top :].copy()
            self._narrowed_top = top


class BandBuffer(ReducingBuffer):
    """Reduces some upscaled ``rows`` alone, or only clips them where nothing is reduced.

    ``write`` gets the number of the first and the pixels of finished rows, which need no row beyond this band. ``head`` and
    ``tail`` are what rows across its ends need: its first and last rows, narrowed, the latter from ``tail_top`` on.
    """

    def __init__(
        self, plan: ScalePlan, channels: int, rows: range, write: Callable[[int, Pixels], object], *, linear: bool
    ) -> None:
        size = plan.final_size
        super().__init__(plan.model_size, np.broadcast_to(np.float32(0), (size.height, size.width, channels)), linear=linear)
        self._is_direct = size == plan.model_size
        self._write_rows = write
        self._top = self._raw_top = self._narrowed_top = rows.start
        if self._is_direct:
            self._finished_rows = rows.start
        else:
            self._finished_rows = sum(taps.start < rows.start for taps in self._taps)
        self._head_bottom = self._taps[self._finished_rows - 1].stop if rows.start and not self._is_direct else rows.start
        self.head: Pixels = self._narrowed

    @property
    def tail(self) -> Pixels:
        return self._narrowed[: len(self._narrowed) if self._finished_rows < len(self._taps) else 0]

    @property
    def tail_top(self) -> int:
        return self._narrowed_top

    def _reduce(self, rows: Pixels) -> None:
        if self._is_direct:
            np.clip(rows, 0.0, 1.0, out=rows)
            self._write(rows)
        else:
            super()._reduce(rows)

    def _write(self, rows: Pixels) -> None:
        if len(rows):
            self._write_rows(self._finished_rows, rows)
        self._finished_rows += len(rows)

    def _drop_unneeded_rows(self) -> None:
        missing = self._head_bottom - self._top - len(self.head)
        if missing > 0:
            if len(self._narrowed) < self._head_bottom - self._top:
                return
            self.head = self._narrowed[: self._head_bottom - self._top].copy()
        super()._drop_unneeded_rows()


def encode_rows(rows: Pixels, *, linear: bool) -> None:
    """Clip reduced rows to 0..1 and, from ``linear`` light, give color its transfer function, in place."""
    np.clip(rows, 0.0, 1.0, out=rows)
    if linear:
        rows[:, :, :3] = linear_to_srgb(rows[:, :, :3])


def reduce_image(pixels: Pixels, out: OutputPixels, *, linear: bool = False) -> None:
    """Reduce ``pixels`` (H, W, C) in 0..1 to the size of ``out`` (h, w, C), a strip of rows at a time, or copy them."""
    height, width = pixels.shape[:2]
    if pixels.shape == out.shape:
        _write_rounded(out, pixels)
        return
    buffer = ReducingBuffer(Size(width, height), out, linear=linear)
    for rows in iter_strips(pixels.shape):
        buffer.put(Region(0, rows.start, width, rows.stop - rows.start), pixels[rows])
        buffer.finish_rows(rows.stop)


def _write_rounded(destination: OutputPixels, values: Pixels) -> None:
    """Write values in 0..1 unchanged to float32, rounded to uint16."""
    if destination.dtype == np.float32:
        destination[:] = values
        return
    step = max(1, _SAMPLES_AT_ONCE // (values.shape[1] * values.shape[2]))
    for top in range(0, len(values), step):
        destination[top : top + step] = to_integers(values[top : top + step], 16)


def _write_or_add(destination: Pixels, pixels: Pixels, weights: Pixels | None) -> None:
    if weights is None:
        destination[:] = pixels
    else:
        destination += pixels * weights


def blend(buffer: OutputBuffer, tile: Tile, upscaled: Pixels, tiling: Tiling, size: Size, scale: int) -> None:
    """Write the part of ``upscaled`` (the result for ``tile.padded``) that belongs to ``tile``."""
    blend_width = tiling.blend_width
    written = _extend_region(tile.core, blend_width, size)
    source_region = written.relative_to(tile.padded) * scale
    pixels = upscaled[source_region.rows, source_region.columns]
    weights = _make_blend_weights(tile.core, written, blend_width, size, scale) if blend_width else None
    buffer.put(written * scale, pixels, weights)


def _extend_region(core: Region, margin: int, size: Size) -> Region:
    x, y = max(core.x - margin, 0), max(core.y - margin, 0)
    return Region(x, y, min(core.right + margin, size.width) - x, min(core.bottom + margin, size.height) - y)


def _make_blend_weights(core: Region, written: Region, blend_width: int, size: Size, scale: int) -> Pixels:
    across = _make_ramp(written.width, core.x > 0, core.right < size.width, blend_width, scale)
    down = _make_ramp(written.height, core.y > 0, core.bottom < size.height, blend_width, scale)
    return (down[:, None] * across[None, :])[:, :, None]


def _make_ramp(length: int, starts_at_cut: bool, ends_at_cut: bool, blend_width: int, scale: int) -> Pixels:
    """1 inside, and half a period of a raised cosine over the ``2 * blend_width`` pixels around a cut; two ramps sum to one."""
    ramp = np.ones(length * scale, np.float32)
    wave = (0.5 - 0.5 * np.cos(np.pi * (np.arange(2 * blend_width * scale) + 0.5) / (2 * blend_width * scale))).astype(
        np.float32
    )
    if starts_at_cut:
        ramp[: len(wave)] = wave
    if ends_at_cut:
        ramp[-len(wave) :] = 1 - wave
    return ramp
