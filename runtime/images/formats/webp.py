"""The chunks of a WebP file (RFC 9649, WebP Container Specification)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...media import Size


def read_size(path: Path) -> Size:
    """Return width and height from the first chunk: the canvas of an extended file, or the header of the bitstream.

    Raises:
        ValueError: the file ends inside its header.
    """
    with path.open("rb") as file:
        head = file.read(30)
    kind, data = head[12:16], head[20:]
    if len(head) < 30:
        raise ValueError("the file ends inside its header")
    if kind == b"VP8X":
        return Size(int.from_bytes(data[4:7], "little") + 1, int.from_bytes(data[7:10], "little") + 1)
    if kind == b"VP8L":
        bits = int.from_bytes(data[1:5], "little")
        return Size((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    width, height = struct.unpack("<HH", data[6:10])
    return Size(width & 0x3FFF, height & 0x3FFF)


@dataclass(frozen=True)
class WebpAnimation:
    """What the chunks of an animation say; a still has no frame."""

    play_count: int
    """0 is for ever."""
    durations: tuple[int, ...]
    """Of the frames, in milliseconds."""


def read_webp_animation(path: Path) -> WebpAnimation:
    """Return the times of an animation; the file is read, not decoded.

    Raises:
        ValueError: the file ends before its last chunk.
    """
    plays, durations = 0, list[int]()
    for kind, payload in _iter_chunks(path.read_bytes()):
        if kind == b"ANIM":
            plays = int.from_bytes(payload[4:6], "little")
        elif kind == b"ANMF":
            durations.append(int.from_bytes(payload[12:15], "little"))
    return WebpAnimation(plays, tuple(durations))


def verify_chunks(path: Path) -> dict[bytes, bytes]:
    """Walk the chunks of a file; return the payloads of EXIF, ICCP and XMP, and under ANMF one byte for each animation frame.

    Raises:
        ValueError: the file ends before its last chunk.
    """
    chunks: dict[bytes, bytes] = {}
    for kind, payload in _iter_chunks(path.read_bytes()):
        if kind in (b"EXIF", b"ICCP", b"XMP "):
            chunks[kind] = payload
        elif kind == b"ANMF":
            chunks[kind] = chunks.get(kind, b"") + b"\0"
    return chunks


def _iter_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise ValueError("the file ends before its last chunk")
    offset = 12
    while offset + 8 <= end:
        kind, length = data[offset : offset + 4], int.from_bytes(data[offset + 4 : offset + 8], "little")
        yield kind, data[offset + 8 : offset + 8 + length]
        offset += 8 + length + length % 2
