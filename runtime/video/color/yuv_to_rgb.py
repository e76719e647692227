"""Convert decoded frames to R'G'B'.

swscale only rearranges samples (nv12 to planes, byte orders). It cannot do the rest: PyAV's ``reformat`` to 16 bits ends half
an 8-bit code too dark (white becomes 65280), and it assumes BT.601 and its own chroma siting by default.

Planes are widened to 16 bits by an exact shift, chroma is upsampled, and one float32 matrix holds the equations of BT.601-7,
BT.709-6 or BT.2020-2, the range and the output's scale; codes are rounded to nearest. The largest error against the exact
formula is half a code of the output, plus at most 2 codes in 65535 from float32.

Sources of 8 bits become uint8: the model and the encoder get what a player shows. Deeper ones become uint16 over 0..65535:
10-bit code 1023 (full range) or 940 (limited) is 65535, and nothing is lost. Values outside 0..1 after the matrix
(super-white, illegal chroma) are clipped, as on a display.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, cast

import av
import cv2
import numpy as np
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from numpy.typing import NDArray

from ...media import ColorInfo, DecodedLayout, Samples, Size
from .chroma_upsample import build_kernels, upsample_chroma_rows
from .color_codes import LUMA_WEIGHTS, quantize_range

_BAND_ROWS = 120
"""Rows converted at a time: a multiple of every chroma factor, and small enough for the cache."""
_VECTOR_PIXELS = 32
"""16-bit pixels that OpenCV computes at once with AVX-512; otherwise half as many."""
_PLANAR_FORMAT = re.compile(r"(yuva?j?4\d\dp(\d+le)?|gray(\d+le)?|gbra?p(\d+le)?)$")
_PLANAR_ALPHA = re.compile(r"yuva|gbrap")
_FLOAT_FORMAT = re.compile(r"f(16|32)")
_SUBSAMPLING_NAMES = {(1, 1): "444", (2, 1): "422", (2, 2): "420", (1, 2): "440", (4, 1): "411", (4, 4): "410"}

PixelKind = Literal["rgb", "yuv", "jpeg", "gray"]
Coefficients = NDArray[np.float64]


@dataclass(frozen=True)
class ChromaSiting:
    """The position of chroma samples among luma samples. MPEG-2, H.264, HEVC: on the left one, between two lines."""

    horizontally_centered: bool = False
    vertically_centered: bool = True


@dataclass(frozen=True)
class PixelFormat:
    """The properties of one of FFmpeg's pixel formats."""

    name: str
    planar_name: str
    """The planar little-endian format that its samples are rearranged to, bit for bit."""
    kind: PixelKind
    """``yuv``, ``jpeg`` (``yuvj``, always full range), ``gray`` or ``rgb``."""
    bit_depth: int
    horizontal_factor: int
    vertical_factor: int
    has_alpha: bool

    def allocate_rgb(self, height: int, width: int) -> Samples:
        """Return an uninitialized (height, width, 3) array for converted pixels: uint8 up to 8 bits, else uint16."""
        shape = (height, width, 3)
        return np.empty(shape, np.uint8) if self.bit_depth <= 8 else np.empty(shape, np.uint16)


@lru_cache
def parse_pixel_format(name: str) -> PixelFormat | None:
    """Return the format of that name; None if its samples are not integers of up to 16 bits (float, XYZ, Bayer, hardware)."""
    av_format = av.VideoFormat(name, 64, 64)
    components = av_format.components
    bits = max((component.bits for component in components), default=0)
    if av_format.is_bayer or name.startswith("xyz") or not 1 <= bits <= 16 or _FLOAT_FORMAT.search(name):
        return None
    has_alpha = any(component.is_alpha for component in components) or name == "pal8"
    depth_suffix = f"{bits}le" if bits > 8 else ""
    if av_format.is_rgb or av_format.has_palette:
        planar_name = name if _PLANAR_FORMAT.match(name) else f"gbrp{depth_suffix}"
        return PixelFormat(name, planar_name, "rgb", max(bits, 8), 1, 1, has_alpha)
    if sum(not component.is_alpha for component in components) == 1:
        planar_name = name if _PLANAR_FORMAT.match(name) else f"gray{depth_suffix}"
        return PixelFormat(name, planar_name, "gray", max(bits, 8), 1, 1, has_alpha)
    horizontal_factor, vertical_factor = 64 // av_format.chroma_width(64), 64 // av_format.chroma_height(64)
    subsampling_name = _SUBSAMPLING_NAMES.get((horizontal_factor, vertical_factor))
    if subsampling_name is None:
        return None
    planar_name = name if _PLANAR_FORMAT.match(name) else f"yuv{subsampling_name}p{depth_suffix}"
    kind = "jpeg" if "yuvj" in name else "yuv"
    return PixelFormat(name, planar_name, kind, bits, horizontal_factor, vertical_factor, has_alpha)


