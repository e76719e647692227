"""The size of a JPEG XL picture by its first bytes (ISO/IEC 18181-1, D.2; 18181-2 for the boxes).

Read here because libjxl, as OpenImageIO calls it, decodes all pixels when a file is opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from os import SEEK_END
from pathlib import Path
from typing import BinaryIO

from ..frames.geometry import Size

_CODESTREAM = b"\xff\x0a"
_CONTAINER = b"\0\0\0\x0cJXL "
_HEADER = 11
"""Bytes of the signature and of the longest size."""
_MOST_BOXES = 10_000
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}


def size(path: Path) -> Size:
    """Width and height as stored, before the orientation is applied.

    Raises:
        ValueError: the header is not in the file.
    """
    with path.open("rb") as file:
        contained = file.read(len(_CONTAINER)) == _CONTAINER
        file.seek(0)
        head = _in_boxes(file) if contained else file.read(_HEADER)
    if not head.startswith(_CODESTREAM) or len(head) < _HEADER:
        raise ValueError("the file ends inside its header")
    return _size_header(_Bits(head[len(_CODESTREAM) :]))


def _in_boxes(file: BinaryIO) -> bytes:
    """The first bytes of the codestream: of the box ``jxlc``, or of the boxes ``jxlp``, each behind its number."""
    head = b""
    for kind, length in _boxes(file):
        number = 4 if kind == b"jxlp" else 0
        if kind in (b"jxlc", b"jxlp"):
            head += file.read(min(length, number + _HEADER))[number:]
        if len(head) >= _HEADER:
            break
    return head[:_HEADER]


def _boxes(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Kind and length of each box, the file standing at its content."""
    end = file.seek(0, SEEK_END)
    begin = 0
    for _ in range(_MOST_BOXES):
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


def _size_header(bits: _Bits) -> Size:
    small = bits.take(1)
    height = _dimension(bits, small)
    ratio = bits.take(3)
    if not ratio:
        return Size(_dimension(bits, small), height)
    across, down = _RATIOS[ratio]
    return Size(height * across // down, height)


def _dimension(bits: _Bits, small: int) -> int:
    if small:
        return 8 * (bits.take(5) + 1)
    return bits.take((9, 13, 18, 30)[bits.take(2)]) + 1


class _Bits:
    """Bits of a codestream, the lowest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._left = int.from_bytes(data, "little")

    def take(self, count: int) -> int:
        value = self._left & ((1 << count) - 1)
        self._left >>= count
        return value
