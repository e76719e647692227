"""Find a frame by its number from packet times alone, so that the frames before it need not be decoded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from heapq import heappush, heappushpop
from itertools import islice, pairwise

from av.error import FFmpegError

from ...media import FrameNumber, FrameTimesUnknown
from .container import can_have_discontinuities, demux_packets, open_container, select_video_stream
from .probe import ProbedVideo, decode_first_frames
from .timestamps import DecodeIssues, DiscontinuityCorrector, TimedFrame, is_clock_continuous
from .trim import TrimRange

MAX_REORDERED_PACKETS = 64
"""More packets than any codec reorders."""
_COMPARED_FRAMES = 16
"""Frames at the beginning whose decoded times must be those of the packets."""


@dataclass(frozen=True)
class FramePosition:
    """The tick of a frame on the source's clock, and that of the selected frame before it."""

    pts_before: int
    pts: int

    def check(self, frames: Iterator[TimedFrame], trim_range: TrimRange, issues: DecodeIssues) -> Iterator[TimedFrame]:
        """Yield the frames from this one on. Raises ``FrameTimesUnknown`` if it is not where it should be or damaged before."""
        count, every_nth = -1, trim_range.every_nth
        for frame in frames:
            if frame.pts >= self.pts_before:
                count += 1
            if count == 0 and frame.pts != self.pts_before:
                break
            if issues.broken_packets or issues.filled_timestamps or count > every_nth:
                break
            if frame.pts >= self.pts:
                if frame.pts > self.pts or count != every_nth:
                    break
                yield frame
                yield from frames
                return
        raise FrameTimesUnknown("its frames have other times than its packets, or are damaged")


def find_frame(probed: ProbedVideo, trim_range: TrimRange, number: int) -> FramePosition:
    """Return where frame ``number`` (1 or more) of the range is, by its known times or from the times of all packets before.

    Raises ``FrameTimesUnknown`` where times are missing, repeated or jump, for damaged packets, and for AVI, which has no
    presentation times.
    """
    if isinstance(number, FrameNumber) and not (probed.uses_decode_times or probed.is_webp):
        time_base = probed.info.time_base
        before, own = (round(seconds / time_base) + trim_range.pts_shift for seconds in (number.seconds_before, number.seconds))
        if not is_clock_continuous(probed.path, own * time_base):
            raise FrameTimesUnknown("its clock jumps")
        if before < own:
            return FramePosition(before, own)
    selected = islice(list_frame_times(probed, trim_range), 0, None, trim_range.every_nth)
    for count, (before, own) in enumerate(pairwise(selected), 1):
        if count == number:
            return FramePosition(before, own)
    raise FrameTimesUnknown("it has fewer frames")


def list_selected_pts(probed: ProbedVideo, trim_range: TrimRange) -> Iterator[int]:
    """Yield ``Frame.pts`` of every frame that is read. Raises ``FrameTimesUnknown`` as ``find_frame`` does."""
    every_nth, cap = trim_range.every_nth, trim_range.frame_cap
    end = None if cap is None else cap * every_nth
    return (pts - trim_range.pts_shift for pts in islice(list_frame_times(probed, trim_range), 0, end, every_nth))


def list_frame_times(probed: ProbedVideo, trim_range: TrimRange) -> Iterator[int]:
    """Yield the ticks of the frames of the range in display order, without decoding. Memory does not grow with the length.

    Raises ``FrameTimesUnknown`` as ``find_frame`` does.
    """
    if probed.is_webp:
        raise FrameTimesUnknown("each of its frames is made of those before")
    if probed.uses_decode_times:
        raise FrameTimesUnknown("it stores no presentation times")
    first_ticks = _decode_first_times(probed)
    unchecked = list(reversed(first_ticks))
    last: int | None = None
    for pts in _sort_packet_times(probed):
        if pts < first_ticks[0]:  # a recording that was cut: these frames lack what they refer to
            continue
        if (unchecked and unchecked.pop() != pts) or (last is not None and pts <= last):
            raise FrameTimesUnknown("its frames have other times than its packets")
        last = pts
        if trim_range.end_pts is not None and pts >= trim_range.end_pts:
            return
        if trim_range.first_pts is None or pts >= trim_range.first_pts:
            yield pts


def _decode_first_times(probed: ProbedVideo) -> list[int]:
    with open_container(probed.path) as container:
        stream = select_video_stream(container, probed.path)
        times = [frame.pts for frame in decode_first_frames(probed.path, container, stream, _COMPARED_FRAMES)]
    if not times or None in times:
        raise FrameTimesUnknown("its frames have no times")
    return [pts for pts in times if pts is not None]


def _sort_packet_times(probed: ProbedVideo) -> Iterator[int]:
    """Yield the times of the packets in ascending order."""
    waiting: list[int] = []
    with open_container(probed.path) as container, suppress(FFmpegError):  # reported when the file is decoded
        stream = select_video_stream(container, probed.path)
        corrector = DiscontinuityCorrector() if can_have_discontinuities(container) else None
        for packet in demux_packets(container, stream):
            if corrector:
                corrector.correct_packet(packet)
            if not packet.size or packet.is_discard:  # outside of an edit list: decoded, not displayed
                continue
            if packet.pts is None or packet.is_corrupt or (corrector and corrector.jump_times):
                raise FrameTimesUnknown("a packet is damaged or has no time, or its clock jumps")
            if len(waiting) < MAX_REORDERED_PACKETS:
                heappush(waiting, packet.pts)
            else:
                yield heappushpop(waiting, packet.pts)
    yield from sorted(waiting)
