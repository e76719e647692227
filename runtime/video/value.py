"""A film on ComfyUI's VIDEO wire: a recipe that behaves as ComfyUI's own VideoInput does, and is read frame by frame.

ComfyUI asks for these methods by name (``comfy_api.latest`` Input.Video). Those that need only facts answer from ``VideoInfo``;
``save_to`` streams; ``get_components``, which needs every frame in memory at once, says what that takes before it begins.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol, cast

import psutil

from ..errors import OutOfMemory
from ..frames.stream import Frame, FrameStream, Samples
from .from_comfyui import Part, exact_seconds, folder_of, part_of
from .journal import Parts
from .places import Begun, Place, Wish, write_at_its_place
from .read import Deinterlace, open_video
from .sequence import Gaps, ReadPicture, open_sequence, series, usual_rate
from .sequence import part_of as part_of_series
from .sequence_write import SequenceSettings, asked_for_pictures, begun_sequence, write_sequence
from .write import Settings, Watch, asked_for, write_video


class Viewer(Watch, Protocol):
    """A watch that can show a picture, too."""

    def preview(self, pixels: Samples, /) -> None:
        """Show a frame, or do nothing; nobody may keep it."""
        ...


OpenProgress = Callable[[int, str], AbstractContextManager[Viewer]]
"""How many, 0 when nobody knows, and of what."""
Say = Callable[[str], None]


class _Notes:
    """Where a recipe says things while it is being followed: to whoever follows it at that time."""

    def __init__(self) -> None:
        self._say: Say | None = None
        self._kept: list[str] = []

    def say(self, text: str) -> None:
        if self._say:
            self._say(text)
        elif text not in self._kept:
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
    """A film as a value: ``stream`` is the recipe, everything else is what ComfyUI's nodes ask a VIDEO.

    It is made of the way to any part of it, so that a trimmed film reads, and upscales, its own frames only.
    """

    def __init__(self, part: Part, progress: OpenProgress, notes: _Notes) -> None:
        self.part = part
        self.stream = part(Fraction(0), None)
        self.notes = notes
        self._progress = progress
        self._folder: Path | None = None

    def get_dimensions(self) -> tuple[int, int]:
        return self.stream.info.size.width, self.stream.info.size.height

    def get_frame_rate(self) -> Fraction:
        return self.stream.info.frame_rate

    def get_frame_count(self) -> int:
        """The number of frames, estimated from the duration where the file does not say it."""
        info = self.stream.info
        return info.frame_count if info.frame_count is not None else max(round(self._duration() * info.frame_rate), 1)

    def get_duration(self) -> float:
        return float(self._duration())

    def _duration(self) -> Fraction:
        info = self.stream.info
        if info.duration is not None:
            return info.duration
        return info.frame_count / info.frame_rate if info.frame_count is not None else Fraction(0)

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
        total, first = self._duration(), exact_seconds(start_time)
        first = max(total + first, Fraction(0)) if first < 0 else first
        length = min(exact_seconds(duration) or total, total - first)
        if first >= total or (strict_duration and length < exact_seconds(duration)):
            return None

        def part(start: Fraction, seconds: Fraction | None) -> FrameStream:
            rest = length - start
            return self.part(first + start, rest if seconds is None else min(seconds, rest))

        return VideoValue(part, self._progress, self.notes)

    def save_to(
        self, path: str | BytesIO, format: Any = "auto", codec: Any = "auto", metadata: Any = None, **more: Any
    ) -> None:
        """Encode to a file, as ComfyUI's SaveVideo asks: H.264 in MP4; ``crf`` and ``bit_depth`` are taken from ``more``.

        HDR becomes 10 bits where nothing else is asked for: in 8 it would show bands.
        """
        bits = more.get("bit_depth") or (10 if self.stream.info.colour.hdr else 8)
        crf = more.get("crf")
        settings = Settings(
            codec="h264", bits=10 if bits >= 10 else 8, crf=None if crf is None else round(crf), metadata=_tags(metadata)
        )
        if isinstance(path, BytesIO):
            with Path(self._spool(settings)).open("rb") as file:
                shutil.copyfileobj(file, path)
            return
        self.write(Path(path), settings, resume=False)

    def write(self, path: Path, settings: Settings, *, resume: bool = True, fresh: bool = False) -> Any:
        """Encode to ``path`` with progress; the writer's report."""
        with self._watched() as (stream, watch):
            return write_video(stream, path, settings, watch, resume=resume, fresh=fresh)

    def write_pictures(self, pattern: Path, settings: SequenceSettings, *, fresh: bool = False) -> list[Path]:
        """One picture file a frame, with progress; the first and the last."""
        with self._watched() as (stream, watch):
            return write_sequence(stream, pattern, settings, watch, fresh=fresh)

    @contextmanager
    def _watched(self) -> Generator[tuple[FrameStream, Viewer]]:
        """The recipe, and who is told of how far it has come and shown what comes out of it."""
        with self._progress(self.stream.info.frame_count or 0, "frame") as watch, self.notes.told_to(watch.say):

            def frames(first: int = 0) -> Iterator[Frame]:
                reused = 0
                with closing(cast("Generator[Frame]", self.stream.frames(first))) as coming:
                    for frame in coming:
                        reused += frame.repeated
                        watch.tell(reused=reused)
                        watch.preview(frame.pixels)
                        yield frame

            yield FrameStream(self.stream.info, frames, frames), watch

    def get_stream_source(self) -> str:
        """A file with this film, made once and kept as long as the value lives."""
        return self._spool(Settings(codec="h264", bits=10 if self.stream.info.colour.hdr else 8))

    def _spool(self, settings: Settings) -> str:
        self._folder = self._folder or folder_of(self)
        path = self._folder / f"{settings.codec}-{settings.bits}-{settings.crf}.mp4"
        if not path.exists():
            self.write(path, settings, resume=False)
        return str(path)

    def memory_of_components(self) -> int:
        """Bytes that ``get_components`` takes, as far as the file's header tells."""
        width, height = self.get_dimensions()
        return self.get_frame_count() * width * height * 3 * 4

    def get_components(self) -> Any:
        """Every frame as one float32 IMAGE, and the sound. Raises ``OutOfMemory`` when that is more than there is."""
        width, height = self.get_dimensions()
        wanted, free = self.memory_of_components(), psutil.virtual_memory().available
        takes = f"{self.get_frame_count()} frames of {width}x{height} take {wanted / 1e9:.1f} GB as IMAGE"
        hint = "Connect the video to Tiled Upscale Video and Video Out, which take one frame at a time."
        if wanted > free * 0.8:
            raise OutOfMemory(f"{takes}, and {free / 1e9:.1f} GB of memory are free.", hint, device="cpu", tile=0)
        with self._watched() as (stream, watch):
            if wanted > free * 0.2:
                watch.say(f"{takes}. {hint}")
            return _components(stream, self.get_frame_count(), watch)


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
    begin, length = exact_seconds(start), exact_seconds(duration) if duration else None

    def part(first: Fraction, seconds: Fraction | None) -> FrameStream:
        limits = [limit for limit in (seconds, None if length is None else length - first) if limit is not None]
        return open_video(
            path,
            start=begin + first,
            duration=min(limits, default=None),
            frame_cap=None if first else frame_cap,  # a later part ends by its own duration
            every_nth=every_nth,
            deinterlace=deinterlace,
            say=notes.say,
        )

    return VideoValue(part, progress, notes)


