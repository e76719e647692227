"""Copy what a source holds besides video, audio and text: covers and fonts into Matroska, timecode as a tag."""

import re
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Stream
from av.video.stream import VideoStream

from ..read.container import OPEN_OPTIONS, demux_packets, is_cover
from .encoders import Container
from .pyav_output import Muxer

_MIME_TYPES = {"mjpeg": "image/jpeg", "png": "image/png", "bmp": "image/bmp", "gif": "image/gif", "webp": "image/webp"}
_TIMECODE = re.compile(r"\d\d:\d\d:\d\d[:;.]\d{2,3}")
_CHAPTER_TITLES_STREAM = "bin_data"
"""MP4 stores the titles of chapters as a stream of their own; FFmpeg has read them as chapters already."""


def add_attachments(
    source: InputContainer, path: Path, video: VideoStream | None, out: Muxer, container: Container
) -> list[str]:
    """Add covers and fonts to ``out``, before its header is written; return a message for everything that is left out."""
    dropped_messages: list[str] = []
    for stream in source.streams:
        if isinstance(stream, VideoStream) and is_cover(stream):
            _attach_cover(path, stream, out, container, dropped_messages)
        elif isinstance(stream, VideoStream) and video is not None and stream.index != video.index:
            size = f"{stream.width}x{stream.height}"
            dropped_messages.append(f"Video track {stream.index} ({size}) is left out: the output has only one.")
        elif stream.type == "attachment":
            if container == "mkv":
                out.add_stream_from_template(stream)
            else:
                dropped_messages.append(f"{_get_stream_name(stream, 'A font')} is left out: only mkv holds attachments.")
        elif stream.type == "data" and "timecode" not in stream.metadata and stream.name != _CHAPTER_TITLES_STREAM:
            name = _get_stream_name(stream, "unnamed")
            dropped_messages.append(f"Data track {stream.index} ({name}) is left out: it belongs to its own pixels.")
    return dropped_messages


def _attach_cover(path: Path, stream: VideoStream, out: Muxer, container: Container, dropped_messages: list[str]) -> None:
    codec_name = stream.codec_context.name
    if container != "mkv":
        dropped_messages.append(f"The cover image (track {stream.index}) is left out: only mkv holds one beside its workflow.")
        return
    data = _read_cover_packet(path, stream.index)
    if data is None or codec_name not in _MIME_TYPES:
        dropped_messages.append(f"The cover image (track {stream.index}) cannot be read: it is left out.")
        return
    name = Path(stream.metadata.get("filename", f"cover.{'jpg' if codec_name == 'mjpeg' else codec_name}")).name
    out.add_attachment(name, _MIME_TYPES[codec_name], data)


def _read_cover_packet(path: Path, index: int) -> bytes | None:
    """Return the only packet of a cover; None if it cannot be read."""
    try:
        with av.open(str(path), options=OPEN_OPTIONS) as container:
            return next((bytes(packet) for packet in demux_packets(container, container.streams[index]) if packet.size), None)
    except FFmpegError:
        return None


def _get_stream_name(stream: Stream, default: str) -> str:
    candidates = (stream.metadata.get(key) for key in ("filename", "handler_name", "title"))
    return next((name for name in candidates if name), default)


def find_timecode(source: InputContainer, video: VideoStream | None) -> str | None:
    """Return the timecode at which the source begins, such as ``01:00:00:00``, from whichever tag holds it."""
    metadata_sources = [source.metadata, video.metadata if video is not None else {}]
    metadata_sources += [stream.metadata for stream in source.streams if stream.type == "data"]
    timecodes = (text for metadata in metadata_sources for name, text in metadata.items() if name.lower() == "timecode")
    return next((text for text in timecodes if _TIMECODE.fullmatch(text)), None)
