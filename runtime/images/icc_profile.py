"""Read from an ICC profile (ICC.1:2022) what is needed to interpret the pixels: color space, sRGB, linear curve."""

from __future__ import annotations

import struct

from .image_file import Transfer

_GREY, _RGB = b"GRAY", b"RGB "


def is_profile_for(icc: bytes, channels: int) -> bool:
    """Whether the profile describes pixels with this number of channels (a CMYK profile does not describe RGB pixels)."""
    return len(icc) >= 132 and icc[16:20] == (_GREY if channels <= 2 else _RGB)


def is_srgb(icc: bytes) -> bool:
    """Whether the profile is named sRGB and its curve is not linear."""
    return any("sRGB".encode(encoding) in icc for encoding in ("ascii", "utf-16-be")) and not is_linear(icc)


def resolve_stored_transfer(icc: bytes | None, *, exr: bool, floating: bool) -> Transfer:
    """Return the transfer of a file: that of its profile; without one, linear light for EXR and float files, else sRGB."""
    if icc and not exr:
        return "linear" if is_linear(icc) else "srgb"
    return "linear" if exr or floating else "srgb"


def is_linear(icc: bytes) -> bool:
    """Whether the tone curve of red or grey is y = x: ``curv`` empty or of gamma 1, ``para`` of gamma 1 without offset."""
    curve = _read_tag(icc, b"rTRC") or _read_tag(icc, b"kTRC")
    if curve[:4] == b"curv":
        entries = int.from_bytes(curve[8:12])
        return entries == 0 or (entries == 1 and curve[12:14] == b"\x01\x00")
    if curve[:4] != b"para":
        return False
    kind = int.from_bytes(curve[8:10])
    return curve[12:16] == _ONE and (kind == 0 or curve[16:24] == _ONE + _ZERO)


_ONE, _ZERO = b"\0\x01\0\0", bytes(4)  # s15Fixed16Number


def _read_tag(icc: bytes, signature: bytes) -> bytes:
    for index in range(min(int.from_bytes(icc[128:132]), 100)):
        entry = icc[132 + 12 * index : 144 + 12 * index]
        if len(entry) == 12 and entry[:4] == signature:
            offset, length = struct.unpack(">II", entry[4:])
            return icc[offset : offset + length]
    return b""
