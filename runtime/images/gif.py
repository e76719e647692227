"""The blocks of a GIF file (GIF89a specification, CompuServe 1990), walked to the trailer."""

from __future__ import annotations

from pathlib import Path


def check(path: Path) -> None:
    """Decoders fill up a GIF that is cut off between two pictures; this finds it.

    Raises:
        ValueError: the file ends before its trailer.
    """
    data = path.read_bytes()
    try:
        at = 13 + _table_bytes(data[10])
        while data[at] != 0x3B:
            at = _after_block(data, at)
    except IndexError as error:
        raise ValueError("the file ends before its last block") from error


def _after_block(data: bytes, at: int) -> int:
    if data[at] == 0x21:
        return _after_sub_blocks(data, at + 2)
    if data[at] == 0x2C:
        return _after_sub_blocks(data, at + 10 + _table_bytes(data[at + 9]) + 1)
    raise ValueError(f"there is no GIF block at byte {at}")


def _after_sub_blocks(data: bytes, at: int) -> int:
    while data[at]:
        at += data[at] + 1
    return at + 1


def _table_bytes(packed: int) -> int:
    return 3 << ((packed & 7) + 1) if packed & 0x80 else 0
