"""Opening a film from outside: every way in which it can fail to be one is a sentence."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.format import Flags
from av.packet import Packet
from av.video.stream import VideoStream

from ..errors import MediaError
from .truncation import announced_length

_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2",
    "matroska,webm",
    *("avi", "mpegts", "mpeg", "mpegvideo", "m4v", "h263", "h264", "hevc", "vvc", "av1", "obu", "ivf", "vc1", "vc1test"),
    *(
        "dirac",
        "flv",
        "asf",
        "wtv",
        "mxf",
        "gxf",
        "nut",
        "ogg",
        "rm",
        "dv",
        "dnxhd",
        "cavsvideo",
        "yuv4mpegpipe",
        "gif",
        "apng",
        "swf",
    ),
    *("mp3", "flac", "wav", "w64", "aac", "ac3", "eac3", "dts", "aiff", "ape", "opus", "amr", "wv", "tta", "caf", "au"),
)
"""Films, and sound files so that they are called that. Playlists and slide shows stay out: they name other files."""
_PICTURES = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"v/1\x01": "OpenEXR",
    b"BM": "BMP",
    b"\xff\x0a": "JPEG XL",
}
_PICTURE_BRANDS = (b"avif", b"heic", b"heix", b"mif1", b"jxl ")
_CONVERT = "If another program plays it, convert it first: ffmpeg -i {name} -c:v libx264 -crf 12 -c:a copy out.mkv"


OPEN_OPTIONS = {"format_whitelist": ",".join(_FORMATS), "protocol_whitelist": "file"}
"""For every file from outside: it may neither name other files nor reach for the network."""


def open_container(path: Path) -> InputContainer:
    """The file, ready to demux; whoever calls closes it. Raises ``MediaError`` for what is no whole film or sound file."""
    head = _head(path)
    _refuse_truncated(path)
    try:
        try:
            return av.open(str(path.absolute()), "r", options=OPEN_OPTIONS)
        except UnicodeDecodeError:  # PyAV 18 stops at tags that are no UTF-8; 19 has no such argument and does not stop
            return av.open(str(path.absolute()), "r", options=OPEN_OPTIONS, metadata_errors="replace")
    except (FFmpegError, ValueError) as error:
        raise _not_a_film(path, head, error) from error


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """The picture stream that a player would choose, and which can be decoded; raises ``MediaError`` when there is none."""
    streams = [stream for stream in container.streams.video if not is_cover(stream)]
    best = container.streams.best("video")
    stream = next((stream for stream in streams if best is not None and stream.index == best.index), None) or next(
        iter(streams), None
    )
    if stream is None:
        holds = "sound but no picture" if container.streams.audio else "no picture stream"
        raise MediaError(f"{path.name} holds {holds}.", "Choose a file with a video stream.", path=path)
    if not stream.codec_context:
        raise undecodable(path, "there is no decoder for its video codec")
    return stream


def packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """What lies ahead of ``stream`` in the file; the last packet is empty and makes the decoder give what it still holds."""
    try:
        yield from container.demux(stream)
    except IndexError:  # PyAV looks for streams that only appeared on the way (MPEG-TS) after it gave our last packet
        return


def may_jump(container: InputContainer) -> bool:
    """Whether FFmpeg says of this kind of file that its clock may jump (MPEG-TS, MPEG-PS, Ogg)."""
    return bool(container.format.flags & Flags.ts_discont.value)


def refuse_encrypted(packet: Packet[VideoStream], path: Path) -> None:
    """Raise ``MediaError`` for a packet that cannot be decoded without a key (ISO/IEC 23001-7)."""
    if packet.has_sidedata("encryption_info"):
        raise MediaError(f"{path.name} is encrypted (copy protection).", "Choose a file without copy protection.", path=path)


def undecodable(path: Path, why: str) -> MediaError:
    return MediaError(f"{path.name}: {why}.", _convert_hint(path), path=path)


def is_cover(stream: VideoStream) -> bool:
    """Whether it is one picture that goes with the film, not the film."""
    return bool(stream.disposition & (type(stream.disposition).attached_pic | type(stream.disposition).still_image))


def _convert_hint(path: Path) -> str:
    return _CONVERT.format(name=path.name)


def _head(path: Path) -> bytes:
    """The first bytes of the file, after everything that the file system can say against it."""
    if path.is_dir():
        hint = "Give the pattern of its pictures, such as frame_%05d.png, to read them as a film, or the path of a video file."
        raise MediaError(f"{path} is a folder, not a film.", hint, path=path)
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except FileNotFoundError as error:
        raise MediaError(f"There is no file {path}.", "Check the name and the folder.", path=path) from error
    except OSError as error:
        raise MediaError(f"{path} cannot be read: {error.strerror}.", "Check its permissions.", path=path) from error
    if not head:
        raise MediaError(f"{path.name} is empty (0 bytes).", "Copy or download it again.", path=path)
    return head


def _refuse_truncated(path: Path) -> None:
    announced, length = announced_length(path), path.stat().st_size
    if announced is not None and announced > length:
        raise MediaError(
            f"{path.name} is truncated: it announces {announced} bytes and has {length}.",
            f"Copy or download it again; to use what is there, save it anew: ffmpeg -i {path.name} -c copy whole.mkv",
            path=path,
        )


def _not_a_film(path: Path, head: bytes, error: Exception) -> MediaError:
    """What the file is instead, as far as its first bytes tell."""
    picture = next((name for magic, name in _PICTURES.items() if head.startswith(magic)), None)
    if head[4:8] == b"ftyp" and head[8:12] in _PICTURE_BRANDS:
        picture = head[8:12].decode().upper().strip()
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        picture = "WebP"
    if picture:
        return MediaError(f"{path.name} is a picture ({picture}), not a film.", "Load it with LoadImage.", path=path)
    if _is_text(head):
        return MediaError(f"{path.name} is a text file, not a film.", "Choose a video file.", path=path)
    if head[4:8] == b"ftyp":
        what = f"{path.name} is truncated or damaged: its table of contents is missing"
        return MediaError(f"{what}.", "Copy or download it again.", path=path)
    reason = (getattr(error, "strerror", None) or str(error)).strip().rstrip(".")
    return MediaError(f"{path.name} is no film that can be read here ({reason}).", _convert_hint(path), path=path)


def _is_text(head: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # the last character may be cut off
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character in "\r\n\t\x1b" for character in text)
