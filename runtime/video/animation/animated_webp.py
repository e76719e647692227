"""Animated WebP files, which this FFmpeg does not read: Pillow decodes them, one frame at a time."""

from collections.abc import Generator
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

import av
import numpy as np
from PIL import Image

from ...errors import MediaError
from ...images import read_webp_animation, translate_decoder_errors
from ...media import Size, VideoInfo
from ..color.color_codes import resolve_color_info

_UNIT = Fraction(1, 1000)


def is_animated_webp(path: Path) -> bool:
    """Return whether a file is a WebP whose header announces an animation (RFC 9649, section 2.7.1)."""
    try:
        with path.open("rb") as file:
            head = file.read(21)
    except OSError:  # reported when it is opened
        return False
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and len(head) == 21 and bool(head[20] & 2)


def read_webp_info(path: Path, identity: str) -> VideoInfo:
    """Return the properties of an animated WebP, without decoding. Raises ``MediaError`` for a damaged file."""
    with translate_decoder_errors(path):
        found = read_webp_animation(path)
        with Image.open(path) as image:
            size = Size(*image.size)
    if not found.durations:
        raise MediaError(f"{path.name} has no frames.", "Export it again.", path=path)
    count, duration = len(found.durations), sum(found.durations) * _UNIT
    color = resolve_color_info(matrix=2, range_=0, transfer=2, primaries=2, coded_size=size, bits=8, kind="rgb")
    return VideoInfo(
        size=size,
        frame_rate=count / duration if duration else Fraction(10),
        time_base=_UNIT,
        frame_count=count,
        frame_count_source="header",
        duration=duration or None,
        color=color,
        bit_depth=8,
        play_count=found.play_count,
        identity=identity,
    )


def decode_webp_frames(path: Path) -> Generator[av.VideoFrame]:
    """Yield the composed frames, RGBA, with their times in milliseconds."""
    with translate_decoder_errors(path):
        durations = read_webp_animation(path).durations
        image = Image.open(path)
    with image:
        for number, pts in enumerate(accumulate(durations[:-1], initial=0)):
            with translate_decoder_errors(path):
                image.seek(number)
                frame = av.VideoFrame.from_ndarray(np.asarray(image.convert("RGBA")), format="rgba")
            frame.pts, frame.duration, frame.time_base = pts, durations[number], _UNIT
            yield frame
