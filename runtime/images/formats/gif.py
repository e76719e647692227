"""The blocks of a GIF file (GIF89a specification, CompuServe 1990), walked to the trailer."""

from pathlib import Path


def verify_blocks(path: Path) -> int:
    """Return the number of frames. A GIF that is truncated between two of them is detected; decoders do not.

    Raises:
        ValueError: the file ends before its trailer.
    """
    data, frames = path.read_bytes(), 0
    try:
        offset = 13 + _count_color_table_bytes(data[10])
        while data[offset] != 0x3B:
            frames += data[offset] == 0x2C
            offset = _skip_block(data, offset)
    except IndexError as error:
        raise ValueError("the file ends before its last block") from error
    return frames


def read_repetitions(path: Path) -> int | None:
    """Return how often the frames are repeated (application extension NETSCAPE2.0), 0 for ever; None without a word of it."""
    _, name, block = path.read_bytes().partition(b"\x21\xff\x0bNETSCAPE2.0\x03\x01")
    return int.from_bytes(block[:2], "little") if name else None


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
