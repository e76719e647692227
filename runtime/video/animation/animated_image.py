"""Write animated images, GIF, WebP and APNG, of the finished segments of a video, which are lossless.

One frame is in memory at a time, whatever their number; libwebp keeps the file, about three times at its end. The palette of a
GIF is made of all frames in a first pass, so that still areas do not flicker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.error import BlockingIOError, EOFError
from av.filter import Graph
from av.filter.context import FilterContext
from av.video.stream import VideoStream

from ...atomic_write import write_atomically
from ...errors import OutputError
from ...media import VideoInfo
from ..write.encoders import Container
from ..write.journal import Segment
from ..write.pyav_output import encode_frame, open_output
from ..write.segments import SegmentPlan

_MIN_GIF_SECONDS = Fraction(1, 50)
"""Browsers show a frame of a GIF for a tenth of a second if it asks for less."""


@dataclass(frozen=True, kw_only=True)
class AnimationFormat:
    """How frames are encoded, and what the format cannot hold."""

    title: str
    encoder: str
    pixel_format: str
    opaque_format: str
    max_side: int
    options: Mapping[str, str]
    loses: str
    """What is said before the work begins; empty if 8 bits are all that is lost."""
    time_base: Fraction | None = None
    """None: that of the video."""


ANIMATIONS: Mapping[str, AnimationFormat] = {
    "gif": AnimationFormat(
        title="GIF",
        encoder="gif",
        pixel_format="pal8",
        opaque_format="pal8",
        max_side=65_535,
        options={},
        loses="A GIF holds 256 colors, pixels that are transparent or not, and times in hundredths of a second; webp and apng "
        "hold all colors.",
        time_base=Fraction(1, 100),
    ),
    "webp": AnimationFormat(
        title="WebP",
        encoder="libwebp_anim",
        pixel_format="bgra",
        opaque_format="bgra",
        max_side=16_383,
        options={"lossless": "1", "quality": "0", "compression_level": "1"},  # as a still WebP is written
        loses="",
        time_base=Fraction(1, 1000),
    ),
    "apng": AnimationFormat(
        title="APNG",
        encoder="apng",
        pixel_format="rgba",
        opaque_format="rgb24",
        max_side=2**31 - 1,
        options={"pred": "mixed"},
        loses="",
    ),
}


def check_animation(info: VideoInfo, container: Container, path: Path) -> list[str]:
    """Return a sentence for everything that the format cannot hold. Raises ``OutputError`` for HDR and too large frames."""
    kind = ANIMATIONS[container]
    if info.color.is_hdr:
        what = f"{path.name}: the video is HDR ({info.color.transfer}), which an animated {kind.title} cannot store."
        raise OutputError(what, "Write mp4 or mkv: HEVC and AV1 in 10 bits keep it.", path=path)
    if max(info.size.width, info.size.height) > kind.max_side:
        what = f"{path.name}: {kind.title} is limited to {kind.max_side:,} pixels a side, the frames are {info.size}."
        raise OutputError(what, "Write apng, or a smaller target.", path=path)
    notes = [kind.loses] if kind.loses else []
    if info.bit_depth > 8:
        notes.append(f"An animated {kind.title} holds 8 bits of the source's {info.bit_depth}.")
    if info.audio_streams or info.subtitle_streams:
        notes.append(f"An animated {kind.title} has no audio and no subtitles: they are left out.")
    if info.pixel_aspect != 1:
        notes.append(f"The pixels are not square ({info.pixel_aspect}), which an animated {kind.title} does not store.")
    if container == "gif" and 1 / info.frame_rate < _MIN_GIF_SECONDS:
        notes.append("Players show more than 50 frames of a GIF a second too slowly; webp and apng have no such limit.")
    return notes


def write_animation(
    info: VideoInfo,
    plan: SegmentPlan,
    container: Container,
    segments: list[tuple[Path, Segment]],
    path: Path,
    *,
    numbered: bool = False,
    check: Callable[[], None] = lambda: None,
) -> Path:
    """Write the animation to ``path`` as ``mux_segments`` writes a video, and return its final path."""
    kind = ANIMATIONS[container]
    last_duration = (segments[-1][1].duration or round(1 / plan.frame_rate / info.time_base)) * info.time_base

    def write(temp: Path) -> None:
        frames = _map_to_palette(segments, plan) if container == "gif" else _decode_segments(segments)
        with open_output(temp, container, _build_muxer_options(container, info.play_count, last_duration)) as out:
            stream = out.add_stream(kind.encoder, rate=plan.frame_rate, options=dict(kind.options))
            assert isinstance(stream, VideoStream)
            context, unit = stream.codec_context, kind.time_base or info.time_base
            context.width, context.height = plan.size.width, plan.size.height
            context.pix_fmt = kind.pixel_format if plan.encoding.has_alpha else kind.opaque_format
            context.time_base = stream.time_base = unit
            last_pts = -1
            for frame, pts in zip(frames, _list_times(segments), strict=True):
                encoded = frame.reformat(format=context.pix_fmt)
                last_pts = max(last_pts + 1, round(pts * info.time_base / unit))
                encoded.pts, encoded.time_base = last_pts, unit
                for packet in encode_frame(stream, encoded):
                    out.mux(packet)
            for packet in encode_frame(stream, None):
                out.mux(packet)
        if container == "webp":
            _set_last_duration(temp, round(last_duration * 1000))
        check()

    return write_atomically(path, write, numbered=numbered, temp_folder=segments[0][0].parent)


def _build_muxer_options(container: Container, plays: int, last_duration: Fraction) -> dict[str, str]:
    """Return how often the animation is shown (0: for ever), and for how long its last frame is."""
    if container == "gif":  # counts repetitions: 0 for ever, -1 none
        return {"loop": str(plays - 1 if plays > 1 else -plays), "final_delay": str(max(1, round(last_duration * 100)))}
    if container == "apng":
        return {"plays": str(plays), "final_delay": str(last_duration.limit_denominator(1000))}
    return {"loop": str(plays)}


def _list_times(segments: Iterable[tuple[Path, Segment]]) -> Iterator[int]:
    """Yield the times of all frames, from 0 on."""
    first: int | None = None
    for _, segment in segments:
        for pts in segment.pts:
            first = pts if first is None else first
            yield pts - first


def _decode_segments(segments: Iterable[tuple[Path, Segment]]) -> Iterator[av.VideoFrame]:
    for path, _ in segments:
        with av.open(str(path)) as file:
            yield from file.decode(video=0)


def _map_to_palette(segments: list[tuple[Path, Segment]], plan: SegmentPlan) -> Iterator[av.VideoFrame]:
    """Yield the frames in the 256 colors, or 255 and a transparent one, that suit all of them best."""
    source = f"video_size={plan.size}:pix_fmt=bgra:time_base=1/1000:pixel_aspect=1/1"
    graph, (frames,), palettes = _build_graph([source], "palettegen", "")
    for number, frame in enumerate(_decode_segments(segments)):
        frames.push(_prepare(frame, number))
        assert _pull(palettes) is None  # the filter takes a frame when it is asked for a result
    frames.push(None)
    palette = _pull(palettes)
    assert palette is not None
    palette_source = "video_size=16x16:pix_fmt=bgra:time_base=1/1000:pixel_aspect=1/1"
    graph, (frames, colors), mapped = _build_graph([source, palette_source], "paletteuse", "diff_mode=rectangle")
    colors.push(_prepare(palette, 0))
    colors.push(None)
    for number, frame in enumerate(_decode_segments(segments)):
        frames.push(_prepare(frame, number))
        if found := _pull(mapped):
            yield found
    frames.push(None)
    while found := _pull(mapped):
        yield found
    del graph


def _prepare(frame: av.VideoFrame, number: int) -> av.VideoFrame:
    prepared = frame.reformat(format="bgra")
    prepared.pts, prepared.time_base = number, Fraction(1, 1000)
    return prepared


def _build_graph(sources: Iterable[str], name: str, options: str) -> tuple[Graph, list[FilterContext], FilterContext]:
    """Return a graph of one filter, its inputs and its output. It must be kept as long as these are used."""
    graph = Graph()
    inputs = [graph.add("buffer", source) for source in sources]
    step = graph.add(name, options) if options else graph.add(name)
    sink = graph.add("buffersink")
    for index, source in enumerate(inputs):
        source.link_to(step, 0, index)
    step.link_to(sink)
    graph.configure()
    return graph, inputs, sink


def _pull(sink: FilterContext) -> av.VideoFrame | None:
    try:
        return cast("av.VideoFrame", cast("Any", sink).pull())
    except (BlockingIOError, EOFError):
        return None


def _set_last_duration(path: Path, milliseconds: int) -> None:
    """Set the duration of the last frame of a WebP, which libwebp takes for the average of the others (RFC 9649, ANMF)."""
    with path.open("r+b") as file:
        end, offset, last = path.stat().st_size, 12, None
        while offset + 8 <= end:
            file.seek(offset)
            kind, length = file.read(4), int.from_bytes(file.read(4), "little")
            last = offset if kind == b"ANMF" else last
            offset += 8 + length + length % 2
        if last is not None:
            file.seek(last + 8 + 12)
            file.write(min(milliseconds, (1 << 24) - 1).to_bytes(3, "little"))
