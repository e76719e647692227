"""A video stream as a value on ComfyUI's VIDEO wire, with the methods of ComfyUI's VideoInput, read frame by frame.

ComfyUI calls the methods by name (``comfy_api.latest`` Input.Video). Most return values of ``VideoInfo``; ``save_to`` streams;
``get_components``, which needs all frames in memory at once, checks the free memory first.
"""

from __future__ import annotations

import inspect
import json
import shutil
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Any, cast

import psutil

from ...errors import OutOfMemory, OutputError
from ...media import DeviceFrame, Frame, VideoStream, snap_frame_rate
from ...progress import OnMessage, OpenProgress, Progress, ProgressRelay
from ...video import (
    DeinterlaceMode,
    Gaps,
    OutputSlot,
    ReadImage,
    ResumeRequest,
    SegmentFolder,
    SequenceSettings,
    UnfinishedOutput,
    VideoWriteSettings,
    find_unfinished_sequence,
    get_sequence_job_settings,
    get_video_job_settings,
    list_sequence_frames,
    open_sequence,
    open_video,
    select_time_range,
    write_or_resume,
    write_sequence,
    write_video,
)
from ..builtin.video_encode import check_color_space, select_container_and_codec
from .foreign_video import OpenTimeRange, make_range_opener, make_temp_folder, to_exact_seconds
from .frame_edits import Step, edit_frames


def _find_video_input() -> Any:
    """Return ComfyUI's ``VideoInput`` where this process is ComfyUI, else ``object``. Its newer methods then have a default."""
    found = getattr(getattr(sys.modules.get("comfy_api.latest"), "Input", None), "Video", None)
    return found if isinstance(found, type) and inspect.isabstract(found) else object


_VIDEO_INPUT: Any = _find_video_input()


