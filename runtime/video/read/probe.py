"""Probe a video: its properties, from its header and from the first frame that decodes."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from ...images import can_turn_transparent, read_play_count
from ...media import ColorInfo, Size, VideoInfo
from ..animation.animated_webp import is_animated_webp, read_webp_info
from ..color.chroma_siting import detect_chroma_siting
from ..color.color_codes import MATRICES, resolve_color_info
from ..color.yuv_to_rgb import ChromaSiting, PixelFormat, is_supported_matrix, parse_pixel_format
from .container import (
    can_have_discontinuities,
    check_not_encrypted,
    demux_packets,
    make_undecodable_error,
    open_container,
    open_decoder,
    resolve_frame_rate,
    resolve_time_base,
    select_video_stream,
    to_fraction,
)
from .side_data import Orientation, parse_content_light, parse_display_matrix, parse_mastering_display, read_side_data

_FINGERPRINT_EDGE_BYTES = 1 << 20
"""Bytes at either end of a file that are part of its fingerprint."""
_SNAPSHOT_BLOCKS, _SNAPSHOT_BLOCK_BYTES = 256, 16 << 10
_INTERLACE_PROBES, _FRAMES_PER_PROBE = 4, 6
_MAX_PACKETS_TO_FIRST_FRAME = 2000
_DOLBY_VISION_TAGS = {"dvh1", "dvhe", "dva1", "dvav", "dav1"}
_DYNAMIC_HDR_SIDE_DATA = {"Dolby Vision": ("DOVI_METADATA", "DOVI_RPU_BUFFER"), "HDR10+": ("DYNAMIC_HDR_PLUS",)}
_DISCONTINUITY_PROBES, _MIN_PROBE_DISTANCE_SECONDS = 8, 30
"""Number of positions where the clock is compared with the position in the file, and their smallest useful distance."""
_MIN_FRAME_BYTES = 8
"""No codec and container together write fewer bytes for a frame."""


@dataclass(frozen=True)
class ProbedVideo:
    """A probed video: its public properties, and what only the reader needs."""

    path: Path
    info: VideoInfo
    coded_size: Size
    """As decoded, before rotation."""
    pixel_format: PixelFormat
    chroma_siting: ChromaSiting
    orientation: Orientation
    start_time: Fraction
    """Seconds on the source's clock at which the video begins; MPEG-TS and MPEG-PS rarely begin at 0."""
    starts_before_zero: bool
    """Its first frame is before 0 on that clock, as FFmpeg reports it where the clock of MPEG-TS wraps."""
    uses_decode_times: bool
    """The container stores no presentation times (AVI), so decoding times are used."""
    dynamic_hdr: tuple[str, ...]
    """Names of its dynamic HDR metadata, which is valid for its own pixels only: Dolby Vision, HDR10+."""
    announced_seconds: Fraction | None
    """The duration by the header where that is exact, from ``start_time`` on; None for formats that estimate it."""
    has_unsupported_rotation: bool
    """Its display matrix rotates by an angle that is not a multiple of 90 degrees."""
    is_stereo_3d: bool
    """Its frames hold two views."""
    is_webp: bool = False
    """An animated WebP, which has no packets: the times of its frames are known when they are decoded."""


def read_video_info(path: Path) -> VideoInfo:
    """Return the video's display size, times, color, streams and fingerprint.

    ``frame_count`` is the header's where there is one (MP4, MOV, AVI; Matroska with statistics tags), else duration times rate.
    Raises ``MediaError`` for a file that is missing, not a video, truncated or encrypted, and for an unsupported codec or
    pixel format.
    """
    return probe(path).info


def is_interlaced(path: Path) -> bool:
    """Return whether frames are marked as interlaced, at the beginning or at one of three later positions."""
    if is_animated_webp(path):
        return False
    with open_container(path) as container:
        stream = select_video_stream(container, path)
        duration = _read_duration(container, stream)
        for probe_index in range(_INTERLACE_PROBES if duration else 1):
            if probe_index and duration:
                start_time = Fraction(container.start_time or 0, av.time_base)
                _try_seek(container, int((start_time + duration * probe_index / _INTERLACE_PROBES) * av.time_base))
            if any(frame.interlaced_frame for frame in decode_first_frames(path, container, stream, _FRAMES_PER_PROBE)):
                return True
    return False


