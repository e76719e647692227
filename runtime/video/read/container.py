"""Open video and audio files from outside; everything that a file can be instead is a ``MediaError``."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.format import Flags
from av.packet import Packet
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from ...errors import MediaError
from .container_boxes import read_announced_length

AnyStream = TypeVar("AnyStream", bound=Stream)
_DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2",
    "matroska,webm",
    *("avi", "mpegts", "mpeg", "mpegvideo", "m4v", "h263", "h264", "hevc", "vvc", "av1", "obu", "ivf", "vc1", "vc1test"),
    *("dirac", "flv", "asf", "wtv", "mxf", "gxf", "nut", "ogg", "rm", "dv", "dnxhd", "cavsvideo", "yuv4mpegpipe", "gif"),
    *("apng", "swf"),
    *("mp3", "flac", "wav", "w64", "aac", "ac3", "eac3", "dts", "aiff", "ape", "opus", "amr", "wv", "tta", "caf", "au"),
)
"""Video formats, and audio formats for a better message. Playlists and slide shows are excluded: they name other files."""
_IMAGE_SIGNATURES = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"v/1\x01": "OpenEXR",
    b"BM": "BMP",
    b"\xff\x0a": "JPEG XL",
}
_IMAGE_FTYP_BRANDS = (b"avif", b"heic", b"heix", b"mif1", b"jxl ")
_CONVERT_HINT = "If another program plays it, convert it first: ffmpeg -i {name} -c:v libx264 -crf 12 -c:a copy out.mkv"
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
_MPEG_TIME_BASE = Fraction(1, 90000)

OPEN_OPTIONS = {"format_whitelist": ",".join(_DEMUXERS), "protocol_whitelist": "file"}
"""For every file from outside: it may not name other files and may not use the network."""


class _Rational(Protocol):
    @property
    def numerator(self) -> int: ...
    @property
    def denominator(self) -> int: ...


def to_fraction(value: _Rational | None) -> Fraction:
    """Return PyAV's rational as a fraction: 0 for None (PyAV 18) and for 0/1 or 0/0 (PyAV 19)."""
    return Fraction(value.numerator, value.denominator) if value and value.denominator else Fraction(0)


def resolve_time_base(stream: VideoStream) -> Fraction:
    """Return the seconds per tick of the stream's clock; 1/90000 when the container has no clock."""
    return to_fraction(stream.time_base) or _MPEG_TIME_BASE


def resolve_frame_rate(stream: VideoStream) -> Fraction:
    """Return the average rate, the codec's rate where the container has no clock (its average is a default then), or 25."""
    average, guessed = to_fraction(stream.average_rate), to_fraction(stream.guessed_rate)
    return (average or guessed or Fraction(25)) if stream.start_time is not None else (guessed or average or Fraction(25))


def open_container(path: Path) -> InputContainer:
    """Open the file for demuxing; the caller closes it. Raises ``MediaError`` unless it is a whole video or audio file."""
    head = _read_head(path)
    _check_not_truncated(path)
    try:
        try:
            return av.open(str(path.absolute()), "r", options=OPEN_OPTIONS)
        except UnicodeDecodeError:  # PyAV 18 stops at tags that are not UTF-8; 19 does not, and has no such argument
            return av.open(str(path.absolute()), "r", options=OPEN_OPTIONS, metadata_errors="replace")
    except (FFmpegError, ValueError) as error:
        raise _make_not_a_video_error(path, head, error) from error


def select_video_stream(container: InputContainer, path: Path) -> VideoStream:
    """Return the video stream that a player would choose; raises ``MediaError`` if there is none or no decoder for it."""
    streams = [stream for stream in container.streams.video if not is_cover(stream)]
    best = container.streams.best("video")
    streams.sort(key=lambda stream: best is None or stream.index != best.index)  # the best one first
    stream = next(iter(streams), None)
    if stream is None:
        contents = "audio but no video" if container.streams.audio else "no video stream"
        raise MediaError(f"{path.name} contains {contents}.", "Choose a file with a video stream.", path=path)
    if not stream.codec_context:
        raise make_undecodable_error(path, "FFmpeg has no decoder for its video codec")
    return stream


