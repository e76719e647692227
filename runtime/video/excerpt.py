"""Which frames of a film are asked for, and what is then known of the film they make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction

from av.error import FFmpegError

from ..errors import WorkflowError
from ..frames.stream import VideoInfo
from .clock import Clock, jumps
from .container import may_jump, open_container, packets, video_stream
from .probe import Source
from .timing import Timed

_REORDERED = 64
"""More packets than any codec holds back."""


@dataclass(frozen=True)
class Excerpt:
    """Frames from tick ``first`` up to but without tick ``end``; of these every ``every_nth``, at most ``frame_cap``."""

    first: int | None = None
    end: int | None = None
    frame_cap: int | None = None
    every_nth: int = 1

    zero: int = 0
    """The tick at which a film begins whose pictures begin before 0, else 0: players show nothing of what lies there."""

    @property
    def shift(self) -> int:
        """What is taken off every time."""
        return self.zero if self.first is None else self.first


def excerpt(source: Source, start: Fraction, duration: Fraction | None, frame_cap: int | None, every_nth: int) -> Excerpt:
    """The same in ticks of the source's clock. Raises ``WorkflowError`` for numbers that ask for nothing."""
    _check(source, start, duration, frame_cap, every_nth)
    base = source.info.time_base
    zero = source.clock_zero + start
    return Excerpt(
        first=round(zero / base) if start else None,
        end=round((zero + duration) / base) if duration is not None else None,
        frame_cap=frame_cap,
        every_nth=every_nth,
        zero=round(source.clock_zero / base) if source.before_zero else 0,
    )


def _check(source: Source, start: Fraction, duration: Fraction | None, frame_cap: int | None, every_nth: int) -> None:
    def refuse(name: str, what: str, hint: str) -> WorkflowError:
        return WorkflowError(what, hint, path=source.path, input_name=name)

    if start < 0:
        raise refuse("start", f"start is {float(start):g} s.", "Give 0 or more seconds.")
    if duration is not None and duration <= 0:
        raise refuse("duration", f"duration is {float(duration):g} s.", "Give more than 0 seconds, or leave it out.")
    if frame_cap is not None and frame_cap < 1:
        raise refuse("frame_cap", f"frame_cap is {frame_cap}.", "Give 1 or more, or leave it out.")
    if every_nth < 1:
        raise refuse("every_nth", f"every_nth is {every_nth}.", "Give 1 for every frame, 2 for every other one.")


def chosen(frames: Iterable[Timed], what: Excerpt) -> Iterator[Timed]:
    """The frames asked for, times unchanged, each lasting until the next one (the last: until those it stands for end)."""
    waiting: Timed | None = None
    seen = taken = over = 0
    for frame in frames:
        if what.first is not None and frame.pts < what.first:
            continue
        if what.end is not None and frame.pts >= what.end:
            break
        if seen % what.every_nth == 0:
            if waiting is not None:
                yield replace(waiting, duration=frame.pts - waiting.pts)
                waiting = None
            if taken == what.frame_cap:
                return
            waiting, taken = frame, taken + 1
        seen, over = seen + 1, frame.pts + frame.duration
    if waiting is not None:
        yield replace(waiting, duration=over - waiting.pts)


def described(source: Source, what: Excerpt) -> VideoInfo:
    """The film that the chosen frames make. The count is the header's only when no time cuts the film."""
    info = source.info
    rate = info.frame_rate / what.every_nth
    uncut = what.first is None and what.end is None
    span = _span(info, what, source.clock_zero)
    frames = info.frame_count if uncut else None if span is None else max(1, round(span * info.frame_rate))
    if frames is not None:
        frames = -(-frames // what.every_nth)
        frames = frames if what.frame_cap is None else min(frames, what.frame_cap)
    if what.frame_cap is not None:
        capped = what.frame_cap / rate
        span = capped if span is None else min(span, capped)
    return replace(
        info,
        frame_rate=rate,
        frame_count=frames,
        frame_count_from="unknown" if frames is None else info.frame_count_from if uncut else "duration",
        duration=span,
        start=what.shift * info.time_base,
        end=_end(source, what, span),
        identity=f"{info.identity} | frames {what.first}:{what.end}:{what.every_nth} cap {what.frame_cap}",
    )


def _span(info: VideoInfo, what: Excerpt, zero: Fraction) -> Fraction | None:
    """Seconds between the cuts."""
    begin = Fraction(0) if what.first is None else what.first * info.time_base - zero
    until = None if what.end is None else what.end * info.time_base - zero
    known = [time for time in (until, info.duration) if time is not None]
    return max(Fraction(0), min(known) - begin) if known else None


def _end(source: Source, what: Excerpt, span: Fraction | None) -> Fraction | None:
    """Seconds on the source's clock at which the last chosen frame ends; None when that is the end of the film."""
    base = source.info.time_base
    ends = [] if what.end is None else [what.end * base]
    if what.frame_cap is not None and span is not None:
        after = _time_after(source, what.first, what.frame_cap * what.every_nth)
        ends += [] if after is None else [after * base]
    return min(ends, default=None)


def _time_after(source: Source, first: int | None, frames: int) -> int | None:
    """The tick of the frame that follows ``frames`` frames, from the packets' times alone; None at the end of the film."""
    times: list[int] = []
    with open_container(source.path) as container:
        stream = video_stream(container, source.path)
        with suppress(FFmpegError):  # what cannot jump is read from its beginning
            if first is not None and len(jumps(source.path, first * source.info.time_base)) == 1:
                container.seek(max(0, first - round(1 / source.info.time_base)), stream=stream)
        with suppress(FFmpegError):  # a broken file is told of when it is read
            clock = Clock()
            for packet in packets(container, stream):
                if may_jump(container):
                    clock.set(packet)
                time = packet.dts if source.decode_times else packet.pts
                if time is not None and (first is None or time >= first):
                    times.append(time)
                if len(times) > frames + _REORDERED:
                    break
    return sorted(times)[frames] if len(times) > frames else None