def open_pictures(
    place: Path, frame_rate: float, gaps: Gaps, read_picture: Callable[[Say], ReadPicture], progress: OpenProgress
) -> VideoValue:
    """A folder of pictures, or the pattern of their names, as a VIDEO. Raises what ``series`` and ``open_sequence`` raise."""
    notes, rate = _Notes(), usual_rate(frame_rate)
    pictures = series(place, gaps, say=notes.say)
    read = read_picture(notes.say)

    def part(start: Fraction, duration: Fraction | None) -> FrameStream:
        return open_sequence(part_of_series(pictures, rate, start, duration), rate, read)

    return VideoValue(part, progress, notes)


def map_value(value: Any, progress: OpenProgress, change: Callable[[FrameStream, Say], FrameStream]) -> VideoValue:
    """Any VIDEO with its recipe changed. ``change`` is asked again for each part that somebody trims off."""
    notes = value.notes if isinstance(value, VideoValue) else _Notes()
    part = _part(value, notes)
    return VideoValue(lambda start, duration: change(part(start, duration), notes.say), progress, notes)


def write_value(
    value: Any, progress: OpenProgress, settings: Settings, find_place: Callable[[int, int], Path], *, exactly: bool = False
) -> Path:
    """Encode any VIDEO to the place that ``find_place(width, height)`` names, and which is returned.

    Where that is a number further each time, the film goes on where its own run was stopped, whatever the number, and no other
    film is touched. ``exactly``: the place is the one that was asked for, and what is there is replaced.
    """
    film = _value(value, progress)

    def find() -> Path:
        return find_place(*film.get_dimensions())

    if exactly:
        path = find()
        film.write(path, settings)
        return path
    wish = Wish(film.stream.info.identity, lambda: asked_for(film.stream, find(), settings), film.notes.say)
    path, _ = write_at_its_place(
        lambda: Place(find(), _begun, ".parts"), wish, lambda path: film.write(path, settings, fresh=True)
    )
    return path


