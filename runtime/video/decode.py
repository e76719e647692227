"""Pictures in the order they are shown, from an exact place on, past packets that are broken."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from fractions import Fraction
from itertools import chain

import av
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError
from av.error import MemoryError as NoMemory
from av.packet import Packet
from av.video.stream import VideoStream

from .clock import Clock, jumps
from .container import may_jump, open_container, packets, video_stream
from .probe import Source
from .timing import Trouble

_MOST_THREADS = 8
"""Every decoding thread holds a picture; more than eight gain little and cost 50 MB each at 8K."""
_BROKEN_IN_A_ROW = 1000
"""After so many unreadable packets one after the other the file is taken to end."""
_STEPS_BACK = (Fraction(1), Fraction(10), Fraction(60))
"""Seconds to jump before the place that is wanted; each is tried when the one before did not reach a key frame early enough."""


def decoded(source: Source, first: int | None, trouble: Trouble) -> Generator[av.VideoFrame]:
    """The source's pictures; with ``first`` those from some key frame on that is shown at or before that tick.

    A place is only believed when the first picture after the jump is a key frame, has a time, and is not too late: containers
    index decoding times, which reordering and open groups of pictures set apart from the times shown. Otherwise, and for
    streams that cannot jump, decoding starts at the beginning; so it does where the container's clock jumps before that place.
    """
    if first is not None and len(jumps(source.path, first * source.info.time_base)) == 1:
        for back in _STEPS_BACK:
            with open_container(source.path) as container:
                pictures = _from_key_frame(container, source, first, back, trouble)
                if pictures is not None:
                    yield from pictures
                    return
    with open_container(source.path) as container:
        yield from _pictures(container, _stream(container, source), trouble)


def _stream(container: InputContainer, source: Source) -> VideoStream:
    stream = video_stream(container, source.path)
    stream.thread_type = "AUTO"  # pyright: ignore[reportAttributeAccessIssue]: PyAV's setter takes names, its stub does not
    stream.codec_context.thread_count = min(os.cpu_count() or 1, _MOST_THREADS)
    return stream


def _from_key_frame(
    container: InputContainer, source: Source, first: int, back: Fraction, trouble: Trouble
) -> Iterator[av.VideoFrame] | None:
    stream = _stream(container, source)
    trouble.broken_packets = 0
    try:
        container.seek(max(0, first - round(back / source.info.time_base)), stream=stream)
    except FFmpegError:
        return None
    pictures = _pictures(container, stream, trouble)
    picture = next(pictures, None)
    time = None if picture is None else picture.dts if source.decode_times else picture.pts
    if picture is None or time is None or not picture.key_frame or time > first:
        return None
    return chain([picture], pictures)


def _pictures(container: InputContainer, stream: VideoStream, trouble: Trouble) -> Iterator[av.VideoFrame]:
    clock = Clock() if may_jump(container) else None
    for packet in _packets(container, stream, trouble):
        if clock:
            clock.set(packet)
            trouble.jumps = clock.places
        try:
            pictures = packet.decode()
        except NoMemory:
            raise
        except FFmpegError:  # whatever a decoder says against a packet, the file itself was read
            trouble.broken_packets += 1
            continue
        yield from pictures


def _packets(container: InputContainer, stream: VideoStream, trouble: Trouble) -> Iterator[Packet[VideoStream]]:
    """Packets up to the end of the file, the last one empty, which makes the decoder give what it still holds."""
    in_a_row = 0
    while in_a_row < _BROKEN_IN_A_ROW:
        try:
            for packet in packets(container, stream):
                in_a_row = 0
                yield packet
            return
        except InvalidDataError:
            trouble.broken_packets += 1
            in_a_row += 1
