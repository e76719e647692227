"""Where a film's chroma samples lie, found out from a decoded picture.

PyAV does not show ``AVFrame.chroma_location``, but swscale obeys it: a ramp is written over the chroma of a picture nobody
needs any more, and the red that swscale makes of it tells whether the chroma samples lie on the luma samples or between them.
"""

from __future__ import annotations

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from numpy.typing import NDArray

from .pixels_in import PixelFormat, Siting, samples

_CENTRED_BY_STANDARD = {"mpeg1video", "mjpeg", "mjpegb"}
"""MPEG-1 (ISO/IEC 11172-2) and JFIF; every other codec that says nothing is taken as MPEG-2, H.264 and HEVC are."""
_SAID_BY_DECODER = {"h264", "hevc"}
"""FFmpeg's decoders of these always say where chroma lies. From others, "in the middle" may also mean "not said"."""
_RAMP, _STEP = 16, 6
"""Chroma samples in the ramp, codes (of 8 bits) per sample."""
_LUMA = 120


def _offsets(picture: av.VideoFrame, format_: PixelFormat) -> tuple[float, float]:
    """How far the chroma samples lie behind the first of their luma samples, in chroma samples (0 or 0.25): across, down.

    Cr becomes a ramp from left to right, which shows in red; Cb one from top to bottom, which shows in blue.
    """
    unit = 2 ** (format_.bits - 8)
    luma, cb, cr = (samples(plane, plane.width, plane.height, format_.bits) for plane in picture.planes[:3])
    luma[:], cb[:], cr[:] = _LUMA * unit, _ramp(cb.shape[0], unit)[:, None], _ramp(cr.shape[1], unit)
    shown = picture.reformat(
        format="gbrp",
        interpolation=Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT,
        src_colorspace=Colorspace.ITU709,
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
    )
    _, blue, red = (samples(plane, plane.width, plane.height, 8) for plane in shown.planes)
    row, column = red[red.shape[0] // 2].astype(float), blue[:, blue.shape[1] // 2].astype(float)
    across = _lag(row, cr.shape[1] // 2) if format_.across == 2 else 0.0
    down = _lag(column, cb.shape[0] // 2) if format_.down == 2 else 0.0
    return across, down


def _ramp(length: int, unit: int) -> NDArray[np.uint16]:
    """Neutral in the middle, ``_STEP`` codes more with every sample."""
    distances = (max(-_RAMP // 2, min(_RAMP // 2, i - length // 2)) for i in range(length))
    return np.array([(128 + _STEP * distance) * unit for distance in distances], np.uint16)


def _lag(line: NDArray[np.float64], middle: int) -> float:
    """By how many chroma samples the ramp in ``line`` comes later than its samples' numbers say."""
    slope = (line[2 * middle + 4] - line[2 * middle - 4]) / 4
    neutral = (_LUMA - 16) / 219 * 255
    return float((neutral - line[2 * middle]) / slope)


def siting(picture: av.VideoFrame, format_: PixelFormat, codec: str) -> Siting:
    """The siting of ``picture``, whose pixels this destroys.

    Pictures too small to tell, and formats whose planes PyAV does not lend, follow the rule.
    """
    if codec in _CENTRED_BY_STANDARD:
        return Siting(centred_across=True)
    if max(format_.across, format_.down) != 2 or format_.carrier != format_.name:
        return Siting()
    if min(picture.width // format_.across, picture.height // format_.down) <= _RAMP:
        return Siting()
    picture.make_writable()
    across, down = (lag > 0.125 for lag in _offsets(picture, format_))
    if across and codec not in _SAID_BY_DECODER:
        return Siting()
    return Siting(centred_across=across, centred_down=down)
