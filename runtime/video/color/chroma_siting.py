"""Detect the position of a video's chroma samples from a decoded frame.

PyAV does not expose ``AVFrame.chroma_location``, but swscale obeys it: a ramp is written over the chroma of a frame that is no
longer needed, and the red that swscale makes of it shows whether chroma samples are on luma samples or between them.
"""

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from numpy.typing import NDArray

from .yuv_to_rgb import ChromaSiting, PixelFormat, view_plane

_CENTERED_BY_STANDARD = {"mpeg1video", "mjpeg", "mjpegb"}
"""MPEG-1 (ISO/IEC 11172-2) and JFIF; other codecs that do not signal it are treated like MPEG-2, H.264 and HEVC."""
_REPORTED_BY_DECODER = {"h264", "hevc"}
"""FFmpeg's decoders of these always report the siting. From others, "centered" may also mean "not signaled"."""
_RAMP_SAMPLES, _RAMP_STEP = 16, 6
"""Chroma samples in the ramp, codes (of 8 bits) per sample."""
_TEST_LUMA = 120


def _measure_offsets(frame: av.VideoFrame, format_: PixelFormat) -> tuple[float, float]:
    """Return the (horizontal, vertical) distance from the first luma sample to its chroma sample: 0 or 0.25 chroma samples.

    Cr becomes a ramp from left to right, visible in red; Cb one from top to bottom, visible in blue.
    """
    code_scale = 2 ** (format_.bit_depth - 8)
    luma, cb, cr = (view_plane(plane, plane.width, plane.height, format_.bit_depth) for plane in frame.planes[:3])
    luma[:] = _TEST_LUMA * code_scale
    cb[:], cr[:] = _build_ramp(cb.shape[0], code_scale)[:, None], _build_ramp(cr.shape[1], code_scale)
    converted = frame.reformat(
        format="gbrp",
        interpolation=Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT,
        src_colorspace=Colorspace.ITU709,
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
    )
    _, blue, red = (view_plane(plane, plane.width, plane.height, 8) for plane in converted.planes)
    row, column = red[red.shape[0] // 2].astype(float), blue[:, blue.shape[1] // 2].astype(float)
    horizontal_offset = _measure_lag(row, cr.shape[1] // 2) if format_.horizontal_factor == 2 else 0.0
    vertical_offset = _measure_lag(column, cb.shape[0] // 2) if format_.vertical_factor == 2 else 0.0
    return horizontal_offset, vertical_offset


def _build_ramp(length: int, code_scale: int) -> NDArray[np.uint16]:
    """Neutral in the middle, ``_RAMP_STEP`` codes more with every sample."""
    distances = (max(-_RAMP_SAMPLES // 2, min(_RAMP_SAMPLES // 2, i - length // 2)) for i in range(length))
    return np.array([(128 + _RAMP_STEP * distance) * code_scale for distance in distances], np.uint16)


def _measure_lag(line: NDArray[np.float64], middle: int) -> float:
    """Return by how many chroma samples the ramp in ``line`` is late."""
    slope = (line[2 * middle + 4] - line[2 * middle - 4]) / 4
    neutral = (_TEST_LUMA - 16) / 219 * 255
    return float((neutral - line[2 * middle]) / slope)


def detect_chroma_siting(frame: av.VideoFrame, format_: PixelFormat, codec: str) -> ChromaSiting:
    """Return the siting of ``frame``, whose pixels this destroys.

    Frames too small to measure, and formats whose planes PyAV does not expose, get the default of MPEG-2.
    """
    if codec in _CENTERED_BY_STANDARD:
        return ChromaSiting(horizontally_centered=True)
    if max(format_.horizontal_factor, format_.vertical_factor) != 2 or format_.planar_name != format_.name:
        return ChromaSiting()
    if min(frame.width // format_.horizontal_factor, frame.height // format_.vertical_factor) <= _RAMP_SAMPLES:
        return ChromaSiting()
    frame.make_writable()
    is_horizontally_centered, is_vertically_centered = (lag > 0.125 for lag in _measure_offsets(frame, format_))
    if is_horizontally_centered and codec not in _REPORTED_BY_DECODER:
        return ChromaSiting()
    return ChromaSiting(horizontally_centered=is_horizontally_centered, vertically_centered=is_vertically_centered)
