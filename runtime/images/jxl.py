"""The size of a JPEG XL picture by its first bytes (ISO/IEC 18181-1, D.2; 18181-2 for the boxes).

Read here because libjxl, as OpenImageIO calls it, decodes all pixels when a file is opened.
"""

from __future__ import annotations

from pathlib import Path

from ..frames.geometry import Size

_CODESTREAM = b"\xff\x0a"
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
_HEAD_BYTES = 64 << 10


def size(path: Path) -> Size:
    """Width and height as stored, before the orientation is applied.

    Raises:
        ValueError: the header is not in the file.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    start = head.find(_CODESTREAM, 0 if head.startswith(_CODESTREAM) else 12)
    if start < 0 or len(head) < start + 16:
        raise ValueError("the file ends inside its header")
    return _size_header(_Bits(head[start + 2 : start + 18]))


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
