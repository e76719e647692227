"""R'G'B' to the planes that an encoder takes, once and in one place.

swscale is not asked: measured with PyAV 18.1, its limited-range Y'CbCr from 8-bit RGB is right, but from 16-bit RGB it lies
1.7 codes of 10 bits off on average, and full-range chroma half a code. Here one matrix in float32 holds the equations of
BT.601-7, BT.709-6 or BT.2020-2, the range and the input's scale, and every code is rounded to nearest: the largest error is
half a code and 0.003.

4:2:0 and 4:2:2 chroma is sited left, as in MPEG-2, H.264 and HEVC: the filter is 1 2 1 across, centred on the even columns,
and for 4:2:0 the mean of the two lines; it is applied before rounding. Edges are repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import cast

import av
import cv2
import numpy as np
from av.video.plane import VideoPlane
from numpy.typing import NDArray

from ..frames.geometry import Size
from ..frames.stream import Colour, Samples
from .colour_codes import LUMA_WEIGHTS, MATRICES, PRIMARIES, TRANSFERS
from .encoders import cores

_BAND = 16
"""Rows worked on at a time: even, and small enough for the cache."""
_MOST_THREADS = 8
"""Each holds a few bands of its own; more gain nothing on memory that all of them share."""
_RGB = {"bgr0": 8, "gbrp10le": 10, "gbrp16le": 16}
_CARRIERS = {"nv12": "yuv420p", "p010le": "yuv420p10le"}
"""Formats of hardware encoders, and the ones with the same samples that they are rearranged from."""

Coefficients = NDArray[np.float64]


def encoded_colour(colour: Colour, pixel_format: str, *, limited: bool = False) -> Colour:
    """The colour as the file will have it.

    RGB stays RGB. A matrix that cannot be made from two luma weights (constant luminance, YCgCo, ICtCp), or none at all,
    becomes that of the primaries: the pixels are R'G'B', so nothing is lost. ``limited``: the codec cannot say full range.
    """
    if pixel_format in _RGB:
        return replace(colour, matrix="gbr", range="pc")
    if colour.matrix == "gbr":
        colour = replace(colour, range="tv")
    if colour.matrix not in LUMA_WEIGHTS:
        colour = replace(colour, matrix="bt2020nc" if colour.primaries == "bt2020" else "bt709")
    return replace(colour, range="tv") if limited else colour


def encoding_matrix(colour: Colour, bits: int) -> Coefficients:
    """The 3x4 matrix from R'G'B' in 0..1 and 1 to (Y, Cb, Cr) as integers of ``bits`` bits, before rounding.

    BT.709-6 items 3.2 to 3.4 (BT.601-7 section 2.5, BT.2020-2 tables 4 and 5); the full-range quantisation is that of H.273,
    equations 20 to 25.
    """
    kr, kb = LUMA_WEIGHTS[colour.matrix]
    kg = 1 - kr - kb
    luma = np.array([kr, kg, kb])
    analogue = np.array([luma, ([0, 0, 1] - luma) / (2 * (1 - kb)), ([1, 0, 0] - luma) / (2 * (1 - kr))])
    scale, middle, full = 2.0 ** (bits - 8), 2.0 ** (bits - 1), 2.0**bits - 1
    swing, chroma, black = (full, full, 0.0) if colour.range == "pc" else (219 * scale, 224 * scale, 16 * scale)
    return np.column_stack([analogue * np.array([[swing], [chroma], [chroma]]), np.array([black, middle, middle])])


@dataclass(frozen=True)
class Tags:
    """The three code points of H.273 and FFmpeg's number of the range."""

    matrix: int
    transfer: int
    primaries: int
    range: int

    @classmethod
    def of(cls, colour: Colour) -> Tags:
        def number(names: dict[int, str], name: str) -> int:
            return next((code for code, known in names.items() if known == name), 2)

        return cls(
            number(MATRICES, colour.matrix),
            number(TRANSFERS, colour.transfer),
            number(PRIMARIES, colour.primaries),
            2 if colour.range == "pc" else 1,
        )

    def put(self, on: av.VideoFrame | av.VideoCodecContext) -> None:
        on.colorspace, on.color_trc, on.color_primaries, on.color_range = self.matrix, self.transfer, self.primaries, self.range


