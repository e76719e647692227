"""Small videos of known content, made at test time."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

RANGES = {"tv": 1, "pc": 2}
MATRICES = {"bt709": 1, "smpte170m": 6, "bt2020nc": 9}
PRIMARIES = {"bt709": 1, "smpte170m": 6, "bt2020": 9}
TRANSFERS = {"bt709": 1, "smpte170m": 6, "bt2020-10": 14, "smpte2084": 16, "arib-std-b67": 18}


def image(planes: Sequence[NDArray[Any]], pixel_format: str) -> av.VideoFrame:
    """Return a frame of exactly these planes."""
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, pixel_format)
    for plane, values in zip(frame.planes, planes, strict=True):
        dtype = np.uint16 if frame.format.components[0].bits > 8 else np.uint8
        lines = np.frombuffer(plane, dtype).reshape(plane.height, -1)
        lines[:, : plane.width] = values
    return frame


def numbered(count: int, width: int = 64, height: int = 48) -> list[av.VideoFrame]:
    """Gray frames of one value each, which encodes its number: 20 + 2 * number, from 0 again after 100."""
    chroma = np.full((-(-height // 2), -(-width // 2)), 128)
    levels = [20 + 2 * (i % 100) for i in range(count)]
    return [image([np.full((height, width), level), chroma, chroma], "yuv420p") for level in levels]


def write(
    path: Path,
    frames: Iterable[av.VideoFrame],
    *,
    codec: str = "ffv1",
    rate: Fraction | int = 25,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    options: dict[str, str] | None = None,
    tags: dict[str, str] | None = None,
    sound: str | None = None,
    rotation: int = 0,
    aspect: Fraction | None = None,
    container_options: dict[str, str] | None = None,
    format_: str | None = None,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write a video of these frames. ``tags``: matrix, range, transfer, primaries by FFmpeg's names, each optional."""
    frames = list(frames)
    base = time_base or 1 / Fraction(rate)
    with av.open(str(path), "w", options=container_options or {}, format=format_) as out:
        out.metadata.update(metadata or {})
        stream = out.add_stream(codec, rate=Fraction(rate), options=options or {})
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, frames[0].format.name
        stream.codec_context.time_base = base
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        _tag(stream.codec_context, tags or {})
        if rotation:
            stream.set_display_rotation(rotation)
        audio = out.add_stream(sound, rate=16000, layout="mono") if sound else None
        for number, frame in enumerate(frames):
            frame.pts = pts[number] if pts else number
            frame.time_base = base
            _tag(frame, tags or {})
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if audio:
            tone = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), format="s16", layout="mono")
            tone.sample_rate, tone.pts = 16000, 0
            out.mux(audio.encode(tone))
            out.mux(audio.encode(None))
    return path


def _tag(holder: Any, tags: dict[str, str]) -> None:
    holder.colorspace = MATRICES.get(tags.get("matrix", ""), 2)
    holder.color_range = RANGES.get(tags.get("range", ""), 0)
    holder.color_trc = TRANSFERS.get(tags.get("transfer", ""), 2)
    holder.color_primaries = PRIMARIES.get(tags.get("primaries", ""), 2)


def packets(path: Path) -> list[tuple[int, int, int]]:
    """Return the time, the position in the file and the length of every video packet."""
    with av.open(str(path)) as container:
        return [(p.pts, p.pos, p.size) for p in container.demux(video=0) if p.size and p.pts is not None and p.pos is not None]


def overwrite(path: Path, start: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(data)


def shorten(path: Path, length: int) -> Path:
    path.write_bytes(path.read_bytes()[:length])
    return path
