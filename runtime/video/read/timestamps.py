"""Fix the timestamps of frames: the source's own where they are plausible.

Discontinuities of a container's clock are corrected: MPEG-TS counts 33 bits, and concatenated recordings begin anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet

from .container import can_have_discontinuities, demux_packets, open_container, select_video_stream, to_fraction

_MAX_FORWARD_SECONDS, _MAX_BACKWARD_SECONDS = 3600, 1
"""Seconds between packets. Less forward may be a still scene or a loss; less backward a packet out of order."""


@dataclass
class DiscontinuityCorrector:
    """Corrects the times of the video stream's packets, which it gets in the order of the file."""

    offsets: list[Fraction] = field(default_factory=lambda: [Fraction(0)])
    """Seconds to add to times: before the first jump, after it, after the second, and so on."""
    jump_times: list[Fraction] = field(default_factory=list[Fraction])
    """Where the clock jumped, in seconds of corrected time."""
    _last_time: Fraction | None = None
    _last_step: Fraction = Fraction(0)

    def correct_packet(self, packet: Packet[Any]) -> None:
        """Shift the packet's times so that they follow those of the packet before."""
        time = _read_packet_time(packet)
        if time is None:
            return
        time += self.offsets[-1]
        if self._last_time is not None and _is_jump(time - self._last_time):
            expected_time = self._last_time + self._last_step
            self.offsets.append(self.offsets[-1] + expected_time - time)
            self.jump_times.append(expected_time)
            time = expected_time
        elif self._last_time is not None and time > self._last_time:
            self._last_step = time - self._last_time
        self._last_time = time
        shift_packet(packet, self.offsets[-1])


@dataclass
class FollowingCorrector:
    """Corrects the times of another stream of the same file, whose clock jumps where that of the video does."""

    offsets: list[Fraction]
    _offset_index: int = 0
    _last_time: Fraction | None = None

    def correct_packet(self, packet: Packet[Any]) -> None:
        """Shift the packet's times; a jump that the video does not have is left unchanged."""
        time = _read_packet_time(packet)
        if time is None:
            return
        if self._last_time is not None and _is_jump(time + self.offsets[self._offset_index] - self._last_time):
            self._offset_index = min(range(len(self.offsets)), key=lambda index: self._measure_distance(time, index))
        self._last_time = time + self.offsets[self._offset_index]
        shift_packet(packet, self.offsets[self._offset_index])

    def _measure_distance(self, time: Fraction, index: int) -> Fraction:
        assert self._last_time is not None
        return abs(time + self.offsets[index] - self._last_time)


def find_clock_offsets(path: Path, until: Fraction | None = None) -> list[Fraction]:
    """Return ``DiscontinuityCorrector.offsets`` of a video, up to a time in seconds or to its end.

    The file is demuxed (seconds for a gigabyte), not decoded. Results are cached until the file's size or date changes.
    """
    with open_container(path) as container:
        if not can_have_discontinuities(container):
            return [Fraction(0)]
    file_stat = path.stat()
    return list(_scan_clock_offsets(path, until, file_stat.st_size, file_stat.st_mtime_ns))


def is_clock_continuous(path: Path, until: Fraction) -> bool:
    """Return whether the clock does not jump before ``until`` (seconds), so that seeking there is exact."""
    return len(find_clock_offsets(path, until)) == 1


@lru_cache(maxsize=16)
def _scan_clock_offsets(path: Path, until: Fraction | None, *_file_state: int) -> tuple[Fraction, ...]:
    corrector = DiscontinuityCorrector()
    with open_container(path) as container:
        for packet in _demux_until_error(container, path):
            corrector.correct_packet(packet)
            time = _read_packet_time(packet)
            if until is not None and time is not None and time >= until:
                break
    return tuple(corrector.offsets)


def _demux_until_error(container: InputContainer, path: Path) -> Iterator[Packet[Any]]:
    with suppress(FFmpegError):  # reported when the file is decoded
        yield from demux_packets(container, select_video_stream(container, path))


def _is_jump(step: Fraction) -> bool:
    return step > _MAX_FORWARD_SECONDS or step < -_MAX_BACKWARD_SECONDS


def _read_packet_time(packet: Packet[Any]) -> Fraction | None:
    ticks = packet.dts if packet.dts is not None else packet.pts
    return None if ticks is None or not packet.size else ticks * to_fraction(packet.time_base)


def shift_packet(packet: Packet[Any], seconds: Fraction) -> None:
    """Add ``seconds`` to the packet's times."""
    if not seconds:
        return
    ticks = round(seconds / to_fraction(packet.time_base))
    packet.pts = None if packet.pts is None else packet.pts + ticks
    packet.dts = None if packet.dts is None else packet.dts + ticks


_STEP_TOLERANCE = Fraction(1, 4)
"""Fraction of a step by which it may deviate: Matroska rounds to milliseconds."""
_MIN_EVEN_RATIO = 6


