"""Whether a file is shorter than its container says, before anybody spends a night on it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_SEGMENT, _EBML = 0x18538067, 0x1A45DFA3
_UNKNOWN_RIFF_SIZE = 0xFFFFFFFF
_UNKNOWN_EBML_SIZE = (1 << 56) - 1


def read_announced_length(path: Path) -> int | None:
    """How many bytes the outermost boxes of an MP4, MOV, Matroska, WebM or AVI file announce; None when they do not say."""
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
    """The end of the last top-level box, ISO/IEC 14496-12 section 4.2. None when what follows a whole box is no box."""
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
    """The end of the segment, RFC 8794 sections 4 to 6. Live recordings announce none."""
    while True:
        element_id = _read_vint(file, keep_marker=True)
        size = _read_vint(file, keep_marker=False)
        if element_id is None or size is None:
            return None
        if element_id == _SEGMENT:
            return None if size == _UNKNOWN_EBML_SIZE else file.tell() + size
        if file.tell() + size > length:
            return file.tell() + size
        file.seek(size, 1)


def _read_vint(file: BinaryIO, *, keep_marker: bool) -> int | None:
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    rest = file.read(length - 1)
    if len(rest) != length - 1:
        return None
    value = int.from_bytes(first + rest, "big")
    if keep_marker:
        return value
    bits = 7 * length
    value &= (1 << bits) - 1
    return _UNKNOWN_EBML_SIZE if value == (1 << bits) - 1 else value
