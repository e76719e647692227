"""Decode frames in display order from an exact position, skipping broken packets.

What FFmpeg's decoders fill in for damaged data depends on the number of threads and on all frames decoded before. Intact data
does not, so a video is decoded by many threads up to the first error (``Decoding.INTACT``), and who reads it begins anew with
one thread (``Decoding.DAMAGED``). What FFmpeg takes for intact remains: a lost packet, or bits that became other valid ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from enum import Enum
from fractions import Fraction
from itertools import chain
from typing import Literal

import av
from av.container import InputContainer
from av.error import BlockingIOError, EOFError, FFmpegError, InvalidDataError
from av.error import MemoryError as NoMemory
from av.filter import Graph
from av.packet import Packet
from av.video.stream import VideoStream

from ...errors import MediaError
from ...hardware import count_usable_cores
from ..animation.animated_webp import decode_webp_frames
from .container import can_have_discontinuities, demux_packets, open_container, open_decoder, select_video_stream
from .frame_position import MAX_REORDERED_PACKETS
from .probe import ProbedVideo
from .timestamps import DecodeIssues, DiscontinuityCorrector, is_clock_continuous

DeinterlaceMode = Literal["refuse", "bwdif", "keep", "bwdif double rate", "telecine"]
_MAX_THREADS = 8
"""Every decoding thread holds a frame; more than eight gain little and cost 50 MB each at 8K."""
_MAX_CONSECUTIVE_ERRORS = 1000
"""The file is taken to end after this many unreadable packets in a row."""
_SEEK_MARGINS = (Fraction(1), Fraction(10), Fraction(60))
"""Seconds before the position to seek to; each is tried when the one before did not reach a key frame early enough."""


class Decoding(Enum):
    """How a video is decoded, and what is done where it is damaged."""

    INTACT = "many threads; raises DamagedVideo"
    INTACT_AFTER_START = "one thread; raises DamagedVideo except for packets that fail before the first frame"
    DAMAGED = "one thread; packets that fail are counted and left out, the decoder fills in what it could not read"


class DamagedVideo(Exception):
    """The decoder met an error in the data, ``before_frames`` or after some frames."""

    def __init__(self, *, before_frames: bool) -> None:
        super().__init__("the decoder meets an error")
        self.before_frames = before_frames


def decode_frames(
    probed: ProbedVideo, first_pts: int | None, issues: DecodeIssues, decoding: Decoding = Decoding.DAMAGED
) -> Generator[av.VideoFrame]:
    """Yield the source's frames; with ``first_pts`` from some key frame on that is displayed at or before that tick.

    Unless ``decoding`` is ``DAMAGED``, raises ``DamagedVideo`` at the first error, before any frame that could suffer from it.
    Leading frames of an open GOP, which refer to frames before its key frame, fail by rights after a seek.

    A seek is accepted only if the first frame after it is a key frame with a time that is not too late: containers index
    decoding times, which differ from display times by reordering and open GOPs. Otherwise, for streams that cannot seek, and
    if the clock jumps before that position, decoding starts at the beginning.
    """
    if probed.is_webp:
        yield from decode_webp_frames(probed.path)
        return
    if first_pts is not None and is_clock_continuous(probed.path, first_pts * probed.info.time_base):
        for margin in _SEEK_MARGINS:
            with open_container(probed.path) as container:
                frames = _decode_from_key_frame(container, probed, first_pts, margin, issues, decoding)
                if frames is not None:
                    yield from frames
                    return
    with open_container(probed.path) as container:
        yield from _decode_packets(container, _configure_stream(container, probed, decoding), issues, decoding)


def _configure_stream(container: InputContainer, probed: ProbedVideo, decoding: Decoding) -> VideoStream:
    stream = select_video_stream(container, probed.path)
    # Without times in the file, only decoders that do not delay frames tell of an error in the last ones.
    can_delay = not probed.uses_decode_times and stream.start_time is not None
    stream.thread_type = "AUTO" if can_delay else "SLICE"  # pyright: ignore[reportAttributeAccessIssue]: PyAV's stub lacks names
    stream.codec_context.thread_count = min(count_usable_cores(), _MAX_THREADS) if decoding == Decoding.INTACT else 1
    if decoding != Decoding.DAMAGED:
        stream.codec_context.options = {"err_detect": "explode"}
    return stream


def _decode_from_key_frame(
    container: InputContainer, probed: ProbedVideo, first_pts: int, margin: Fraction, issues: DecodeIssues, decoding: Decoding
) -> Iterator[av.VideoFrame] | None:
    stream = _configure_stream(container, probed, decoding)
    issues.broken_packets = 0
    try:
        container.seek(max(0, first_pts - round(margin / probed.info.time_base)), stream=stream)
    except FFmpegError:
        return None
    frames = _decode_packets(container, stream, issues, decoding)
    try:
        frame = next(frames, None)
    except DamagedVideo:
        if decoding == Decoding.INTACT:
            raise
        return None
    frame_pts = None if frame is None else frame.dts if probed.uses_decode_times else frame.pts
    if frame is None or frame_pts is None or not frame.key_frame or frame_pts > first_pts:
        return None
    return chain([frame], frames)


def _decode_packets(
    container: InputContainer, stream: VideoStream, issues: DecodeIssues, decoding: Decoding
) -> Iterator[av.VideoFrame]:
    corrector = DiscontinuityCorrector() if can_have_discontinuities(container) else None
    decode = open_decoder(stream)
    before_frames, leading_errors, order = True, 0, _DecodingOrder()
    for packet in _demux_past_errors(container, stream, issues):
        if corrector:
            corrector.correct_packet(packet)
            issues.jump_times = corrector.jump_times
        try:
            frames = decode(packet)
        except NoMemory:
            raise
        except FFmpegError as error:  # an error of the decoder: the file itself was read
            if decoding == Decoding.DAMAGED:
                issues.broken_packets += 1
                continue
            leading_errors += before_frames
            if decoding == Decoding.INTACT or not before_frames or leading_errors > MAX_REORDERED_PACKETS:
                raise DamagedVideo(before_frames=before_frames) from error
            continue
        if decoding == Decoding.DAMAGED:
            yield from frames
            continue
        order.add(packet, frames)
        if order.lacks_last_frames or any(frame.is_corrupt for frame in frames):
            raise DamagedVideo(before_frames=before_frames)
        before_frames = before_frames and not frames
        yield from order.release()
    yield from order.release(all_frames=True)
    if leading_errors and before_frames:
        raise DamagedVideo(before_frames=True)


class _DecodingOrder:
    """Holds each frame back until all that were decoded before it are out: it may refer to one that turns out to be damaged.

    Frames come out in display order. Those without a time are not held back.
    """

    def __init__(self) -> None:
        self._held: deque[tuple[int, av.VideoFrame]] = deque()
        self._in_decoder: dict[int, int] = {}
        """Times of packets whose frames are not out, and their numbers."""
        self._packet_count = 0
        self.lacks_last_frames = False
        """Fewer frames than packets came out at the end: PyAV 18 does not report an error after a frame there."""

    def add(self, packet: Packet[VideoStream], frames: list[av.VideoFrame]) -> None:
        """Note a packet and the frames that the decoder returned for it; an empty one is the last."""
        if packet.size and packet.pts is not None and not packet.is_discard:
            self._in_decoder[packet.pts] = self._packet_count
        self._packet_count += 1
        times = [frame.pts for frame in frames if frame.pts is not None]
        self._held.extend((-1 if frame.pts is None else self._in_decoder.get(frame.pts, -1), frame) for frame in frames)
        self.lacks_last_frames = not packet.size and not self._in_decoder.keys() <= set(times)
        if not packet.size:
            self._in_decoder.clear()
        elif times:
            oldest = self._packet_count - MAX_REORDERED_PACKETS  # some packets never give a frame
            self._in_decoder = {pts: n for pts, n in self._in_decoder.items() if pts > max(times) and n >= oldest}

    def release(self, *, all_frames: bool = False) -> Iterator[av.VideoFrame]:
        """Yield the frames that nothing in the decoder can change."""
        first = self._packet_count if all_frames else min(self._in_decoder.values(), default=self._packet_count)
        while self._held and self._held[0][0] < first:
            yield self._held.popleft()[1]


def _demux_past_errors(container: InputContainer, stream: VideoStream, issues: DecodeIssues) -> Iterator[Packet[VideoStream]]:
    """Yield packets up to the end of the file; the last one is empty and flushes the decoder."""
    consecutive_errors = 0
    while consecutive_errors < _MAX_CONSECUTIVE_ERRORS:
        try:
            for packet in demux_packets(container, stream):
                consecutive_errors = 0
                yield packet
            return
        except InvalidDataError:
            issues.broken_packets += 1
            consecutive_errors += 1


def deinterlace_frames(frames: Iterable[av.VideoFrame], mode: DeinterlaceMode, frame_rate: Fraction) -> Iterator[av.VideoFrame]:
    """Yield full frames of interlaced ones, on a clock of their own; frames that are not marked as interlaced stay as they are.

    ``bwdif`` gives one frame for each, ``bwdif double rate`` one for each field, and ``telecine`` the four of a movie for every
    five, where it joins the fields that belong together and drops the repeated frame. ``keep`` and ``refuse`` change nothing.
    Raises ``MediaError`` for a pixel format that FFmpeg's filters do not take without loss.
    """
    graph: Graph | None = None
    filters = _FILTERS.get(mode)
    if filters is None:
        yield from frames
        return
    pixel_format = ""
    for frame in frames:
        if graph is None:
            graph, pixel_format = _build_graph(frame, filters, frame_rate), frame.format.name
        graph.vpush(frame)
        yield from _require_format(_pull_ready_frames(graph), pixel_format)
    if graph is not None:
        graph.vpush(None)
        yield from _require_format(_pull_ready_frames(graph), pixel_format)


_BWDIF = ("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
_FILTERS: dict[str, tuple[tuple[str, str], ...]] = {
    "bwdif": (_BWDIF,),
    "bwdif double rate": (("bwdif", "mode=send_field:parity=auto:deint=interlaced"),),
    "telecine": (("fieldmatch", "order=auto:combmatch=full"), _BWDIF, ("decimate", "cycle=5")),
}


def _require_format(frames: Iterable[av.VideoFrame], pixel_format: str) -> Iterator[av.VideoFrame]:
    for frame in frames:
        if frame.format.name != pixel_format:
            what = f"Inverse telecine would convert its pixels from {pixel_format} to {frame.format.name}."
            raise MediaError(what, "Set deinterlace to bwdif, or convert the video to 8 bits in 4:2:0 first.")
        yield frame


def _build_graph(frame: av.VideoFrame, filters: Iterable[tuple[str, str]], frame_rate: Fraction) -> Graph:
    graph = Graph()
    size = f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:pixel_aspect=1/1"
    last = graph.add("buffer", f"{size}:time_base={frame.time_base}:frame_rate={frame_rate}")
    for name, options in (*filters, ("buffersink", "")):
        step = graph.add(name, options) if options else graph.add(name)
        last.link_to(step)
        last = step
    graph.configure()
    return graph


def _pull_ready_frames(graph: Graph) -> Iterator[av.VideoFrame]:
    while True:
        try:
            yield graph.vpull()
        except (BlockingIOError, EOFError):
            return
