"""Which way up a film is shown."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import cast

import numpy as np

from ..frames.geometry import Size
from ..frames.stream import Samples


@dataclass(frozen=True)
class Orientation:
    """What to do to a decoded picture, in this order: swap rows and columns, mirror left to right, turn upside down."""

    transpose: bool = False
    mirror: bool = False
    upend: bool = False

    def size(self, coded: Size) -> Size:
        return Size(coded.height, coded.width) if self.transpose else coded

    def apply(self, pixels: Samples) -> Samples:
        """The picture as shown, contiguous in memory; the same array when there is nothing to do."""
        if self == Orientation():
            return pixels
        shown = pixels.swapaxes(0, 1) if self.transpose else pixels
        shown = shown[:, ::-1] if self.mirror else shown
        return cast(Samples, np.ascontiguousarray(shown[::-1] if self.upend else shown))


def from_display_matrix(data: bytes) -> Orientation | None:
    """Read the matrix of ISO/IEC 14496-12, section 8.3.2 (nine 32-bit integers, a b u c d v x y w, 16.16 fixed point).

    A point (x, y) of the decoded picture is shown at (ax + cy, bx + dy). None for a turn that is no multiple of 90 degrees.
    """
    a, b, _, c, d = struct.unpack_from("=5i", data)
    straight, turned = max(abs(a), abs(d)), max(abs(b), abs(c))
    if min(straight, turned) * 100 > max(straight, turned):
        return None
    if straight >= turned:
        return Orientation(transpose=False, mirror=a < 0, upend=d < 0)
    return Orientation(transpose=True, mirror=c < 0, upend=b < 0)