def probe(path: Path) -> ProbedVideo:
    """Return everything about a video that its header and first frame tell. Raises as ``read_video_info`` does."""
    if is_animated_webp(path):
        return _probe_webp(path)
    with open_container(path) as container:
        stream = select_video_stream(container, path)
        frame = next(iter(decode_first_frames(path, container, stream, 1)), None)
        if frame is None:
            raise make_undecodable_error(path, f"none of its frames can be decoded ({stream.codec_context.name})")
        decoded_format = _require_pixel_format(path, frame)
        if container.format.name == "gif" and not _has_gif_alpha(path, frame):  # FFmpeg gives bgra for every GIF
            decoded_format = replace(decoded_format, has_alpha=False)
        coded_size = Size(frame.width, frame.height)
        side_data = read_side_data(frame)
        matrix = side_data.get("DISPLAYMATRIX")
        orientation = parse_display_matrix(matrix) if matrix else Orientation()
        color = _resolve_frame_color(path, stream, frame, decoded_format)
        info = _build_video_info(path, container, stream, decoded_format.bit_depth, color)
        hdr_kinds = _DYNAMIC_HDR_SIDE_DATA.items()
        return ProbedVideo(
            path=path,
            info=_apply_side_data(info, coded_size, side_data, orientation or Orientation()),
            coded_size=coded_size,
            pixel_format=decoded_format,
            chroma_siting=detect_chroma_siting(frame, decoded_format, stream.codec_context.name),
            orientation=orientation or Orientation(),
            start_time=Fraction(container.start_time or 0, av.time_base),
            starts_before_zero=(stream.start_time or 0) < 0,
            uses_decode_times=container.format.name == "avi",
            dynamic_hdr=tuple(name for name, kinds in hdr_kinds if any(side_data.get(kind) for kind in kinds)),
            announced_seconds=None if can_have_discontinuities(container) or stream.start_time is None else info.duration,
            has_unsupported_rotation=orientation is None,
            is_stereo_3d="STEREO3D" in side_data,
        )


def _has_gif_alpha(path: Path, first_frame: av.VideoFrame) -> bool:
    return bool(first_frame.to_ndarray(format="bgra")[:, :, 3].min() < 255) or can_turn_transparent(path)


def _probe_webp(path: Path) -> ProbedVideo:
    info = read_webp_info(path, compute_fingerprint(path))
    pixel_format = parse_pixel_format("rgba")
    assert pixel_format is not None
    return ProbedVideo(
        path=path,
        info=info,
        coded_size=info.size,
        pixel_format=pixel_format,
        chroma_siting=ChromaSiting(),
        orientation=Orientation(),
        start_time=Fraction(0),
        starts_before_zero=False,
        uses_decode_times=False,
        dynamic_hdr=(),
        announced_seconds=None,
        has_unsupported_rotation=False,
        is_stereo_3d=False,
        is_webp=True,
    )


def _apply_side_data(info: VideoInfo, coded_size: Size, side_data: Mapping[str, bytes], orientation: Orientation) -> VideoInfo:
    """Return ``info`` with the frame's size and HDR metadata, rotated."""
    return replace(
        info,
        size=orientation.transform_size(coded_size),
        pixel_aspect=1 / info.pixel_aspect if orientation.transpose else info.pixel_aspect,
        mastering_display=parse_mastering_display(side_data.get("MASTERING_DISPLAY_METADATA")),
        content_light=parse_content_light(side_data.get("CONTENT_LIGHT_LEVEL")),
    )


def _build_video_info(path: Path, container: InputContainer, stream: VideoStream, bits: int, color: ColorInfo) -> VideoInfo:
    rate = resolve_frame_rate(stream)
    duration = _read_duration(container, stream)
    is_trusted = not (duration and can_have_discontinuities(container) and _has_discontinuity(container, stream, duration))
    count, count_source = _estimate_frame_count(stream, duration if is_trusted else None, rate, path.stat().st_size)
    return VideoInfo(
        size=Size(stream.width, stream.height),
        frame_rate=rate,
        time_base=resolve_time_base(stream),
        frame_count=count,
        frame_count_source=count_source,
        duration=duration,
        color=color,
        bit_depth=bits,
        pixel_aspect=to_fraction(stream.sample_aspect_ratio) or Fraction(1),
        source=path,
        audio_streams=len(container.streams.audio),
        subtitle_streams=len(container.streams.subtitles),
        play_count=read_play_count(path) if container.format.name in ("gif", "apng") else 0,
        identity=compute_fingerprint(path),
    )


def compute_fingerprint(path: Path) -> str:
    """Return the SHA-256 of the file's length, first and last MiB; its date does not matter."""
    length = path.stat().st_size
    digest = hashlib.sha256(str(length).encode())
    with path.open("rb") as file:
        digest.update(file.read(_FINGERPRINT_EDGE_BYTES))
        file.seek(max(0, length - _FINGERPRINT_EDGE_BYTES))
        digest.update(file.read(_FINGERPRINT_EDGE_BYTES))
    return f"{length}:{digest.hexdigest()}"


