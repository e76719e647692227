"""What a film is, told before it is read: from its header and from the first picture that decodes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal, Protocol

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from ..frames.geometry import Size
from ..frames.stream import Colour, VideoInfo
from .colour_codes import MATRICES, colour_from
from .container import may_jump, open_container, packets, refuse_encrypted, undecodable, video_stream
from .hdr import content_light, mastering_display
from .orientation import Orientation, from_display_matrix
from .pixels_in import PixelFormat, Siting, pixel_format, supported_matrix
from .side_data import side_data
from .siting import siting

_EDGE = 1 << 20
"""Bytes at either end of a file that make its fingerprint."""
_PLACES, _PICTURES_PER_PLACE = 4, 6
_PACKETS_TO_FIRST_PICTURE = 2000
_DOLBY_VISION_TAGS = {"dvh1", "dvhe", "dva1", "dvav", "dav1"}
_DYNAMIC = {"Dolby Vision": ("DOVI_METADATA", "DOVI_RPU_BUFFER"), "HDR10+": ("DYNAMIC_HDR_PLUS",)}
_LEAPS, _LEAP_SECONDS = 8, 30
"""At how many places a clock is compared with the place in the file; nearer to each other than that they tell nothing."""
_LEAST_FRAME = 8
"""Bytes; no codec and container together write less for a frame."""
_MPEG_TICKS = Fraction(1, 90000)


class _Rational(Protocol):
    @property
    def numerator(self) -> int: ...
    @property
    def denominator(self) -> int: ...


@dataclass(frozen=True)
class Source:
    """A film that was looked at: what everybody may know, and what only the reader needs."""

    path: Path
    info: VideoInfo
    coded: Size
    """As decoded, before it is turned."""
    pixels: PixelFormat
    siting: Siting
    orientation: Orientation
    clock_zero: Fraction
    """Seconds on the source's clock at which the film begins; MPEG-TS and MPEG-PS rarely begin at 0."""
    before_zero: bool
    """Its first picture is shown before 0 on that clock, as FFmpeg has it where the clock of MPEG-TS wraps."""
    decode_times: bool
    """The container stores no times to show pictures at (AVI), so those to decode them at count."""
    dynamic: tuple[str, ...]
    """What it says of brightness scene by scene, which belongs to its own pixels: Dolby Vision, HDR10+."""
    turned_oddly: bool
    """Its display matrix asks for a turn that is no multiple of 90 degrees."""


def probe(path: Path) -> VideoInfo:
    """The film's size as shown, times, colour, streams and fingerprint.

    ``frame_count`` is the header's where there is one (MP4, MOV, AVI; Matroska with statistics tags), else duration times rate.
    Raises ``MediaError`` for what is missing, no film, truncated, encrypted, or in a codec or pixel format that cannot be read.
    """
    return look(path).info


def is_interlaced(path: Path) -> bool:
    """Whether the codec marks pictures as two fields, at the beginning or at one of three places further in."""
    with open_container(path) as container:
        stream = video_stream(container, path)
        length = _duration(container, stream)
        for place in range(_PLACES if length else 1):
            if place and length:
                zero = Fraction(container.start_time or 0, av.time_base)
                _seek(container, int((zero + length * place / _PLACES) * av.time_base))
            if any(picture.interlaced_frame for picture in _pictures(path, container, stream, _PICTURES_PER_PLACE)):
                return True
    return False


def look(path: Path) -> Source:
    """Everything about a film that its header and first picture tell. Raises as ``probe`` does."""
    with open_container(path) as container:
        stream = video_stream(container, path)
        picture = next(iter(_pictures(path, container, stream, 1)), None)
        if picture is None:
            raise undecodable(path, f"none of its pictures can be decoded ({stream.codec_context.name})")
        pixels = _pixels(path, picture)
        coded = Size(picture.width, picture.height)
        beside = side_data(picture)
        turn = _orientation(beside)
        info = _info(path, container, stream, pixels.bits, _colour(path, stream, picture, pixels))
        return Source(
            path=path,
            info=_as_shown(info, coded, beside, turn or Orientation()),
            coded=coded,
            pixels=pixels,
            siting=siting(picture, pixels, stream.codec_context.name),
            orientation=turn or Orientation(),
            clock_zero=Fraction(container.start_time or 0, av.time_base),
            before_zero=(stream.start_time or 0) < 0,
            decode_times=container.format.name == "avi",
            dynamic=tuple(name for name, kinds in _DYNAMIC.items() if any(beside.get(kind) for kind in kinds)),
            turned_oddly=turn is None,
        )


def _orientation(beside: Mapping[str, bytes]) -> Orientation | None:
    matrix = beside.get("DISPLAYMATRIX")
    return from_display_matrix(matrix) if matrix else Orientation()


def _as_shown(info: VideoInfo, coded: Size, beside: Mapping[str, bytes], turn: Orientation) -> VideoInfo:
    """What only the picture tells, and its turn applied."""
    display, light = beside.get("MASTERING_DISPLAY_METADATA"), beside.get("CONTENT_LIGHT_LEVEL")
    return replace(
        info,
        size=turn.size(coded),
        pixel_aspect=1 / info.pixel_aspect if turn.transpose else info.pixel_aspect,
        mastering_display=mastering_display(display) if display else None,
        content_light=content_light(light) if light else None,
    )


