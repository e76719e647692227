"""A film on ComfyUI's VIDEO wire: a recipe that behaves as ComfyUI's own VideoInput does, and is read frame by frame.

ComfyUI asks for these methods by name (``comfy_api.latest`` Input.Video). Those that need only facts answer from ``VideoInfo``;
``save_to`` streams; ``get_components``, which needs every frame in memory at once, says what that takes before it begins.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import psutil

from ...errors import OutOfMemory
from ...media.video_stream import Frame, VideoStream
from ...progress import OnMessage, OpenProgress, Progress, ProgressRelay
from ...video.read.video_reader import DeinterlaceMode, open_video
from ...video.sequence.read import Gaps, ReadImage, list_sequence_frames, open_sequence, snap_frame_rate
from ...video.sequence.read import select_time_range as part_of_series
from ...video.sequence.write import SequenceSettings, find_unfinished_sequence, get_sequence_job_settings, write_sequence
from ...video.write.journal import SegmentFolder
from ...video.write.resume import OutputSlot, ResumeRequest, UnfinishedOutput, write_or_resume
from ...video.write.video_writer import VideoWriteSettings, get_video_job_settings, write_video
from .foreign_video import OpenTimeRange, make_range_opener, make_temp_folder, to_exact_seconds


class VideoValue:
    """A film as a value: ``stream`` is the recipe, everything else is what ComfyUI's nodes ask a VIDEO.

    It is made of the way to any part of it, so that a trimmed film reads, and upscales, its own frames only.
    """

    def __init__(self, open_range: OpenTimeRange, open_progress: OpenProgress, messages: ProgressRelay) -> None:
        self.open_range = open_range
        self.stream = open_range(Fraction(0), None)
        self.messages = messages
        self._open_progress = open_progress
        self._temp_folder: Path | None = None

    def get_dimensions(self) -> tuple[int, int]:
        return self.stream.info.size.width, self.stream.info.size.height

    def get_frame_rate(self) -> Fraction:
        return self.stream.info.frame_rate

    def get_frame_count(self) -> int:
        """The number of frames, estimated from the duration where the file does not say it."""
        info = self.stream.info
        return info.frame_count if info.frame_count is not None else max(round(self._get_exact_duration() * info.frame_rate), 1)

    def get_duration(self) -> float:
        return float(self._get_exact_duration())

    def _get_exact_duration(self) -> Fraction:
        info = self.stream.info
        if info.duration is not None:
            return info.duration
        return info.frame_count / info.frame_rate if info.frame_count is not None else Fraction(0)

    def get_bit_depth(self) -> int:
        return self.stream.info.bit_depth

    def get_active_trim_window(self) -> tuple[float, float]:
        return 0.0, 0.0

    def get_container_format(self) -> str:
        return "mp4"

    def as_trimmed(self, start_time: float = 0.0, duration: float = 0.0, strict_duration: bool = False) -> VideoValue | None:
        """The part from ``start_time`` on (counted from the end when negative), ``duration`` seconds long or to the end for 0.

        None when there is less than that and ``strict_duration`` asks for all of it, or nothing at all.
        """
        total, first = self._get_exact_duration(), to_exact_seconds(start_time)
        first = max(total + first, Fraction(0)) if first < 0 else first
        length = min(to_exact_seconds(duration) or total, total - first)
        if first >= total or (strict_duration and length < to_exact_seconds(duration)):
            return None

        def open_range(start: Fraction, seconds: Fraction | None) -> VideoStream:
            remaining = length - start
            return self.open_range(first + start, remaining if seconds is None else min(seconds, remaining))

        return VideoValue(open_range, self._open_progress, self.messages)

    def save_to(
        self, path: str | BytesIO, format: Any = "auto", codec: Any = "auto", metadata: Any = None, **more: Any
    ) -> None:
        """Encode to a file, as ComfyUI's SaveVideo asks: H.264 in MP4; ``crf`` and ``bit_depth`` are taken from ``more``.

        HDR becomes 10 bits where nothing else is asked for: in 8 it would show bands.
        """
        bits = more.get("bit_depth") or (10 if self.stream.info.color.is_hdr else 8)
        crf = more.get("crf")
        settings = VideoWriteSettings(
            codec="h264", bits=10 if bits >= 10 else 8, crf=None if crf is None else round(crf), metadata=_format_tags(metadata)
        )
        if isinstance(path, BytesIO):
            with Path(self._spool_to_file(settings)).open("rb") as file:
                shutil.copyfileobj(file, path)
            return
        self.write(Path(path), settings, resume=False)

    def write(self, path: Path, settings: VideoWriteSettings, *, resume: bool = True, fail_if_exists: bool = False) -> Any:
        """Encode to ``path`` with progress; the writer's report."""
        with self._track_progress() as (stream, progress):
            return write_video(stream, path, settings, progress, resume=resume, fail_if_exists=fail_if_exists)

    def write_sequence(self, pattern: Path, settings: SequenceSettings, *, fail_if_exists: bool = False) -> list[Path]:
        """One picture file a frame, with progress; the first and the last."""
        with self._track_progress() as (stream, progress):
            return write_sequence(stream, pattern, settings, progress, fail_if_exists=fail_if_exists)

    @contextmanager
    def _track_progress(self) -> Generator[tuple[VideoStream, Progress]]:
        """The recipe, and who is told of how far it has come and shown what comes out of it."""
        with (
            self._open_progress(self.stream.info.frame_count or 0, "frame") as progress,
            self.messages.forward_to(progress),
        ):

            def iterate_frames(first: int = 0) -> Iterator[Frame]:
                reused_count = 0
                with self.stream.frames(first) as frames:
                    for frame in frames:
                        reused_count += frame.is_repeat
                        progress.update(reused=reused_count)
                        progress.preview(frame.pixels)
                        yield frame

            yield VideoStream(self.stream.info, iterate_frames, iterate_frames), progress

    def get_stream_source(self) -> str:
        """A file with this film, made once and kept as long as the value lives."""
        return self._spool_to_file(VideoWriteSettings(codec="h264", bits=10 if self.stream.info.color.is_hdr else 8))

    def _spool_to_file(self, settings: VideoWriteSettings) -> str:
        self._temp_folder = self._temp_folder or make_temp_folder(self)
        path = self._temp_folder / f"{settings.codec}-{settings.bits}-{settings.crf}.mp4"
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
        needed, free = self.memory_of_components(), psutil.virtual_memory().available
        summary = f"{self.get_frame_count()} frames of {width}x{height} take {needed / 1e9:.1f} GB as IMAGE"
        hint = "Connect the video to Tiled Upscale Video and Video Out, which take one frame at a time."
        if needed > free * 0.8:
            raise OutOfMemory(f"{summary}, and {free / 1e9:.1f} GB of memory are free.", hint, device="cpu", tile=0)
        with self._track_progress() as (stream, progress):
            if needed > free * 0.2:
                progress.message(f"{summary}. {hint}")
            return _collect_components(stream, self.get_frame_count(), progress)