class VideoValue(_VIDEO_INPUT):
    """A video stream with the methods that ComfyUI's nodes call on a VIDEO, those of its ``VideoInput`` 0.38.

    It is made from a function that opens any part, so that a trimmed video reads, and upscales, only its own frames.
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
        """Return the number of frames, estimated from the duration if the file does not state it."""
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

    def get_display_dimensions(self) -> tuple[int, int]:
        return self.get_dimensions()

    def get_color_space(self) -> str:
        """Return ``sRGB``, ``HDR`` (HLG) or ``HDR PQ``."""
        return {"arib-std-b67": "HDR", "smpte2084": "HDR PQ"}.get(self.stream.info.color.transfer, "sRGB")

    def has_pending_frame_edits(self) -> bool:
        """Return False: ``get_stream_source`` contains every edit."""
        return False

    def get_active_trim_window(self) -> tuple[float, float]:
        return 0.0, 0.0

    def get_container_format(self) -> str:
        return "mp4"

    def as_trimmed(self, start_time: float = 0.0, duration: float = 0.0, strict_duration: bool = False) -> VideoValue | None:
        """Return the part from ``start_time`` (negative: from the end), ``duration`` seconds long; 0 means to the end.

        Return None when nothing is left, or less than ``duration`` with ``strict_duration``.
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

    def as_cropped(self, x: int = 0, y: int = 0, width: int = 0, height: int = 0) -> VideoValue:
        """Return the video cropped on even pixels, when its frames are read; a width or height of 0 changes nothing."""
        return self._edit_frames([("crop_aligned", x, y, width, height)])

    def as_resized(
        self,
        width: int,
        height: int,
        upscale_method: str,
        crop: str = "disabled",
        post_crop: tuple[int, int, int, int] | None = None,
    ) -> VideoValue:
        """Return the video scaled like the node Resize Image/Mask, frame by frame; ``post_crop`` cuts the result."""
        cut = [("crop", *post_crop)] if post_crop is not None else []
        return self._edit_frames([("scale", width, height, upscale_method, crop), *cut])

    def _edit_frames(self, steps: Sequence[Step]) -> VideoValue:
        return VideoValue(
            lambda start, duration: edit_frames(self.open_range(start, duration), steps), self._open_progress, self.messages
        )

    def save_to(
        self,
        path: str | PathLike[str] | BytesIO,
        format: Any = "auto",
        codec: Any = "auto",
        metadata: Any = None,
        bit_depth: int | None = None,
        crf: float | None = None,
        color_space: str | None = None,
        preset: str | None = None,
    ) -> None:
        """Encode the video for ComfyUI's SaveVideo: H.264 or AV1 in MP4, MKV or WebM.

        The default bit depth for HDR is 10, because 8 bits would show banding. Raises ``OutputError`` for a format that cannot
        be written, and for a color space that is not the video's own.
        """
        container, codec_name = select_container_and_codec(path if isinstance(path, BytesIO) else Path(path), format, codec)
        check_color_space(color_space)
        if color_space is not None and color_space != self.get_color_space():
            what = f"A video in {self.get_color_space()} cannot be saved as {color_space}: that would be a color conversion."
            raise OutputError(what, f"Set color_space to auto or {self.get_color_space()}.")
        bits = bit_depth or (10 if self.stream.info.color.is_hdr else 8)
        settings = VideoWriteSettings(
            codec=codec_name,
            container=cast(Any, container),
            bits=10 if bits >= 10 else 8,
            crf=None if crf is None else round(crf),
            preset=preset if preset and codec_name == "h264" else "",
            metadata=_format_tags(metadata),
        )
        if isinstance(path, BytesIO):
            with Path(self._spool_to_file(settings)).open("rb") as file:
                shutil.copyfileobj(file, path)
            return
        self.write(Path(path), settings, resume=False)

    def write(
        self,
        path: Path,
        settings: VideoWriteSettings,
        *,
        resume: bool = True,
        fail_if_exists: bool = False,
        write: Callable[..., Any] = write_video,
    ) -> Any:
        """Encode to ``path`` with progress by ``write``; return the writer's report."""
        with self._track_progress() as (stream, progress):
            return write(stream, path, settings, progress, resume=resume, fail_if_exists=fail_if_exists)

    def write_sequence(
        self,
        pattern: Path,
        settings: SequenceSettings,
        *,
        fail_if_exists: bool = False,
        write: Callable[..., list[Path]] = write_sequence,
    ) -> list[Path]:
        """Write one image file per frame with progress by ``write``; return the first and the last path."""
        with self._track_progress() as (stream, progress):
            return write(stream, pattern, settings, progress, fail_if_exists=fail_if_exists)

    @contextmanager
    def _track_progress(self) -> Generator[tuple[VideoStream, Progress]]:
        """Return the stream, wrapped to report progress and previews, and the progress."""
        with self._open_progress(self.stream.info.frame_count or 0, "frame") as progress, self.messages.forward_to(progress):

            def track(make: Callable[[], VideoStream]) -> VideoStream:
                stream = make()

                def iterate_frames(first: int = 0) -> Iterator[Frame]:
                    reused_count = 0
                    with stream.frames(first) as frames:
                        for frame in frames:
                            reused_count += frame.is_repeat
                            progress.update(reused=reused_count)
                            progress.preview(frame.image.download if isinstance(frame, DeviceFrame) else frame.pixels)
                            yield frame

                variants = {name: partial(track, other) for name, other in stream.variants.items()}
                return VideoStream(stream.info, iterate_frames, iterate_frames, variants=variants)

            yield track(lambda: self.stream), progress

    def get_stream_source(self) -> str:
        """Return a file with this video, encoded once and kept as long as the value lives."""
        return self._spool_to_file(VideoWriteSettings(codec="h264", bits=10 if self.stream.info.color.is_hdr else 8))

    def _spool_to_file(self, settings: VideoWriteSettings) -> str:
        self._temp_folder = self._temp_folder or make_temp_folder(self)
        path = self._temp_folder / f"{settings.codec}-{settings.bits}-{settings.crf}.{settings.container}"
        if not path.exists():
            self.write(path, settings, resume=False)
        return str(path)

    def memory_of_components(self) -> int:
        """Return the bytes that ``get_components`` takes, estimated from the file's header."""
        width, height = self.get_dimensions()
        return self.get_frame_count() * width * height * (4 if self.stream.info.has_alpha else 3) * 4

    def get_components(self) -> Any:
        """Return all frames as one float32 IMAGE, and the audio. Raises ``OutOfMemory`` when the memory does not suffice."""
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
    """Open a file as a VIDEO; times in seconds, a duration of 0 means to the end. Raises as ``open_video``."""
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
            alpha=True,
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
    """Open an image folder or a file name pattern as a VIDEO. Raises as ``list_sequence_frames`` and ``open_sequence``."""
    messages, rate = ProgressRelay(), snap_frame_rate(frame_rate)
    images = list_sequence_frames(location, gaps, on_message=messages.message)
    read_image = make_image_reader(messages.message)

    def open_range(start: Fraction, duration: Fraction | None) -> VideoStream:
        return open_sequence(select_time_range(images, rate, start, duration), rate, read_image)

    return VideoValue(open_range, open_progress, messages)


