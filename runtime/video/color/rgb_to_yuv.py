"""Convert R'G'B' to the planes that an encoder takes.

swscale is not used: measured with PyAV 18.1, its limited-range Y'CbCr from 8-bit RGB is right, but from 16-bit RGB it is off by
1.7 codes of 10 bits on average, and full-range chroma by half a code. Here one float32 matrix holds the equations of BT.601-7,
BT.709-6 or BT.2020-2, the range and the input's scale; codes are rounded to nearest. The largest error is 0.503 codes.

4:2:0 and 4:2:2 chroma is sited left, as in MPEG-2, H.264 and HEVC: the horizontal filter is 1 2 1, centered on the even
columns; 4:2:0 also takes the mean of two lines. Both are applied before rounding; edges are repeated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, cast

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from ...hardware import count_usable_cores
from ...media import ColorInfo, PlaneLayout, Samples, Size
from .color_codes import LUMA_WEIGHTS, ColorTags, quantize_range
from .yuv_to_rgb import Coefficients, transform_colors, view_plane

_BAND_ROWS = 16
"""Rows converted at a time: even, and small enough for the cache."""
_MAX_THREADS = 8
"""Each holds a few bands; more threads gain nothing, because memory bandwidth is the limit."""
_DLPACK_CUDA = 2
_WITHOUT_ALPHA = {
    "bgra": "bgr0",
    "gbrap10le": "gbrp10le",
    "gbrap16le": "gbrp16le",
    "yuva420p": "yuv420p",
    "yuva420p10le": "yuv420p10le",
    "yuva444p10le": "yuv444p10le",
}
"""Formats with alpha, and those whose colors they hold."""
_RGB_BIT_DEPTHS = {"bgr0": 8, "gbrp10le": 10, "gbrp16le": 16}
_YUV_FORMAT = re.compile(r"yuv4(20|22|44)p(10le)?")
_PLANAR_FORMATS = {"nv12": "yuv420p", "p010le": "yuv420p10le"}
"""Formats of hardware encoders, and the planar formats with the same samples that they are rearranged from."""


def strip_alpha(pixel_format: str) -> str:
    """Return the format with the same colors and no alpha."""
    return _WITHOUT_ALPHA.get(pixel_format, pixel_format)


def resolve_encoded_color(color: ColorInfo, pixel_format: str, *, limited_range_only: bool = False) -> ColorInfo:
    """Return the color that the file will have.

    RGB stays RGB. A matrix without luma weights (constant luminance, YCgCo, ICtCp), or none at all, becomes that of the
    primaries: the pixels are R'G'B', so nothing is lost. ``limited_range_only``: the codec cannot signal full range.
    """
    if strip_alpha(pixel_format) in _RGB_BIT_DEPTHS:
        return replace(color, matrix="gbr", range="pc")
    if color.matrix == "gbr":
        color = replace(color, range="tv")
    if color.matrix not in LUMA_WEIGHTS:
        color = replace(color, matrix="bt2020nc" if color.primaries == "bt2020" else "bt709")
    return replace(color, range="tv") if limited_range_only else color


def build_rgb_to_yuv_matrix(color: ColorInfo, bits: int) -> Coefficients:
    """Return the 3x4 matrix from (R', G', B', 1) in 0..1 to (Y, Cb, Cr) as codes of ``bits`` bits, before rounding.

    BT.709-6 items 3.2 to 3.4 (BT.601-7 section 2.5, BT.2020-2 tables 4 and 5).
    """
    kr, kb = LUMA_WEIGHTS[color.matrix]
    kg = 1 - kr - kb
    luma = np.array([kr, kg, kb])
    analogue = np.array([luma, ([0, 0, 1] - luma) / (2 * (1 - kb)), ([1, 0, 0] - luma) / (2 * (1 - kr))])
    luma_range, chroma_range, black = quantize_range(bits, color)
    gains, middle = np.array([[luma_range], [chroma_range], [chroma_range]]), 2.0 ** (bits - 1)
    return np.column_stack([analogue * gains, np.array([black, middle, middle])])


class RgbToYuv:
    """Converts (H, W, 3) R'G'B' in full range, uint8 or uint16, or (H, W, 4) with straight alpha, to frames for an encoder.

    Alpha is left out where ``pixel_format`` has none. ``stored_size`` may be one column or row larger than the pixels; the last
    one is then repeated. Raises ``ValueError`` for a pixel format that it cannot make.
    """

    def __init__(self, pixel_format: str, color: ColorInfo, stored_size: Size) -> None:
        self._format = pixel_format
        self._stored_size = stored_size
        self._tags = ColorTags.from_color_info(color)
        self._cuda_context: dict[str, Any] = {}
        planar_format = _PLANAR_FORMATS.get(pixel_format, strip_alpha(pixel_format))
        self._has_alpha = strip_alpha(pixel_format) != pixel_format
        if planar_format not in _RGB_BIT_DEPTHS and not _YUV_FORMAT.fullmatch(planar_format):
            raise ValueError(f"RGB cannot be converted to {pixel_format!r}: declare another pixel format of this encoder")
        self._planar_format = planar_format
        self._bit_depth = _RGB_BIT_DEPTHS.get(planar_format) or (10 if planar_format.endswith("p10le") else 8)
        self._horizontal_factor = 1 if "444" in planar_format or planar_format in _RGB_BIT_DEPTHS else 2
        self._vertical_factor = 2 if "420" in planar_format else 1
        self._matrix = np.eye(3, 4) if planar_format in _RGB_BIT_DEPTHS else build_rgb_to_yuv_matrix(color, self._bit_depth)
        self.frame_bytes = self.plane_layout.frame_bytes if self.plane_layout else 0
        """Bytes of the last frame."""
        self._pool = ThreadPoolExecutor(min(count_usable_cores(), _MAX_THREADS), "pack")
        # In glibc every thread has its own heap, and blocks above 64 MB are outside of it. Among the model's tensors, whose
        # memory is not returned (``upscale.memory``), a frame of 100 MB would leave a gap of its size.
        self._allocation_thread = ThreadPoolExecutor(1, "allocate")

    @property
    def plane_layout(self) -> PlaneLayout | None:
        """What a device that holds the pixels needs to make the planes itself; None for alpha, R'G'B' and odd sizes."""
        size, factors = self._stored_size, (self._horizontal_factor, self._vertical_factor)
        if self._has_alpha or self._planar_format in _RGB_BIT_DEPTHS or size.width % factors[0] or size.height % factors[1]:
            return None
        matrix = tuple(map(tuple, self._matrix.tolist()))
        return PlaneLayout(size, self._bit_depth, *factors, matrix, self._format != self._planar_format)

    def wrap_planes(self, planes: Sequence[Any]) -> av.VideoFrame:
        """Return a frame of the planes that ``plane_layout`` describes, which shares and keeps their memory.

        It is that of the host or, if they are interleaved, of the GPU whose CUDA context is current in this thread.
        """
        kind, index = planes[0].__dlpack_device__()
        if kind == _DLPACK_CUDA and not self._cuda_context:
            from av.video.frame import CudaContext

            # torch has opened the primary context with flags of its own: FFmpeg takes it over only as the current one.
            self._cuda_context["cuda_context"] = CudaContext(device_id=index, primary_ctx=False, current_ctx=True)
        frame = av.VideoFrame.from_dlpack(tuple(planes), self._format, **self._cuda_context)
        self._tags.apply(frame)
        return frame

    def __call__(self, pixels: Samples) -> av.VideoFrame:
        """Return a frame that shares no memory with ``pixels``."""
        size = self._stored_size
        allocated_format = self._format if self._has_alpha else self._planar_format
        frame = self._allocation_thread.submit(av.VideoFrame, size.width, size.height, allocated_format).result()
        if self._planar_format == "bgr0":
            self._fill_packed(frame, pixels)
        else:
            self._fill_planes(frame, pixels)
        self._tags.apply(frame)
        if self._format != allocated_format:
            frame = frame.reformat(format=self._format)  # the same samples in another order
            self._tags.apply(frame)
        self.frame_bytes = sum(plane.buffer_size for plane in frame.planes)
        return frame

    def _fill_packed(self, frame: av.VideoFrame, pixels: Samples) -> None:
        output = view_plane(frame.planes[0], 4 * frame.width, frame.height, 8).reshape(frame.height, frame.width, 4)

        def fill(first: int, rows: Samples, alpha: Samples) -> None:
            rows_uint8 = rows if rows.dtype == np.uint8 else np.rint(rows / np.float32(257)).astype(np.uint8)
            output[first : first + len(rows), :, :3] = rows_uint8[:, :, ::-1]
            output[first : first + len(rows), :, 3] = self._scale_codes(alpha) if self._has_alpha else 0

        self._process_bands(pixels, fill)

    def _fill_planes(self, frame: av.VideoFrame, pixels: Samples) -> None:
        planes = [view_plane(plane, plane.width, plane.height, self._bit_depth) for plane in frame.planes]
        matrix = self._matrix.copy()
        matrix[:, :3] /= np.iinfo(pixels.dtype).max

        def fill(first: int, rows: Samples, alpha: Samples) -> None:
            if self._has_alpha:
                planes[3][first : first + len(rows), : rows.shape[1]] = self._scale_codes(alpha)
            if self._planar_format in _RGB_BIT_DEPTHS:
                self._pack_rgb(planes, first, rows)
            else:
                self._pack_yuv(planes, first, rows, matrix)

        self._process_bands(pixels, fill)

    def _process_bands(self, pixels: Samples, fill: Callable[[int, Samples, Samples], None]) -> None:
        """Call ``fill(first row, rows, their alpha)`` for every band, in threads: numpy and OpenCV release the GIL."""

        def process_band(first: int) -> None:
            rows = pixels[first : first + _BAND_ROWS]
            rows_missing = min(_BAND_ROWS, self._stored_size.height - first) - len(rows)
            columns_missing = self._stored_size.width - rows.shape[1]
            rows = _pad_edges(rows, (0, rows_missing), (0, columns_missing)) if rows_missing or columns_missing else rows
            fill(first, cast("Samples", np.ascontiguousarray(rows[:, :, :3])), rows[:, :, -1])

        for _ in self._pool.map(process_band, range(0, self._stored_size.height, _BAND_ROWS)):
            pass

    def _pack_rgb(self, planes: list[Samples], first: int, rows: Samples) -> None:
        for plane, channel in zip(planes, (1, 2, 0), strict=False):
            plane[first : first + len(rows), : rows.shape[1]] = self._scale_codes(rows[:, :, channel])

    def _scale_codes(self, values: Samples) -> NDArray[Any]:
        """Return ``values`` of full range in the depth of the format."""
        gain = np.float32((2**self._bit_depth - 1) / np.iinfo(values.dtype).max)
        return values if gain == 1 else np.rint(values * gain)

    def _pack_yuv(self, planes: list[Samples], first: int, rows: Samples, matrix: Coefficients) -> None:
        width = rows.shape[1]
        if self._horizontal_factor == 1:
            codes = self._limit_codes(transform_colors(rows.astype(np.uint16, copy=False), matrix))
            for index, plane in enumerate(planes[:3]):
                plane[first : first + len(rows), :width] = codes[:, :, index]
            return
        planes[0][first : first + len(rows), :width] = self._compute_codes(rows.astype(np.uint16, copy=False), matrix[:1])
        sums = _sum_left_sited_chroma(rows, self._vertical_factor)
        matrix = np.column_stack([matrix[1:, :3] / (4 * self._vertical_factor), matrix[1:, 3]])
        codes = self._compute_codes(sums, matrix)
        first_chroma_row = first // self._vertical_factor
        for index, plane in enumerate(planes[1:3]):
            plane[first_chroma_row : first_chroma_row + len(codes), : codes.shape[1]] = codes[:, :, index]

    def _compute_codes(self, values: NDArray[np.uint16] | NDArray[np.float32], matrix: Coefficients) -> NDArray[np.uint16]:
        codes = cv2.transform(values, matrix)
        if codes.dtype != np.uint16:
            codes = np.rint(codes, out=codes)
        return self._limit_codes(codes)

    def _limit_codes(self, codes: NDArray[Any]) -> NDArray[np.uint16]:
        # Full-range chroma of a pure blue or red is half a code beyond the last one.
        return np.minimum(codes, 2**self._bit_depth - 1, out=codes).astype(np.uint16, copy=False)


def _pad_edges(rows: Samples, vertical_pad: tuple[int, int], horizontal_pad: tuple[int, int]) -> Samples:
    """Return ``rows`` with the edges repeated."""
    return cast("Samples", np.pad(rows, (vertical_pad, horizontal_pad, (0, 0)), "edge"))


def _sum_left_sited_chroma(rows: Samples, vertical_factor: int) -> NDArray[np.float32]:
    """Return 4 * ``vertical_factor`` times the mean around every chroma sample, exactly.

    Its shape is (ceil(h / vertical_factor), ceil(w / 2), 3).
    """
    height, width = rows.shape[:2]
    padded = _pad_edges(rows, (0, height % vertical_factor), (1, 1 + width % 2)).astype(np.float32)
    lines = padded[0::2] + padded[1::2] if vertical_factor == 2 else padded
    center, left, right = lines[:, 1:-1:2], lines[:, 0:-2:2], lines[:, 2::2]
    return center * 2 + left + right
