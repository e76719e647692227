"""Select a range of frames, and describe the video that they form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction

from av.error import FFmpegError

from ...errors import WorkflowError
from ...media import VideoInfo
from .container import can_have_discontinuities, demux_packets, open_container, select_video_stream
from .probe import ProbedVideo
from .timestamps import DiscontinuityCorrector, TimedFrame, is_clock_continuous

_MAX_REORDERED_PACKETS = 64
"""More packets than any codec reorders."""


@dataclass(frozen=True)
class TrimRange:
    """Every ``every_nth`` frame from tick ``first_pts`` up to but without ``end_pts``, at most ``frame_cap`` of them."""

    first_pts: int | None = None
    end_pts: int | None = None
    frame_cap: int | None = None
    every_nth: int = 1
    zero_pts: int = 0
    """The tick at which a video begins whose frames begin before 0, else 0: players skip the frames before it."""

    @property
    def pts_shift(self) -> int:
        """Ticks to subtract from every time."""
        return self.zero_pts if self.first_pts is None else self.first_pts

    def change_clock(self, ticks: int) -> TrimRange:
        """Return the range on a clock with ``ticks`` ticks for each of this one."""
        first, end = (None if pts is None else pts * ticks for pts in (self.first_pts, self.end_pts))
        return replace(self, first_pts=first, end_pts=end, zero_pts=self.zero_pts * ticks)

    def skip(self, count: int) -> TrimRange:
        """Return the range from its frame number ``count`` on, for frames that begin there."""
        left = None if self.frame_cap is None else max(0, self.frame_cap - count)
        return replace(self, first_pts=None, frame_cap=left)


def resolve_trim_range(
    probed: ProbedVideo, start: Fraction, duration: Fraction | None, frame_cap: int | None, every_nth: int
) -> TrimRange:
    """Convert the range to ticks of the source's clock. Raises ``WorkflowError`` for values that select no frame."""
    _validate_range(probed, start, duration, frame_cap, every_nth)
    time_base = probed.info.time_base
    zero = probed.start_time + start
    return TrimRange(
        first_pts=round(zero / time_base) if start else None,
        end_pts=round((zero + duration) / time_base) if duration is not None else None,
        frame_cap=frame_cap,
        every_nth=every_nth,
        zero_pts=round(probed.start_time / time_base) if probed.starts_before_zero else 0,
    )


def _validate_range(
    probed: ProbedVideo, start: Fraction, duration: Fraction | None, frame_cap: int | None, every_nth: int
) -> None:
    def make_error(name: str, what: str, hint: str) -> WorkflowError:
        return WorkflowError(what, hint, path=probed.path, input_name=name)

    if start < 0:
        raise make_error("start", f"start is {float(start):g} s.", "Set it to 0 or more.")
    if duration is not None and duration <= 0:
        raise make_error("duration", f"duration is {float(duration):g} s.", "Set it to more than 0, or leave it out.")
    if frame_cap is not None and frame_cap < 1:
        raise make_error("frame_cap", f"frame_cap is {frame_cap}.", "Set it to 1 or more, or leave it out.")
    if every_nth < 1:
        raise make_error("every_nth", f"every_nth is {every_nth}.", "Set it to 1 for every frame, 2 for every other one.")


def trim(frames: Iterable[TimedFrame], trim_range: TrimRange) -> Iterator[TimedFrame]:
    """Yield the selected frames at their own times; each lasts until the next one, the last until the skipped ones end."""
    pending: TimedFrame | None = None
    seen_count = taken_count = end_pts = 0
    for frame in frames:
        if trim_range.first_pts is not None and frame.pts < trim_range.first_pts:
            continue
        if trim_range.end_pts is not None and frame.pts >= trim_range.end_pts:
            break
        if seen_count % trim_range.every_nth == 0:
            if pending is not None:
                yield replace(pending, duration=frame.pts - pending.pts)
                pending = None
            if taken_count == trim_range.frame_cap:
                return
            pending, taken_count = frame, taken_count + 1
        seen_count, end_pts = seen_count + 1, frame.pts + frame.duration
    if pending is not None:
        yield replace(pending, duration=end_pts - pending.pts)


