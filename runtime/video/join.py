"""Segments to a film: packets copied, times laid anew, the source's sound, subtitles, chapters and tags beside them."""

from __future__ import annotations

import heapq
import io
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from ..errors import MediaError, OutputError
from ..frames.stream import VideoInfo
from ..whole import sync
from .attachments import attach, timecode
from .container import is_cover, open_container, video_stream
from .encoders import MUXERS, Container
from .journal import Segment
from .matroska import write_pixel_aspect
from .muxer import AnyPacket, Muxer, open_output
from .pixels_out import Tags
from .probe import exact, frame_rate
from .segments import Plan, exact_times
from .tracks import Tracks, Window, describe

if TYPE_CHECKING:  # see muxer
    from av.container.core import Chapter

# Tags that speak of the old file, not of the film.
_OWN_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder", "creation_time", "duration", "rotate", "timecode"}
_IN_ORDER = {"max_interleave_delta": "1"}
"""Packets come in order already: FFmpeg need not hold ten seconds of them back when a subtitle track is silent."""

_FINE = 90_000
"""Ticks per second that the file as a whole counts in, at least."""


@dataclass(frozen=True)
class Film:
    """What a joined film is made of beside its segments."""

    info: VideoInfo
    plan: Plan
    container: Container
    sound: Literal["copy", "none"]
    subtitles: Literal["copy", "none"]
    tags: Mapping[str, str]


