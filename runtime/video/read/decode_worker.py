"""The process that ``decoder_process`` starts: open a video, and write its frames to the pipe."""

import json
import os
import signal
import sys
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import numpy as np

from ...errors import MediaError
from ...media import Frame, FrameNumber
from .video_reader import open_video


def main() -> None:
    """Read the request from the command line. A signal of the terminal is for the process that reads, and this one follows."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    with os.fdopen(os.dup(1), "wb") as pipe:
        os.dup2(2, 1)  # what a library prints must not be taken for a frame
        with suppress(BrokenPipeError):
            _answer(json.loads(sys.argv[1]), pipe)
            pipe.flush()


def _answer(request: dict[str, Any], pipe: IO[bytes]) -> None:
    begun = not request.get("only opens")

    def write(**item: Any) -> None:
        if begun:
            pipe.write(json.dumps(item).encode() + b"\n")

    def write_message(text: str) -> None:
        if is_reading:  # those of opening were given where the video was opened first
            write(message=text)

    is_reading = False
    try:
        arguments: dict[str, Any] = dict(request["arguments"])
        for name in ("start", "duration"):
            arguments[name] = None if arguments[name] is None else Fraction(arguments[name])
        stream = open_video(Path(request["path"]), **arguments, prefetch_bytes=0, on_message=write_message)
        is_reading = True
        with stream.frames(_parse_first_frame(request) if begun else 0) as frames:
            for frame in frames:
                if not begun:
                    return None
                _write_frame(frame, write, pipe)
    except MediaError as error:
        return write(error=error.what, hint=error.hint)
    return write(end=True)


def _parse_first_frame(request: dict[str, Any]) -> int:
    number, times = request["first frame"], request["times"]
    return FrameNumber.at(number, *map(Fraction, times)) if times else number


def _write_frame(frame: Frame, write: Any, pipe: IO[bytes]) -> None:
    pixels = np.ascontiguousarray(frame.pixels)
    facts = {"shape": pixels.shape, "dtype": pixels.dtype.name, "pts": frame.pts, "duration": frame.duration}
    write(**facts, **{"time base": str(frame.time_base)})
    pipe.write(pixels.data)
    pipe.flush()