def trimmed_info(probed: ProbedVideo, trim_range: TrimRange) -> VideoInfo:
    """Return the properties of the selected range. The count is the header's only if no time limits the range."""
    info = probed.info
    frame_rate = info.frame_rate / trim_range.every_nth
    is_untrimmed = trim_range.first_pts is None and trim_range.end_pts is None
    trimmed_duration = _compute_duration(info, trim_range, probed.start_time)
    frame_count = info.frame_count if is_untrimmed else None
    if not is_untrimmed and trimmed_duration is not None:
        frame_count = max(1, round(trimmed_duration * info.frame_rate))
    if frame_count is not None:
        frame_count = -(-frame_count // trim_range.every_nth)
        frame_count = frame_count if trim_range.frame_cap is None else min(frame_count, trim_range.frame_cap)
    if trim_range.frame_cap is not None:
        capped_duration = trim_range.frame_cap / frame_rate
        trimmed_duration = capped_duration if trimmed_duration is None else min(trimmed_duration, capped_duration)
    return replace(
        info,
        frame_rate=frame_rate,
        frame_count=frame_count,
        frame_count_source="unknown" if frame_count is None else info.frame_count_source if is_untrimmed else "duration",
        duration=trimmed_duration,
        start=trim_range.pts_shift * info.time_base,
        end=_find_end_time(probed, trim_range, trimmed_duration),
        identity=f"{info.identity} | frames {trim_range.first_pts}:{trim_range.end_pts}:{trim_range.every_nth}"
        f" cap {trim_range.frame_cap}",
    )


def _compute_duration(info: VideoInfo, trim_range: TrimRange, zero: Fraction) -> Fraction | None:
    """Return the seconds from the start to the end of the range; None when unknown."""
    begin_time = Fraction(0) if trim_range.first_pts is None else trim_range.first_pts * info.time_base - zero
    end = None if trim_range.end_pts is None else trim_range.end_pts * info.time_base - zero
    known_ends = [time for time in (end, info.duration) if time is not None]
    return max(Fraction(0), min(known_ends) - begin_time) if known_ends else None


def _find_end_time(probed: ProbedVideo, trim_range: TrimRange, trimmed_duration: Fraction | None) -> Fraction | None:
    """Return the seconds on the source's clock at which the last selected frame ends; None for the end of the video."""
    time_base = probed.info.time_base
    ends = [] if trim_range.end_pts is None else [trim_range.end_pts * time_base]
    if trim_range.frame_cap is not None and trimmed_duration is not None:
        pts_after = _find_pts_after(probed, trim_range.first_pts, trim_range.frame_cap * trim_range.every_nth)
        ends += [] if pts_after is None else [pts_after * time_base]
    return min(ends, default=None)


def _find_pts_after(probed: ProbedVideo, first_pts: int | None, frame_count: int) -> int | None:
    """Return the tick of the frame after ``frame_count`` frames, from packet times alone; None at the end of the video."""
    pts_list: list[int] = []
    if probed.is_webp:  # nothing else is to be cut to the time of the frames
        return None
    with open_container(probed.path) as container:
        stream = select_video_stream(container, probed.path)
        with suppress(FFmpegError):  # a stream that cannot seek is read from its beginning
            if first_pts is not None and is_clock_continuous(probed.path, first_pts * probed.info.time_base):
                container.seek(max(0, first_pts - round(1 / probed.info.time_base)), stream=stream)
        with suppress(FFmpegError):  # reported when the file is decoded
            corrector = DiscontinuityCorrector()
            for packet in demux_packets(container, stream):
                if can_have_discontinuities(container):
                    corrector.correct_packet(packet)
                pts = packet.dts if probed.uses_decode_times else packet.pts
                if pts is not None and (first_pts is None or pts >= first_pts):
                    pts_list.append(pts)
                if len(pts_list) > frame_count + _MAX_REORDERED_PACKETS:
                    break
    return sorted(pts_list)[frame_count] if len(pts_list) > frame_count else None
