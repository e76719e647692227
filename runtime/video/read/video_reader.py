"""Open a video as a recipe for its frames."""

import math
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.error import FFmpegError

from ...errors import MediaError, WorkflowError
from ...media import (
    PREFETCH_BYTES,
    Frame,
    FrameTimesUnknown,
    PlanarFrame,
    Samples,
    Size,
    VideoInfo,
    VideoStream,
    prefetch_items,
)
from ...progress import OnMessage
from ..color.yuv_to_rgb import YuvToRgb, extract_alpha
from . import decoder_process
from .frame_decoder import DamagedVideo, Decoding, DeinterlaceMode, decode_frames, deinterlace_frames
from .frame_position import FramePosition, find_frame, list_selected_pts
from .probe import ProbedVideo, is_interlaced, probe, resolve_frame_color
from .side_data import Orientation
from .timestamps import DecodeIssues, TimedFrame, fix_timestamps
from .trim import TrimRange, resolve_trim_range, trim, trimmed_info

_SPLIT_HINT = "Upscale the parts before and after it separately: start and duration select a part."
_SAME_CURVE = {"bt709", "smpte170m", "bt2020-10", "bt2020-12"}
"""Transfer functions of one formula (ITU-T H.273, table 3)."""
_EARLY_END_SECONDS = Fraction(1, 2)
"""By how much a video may end before its header says: sound is often a little longer."""
_RATE_CHANGES: dict[DeinterlaceMode, tuple[Fraction, int]] = {
    "bwdif double rate": (Fraction(2), 2),
    "telecine": (Fraction(4, 5), 4),
}
"""Frames for each frame of the source, and ticks of their clock for each of its: frames in between have no whole one."""


def open_video(
    path: Path,
    *,
    start: Fraction = Fraction(0),
    duration: Fraction | None = None,
    frame_cap: int | None = None,
    every_nth: int = 1,
    deinterlace: DeinterlaceMode = "refuse",
    alpha: bool = False,
    prefetch_bytes: int = PREFETCH_BYTES,
    on_message: OnMessage = lambda _: None,
) -> VideoStream:
    """Return a stream of the video in ``path``; only its first frame is decoded yet.

    Frames are (H, W, 3) R'G'B' in full range as displayed (rotated, pixels not yet made square): uint8 for sources of up to 8
    bits, uint16 over 0..65535 for deeper ones. PQ and HLG stay as they are (``info.color``). With ``alpha`` the frames of a
    video that has it are (H, W, 4); without, it is dropped with a message.
    A thread decodes ahead of the consumer by ``prefetch_bytes`` of frames or by two frames, whichever is more; none with 0.

    ``start`` and ``duration`` are seconds, rounded to the nearest tick of the video's clock; frames from ``start`` up to, but
    not including, ``start + duration`` are read, exactly, wherever the key frames are. ``every_nth`` keeps every n-th frame at
    its own time; ``frame_cap`` limits their number after that. ``pts`` are the source's own less ``info.start``, which is on
    the source's clock, so that it applies to audio and subtitle packets too. With ``start=0`` nothing is subtracted, not even
    the offset with which MPEG-TS begins.

    Interlaced videos are refused; ``bwdif`` makes a full frame of each pair of fields, ``bwdif double rate`` one of each field,
    ``telecine`` finds the 24 frames of a movie in 30, and ``keep`` leaves the lines as they are. Packets that do not decode are
    skipped and counted; ``on_message`` reports them after the last frame.

    Raises ``MediaError`` as ``probe`` does, and while reading, with the frame's number and time, when the size or pixel format
    changes or the file cannot be read further. Raises ``WorkflowError`` for times and counts that select no frame. With
    ``UPSCALE8K_DECODER_PROCESS=1`` another process decodes, and its crash is a ``MediaError``.
    """
    apart = decoder_process.VideoRequest(path, start, duration, frame_cap, every_nth, deinterlace, alpha)
    is_apart = decoder_process.is_requested()
    if is_apart:
        decoder_process.check_survives(apart)
    probed = probe(path)
    trim_range = resolve_trim_range(probed, start, duration, frame_cap, every_nth)
    _check_start_before_end(probed, start, trim_range)
    if deinterlace == "refuse" and is_interlaced(path):
        raise MediaError(
            f"{path.name} is interlaced: each frame holds two fields taken at different times.",
            "Set deinterlace to bwdif to make full frames of them, or to keep to upscale the lines as they are.",
            path=path,
        )
    alpha = alpha and probed.pixel_format.has_alpha
    _report_dropped_features(probed, on_message, has_alpha=alpha)
    info = _describe_output(probed, trim_range, deinterlace)
    mode = "as is" if deinterlace in ("keep", "refuse") else deinterlace
    info = replace(info, identity=f"{info.identity} | interlaced {mode}{' | alpha' if alpha else ''}", has_alpha=alpha)
    if deinterlace not in _RATE_CHANGES:
        info = replace(info, list_pts=partial(list_selected_pts, probed, trim_range))

    def open_at(first_frame: int = 0, *, planes: bool = False) -> Iterator[Frame]:
        reading = _Reading(probed, trim_range, deinterlace, planes=planes, alpha=alpha)
        read_frames = partial(_read_frames, reading, first_frame)
        if is_apart:
            read_frames = partial(decoder_process.read_in_process, apart, first_frame)
        ahead = partial(prefetch_items, read_frames, _count_bytes, max_bytes=prefetch_bytes, name=f"decode {path.name}")
        with closing(ahead() if prefetch_bytes else read_frames()) as items:
            for item in items:
                if isinstance(item, Frame):
                    yield item
                else:
                    on_message(item)

    has_planes = not is_apart and not alpha and probed.orientation == Orientation()
    return VideoStream(info, open_at, open_at, partial(open_at, planes=True) if has_planes else None)