def join(film: Film, segments: list[tuple[Path, Segment]], path: Path, say: Callable[[str], None]) -> int:
    """Write ``path`` and give its size in bytes. It is called ``.part`` until it is whole and on the disk."""
    part = path.with_name(path.name + ".part")
    try:
        with ExitStack() as stack:
            source = _open_source(film.info, stack)
            out = stack.enter_context(open_output(part, MUXERS[film.container], _options(film)))
            _mux(film, segments, source, out, say)
        if film.info.pixel_aspect != 1 and film.container in ("mkv", "webm"):
            size = film.plan.size
            write_pixel_aspect(part, size.width, size.height, film.info.pixel_aspect, webm=film.container == "webm")
        sync(part)
        size = part.stat().st_size
        part.replace(path)
        sync(path.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return size


def _open_source(info: VideoInfo, stack: ExitStack) -> InputContainer | None:
    if info.source is None:
        return None
    try:
        return stack.enter_context(open_container(info.source))
    except MediaError as error:
        raise MediaError(
            f"All frames are done, but their sound cannot be read: {error.what}",
            "Bring the file back and run the same command again, or run it with audio and subtitles set to none.",
            path=info.source,
        ) from error


def _options(film: Film) -> dict[str, str]:
    if film.container in ("mp4", "mov"):
        times = exact_times(film.info.time_base)
        # The start of a sound track is rounded down to this unit; it stays a whole multiple of the picture's.
        unit = int(times["movie_timescale"])
        times["movie_timescale"] = str(unit * -(-_FINE // unit))
        return {**_IN_ORDER, **times, "movflags": "+faststart+use_metadata_tags"}
    return dict(_IN_ORDER)


def _mux(
    film: Film,
    segments: list[tuple[Path, Segment]],
    source: InputContainer | None,
    out: Muxer,
    say: Callable[[str], None],
) -> None:
    picture = _picture_stream(film, segments[0][0], out)
    packets = [_picture_packets(film, segments, picture)]
    if source:
        path = film.info.source
        assert path
        films = [stream for stream in source.streams.video if not is_cover(stream)]  # there is none in the sound of an IMAGE
        original = video_stream(source, path) if films else None
        if original is not None:
            describe(original, picture)
        out.metadata.update(_timecode(film, segments[0][0], source, original, say))
        for lost in attach(source, path, original, out, film.container):
            say(lost)
        window = _window(film.info, source)
        tracks = Tracks(source, out, film.container, window, sound=film.sound, subtitles=film.subtitles, say=say)
        packets.append(tracks.packets())
        out.metadata.update({name: text for name, text in source.metadata.items() if name.lower() not in _OWN_TAGS})
        out.set_chapters(_chapters(source, window))
    out.metadata.update(film.tags)
    out.start_encoding()
    for packet in heapq.merge(*packets, key=_time):
        out.mux(packet)


def _timecode(
    film: Film, first: Path, source: InputContainer, original: VideoStream | None, say: Callable[[str], None]
) -> dict[str, str]:
    """The source's timecode as a tag, where it still holds and the container can count in it."""
    text = timecode(source, original)
    if text is None:
        return {}
    tag = {"timecode": text}
    rate = frame_rate(original).limit_denominator(1_000_000) if original is not None else None
    if film.info.start or rate != film.plan.frame_rate or not _takes(film, first, tag):
        say(f"The timecode {text} is left out: it does not fit this film's beginning or rate.")
        return {}
    return tag


def _takes(film: Film, first: Path, tags: Mapping[str, str]) -> bool:
    """Whether the container accepts these tags: its header is written into memory to find out."""
    try:
        with open_output(io.BytesIO(), MUXERS[film.container], {}) as out:
            _picture_stream(film, first, out)
            out.metadata.update(tags)
            out.start_encoding()
    except (FFmpegError, ValueError):
        return False
    return True


def _picture_stream(film: Film, first: Path, out: Muxer) -> VideoStream:
    with av.open(str(first)) as segment:
        stream = out.add_stream_from_template(segment.streams.video[0], opaque=True)
    assert isinstance(stream, VideoStream)
    context = stream.codec_context
    if film.plan.encoding.tag:
        context.codec_tag = film.plan.encoding.tag
    context.framerate = film.plan.frame_rate
    context.sample_aspect_ratio = film.info.pixel_aspect
    stream.time_base = film.info.time_base
    Tags.of(film.plan.colour).put(context)
    return stream


def _picture_packets(film: Film, segments: list[tuple[Path, Segment]], out: VideoStream) -> Iterator[AnyPacket]:
    """The packets of all segments, with the times of the journal.

    Decoding times are laid anew over the whole film: frame i (in decoding order) is decoded at the i-th time shown, moved
    back by the largest reordering of any segment. They always rise and never come after the frame is shown, which times put
    together from separate encoders would not promise for a variable frame rate.
    """
    times = [pts for _, segment in segments for pts in segment.pts]
    delay = max(segment.reorder for _, segment in segments)
    step = max(1, times[1] - times[0]) if len(times) > 1 else 1
    unit = film.info.time_base
    extra: bytes | None = None
    number = 0
    for path, segment in segments:
        with av.open(str(path)) as file:
            stream = file.streams.video[0]
            extra = _same_parameters(path, stream, extra)
            for packet in cast("Iterator[AnyPacket]", file.demux(stream)):
                if packet.pts is None or not packet.size:
                    continue
                pts = segment.pts[0] + round(packet.pts * exact(packet.time_base) / unit)
                packet.pts = pts
                packet.dts = times[number - delay] if number >= delay else times[0] - (delay - number) * step
                packet.duration = _duration(times, pts, segments[-1][1].duration, film)
                packet.time_base = unit
                packet.stream = out
                number += 1
                yield packet
    if number != len(times):
        raise OutputError(f"{len(times)} frames were finished, and {number} are in the segments.", _anew(segments[0][0]))


def _same_parameters(path: Path, stream: VideoStream, first: bytes | None) -> bytes:
    """A film has one set of codec parameters; all segments come from the same encoder with the same settings."""
    extra = bytes(stream.codec_context.extradata or b"")
    if first is not None and extra != first:
        raise OutputError(f"{path.name} was made by another encoder than the segments before it.", _anew(path), path=path)
    return extra


def _anew(segment: Path) -> str:
    return f"Delete the folder {segment.parent.name} and run it again."


def _duration(times: list[int], pts: int, last: int, film: Film) -> int:
    following = bisect_right(times, pts)
    if following < len(times):
        return times[following] - pts
    return last or max(1, round(1 / film.plan.frame_rate / film.info.time_base))


def _time(packet: AnyPacket) -> float:
    ticks = packet.dts if packet.dts is not None else packet.pts or 0
    return float(ticks * exact(packet.time_base))


def _window(info: VideoInfo, source: InputContainer) -> Window:
    return Window(info.start or None, info.end, info.start)


def _chapters(source: InputContainer, window: Window) -> list[Chapter]:
    """Those that lie in the window, cut to it."""
    kept: list[Chapter] = []
    for chapter in source.chapters():
        unit = exact(chapter["time_base"])
        start, end = chapter["start"] * unit, chapter["end"] * unit
        if (window.start is not None and end <= window.start) or (window.end is not None and start >= window.end):
            continue
        start = max(start, window.start or start) - window.shift
        end = min(end, window.end or end) - window.shift
        kept.append(
            {
                "id": len(kept) + 1,
                "start": round(start / unit),
                "end": round(end / unit),
                "time_base": unit,
                "metadata": dict(chapter["metadata"]),
            }
        )
    return kept