def open_video_value(
    path: Path,
    open_progress: OpenProgress,
    start: float,
    duration: float,
    frame_cap: int | None,
    every_nth: int,
    deinterlace: DeinterlaceMode,
) -> VideoValue:
    """A file as a VIDEO; times in seconds, a duration of 0 is all the rest. Raises what ``open_video`` raises."""
    messages = ProgressRelay()
    trim_start, trim_duration = to_exact_seconds(start), to_exact_seconds(duration) if duration else None

    def open_range(first: Fraction, seconds: Fraction | None) -> VideoStream:
        limits = [limit for limit in (seconds, None if trim_duration is None else trim_duration - first) if limit is not None]
        return open_video(
            path,
            start=trim_start + first,
            duration=min(limits, default=None),
            frame_cap=None if first else frame_cap,  # a later part ends by its own duration
            every_nth=every_nth,
            deinterlace=deinterlace,
            on_message=messages.message,
        )

    return VideoValue(open_range, open_progress, messages)


def open_sequence_value(
    location: Path,
    frame_rate: float,
    gaps: Gaps,
    make_image_reader: Callable[[OnMessage], ReadImage],
    open_progress: OpenProgress,
) -> VideoValue:
    """A folder of pictures, or the pattern of their names, as a VIDEO. Raises what ``series`` and ``open_sequence`` raise."""
    messages, rate = ProgressRelay(), snap_frame_rate(frame_rate)
    images = list_sequence_frames(location, gaps, on_message=messages.message)
    read_image = make_image_reader(messages.message)

    def open_range(start: Fraction, duration: Fraction | None) -> VideoStream:
        return open_sequence(part_of_series(images, rate, start, duration), rate, read_image)

    return VideoValue(open_range, open_progress, messages)


