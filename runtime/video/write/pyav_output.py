"""The part of PyAV that is used for writing, with full types: PyAV's own stubs are incomplete."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, cast

import av
from av.audio.stream import AudioStream
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream
from av.subtitles.stream import SubtitleStream
from av.subtitles.subtitle import SubtitleSet
from av.video.stream import VideoStream

if TYPE_CHECKING:
    from av.container.core import Chapter  # a dictionary; the class is in the stubs only

    AnyPacket = Packet[Stream]
else:
    AnyPacket = Packet


class Muxer(Protocol):
    """An ``OutputContainer``."""

    metadata: dict[str, str]

    def add_stream(
        self, codec_name: str, rate: Fraction | int | None = None, options: dict[str, str] | None = None
    ) -> VideoStream | AudioStream | SubtitleStream: ...
    def add_stream_from_template(self, template: Stream, opaque: bool | None = None) -> Stream: ...
    def add_attachment(self, name: str, mimetype: str, data: bytes) -> Stream: ...
    def set_chapters(self, chapters: list[Chapter]) -> None: ...
    def start_encoding(self) -> None: ...
    def mux(self, packets: AnyPacket) -> None: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...


class _FrameEncoder(Protocol):
    def encode(self, frame: av.VideoFrame | av.AudioFrame | None) -> list[AnyPacket]: ...


class _SubtitleCodec(Protocol):
    def decode2(self, packet: AnyPacket) -> SubtitleSet | None: ...
    def encode_subtitle(self, subtitle: SubtitleSet) -> AnyPacket: ...


def open_output(file: Path | io.BytesIO, muxer: str, options: Mapping[str, str]) -> Muxer:
    """Open an output; ``muxer`` is FFmpeg's name of the container. The file is created when the header is written."""
    target = str(file.absolute()) if isinstance(file, Path) else file
    return cast("Muxer", av.open(target, "w", format=muxer, container_options=dict(options)))


def can_write_header(muxer: str, add_content: Callable[[Muxer], object]) -> bool:
    """Return whether the container accepts what ``add_content`` adds to it, by writing a header into memory."""
    try:
        with open_output(io.BytesIO(), muxer, {}) as out:
            add_content(out)
            out.start_encoding()
    except (FFmpegError, ValueError):
        return False
    return True


def encode_frame(stream: VideoStream | AudioStream, frame: av.VideoFrame | av.AudioFrame | None) -> list[AnyPacket]:
    """Return the packets that are ready after this frame; None flushes the encoder."""
    return cast("_FrameEncoder", stream).encode(frame)


def transcode_subtitle(source: SubtitleStream, out: SubtitleStream, packet: AnyPacket) -> AnyPacket | None:
    """Return the text of ``packet`` in the format of ``out``, without times; None if it holds none."""
    decoded = cast("_SubtitleCodec", source.codec_context).decode2(packet)
    return cast("_SubtitleCodec", out.codec_context).encode_subtitle(decoded) if decoded else None