def open_decoder(stream: VideoStream) -> Callable[[Packet[VideoStream]], list[av.VideoFrame]]:
    """Return a function that decodes packets of ``stream``. FFmpeg's own decoders of VP8 and VP9 ignore their alpha."""
    context = stream.codec_context
    tags = {name.lower(): text for name, text in stream.metadata.items()}
    if tags.get("alpha_mode") != "1" or context.name not in _ALPHA_DECODERS:
        return lambda packet: packet.decode()
    decoder = cast("VideoCodecContext", av.CodecContext.create(_ALPHA_DECODERS[context.name], "r"))
    decoder.color_primaries, decoder.color_trc = context.color_primaries, context.color_trc
    decoder.thread_count, decoder.options = context.thread_count, context.options
    return lambda packet: cast("Any", decoder).decode(packet if packet.size else None)


def demux_packets(container: InputContainer, *streams: AnyStream) -> Iterator[Packet[AnyStream]]:
    """Yield the remaining packets of ``streams``; the last one of each is empty and flushes the decoder."""
    try:
        yield from cast("Any", container).demux(*streams)
    except IndexError:  # after our last packet, PyAV looks for streams that only appeared on the way (MPEG-TS)
        return


def can_have_discontinuities(container: InputContainer) -> bool:
    """Return whether FFmpeg flags this format as one whose clock may jump (MPEG-TS, MPEG-PS, Ogg)."""
    return bool(container.format.flags & Flags.ts_discont.value)


def check_not_encrypted(packet: Packet[VideoStream], path: Path) -> None:
    """Raise ``MediaError`` for a packet that cannot be decoded without a key (ISO/IEC 23001-7)."""
    if packet.has_sidedata("encryption_info"):
        raise MediaError(f"{path.name} is encrypted (copy protection).", "Choose a file without copy protection.", path=path)


def make_undecodable_error(path: Path, reason: str) -> MediaError:
    return MediaError(f"{path.name}: {reason}.", _format_convert_hint(path), path=path)


def is_cover(stream: VideoStream) -> bool:
    """Return whether the stream is a single image that accompanies the video."""
    return bool(stream.disposition & (type(stream.disposition).attached_pic | type(stream.disposition).still_image))


def _format_convert_hint(path: Path) -> str:
    return _CONVERT_HINT.format(name=path.name)


def _read_head(path: Path) -> bytes:
    """Return the first 4096 bytes. Raises ``MediaError`` for folders and for missing, unreadable and empty files."""
    if path.is_dir():
        hint = "Give the path of a video file, or the pattern of an image sequence in it, such as frame_%05d.png."
        raise MediaError(f"{path} is a folder, not a video.", hint, path=path)
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


def _check_not_truncated(path: Path) -> None:
    announced_bytes, length = read_announced_length(path), path.stat().st_size
    if announced_bytes is not None and announced_bytes > length:
        raise MediaError(
            f"{path.name} is truncated: it announces {announced_bytes} bytes and has {length}.",
            f"Copy or download it again; to use the part that is there: ffmpeg -i {path.name} -c copy whole.mkv",
            path=path,
        )


def _make_not_a_video_error(path: Path, head: bytes, error: Exception) -> MediaError:
    """Return an error that names what the file is instead, as far as its first bytes tell."""
    image_format = next((name for magic, name in _IMAGE_SIGNATURES.items() if head.startswith(magic)), None)
    if head[4:8] == b"ftyp" and head[8:12] in _IMAGE_FTYP_BRANDS:
        image_format = head[8:12].decode().upper().strip()
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        image_format = "WebP"
    if image_format:
        return MediaError(f"{path.name} is an image ({image_format}), not a video.", "Load it with LoadImage.", path=path)
    if _is_text(head):
        return MediaError(f"{path.name} is a text file, not a video.", "Choose a video file.", path=path)
    if head[4:8] == b"ftyp":
        message = f"{path.name} is truncated or damaged: its index (moov box) is missing"
        return MediaError(f"{message}.", "Copy or download it again.", path=path)
    reason = (getattr(error, "strerror", None) or str(error)).strip().rstrip(".")
    return MediaError(f"{path.name} cannot be read as a video ({reason}).", _format_convert_hint(path), path=path)


def _is_text(head: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # the last character may be incomplete
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character in "\r\n\t\x1b" for character in text)
