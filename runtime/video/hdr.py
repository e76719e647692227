"""What HDR10 says beside the pixels, out of FFmpeg's structures."""

from __future__ import annotations

import struct
from fractions import Fraction

from ..frames.stream import MasteringDisplay


def mastering_display(data: bytes) -> MasteringDisplay | None:
    """``AVMasteringDisplayMetadata``: ten rationals (red, green, blue and white as x, y; darkest, brightest), then two flags.

    None unless both the colours and the luminances are given, as HDR10 wants.
    """
    numbers = struct.unpack_from("=22i", data)
    if not (numbers[20] and numbers[21]) or not all(numbers[1:20:2]):
        return None
    values = [Fraction(numbers[i], numbers[i + 1]) for i in range(0, 20, 2)]
    red, green, blue, white = ((values[i], values[i + 1]) for i in range(0, 8, 2))
    return MasteringDisplay(red, green, blue, white, darkest=values[8], brightest=values[9])


def content_light(data: bytes) -> tuple[int, int] | None:
    """``AVContentLightMetadata``: MaxCLL and MaxFALL; None when both are 0, which means "not known"."""
    brightest, average = struct.unpack_from("=2I", data)
    return (brightest, average) if brightest or average else None