def _info(path: Path, container: InputContainer, stream: VideoStream, bits: int, colour: Colour) -> VideoInfo:
    rate = frame_rate(stream)
    duration = _duration(container, stream)
    believed = None if duration and may_jump(container) and _leaps(container, stream, duration) else duration
    count, source = _frame_count(stream, believed, rate, path.stat().st_size)
    return VideoInfo(
        size=Size(stream.width, stream.height),
        frame_rate=rate,
        time_base=time_base(stream),
        frame_count=count,
        frame_count_from=source,
        duration=duration,
        colour=colour,
        bits=bits,
        pixel_aspect=exact(stream.sample_aspect_ratio) or Fraction(1),
        source=path,
        audio_streams=len(container.streams.audio),
        subtitle_streams=len(container.streams.subtitles),
        identity=fingerprint(path),
    )


def exact(value: _Rational | None) -> Fraction:
    """PyAV's rational as a fraction: 0 for None (PyAV 18) and for 0/1 or 0/0 (PyAV 19)."""
    return Fraction(value.numerator, value.denominator) if value and value.denominator else Fraction(0)


def time_base(stream: VideoStream) -> Fraction:
    """Seconds per tick of the stream's clock; 1/90000 when the container has no clock."""
    return exact(stream.time_base) or _MPEG_TICKS


def frame_rate(stream: VideoStream) -> Fraction:
    """The average rate; what the codec says where the container has no clock, for then the average is a default; else 25."""
    average, guessed = exact(stream.average_rate), exact(stream.guessed_rate)
    return (average or guessed or Fraction(25)) if stream.start_time is not None else (guessed or average or Fraction(25))


def fingerprint(path: Path) -> str:
    """Length, first and last MiB of the file under one SHA-256; the date of the file does not matter."""
    length = path.stat().st_size
    digest = hashlib.sha256(str(length).encode())
    with path.open("rb") as file:
        digest.update(file.read(_EDGE))
        file.seek(max(0, length - _EDGE))
        digest.update(file.read(_EDGE))
    return f"{length}:{digest.hexdigest()}"


def _duration(container: InputContainer, stream: VideoStream) -> Fraction | None:
    if stream.duration:
        return stream.duration * time_base(stream)
    return Fraction(container.duration, av.time_base) if container.duration and container.duration > 0 else None


def _leaps(container: InputContainer, stream: VideoStream, duration: Fraction) -> bool:
    """Whether two places that the clock says are far apart are one place in the file: between them it jumps."""
    if duration < _LEAPS * _LEAP_SECONDS:
        return False
    zero, before = Fraction(container.start_time or 0, av.time_base), -1
    for number in range(1, _LEAPS):
        _seek(container, int((zero + duration * number / _LEAPS) * av.time_base))
        with suppress(FFmpegError, StopIteration):
            place = next(packets(container, stream)).pos
            if place is not None and place == before:
                return True
            before = before if place is None else place
    return False


def _frame_count(
    stream: VideoStream, duration: Fraction | None, rate: Fraction, size: int
) -> tuple[int | None, Literal["header", "duration", "unknown"]]:
    counted = [value for key, value in stream.metadata.items() if key.upper().startswith("NUMBER_OF_FRAMES")]
    if stream.frames > 0:
        return stream.frames, "header"
    if counted and counted[0].isdecimal():  # mkvmerge's statistics tags
        return int(counted[0]), "header"
    count = max(1, round(duration * rate)) if duration else None
    if count is None or count * _LEAST_FRAME > size:  # a clock that jumps makes a film of days out of seconds
        return None, "unknown"
    return count, "duration"


def _pictures(path: Path, container: InputContainer, stream: VideoStream, count: int) -> list[av.VideoFrame]:
    """Up to ``count`` pictures from where the container stands, past packets that do not decode."""
    pictures: list[av.VideoFrame] = []
    coming = packets(container, stream)
    for _ in range(_PACKETS_TO_FIRST_PICTURE):
        try:
            packet = next(coming)
            refuse_encrypted(packet, path)
            pictures += packet.decode()
        except StopIteration:
            break
        except FFmpegError:
            continue
        if len(pictures) >= count:
            break
    return pictures[:count]


def _seek(container: InputContainer, microseconds: int) -> None:
    try:
        container.seek(microseconds)
    except FFmpegError:
        return


def _pixels(path: Path, picture: av.VideoFrame) -> PixelFormat:
    found = pixel_format(picture.format.name)
    if found is None:
        raise undecodable(path, f"its pixel format {picture.format.name} cannot be converted")
    return found


def _colour(path: Path, stream: VideoStream, picture: av.VideoFrame, pixels: PixelFormat) -> Colour:
    if stream.codec_context.codec_tag in _DOLBY_VISION_TAGS and picture.colorspace not in MATRICES:
        raise undecodable(path, "its colours are Dolby Vision without an HDR10 or SDR base")
    colour = colour_from(
        matrix=picture.colorspace,
        range_=picture.color_range,
        transfer=picture.color_trc,
        primaries=picture.color_primaries,
        coded=Size(picture.width, picture.height),
        bits=pixels.bits,
        kind=pixels.kind,
    )
    if not supported_matrix(colour):
        raise undecodable(path, f"its colour matrix {colour.matrix} cannot be converted")
    return colour
