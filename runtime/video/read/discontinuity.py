"""Correct discontinuities of a container's clock: MPEG-TS counts 33 bits, and concatenated recordings begin anew."""

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
