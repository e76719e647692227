"""Decoded pictures to R'G'B', once and in one place.

swscale is asked only to rearrange samples (nv12 to planes, byte orders). It cannot do the rest: PyAV's ``reformat`` to 16 bits
ends half an 8-bit code too dark (white becomes 65280), and it takes BT.601 and its own chroma sites unless told otherwise.

Planes become 16 bits wide (an exact shift), chroma is interpolated to full size, and one matrix in float32 that holds the
equations of BT.601-7, BT.709-6 or BT.2020-2, the range and the output's scale gives every code, rounded to nearest. The
largest error against the exact formula is half a code of the output, plus at most 2 codes in 65535 from float32.

Sources of 8 bits give uint8: the model and the encoder see what a player shows. Deeper ones give uint16 over 0..65535, so
that 10-bit code 1023 (full range) or 940 (limited) is 65535 and nothing is lost. Values that lie outside 0..1 after the
matrix (super-white, illegal chroma) are clipped, as on a display.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, cast

import av
import cv2
import numpy as np
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from numpy.typing import NDArray

from ..frames.stream import Colour, Samples
from .chroma import Subsampling, full_size_rows
from .colour_codes import LUMA_WEIGHTS

_BAND = 120
"""Rows worked on at a time: a multiple of every chroma factor, small enough to stay in the cache."""
_PLANAR = re.compile(r"(yuva?j?4\d\dp(\d+le)?|gray(\d+le)?|gbra?p(\d+le)?)$")
_FLOAT = re.compile(r"f(16|32)")

Kind = Literal["rgb", "yuv", "jpeg", "gray"]
Coefficients = NDArray[np.float64]


@dataclass(frozen=True)
class Siting:
    """Where chroma samples of a 4:2:0 or 4:2:2 picture lie. MPEG-2, H.264, HEVC: left, between two lines."""

    centred_across: bool = False
    centred_down: bool = True


@dataclass(frozen=True)
class PixelFormat:
    """What FFmpeg's name of a pixel format means here."""

    name: str
    carrier: str
    """The planar little-endian format its samples are brought into, bit for bit."""
    kind: Kind
    """``yuv``, ``jpeg`` (``yuvj``, always full range), ``gray`` or ``rgb``."""
    bits: int
    across: int
    down: int
    alpha: bool

    def empty(self, height: int, width: int) -> Samples:
        """Room for a converted picture."""
        shape = (height, width, 3)
        return np.empty(shape, np.uint8) if self.bits <= 8 else np.empty(shape, np.uint16)


@lru_cache
def pixel_format(name: str) -> PixelFormat | None:
    """The format of that name; None when its samples are no integers of up to 16 bits (float, XYZ, Bayer, hardware)."""
    described = av.VideoFormat(name, 64, 64)
    parts = described.components
    bits = max((part.bits for part in parts), default=0)
    if described.is_bayer or name.startswith("xyz") or not 1 <= bits <= 16 or _FLOAT.search(name):
        return None
    alpha = any(part.is_alpha for part in parts) or name == "pal8"
    depth = f"{bits}le" if bits > 8 else ""
    if described.is_rgb or described.has_palette:
        carrier = name if _PLANAR.match(name) else f"gbrp{depth}"
        return PixelFormat(name, carrier, "rgb", max(bits, 8), 1, 1, alpha)
    if sum(not part.is_alpha for part in parts) == 1:
        return PixelFormat(name, name if _PLANAR.match(name) else f"gray{depth}", "gray", max(bits, 8), 1, 1, alpha)
    across, down = 64 // described.chroma_width(64), 64 // described.chroma_height(64)
    sampling = {(1, 1): "444", (2, 1): "422", (2, 2): "420", (1, 2): "440", (4, 1): "411", (4, 4): "410"}.get((across, down))
    if sampling is None:
        return None
    carrier = name if _PLANAR.match(name) else f"yuv{sampling}p{depth}"
    return PixelFormat(name, carrier, "jpeg" if "yuvj" in name else "yuv", bits, across, down, alpha)


def supported_matrix(colour: Colour) -> bool:
    return colour.matrix == "gbr" or colour.matrix in LUMA_WEIGHTS


def decoding_matrix(colour: Colour, bits: int) -> Coefficients:
    """The 3x4 matrix from (Y, Cb, Cr, 1), as integers of ``bits`` bits, to R'G'B' in 0..1.

    BT.709-6 items 3.3 to 3.5 (BT.601-7 section 2.5, BT.2020-2 tables 4 and 5), solved for R'G'B'; the full-range quantisation
    is that of H.273, equations 20 to 25.
    """
    kr, kb = LUMA_WEIGHTS[colour.matrix]
    kg = 1 - kr - kb
    analogue = np.array(
        [
            [1, 0, 2 * (1 - kr)],
            [1, -2 * kb * (1 - kb) / kg, -2 * kr * (1 - kr) / kg],
            [1, 2 * (1 - kb), 0],
        ]
    )
    scale, middle = 2.0 ** (bits - 8), 2.0 ** (bits - 1)
    full = 2.0**bits - 1
    swing, chroma, black = (full, full, 0.0) if colour.range == "pc" else (219 * scale, 224 * scale, 16 * scale)
    gains = np.diag([1 / swing, 1 / chroma, 1 / chroma])
    offsets = np.array([black, middle, middle])
    linear = analogue @ gains
    return np.column_stack([linear, -linear @ offsets])


