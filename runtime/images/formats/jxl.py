"""Read size, animation and extra channels of a JPEG XL image from its first bytes (ISO/IEC 18181-1, D.2; boxes: 18181-2).

OpenImageIO cannot be used for this: its libjxl reader decodes all pixels when a file is opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from os import SEEK_END
from pathlib import Path
from typing import BinaryIO

from ...media import Size

_CODESTREAM = b"\xff\x0a"
_CONTAINER = b"\0\0\0\x0cJXL "
_MAX_HEADER_BYTES = 64
"""Bytes of the signature and of the longest header up to the number of extra channels."""
_MIN_HEADER_BYTES = 4
_MAX_BOXES = 10_000
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}


@dataclass(frozen=True)
class JxlHeader:
    size: Size
    """As stored, before the orientation is applied."""
    is_animated: bool
    extra_channels: int
    """Alpha, depth and others."""


def read_header(path: Path) -> JxlHeader:
    """Return what the header of the codestream says.

    Raises:
        ValueError: the file ends inside its header.
    """
    with path.open("rb") as file:
        is_container = file.read(len(_CONTAINER)) == _CONTAINER
        file.seek(0)
        head = _read_codestream_start(file) if is_container else file.read(_MAX_HEADER_BYTES)
    if not head.startswith(_CODESTREAM) or len(head) < _MIN_HEADER_BYTES:
        raise ValueError("the file ends inside its header")
    bits = _BitReader(head[len(_CODESTREAM) :])
    size = _parse_size_header(bits)
    return JxlHeader(size, *_parse_metadata(bits))


def _read_codestream_start(file: BinaryIO) -> bytes:
    """Return the first bytes of the codestream: from the box ``jxlc``, or from the numbered boxes ``jxlp``."""
    head = b""
    for kind, length in _iter_boxes(file):
        prefix_bytes = 4 if kind == b"jxlp" else 0
        if kind in (b"jxlc", b"jxlp"):
            head += file.read(min(length, prefix_bytes + _MAX_HEADER_BYTES))[prefix_bytes:]
        if len(head) >= _MAX_HEADER_BYTES:
            break
    return head[:_MAX_HEADER_BYTES]


def _iter_boxes(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yield kind and length of each box, with the file positioned at its content."""
    end = file.seek(0, SEEK_END)
    begin = 0
    for _ in range(_MAX_BOXES):
        file.seek(begin)
        head = file.read(8)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
        length = length or end - begin  # 0: to the end of the file
        inside = begin + length - file.tell()
        if len(head) < 8 or inside < 0:
            return
        yield head[4:], inside
        begin += length
        if begin >= end:
            return


def _parse_size_header(bits: _BitReader) -> Size:
    small = bits.read_bits(1)
    height = _parse_dimension(bits, small)
    ratio = bits.read_bits(3)
    if not ratio:
        return Size(_parse_dimension(bits, small), height)
    across, down = _RATIOS[ratio]
    return Size(height * across // down, height)


def _parse_metadata(bits: _BitReader) -> tuple[bool, int]:
    """Return whether there are several frames, and the number of extra channels (ISO/IEC 18181-1, D.3)."""
    is_animated = False
    if bits.read_bits(1):  # all fields have their defaults
        return False, 0
    if bits.read_bits(1):
        bits.read_bits(3)  # orientation
        if bits.read_bits(1):
            _parse_size_header(bits)  # intrinsic size
        if bits.read_bits(1):
            _skip_preview(bits)
        is_animated = bool(bits.read_bits(1))
        if is_animated:
            for choices in ((0, 0, 10, 30), (0, 0, 8, 10), (0, 3, 16, 32), (1,)):  # ticks, their divisor, loops, time codes
                bits.read_bits(choices[bits.read_bits(2)] if len(choices) > 1 else 1)
    if bits.read_bits(1):  # floats
        bits.read_bits((0, 0, 0, 6)[bits.read_bits(2)])
        bits.read_bits(4)
    else:
        bits.read_bits((0, 0, 0, 6)[bits.read_bits(2)])
    bits.read_bits(1)
    choice = bits.read_bits(2)
    return is_animated, (0, 1, 2, 1)[choice] + bits.read_bits((0, 0, 4, 12)[choice])


def _skip_preview(bits: _BitReader) -> None:
    widths = (0, 0, 5, 9) if bits.read_bits(1) else (6, 8, 10, 12)
    bits.read_bits(widths[bits.read_bits(2)])
    if not bits.read_bits(3):
        bits.read_bits(widths[bits.read_bits(2)])


def _parse_dimension(bits: _BitReader, small: int) -> int:
    if small:
        return 8 * (bits.read_bits(5) + 1)
    return bits.read_bits((9, 13, 18, 30)[bits.read_bits(2)]) + 1


class _BitReader:
    """Bits of a codestream, the lowest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._remaining = int.from_bytes(data, "little")

    def read_bits(self, count: int) -> int:
        value = self._remaining & ((1 << count) - 1)
        self._remaining >>= count
        return value
