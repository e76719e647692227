"""A small copy of a video for browsers, which play few codecs: the first frames as VP9 in WebM, without sound."""

from itertools import islice
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError

from ...atomic_write import atomic_write

_SIDE, _FRAMES = 1280, 600
_PLAYED = {("h264", "yuv420p"), ("vp9", "yuv420p"), ("av1", "yuv420p"), ("vp8", "yuv420p")}
"""codec and pixel format that browsers decode, in MP4 and WebM"""
_QUICK = {"deadline": "realtime", "cpu-used": "8", "crf": "30", "b": "0", "row-mt": "1"}


def write_browser_proxy(source: Path, target: Path) -> bool:
    """Write the first 600 frames, their longer side at most 1280 pixels; return whether it did.

    It does not for a video that browsers play, nor where the copy cannot be made: the video itself is complete.
    """
    try:
        return _write_copy(source, target)
    except (FFmpegError, OSError):
        return False


def _write_copy(source: Path, target: Path) -> bool:
    with av.open(str(source)) as reading:
        stream = reading.streams.video[0]
        codec = stream.codec_context
        if source.suffix.lower() in (".mp4", ".webm") and (codec.codec.canonical_name, codec.pix_fmt) in _PLAYED:
            return False
        scale = min(1.0, _SIDE / max(codec.width, codec.height))
        width, height = (max(2, round(side * scale) // 2 * 2) for side in (codec.width, codec.height))
        with atomic_write(target) as temp, av.open(str(temp), "w", format="webm") as writing:
            output: Any = writing  # PyAV's types leave its packets open
            track: Any = output.add_stream("libvpx-vp9", rate=stream.average_rate or 25, options=_QUICK)
            track.width, track.height, track.pix_fmt = width, height, "yuv420p"
            track.codec_context.time_base = stream.time_base
            for frame in islice(reading.decode(stream), _FRAMES):
                small = frame.reformat(width, height, "yuv420p")
                small.pts, small.time_base = frame.pts, frame.time_base
                output.mux(track.encode(small))
            output.mux(track.encode(None))
    return True