def _begun(path: Path) -> Begun | None:
    parts = Parts(path)
    return None if path.exists() else Begun(path, parts.asked(), parts.finished(), parts.folder)


def write_pictures(
    value: Any,
    progress: OpenProgress,
    settings: SequenceSettings,
    find_pattern: Callable[[int, int], Path],
    *,
    exactly: bool = False,
) -> tuple[Path, list[Path]]:
    """Any VIDEO as numbered pictures of the paths that ``find_pattern(width, height)`` gives (``frames_00001_/%05d.png``).

    The pattern that was taken, and the first and the last picture. The number of the folder is as that in ``write_value``.
    """
    film = _value(value, progress)
    pattern = find_pattern(*film.get_dimensions())
    if exactly:
        return pattern, film.write_pictures(pattern, settings)
    names = pattern.name
    wish = Wish(film.stream.info.identity, lambda: asked_for_pictures(film.stream.info, settings), film.notes.say)
    folder, written = write_at_its_place(
        lambda: Place(find_pattern(*film.get_dimensions()).parent, lambda folder: begun_sequence(folder / names)),
        wish,
        lambda folder: film.write_pictures(folder / names, settings, fresh=True),
    )
    return folder / names, written


def _value(value: Any, progress: OpenProgress) -> VideoValue:
    if isinstance(value, VideoValue):
        return value
    notes = _Notes()
    return VideoValue(_part(value, notes), progress, notes)


def _part(value: Any, notes: _Notes) -> Part:
    return value.part if isinstance(value, VideoValue) else part_of(value, notes.say)


def _components(stream: FrameStream, expected: int, watch: Watch) -> Any:
    """One array is made for as many frames as are expected, and made larger in the rare case that there are more."""
    import numpy as np
    import torch

    from .like_comfyui import VideoComponents
    from .like_comfyui_decode import sound_between

    info = stream.info
    frames = np.empty((expected, info.size.height, info.size.width, 3), np.float32)
    count = 0
    for frame in stream.open():
        if count == len(frames):
            frames = np.concatenate([frames, np.empty_like(frames[: count // 4 + 1])])
        np.divide(frame.pixels, np.float32(np.iinfo(frame.pixels.dtype).max), out=frames[count])
        count += 1
        watch.advance(1)
    audio = None
    if info.source and info.audio_streams:
        samples, rate = sound_between(info.source, info.start, info.end)
        audio = {"waveform": torch.as_tensor(samples)[None], "sample_rate": rate} if samples is not None else None
    return VideoComponents(torch.as_tensor(frames[:count]), info.frame_rate, audio)


def _tags(metadata: Mapping[str, Any] | None) -> dict[str, str]:
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in (metadata or {}).items()}