def _describe_output(probed: ProbedVideo, trim_range: TrimRange, deinterlace: DeinterlaceMode) -> VideoInfo:
    """Return the properties of the frames that ``deinterlace`` makes; ``frame_cap`` counts these."""
    if deinterlace not in _RATE_CHANGES:
        return trimmed_info(probed, trim_range)
    rate, cap = _RATE_CHANGES[deinterlace][0], trim_range.frame_cap
    info = _change_rate(
        trimmed_info(probed, replace(trim_range, frame_cap=None if cap is None else math.ceil(cap / rate))), deinterlace
    )
    return info if cap is None or info.frame_count is None else replace(info, frame_count=min(info.frame_count, cap))


def _change_rate(info: VideoInfo, deinterlace: DeinterlaceMode) -> VideoInfo:
    """Return ``info`` with the rate, the count and the clock of the frames that ``deinterlace`` makes."""
    if deinterlace not in _RATE_CHANGES:
        return info
    rate, ticks = _RATE_CHANGES[deinterlace]
    count = None if info.frame_count is None else round(info.frame_count * rate)
    return replace(
        info,
        frame_rate=info.frame_rate * rate,
        time_base=info.time_base / ticks,
        frame_count=count,
        frame_count_source="unknown" if count is None else "duration",
    )


def _check_start_before_end(probed: ProbedVideo, start: Fraction, trim_range: TrimRange) -> None:
    """Raise ``WorkflowError`` for a start after the end. As a duration may be an estimate (MPEG-PS), a frame is searched."""
    duration = probed.info.duration
    if not start or duration is None or start < duration:
        return
    with closing(decode_frames(probed, trim_range.first_pts, DecodeIssues())) as frames:
        if next(trim(_assign_timestamps(probed, frames, DecodeIssues()), trim_range), None) is None:
            text = f"start is {float(start):g} s, but {probed.path.name} lasts {float(duration):g} s."
            raise WorkflowError(text, "Choose an earlier start.", path=probed.path, input_name="start")


def _report_dropped_features(probed: ProbedVideo, on_message: OnMessage, *, has_alpha: bool) -> None:
    name = probed.path.name
    if probed.pixel_format.has_alpha and not has_alpha:
        on_message(f"{name} has an alpha channel, which is left out here.")
    if probed.dynamic_hdr:
        on_message(
            f"{name} carries {' and '.join(probed.dynamic_hdr)}: that belongs to its own pixels and is left out; what it says "
            "of the whole video is kept."
        )
    if probed.is_stereo_3d:
        on_message(f"{name} is stereo 3D: frames are upscaled as they are, and only MKV and WebM keep the mark of the views.")
    if probed.has_unsupported_rotation:
        on_message(f"{name} is rotated by an angle that is not a multiple of 90 degrees; it is read without rotation.")


def _count_bytes(item: Frame | str) -> int:
    return sum(samples.nbytes for samples in item.find_samples()) if isinstance(item, Frame) else 0


@dataclass(frozen=True)
class _Reading:
    """What is read of a video, and in which form."""

    probed: ProbedVideo
    trim_range: TrimRange
    deinterlace: DeinterlaceMode
    planes: bool
    alpha: bool


