"""Write a video: encode in parallel with the producer of frames, resume after a kill, copy the source's audio."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import av

from ...errors import MediaError, OutputError
from ...file_lock import OutputLocked
from ...hardware import reserve_gpu_memory
from ...media import DeviceFrame, Frame, FrameNumber, Size, VideoInfo, VideoStream
from ...progress import MessageLog, OnMessage, Progress
from ..animation.animated_image import ANIMATIONS, check_animation, write_animation
from ..color.rgb_to_yuv import RgbToYuv, resolve_encoded_color
from ..read.probe import is_same_file, take_file_snapshot
from .device_planes import DevicePlanes
from .disk_space import VideoSpaceMonitor, check_join_space, check_video_space, translate_write_errors
from .encoders import Bits, Chroma, Codec, Container, HardwareEncoder, choose_codec
from .encoding import Encoding, resolve_encoding
from .journal import SOURCE_KEY, Gap, JournalState, Segment, SegmentFolder
from .mux import MuxJob, mux_segments
from .segments import PackedFrame, SegmentPlan, SegmentWriter, get_queue_byte_limit
from .stream_copy import check_audio

_MAX_KEYFRAME_INTERVAL = 300
"""Maximum frames between key frames, whatever a segment's length: players seek to key frames."""


@dataclass(frozen=True)
class VideoWriteSettings:
    """How a video is written. None and empty values are chosen by the encoder's entry in ``encoders``."""

    codec: Codec = "hevc"
    container: Container = "mp4"
    bits: Bits = 10
    chroma: Chroma = "4:2:0"
    crf: int | None = None
    bitrate: int | None = None
    """Bits per second, instead of ``crf``."""
    preset: str = ""
    hardware: HardwareEncoder | None = None
    """A hardware encoder, ``auto`` for the first one that accepts this video (a message names it), or None for the CPU, whose
    result is better at the same size."""
    audio: Literal["copy", "none"] = "copy"
    """``copy`` encodes again only what the container cannot hold."""
    subtitles: Literal["copy", "none"] = "copy"
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    """Tags of the file, such as ``prompt`` and ``workflow`` (JSON). They override the source's."""
    segment_seconds: Fraction = Fraction(1)
    """Length of a segment, also the distance of key frames, up to 300 frames. A kill costs the segments in work."""


@dataclass(frozen=True)
class WriteReport:
    path: Path
    frames: int
    seconds: float
    """Wall time of this run."""
    bytes: int
    resumed_frames: int
    """How many of ``frames`` an earlier run had finished."""
    encoder: str
    notes: tuple[str, ...]
    """Every message about the result."""


