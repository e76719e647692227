"""Decode in a process of its own, so that a crash of FFmpeg is an error of one video and not the end of a server.

The process runs ``decode_worker`` and writes to a pipe: for each item a line of JSON, and after it the pixels of a frame. A
pipe holds less than a frame, so the worker waits for its reader, and it ends when the pipe is closed. Measured on two cores: a
frame of 1080p takes 4 ms more of processor time than the 20 ms of decoding it, one of 4K 18 ms more than 79 ms, and each start
half a second and 70 MB.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from ...errors import MediaError
from ...media import Frame, FrameNumber, Samples
from .container import make_undecodable_error

ENV = "UPSCALE8K_DECODER_PROCESS"
"""1: videos are decoded in a process of their own."""
_ROOT = Path(__file__).resolve().parents[3]
_SCRIPT = (
    f"import sys; sys.path.insert(0, {str(_ROOT)!r}); from runtime.bootstrap import load_pack; load_pack(); "
    "from upscale8k.runtime.video.read.decode_worker import main; main()"
)
_PIPE_BYTES = 1 << 20


def is_requested() -> bool:
    return os.environ.get(ENV) == "1"


@dataclass(frozen=True)
class VideoRequest:
    """The arguments of ``open_video``."""

    path: Path
    start: Fraction
    duration: Fraction | None
    frame_cap: int | None
    every_nth: int
    deinterlace: str
    alpha: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return all but the path, with times as text."""
        times = {"start": str(self.start), "duration": None if self.duration is None else str(self.duration)}
        return {
            **times,
            "frame_cap": self.frame_cap,
            "every_nth": self.every_nth,
            "deinterlace": self.deinterlace,
            "alpha": self.alpha,
        }


def check_survives(request: VideoRequest) -> None:
    """Open the video once in a process of its own, before it is opened here. Raises ``MediaError`` if that process crashes.

    Any other error is left to who opens it here.
    """
    stat = request.path.stat() if request.path.is_file() else None
    if stat and (reason := _open_once(request, stat.st_size, stat.st_mtime_ns)):
        raise make_undecodable_error(request.path, f"FFmpeg crashes when it opens it ({reason})")


@lru_cache(maxsize=64)
def _open_once(request: VideoRequest, *_unchanged: int) -> str:
    """Return how the process crashed, or "". The further arguments are those that say whether the file is still the same."""
    with _start(request.path, {"arguments": request.as_json(), "only opens": True}) as (process, pipe):
        pipe.read()
        return _describe_crash(process.wait())


def read_in_process(request: VideoRequest, first_frame: int) -> Generator[Frame | str]:
    """Yield the frames and messages of ``open_video`` from ``first_frame`` on.

    Raises what the reader raises, and ``MediaError`` with the number of the last frame if the process ends before.
    """
    path = request.path
    times = None
    if isinstance(first_frame, FrameNumber) and hasattr(first_frame, "seconds"):
        times = [str(first_frame.seconds_before), str(first_frame.seconds)]
    last_frame = int(first_frame)
    job = {"arguments": request.as_json(), "first frame": last_frame, "times": times}
    with _start(path, job) as (process, pipe):
        while line := pipe.readline():
            item = json.loads(line)
            if "shape" in item:
                pixels = cast("Samples", np.empty(item["shape"], item["dtype"]))
                if cast("Any", pipe).readinto(pixels.reshape(-1).view(np.uint8)) != pixels.nbytes:
                    break
                last_frame += 1
                yield Frame(pixels, item["pts"], item["duration"], Fraction(item["time base"]))
            elif "message" in item:
                yield item["message"]
            elif "error" in item:
                raise MediaError(item["error"], item["hint"], path=path)
            else:
                return
        reason = _describe_crash(process.wait()) or "it ended too early"
    raise make_undecodable_error(path, f"FFmpeg crashes after frame {last_frame} ({reason}), and the process here goes on")


@contextmanager
def _start(path: Path, request: Mapping[str, Any]) -> Generator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """Start a worker with a pipe to read from; it is ended after the block."""
    command = [sys.executable, "-c", _SCRIPT, json.dumps({"path": str(path.absolute()), **request})]
    environment = {**os.environ, ENV: "0"}
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment) as process:
        try:
            pipe = cast("IO[bytes]", process.stdout)
            if sys.platform == "linux":
                import fcntl

                fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            yield process, pipe
        finally:
            process.kill()


def _describe_crash(status: int) -> str:
    """Return the signal or the code of the system with which a process ended; "" for an exit code of its own."""
    if sys.platform == "win32":
        return f"code {status & 0xFFFFFFFF:#x}" if status & 0xC0000000 == 0xC0000000 else ""
    return signal.Signals(-status).name if status < 0 else ""
