"""Join segments to a video: copy their packets with new times, and the source's audio, subtitles, chapters and tags."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from ...atomic_write import write_atomically
from ...errors import MediaError, OutputError
from ...media import VideoInfo
from ...progress import OnMessage
from ..color.color_codes import ColorTags
from ..read.container import is_cover, open_container, resolve_frame_rate, select_video_stream, to_fraction
from .attachments import add_attachments, find_timecode
from .encoders import MUXER_NAMES, Container
from .journal import Segment
from .matroska import write_pixel_aspect
from .pyav_output import AnyPacket, Muxer, can_write_header, open_output
from .segments import SegmentPlan, build_timescale_options
from .stream_copy import SourceWindow, StreamCopier, copy_stream_metadata

if TYPE_CHECKING:  # see pyav_output
    from av.container.core import Chapter

# Tags that describe the old file, not the video.
_BRAND_TAGS = ("major_brand", "minor_version", "compatible_brands")
_DROPPED_FILE_TAGS = {*_BRAND_TAGS, "encoder", "creation_time", "duration", "rotate", "timecode"}
_INTERLEAVE_OPTIONS = {"max_interleave_delta": "1"}
"""Packets are already in order, so FFmpeg need not buffer ten seconds of them when a subtitle track is silent."""

_MIN_TIMESCALE = 90_000
"""Ticks per second of the file's own clock, at least."""


@dataclass(frozen=True)
class MuxJob:
    """What a joined video consists of besides its segments."""

    info: VideoInfo
    plan: SegmentPlan
    container: Container
    audio: Literal["copy", "none"]
    subtitles: Literal["copy", "none"]
    tags: Mapping[str, str]


def mux_segments(
    job: MuxJob,
    segments: list[tuple[Path, Segment]],
    path: Path,
    on_message: OnMessage,
    *,
    numbered: bool = False,
    check: Callable[[], None] = lambda: None,
) -> Path:
    """Write the video to ``path`` as ``write_atomically`` does, and return its final path.

    ``check`` is called when everything is written, before the file gets its name; what it raises leaves none.

    The temporary file is beside the segments, so that a run that continues after a kill removes it.
    """

    def write(temp: Path) -> None:
        with ExitStack() as stack:
            source = _open_source(job.info, stack)
            out = stack.enter_context(open_output(temp, MUXER_NAMES[job.container], _build_muxer_options(job)))
            _mux_streams(job, segments, source, out, on_message)
        if job.info.pixel_aspect != 1 and job.container in ("mkv", "webm"):
            size = job.plan.size
            write_pixel_aspect(temp, size.width, size.height, job.info.pixel_aspect, webm=job.container == "webm")
        check()

    return write_atomically(path, write, numbered=numbered, temp_folder=segments[0][0].parent)


def _open_source(info: VideoInfo, stack: ExitStack) -> InputContainer | None:
    if info.source is None:
        return None
    try:
        return stack.enter_context(open_container(info.source))
    except MediaError as error:
        raise MediaError(
            f"All frames are done, but the source's audio and subtitles cannot be read: {error.what}",
            "Restore the file and run the same command again, or run it with audio and subtitles set to none.",
            path=info.source,
        ) from error


