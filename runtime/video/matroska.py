"""The shape of pixels in a Matroska or WebM file that is written already: PyAV has no way to tell FFmpeg's muxer of it.

A file of FFmpeg's begins ``SeekHead, Void, Info, Tracks``. The track of the picture grows by a few bytes, the empty ``Void``
gives them up, and what lies between moves; nothing behind ``Tracks`` does. Element ids and meanings: RFC 9559.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from ..errors import OutputError

_SEGMENT, _SEEK_HEAD, _VOID, _INFO, _TRACKS = 0x18538067, 0x114D9B74, 0xEC, 0x1549A966, 0x1654AE6B
_SEEK, _SEEK_ID, _SEEK_POSITION = 0x4DBB, 0x53AB, 0x53AC
_TRACK_ENTRY, _VIDEO, _CRC = 0xAE, 0xE0, 0xBF
_WIDTH, _HEIGHT, _UNIT = 0x54B0, 0x54BA, 0x54B2
_PROPORTION = 3
"""Display width and height are a proportion. WebM knows pixels only, which is what no unit means."""
_HEAD = 1 << 20


class _Element(NamedTuple):
    id: int
    start: int
    content: bytes
    end: int


def write_pixel_aspect(path: Path, width: int, height: int, aspect: Fraction, *, webm: bool) -> None:
    """Say that a pixel of the picture track, ``width`` x ``height``, is ``aspect`` times as wide as high.

    In WebM the shown width is rounded to a pixel. Raises ``OutputError`` for a file that does not begin as FFmpeg's do.
    """
    shape = width * aspect / height
    shown = (round(width * aspect), height, None) if webm else (shape.numerator, shape.denominator, _PROPORTION)
    with path.open("r+b") as file:
        head = file.read(_HEAD)
        segment = next(found for found in _elements(head) if found.id == _SEGMENT)
        base = segment.end - len(segment.content)
        found = [one for one in _elements(segment.content) if one.id != _CRC][:5]
        if [one.id for one in found[:4]] != [_SEEK_HEAD, _VOID, _INFO, _TRACKS] or len(found) < 5:
            raise OutputError(f"{path.name} does not begin as FFmpeg's files do.", "Write mp4 or mov.", path=path)
        seek, _, info, tracks, _ = found
        bigger = _tracks(tracks.content, shown)
        grown = len(bigger) - (tracks.end - tracks.start)
        moved = _seek_head(seek.content, grown)
        rest = tracks.end - seek.start - len(moved) - (info.end - info.start) - len(bigger)
        empty = _VOID.to_bytes(1) + (rest - 9 | 1 << 56).to_bytes(8) + bytes(rest - 9)
        file.seek(base + seek.start)
        file.write(moved + empty + segment.content[info.start : info.end] + bigger)


def _elements(data: bytes) -> Iterator[_Element]:
    """The elements side by side in ``data``; the last may be cut off."""
    place = 0
    while place < len(data):
        id_length, size_length = _length(data[place]), 0
        size_at = place + id_length
        if size_at >= len(data):
            return
        size_length = _length(data[size_at])
        begin = size_at + size_length
        size = int.from_bytes(data[size_at:begin]) & (1 << 7 * size_length) - 1
        end = min(begin + size, len(data))
        yield _Element(int.from_bytes(data[place:size_at]), place, data[begin:end], end)
        place = begin + size


def _length(first: int) -> int:
    """How many bytes a variable-length number has, by its first."""
    return 9 - first.bit_length()


def _written(id_: int, content: bytes) -> bytes:
    length = next(length for length in range(1, 9) if len(content) < (1 << 7 * length) - 1)
    return _bytes(id_) + (len(content) | 1 << 7 * length).to_bytes(length) + content


def _bytes(number: int) -> bytes:
    return number.to_bytes(max(1, (number.bit_length() + 7) // 8))


def _with_sum(id_: int, parts: list[bytes], *, summed: bool) -> bytes:
    """A master element; where it had a checksum it has one again."""
    content = b"".join(parts)
    return _written(id_, _written(_CRC, zlib.crc32(content).to_bytes(4, "little")) + content if summed else content)


def _tracks(content: bytes, shown: tuple[int, int, int | None]) -> bytes:
    found = list(_elements(content))
    parts = [_written(one.id, _entry(one.content, shown)) for one in found if one.id != _CRC]
    return _with_sum(_TRACKS, parts, summed=len(parts) < len(found))


def _entry(content: bytes, shown: tuple[int, int, int | None]) -> bytes:
    """A track; that of the picture is the one that has a ``Video``."""
    return b"".join(
        _written(one.id, _video(one.content, shown) if one.id == _VIDEO else one.content) for one in _elements(content)
    )


def _video(content: bytes, shown: tuple[int, int, int | None]) -> bytes:
    kept = [_written(one.id, one.content) for one in _elements(content) if one.id not in (_WIDTH, _HEIGHT, _UNIT)]
    new = zip((_WIDTH, _HEIGHT, _UNIT), shown, strict=True)
    return b"".join(kept + [_written(id_, _bytes(value)) for id_, value in new if value is not None])


def _seek_head(content: bytes, moved: int) -> bytes:
    """Where elements lie, counted from the segment: ``Info`` and ``Tracks`` begin ``moved`` bytes earlier."""
    found = list(_elements(content))
    parts = [_written(one.id, _entry_moved(one.content, moved)) for one in found if one.id != _CRC]
    return _with_sum(_SEEK_HEAD, parts, summed=len(parts) < len(found))


def _entry_moved(content: bytes, moved: int) -> bytes:
    parts = {one.id: one.content for one in _elements(content)}
    place = parts[_SEEK_POSITION]
    if int.from_bytes(parts[_SEEK_ID]) in (_INFO, _TRACKS):
        place = _bytes(int.from_bytes(place) - moved)
    return _written(_SEEK_ID, parts[_SEEK_ID]) + _written(_SEEK_POSITION, place)