@dataclass
class FrameSpacing:
    """Statistics of the steps between frames; in a video of even steps a long one means missing frames."""

    even_count: int = 0
    uneven_count: int = 0
    gap_count: int = 0
    missing_in_gaps: int = 0
    """Frames that would fit into the long steps."""
    first_gap: tuple[Fraction, Fraction] | None = None
    """The first long step: its start and its length, in seconds."""

    def add_step(self, begin: Fraction, step: Fraction, frame_rate: Fraction) -> None:
        """Count a step of ``step`` seconds that starts at ``begin``."""
        frame_steps = step * frame_rate
        if abs(frame_steps - 1) <= _STEP_TOLERANCE:
            self.even_count += 1
        elif frame_steps < 2 - _STEP_TOLERANCE:
            self.uneven_count += 1
        else:
            self.gap_count += 1
            self.missing_in_gaps += round(frame_steps) - 1
            self.first_gap = self.first_gap or (begin, step)

    @property
    def missing_frames(self) -> int:
        """The number of frames that seem to be missing; 0 for a video of uneven steps."""
        return self.missing_in_gaps if self.even_count > _MIN_EVEN_RATIO * (self.gap_count + self.uneven_count) else 0

    def __str__(self) -> str:
        assert self.first_gap
        begin, step = map(float, self.first_gap)
        return (
            f"the file seems to lack about {_format_count(self.missing_frames, 'frame')}, first for {step:.3f} s at "
            f"{begin:.3f} s (or the video stands still there); the others keep their times."
        )


@dataclass
class DecodeIssues:
    """Problems that were found and worked around while decoding."""

    broken_packets: int = 0
    damaged_frames: int = 0
    filled_timestamps: int = 0
    interlaced_frames: int = 0
    jump_times: list[Fraction] = field(default_factory=list[Fraction])
    """Times at which the container's clock jumped, in seconds."""
    spacing: FrameSpacing = field(default_factory=FrameSpacing)

    def format_messages(self, name: str) -> list[str]:
        messages: list[str] = []
        if self.jump_times:
            place_count = _format_count(len(self.jump_times), "place")
            first = f"first at {float(self.jump_times[0]):.3f} s"
            messages.append(f"{name}: its clock jumps at {place_count}, {first}; the video continues without a break.")
        if self.spacing.missing_frames > self.broken_packets:
            messages.append(f"{name}: {self.spacing}")
        if self.broken_packets:
            count = _format_count(self.broken_packets, "packet")
            messages.append(f"{name}: {count} could not be decoded and left out; the frames around them keep their times.")
        if self.damaged_frames:
            count = _format_count(self.damaged_frames, "frame") + (" were" if self.damaged_frames != 1 else " was")
            messages.append(f"{name}: {count} damaged; the decoder filled in what it could not read.")
        if self.filled_timestamps:
            count = _format_count(self.filled_timestamps, "frame")
            messages.append(f"{name}: {count} had no usable time; it was computed from the frames before.")
        if self.interlaced_frames:
            count, verb = _format_count(self.interlaced_frames, "frame"), "were" if self.interlaced_frames != 1 else "was"
            messages.append(f"{name}: {count} further in {verb} interlaced and read as they are.")
        return messages


def _format_count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"


@dataclass(frozen=True)
class TimedFrame:
    """A decoded frame and its time in ticks of the stream's clock; ``duration`` is 0 when unknown."""

    pts: int
    duration: int
    av_frame: av.VideoFrame


def fix_timestamps(
    frames: Iterable[av.VideoFrame], time_base: Fraction, frame_rate: Fraction, issues: DecodeIssues, *, use_decode_times: bool
) -> Iterator[TimedFrame]:
    """Yield every frame with a time later than that of the frame before.

    A time that is missing or does not increase is replaced by the last good one plus one step for every frame since; a step
    is the last distance between two good ones, or 1 / ``frame_rate``. ``use_decode_times`` takes decoding times instead of
    presentation times: AVI stores none of the latter, and FFmpeg's guess runs backwards when frames are reordered.
    """
    last_pts: int | None = None
    step, anchor_pts, frames_since_anchor = 1 / frame_rate / time_base, Fraction(0), -1
    for frame in frames:
        scale = (to_fraction(frame.time_base) or time_base) / time_base
        source_pts = frame.dts if use_decode_times else frame.pts
        pts = None if source_pts is None else round(source_pts * scale)
        if pts is not None and (last_pts is None or pts > last_pts):
            if last_pts is not None and frames_since_anchor == 0:
                issues.spacing.add_step(last_pts * time_base, (pts - last_pts) * time_base, frame_rate)
            step = pts - anchor_pts if frames_since_anchor == 0 else step
            anchor_pts, frames_since_anchor = Fraction(pts), 0
        else:
            issues.filled_timestamps += not use_decode_times  # AVI has no time for frames that the decoder delayed
            frames_since_anchor += 1
            filled_pts = round(anchor_pts + frames_since_anchor * step)
            pts = filled_pts if last_pts is None else max(last_pts + 1, filled_pts)
        last_pts = pts
        yield TimedFrame(pts, round(frame.duration * scale), frame)
