"""Where finished tiles go: straight into the final buffer, or through one exact reduction on their way there.

A canvas is told of tiles in row order and of each finished row of tiles. It never holds a whole picture beside the
final buffer: the reducing canvas keeps one row of upscaled tiles, reduces it a strip at a time, and keeps of the narrowed
rows those that are still needed.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..frames.geometry import Region, Size
from ..frames.transfer import linear_to_srgb, srgb_to_linear
from ..images.quantize import strips, to_integers
from .resample import lanczos_taps, reduce_width, weighted_rows

Pixels = NDArray[np.float32]
Result = NDArray[Any]
"""(h, w, C): float32 in 0..1, or uint16 over its whole range."""


_CACHED = 1 << 16
"""Samples that are rounded at a time: what is made of them on the way stays in the cache, which more than halves the time."""


class Canvas(Protocol):
    """Takes the upscaled pixels of a picture once, in tiles, from the top down."""

    def put(self, region: Region, pixels: Pixels, weights: Pixels | None = None) -> None:
        """``pixels`` (region.height, region.width, C) for ``region`` of the upscaled picture.

        With ``weights`` (region.height, region.width, 1) they are added up instead: a cross-fade whose weights sum to one.
        """
        ...

    def finish_rows(self, bottom: int) -> None:
        """Nothing above row ``bottom`` of the upscaled picture will be put again."""
        ...


class DirectCanvas:
    """The upscaled picture is the result: each tile is written once, rows are clipped to 0..1 as they are finished.

    An ``out`` of uint16 takes rounded values, and no weights: what is added up must be float.
    """

    def __init__(self, out: Result) -> None:
        self._out = out
        self._finished = 0

    def put(self, region: Region, pixels: Pixels, weights: Pixels | None = None) -> None:
        place = self._out[region.rows, region.columns]
        if place.dtype == np.float32:
            _put(place, pixels, weights)
        else:
            _store(place, pixels)

    def finish_rows(self, bottom: int) -> None:
        rows = self._out[self._finished : bottom]
        if rows.dtype == np.float32:
            np.clip(rows, 0.0, 1.0, out=rows)
        self._finished = bottom


class ReducingCanvas:
    """Reduces upscaled rows to the final size as they are finished: Lanczos-3, antialiased, in float32, clipped to 0..1.

    ``linear`` reduces in linear light (by the sRGB transfer function, IEC 61966-2-1), as optics would; otherwise in the
    encoded values, as most tools do. A fourth channel is coverage, which is linear as it is. An ``out`` of uint16 takes
    rounded values.
    """

    def __init__(self, source: Size, out: Result, *, linear: bool = False) -> None:
        height, self._width = out.shape[:2]
        self._out = out
        self._linear = linear
        self._taps = lanczos_taps(source.height, height)
        self._made = 0  # output rows that are finished
        self._raw: Pixels = np.zeros((0, source.width, out.shape[2]), np.float32)
        self._raw_top = 0
        self._narrow: Pixels = np.zeros((0, self._width, out.shape[2]), np.float32)
        self._narrow_top = 0

    def put(self, region: Region, pixels: Pixels, weights: Pixels | None = None) -> None:
        rows = region.bottom - self._raw_top
        if rows > len(self._raw):
            raw = np.zeros((rows, *self._raw.shape[1:]), np.float32)
            raw[: len(self._raw)] = self._raw
            self._raw = raw
        _put(self._raw[region.y - self._raw_top : rows, region.columns], pixels, weights)

    def finish_rows(self, bottom: int) -> None:
        finished = self._raw[: bottom - self._raw_top]
        for rows in strips(finished.shape):
            self._reduce(finished[rows])
        self._raw = self._raw[len(finished) :].copy()
        self._raw_top = bottom

    def _reduce(self, rows: Pixels) -> None:
        """Take the next upscaled rows, and make every row of the result that they complete."""
        self._narrow = np.concatenate([self._narrow, self._narrowed(rows)])
        bottom = self._narrow_top + len(self._narrow)
        complete = [taps for taps in self._taps[self._made :] if taps.end <= bottom]
        made: Pixels = np.empty((len(complete), *self._narrow.shape[1:]), np.float32)
        for taps, row in zip(complete, made, strict=True):
            weighted_rows(self._narrow, self._narrow_top, taps, row)
        self._encode(made)
        _store(self._out[self._made : self._made + len(made)], made)
        self._made += len(made)
        self._forget()

    def _narrowed(self, rows: Pixels) -> Pixels:
        np.clip(rows, 0.0, 1.0, out=rows)
        if self._linear:
            rows[:, :, :3] = srgb_to_linear(rows[:, :, :3])
        return reduce_width(rows, self._width)

    def _encode(self, rows: Pixels) -> None:
        np.clip(rows, 0.0, 1.0, out=rows)
        if self._linear:
            rows[:, :, :3] = linear_to_srgb(rows[:, :, :3])

    def _forget(self) -> None:
        if self._made < len(self._taps):
            top = max(self._taps[self._made].first, self._narrow_top)
            self._narrow = self._narrow[top - self._narrow_top :].copy()
            self._narrow_top = top


def reduce_picture(pixels: Pixels, out: Result, *, linear: bool = False) -> None:
    """``pixels`` (H, W, C) in 0..1 reduced to the size of ``out`` (h, w, C), a strip of rows at a time, or copied."""
    height, width = pixels.shape[:2]
    if pixels.shape == out.shape:
        _store(out, pixels)
        return
    canvas = ReducingCanvas(Size(width, height), out, linear=linear)
    for rows in strips(pixels.shape):
        canvas.put(Region(0, rows.start, width, rows.stop - rows.start), pixels[rows])
        canvas.finish_rows(rows.stop)


def _store(place: Result, values: Pixels) -> None:
    """Values in 0..1 as they are, or rounded to the integers of ``place``."""
    if place.dtype == np.float32:
        place[:] = values
        return
    step = max(1, _CACHED // (values.shape[1] * values.shape[2]))
    for top in range(0, len(values), step):
        place[top : top + step] = to_integers(values[top : top + step], 16)


def _put(place: Pixels, pixels: Pixels, weights: Pixels | None) -> None:
    if weights is None:
        place[:] = pixels
    else:
        place += pixels * weights
