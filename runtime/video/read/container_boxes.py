"""The boxes and elements that containers consist of, and the length that they announce for a file."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple


class ElementHeader(NamedTuple):
    id: int
    length: int
    """Bytes of the header itself."""
    size: int | None
    """Bytes of the content; None when the element does not announce it (a live recording)."""


def parse_element_header(data: bytes, offset: int = 0) -> ElementHeader | None:
    """Return the header at ``offset``; None where there is no whole one."""
    id_length = _get_vint_length(data, offset)
    size_length = _get_vint_length(data, offset + id_length) if id_length else 0
    content = offset + id_length + size_length
    if not size_length or content > len(data):
        return None
    mask = (1 << 7 * size_length) - 1
    size = int.from_bytes(data[offset + id_length : content]) & mask
    return ElementHeader(int.from_bytes(data[offset : offset + id_length]), content - offset, None if size == mask else size)


def _get_vint_length(data: bytes, offset: int) -> int:
    """Return the bytes of the variable-length integer at ``offset``; 0 where there is none."""
    return 9 - data[offset].bit_length() if offset < len(data) and data[offset] else 0


_SEGMENT, _EBML, _MAX_EBML_HEADER_BYTES = 0x18538067, 0x1A45DFA3, 16
_UNKNOWN_RIFF_SIZE = 0xFFFFFFFF


def read_announced_length(path: Path) -> int | None:
    """Return the length that the outermost boxes of an MP4, MOV, Matroska, WebM or AVI file announce, in bytes, or None."""
    length = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        file.seek(0)
        if head[:4] == b"RIFF" and len(head) >= 8:
            size = int(struct.unpack_from("<I", head, 4)[0])
            return None if size == _UNKNOWN_RIFF_SIZE else 8 + size
        if int.from_bytes(head[:4], "big") == _EBML:
            return _find_matroska_end(file, length)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            return _find_boxes_end(file, length)
    return None


def _find_boxes_end(file: BinaryIO, length: int) -> int | None:
    """Return the end of the last top-level box, ISO/IEC 14496-12 section 4.2; None without a box."""
    end = 0
    for start, size in _iterate_boxes(file, length):
        end = start + size
    return end or None


def _iterate_boxes(file: BinaryIO, length: int) -> Iterator[tuple[int, int]]:
    start = 0
    while start < length:
        file.seek(start)
        header = file.read(16)
        if len(header) < 8 or not header[4:8].isalnum():
            return
        size = int(struct.unpack_from(">I", header)[0])
        if size == 1 and len(header) == 16:  # the true size follows as 64 bits
            size = int(struct.unpack_from(">Q", header, 8)[0])
        if size < 8:  # 0 is "to the end of the file"
            return
        yield start, size
        start += size


def _find_matroska_end(file: BinaryIO, length: int) -> int | None:
    """Return the end of the segment; None when it announces none."""
    position = 0
    while header := parse_element_header(file.read(_MAX_EBML_HEADER_BYTES)):
        if header.size is None:
            return None
        position += header.length + header.size
        if header.id == _SEGMENT or position > length:
            return position
        file.seek(position)
    return None
