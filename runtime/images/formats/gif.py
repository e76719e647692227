"""The blocks of a GIF file (GIF89a specification, CompuServe 1990), walked to the trailer."""

from collections.abc import Iterator
from pathlib import Path


def verify_blocks(path: Path) -> int:
    """Return the number of frames. A GIF that is truncated between two of them is detected; decoders do not.

    Raises:
        ValueError: the file ends before its trailer.
    """
    data = path.read_bytes()
    return sum(data[offset] == 0x2C for offset in _iterate_blocks(data))


def can_turn_transparent(path: Path) -> bool:
    """Return whether frames after an opaque first one may have transparent pixels; also True for a damaged file.

    Transparent pixels of a later frame show the frame before it. Only an area that is cleared when its time is over (disposal
    method 2) becomes transparent: where its frame names a transparent color, or there is no global background color. Whether
    the next frame covers that area is not looked at: alpha that is kept in vain harms less than alpha that is lost.
    """
    data = path.read_bytes()
    try:
        controls = [data[offset + 3] for offset in _iterate_blocks(data) if data[offset : offset + 2] == b"\x21\xf9"]
    except ValueError:
        return True
    return any(packed >> 2 & 7 == 2 and (packed & 1 or not data[10] & 0x80) for packed in controls)


def read_repetitions(path: Path) -> int | None:
    """Return how often the frames are repeated (application extension NETSCAPE2.0), 0 for ever; None without a word of it."""
    _, name, block = path.read_bytes().partition(b"\x21\xff\x0bNETSCAPE2.0\x03\x01")
    return int.from_bytes(block[:2], "little") if name else None


def _iterate_blocks(data: bytes) -> Iterator[int]:
    try:
        offset = 13 + _count_color_table_bytes(data[10])
        while data[offset] != 0x3B:
            yield offset
            offset = _skip_block(data, offset)
    except IndexError as error:
        raise ValueError("the file ends before its last block") from error


def _skip_block(data: bytes, offset: int) -> int:
    if data[offset] == 0x21:
        return _skip_sub_blocks(data, offset + 2)
    if data[offset] == 0x2C:
        return _skip_sub_blocks(data, offset + 10 + _count_color_table_bytes(data[offset + 9]) + 1)
    raise ValueError(f"no GIF block at byte {offset}")


def _skip_sub_blocks(data: bytes, offset: int) -> int:
    while data[offset]:
        offset += data[offset] + 1
    return offset + 1


def _count_color_table_bytes(packed: int) -> int:
    return 3 << ((packed & 7) + 1) if packed & 0x80 else 0