def _read_frames(reading: _Reading, first_frame: int) -> Generator[Frame | str]:
    """Yield the selected frames from ``first_frame`` on, then a message for every issue.

    Of the frames before it only those since the last key frame are decoded, or all of them where the file's times do not tell
    its position; none is converted. All are where the rate changes: which frame is dropped depends on those before it. All are
    also in a damaged video, by one thread, from its first damage on: what a decoder fills in depends on what it decoded before.
    """
    name, count = reading.probed.path.name, int(first_frame)
    jump, decoding = None, Decoding.INTACT
    convert = _FrameConverter(reading.probed, alpha=reading.alpha)
    if first_frame and reading.deinterlace not in _RATE_CHANGES:
        try:
            jump = find_frame(reading.probed, reading.trim_range, first_frame)
        except FrameTimesUnknown as reason:
            yield f"{name}: {reason}, so the {first_frame} frames before are decoded again."
    while True:
        try:
            for item in _read_frames_from(reading, count, jump, decoding, convert):
                count += isinstance(item, Frame)
                yield item
            return
        except FrameTimesUnknown as reason:
            jump, decoding = None, Decoding.INTACT
            yield f"{name}: {reason}, so the {first_frame} frames before are decoded again."
        except DamagedVideo as damage:
            if damage.before_frames and decoding == Decoding.INTACT:
                decoding = Decoding.INTACT_AFTER_START
                continue
            jump, decoding = None, Decoding.DAMAGED
            where, rest = "before its first frame", "it"
            if count:
                where, rest = f"after frame {count}, so the {count} frames before are decoded again", "the rest"
            yield f"{name}: {damage} {where}; one thread decodes {rest}."


def _read_frames_from(
    reading: _Reading, first_frame: int, jump: FramePosition | None, decoding: Decoding, convert: "_FrameConverter"
) -> Iterator[Frame | str]:
    """Do the same from the key frame before ``jump`` on. Raises ``FrameTimesUnknown``, before any frame, if it misleads.

    Raises ``DamagedVideo`` as ``decode_frames`` does.
    """
    probed, trim_range, deinterlace = reading.probed, reading.trim_range, reading.deinterlace
    issues, count = DecodeIssues(), first_frame if jump else 0
    position = _ReadPosition(probed, count, expects_progressive=deinterlace == "refuse")
    first_pts = jump.pts_before if jump else trim_range.first_pts
    try:
        with closing(decode_frames(probed, first_pts, issues, decoding)) as frames:
            full_frames = deinterlace_frames(frames, deinterlace, probed.info.frame_rate)
            if deinterlace in _RATE_CHANGES:
                full_frames = deinterlace_frames(_set_times(frames, probed), deinterlace, probed.info.frame_rate)
                probed = replace(probed, info=_change_rate(probed.info, deinterlace), uses_decode_times=False)
            timed_frames = _assign_timestamps(probed, full_frames, issues)
            if jump:
                timed_frames = jump.check(timed_frames, trim_range, issues)
            clocked = trim_range.change_clock(_RATE_CHANGES.get(deinterlace, (1, 1))[1])
            selection = trim_range.skip(first_frame) if jump else clocked
            for timed_frame in trim(position.track_frames(timed_frames, issues), selection):
                count += 1
                if count <= first_frame:
                    continue
                time = (timed_frame.pts - clocked.pts_shift, timed_frame.duration, probed.info.time_base)
                yield convert.make_frame(timed_frame.av_frame, time, position, planes=reading.planes)
    except FFmpegError as error:
        raise position.make_read_error(error) from error
    if not count:
        message = f"{probed.path.name} has no frame in the requested range."
        raise MediaError(message, "Choose an earlier start.", path=probed.path)
    yield from convert.messages
    if trim_range.end_pts is None and trim_range.frame_cap is None and (early := position.describe_early_end()):
        yield early
    yield from issues.format_messages(probed.path.name)


def _set_times(frames: Iterable[av.VideoFrame], probed: ProbedVideo) -> Iterator[av.VideoFrame]:
    """Yield the frames with the times that count, from which a filter makes those of new frames."""
    for frame in frames:
        frame.pts = frame.dts if probed.uses_decode_times else frame.pts
        yield frame


def _assign_timestamps(probed: ProbedVideo, frames: Iterable[av.VideoFrame], issues: DecodeIssues) -> Iterator[TimedFrame]:
    info = probed.info
    return fix_timestamps(frames, info.time_base, info.frame_rate, issues, use_decode_times=probed.uses_decode_times)


