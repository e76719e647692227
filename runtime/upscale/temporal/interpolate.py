"""Another frame rate: frames at even times, each made of the two frames of the source around it, in constant memory.

The first frame is at the time of the source's first, and none depends on more than two, so the frames of a run that begins
anywhere are those of a run from the start. Times stay those of the source, so sound is left alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, partial
from itertools import chain

import numpy as np

from ...images import fill_transparent_pixels, to_floats, to_integers
from ...media import Floats, Frame, FrameNumber, FrameTimesUnknown, Samples, VideoInfo, VideoStream, parse_frame_rate
from .interpolation_network import InterpolationNetwork
from .steady import compute_luma, is_scene_cut, make_thumbnail

_SNAP = 16
"""A new frame within one tick of a frame of the source is that frame, where a tick is at most this part of their distance: the
clock of Matroska rounds to milliseconds."""
_LONGEST = 3
"""Frames further apart than so many of the average are a still that is shown for long, not motion."""


def interpolate_video(stream: VideoStream, frame_rate: str, network: InterpolationNetwork) -> VideoStream:
    """Return ``stream``, uint16, with ``frame_rate`` frames a second (``60``, ``60000/1001``, ``2x``), new ones by ``network``.

    Between two scenes the nearer frame is repeated, and in a pause of more than three frames the one before it. Between equal
    frames nothing is computed. Raises ``WorkflowError`` for a text that is no frame rate.
    """
    source = stream.info
    rate = parse_frame_rate(frame_rate, source.frame_rate)
    clock = _Clock.make(source, rate)

    def open_at(first: int = 0) -> Iterator[Frame]:
        place = _find_place(source, clock, first)
        if place is not None:
            with stream.frames(place.number) as frames:
                opened = next(frames, None)
                if opened is not None and opened.pts == place.pts:
                    yield from _make_frames(chain([opened], frames), clock, network, first, place.start)
                    return
        with stream.frames() as frames:
            yield from _make_frames(frames, clock, network, first)

    info = replace(
        source,
        frame_rate=rate,
        time_base=clock.time_base,
        frame_count=source.frame_count and max(1, round(source.frame_count * rate / source.frame_rate)),
        frame_count_source="duration" if source.frame_count else "unknown",
        identity=f"{source.identity} | {rate} frames a second by {network.sha256}",
        list_pts=source.list_pts and partial(_list_pts, source.list_pts, clock),
    )
    return VideoStream(info, open_at, open_at)


@dataclass(frozen=True)
class _Clock:
    """A clock on which times of the source and of new frames are whole numbers."""

    time_base: Fraction
    source_tick: int
    step: int
    """Ticks from one new frame to the next."""
    average: int
    """Ticks from one frame of the source to the next, on average."""

    @classmethod
    def make(cls, source: VideoInfo, rate: Fraction) -> _Clock:
        tick, step = source.time_base, 1 / rate
        denominator = math.lcm(tick.denominator, step.denominator)
        unit = Fraction(math.gcd(int(tick * denominator), int(step * denominator)), denominator)
        return cls(unit, int(tick / unit), int(step / unit), round(1 / source.frame_rate / unit))

    def list_times(self, start: int, number: int, end: int, *, is_last: bool = False) -> range:
        """Return the ticks of the new frames from ``number`` on before ``end``; at the end of a video to the nearest number."""
        limit = max(end - self.step // 2, start + 1) if is_last else end
        return range(start + number * self.step, limit, self.step)


@dataclass(frozen=True)
class _Place:
    """A frame of the source with which a run can begin, its time, and the tick of the first new frame of all."""

    number: int
    pts: int
    start: int


def _find_place(source: VideoInfo, clock: _Clock, first: int) -> _Place | None:
    """Return the last frame of the source at or before new frame ``first``; None where only decoding tells."""
    place, before = None, 0
    if not first or source.list_pts is None:
        return None
    try:
        for index, pts in enumerate(source.list_pts()):
            start = place.start if place else pts * clock.source_tick
            if pts * clock.source_tick > start + first * clock.step:
                break
            number = FrameNumber.at(index, before * source.time_base, pts * source.time_base) if index else 0
            place, before = _Place(number, pts, start), pts
    except FrameTimesUnknown:
        return None
    return place


def _list_pts(list_source: Callable[[], Iterator[int]], clock: _Clock) -> Iterator[int]:
    number = start = end = 0
    for index, pts in enumerate(list_source()):
        end = pts * clock.source_tick
        start = start if index else end
        times = clock.list_times(start, number, end)
        yield from times
        number += len(times)
    yield from clock.list_times(start, number, end + clock.average, is_last=True)


@dataclass(frozen=True, eq=False)
class _Kept:
    """A frame of the source that is kept: its own pixels (H, W, 3 or 4), uint16, and its tick."""

    pixels: Samples
    tick: int
    ticks: int
    """Its duration."""

    @cached_property
    def thumbnail(self) -> Floats:
        return make_thumbnail(compute_luma(to_floats(self.pixels[:, :, :3])))


def _keep(frame: Frame, clock: _Clock) -> _Kept:
    pixels = frame.pixels
    own = pixels.copy() if pixels.dtype == np.uint16 else pixels.astype(np.uint16) * np.uint16(257)
    return _Kept(own, frame.pts * clock.source_tick, frame.duration * clock.source_tick or clock.average)


def _make_frames(
    frames: Iterator[Frame], clock: _Clock, network: InterpolationNetwork, number: int, start: int | None = None
) -> Iterator[Frame]:
    """Yield the new frames from ``number`` on. The first of ``frames`` is at or before it, or else the first of all."""
    source = (_keep(frame, clock) for frame in frames)
    before, shown = next(source, None), None
    for after in chain(source, (None,)):
        if before is None:
            return
        start = before.tick if start is None else start
        end = after.tick if after else before.tick + before.ticks
        pair = _Pair(before, after, clock, network) if after else None
        for tick in clock.list_times(start, number, end, is_last=after is None):
            pixels = pair.make_pixels(tick) if pair else before.pixels
            yield Frame(pixels, tick, clock.step, clock.time_base, is_repeat=pixels is shown)
            shown, number = pixels, number + 1
        before = after


@dataclass(frozen=True, eq=False)
class _Pair:
    """Two frames of the source, one after the other."""

    before: _Kept
    after: _Kept
    clock: _Clock
    network: InterpolationNetwork

    @cached_property
    def is_still(self) -> bool:
        return np.array_equal(self.before.pixels, self.after.pixels)

    @cached_property
    def is_cut(self) -> bool:
        return is_scene_cut(self.before.thumbnail, self.after.thumbnail)

    def make_pixels(self, tick: int) -> Samples:
        """Return the pixels at a tick between the two."""
        gap, passed = self.after.tick - self.before.tick, tick - self.before.tick
        near = self.clock.source_tick if _SNAP * self.clock.source_tick <= gap else 0
        if near and gap - passed <= near:
            return self.after.pixels
        if passed <= near or gap > _LONGEST * self.clock.average or self.is_still:
            return self.before.pixels
        if self.is_cut:
            return (self.before if 2 * passed <= gap else self.after).pixels
        return to_integers(_interpolate(self.network, self.before.pixels, self.after.pixels, passed / gap), 16)


def _interpolate(network: InterpolationNetwork, before: Samples, after: Samples, time: float) -> Floats:
    """Return the frame between two. Alpha is a grey image of its own, and the colors under transparent pixels are filled."""
    first, second = to_floats(before), to_floats(after)
    if before.shape[2] == 3:
        return network.run(first, second, time)
    colors = network.run(fill_transparent_pixels(first), fill_transparent_pixels(second), time)
    first_alpha, second_alpha = (np.repeat(each[:, :, 3:], 3, axis=2) for each in (first, second))
    alpha = network.run(first_alpha, second_alpha, time).mean(axis=2, keepdims=True)
    return np.concatenate((colors, alpha), axis=2)