def is_supported_matrix(color: ColorInfo) -> bool:
    return color.matrix == "gbr" or color.matrix in LUMA_WEIGHTS


def build_yuv_to_rgb_matrix(color: ColorInfo, bits: int) -> Coefficients:
    """Return the 3x4 matrix from (Y, Cb, Cr, 1), as codes of ``bits`` bits, to R'G'B' in 0..1.

    BT.709-6 items 3.3 to 3.5 (BT.601-7 section 2.5, BT.2020-2 tables 4 and 5), solved for R'G'B'.
    """
    kr, kb = LUMA_WEIGHTS[color.matrix]
    kg = 1 - kr - kb
    analogue = np.array(
        [
            [1, 0, 2 * (1 - kr)],
            [1, -2 * kb * (1 - kb) / kg, -2 * kr * (1 - kr) / kg],
            [1, 2 * (1 - kb), 0],
        ]
    )
    middle = 2.0 ** (bits - 1)
    luma_range, chroma_range, black = quantize_range(bits, color)
    gains = np.diag([1 / luma_range, 1 / chroma_range, 1 / chroma_range])
    offsets = np.array([black, middle, middle])
    linear = analogue @ gains
    return np.column_stack([linear, -linear @ offsets])


def _build_gray_matrix(color: ColorInfo, bits: int) -> Coefficients:
    """Return the matrix from (Y, Y, Y, 1) to R'G'B' in 0..1."""
    luma_range, _, black = quantize_range(bits, color)
    return np.column_stack([np.eye(3) / luma_range, np.full(3, -black / luma_range)])


def _build_planar_rgb_matrix(bits: int) -> Coefficients:
    """Return the matrix from (G, B, R, 1), FFmpeg's order of planes, to R'G'B' in 0..1."""
    channel_order = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]])
    return np.column_stack([channel_order / (2.0**bits - 1), np.zeros(3)])


def _build_matrix(format_: PixelFormat, color: ColorInfo) -> Coefficients:
    if format_.kind == "rgb":
        return _build_planar_rgb_matrix(format_.bit_depth)
    if format_.kind == "gray":
        return _build_gray_matrix(color, format_.bit_depth)
    return build_yuv_to_rgb_matrix(color, format_.bit_depth)


def extract_alpha(frame: av.VideoFrame, bits: int) -> Samples:
    """Return the alpha (height, width) of a frame whose format has one, in full range: uint8, or uint16 for deeper formats.

    ``bits`` is the depth of the format. Packed formats have their name from the order of their components: ``ya8``, ``argb``.
    """
    frame = frame.reformat(format="bgra") if frame.format.name == "pal8" else frame
    name = frame.format.name
    components = "" if _PLANAR_ALPHA.match(name) else re.sub(r"\d*(le|be)?$", "", name)
    if components:
        packed = view_plane(frame.planes[0], frame.width * len(components), frame.height, bits)
        alpha = packed.reshape(frame.height, frame.width, -1)[:, :, components.index("a")]
    else:
        alpha = view_plane(frame.planes[3], frame.width, frame.height, bits)
    alpha = alpha.byteswap() if name.endswith("be") else alpha
    if bits in (8, 16):
        return alpha
    table = np.arange(1 << bits) * (65535 / ((1 << bits) - 1))
    return cast("Samples", np.rint(table).astype(np.uint16)[alpha])


def view_plane(plane: VideoPlane, width: int, height: int, bits: int) -> Samples:
    """Return a view of the samples of one plane, (height, width), top line first."""
    dtype = np.uint8 if bits <= 8 else np.uint16
    stride = abs(plane.line_size) // dtype().itemsize
    lines = np.frombuffer(cast(bytes, plane), dtype)[: stride * plane.height].reshape(plane.height, stride)
    return cast(Samples, (lines[::-1] if plane.line_size < 0 else lines)[:height, :width])


def _convert_to_planar(frame: av.VideoFrame, format_: PixelFormat) -> av.VideoFrame:
    """Return the same codes as planes. Matrix and range are equal on both sides, so swscale does not change them."""
    range_ = ColorRange.JPEG if format_.kind in ("rgb", "jpeg") else ColorRange.MPEG
    return frame.reformat(
        format=format_.planar_name,
        src_colorspace=Colorspace.ITU709,
        dst_colorspace=Colorspace.ITU709,
        src_color_range=range_,
        dst_color_range=range_,
        interpolation=Interpolation.POINT | Interpolation.ACCURATE_RND,
    )


