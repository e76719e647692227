"""When each picture is shown: the source's own times where they can be believed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import av

from .probe import exact

_EVEN = Fraction(1, 4)
"""Of a step, how far it may be off: Matroska rounds to milliseconds."""
_MOSTLY = 20


@dataclass
class Steps:
    """How far pictures are apart; in a film of even steps a long one tells of pictures that are not in the file."""

    even: int = 0
    uneven: int = 0
    long: int = 0
    lacking: int = 0
    """Pictures that the long steps have room for."""
    first: tuple[Fraction, Fraction] | None = None
    """The first long step: when it begins, and how long it is, in seconds."""

    def add(self, begin: Fraction, step: Fraction, rate: Fraction) -> None:
        """From ``begin`` to the next picture it is ``step`` seconds."""
        frames = step * rate
        if abs(frames - 1) <= _EVEN:
            self.even += 1
        elif frames < 2 - _EVEN:
            self.uneven += 1
        else:
            self.long += 1
            self.lacking += round(frames) - 1
            self.first = self.first or (begin, step)

    @property
    def missing(self) -> int:
        """How many pictures seem to be missing; 0 for a film whose steps are not even."""
        return self.lacking if self.even > _MOSTLY * (self.long + self.uneven) else 0

    def __str__(self) -> str:
        assert self.first
        begin, step = map(float, self.first)
        return (
            f"the file seems to lack about {_counted(self.missing, 'frame')}, first for {step:.3f} s at {begin:.3f} s (or the "
            "film stands there); the others keep their times."
        )


@dataclass
class Trouble:
    """What went wrong on the way and was lived with."""

    broken_packets: int = 0
    damaged: int = 0
    times_filled: int = 0
    interlaced: int = 0
    jumps: list[Fraction] = field(default_factory=list[Fraction])
    """Where the container's clock jumped, in seconds."""
    steps: Steps = field(default_factory=Steps)

    def sentences(self, name: str) -> list[str]:
        told: list[str] = []
        if self.jumps:
            places = _counted(len(self.jumps), "place")
            told.append(
                f"{name}: its clock jumps at {places}, first at {float(self.jumps[0]):.3f} s; the film goes on without a break."
            )
        if self.steps.missing > self.broken_packets:
            told.append(f"{name}: {self.steps}")
        if self.broken_packets:
            count = _counted(self.broken_packets, "packet")
            told.append(f"{name}: {count} could not be decoded and left out; the frames around them keep their times.")
        if self.damaged:
            were = "were" if self.damaged != 1 else "was"
            told.append(
                f"{name}: {_counted(self.damaged, 'frame')} {were} damaged; the decoder filled in what it could not read."
            )
        if self.times_filled:
            count = _counted(self.times_filled, "frame")
            told.append(f"{name}: {count} had no usable time; the frames before gave it.")
        if self.interlaced:
            were = "were" if self.interlaced != 1 else "was"
            told.append(f"{name}: {_counted(self.interlaced, 'frame')} further in {were} interlaced and read as they are.")
        return told


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"


@dataclass(frozen=True)
class Timed:
    """A picture and its time in ticks of the stream's clock; ``duration`` 0 when it is not known."""

    pts: int
    duration: int
    picture: av.VideoFrame


def in_time(
    pictures: Iterable[av.VideoFrame], base: Fraction, rate: Fraction, trouble: Trouble, *, decode_times: bool
) -> Iterator[Timed]:
    """Give every picture a time later than that of the one before.

    A time that is missing or does not go forward is replaced by the last good one plus as many steps as it is frames behind;
    a step is the last distance between two good ones, or 1 / ``rate``. With ``decode_times`` the decoder's clock counts
    instead of the packets': AVI stores none, and FFmpeg's guess of presentation times runs backwards there as soon as frames
    are reordered.
    """
    last: int | None = None
    step, anchor, since = 1 / rate / base, Fraction(0), -1
    for picture in pictures:
        scale = (exact(picture.time_base) or base) / base
        own = picture.dts if decode_times else picture.pts
        pts = None if own is None else round(own * scale)
        if pts is not None and (last is None or pts > last):
            if last is not None and since == 0:
                trouble.steps.add(last * base, (pts - last) * base, rate)
            step = pts - anchor if since == 0 else step
            anchor, since = Fraction(pts), 0
        else:
            trouble.times_filled += not decode_times  # AVI has no time for the pictures that its decoder holds back
            since += 1
            filled = round(anchor + since * step)
            pts = filled if last is None else max(last + 1, filled)
        last = pts
        yield Timed(pts, round(picture.duration * scale), picture)
