"""A film on ComfyUI's VIDEO wire: a recipe that behaves as ComfyUI's own VideoInput does, and is read frame by frame.

ComfyUI asks for these methods by name (``comfy_api.latest`` Input.Video). Those that need only facts answer from ``VideoInfo``;
``save_to`` streams; ``get_components``, which needs every frame in memory at once, says what that would take before it begins.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import psutil

from ..errors import MediaError, OutOfMemory, WorkflowError
from ..frames.stream import Frame, FrameStream
from .journal import Parts
from .read import Deinterlace, open_video
from .write import Settings, Watch, write_video

OpenProgress = Callable[[int, str], AbstractContextManager[Watch]]
Say = Callable[[str], None]


class _Notes:
    """Where a recipe says things while it is being followed: to whoever follows it at that time."""

    def __init__(self) -> None:
        self._say: Say | None = None
        self._kept: list[str] = []

    def say(self, text: str) -> None:
        if self._say:
            self._say(text)
        else:
            self._kept.append(text)

    @contextmanager
    def told_to(self, say: Say) -> Generator[None]:
        """Inside, sentences go to ``say``; what was said before goes there first."""
        self._say = say
        for text in self._kept:
            say(text)
        self._kept.clear()
        try:
            yield
        finally:
            self._say = None


class VideoValue:
    """A film as a value: ``stream`` is the recipe, everything else is what ComfyUI's nodes ask a VIDEO."""

    def __init__(self, stream: FrameStream, progress: OpenProgress, notes: _Notes) -> None:
        self.stream = stream
        self.notes = notes
        self._progress = progress
        self._spooled: tempfile.TemporaryDirectory[str] | None = None

    def get_dimensions(self) -> tuple[int, int]:
        return self.stream.info.size.width, self.stream.info.size.height

    def get_frame_rate(self) -> Fraction:
        return self.stream.info.frame_rate

    def get_frame_count(self) -> int:
        """The number of frames, estimated from the duration where the file does not say it."""
        info = self.stream.info
        return info.frame_count if info.frame_count is not None else max(round(self.get_duration() * info.frame_rate), 1)

    def get_duration(self) -> float:
        info = self.stream.info
        if info.duration is not None:
            return float(info.duration)
        return float(info.frame_count / info.frame_rate) if info.frame_count is not None else 0.0

    def get_bit_depth(self) -> int:
        return self.stream.info.bits

    def get_active_trim_window(self) -> tuple[float, float]:
        return 0.0, 0.0

    def get_container_format(self) -> str:
        return "mp4"

    def as_trimmed(self, start_time: float = 0.0, duration: float = 0.0, strict_duration: bool = False) -> VideoValue | None:
        """The part from ``start_time`` on (counted from the end when negative), ``duration`` seconds long or to the end for 0.

        None when there is less than that and ``strict_duration`` asks for all of it, or nothing at all.
        """
        total, start = _exact(self.get_duration()), _exact(start_time)
        start = max(total + start, Fraction(0)) if start < 0 else start
        end = start + _exact(duration) if duration else total
        if start >= total or (strict_duration and end > total):
            return None
        return VideoValue(_between(self.stream, start, min(end, total)), self._progress, self.notes)

    def save_to(
        self, path: str | BytesIO, format: Any = "auto", codec: Any = "auto", metadata: Any = None, **more: Any
    ) -> None:
        """Encode to a file, as ComfyUI's SaveVideo asks: H.264 in MP4; ``crf`` and ``bit_depth`` are taken from ``more``."""
        settings = Settings(codec="h264", bits=10 if (more.get("bit_depth") or 8) >= 10 else 8, crf=more.get("crf"))
        settings = replace(settings, metadata=_tags(metadata))
        if isinstance(path, BytesIO):
            with Path(self._spool(settings)).open("rb") as file:
                shutil.copyfileobj(file, path)
            return
        self.write(Path(path), settings, resume=False)

    def write(self, path: Path, settings: Settings, *, resume: bool = True) -> Any:
        """Encode to ``path`` with progress; the writer's report."""
        with self._progress(self.get_frame_count(), "frame") as watch, self.notes.told_to(watch.say):
            return write_video(self.stream, path, settings, watch, resume=resume)

    def get_stream_source(self) -> str:
        """A file with this film, made once and kept as long as the value lives."""
        return self._spool(Settings(codec="h264", bits=8))

    def _spool(self, settings: Settings) -> str:
        if self._spooled is None:
            self._spooled = tempfile.TemporaryDirectory(prefix="upscale8k-video-")
        path = Path(self._spooled.name) / f"{settings.codec}-{settings.bits}-{settings.crf}.mp4"
        if not path.exists():
            self.write(path, settings, resume=False)
        return str(path)

    def get_components(self) -> Any:
        """Every frame as one float32 IMAGE. Raises ``OutOfMemory`` when that is more than there is."""
        width, height = self.get_dimensions()
        wanted = self.get_frame_count() * width * height * 3 * 4
        free = psutil.virtual_memory().available
        if wanted > free * 0.8:
            raise OutOfMemory(
                f"{self.get_frame_count()} frames of {width}x{height} are {wanted / 1e9:.1f} GB as pictures, "
                f"and {free / 1e9:.1f} GB are free.",
                "Connect the video to Tiled Upscale Video and Video Out, which take one frame at a time.",
                device="cpu",
                tile=0,
            )
        return _components(self.stream)


