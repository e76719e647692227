"""Where a film's chroma samples lie, found out from a decoded picture.

PyAV does not show ``AVFrame.chroma_location``, but swscale obeys it: a ramp is written over the chroma of a picture nobody
needs any more, and the red that swscale makes of it tells whether the chroma samples lie on the luma samples or between them.
"""

from __future__ import annotations

from typing import Literal

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from .pixels_in import PixelFormat, Siting, samples

_CENTRED_BY_STANDARD = {"mpeg1video", "mjpeg", "mjpegb"}
"""MPEG-1 (ISO/IEC 11172-2) and JFIF; every other codec that says nothing is taken as MPEG-2, H.264 and HEVC are."""
_SAID_BY_DECODER = {"h264", "hevc"}
"""FFmpeg's decoders of these always say where chroma lies. From others, "in the middle" may also mean "not said"."""
_RAMP, _STEP = 16, 6
"""Chroma samples in the ramp, codes (of 8 bits) per sample."""


def _offset(picture: av.VideoFrame, bits: int, axis: Literal[0, 1]) -> float:
    """How far along ``axis`` the chroma samples lie behind the first of their luma samples, in chroma samples (0 or 0.25)."""
    unit = 2 ** (bits - 8)
    luma, cb, cr = (samples(plane, plane.width, plane.height, bits) for plane in picture.planes[:3])
    luma[:], cb[:] = 120 * unit, 128 * unit
    middle = cr.shape[axis] // 2
    steps = np.array([max(-_RAMP // 2, min(_RAMP // 2, i - middle)) for i in range(cr.shape[axis])])
    ramp = (128 + _STEP * steps) * unit
    cr[:] = ramp[:, None] if axis == 0 else ramp
    flags = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
    shown = picture.reformat(
        format="gbrp",
        interpolation=flags,
        src_colorspace=Colorspace.ITU709,
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
    )
    blue, red = (samples(shown.planes[i], shown.width, shown.height, 8).astype(float) for i in (1, 2))
    lines = (red - blue).mean(1) if axis == 0 else (red - blue).mean(0)
    slope = (lines[2 * middle + 4] - lines[2 * middle - 4]) / 4
    return float(-lines[2 * middle] / slope)


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
    across = format_.across == 2 and _offset(picture, format_.bits, 1) > 0.125
    down = format_.down == 2 and _offset(picture, format_.bits, 0) > 0.125
    if across and codec not in _SAID_BY_DECODER:
        return Siting()
    return Siting(centred_across=across, centred_down=down)
