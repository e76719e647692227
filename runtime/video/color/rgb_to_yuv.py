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

from ...media.geometry import Size
from ...media.video_stream import ColorInfo, Samples
from ..write.encoder_options import count_cores
from .color_codes import LUMA_WEIGHTS, MATRICES, PRIMARIES, TRANSFERS

_BAND_ROWS = 16
"""Rows worked on at a time: even, and small enough for the cache."""
_MAX_THREADS = 8
"""Each holds a few bands of its own; more gain nothing on memory that all of them share."""
_RGB_BIT_DEPTHS = {"bgr0": 8, "gbrp10le": 10, "gbrp16le": 16}
_PLANAR_FORMATS = {"nv12": "yuv420p", "p010le": "yuv420p10le"}
"""Formats of hardware encoders, and the ones with the same samples that they are rearranged from."""

Coefficients = NDArray[np.float64]


def resolve_encoded_color(color: ColorInfo, pixel_format: str, *, limited_range_only: bool = False) -> ColorInfo:
    """The colour as the file will have it.

    RGB stays RGB. A matrix that cannot be made from two luma weights (constant luminance, YCgCo, ICtCp), or none at all,
    becomes that of the primaries: the pixels are R'G'B', so nothing is lost. ``limited``: the codec cannot say full range.
    """
    if pixel_format in _RGB_BIT_DEPTHS:
        return replace(color, matrix="gbr", range="pc")
    if color.matrix == "gbr":
        color = replace(color, range="tv")
    if color.matrix not in LUMA_WEIGHTS:
        color = replace(color, matrix="bt2020nc" if color.primaries == "bt2020" else "bt709")
    return replace(color, range="tv") if limited_range_only else color


def build_rgb_to_yuv_matrix(color: ColorInfo, bits: int) -> Coefficients:
    """The 3x4 matrix from R'G'B' in 0..1 and 1 to (Y, Cb, Cr) as integers of ``bits`` bits, before rounding.

    BT.709-6 items 3.2 to 3.4 (BT.601-7 section 2.5, BT.2020-2 tables 4 and 5); the full-range quantisation is that of H.273,
    equations 20 to 25.
    """
    kr, kb = LUMA_WEIGHTS[color.matrix]
    kg = 1 - kr - kb
    luma = np.array([kr, kg, kb])
    analogue = np.array([luma, ([0, 0, 1] - luma) / (2 * (1 - kb)), ([1, 0, 0] - luma) / (2 * (1 - kr))])
    scale, middle, full = 2.0 ** (bits - 8), 2.0 ** (bits - 1), 2.0**bits - 1
    luma_range, chroma_range, black = (full, full, 0.0) if color.range == "pc" else (219 * scale, 224 * scale, 16 * scale)
    return np.column_stack(
        [analogue * np.array([[luma_range], [chroma_range], [chroma_range]]), np.array([black, middle, middle])]
    )


@dataclass(frozen=True)
class ColorTags:
    """The three code points of H.273 and FFmpeg's number of the range."""

    matrix: int
    transfer: int
    primaries: int
    range: int

    @classmethod
    def from_color_info(cls, color: ColorInfo) -> ColorTags:
        def find_code(names: dict[int, str], name: str) -> int:
            return next((code for code, tag_name in names.items() if tag_name == name), 2)

        return cls(
            find_code(MATRICES, color.matrix),
            find_code(TRANSFERS, color.transfer),
            find_code(PRIMARIES, color.primaries),
            2 if color.range == "pc" else 1,
        )

    def apply(self, target: av.VideoFrame | av.VideoCodecContext) -> None:
        target.colorspace, target.color_trc, target.color_primaries, target.color_range = (
            self.matrix,
            self.transfer,
            self.primaries,
            self.range,
        )