def _view(plane: VideoPlane, dtype: type[np.uint8] | type[np.uint16]) -> Samples:
    """The samples of a plane with the padding of its lines, (height, stride), to be written into."""
    samples = cast("Samples", np.frombuffer(memoryview(cast("bytes", plane)), dtype))
    return samples.reshape(-1, plane.line_size // samples.itemsize)[: plane.height]


class Packer:
    """From (H, W, 3) R'G'B' pictures, uint8 or uint16 in full range, to frames for an encoder.

    ``stored`` may be one column or row larger than the pictures; the last ones are then repeated.
    """

    def __init__(self, pixel_format: str, colour: Colour, stored: Size) -> None:
        self._format = pixel_format
        self._stored = stored
        self._tags = Tags.of(colour)
        carrier = _CARRIERS.get(pixel_format, pixel_format)
        self._carrier = carrier
        self._bits = _RGB.get(carrier) or (10 if carrier.endswith("p10le") else 8)
        self._across = 1 if "444" in carrier or carrier in _RGB else 2
        self._down = 2 if "420" in carrier else 1
        self._matrix = np.eye(3, 4) if carrier in _RGB else encoding_matrix(colour, self._bits)
        self.bytes = 0
        """What the last frame took."""
        self._pool = ThreadPoolExecutor(min(cores(), _MOST_THREADS), "pack")
        # A thread of its own has a heap of its own in glibc, and what is above 64 MB lies in none: a frame of 100 MB among the
        # model's tensors, whose memory is kept (``upscale.allocator``), would leave a hole of its size.
        self._allocator = ThreadPoolExecutor(1, "allocate")

    def __call__(self, pixels: Samples) -> av.VideoFrame:
        """A frame that shares nothing with ``pixels``."""
        frame = self._allocator.submit(av.VideoFrame, self._stored.width, self._stored.height, self._carrier).result()
        if self._carrier == "bgr0":
            self._fill_packed(frame, pixels)
        else:
            self._fill_planes(frame, pixels)
        self._tags.put(frame)
        if self._format != self._carrier:
            frame = frame.reformat(format=self._format)  # the same samples in another order
            self._tags.put(frame)
        self.bytes = sum(plane.buffer_size for plane in frame.planes)
        return frame

    def _fill_packed(self, frame: av.VideoFrame, pixels: Samples) -> None:
        into = _view(frame.planes[0], np.uint8)[:, : 4 * frame.width].reshape(frame.height, frame.width, 4)

        def fill(first: int, rows: Samples) -> None:
            eight = rows if rows.dtype == np.uint8 else np.rint(rows / np.float32(257)).astype(np.uint8)
            into[first : first + len(rows), :, :3] = eight[:, :, ::-1]
            into[first : first + len(rows), :, 3] = 0

        self._each_band(pixels, fill)

    def _fill_planes(self, frame: av.VideoFrame, pixels: Samples) -> None:
        dtype = np.uint8 if self._bits == 8 else np.uint16
        planes = [_view(plane, dtype) for plane in frame.planes]
        matrix = self._matrix.copy()
        matrix[:, :3] /= np.iinfo(pixels.dtype).max

        def fill(first: int, rows: Samples) -> None:
            if self._carrier in _RGB:
                self._pack_rgb(planes, first, rows)
            else:
                self._pack_yuv(planes, first, rows, matrix)

        self._each_band(pixels, fill)

    def _each_band(self, pixels: Samples, fill: Callable[[int, Samples], None]) -> None:
        """``fill(first row, rows)`` for every band of the stored picture, side by side: numpy and OpenCV let go of the
        interpreter while they compute, and no band needs another."""

        def band(first: int) -> None:
            rows = pixels[first : first + _BAND]
            below, beside = min(_BAND, self._stored.height - first) - len(rows), self._stored.width - rows.shape[1]
            fill(first, _extended(rows, (0, below), (0, beside)) if below or beside else rows)

        for _ in self._pool.map(band, range(0, self._stored.height, _BAND)):
            pass

    def _pack_rgb(self, planes: list[Samples], first: int, rows: Samples) -> None:
        full = 2**self._bits - 1
        gain = np.float32(full / np.iinfo(rows.dtype).max)
        for plane, channel in zip(planes, (1, 2, 0), strict=True):
            part = rows[:, :, channel]
            exact = part if gain == 1 else np.rint(part * gain)
            plane[first : first + len(rows), : rows.shape[1]] = exact

    def _pack_yuv(self, planes: list[Samples], first: int, rows: Samples, matrix: Coefficients) -> None:
        width = rows.shape[1]
        if self._across == 1:
            codes = self._codes(rows.astype(np.uint16, copy=False), matrix)
            for index, plane in enumerate(planes):
                plane[first : first + len(rows), :width] = codes[:, :, index]
            return
        planes[0][first : first + len(rows), :width] = self._codes(rows.astype(np.uint16, copy=False), matrix[:1])
        sums = _left_sited(rows, self._down)
        matrix = np.column_stack([matrix[1:, :3] / (4 * self._down), matrix[1:, 3]])
        codes = self._codes(sums, matrix)
        top = first // self._down
        for index, plane in enumerate(planes[1:]):
            plane[top : top + len(codes), : codes.shape[1]] = codes[:, :, index]

    def _codes(self, values: NDArray[np.uint16] | NDArray[np.float32], matrix: Coefficients) -> NDArray[np.uint16]:
        made = cv2.transform(values, matrix)
        if made.dtype != np.uint16:
            made = np.rint(made, out=made)
        # Full-range chroma of a pure blue or red is half a code beyond the last one.
        return np.minimum(made, 2**self._bits - 1, out=made).astype(np.uint16, copy=False)


def _extended(rows: Samples, vertically: tuple[int, int], across: tuple[int, int]) -> Samples:
    """With the edges repeated."""
    return cast("Samples", np.pad(rows, (vertically, across, (0, 0)), "edge"))


def _left_sited(rows: Samples, down: int) -> NDArray[np.float32]:
    """4 * ``down`` times the mean around every chroma sample, (ceil(h / down), ceil(w / 2), 3); exact."""
    height, width = rows.shape[:2]
    wide = _extended(rows, (0, height % down), (1, 1 + width % 2)).astype(np.float32)
    lines = wide[0::2] + wide[1::2] if down == 2 else wide
    here, left, right = lines[:, 1:-1:2], lines[:, 0:-2:2], lines[:, 2::2]
    return here * 2 + left + right