def map_video_value(
    value: Any, open_progress: OpenProgress, transform: Callable[[VideoStream, Progress], VideoStream]
) -> VideoValue:
    """Return any VIDEO with its stream transformed. ``transform`` is called again for every trimmed part."""
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
    exclusive: bool = False,
    write: Callable[..., Any] = write_video,
) -> Path:
    """Encode any VIDEO by ``write`` to the path that ``find_path(width, height)`` returns; return that path.

    ``find_path`` numbers files. An interrupted run of the same job is resumed under its own number, and no other video is
    touched. With ``overwrite`` the path is exact and an existing file is replaced; with ``exclusive`` it is exact, and an
    existing file raises ``OutputLocked``.
    """
    video = _to_video_value(value, open_progress)

    def find_output_path() -> Path:
        return find_path(*video.get_dimensions())

    if overwrite or exclusive:
        path = find_output_path()
        video.write(path, settings, fail_if_exists=exclusive, write=write)
        return path
    request = ResumeRequest(
        video.stream, lambda: get_video_job_settings(video.stream, find_output_path(), settings), video.messages.message
    )
    return write_or_resume(
        lambda: OutputSlot(find_output_path(), _find_unfinished_video, ".parts"),
        request,
        lambda path: video.write(path, settings, fail_if_exists=True, write=write).path,
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
    exclusive: bool = False,
    write: Callable[..., list[Path]] = write_sequence,
) -> tuple[Path, list[Path]]:
    """Write any VIDEO by ``write`` as an image sequence with the pattern that ``find_pattern(width, height)`` returns.

    A pattern is ``frames_00001_/%05d.png``; its folder is numbered and resumed as the files of ``write_video_value``. Return
    the pattern, and the first and the last image.
    """
    video = _to_video_value(value, open_progress)
    pattern = find_pattern(*video.get_dimensions())
    if overwrite or exclusive:
        return pattern, video.write_sequence(pattern, settings, fail_if_exists=exclusive, write=write)
    names = pattern.name
    request = ResumeRequest(
        video.stream, lambda: get_sequence_job_settings(video.stream.info, settings), video.messages.message
    )
    folder, written = write_or_resume(
        lambda: OutputSlot(
            find_pattern(*video.get_dimensions()).parent, lambda folder: find_unfinished_sequence(folder / names)
        ),
        request,
        lambda folder: video.write_sequence(folder / names, settings, fail_if_exists=True, write=write),
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
    """Collect frames in one array, allocated for the expected number and enlarged if there are more."""
    import numpy as np
    import torch

    from ..builtin.video import VideoComponents
    from ..builtin.video_decode import decode_audio_range

    info = stream.info
    frames = np.empty((expected, info.size.height, info.size.width, 4 if info.has_alpha else 3), np.float32)
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
    images = torch.as_tensor(frames[:count])
    alpha = images[..., 3:] if info.has_alpha else None
    return VideoComponents(images[..., :3], info.frame_rate, audio, alpha=alpha)


def _format_tags(metadata: Mapping[str, Any] | None) -> dict[str, str]:
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in (metadata or {}).items()}