def transform_colors(pixels: NDArray[Any], matrix: NDArray[np.floating], out: NDArray[Any] | None = None) -> NDArray[np.uint16]:
    """Return 3x4 ``matrix`` applied to ``pixels`` (h, w, 3) uint16, rounded and clipped to 0..65535, in ``out`` if given.

    OpenCV adds in another order where fewer pixels remain than a vector of the processor holds, and in which one depends on
    their address. So these are computed among others, and a device has one order to repeat.
    """
    codes = cv2.transform(pixels, matrix, dst=out)
    flat, rest = pixels.reshape(-1, 3), pixels.size // 3 % _VECTOR_PIXELS
    if rest:
        padded = np.pad(flat[-rest:], ((0, _VECTOR_PIXELS - rest), (0, 0)))[None]
        codes.reshape(-1, 3)[-rest:] = cv2.transform(padded, matrix)[0, :rest]
    return cast("NDArray[np.uint16]", codes)


class YuvToRgb:
    """Converts decoded frames of one pixel format and color to (H, W, 3) R'G'B' in full range, uint8 or uint16."""

    def __init__(self, format_: PixelFormat, color: ColorInfo, siting: ChromaSiting) -> None:
        self._format = format_
        self._horizontal = build_kernels(format_.horizontal_factor, centered=siting.horizontally_centered)
        self._vertical = build_kernels(format_.vertical_factor, centered=siting.vertically_centered)
        peak = 255 if format_.bit_depth <= 8 else 65535
        matrix = _build_matrix(format_, color) * peak
        matrix[:, :3] /= 2.0 ** (16 - format_.bit_depth)  # the planes are shifted up to 16 bits
        self._matrix = matrix.astype(np.float32)

    def find_layout(self, size: Size) -> DecodedLayout | None:
        """What a device needs to make the same codes; None for grey, and for 4:1:0, whose upsampled sums are not exact."""
        if self._format.kind == "gray" or len(self._horizontal) * len(self._vertical) > 4:
            return None
        rows, columns, matrix = (
            tuple(tuple(row.tolist()) for row in rows) for rows in (self._vertical, self._horizontal, self._matrix)
        )
        return DecodedLayout(size, self._format.bit_depth, rows, columns, matrix)

    def __call__(self, frame: av.VideoFrame) -> Samples:
        planes = self.extract_planes(frame)
        pixels = self._format.allocate_rgb(frame.height, frame.width)
        for first in range(0, frame.height, _BAND_ROWS):
            last = min(first + _BAND_ROWS, frame.height)
            self._convert_rows(planes, first, last, pixels[first:last])
        return pixels

    def extract_planes(self, frame: av.VideoFrame) -> list[Samples]:
        """Return views of the planes, which keep their memory: (height, width), top line first."""
        if self._format.planar_name != self._format.name:
            frame = _convert_to_planar(frame, self._format)
        bits, sizes = self._format.bit_depth, [(frame.width, frame.height)]
        if self._format.kind != "gray":
            sizes += [(-(-frame.width // self._format.horizontal_factor), -(-frame.height // self._format.vertical_factor))] * 2
        return [view_plane(plane, *size, bits) for plane, size in zip(frame.planes, sizes, strict=False)]

    def _convert_rows(self, planes: list[Samples], first: int, last: int, output: Samples) -> None:
        luma = self._to_uint16(planes[0][first:last])
        if len(planes) == 1:
            yuv = cv2.merge((luma, luma, luma))
        else:
            yuv = cv2.merge((luma, *(self._upsample_chroma_rows(plane, first, last, luma.shape[1]) for plane in planes[1:])))
        if output.dtype == np.uint16:
            transform_colors(yuv, self._matrix, output)
        else:
            cv2.convertScaleAbs(transform_colors(yuv, self._matrix), dst=output)

    def _upsample_chroma_rows(self, plane: Samples, first: int, last: int, width: int) -> NDArray[np.uint16]:
        rows = upsample_chroma_rows(plane, self._horizontal, self._vertical, first, last, self._to_uint16)
        return np.ascontiguousarray(rows[:, :width])

    def _to_uint16(self, plane: Samples) -> NDArray[np.uint16]:
        return np.left_shift(plane, 16 - self._format.bit_depth, dtype=np.uint16)