def take_file_snapshot(path: Path) -> dict[str, Any]:
    """Return length, date and a hash of 256 blocks of a file, to recognize it later with ``is_same_file``."""
    stat = path.stat()
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for number in range(_SNAPSHOT_BLOCKS):
            file.seek(max(0, stat.st_size - _SNAPSHOT_BLOCK_BYTES) * number // (_SNAPSHOT_BLOCKS - 1))
            digest.update(file.read(_SNAPSHOT_BLOCK_BYTES))
    return {"bytes": stat.st_size, "modified": stat.st_mtime_ns, "blocks": digest.hexdigest()}


def is_same_file(path: Path, snapshot: Mapping[str, Any]) -> bool:
    """Return whether a file has the date and length of ``snapshot``, or other dates and the same bytes in its blocks."""
    try:
        stat = path.stat()
        same_date = (stat.st_size, stat.st_mtime_ns) == (snapshot.get("bytes"), snapshot.get("modified"))
        return same_date or {**take_file_snapshot(path), "modified": None} == {**snapshot, "modified": None}
    except OSError:
        return False


def _read_duration(container: InputContainer, stream: VideoStream) -> Fraction | None:
    if stream.duration:
        return stream.duration * resolve_time_base(stream)
    return Fraction(container.duration, av.time_base) if container.duration and container.duration > 0 else None


def _has_discontinuity(container: InputContainer, stream: VideoStream, duration: Fraction) -> bool:
    """Return whether two distant times are at the same position in the file, which means that the clock jumps."""
    if duration < _DISCONTINUITY_PROBES * _MIN_PROBE_DISTANCE_SECONDS:
        return False
    start_time, last_position = Fraction(container.start_time or 0, av.time_base), -1
    for number in range(1, _DISCONTINUITY_PROBES):
        _try_seek(container, int((start_time + duration * number / _DISCONTINUITY_PROBES) * av.time_base))
        with suppress(FFmpegError, StopIteration):
            position = next(demux_packets(container, stream)).pos
            if position is not None and position == last_position:
                return True
            last_position = last_position if position is None else position
    return False


def _estimate_frame_count(
    stream: VideoStream, duration: Fraction | None, rate: Fraction, file_bytes: int
) -> tuple[int | None, Literal["header", "duration", "unknown"]]:
    if stream.frames > 0:
        return stream.frames, "header"
    tags = stream.metadata.items()  # mkvmerge's statistics tags
    tagged_count = next((value for key, value in tags if key.upper().startswith("NUMBER_OF_FRAMES")), "")
    if tagged_count.isdecimal():
        return int(tagged_count), "header"
    count = max(1, round(duration * rate)) if duration else None
    if count is None or count * _MIN_FRAME_BYTES > file_bytes:  # a clock that jumps turns seconds into days
        return None, "unknown"
    return count, "duration"


def decode_first_frames(path: Path, container: InputContainer, stream: VideoStream, count: int) -> list[av.VideoFrame]:
    """Decode up to ``count`` frames from the container's position, skipping packets that do not decode."""
    frames: list[av.VideoFrame] = []
    packet_iterator, decode = demux_packets(container, stream), open_decoder(stream)
    for _ in range(_MAX_PACKETS_TO_FIRST_FRAME):
        try:
            packet = next(packet_iterator)
            check_not_encrypted(packet, path)
            frames += decode(packet)
        except StopIteration:
            break
        except FFmpegError:
            continue
        if len(frames) >= count:
            break
    return frames[:count]


def _try_seek(container: InputContainer, microseconds: int) -> None:
    with suppress(FFmpegError):
        container.seek(microseconds)


def _require_pixel_format(path: Path, frame: av.VideoFrame) -> PixelFormat:
    found = parse_pixel_format(frame.format.name)
    if found is None:
        raise make_undecodable_error(path, f"its pixel format {frame.format.name} cannot be converted")
    return found


def _resolve_frame_color(path: Path, stream: VideoStream, frame: av.VideoFrame, decoded_format: PixelFormat) -> ColorInfo:
    if stream.codec_context.codec_tag in _DOLBY_VISION_TAGS and frame.colorspace not in MATRICES:
        raise make_undecodable_error(path, "its colors are Dolby Vision without an HDR10 or SDR base")
    return resolve_frame_color(path, frame, decoded_format)


def resolve_frame_color(path: Path, frame: av.VideoFrame, decoded_format: PixelFormat) -> ColorInfo:
    """Return the color of a frame by its own tags. Raises ``MediaError`` for a matrix that cannot be converted."""
    color = resolve_color_info(
        matrix=frame.colorspace,
        range_=frame.color_range,
        transfer=frame.color_trc,
        primaries=frame.color_primaries,
        coded_size=Size(frame.width, frame.height),
        bits=decoded_format.bit_depth,
        kind=decoded_format.kind,
    )
    if not is_supported_matrix(color):
        raise make_undecodable_error(path, f"its color matrix {color.matrix} cannot be converted")
    return color
