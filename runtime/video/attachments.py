"""What lies in a source beside picture, sound and text: covers and fonts go into Matroska, timecode goes along as a tag."""

from __future__ import annotations

import re
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Stream
from av.video.stream import VideoStream

from .container import OPEN_OPTIONS, is_cover
from .encoders import Container
from .muxer import Muxer

_MIME_TYPES = {"mjpeg": "image/jpeg", "png": "image/png", "bmp": "image/bmp", "gif": "image/gif", "webp": "image/webp"}
_TIMECODE = re.compile(r"\d\d:\d\d:\d\d[:;.]\d{2,3}")
_CHAPTER_TEXT = "bin_data"
"""MP4 keeps the titles of chapters as a track of their own; FFmpeg has read them as chapters already."""


def attach(source: InputContainer, path: Path, picture: VideoStream | None, out: Muxer, container: Container) -> list[str]:
    """Add covers and fonts to ``out``, before its header is written; a sentence for everything that does not go along."""
    lost: list[str] = []
    for stream in source.streams:
        if isinstance(stream, VideoStream) and is_cover(stream):
            _attach_cover(path, stream, out, container, lost)
        elif isinstance(stream, VideoStream) and picture is not None and stream.index != picture.index:
            lost.append(f"Picture track {stream.index} ({stream.width}x{stream.height}) is left out: a film has one.")
        elif stream.type == "attachment":
            if container == "mkv":
                out.add_stream_from_template(stream)
            else:
                lost.append(f"{_name(stream, 'A font')} is left out: only mkv holds attachments.")
        elif stream.type == "data" and "timecode" not in stream.metadata and stream.name != _CHAPTER_TEXT:
            lost.append(f"Data track {stream.index} ({_name(stream, 'of no name')}) is left out: it belongs to its own pixels.")
    return lost


def _attach_cover(path: Path, stream: VideoStream, out: Muxer, container: Container, lost: list[str]) -> None:
    kind = stream.codec_context.name
    if container != "mkv":
        lost.append(f"The cover picture (track {stream.index}) is left out: only mkv holds one beside its workflow.")
        return
    data = _packet(path, stream.index)
    if data is None or kind not in _MIME_TYPES:
        lost.append(f"The cover picture (track {stream.index}) cannot be read: it is left out.")
        return
    name = Path(stream.metadata.get("filename", f"cover.{'jpg' if kind == 'mjpeg' else kind}")).name
    out.add_attachment(name, _MIME_TYPES[kind], data)


def _packet(path: Path, index: int) -> bytes | None:
    """The only packet of a cover."""
    try:
        with av.open(str(path), options=OPEN_OPTIONS) as container:
            return next((bytes(packet) for packet in container.demux(container.streams[index]) if packet.size), None)
    except FFmpegError:
        return None


def _name(stream: Stream, otherwise: str) -> str:
    known = (stream.metadata.get(key) for key in ("filename", "handler_name", "title"))
    return next((name for name in known if name), otherwise)


def timecode(source: InputContainer, picture: VideoStream | None) -> str | None:
    """The time of day or of reel at which the source begins, ``01:00:00:00``, wherever it is said."""
    places = [source.metadata, picture.metadata if picture is not None else {}]
    places += [stream.metadata for stream in source.streams if stream.type == "data"]
    said = (text for place in places for name, text in place.items() if name.lower() == "timecode")
    return next((text for text in said if _TIMECODE.fullmatch(text)), None)