def write_video(
    stream: VideoStream,
    path: Path,
    settings: VideoWriteSettings,
    progress: Progress,
    *,
    resume: bool = True,
    fail_if_exists: bool = False,
    encode: EncodeGaps | None = None,
) -> WriteReport:
    """Write ``stream`` to ``path``.

    Frames are encoded to segments under ``NAME.parts`` beside the output (see ``journal``). A run that is killed leaves that
    folder, and the same call resumes after the last complete segment. With other settings, another source or without an
    identity it starts anew with a message, and the finished segments are set aside; with ``resume=False`` they are discarded.
    An existing ``path`` is replaced unless
    ``fail_if_exists``. After the last frame the segments are joined without encoding again, with the audio, subtitles, chapters
    and tags of ``stream.info.source``; only then ``path`` appears, and the folder is removed.

    ``encode`` makes the missing segments; the default is this process.

    MP4 and MOV store times exactly, Matroska and WebM in milliseconds. H.264, HEVC and AV1 hold only even sizes in 4:2:0: the
    last column or row of odd ones is repeated, with a message; nothing is ever cropped.

    Raises:
        OutputLocked: another run is writing this video or, with ``fail_if_exists``, has written it.
        OutputError: incompatible settings, HDR in 8 bits, a path that cannot be written, a full disk.
        HardwareMissing: ``settings.hardware`` does not open here.
        Whatever ``stream`` or ``progress`` raises. The journal stays intact in all of these cases.
    """
    started = time.monotonic()
    messages = MessageLog(progress)
    stream = stream.find_variant(SegmentFolder(path).read_job_settings().get(SOURCE_KEY))
    job = WriteJob(stream, path, settings, messages.message)
    with translate_write_errors(path):
        _check_output_path(path, stream.info)
        segment_folder = SegmentFolder(path)
        with segment_folder.lock():
            if fail_if_exists and path.exists():
                raise OutputLocked(f"There is a {path.name} already.", "Choose another name.", path=path)
            if resume:
                _set_aside_other_run(segment_folder, job, messages.message)
            state = _load_resumable_state(segment_folder, job, resume=resume)
            resumed_frames = state.frame_count
            progress.update(resumed=resumed_frames)
            progress.advance(resumed_frames)
            if resumed_frames:
                messages.message(f"Resuming after {resumed_frames} finished frames.")
            if state.list_gaps():
                _check_audio(job, settings)
                state = _encode_missing_frames(job, segment_folder, state, progress, encode or encode_gaps)
            check_join_space(path.parent, list(state.segments))
            files = [(segment_folder.get_segment_path(segment), segment) for segment in state.segments]
            _check_segments(segment_folder, state)
            path = _join_segments(job, files, path, numbered=fail_if_exists)
            segment_folder.remove_contents()
    elapsed, size, encoder = time.monotonic() - started, path.stat().st_size, job.plan.encoding.encoder.name
    return WriteReport(path, state.frame_count, elapsed, size, resumed_frames, encoder, tuple(messages.messages))


def _join_segments(job: WriteJob, files: list[tuple[Path, Segment]], path: Path, *, numbered: bool) -> Path:
    settings, info = job.settings, job.info
    if settings.container in ANIMATIONS:
        return write_animation(info, job.plan, settings.container, files, path, numbered=numbered, check=job.check_source)
    mux_job = MuxJob(info, job.plan, settings.container, settings.audio, settings.subtitles, settings.metadata)
    return mux_segments(mux_job, files, path, job.on_message, numbered=numbered, check=job.check_source)


def _check_audio(job: WriteJob, settings: VideoWriteSettings) -> None:
    """Raise before the work begins what the join would raise after it."""
    if settings.container in ANIMATIONS:
        return
    if job.info.source is not None and settings.audio == "copy" and job.info.audio_streams:
        check_audio(job.info.source, settings.container)


def get_video_job_settings(stream: VideoStream, path: Path, settings: VideoWriteSettings) -> Mapping[str, Any]:
    """Return everything that the encoded frames depend on, as in the journal. Raises as ``write_video`` does."""
    return WriteJob(stream, path, settings, lambda _: None).job_settings


