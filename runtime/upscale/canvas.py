"""Where finished tiles go: straight into the final buffer, or through one exact reduction on their way there.

A canvas is told of tiles in row order and of each finished row of tiles. It never holds a whole picture beside the
final buffer: the reducing canvas keeps the upscaled rows that are not finished, and the narrow rows that are still needed.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..frames.geometry import Region, Size
from ..frames.transfer import linear_to_srgb, srgb_to_linear
from .resample import lanczos_taps, reduce_width, weighted_rows

Pixels = NDArray[np.float32]

_BAND = 512  # rows; a band of an 8K picture is 47 MB


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
    """The upscaled picture is the result: each tile is written once, rows are clipped to 0..1 as they are finished."""

    def __init__(self, out: Pixels) -> None:
        self._out = out
        self._finished = 0

    def put(self, region: Region, pixels: Pixels, weights: Pixels | None = None) -> None:
        _put(self._out[region.rows, region.columns], pixels, weights)

    def finish_rows(self, bottom: int) -> None:
        rows = self._out[self._finished : bottom]
        np.clip(rows, 0.0, 1.0, out=rows)
        self._finished = bottom


class ReducingCanvas:
    """Reduces upscaled rows to the final size as they are finished: Lanczos-3, antialiased, in float32, clipped to 0..1.

    ``linear`` reduces in linear light (by the sRGB transfer function, IEC 61966-2-1), as optics would; otherwise in the
    encoded values, as most tools do. A fourth channel is coverage, which is linear as it is.
    """

    def __init__(self, source: Size, out: Pixels, *, linear: bool = False) -> None:
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
        missing = region.bottom - self._raw_top - len(self._raw)
        if missing > 0:
            self._raw = np.concatenate([self._raw, np.zeros((missing, *self._raw.shape[1:]), np.float32)])
        _put(self._raw[region.y - self._raw_top : region.bottom - self._raw_top, region.columns], pixels, weights)

    def finish_rows(self, bottom: int) -> None:
        self._narrow = np.concatenate([self._narrow, self._narrowed(self._raw[: bottom - self._raw_top])])
        self._raw = self._raw[bottom - self._raw_top :].copy()
        self._raw_top = bottom
        first = self._made
        while self._made < len(self._taps) and self._taps[self._made].end <= bottom:
            weighted_rows(self._narrow, self._narrow_top, self._taps[self._made], self._out[self._made])
            self._made += 1
        self._encode(self._out[first : self._made])
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


def reduce_picture(pixels: Pixels, final: Size, *, linear: bool = False) -> Pixels:
    """``pixels`` (H, W, C) in 0..1, reduced to ``final`` in bands of rows."""
    height, width, channels = pixels.shape
    out: Pixels = np.zeros((final.height, final.width, channels), np.float32)
    canvas = ReducingCanvas(Size(width, height), out, linear=linear)
    for top in range(0, height, _BAND):
        band = Region(0, top, width, min(_BAND, height - top))
        canvas.put(band, pixels[band.rows])
        canvas.finish_rows(band.bottom)
    return out


def _put(place: Pixels, pixels: Pixels, weights: Pixels | None) -> None:
    if weights is None:
        place[:] = pixels
    else:
        place += pixels * weights