def _view_padded_plane(plane: VideoPlane, dtype: type[np.uint8] | type[np.uint16]) -> Samples:
    """The samples of a plane with the padding of its lines, (height, stride), to be written into."""
    samples = cast("Samples", np.frombuffer(memoryview(cast("bytes", plane)), dtype))
    return samples.reshape(-1, plane.line_size // samples.itemsize)[: plane.height]


class RgbToYuv:
    """From (H, W, 3) R'G'B' pictures, uint8 or uint16 in full range, to frames for an encoder.

    ``stored`` may be one column or row larger than the pictures; the last ones are then repeated.
    """

    def __init__(self, pixel_format: str, color: ColorInfo, stored_size: Size) -> None:
        self._format = pixel_format
        self._stored_size = stored_size
        self._tags = ColorTags.from_color_info(color)
        planar_format = _PLANAR_FORMATS.get(pixel_format, pixel_format)
        self._planar_format = planar_format
        self._bit_depth = _RGB_BIT_DEPTHS.get(planar_format) or (10 if planar_format.endswith("p10le") else 8)
        self._horizontal_factor = 1 if "444" in planar_format or planar_format in _RGB_BIT_DEPTHS else 2
        self._vertical_factor = 2 if "420" in planar_format else 1
        self._matrix = np.eye(3, 4) if planar_format in _RGB_BIT_DEPTHS else build_rgb_to_yuv_matrix(color, self._bit_depth)
        self.frame_bytes = 0
        """What the last frame took."""
        self._pool = ThreadPoolExecutor(min(count_cores(), _MAX_THREADS), "pack")
        # A thread of its own has a heap of its own in glibc, and what is above 64 MB lies in none: a frame of 100 MB among the
        # model's tensors, whose memory is kept (``upscale.allocator``), would leave a hole of its size.
        self._allocation_thread = ThreadPoolExecutor(1, "allocate")

    def __call__(self, pixels: Samples) -> av.VideoFrame:
        """A frame that shares nothing with ``pixels``."""
        frame = self._allocation_thread.submit(
            av.VideoFrame, self._stored_size.width, self._stored_size.height, self._planar_format
        ).result()
        if self._planar_format == "bgr0":
            self._fill_packed(frame, pixels)
        else:
            self._fill_planes(frame, pixels)
        self._tags.apply(frame)
        if self._format != self._planar_format:
            frame = frame.reformat(format=self._format)  # the same samples in another order
            self._tags.apply(frame)
        self.frame_bytes = sum(plane.buffer_size for plane in frame.planes)
        return frame

    def _fill_packed(self, frame: av.VideoFrame, pixels: Samples) -> None:
        output = _view_padded_plane(frame.planes[0], np.uint8)[:, : 4 * frame.width].reshape(frame.height, frame.width, 4)

        def fill(first: int, rows: Samples) -> None:
            rows_uint8 = rows if rows.dtype == np.uint8 else np.rint(rows / np.float32(257)).astype(np.uint8)
            output[first : first + len(rows), :, :3] = rows_uint8[:, :, ::-1]
            output[first : first + len(rows), :, 3] = 0

        self._process_bands(pixels, fill)

    def _fill_planes(self, frame: av.VideoFrame, pixels: Samples) -> None:
        dtype = np.uint8 if self._bit_depth == 8 else np.uint16
        planes = [_view_padded_plane(plane, dtype) for plane in frame.planes]
        matrix = self._matrix.copy()
        matrix[:, :3] /= np.iinfo(pixels.dtype).max

        def fill(first: int, rows: Samples) -> None:
            if self._planar_format in _RGB_BIT_DEPTHS:
                self._pack_rgb(planes, first, rows)
            else:
                self._pack_yuv(planes, first, rows, matrix)

        self._process_bands(pixels, fill)

    def _process_bands(self, pixels: Samples, fill: Callable[[int, Samples], None]) -> None:
        """``fill(first row, rows)`` for every band of the stored picture, side by side: numpy and OpenCV let go of the
        interpreter while they compute, and no band needs another."""

        def process_band(first: int) -> None:
            rows = pixels[first : first + _BAND_ROWS]
            rows_missing, columns_missing = (
                min(_BAND_ROWS, self._stored_size.height - first) - len(rows),
                self._stored_size.width - rows.shape[1],
            )
            fill(first, _pad_edges(rows, (0, rows_missing), (0, columns_missing)) if rows_missing or columns_missing else rows)

        for _ in self._pool.map(process_band, range(0, self._stored_size.height, _BAND_ROWS)):
            pass

    def _pack_rgb(self, planes: list[Samples], first: int, rows: Samples) -> None:
        full = 2**self._bit_depth - 1
        gain = np.float32(full / np.iinfo(rows.dtype).max)
        for plane, channel in zip(planes, (1, 2, 0), strict=True):
            channel_values = rows[:, :, channel]
            plane_codes = channel_values if gain == 1 else np.rint(channel_values * gain)
            plane[first : first + len(rows), : rows.shape[1]] = plane_codes

    def _pack_yuv(self, planes: list[Samples], first: int, rows: Samples, matrix: Coefficients) -> None:
        width = rows.shape[1]
        if self._horizontal_factor == 1:
            codes = self._compute_codes(rows.astype(np.uint16, copy=False), matrix)
            for index, plane in enumerate(planes):
                plane[first : first + len(rows), :width] = codes[:, :, index]
            return
        planes[0][first : first + len(rows), :width] = self._compute_codes(rows.astype(np.uint16, copy=False), matrix[:1])
        sums = _sum_left_sited_chroma(rows, self._vertical_factor)
        matrix = np.column_stack([matrix[1:, :3] / (4 * self._vertical_factor), matrix[1:, 3]])
        codes = self._compute_codes(sums, matrix)
        first_chroma_row = first // self._vertical_factor
        for index, plane in enumerate(planes[1:]):
            plane[first_chroma_row : first_chroma_row + len(codes), : codes.shape[1]] = codes[:, :, index]

    def _compute_codes(self, values: NDArray[np.uint16] | NDArray[np.float32], matrix: Coefficients) -> NDArray[np.uint16]:
        codes = cv2.transform(values, matrix)
        if codes.dtype != np.uint16:
            codes = np.rint(codes, out=codes)
        # Full-range chroma of a pure blue or red is half a code beyond the last one.
        return np.minimum(codes, 2**self._bit_depth - 1, out=codes).astype(np.uint16, copy=False)


def _pad_edges(rows: Samples, vertical_pad: tuple[int, int], horizontal_pad: tuple[int, int]) -> Samples:
    """With the edges repeated."""
    return cast("Samples", np.pad(rows, (vertical_pad, horizontal_pad, (0, 0)), "edge"))


def _sum_left_sited_chroma(rows: Samples, vertical_factor: int) -> NDArray[np.float32]:
    """4 * ``down`` times the mean around every chroma sample, (ceil(h / down), ceil(w / 2), 3); exact."""
    height, width = rows.shape[:2]
    padded = _pad_edges(rows, (0, height % vertical_factor), (1, 1 + width % 2)).astype(np.float32)
    lines = padded[0::2] + padded[1::2] if vertical_factor == 2 else padded
    center, left, right = lines[:, 1:-1:2], lines[:, 0:-2:2], lines[:, 2::2]
    return center * 2 + left + right