class WriteJob:
    """Everything that is decided before the first frame."""

    def __init__(self, stream: VideoStream, path: Path, settings: VideoWriteSettings, on_message: OnMessage) -> None:
        info = stream.info
        if settings.container in ANIMATIONS:
            for note in check_animation(info, settings.container, path):
                on_message(note)
        elif info.color.is_hdr and settings.bits == 8:
            what = f"{path.name}: an HDR video ({info.color.transfer}) in 8 bits shows banding."
            raise OutputError(what, "Set bits to 10.", path=path)
        self.stream, self.path, self.settings, self.on_message = stream, path, settings, on_message
        rate = info.frame_rate if info.frame_rate > 0 else Fraction(25)
        frames_per_segment = max(1, round(settings.segment_seconds * rate))
        encoding = _choose_encoding(info, settings, min(frames_per_segment, _MAX_KEYFRAME_INTERVAL))
        for note in encoding.notes:
            on_message(note)
        coded_size = encoding.get_coded_size(info.size)
        if coded_size != info.size:
            on_message(
                f"The video is {coded_size} instead of {info.size}: {encoding.encoder.title} with fewer color samples "
                "holds only even sizes, so the last column or row is repeated. Chroma 4:4:4 keeps the size."
            )
        color = resolve_encoded_color(info.color, encoding.pixel_format, limited_range_only=encoding.encoder.limited_range_only)
        rate = rate.limit_denominator(1_000_000)
        self.plan = SegmentPlan(encoding, coded_size, color, info.time_base, rate, info.pixel_aspect, frames_per_segment)

        source = info.source
        self.source_file: dict[str, Any] = take_file_snapshot(source) if source is not None and source.is_file() else {}
        """The source file before its first frame is read."""

    @property
    def info(self) -> VideoInfo:
        return self.stream.info

    def check_source(self) -> None:
        """Raise ``MediaError`` if the source file was changed or replaced since the run began."""
        source = self.info.source
        if source is not None and self.source_file and not is_same_file(source, self.source_file):
            raise MediaError(
                f"{source.name} changed while it was read: frames and sound may be of two different files.",
                "When it is complete, run the same command again; the finished frames are set aside.",
                path=source,
            )

    @property
    def job_settings(self) -> dict[str, Any]:
        """Everything that the encoded frames depend on, by the names used in messages."""
        plan, encoding = self.plan, self.plan.encoding
        return {
            SOURCE_KEY: self.info.identity,
            "size": str(self.info.size),
            "encoder": encoding.encoder.name,
            "pixel format": encoding.pixel_format,
            "encoder settings": {
                name: _strip_thread_options(value) for name, value in encoding.options.items() if name != "threads"
            },
            "bitrate": encoding.bitrate,
            "colour": [plan.color.matrix, plan.color.range, plan.color.transfer, plan.color.primaries],
            "pixel aspect": str(plan.pixel_aspect),
            "frame rate": str(plan.frame_rate),
            "time base": str(plan.time_base),
            "frames in a segment": plan.frames_per_segment,
            "version of FFmpeg": {name: ".".join(map(str, parts)) for name, parts in sorted(av.library_versions.items())},
        }


def _choose_encoding(info: VideoInfo, settings: VideoWriteSettings, keyframe_interval: int) -> Encoding:
    """Return the encoding of the segments; those of an animated image are lossless, and that is made of them."""
    if settings.container in ANIMATIONS:
        return resolve_encoding(
            "ffv1", "mkv", 8, "4:4:4", size=info.size, keyframe_interval=keyframe_interval, alpha=info.has_alpha
        )
    return resolve_encoding(
        choose_codec(settings.codec, settings.container, alpha=info.has_alpha),
        settings.container,
        settings.bits,
        settings.chroma,
        size=info.size,
        keyframe_interval=keyframe_interval,
        hardware=settings.hardware,
        crf=settings.crf,
        bitrate=settings.bitrate,
        preset=settings.preset,
        mastering_display=info.mastering_display,
        content_light=info.content_light,
        alpha=info.has_alpha,
    )


def _strip_thread_options(option: str) -> str:
    """Return an encoder option without its number of threads, which changes no pixel or is the same everywhere (x264)."""
    return ":".join(part for part in option.split(":") if part.split("=")[0] not in ("pools", "threads", "lp"))


def _check_output_path(path: Path, info: VideoInfo) -> None:
    if info.source and info.source.exists() and path.exists() and path.samefile(info.source):
        raise OutputError(f"{path.name} is the source video.", "Choose another name for the result.", path=path)
    if path.is_dir():
        raise OutputError(f"{path.name} is a folder.", "Choose a file name.", path=path)
    path.parent.mkdir(parents=True, exist_ok=True)


