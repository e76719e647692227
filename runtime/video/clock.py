"""A container's clock made to run on where it jumps: MPEG-TS counts 33 bits, and a recording that was put together of several
begins anew in the middle.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet

from .container import may_jump, open_container, packets, video_stream
from .probe import exact

_FORWARD, _BACKWARD = 3600, 1
"""Seconds from packet to packet. Less forward may be a film that stands, or lost; less backward a packet out of place."""


@dataclass
class Clock:
    """The clock of the picture. Packets are given to it in the order of the file; it sets their times."""

    offsets: list[Fraction] = field(default_factory=lambda: [Fraction(0)])
    """Seconds to be added to times, before the first jump, after it, after the second, and so on."""
    places: list[Fraction] = field(default_factory=list[Fraction])
    """Where it jumped, in seconds of the time that it makes."""
    _last: Fraction | None = None
    _step: Fraction = Fraction(0)

    def set(self, packet: Packet[Any]) -> None:
        """Move the packet's times so that they follow those of the packet before."""
        time = _time(packet)
        if time is None:
            return
        time += self.offsets[-1]
        if self._last is not None and _is_jump(time - self._last):
            follows = self._last + self._step
            self.offsets.append(self.offsets[-1] + follows - time)
            self.places.append(follows)
            time = follows
        elif self._last is not None and time > self._last:
            self._step = time - self._last
        self._last = time
        move(packet, self.offsets[-1])


@dataclass
class Follower:
    """The clock of another stream of the same file, which jumps where that of the picture does."""

    offsets: list[Fraction]
    _current: int = 0
    _last: Fraction | None = None

    def set(self, packet: Packet[Any]) -> None:
        """As ``Clock.set``; a jump that the picture does not have is left as it is."""
        time = _time(packet)
        if time is None:
            return
        if self._last is not None and _is_jump(time + self.offsets[self._current] - self._last):
            self._current = min(range(len(self.offsets)), key=lambda number: self._distance(time, number))
        self._last = time + self.offsets[self._current]
        move(packet, self.offsets[self._current])

    def _distance(self, time: Fraction, number: int) -> Fraction:
        assert self._last is not None
        return abs(time + self.offsets[number] - self._last)


def jumps(path: Path, until: Fraction | None = None) -> list[Fraction]:
    """``Clock.offsets`` of a film, up to a time or to its end. It is read, which takes seconds for a gigabyte, not decoded.

    The answers about the last few films are kept as long as their files do not change.
    """
    with open_container(path) as container:
        if not may_jump(container):
            return [Fraction(0)]
    state = path.stat()
    return list(_offsets(path, until, state.st_size, state.st_mtime_ns))


@lru_cache(maxsize=16)
def _offsets(path: Path, until: Fraction | None, *_state: int) -> tuple[Fraction, ...]:
    clock = Clock()
    with open_container(path) as container:
        for packet in _readable(container, path):
            clock.set(packet)
            time = _time(packet)
            if until is not None and time is not None and time >= until:
                break
    return tuple(clock.offsets)


def _readable(container: InputContainer, path: Path) -> Iterator[Packet[Any]]:
    with suppress(FFmpegError):  # what cannot be read is told of when it is decoded
        yield from packets(container, video_stream(container, path))


def _is_jump(step: Fraction) -> bool:
    return step > _FORWARD or step < -_BACKWARD


def _time(packet: Packet[Any]) -> Fraction | None:
    ticks = packet.dts if packet.dts is not None else packet.pts
    return None if ticks is None or not packet.size else ticks * exact(packet.time_base)


def move(packet: Packet[Any], seconds: Fraction) -> None:
    """Add to the packet's times."""
    if not seconds:
        return
    ticks = round(seconds / exact(packet.time_base))
    packet.pts = None if packet.pts is None else packet.pts + ticks
    packet.dts = None if packet.dts is None else packet.dts + ticks