class _ReadPosition:
    """The position of the reader, for error messages."""

    def __init__(self, probed: ProbedVideo, frame_number: int, *, expects_progressive: bool) -> None:
        self._probed = probed
        self._expects_progressive = expects_progressive
        self._frame_number = frame_number
        self._seconds = self._end_seconds = probed.start_time

    def __str__(self) -> str:
        return f"frame {self._frame_number} ({float(self._seconds - self._probed.start_time):.3f} s)"

    def track_frames(self, timed_frames: Iterable[TimedFrame], issues: DecodeIssues) -> Iterator[TimedFrame]:
        """Yield the same frames; raises ``MediaError`` at the first whose size or format differs from the first frame's."""
        for timed_frame in timed_frames:
            self._frame_number += 1
            self._seconds = timed_frame.pts * self._probed.info.time_base
            self._end_seconds = self._seconds + timed_frame.duration * self._probed.info.time_base
            self._check_unchanged(timed_frame.av_frame)
            issues.damaged_frames += timed_frame.av_frame.is_corrupt
            issues.interlaced_frames += self._expects_progressive and timed_frame.av_frame.interlaced_frame
            yield timed_frame

    def _check_unchanged(self, frame: av.VideoFrame) -> None:
        probed, size = self._probed, Size(frame.width, frame.height)
        if size == probed.coded_size and frame.format.name == probed.pixel_format.name:
            return
        was, now = f"{probed.coded_size} {probed.pixel_format.name}", f"{size} {frame.format.name}"
        raise MediaError(f"{probed.path.name} changes from {was} to {now} at {self}.", _SPLIT_HINT, path=probed.path)

    def describe_early_end(self) -> str:
        """Return a sentence if the video, read to its end, is shorter than its header announces; else nothing."""
        announced, lasted = self._probed.announced_seconds, self._end_seconds - self._probed.start_time
        if announced is None or lasted + max(_EARLY_END_SECONDS, 2 / self._probed.info.frame_rate) >= announced:
            return ""
        return (
            f"{self._probed.path.name} announces {float(announced):.3f} s, and its video ends after {float(lasted):.3f} s "
            f"({self._frame_number} frames): the rest is missing or damaged."
        )

    def make_read_error(self, error: FFmpegError) -> MediaError:
        reason = (error.strerror or str(error)).rstrip(".")
        message = f"{self._probed.path.name} cannot be read past {self}: {reason}."
        return MediaError(message, "Check its disk, or copy it again.", path=self._probed.path)


class _FrameConverter:
    """Converts each frame by its own color tags, which may change where recordings were joined."""

    def __init__(self, probed: ProbedVideo, *, alpha: bool) -> None:
        self._probed, self._alpha = probed, alpha
        self._converters: dict[tuple[int, ...], YuvToRgb] = {}
        self.messages: list[str] = []

    def make_frame(
        self, frame: av.VideoFrame, time: tuple[int, int, Fraction], position: _ReadPosition, *, planes: bool
    ) -> Frame:
        """Return the frame at ``time`` (pts, duration, time base), with ``planes`` as its planes where they can be used."""
        tags = (int(frame.colorspace), int(frame.color_range), int(frame.color_trc), int(frame.color_primaries))
        converter = self._converters.get(tags)
        if converter is None:
            converter = self._converters[tags] = self._make_converter(frame, position)
        layout = converter.find_layout(Size(frame.width, frame.height)) if planes else None
        if layout:
            return PlanarFrame(layout, tuple(converter.extract_planes(frame)), partial(converter, frame), *time)
        pixels = converter(frame)
        if self._alpha:
            alpha = extract_alpha(frame, self._probed.pixel_format.bit_depth)
            pixels = cast("Samples", np.dstack((pixels, alpha)))
        return Frame(self._probed.orientation.apply(pixels), *time)

    def _make_converter(self, frame: av.VideoFrame, position: _ReadPosition) -> YuvToRgb:
        """Raises ``MediaError`` if the new tags give R'G'B' another meaning: the result has one transfer function."""
        probed, first = self._probed, self._probed.info.color
        color = resolve_frame_color(probed.path, frame, probed.pixel_format)
        if color != first:
            was, now = ("/".join((each.matrix, each.transfer, each.primaries)) for each in (first, color))
            change = f"{probed.path.name} changes its colors from {was} to {now} at {position}"
            if color.transfer != first.transfer and not {color.transfer, first.transfer} <= _SAME_CURVE:
                raise MediaError(f"{change}.", _SPLIT_HINT, path=probed.path)
            self.messages.append(f"{change}: each part is converted by its own tags, and the result is tagged like the first.")
        return YuvToRgb(probed.pixel_format, color, probed.chroma_siting)