def _set_aside_other_run(segment_folder: SegmentFolder, job: WriteJob, on_message: OnMessage) -> None:
    """Make way for a run that cannot continue what is there; take up what was set aside if this run can continue that."""
    state = segment_folder.read_state(verify=False)  # hashing hours of segments twice would delay the start
    if state and state.segments and (reason := _find_restart_reason(state, job)):
        aside = segment_folder.set_aside()
        on_message(
            f"Starting anew: {reason}. {state.frame_count} finished frames are kept in {aside.name}: the earlier command "
            "continues them. Delete that folder to give them up."
        )
    if taken := segment_folder.take_up(job.job_settings):
        on_message(f"Taking up what was set aside as {taken.name}.")


def _load_resumable_state(segment_folder: SegmentFolder, job: WriteJob, *, resume: bool) -> JournalState:
    """Return the usable state of an earlier run, and rewrite the journal to hold exactly that."""
    found = segment_folder.read_state()
    if found and found.segments and not resume:
        job.on_message(f"Starting anew: resume is off. {found.frame_count} finished frames are discarded.")
    can_continue = resume and found and found.segments and not _find_restart_reason(found, job)
    state = replace(found, job_settings=job.job_settings) if found and can_continue else JournalState(job.job_settings)
    state = replace(state, source_file=state.source_file or job.source_file)
    segment_folder.write_state(state)
    return state


def _find_restart_reason(state: JournalState, job: WriteJob) -> str:
    old_settings, new_settings = state.job_settings, job.job_settings
    if not new_settings[SOURCE_KEY]:
        return "this video has no fingerprint to recognize it by"
    changed = [name for name in new_settings if old_settings.get(name) != new_settings[name]]
    if not changed:
        source = job.info.source
        if source is not None and state.source_file and not is_same_file(source, state.source_file):
            return f"{source.name} is not the file that it was when the run began"
        return ""
    if changed == [SOURCE_KEY]:
        return "the source, the model or its settings changed"
    name = next(name for name in changed if name != SOURCE_KEY)
    old, new = old_settings.get(name), new_settings[name]
    return f"the {name} changed ({old} before, {new} now)" if isinstance(new, str | int) else f"the {name} changed"


def _check_segments(segment_folder: SegmentFolder, state: JournalState) -> None:
    """Raise ``OutputError`` for a finished segment whose bytes are not those that were written."""
    for segment in state.segments:
        if not segment_folder.is_intact(segment):
            raise OutputError(
                f"The finished part {segment.file} was damaged on the disk after it was written.",
                "Check the disk and run the same command again: that part is made again.",
                path=segment_folder.get_segment_path(segment),
            )


def _encode_missing_frames(
    job: WriteJob, segment_folder: SegmentFolder, state: JournalState, progress: Progress, encode: EncodeGaps
) -> JournalState:
    """Encode the frames that ``state`` lacks; return the complete state."""
    info, plan = job.info, job.plan
    missing = max(0, info.frame_count - state.frame_count) if info.frame_count is not None else None
    if missing:
        check_video_space(segment_folder.folder, plan.encoding, plan.size, missing, plan.frame_rate, job.on_message)
    segments = list(state.segments)
    space_watch = VideoSpaceMonitor(segment_folder.folder, info.frame_count, segments, job.on_message)

    written_bytes = sum(segment.bytes for segment in segments)
    progress.update(bytes=written_bytes)

    def on_segment(segment: Segment) -> None:
        nonlocal written_bytes
        segments.append(segment)
        written_bytes += segment.bytes
        progress.update(bytes=written_bytes)
        space_watch(segment)

    encode(job, segment_folder, state.list_gaps(), on_segment, progress)
    segments.sort(key=lambda segment: segment.first)
    frame_count = sum(segment.frame_count for segment in segments)
    if not frame_count:
        raise MediaError(f"{(info.source or job.path).name} has no frames.", "Check it in a player.", path=info.source)
    segment_folder.mark_complete(frame_count)
    return JournalState(state.job_settings, tuple(segments), frame_count)


