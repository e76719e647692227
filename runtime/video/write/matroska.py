"""Write the pixel aspect ratio into a finished Matroska or WebM file, which PyAV cannot pass to FFmpeg's muxer.

FFmpeg's files begin ``SeekHead, Void, Info, Tracks``. The video track grows by a few bytes, the empty ``Void`` shrinks by them,
and the elements between move; nothing after ``Tracks`` does. Element ids and meanings: RFC 9559.
"""

import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from ...errors import OutputError
from ..read.container_boxes import parse_element_header

_SEGMENT, _SEEK_HEAD, _VOID, _INFO, _TRACKS = 0x18538067, 0x114D9B74, 0xEC, 0x1549A966, 0x1654AE6B
_SEEK, _SEEK_ID, _SEEK_POSITION = 0x4DBB, 0x53AB, 0x53AC
_TRACK_ENTRY, _VIDEO, _CRC32 = 0xAE, 0xE0, 0xBF
_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT = 0x54B0, 0x54BA, 0x54B2
_UNIT_ASPECT_RATIO = 3
"""Display width and height are a ratio. WebM only has pixels, the unit where none is written."""
_HEAD_BYTES = 1 << 20


class _EbmlElement(NamedTuple):
    id: int
    start: int
    content: bytes
    end: int


def write_pixel_aspect(path: Path, width: int, height: int, aspect: Fraction, *, webm: bool) -> None:
    """Write that a pixel of the video track, ``width`` x ``height``, is ``aspect`` times as wide as high.

    The file is changed in place, so it still has its temporary name. In WebM the display width is rounded to a pixel.
    Raises ``OutputError`` for a file that does not begin like FFmpeg's.
    """
    display_aspect = width * aspect / height
    display_values = (display_aspect.numerator, display_aspect.denominator, _UNIT_ASPECT_RATIO)
    if webm:
        display_values = (round(width * aspect), height, None)
    with path.open("r+b") as file:
        head = file.read(_HEAD_BYTES)
        segment = next(found for found in _parse_elements(head) if found.id == _SEGMENT)
        segment_start = segment.end - len(segment.content)
        found = [one for one in _parse_elements(segment.content) if one.id != _CRC32][:5]
        if [one.id for one in found[:4]] != [_SEEK_HEAD, _VOID, _INFO, _TRACKS] or len(found) < 5:
            raise OutputError(f"{path.name} does not begin like FFmpeg's files.", "Write mp4 or mov.", path=path)
        seek_head, _, info, tracks, _ = found
        new_tracks = _rewrite_tracks(tracks.content, display_values)
        growth = len(new_tracks) - (tracks.end - tracks.start)
        new_seek_head = _rewrite_seek_head(seek_head.content, growth)
        void_bytes = tracks.end - seek_head.start - len(new_seek_head) - (info.end - info.start) - len(new_tracks)
        void = _VOID.to_bytes(1) + (void_bytes - 9 | 1 << 56).to_bytes(8) + bytes(void_bytes - 9)
        file.seek(segment_start + seek_head.start)
        file.write(new_seek_head + void + segment.content[info.start : info.end] + new_tracks)


def _parse_elements(data: bytes) -> Iterator[_EbmlElement]:
    """Yield the sibling elements in ``data``; the last may be cut off."""
    offset = 0
    while header := parse_element_header(data, offset):
        content_start = offset + header.length
        end = len(data) if header.size is None else min(content_start + header.size, len(data))
        yield _EbmlElement(header.id, offset, data[content_start:end], end)
        offset = end


def _encode_element(id_: int, content: bytes) -> bytes:
    length = next(length for length in range(1, 9) if len(content) < (1 << 7 * length) - 1)
    return _encode_uint(id_) + (len(content) | 1 << 7 * length).to_bytes(length) + content


def _encode_uint(number: int) -> bytes:
    return number.to_bytes(max(1, (number.bit_length() + 7) // 8))


def _encode_master_element(id_: int, parts: list[bytes], *, has_checksum: bool) -> bytes:
    """Return a master element, with a checksum if it had one."""
    content = b"".join(parts)
    checksum = _encode_element(_CRC32, zlib.crc32(content).to_bytes(4, "little")) if has_checksum else b""
    return _encode_element(id_, checksum + content)


def _rewrite_tracks(content: bytes, display_values: tuple[int, int, int | None]) -> bytes:
    found = list(_parse_elements(content))
    parts = [_encode_element(one.id, _rewrite_track_entry(one.content, display_values)) for one in found if one.id != _CRC32]
    return _encode_master_element(_TRACKS, parts, has_checksum=len(parts) < len(found))


def _rewrite_track_entry(content: bytes, display_values: tuple[int, int, int | None]) -> bytes:
    """Return a track entry; only that of the video has a ``Video`` element, which is rewritten."""
    return b"".join(
        _encode_element(one.id, _rewrite_video_settings(one.content, display_values) if one.id == _VIDEO else one.content)
        for one in _parse_elements(content)
    )


def _rewrite_video_settings(content: bytes, display_values: tuple[int, int, int | None]) -> bytes:
    ids = (_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT)
    parts = [_encode_element(one.id, one.content) for one in _parse_elements(content) if one.id not in ids]
    display_parts = zip(ids, display_values, strict=True)
    parts += [_encode_element(id_, _encode_uint(value)) for id_, value in display_parts if value is not None]
    return b"".join(parts)


def _rewrite_seek_head(content: bytes, shift: int) -> bytes:
    """Return the index of positions in the segment: ``Info`` and ``Tracks`` begin ``shift`` bytes earlier."""
    found = list(_parse_elements(content))
    parts = [_encode_element(one.id, _rewrite_seek_entry(one.content, shift)) for one in found if one.id != _CRC32]
    return _encode_master_element(_SEEK_HEAD, parts, has_checksum=len(parts) < len(found))


def _rewrite_seek_entry(content: bytes, shift: int) -> bytes:
    parts = {one.id: one.content for one in _parse_elements(content)}
    position = parts[_SEEK_POSITION]
    if int.from_bytes(parts[_SEEK_ID]) in (_INFO, _TRACKS):
        position = _encode_uint(int.from_bytes(position) - shift)
    return _encode_element(_SEEK_ID, parts[_SEEK_ID]) + _encode_element(_SEEK_POSITION, position)
