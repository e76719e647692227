"""The little that must be known of an ICC profile (ICC.1:2022) to put the right numbers beside it."""

from __future__ import annotations

import struct

_GREY, _RGB = b"GRAY", b"RGB "


def fits(icc: bytes, channels: int) -> bool:
    """Whether the profile speaks about pixels of this kind (a CMYK profile does not, once the pixels are RGB)."""
    return len(icc) >= 132 and icc[16:20] == (_GREY if channels <= 2 else _RGB)


def is_srgb(icc: bytes) -> bool:
    """Whether the profile calls itself sRGB, and its curve is not linear."""
    return any("sRGB".encode(encoding) in icc for encoding in ("ascii", "utf-16-be")) and not is_linear(icc)


def is_linear(icc: bytes) -> bool:
    """Whether the tone curve of red or grey is a straight line: ``curv`` empty or gamma 1, ``para`` type 0 with gamma 1."""
    curve = _tag(icc, b"rTRC") or _tag(icc, b"kTRC")
    if curve[:4] == b"curv":
        entries = int.from_bytes(curve[8:12])
        return entries == 0 or (entries == 1 and curve[12:14] == b"\x01\x00")
    return curve[:4] == b"para" and curve[8:10] == b"\0\0" and curve[12:16] == b"\0\x01\0\0"


def _tag(icc: bytes, signature: bytes) -> bytes:
    for index in range(min(int.from_bytes(icc[128:132]), 100)):
        entry = icc[132 + 12 * index : 144 + 12 * index]
        if len(entry) == 12 and entry[:4] == signature:
            offset, length = struct.unpack(">II", entry[4:])
            return icc[offset : offset + length]
    return b""