def _grey_matrix(colour: Colour, bits: int) -> Coefficients:
    """(Y, Y, Y, 1) to R'G'B': each is the luma, out of its range."""
    scale, full = 2.0 ** (bits - 8), 2.0**bits - 1
    swing, black = (full, 0.0) if colour.range == "pc" else (219 * scale, 16 * scale)
    return np.column_stack([np.eye(3) / swing, np.full(3, -black / swing)])


def _planar_rgb_matrix(bits: int) -> Coefficients:
    """(G, B, R, 1), which is FFmpeg's order of planes, to R'G'B'."""
    order = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]])
    return np.column_stack([order / (2.0**bits - 1), np.zeros(3)])


def _matrix(format_: PixelFormat, colour: Colour) -> Coefficients:
    if format_.kind == "rgb":
        return _planar_rgb_matrix(format_.bits)
    return _grey_matrix(colour, format_.bits) if format_.kind == "gray" else decoding_matrix(colour, format_.bits)


def samples(plane: VideoPlane, width: int, height: int, bits: int) -> Samples:
    """A view on the samples of one plane, (height, width), the first line first."""
    dtype = np.uint8 if bits <= 8 else np.uint16
    stride = abs(plane.line_size) // dtype().itemsize
    lines = np.frombuffer(cast(bytes, plane), dtype)[: stride * plane.height].reshape(plane.height, stride)
    return cast(Samples, (lines[::-1] if plane.line_size < 0 else lines)[:height, :width])


def _rearranged(picture: av.VideoFrame, format_: PixelFormat) -> av.VideoFrame:
    """The same numbers as planes. Matrix and range are named the same on both sides, so that swscale leaves them alone."""
    range_ = ColorRange.JPEG if format_.kind in ("rgb", "jpeg") else ColorRange.MPEG
    return picture.reformat(
        format=format_.carrier,
        src_colorspace=Colorspace.ITU709,
        dst_colorspace=Colorspace.ITU709,
        src_color_range=range_,
        dst_color_range=range_,
        interpolation=Interpolation.POINT | Interpolation.ACCURATE_RND,
    )


class Converter:
    """From decoded pictures of one pixel format and colour to (H, W, 3) R'G'B' in full range, uint8 or uint16."""

    def __init__(self, format_: PixelFormat, colour: Colour, siting: Siting) -> None:
        self._format = format_
        self._sampling = Subsampling(format_.across, format_.down, siting.centred_across, siting.centred_down)
        peak = 255 if format_.bits <= 8 else 65535
        matrix = _matrix(format_, colour) * peak
        matrix[:, :3] /= 2.0 ** (16 - format_.bits)  # the planes come shifted up to 16 bits
        self._matrix = matrix.astype(np.float32)

    def __call__(self, picture: av.VideoFrame) -> Samples:
        planes = self._planes(picture)
        pixels = self._format.empty(picture.height, picture.width)
        for first in range(0, picture.height, _BAND):
            last = min(first + _BAND, picture.height)
            self._convert_rows(planes, first, last, pixels[first:last])
        return pixels

    def _planes(self, picture: av.VideoFrame) -> list[Samples]:
        if self._format.carrier != self._format.name:
            picture = _rearranged(picture, self._format)
        bits, sizes = self._format.bits, [(picture.width, picture.height)]
        if self._format.kind != "gray":
            sizes += [(-(-picture.width // self._format.across), -(-picture.height // self._format.down))] * 2
        return [samples(plane, *size, bits) for plane, size in zip(picture.planes, sizes, strict=False)]

    def _convert_rows(self, planes: list[Samples], first: int, last: int, into: Samples) -> None:
        luma = self._widened(planes[0][first:last])
        if len(planes) == 1:
            merged = cv2.merge((luma, luma, luma))
        else:
            merged = cv2.merge((luma, *(self._chroma_rows(plane, first, last, luma.shape[1]) for plane in planes[1:])))
        if into.dtype == np.uint16:
            cv2.transform(merged, self._matrix, dst=into)
        else:
            cv2.convertScaleAbs(cv2.transform(merged, self._matrix), dst=into)

    def _chroma_rows(self, plane: Samples, first: int, last: int, width: int) -> NDArray[np.uint16]:
        return np.ascontiguousarray(full_size_rows(plane, self._sampling, first, last, self._widened)[:, :width])

    def _widened(self, plane: Samples) -> NDArray[np.uint16]:
        return np.left_shift(plane, 16 - self._format.bits, dtype=np.uint16)
