"""Detect files that are shorter than their container announces."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from .ebml import parse_element_header

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
