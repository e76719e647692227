"""Video files of every codec, pixel format, color tag, container, rate and sound, made by FFmpeg through PyAV."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from pathlib import Path

import av
import numpy as np

from ..video.clips import image, write

COLORS = ((40, 60, 200), (200, 60, 40), (30, 180, 90), (235, 235, 235), (5, 5, 5), (120, 110, 140))
"""One for each frame, R'G'B' in 8 bits: flat, so that chroma sampling and lossy coding change nothing."""
SIZE = (64, 48)
LUMA = {"bt709": (0.2126, 0.0722), "smpte170m": (0.299, 0.114), "bt2020nc": (0.2627, 0.0593)}
"""Red's and blue's weight in ITU-R BT.709, BT.601 and BT.2020."""
_TAGS = ("bt709", "smpte170m", "bt2020nc")


@dataclass(frozen=True)
class VideoCase:
    codec: str
    suffix: str
    pixel_format: str
    matrix: str = "bt709"
    color_range: str = "tv"
    rate: Fraction = Fraction(25)
    sound: str | None = None
    uneven: bool = False

    @property
    def name(self) -> str:
        return " ".join(str(value) for value in self.__dict__.values())

    @property
    def times(self) -> list[int]:
        """In units of a third of a frame."""
        return [0, 3, 7, 9, 14, 15] if self.uneven else list(range(0, 18, 3))

    def make(self, path: Path) -> None:
        frames = [_make_frame(color, self.pixel_format, self.matrix, self.color_range) for color in COLORS]
        transfer = "bt709" if self.matrix != "bt2020nc" else "bt2020-10"
        primaries = "bt2020" if self.matrix == "bt2020nc" else self.matrix
        tags = {"matrix": self.matrix, "range": self.color_range, "transfer": transfer, "primaries": primaries}
        pts = self.times if self.uneven else [time // 3 for time in self.times]
        base = 1 / (self.rate * 3) if self.uneven else 1 / self.rate
        options = {
            "libx264": {"crf": "1"},
            "libx265": {"crf": "1", "x265-params": "log-level=none"},
            "libvpx-vp9": {"crf": "2"},
        }
        lossy = {"mpeg4": {"qscale": "1", "flags": "+qscale", "global_quality": "118"}}
        chosen = options.get(self.codec) or lossy.get(self.codec) or {}
        write(
            path, frames, codec=self.codec, rate=self.rate, pts=pts, time_base=base, options=chosen, tags=tags, sound=self.sound
        )


def iterate_cases() -> Iterator[VideoCase]:
    formats = (
        *("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le", "yuv420p12le", "yuv444p12le"),
        *(
            "yuv420p16le",
            "yuv444p16le",
            "yuva420p",
            "yuva444p10le",
            "yuv410p",
            "yuv411p",
            "yuv440p",
            "gray",
            "gray10le",
            "gray16le",
        ),
        *("bgr0", "bgra", "gbrp9le", "gbrp10le", "gbrp12le", "gbrp16le", "rgb48le"),
    )
    for pixel_format, matrix, color_range, suffix in product(formats, _TAGS, ("tv", "pc"), ("mkv", "avi")):
        # AVI has no tags: small videos are BT.601, and grey is in full range as for FFmpeg.
        untagged_range = "pc" if pixel_format.startswith("gray") else "tv"
        if suffix == "mkv" or (matrix == "smpte170m" and color_range == untagged_range):
            yield VideoCase("ffv1", suffix, pixel_format, matrix, color_range)
    codecs = (
        *(("libx264", name) for name in ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le")),
        *(("libx265", name) for name in ("yuv420p", "yuv422p10le", "yuv444p12le", "gbrp")),
        *(("prores_ks", name) for name in ("yuv422p10le", "yuv444p10le", "yuva444p10le")),
        *(("libvpx-vp9", name) for name in ("yuv420p", "yuv444p", "yuv420p10le")),
        *(("mpeg4", "yuv420p"), ("mpeg2video", "yuv420p"), ("mjpeg", "yuvj420p"), ("png", "rgb24"), ("png", "rgba64be")),
        *(("huffyuv", "yuv422p"), ("utvideo", "gbrp"), ("utvideo", "yuv420p"), ("rawvideo", "yuv420p"), ("rawvideo", "rgb24")),
    )
    for (codec, pixel_format), suffix, uneven in product(codecs, ("mkv", "mp4", "mov", "avi", "ts", "webm"), (False, True)):
        if not (suffix == "avi" and (uneven or pixel_format == "rgb24")):  # AVI counts frames, and its raw RGB is BGR
            matrix = "bt709" if codec.startswith(("libx", "libvpx", "prores", "mpeg2")) else "smpte170m"
            yield VideoCase(codec, suffix, pixel_format, matrix, rate=Fraction(30000, 1001), uneven=uneven)
    rates = (
        Fraction(24000, 1001),
        Fraction(24),
        Fraction(12),
        Fraction(60000, 1001),
        Fraction(120),
        Fraction(1),
        Fraction(7, 3),
    )
    for rate, suffix, sound in product(rates, ("mkv", "mp4", "mov"), (None, "aac", "flac", "pcm_s16le")):
        yield VideoCase("libx264", suffix, "yuv420p", rate=rate, sound=sound)


def _make_frame(color: tuple[int, int, int], pixel_format: str, matrix: str, color_range: str) -> av.VideoFrame:
    """Convert by swscale, which knows nothing of our conversion; grey by the definition."""
    if pixel_format.startswith("gray"):
        red, blue = LUMA[matrix]
        luma = float(np.dot(np.array(color) / 255, (red, 1 - red - blue, blue)))
        bits = {"gray": 8, "gray10le": 10, "gray16le": 16}[pixel_format]
        code = luma * (2**bits - 1) if color_range == "pc" else (16 + 219 * luma) * 2 ** (bits - 8)
        return image([np.full((SIZE[1], SIZE[0]), round(code))], pixel_format)
    rgb = np.empty((SIZE[1], SIZE[0], 3), np.uint16)
    rgb[:] = np.array(color) * 257
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb48le")
    spaces = {"bt709": "ITU709", "smpte170m": "SMPTE170M", "bt2020nc": "BT2020"}
    return frame.reformat(
        format=pixel_format,
        src_color_range="JPEG",
        dst_color_range="JPEG" if color_range == "pc" or pixel_format.startswith(("rgb", "gbr", "bgr")) else "MPEG",
        dst_colorspace=spaces[matrix],
    )