def _build_muxer_options(job: MuxJob) -> dict[str, str]:
    if job.container in ("mp4", "mov"):
        times = build_timescale_options(job.info.time_base)
        # The start of an audio track is rounded down to this unit, which stays a multiple of the video's.
        unit = int(times["movie_timescale"])
        times["movie_timescale"] = str(unit * -(-_MIN_TIMESCALE // unit))
        return {**_INTERLEAVE_OPTIONS, **times, "movflags": "+faststart+use_metadata_tags"}
    # Matroska has random numbers for segment and tracks otherwise, and equal videos would be different files.
    return {**_INTERLEAVE_OPTIONS, "fflags": "bitexact"}


def _mux_streams(
    job: MuxJob, segments: list[tuple[Path, Segment]], source: InputContainer | None, out: Muxer, on_message: OnMessage
) -> None:
    video_out = _add_video_stream(job, segments[0][0], out)
    packets = [_iterate_video_packets(job, segments, video_out)]
    if source:
        path = job.info.source
        assert path
        # A source may be audio only: the sound of an IMAGE.
        has_video = any(not is_cover(stream) for stream in source.streams.video)
        source_video = select_video_stream(source, path) if has_video else None
        if source_video is not None:
            copy_stream_metadata(source_video, video_out)
        out.metadata.update(_resolve_timecode(job, segments[0][0], source, source_video, on_message))
        for message in add_attachments(source, path, source_video, out, job.container):
            on_message(message)
        window = SourceWindow(job.info.start or None, job.info.end, job.info.start)
        tracks = StreamCopier(
            source, out, job.container, window, audio=job.audio, subtitles=job.subtitles, on_message=on_message
        )
        packets.append(tracks.iterate_packets())
        out.metadata.update({name: text for name, text in source.metadata.items() if name.lower() not in _DROPPED_FILE_TAGS})
        out.set_chapters(_trim_chapters(source, window))
    out.metadata.update(job.tags)
    out.start_encoding()
    for packet in heapq.merge(*packets, key=_get_packet_seconds):
        out.mux(packet)


def _resolve_timecode(
    job: MuxJob, first: Path, source: InputContainer, source_video: VideoStream | None, on_message: OnMessage
) -> dict[str, str]:
    """Return the source's timecode as a tag, if it is still valid and the container accepts it."""
    text = find_timecode(source, source_video)
    if text is None:
        return {}
    tag = {"timecode": text}
    rate = resolve_frame_rate(source_video).limit_denominator(1_000_000) if source_video is not None else None
    if job.info.start or rate != job.plan.frame_rate or not _accepts_tags(job, first, tag):
        on_message(f"The timecode {text} is left out: it does not fit this video's start or frame rate.")
        return {}
    return tag


def _accepts_tags(job: MuxJob, first: Path, tags: Mapping[str, str]) -> bool:
    """Return whether the container accepts these tags."""

    def add_content(out: Muxer) -> None:
        _add_video_stream(job, first, out)
        out.metadata.update(tags)

    return can_write_header(MUXER_NAMES[job.container], add_content)


def _add_video_stream(job: MuxJob, first: Path, out: Muxer) -> VideoStream:
    with av.open(str(first)) as segment:
        stream = out.add_stream_from_template(segment.streams.video[0], opaque=True)
        segment_tag = segment.streams.video[0].codec_context.codec_tag
    assert isinstance(stream, VideoStream)
    context = stream.codec_context
    if job.plan.encoding.codec == "prores":
        context.codec_tag = segment_tag  # tells 4444 from 422
    elif job.plan.encoding.codec_tag:
        context.codec_tag = job.plan.encoding.codec_tag
    context.framerate = job.plan.frame_rate
    context.sample_aspect_ratio = job.info.pixel_aspect
    stream.time_base = job.info.time_base
    if job.plan.encoding.has_alpha and job.plan.encoding.codec == "vp9":
        stream.metadata["alpha_mode"] = "1"
    ColorTags.from_color_info(job.plan.color).apply(context)
    return stream


def _iterate_video_packets(job: MuxJob, segments: list[tuple[Path, Segment]], out: VideoStream) -> Iterator[AnyPacket]:
    """Yield the packets of all segments, with the times of the journal.

    Decoding times are computed over the whole video: frame i (in decoding order) is decoded at the i-th display time, moved
    back by the largest reordering of any segment. They always increase and are never after the display time, which times of
    separate encoders would not guarantee at a variable frame rate.
    """
    times = [pts for _, segment in segments for pts in segment.pts]
    delay = max(segment.reorder for _, segment in segments)
    frame_ticks = max(1, times[1] - times[0]) if len(times) > 1 else 1
    unit = job.info.time_base
    extradata: bytes | None = None
    number = 0
    for path, segment in segments:
        with av.open(str(path)) as file:
            stream = file.streams.video[0]
            extradata = _check_codec_parameters(path, stream, extradata)
            for packet in cast("Iterator[AnyPacket]", file.demux(stream)):
                if packet.pts is None or not packet.size:
                    continue
                pts = _find_nearest(segment.pts, segment.pts[0] + round(packet.pts * to_fraction(packet.time_base) / unit))
                packet.pts = pts
                packet.dts = times[number - delay] if number >= delay else times[0] - (delay - number) * frame_ticks
                packet.duration = _compute_packet_duration(times, pts, segments[-1][1].duration, job)
                packet.time_base = unit
                packet.stream = out
                number += 1
                yield packet
    if number != len(times):
        what = f"The journal lists {len(times)} frames, but the segments hold {number}."
        raise OutputError(what, _format_restart_hint(segments[0][0]))


def _find_nearest(times: Sequence[int], time: int) -> int:
    """Return the one of rising ``times`` that is nearest to a time, which Matroska rounded."""
    index = bisect_right(times, time)
    return min(times[max(index - 1, 0) : index + 1], key=lambda each: abs(each - time))


def _check_codec_parameters(path: Path, stream: VideoStream, first_extradata: bytes | None) -> bytes:
    """Raise ``OutputError`` unless the segment has the same codec parameters as those before it."""
    extradata = bytes(stream.codec_context.extradata or b"")
    if first_extradata is not None and extradata != first_extradata:
        what = f"{path.name} was written by another encoder than the segments before it."
        raise OutputError(what, _format_restart_hint(path), path=path)
    return extradata


def _format_restart_hint(segment: Path) -> str:
    return f"Delete the folder {segment.parent.name} and run it again."


def _compute_packet_duration(times: list[int], pts: int, last_duration: int, job: MuxJob) -> int:
    next_index = bisect_right(times, pts)
    if next_index < len(times):
        return times[next_index] - pts
    return last_duration or max(1, round(1 / job.plan.frame_rate / job.info.time_base))


def _get_packet_seconds(packet: AnyPacket) -> float:
    ticks = packet.dts if packet.dts is not None else packet.pts or 0
    return float(ticks * to_fraction(packet.time_base))


def _trim_chapters(source: InputContainer, window: SourceWindow) -> list[Chapter]:
    """Return the chapters in the window, clipped to it."""
    kept: list[Chapter] = []
    for chapter in source.chapters():
        unit = to_fraction(chapter["time_base"])
        start, end = chapter["start"] * unit, chapter["end"] * unit
        if (window.start is not None and end <= window.start) or (window.end is not None and start >= window.end):
            continue
        start = max(start, window.start or start) - window.shift
        end = min(end, window.end or end) - window.shift
        first, last, metadata = round(start / unit), round(end / unit), dict(chapter["metadata"])
        kept.append({"id": len(kept) + 1, "start": first, "end": last, "time_base": unit, "metadata": metadata})
    return kept