def map_video_value(
    value: Any, open_progress: OpenProgress, transform: Callable[[VideoStream, Progress], VideoStream]
) -> VideoValue:
    """Any VIDEO with its recipe changed. ``change`` is asked again for each part that somebody trims off."""
    messages = value.messages if isinstance(value, VideoValue) else ProgressRelay()
    open_range = _get_range_opener(value, messages)
    return VideoValue(lambda start, duration: transform(open_range(start, duration), messages), open_progress, messages)


def write_video_value(
    value: Any,
    open_progress: OpenProgress,
    settings: VideoWriteSettings,
    find_path: Callable[[int, int], Path],
    *,
    overwrite: bool = False,
) -> Path:
    """Encode any VIDEO to the place that ``find_place(width, height)`` names, and which is returned.

    Where that is a number further each time, the film goes on where its own run was stopped, whatever the number, and no other
    film is touched. ``exactly``: the place is the one that was asked for, and what is there is replaced.
    """
    video = _to_video_value(value, open_progress)

    def find_output_path() -> Path:
        return find_path(*video.get_dimensions())

    if overwrite:
        path = find_output_path()
        video.write(path, settings)
        return path
    request = ResumeRequest(
        video.stream.info.identity,
        lambda: get_video_job_settings(video.stream, find_output_path(), settings),
        video.messages.message,
    )
    return write_or_resume(
        lambda: OutputSlot(find_output_path(), _find_unfinished_video, ".parts"),
        request,
        lambda path: video.write(path, settings, fail_if_exists=True).path,
    )[1]


def _find_unfinished_video(path: Path) -> UnfinishedOutput | None:
    segment_folder = SegmentFolder(path)
    return (
        None
        if path.exists()
        else UnfinishedOutput(
            path, segment_folder.read_job_settings(), segment_folder.count_finished_segments(), segment_folder.folder
        )
    )


def write_sequence_value(
    value: Any,
    open_progress: OpenProgress,
    settings: SequenceSettings,
    find_pattern: Callable[[int, int], Path],
    *,
    overwrite: bool = False,
) -> tuple[Path, list[Path]]:
    """Any VIDEO as numbered pictures of the paths that ``find_pattern(width, height)`` gives (``frames_00001_/%05d.png``).

    The pattern that was taken, and the first and the last picture. The number of the folder is as that in ``write_value``.
    """
    video = _to_video_value(value, open_progress)
    pattern = find_pattern(*video.get_dimensions())
    if overwrite:
        return pattern, video.write_sequence(pattern, settings)
    names = pattern.name
    request = ResumeRequest(
        video.stream.info.identity, lambda: get_sequence_job_settings(video.stream.info, settings), video.messages.message
    )
    folder, written = write_or_resume(
        lambda: OutputSlot(
            find_pattern(*video.get_dimensions()).parent, lambda folder: find_unfinished_sequence(folder / names)
        ),
        request,
        lambda folder: video.write_sequence(folder / names, settings, fail_if_exists=True),
    )
    return folder / names, written


def _to_video_value(value: Any, open_progress: OpenProgress) -> VideoValue:
    if isinstance(value, VideoValue):
        return value
    messages = ProgressRelay()
    return VideoValue(_get_range_opener(value, messages), open_progress, messages)


def _get_range_opener(value: Any, messages: ProgressRelay) -> OpenTimeRange:
    return value.open_range if isinstance(value, VideoValue) else make_range_opener(value, messages.message)


def _collect_components(stream: VideoStream, expected: int, progress: Progress) -> Any:
    """One array is made for as many frames as are expected, and made larger in the rare case that there are more."""
    import numpy as np
    import torch

    from ..builtin.video import VideoComponents
    from ..builtin.video_decode import decode_audio_range

    info = stream.info
    frames = np.empty((expected, info.size.height, info.size.width, 3), np.float32)
    count = 0
    with stream.frames() as stream_frames:
        for frame in stream_frames:
            if count == len(frames):
                frames = np.concatenate([frames, np.empty_like(frames[: count // 4 + 1])])
            np.divide(frame.pixels, np.float32(np.iinfo(frame.pixels.dtype).max), out=frames[count])
            count += 1
            progress.advance(1)
    audio = None
    if info.source and info.audio_streams:
        samples, rate = decode_audio_range(info.source, info.start, info.end)
        audio = {"waveform": torch.as_tensor(samples)[None], "sample_rate": rate} if samples is not None else None
    return VideoComponents(torch.as_tensor(frames[:count]), info.frame_rate, audio)


def _format_tags(metadata: Mapping[str, Any] | None) -> dict[str, str]:
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in (metadata or {}).items()}
