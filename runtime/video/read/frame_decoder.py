"""Decode frames in display order from an exact position, skipping broken packets."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
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
from .probe import ProbedVideo
from .timestamps import DecodeIssues, DiscontinuityCorrector, is_clock_continuous

DeinterlaceMode = Literal["refuse", "bwdif", "keep", "bwdif double rate", "telecine"]
_MAX_THREADS = 8
"""Every decoding thread holds a frame; more than eight gain little and cost 50 MB each at 8K."""
_MAX_CONSECUTIVE_ERRORS = 1000
"""The file is taken to end after this many unreadable packets in a row."""
_SEEK_MARGINS = (Fraction(1), Fraction(10), Fraction(60))
"""Seconds before the position to seek to; each is tried when the one before did not reach a key frame early enough."""


def decode_frames(probed: ProbedVideo, first_pts: int | None, issues: DecodeIssues) -> Generator[av.VideoFrame]:
    """Yield the source's frames; with ``first_pts`` from some key frame on that is displayed at or before that tick.

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
                frames = _decode_from_key_frame(container, probed, first_pts, margin, issues)
                if frames is not None:
                    yield from frames
                    return
    with open_container(probed.path) as container:
        yield from _decode_packets(container, _configure_stream(container, probed), issues)


def _configure_stream(container: InputContainer, probed: ProbedVideo) -> VideoStream:
    stream = select_video_stream(container, probed.path)
    stream.thread_type = "AUTO"  # pyright: ignore[reportAttributeAccessIssue]: PyAV's setter takes names, its stub does not
    stream.codec_context.thread_count = min(count_usable_cores(), _MAX_THREADS)
    return stream


def _decode_from_key_frame(
    container: InputContainer, probed: ProbedVideo, first_pts: int, margin: Fraction, issues: DecodeIssues
) -> Iterator[av.VideoFrame] | None:
    stream = _configure_stream(container, probed)
    issues.broken_packets = 0
    try:
        container.seek(max(0, first_pts - round(margin / probed.info.time_base)), stream=stream)
    except FFmpegError:
        return None
    frames = _decode_packets(container, stream, issues)
    frame = next(frames, None)
    frame_pts = None if frame is None else frame.dts if probed.uses_decode_times else frame.pts
    if frame is None or frame_pts is None or not frame.key_frame or frame_pts > first_pts:
        return None
    return chain([frame], frames)


def _decode_packets(container: InputContainer, stream: VideoStream, issues: DecodeIssues) -> Iterator[av.VideoFrame]:
    corrector = DiscontinuityCorrector() if can_have_discontinuities(container) else None
    decode = open_decoder(stream)
    for packet in _demux_past_errors(container, stream, issues):
        if corrector:
            corrector.correct_packet(packet)
            issues.jump_times = corrector.jump_times
        try:
            frames = decode(packet)
        except NoMemory:
            raise
        except FFmpegError:  # an error of the decoder: the file itself was read
            issues.broken_packets += 1
            continue
        yield from frames


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
