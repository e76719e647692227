"""Test videos, and what a video on disk holds."""

from fractions import Fraction
from pathlib import Path

import av
import numpy


def make_video(path: Path, width: int, height: int, frames: int, rate: int = 10, bars: int = 0) -> None:
    """H.264 of a moving edge over noise that stays, between ``bars`` black lines above and below."""
    noise = numpy.random.default_rng(5).integers(0, 60, (height, width, 3), dtype=numpy.uint8)
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(frames):
            image = noise.copy()
            image[:, : (index + 1) * width // (frames + 1)] += 150
            image[:bars] = image[height - bars :] = 0
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def video(path: Path) -> tuple[list[numpy.ndarray], list[Fraction], list[str]]:
    """Its decoded frames in the video's own pixel format, their times in seconds, and what its streams are."""
    with av.open(path) as container:
        kinds = [f"{stream.type} {stream.codec_context.name}" for stream in container.streams]
        decoded = list(container.decode(video=0))
        frames = [frame.to_ndarray() for frame in decoded]
        times = [(frame.pts or 0) * (frame.time_base or Fraction(0)) for frame in decoded]
    return frames, times, kinds