def encode_gaps(
    job: WriteJob,
    segment_folder: SegmentFolder,
    gaps: Sequence[Gap],
    on_segment: Callable[[Segment], None],
    progress: Progress,
    *,
    may_lend: bool = True,
) -> None:
    """Encode the frames of ``gaps``; ``on_segment`` is called after the line of a segment is in the journal.

    Without ``may_lend`` no encoder reads planes in the memory of a device.
    """
    info, rgb_to_yuv = job.info, RgbToYuv(job.plan.encoding.pixel_format, job.plan.color, job.plan.size)
    device_planes = DevicePlanes(job.plan, rgb_to_yuv, job.on_message, may_lend=may_lend)
    gpu_bytes = job.plan.encoding.gpu_bytes
    if job.plan.encoding.encoder.takes_device_frames:
        gpu_bytes += get_queue_byte_limit()
    moved_count = 0
    for gap in gaps:
        timestamps = _MonotonicTimestamps(info, gap.before.pts[-1] if gap.before else None)
        with (
            reserve_gpu_memory(gpu_bytes),
            SegmentWriter(job.plan, segment_folder, gap.first_frame, gap.number, on_segment) as writer,
            job.stream.frames(_get_first_frame(info, gap)) as frames,
        ):
            for frame in islice(frames, gap.frame_count):
                _check_frame(frame, info.size, job.path)
                writer.wait_for_capacity(rgb_to_yuv.frame_bytes)
                writer.put(_pack_frame(frame, rgb_to_yuv, device_planes, timestamps))
                progress.advance(1)
        moved_count += timestamps.moved_count
    if moved_count:
        job.on_message(f"{moved_count} frames had a time that was not after the one before: they were moved after it.")


def _get_first_frame(info: VideoInfo, gap: Gap) -> int:
    """Return the number of the first frame of a gap, with its time if the duration of the frame before tells it."""
    before = gap.before
    if before is None or not before.duration:
        return gap.first_frame
    end = before.pts[-1] + before.duration
    return FrameNumber.at(gap.first_frame, before.pts[-1] * info.time_base, end * info.time_base)


def _pack_frame(
    frame: Frame, rgb_to_yuv: RgbToYuv, device_planes: DevicePlanes, timestamps: _MonotonicTimestamps
) -> PackedFrame:
    pts, duration = timestamps(frame)
    layout = rgb_to_yuv.plane_layout
    if isinstance(frame, DeviceFrame) and layout:
        return PackedFrame(device_planes.pack(frame.image, layout), pts, duration, layout.frame_bytes)
    packed = rgb_to_yuv(frame.pixels)
    return PackedFrame(lambda: packed, pts, duration, rgb_to_yuv.frame_bytes)


def _check_frame(frame: Frame, size: Size, path: Path) -> None:
    if frame.size != size:
        raise MediaError(
            f"{path.name}: the frame at {float(frame.seconds):.3f} s is {frame.size}, but the video began as {size}.",
            "Split the source where its size changes and write the parts separately.",
            path=path,
        )


class _MonotonicTimestamps:
    """Converts the times of frames to the video's unit, always increasing."""

    def __init__(self, info: VideoInfo, last_pts: int | None) -> None:
        self._unit = info.time_base
        self._last_pts = last_pts
        self.moved_count = 0

    def __call__(self, frame: Frame) -> tuple[int, int]:
        """Return (pts, duration). A container holds a time only once: one that is not after the last is moved after it."""
        ratio = frame.time_base / self._unit
        pts, duration = round(frame.pts * ratio), round(frame.duration * ratio)
        if self._last_pts is not None and pts <= self._last_pts:
            pts = self._last_pts + 1
            self.moved_count += 1
        self._last_pts = pts
        return pts, duration


EncodeGaps = Callable[[WriteJob, SegmentFolder, Sequence[Gap], Callable[[Segment], None], Progress], None]
"""As ``encode_gaps``."""