def open_value(
    path: Path,
    progress: OpenProgress,
    start: float,
    duration: float,
    frame_cap: int | None,
    every_nth: int,
    deinterlace: Deinterlace,
) -> VideoValue:
    """A file as a VIDEO; times in seconds, a duration of 0 is all the rest. Raises what ``open_video`` raises."""
    notes = _Notes()
    stream = open_video(
        path,
        start=_exact(start),
        duration=_exact(duration) if duration else None,
        frame_cap=frame_cap,
        every_nth=every_nth,
        deinterlace=deinterlace,
        say=notes.say,
    )
    return VideoValue(stream, progress, notes)


def map_value(value: Any, progress: OpenProgress, change: Callable[[FrameStream, Say], FrameStream]) -> VideoValue:
    """Any VIDEO with its recipe changed."""
    notes = value.notes if isinstance(value, VideoValue) else _Notes()
    return VideoValue(change(as_stream(value, notes.say), notes.say), progress, notes)


def write_value(value: Any, progress: OpenProgress, settings: Settings, find: Callable[[int, int], Path]) -> Path:
    """Encode any VIDEO to the place that ``find(width, height)`` names, or go on with an unfinished one just before it."""
    film = map_value(value, progress, lambda stream, _: stream)
    path = _unfinished(find(*film.get_dimensions()))
    film.write(path, settings)
    return path


def _unfinished(path: Path) -> Path:
    """A counter moves on when there is anything of that name, so a stopped run is looked for one number earlier."""
    match = re.fullmatch(r"(.+_)(\d+)(_\.\w+)", path.name)
    if match is None:
        return path
    before = path.with_name(f"{match.group(1)}{int(match.group(2)) - 1:0{len(match.group(2))}}{match.group(3)}")
    return before if Parts(before).folder.is_dir() and not before.exists() else path


def as_stream(value: Any, say: Say) -> FrameStream:
    """The recipe behind any VIDEO: ours, or one of ComfyUI's own, whose file is opened."""
    if isinstance(value, VideoValue):
        return value.stream
    source = getattr(value, "get_stream_source", None)
    if source is None:
        raise WorkflowError(f"A VIDEO was expected, not {type(value).__name__}.", "Connect Video In or Load Video.")
    found = source()
    if not isinstance(found, str):
        raise MediaError("This VIDEO exists in memory only.", "Save it with Save Video, then load the file with Video In.")
    start, duration = value.get_active_trim_window()
    return open_video(Path(found), start=_exact(start), duration=_exact(duration) if duration else None, say=say)


def _exact(seconds: float) -> Fraction:
    """To the microsecond: what a person typed, not its binary neighbour."""
    return Fraction(seconds).limit_denominator(1_000_000)


def _between(stream: FrameStream, start: Fraction, end: Fraction) -> FrameStream:
    info = stream.info
    first = round(start / info.time_base)

    def frames() -> Iterator[Frame]:
        for frame in stream.open():
            if frame.seconds >= end:
                return
            if frame.seconds >= start:
                yield replace(frame, pts=frame.pts - first)

    trimmed = replace(
        info,
        frame_count=None,
        frame_count_from="unknown",
        duration=end - start,
        start=info.start + start,
        end=info.start + end,
        identity=f"{info.identity} | from {start} to {end}",
    )
    return FrameStream(trimmed, frames)


def _components(stream: FrameStream) -> Any:
    import numpy as np
    import torch

    from .like_comfyui import VideoComponents

    pictures = [
        torch.as_tensor(frame.pixels.astype(np.float32) / np.float32(np.iinfo(frame.pixels.dtype).max))
        for frame in stream.open()
    ]
    return VideoComponents(torch.stack(pictures), stream.info.frame_rate)


def _tags(metadata: Mapping[str, Any] | None) -> dict[str, str]:
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in (metadata or {}).items()}
